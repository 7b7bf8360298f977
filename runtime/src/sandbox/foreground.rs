//! A container that the runtime itself waits for: `run` and `do`.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use moat_sentry::control::config::Stdio;
use moat_sentry::control::protocol::Request;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use super::client::Client;
use super::console::{self, Pty, RawTerminal};
use super::launch::Plan;
use super::make::{Make, destroy, make};
use crate::bundle::hooks::Phases;
use crate::log::Log;
use crate::state::{Root, State, Status};

/// What is to be run.
pub struct Foreground<'a> {
    /// Where state is kept.
    pub root: &'a Root,
    /// What is known of the container.
    pub state: State,
    /// Its sandbox.
    pub plan: Plan,
    /// Its limits.
    pub resources: Option<&'a LinuxResources>,
    /// Its control group's path.
    pub cgroups_path: Option<PathBuf>,
    /// Whether it gets a terminal if the runtime has one.
    pub terminal: bool,
    /// Where trace text goes.
    pub trace: Option<OwnedFd>,
    /// Where messages of the processes go.
    pub debug_log: Option<PathBuf>,
    /// What the runtime says.
    pub log: &'a Log,
}

/// Runs a container with this process's standard streams; the exit status of its init.
///
/// # Errors
/// What failed before init ran.
pub fn run(mut run: Foreground<'_>) -> Result<u8> {
    // From here on signals are the container's, and nothing is left behind by one.
    let signals = block_signals()?;
    let terminal = run.terminal && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut pty = None;
    let stdio = if terminal {
        let size = console::size(std::io::stdout().as_fd());
        run.plan.config.process.stdio = Stdio::Terminal { columns: size.0, rows: size.1 };
        let Pty { master, slave } = Pty::new(size)?;
        pty = Some(master);
        vec![slave]
    } else {
        standard_streams()?
    };
    let (container, mut state) = make(Make {
        root: run.root,
        state: run.state,
        plan: run.plan,
        resources: run.resources,
        cgroups_path: run.cgroups_path,
        hooks: Phases::default(),
        stdio,
        trace: run.trace,
        debug_log: run.debug_log,
        log: run.log,
    })?;
    let started = Client::connect(container.directory()).and_then(|c| c.request(&Request::Start, &[]));
    if let Err(error) = started {
        destroy(container, Some(state), run.log)?;
        return Err(error).context("start the container");
    }
    state.phase = Status::Running;
    container.save(&state)?;
    let status = attend(&state, container.directory(), pty, &signals)?;
    destroy(container, Some(state), run.log)?;
    Ok(status)
}

/// This process's standard streams, for the container. A closed one is /dev/null.
///
/// # Errors
/// The host's.
pub fn standard_streams() -> Result<Vec<OwnedFd>> {
    let streams = [
        std::io::stdin().as_fd().try_clone_to_owned(),
        std::io::stdout().as_fd().try_clone_to_owned(),
        std::io::stderr().as_fd().try_clone_to_owned(),
    ];
    streams
        .into_iter()
        .map(|stream| stream.or_else(|_| Ok(std::fs::File::options().read(true).write(true).open("/dev/null")?.into())))
        .collect::<std::io::Result<_>>()
        .context("standard streams")
}

/// Blocks every signal that is to be passed on, and SIGCHLD.
///
/// # Errors
/// The host's.
pub fn block_signals() -> Result<SigSet> {
    let mut set = SigSet::all();
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGTRAP,
        Signal::SIGSYS,
        Signal::SIGABRT,
    ] {
        set.remove(fault);
    }
    // A stopped runtime is what a person's ^Z is to give.
    for stop in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        set.remove(stop);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).context("block signals")?;
    Ok(set)
}

/// Passes signals and terminal on until the lead has ended; its exit status.
///
/// # Errors
/// The host's.
pub fn attend(state: &State, directory: &Path, pty: Option<OwnedFd>, signals: &SigSet) -> Result<u8> {
    let Some(lead) = &state.lead else { return Ok(1) };
    let relay = pty.map(Relay::start).transpose()?;
    loop {
        if let Some(status) = reap(lead.pid)? {
            drop(relay);
            return Ok(status);
        }
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {}
            Ok(Signal::SIGWINCH) if relay.is_some() => {
                if let Some(relay) = &relay {
                    let size = console::size(std::io::stdout().as_fd());
                    console::set_size(relay.master.as_fd(), size);
                    if let Ok(client) = Client::connect(directory) {
                        let _ = client.request(&Request::Resize { pid: 1, columns: size.0, rows: size.1 }, &[]);
                    }
                }
            }
            Ok(signal) => drop(lead.signal(signal as i32)),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e).context("wait for signals"),
        }
    }
}

/// The lead's exit status once it has ended; other children are reaped by the way.
fn reap(lead: i32) -> Result<Option<u8>> {
    match waitid(Id::Pid(Pid::from_raw(lead)), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, status)) => Ok(Some(status as u8)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(128 + signal as u8)),
        Ok(_) | Err(Errno::EINTR) => Ok(None),
        Err(e) => Err(e).context("wait for the container"),
    }
}

/// Copies between a person's terminal and the sandbox's.
struct Relay {
    master: OwnedFd,
    output: Option<std::thread::JoinHandle<()>>,
    _raw: RawTerminal,
}

impl Relay {
    fn start(master: OwnedFd) -> Result<Self> {
        let raw = RawTerminal::new().context("make the terminal raw")?;
        let (to, from) = (master.try_clone()?, master.try_clone()?);
        std::thread::spawn(move || console::copy(std::io::stdin().as_fd(), to.as_fd()));
        let output = std::thread::spawn(move || console::copy(from.as_fd(), std::io::stdout().as_fd()));
        Ok(Self { master, output: Some(output), _raw: raw })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The slave's last holder has gone with the sandbox: what it wrote is still to be read, then comes EIO.
        if let Some(output) = self.output.take() {
            let _ = output.join();
        }
    }
}
