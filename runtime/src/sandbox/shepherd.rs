//! The shepherd: the host process of a process that `exec` started. Its pid is in the pid-file; signals that it gets
//! become signals of the guest's process; it ends with that one's status; and if it is killed, so is that one.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use moat_sentry::control::config::ProcessConfig;
use moat_sentry::control::protocol::{Reply, Request};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use serde::{Deserialize, Serialize};

use super::client::{Client, ControlError};
use super::privilege;
use super::socket::Socket;
use super::terminals::ShownTerminal;
use crate::state::ProcessId;

/// To the shepherd; the descriptors of the process come along.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    directory: PathBuf,
    lead: Option<ProcessId>,
    process: ProcessConfig,
}

/// From the shepherd: the number of the process, or why there is none.
type Answer = Result<u32, String>;

/// A shepherd at work.
#[derive(Clone, Copy, Debug)]
pub struct Shepherd {
    /// Its pid.
    pub pid: i32,
    /// The guest's number of its process.
    pub guest: u32,
}

impl Shepherd {
    /// The process, as other verbs could know it.
    pub fn id(&self) -> ProcessId {
        ProcessId::of(self.pid)
    }

    /// Ends it, and its process.
    pub fn kill(&self) {
        self.id().kill();
    }
}

/// Starts a process in the container of this state directory, and its shepherd as a child of this process.
///
/// # Errors
/// Why it could not be started.
pub fn start(
    directory: &Path,
    lead: Option<ProcessId>,
    process: &ProcessConfig,
    files: &[OwnedFd],
) -> Result<Shepherd> {
    let (ours, theirs) = Socket::pair().context("make a socket")?;
    let child = Command::new("/proc/self/exe")
        .arg0("moat-exec")
        .arg(super::SHEPHERD_ROLE)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("execute moat-exec")?;
    let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let order = Order { directory: directory.to_owned(), lead, process: process.clone() };
    let answer = ours.send(&order, &files).and_then(|()| ours.receive::<Answer>());
    match answer {
        Ok((Ok(guest), _)) => Ok(Shepherd { pid: child.id() as i32, guest }),
        Ok((Err(message), _)) => bail!(message),
        Err(error) => Err(anyhow!("the shepherd of the process died: {error}")),
    }
}

/// The role's main function.
pub fn main() -> u8 {
    privilege::close_inherited_files();
    let _ = nix::sys::prctl::set_name(c"moat-exec");
    let _ = nix::unistd::setsid();
    // None may be lost, and none may end it before the guest's process.
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None);
    // Whoever is there to hear what went wrong has been told.
    herd().unwrap_or(255)
}

fn herd() -> Result<u8> {
    let maker = Socket::new(nix::unistd::dup(std::io::stdin().as_fd())?);
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    let (order, files) = maker.receive::<Order>()?;
    let started = Client::connect(&order.directory).and_then(|client| {
        let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let reply = client.request(&Request::Exec { process: Box::new(order.process) }, &files)?;
        Ok((client, reply))
    });
    let (client, pid, terminal) = match started {
        Ok((client, Reply::Started { pid, terminal })) => (client, pid, terminal),
        Ok(_) => return refuse(&maker, "the sandbox does not keep to the protocol"),
        Err(ControlError::Refused { what, .. }) => {
            return refuse(&maker, &format!("unable to start container process: {what}"));
        }
        Err(error) => return refuse(&maker, &error.to_string()),
    };
    let terminal = terminal.zip(files.first()).zip(order.lead);
    // Where that may not be, the container goes without.
    let _shown =
        terminal.and_then(|((number, terminal), lead)| ShownTerminal::new(&lead, terminal.as_fd(), number).ok());
    // The sandbox has its own: the streams end with the guest's last reference.
    drop(files);
    maker.send(&Answer::Ok(pid), &[])?;
    drop(maker);
    let directory = order.directory;
    std::thread::spawn(move || pass_signals(&directory, pid));
    match client.request(&Request::Wait { pid }, &[]) {
        Ok(Reply::Ended { status }) => Ok(super::sentry::exit_status(status)),
        // With the sandbox all its processes are gone.
        _ => Ok(137),
    }
}

fn refuse(maker: &Socket, message: &str) -> Result<u8> {
    maker.send(&Answer::Err(message.to_owned()), &[])?;
    Ok(255)
}

fn pass_signals(directory: &Path, pid: u32) {
    let all = SigSet::all();
    loop {
        let signal = match super::foreground::wait_signal(&all) {
            Ok(libc::SIGCHLD) | Err(_) => continue,
            Ok(signal) => signal,
        };
        if let Ok(client) = Client::connect(directory) {
            let _ = client.request(&Request::Kill { pid, signal, all: false }, &[]);
        }
    }
}
