//! Bundles: config.json, read and checked to the end before anything starts.

mod check;
mod fields;
pub mod hooks;
mod linux;
mod mounts;
mod namespaces;
mod passwd;
pub mod process;
mod sandbox;
pub mod template;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use oci_spec::runtime::Spec;

pub use sandbox::{Options, Translation, translate};

/// A bundle whose config.json is sound JSON of the right types, with nothing in it that the specification does not know.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its directory, absolute.
    pub directory: PathBuf,
    /// Its config.json.
    pub spec: Spec,
}

impl Bundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// No config.json, or one that is wrong: line and field are named.
    pub fn load(directory: &Path) -> Result<Self> {
        let directory = std::fs::canonicalize(directory).with_context(|| format!("bundle {}", directory.display()))?;
        let path = directory.join("config.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                bail!("JSON specification file config.json not found")
            }
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        let spec = parse(&text, "config.json")?;
        Ok(Self { directory, spec })
    }

    /// A path of config.json that is relative to the bundle.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// The container's root on the host.
    ///
    /// # Errors
    /// There is none.
    pub fn rootfs(&self) -> Result<PathBuf> {
        let root = self.spec.root().as_ref().context("root: must be specified")?;
        let path = self.path(root.path());
        let found =
            std::fs::canonicalize(&path).with_context(|| format!("root.path: invalid rootfs: {}", path.display()))?;
        if !found.is_dir() {
            bail!("root.path: invalid rootfs: {}: not a directory", path.display());
        }
        Ok(found)
    }
}

/// Reads JSON of one of the specification's shapes.
///
/// # Errors
/// Line and field of what is wrong.
pub fn parse<T>(text: &str, name: &str) -> Result<T>
where
    T: serde::de::DeserializeOwned + serde::Serialize,
{
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value: T = match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => value,
        Err(error) => {
            let (field, inner) = (error.path().to_string(), error.into_inner());
            let field = if field == "." { String::new() } else { format!("{field}: ") };
            bail!("{name}: {field}{inner}");
        }
    };
    if let Err(error) = deserializer.end() {
        bail!("{name}: {error}");
    }
    fields::check(text, &value).with_context(|| name.to_owned())?;
    Ok(value)
}

#[cfg(test)]
mod tests;
