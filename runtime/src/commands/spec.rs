//! `moat spec`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::Outcome;
use crate::bundle::template;

/// Write a config.json to start from
#[derive(Debug, clap::Args)]
pub struct Spec {
    /// The bundle's directory
    #[arg(long, short, value_name = "DIRECTORY", default_value = ".")]
    bundle: PathBuf,
    /// For an ordinary user
    #[arg(long)]
    rootless: bool,
}

impl Spec {
    /// Writes it.
    pub fn run(self) -> Outcome {
        Ok(self.write().map(|()| 0)?)
    }

    fn write(&self) -> anyhow::Result<()> {
        let path = self.bundle.join("config.json");
        let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let config = template::config(self.rootless.then_some(own));
        let mut file = match std::fs::File::options().write(true).create_new(true).open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("File {} exists. Remove it first", path.display())
            }
            other => other.with_context(|| path.display().to_string())?,
        };
        let text = serde_json::to_string_pretty(&config).context("format config.json")?;
        writeln!(file, "{text}").with_context(|| path.display().to_string())
    }
}
