//! `moat completions` and `moat man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Print a shell's completions
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Which shell's
    shell: Shell,
}

/// Write the manual's pages
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Where to
    #[arg(value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Outcome {
        clap_complete::generate(self.shell, &mut Cli::command(), "moat", &mut std::io::stdout());
        Ok(0)
    }
}

impl Man {
    /// Writes them.
    pub fn run(self) -> Outcome {
        clap_mangen::generate_to(Cli::command(), &self.directory)
            .with_context(|| format!("write manual pages to {}", self.directory.display()))?;
        Ok(0)
    }
}
