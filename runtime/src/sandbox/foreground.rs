//! A container that the runtime itself waits for: `run` and `do`.

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::Stdio;
use moat_sentry::control::protocol::Request;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxResources;

use super::client::Client;
use super::console::{self, Pty, RawTerminal};
use super::keeper::Keeper;
use super::launch::Plan;
use super::make::{Make, destroy, make};
use crate::bundle::hooks::Phases;
use crate::commands::create::pid_file;
use crate::commands::start::start;
use crate::log::Log;
use crate::state::{ProcessId, Root, State};

/// How long sentry and gofer may take to follow the lead.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

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
    /// Hooks of its creation.
    pub hooks: Phases,
    /// Descriptors that it gets behind the standard ones.
    pub extra: Vec<OwnedFd>,
    /// Where its pid is written.
    pub pid_file: Option<PathBuf>,
    /// Whether it is left to `delete` when it has ended.
    pub keep: bool,
    /// Whether it is taken away, however this process ends.
    pub tied: bool,
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
    let _keeper = run.tied.then(|| Keeper::start(run.root, &run.state.id, run.log)).transpose()?;
    let terminal = run.terminal && std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut pty = None;
    let mut stdio = if terminal {
        let size = console::size(std::io::stdout().as_fd());
        run.plan.config.process.stdio = Stdio::Terminal { columns: size.0, rows: size.1 };
        let Pty { master, slave } = Pty::new(size)?;
        pty = Some(master);
        vec![slave]
    } else {
        if matches!(run.plan.config.process.stdio, Stdio::Terminal { .. }) {
            bail!("process.terminal: standard input and output are no terminal");
        }
        standard_streams()?
    };
    stdio.extend(run.extra);
    let (container, _tie) = if run.tied {
        let (container, tie) = run.root.create_tied(&run.state.id)?;
        (container, Some(tie))
    } else {
        (run.root.create(&run.state.id)?, None)
    };
    let parts = Make {
        state: run.state,
        plan: run.plan,
        resources: run.resources,
        cgroups_path: run.cgroups_path,
        hooks: run.hooks,
        stdio,
        trace: run.trace,
        debug_log: run.debug_log,
        log: run.log,
    };
    let (container, mut state) = make(container, parts)?;
    let started = pid_file(run.pid_file.as_deref(), &state).and_then(|()| start(&container, &mut state, run.log));
    if let Err(error) = started {
        destroy(container, Some(state), run.log)?;
        return Err(error);
    }
    // Other verbs have their turn while it runs.
    let directory = container.directory().to_owned();
    drop(container);
    let Some(lead) = state.lead.clone() else { bail!("the container has no process") };
    let status = attend(&Watched { process: lead, guest: 1, directory: &directory }, pty, &signals)?;
    if !run.keep
        && let Ok(container) = run.root.open(&state.id)
    {
        for helper in &state.helpers {
            helper.wait(PATIENCE);
            // Children of this process, which nobody else may reap.
            let _ = nix::sys::wait::waitpid(Pid::from_raw(helper.pid), Some(WaitPidFlag::WNOHANG));
        }
        destroy(container, Some(state), run.log)?;
    }
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

/// Blocks every signal that is to be passed on, and SIGCHLD. What this process ignores (nohup(1)) is not passed on.
///
/// # Errors
/// The host's.
pub fn block_signals() -> Result<SigSet> {
    let mut set = SigSet::all();
    Signal::iterator().filter(|s| is_ignored(*s)).for_each(|s| set.remove(s));
    set.add(Signal::SIGCHLD);
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

fn is_ignored(signal: Signal) -> bool {
    // SAFETY: a zeroed structure is one that the kernel may fill; nothing is set.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// A process that the runtime waits for: the lead or a shepherd.
pub struct Watched<'a> {
    /// A child of this process.
    pub process: ProcessId,
    /// The guest's process that it stands for.
    pub guest: u32,
    /// The container's state directory.
    pub directory: &'a Path,
}

impl Watched<'_> {
    fn resize(&self, relay: &Relay) {
        let (columns, rows) = console::size(std::io::stdout().as_fd());
        console::set_size(relay.master.as_fd(), (columns, rows));
        let request = Request::Resize { pid: self.guest, columns, rows };
        // A sandbox that has just ended has no use for it.
        let _ = Client::connect(self.directory).and_then(|client| client.request(&request, &[]));
    }
}

/// Passes signals and terminal on until the process has ended; its exit status.
///
/// # Errors
/// The host's.
pub fn attend(watched: &Watched<'_>, pty: Option<OwnedFd>, signals: &SigSet) -> Result<u8> {
    let relay = pty.map(Relay::start).transpose()?;
    loop {
        if let Some(status) = reap(watched.process.pid)? {
            drop(relay);
            return Ok(status);
        }
        match (wait_signal(signals), &relay) {
            (Ok(libc::SIGCHLD), _) => {}
            (Ok(libc::SIGWINCH), Some(relay)) => watched.resize(relay),
            (Ok(signal), _) => drop(watched.process.signal(signal)),
            (Err(Errno::EINTR), _) => {}
            (Err(e), _) => return Err(e).context("wait for signals"),
        }
    }
}

/// The next signal of the set, which is blocked; also a real-time one.
///
/// # Errors
/// `EINTR`.
pub fn wait_signal(signals: &SigSet) -> Result<i32, Errno> {
    // SAFETY: the set lives through the call, and no information is asked for.
    Errno::result(unsafe { libc::sigwaitinfo(signals.as_ref(), std::ptr::null_mut()) })
}

/// The exit status of a child once it has ended.
fn reap(pid: i32) -> Result<Option<u8>> {
    match waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
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
