//! Answers requests of the control socket. The transport is the runtime's.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::protocol::{Reply, Request};
use crate::sandbox::{Sandbox, StartError};

/// Does what a request asks for. Blocks as long as that takes; `Wait` until the process has ended.
pub fn answer(sandbox: &Arc<Sandbox>, request: Request, files: Vec<OwnedFd>) -> Reply {
    match request {
        Request::Start => {
            sandbox.start();
            Reply::Done
        }
        Request::Exec { process } => match sandbox.exec(*process, files) {
            Ok((pid, terminal)) => Reply::Started { pid, terminal },
            Err(error) => error.into(),
        },
        Request::Kill { pid, signal, all } => match sandbox.kill(pid, signal, all) {
            Ok(()) => Reply::Done,
            Err(errno) => Reply::Failed { errno: errno.raw(), what: format!("signal {signal} to process {pid}") },
        },
        Request::Wait { pid } => Reply::Ended { status: sandbox.wait(pid) },
        Request::Pause => {
            sandbox.pause();
            Reply::Done
        }
        Request::Resume => {
            sandbox.resume();
            Reply::Done
        }
        Request::LimitTasks { most } => {
            sandbox.limit_tasks(most);
            Reply::Done
        }
        Request::Processes => Reply::Processes { processes: sandbox.processes() },
        Request::Resize { pid, columns, rows } => {
            sandbox.resize(pid, columns, rows);
            Reply::Done
        }
    }
}

impl From<StartError> for Reply {
    fn from(error: StartError) -> Self {
        Self::Failed { errno: error.errno.raw(), what: error.what }
    }
}
