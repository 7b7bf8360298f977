//! Containers that are tied to the process that runs them (`moat do`), for which no engine cleans up: a file in the
//! directory, locked as long as that process lives. One whose tie nobody holds is left behind, and the next such process
//! takes it away.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

use super::{Container, LOCK_NAME, OLD_STATE_NAME, Root, STATE_NAME};

const TIE_NAME: &str = "tie";

/// Ties a container to this process as long as it lives.
#[derive(Debug)]
pub struct Tie(#[allow(dead_code, reason = "it is held")] Flock<File>);

impl Tie {
    fn make(directory: &Path) -> Result<Self> {
        let path = directory.join(TIE_NAME);
        let file = File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock);
        held.map(Self).map_err(|(_, e)| anyhow!("lock {}: {e}", path.display()))
    }

    /// Whether a process was tied to this container, and is gone.
    fn is_loose(directory: &Path) -> bool {
        match File::open(directory.join(TIE_NAME)) {
            Ok(file) => Flock::lock(file, FlockArg::LockSharedNonblock).is_ok(),
            // Killed before it could make it: nobody has written anything then.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                ![STATE_NAME, OLD_STATE_NAME].iter().any(|name| directory.join(name).exists())
            }
            Err(_) => false,
        }
    }
}

impl Root {
    /// Makes the directory of a new container, tied to this process.
    ///
    /// # Errors
    /// Those of [`Root::create`].
    pub fn create_tied(&self, id: &str) -> Result<(Container, Tie)> {
        let (container, _making) = self.begin(id)?;
        match Tie::make(&container.directory) {
            Ok(tie) => Ok((container, tie)),
            Err(error) => {
                let _ = container.remove();
                Err(error)
            }
        }
    }

    /// The containers whose names begin like this that are left behind, and that no verb is at work at.
    pub fn left_behind(&self, prefix: &str) -> Vec<Container> {
        // Nobody is between making a directory and tying it as long as this is held. Where somebody is, or looks as we do,
        // the next one will find what there is.
        let Ok(root) = File::open(&self.0) else { return Vec::new() };
        let Ok(_still) = Flock::lock(root, FlockArg::LockExclusiveNonblock) else { return Vec::new() };
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)))
            .map(|entry| entry.path())
            .filter(|directory| Tie::is_loose(directory))
            .filter_map(|directory| {
                // It is not made: somebody may just be taking the directory away.
                let Ok(file) = File::options().write(true).open(directory.join(LOCK_NAME)) else {
                    // That of who was killed before it made it is empty.
                    let _ = std::fs::remove_dir(directory);
                    return None;
                };
                let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
                // Who had the lock may have taken the directory away.
                directory.join(LOCK_NAME).exists().then_some(Container { directory, _lock: lock })
            })
            .collect()
    }
}
