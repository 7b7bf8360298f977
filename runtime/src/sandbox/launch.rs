//! The maker's part in a sandbox's birth.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use moat_sentry::control::config::ContainerConfig;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::boot::{Boot, Go, GoferBoot, GoferRoot, LeadPlan, Report};
use super::confine::Unlisted;
use super::privilege::clone_tree;
use super::socket::{Socket, SocketError};

/// How long a sandbox may take to be born. Hooks are not counted.
const PATIENCE: Duration = Duration::from_secs(120);

/// A tree that the gofer is to serve.
#[derive(Clone, Debug)]
pub struct RootPlan {
    /// Its path on the host.
    pub path: PathBuf,
    /// With the mounts below it.
    pub recursive: bool,
    /// How it is served.
    pub root: GoferRoot,
}

/// A sandbox to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The container.
    pub config: ContainerConfig,
    /// Its lead.
    pub lead: LeadPlan,
    /// What the gofer serves, in the order of their numbers in `config.mounts`.
    pub roots: Vec<RootPlan>,
    /// The namespaces to join, by `CLONE_NEW*`.
    pub join: Vec<(i32, PathBuf)>,
    /// A user namespace to join, after those.
    pub user_namespace: Option<PathBuf>,
    /// `--platform`.
    pub platform: String,
    /// `--platform-option`.
    pub platform_options: String,
    /// `--unlisted`.
    pub unlisted: Unlisted,
    /// Whether files belong to whom the container's user mapping says.
    pub mapped: bool,
}

/// What a launch needs besides the plan.
pub struct Launch<'a> {
    /// What is to be.
    pub plan: Plan,
    /// The state directory; messages of the processes go to a file in it.
    pub directory: &'a Path,
    /// The control socket.
    pub listener: OwnedFd,
    /// Descriptors of init.
    pub stdio: Vec<OwnedFd>,
    /// Where trace text goes.
    pub trace: Option<OwnedFd>,
    /// Where the processes' messages go, if not to the state directory.
    pub debug_log: Option<File>,
    /// Called with each process before it does anything, for its cgroup.
    pub spawned: &'a mut dyn FnMut(i32),
    /// Called when the namespaces are there and the container's root is not: for hooks.
    pub born: &'a mut dyn FnMut(i32) -> Result<()>,
}

/// Kills and reaps what was started when the launch fails.
#[derive(Default)]
struct Started(Vec<i32>);

impl Drop for Started {
    fn drop(&mut self) {
        for &pid in &self.0 {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for &pid in &self.0 {
            let _ = waitpid(Pid::from_raw(pid), None);
        }
    }
}

/// The file of the processes' messages in the state directory.
pub const LOG_NAME: &str = "sandbox.log";

/// Starts the processes of a sandbox, up to the loaded but unstarted init; the lead.
///
/// # Errors
/// What failed; nothing of it is left then.
pub fn launch(launch: Launch<'_>) -> Result<i32> {
    let Launch { plan, directory, listener, stdio, trace, debug_log, spawned, born } = launch;
    let log_path = directory.join(LOG_NAME);
    let log = match debug_log {
        Some(file) => file,
        None => File::options().create(true).append(true).open(&log_path).context("open the sandbox's log")?,
    };
    let roots = plan.roots.iter().map(open_root).collect::<Result<Vec<_>>>()?;
    let mut join = plan.join;
    // The last: it takes away the right to join namespaces that belong to the runtime's.
    join.extend(plan.user_namespace.map(|path| (libc::CLONE_NEWUSER, path)));
    let kinds = join.iter().map(|(kind, _)| *kind).collect();
    let join = join.iter().map(|(_, path)| open_namespace(path)).collect::<Result<Vec<_>>>()?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..moat_gofer::CONNECTIONS {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (a, b) = pair.context("connect sentry and gofer")?;
        ours.push(a);
        theirs.push(b);
    }
    let mut started = Started::default();
    let (gofer_process, gofer) = spawn(super::GOFER_ROLE, "moat-gofer", &log)?;
    started.0.push(gofer_process.id() as i32);
    spawned(gofer_process.id() as i32);
    let (sentry_process, sentry) = spawn(super::SENTRY_ROLE, "moat-sentry", &log)?;
    started.0.push(sentry_process.id() as i32);
    spawned(sentry_process.id() as i32);
    drop(log);

    let boot = Boot {
        config: plan.config,
        platform: plan.platform,
        platform_options: plan.platform_options,
        lead: plan.lead,
        gofer: ours.len(),
        stdio: stdio.len(),
        join: kinds,
        trace: trace.is_some(),
        unlisted: plan.unlisted,
    };
    let files: Vec<BorrowedFd<'_>> =
        std::iter::once(&listener).chain(&ours).chain(&stdio).chain(&join).chain(&trace).map(AsFd::as_fd).collect();
    let died =
        |e: SocketError| anyhow!("the sandbox died at its start: {}", last_line(&log_path).unwrap_or(e.to_string()));
    sentry.set_patience(Some(PATIENCE))?;
    sentry.send(&boot, &files).map_err(died)?;
    drop(files);
    drop((listener, ours, stdio, join, trace));

    let lead = match sentry.receive::<Report>().map_err(died)?.0 {
        Report::Born { lead } => lead,
        Report::Failed { what, .. } => return Err(anyhow!("unable to start container process: {what}")),
        Report::Ready => return Err(anyhow!("the sandbox does not keep to the protocol")),
    };
    started.0.push(lead);
    born(lead)?;
    let user_namespace =
        if plan.mapped { Some(open_namespace(&format!("/proc/{lead}/ns/user").into())?) } else { None };
    let boot = GoferBoot {
        connections: theirs.len(),
        roots: plan.roots.into_iter().map(|r| r.root).collect(),
        user_namespace: user_namespace.is_some(),
    };
    let files: Vec<BorrowedFd<'_>> = theirs.iter().chain(&roots).chain(&user_namespace).map(AsFd::as_fd).collect();
    gofer.send(&boot, &files).map_err(died)?;
    drop(files);
    drop((theirs, roots, user_namespace, gofer));
    sentry.send(&Go, &[]).map_err(died)?;
    match sentry.receive::<Report>().map_err(died)?.0 {
        Report::Ready => {}
        Report::Failed { what, .. } => return Err(anyhow!("unable to start container process: {what}")),
        Report::Born { .. } => return Err(anyhow!("the sandbox does not keep to the protocol")),
    }
    started.0.clear();
    Ok(lead)
}

/// Executes this program again in another role, with a socket as standard input.
fn spawn(role: &str, name: &str, log: &File) -> Result<(Child, Socket)> {
    let (ours, theirs) = Socket::pair().context("make a socket")?;
    let child = Command::new("/proc/self/exe")
        .arg0(name)
        .arg(role)
        .env_clear()
        .env("RUST_BACKTRACE", "1")
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(log.try_clone().context("duplicate a descriptor")?)
        .stderr(log.try_clone().context("duplicate a descriptor")?)
        .spawn()
        .with_context(|| format!("execute {name}"))?;
    Ok((child, ours))
}

fn open_root(plan: &RootPlan) -> Result<OwnedFd> {
    let path = plan.path.to_str().with_context(|| format!("{}: not UTF-8", plan.path.display()))?;
    // A clone keeps what is mounted later out of sight; without CAP_SYS_ADMIN, or where mounts below are locked to it, the
    // directory itself has to do.
    clone_tree(path, plan.recursive).or_else(|_| {
        nix::fcntl::open(&plan.path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .with_context(|| format!("{}: cannot be opened", plan.path.display()))
    })
}

fn open_namespace(path: &PathBuf) -> Result<OwnedFd> {
    let file = File::open(path).with_context(|| format!("namespace {}", path.display()))?;
    Ok(file.into())
}

/// The last line of the processes' log, which says why they died.
fn last_line(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|l| !l.trim().is_empty()).map(str::to_owned)
}
