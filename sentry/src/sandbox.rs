//! A sandbox: one container's kernel, from the loaded but unstarted init to its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_platform::Platform;

use crate::control::config::{ContainerConfig, ProcessConfig};
use crate::control::protocol::ProcessInfo;

/// What a sandbox is made of.
pub struct Start {
    /// Runs the application's code.
    pub platform: Arc<dyn Platform>,
    /// The container.
    pub config: ContainerConfig,
    /// Connections to the gofer.
    pub gofer: Vec<OwnedFd>,
    /// Descriptors of init: the standard ones or the terminal, then the preserved ones.
    pub stdio: Vec<OwnedFd>,
    /// Where trace text goes.
    pub trace: Option<OwnedFd>,
}

/// Why a process could not be started.
#[derive(Debug)]
pub struct StartError {
    /// The errno an `execve` would have given.
    pub errno: Errno,
    /// What failed, as runc words it: `exec: "nosuch": executable file not found in $PATH`.
    pub what: String,
}

/// See the module.
pub struct Sandbox;

impl Sandbox {
    /// Loads init up to its first instruction.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn create(start: Start) -> Result<Arc<Self>, StartError> {
        let _ = start;
        Err(StartError { errno: Errno::ENOSYS, what: "the kernel is not there yet".into() })
    }

    /// Lets init run.
    pub fn start(&self) {}

    /// Starts a further process; its number in the guest.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn exec(&self, process: ProcessConfig, files: Vec<OwnedFd>) -> Result<u32, StartError> {
        let _ = (process, files);
        Err(StartError { errno: Errno::ENOSYS, what: "the kernel is not there yet".into() })
    }

    /// Sends a signal to a process, or to all of them.
    ///
    /// # Errors
    /// `ESRCH` if it is gone, `EINVAL` if there is no such signal.
    pub fn kill(&self, pid: u32, signal: i32, all: bool) -> Result<(), Errno> {
        let _ = (pid, signal, all);
        Err(Errno::ESRCH)
    }

    /// Blocks until init or an exec'ed process has ended; its wait status.
    pub fn wait(&self, pid: u32) -> u32 {
        let _ = pid;
        0
    }

    /// Stops every task.
    pub fn pause(&self) {}

    /// Lets every task go on.
    pub fn resume(&self) {}

    /// The processes of the guest.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        Vec::new()
    }

    /// Tells the terminal of a process its new size.
    pub fn resize(&self, pid: u32, columns: u16, rows: u16) {
        let _ = (pid, columns, rows);
    }
}
