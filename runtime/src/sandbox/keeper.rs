//! The keeper: a process that takes a container away if the verb that runs it is killed before it can do so itself.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::make::destroy;
use crate::log::Log;
use crate::state::Root;

/// A keeper at work; relieved when this is dropped.
#[derive(Debug)]
pub struct Keeper {
    pid: Pid,
    /// Nobody else has this end: it closes with this process.
    _alive: OwnedFd,
}

impl Keeper {
    /// Starts the keeper of the container that is to have this id. This process must have one thread.
    ///
    /// # Errors
    /// The host's.
    pub fn start(root: &Root, id: &str, log: &Log) -> Result<Self> {
        let (watch, alive) = pipe2(OFlag::O_CLOEXEC).context("make a pipe")?;
        // SAFETY: there is one thread, so that the copy may run ordinary code; it ends in `keep`.
        match unsafe { fork() }.context("start the keeper")? {
            ForkResult::Parent { child } => Ok(Self { pid: child, _alive: alive }),
            ForkResult::Child => {
                let _ = keep(&watch, root, id, log);
                // SAFETY: ends the copy without running what its original is to run at its end.
                unsafe { libc::_exit(0) }
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

fn keep(watch: &OwnedFd, root: &Root, id: &str, log: &Log) -> Result<()> {
    let _ = nix::sys::prctl::set_name(c"moat-keeper");
    // Out of reach of what kills the verb's process group.
    let _ = nix::unistd::setsid();
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(watch.as_fd())?;
    nix::unistd::dup2_stdout(null.as_fd())?;
    nix::unistd::dup2_stderr(null.as_fd())?;
    debug_assert!(watch.as_raw_fd() > 2 && null.as_raw_fd() > 2);
    // Also this copy of the end that tells of the verb.
    super::privilege::close_inherited_files();
    // Nothing is ever written.
    let _ = std::io::stdin().read(&mut [0]);
    let container = root.open(id)?;
    let state = container.load().ok().or_else(|| container.load_old());
    destroy(container, state, log)
}
