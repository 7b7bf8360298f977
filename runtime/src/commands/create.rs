//! `moat create`.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::Stdio;
use oci_spec::runtime::LinuxResources;

use super::{Global, Outcome, write_pid_file};
use crate::bundle::{Bundle, Options, Translation, translate};
use crate::log::Log;
use crate::sandbox::console::Pty;
use crate::sandbox::foreground::standard_streams;
use crate::sandbox::make::{Make, destroy, make};
use crate::state::{Container, State};

/// Create a container from a bundle; its process waits for `start`
#[derive(Debug, clap::Args)]
pub struct Create {
    #[command(flatten)]
    pub(super) flags: Flags,
    /// The container's name
    id: String,
}

/// Flags that `create` and `run` share.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// The bundle's directory
    #[arg(long, short, value_name = "DIRECTORY", default_value = ".")]
    pub bundle: PathBuf,
    /// A unix socket that takes the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Write the pid of the container's process to this file
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Has no effect: the container's root is not this host's
    #[arg(long)]
    no_pivot: bool,
    /// Has no effect: the container has no keyring of this host
    #[arg(long)]
    no_new_keyring: bool,
    /// Pass this many descriptors on, from 3
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
}

impl Create {
    /// Creates the container.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        let created = (|| {
            let prepared = Prepared::new(&self.flags, &self.id, global, log)?;
            create(prepared, &self.flags, global, log).map(drop)
        })();
        created.context("runc create failed")?;
        Ok(0)
    }
}

/// A bundle that was found to be sound, and the descriptors that its process inherits.
pub(super) struct Prepared {
    pub(super) translation: Translation,
    pub(super) resources: Option<LinuxResources>,
    pub(super) extra: Vec<OwnedFd>,
}

impl Prepared {
    pub(super) fn new(flags: &Flags, id: &str, global: &Global, log: &Log) -> Result<Self> {
        crate::state::check_id(id)?;
        crate::sandbox::rootless::enter()?;
        let listen = listen_fds();
        let extra = preserved(flags.preserve_fds + listen)?;
        let bundle = Bundle::load(&flags.bundle)?;
        let options = Options {
            platform: global.platform.clone(),
            platform_options: global.platform_options.join(","),
            unlisted: global.unlisted,
            network: global.network.map(Into::into),
            overlay: global.overlay,
            trace: global.strace.is_some(),
            extra_files: extra.len() as u32,
        };
        let mut translation = translate(&bundle, id, &options)?;
        translation.warnings.iter().for_each(|w| log.warn(w));
        if listen > 0 {
            let environment = &mut translation.plan.config.process.environment;
            environment.push(format!("LISTEN_FDS={listen}"));
            environment.push("LISTEN_PID=1".into());
        }
        if global.systemd_cgroup {
            translation.cgroups_path =
                translation.cgroups_path.as_deref().map(crate::cgroup::path_of_slice).transpose()?;
        }
        let resources = bundle.spec.linux().as_ref().and_then(|l| l.resources().clone());
        Ok(Self { translation, resources, extra })
    }

    pub(super) fn has_terminal(&self) -> bool {
        matches!(self.translation.plan.config.process.stdio, Stdio::Terminal { .. })
    }
}

/// Creates a container whose streams are this process's, or whose terminal goes to the console socket.
pub(super) fn create(prepared: Prepared, flags: &Flags, global: &Global, log: &Log) -> Result<(Container, State)> {
    let mut stdio = match (prepared.translation.plan.config.process.stdio, &flags.console_socket) {
        (Stdio::Terminal { columns, rows }, Some(socket)) => {
            let pty = Pty::new((columns, rows))?;
            pty.send_master(socket)?;
            vec![pty.slave]
        }
        (Stdio::Terminal { .. }, None) => {
            bail!("cannot allocate tty if runc will detach without setting console socket")
        }
        (Stdio::Files, Some(_)) => bail!("cannot use console socket if runc will not detach or allocate tty"),
        (Stdio::Files, None) => standard_streams()?,
    };
    stdio.extend(prepared.extra);
    let translation = prepared.translation;
    let parts = Make {
        state: translation.state,
        plan: translation.plan,
        resources: prepared.resources.as_ref(),
        cgroups_path: translation.cgroups_path,
        hooks: translation.hooks,
        stdio,
        trace: global.trace()?,
        debug_log: global.debug_log.clone(),
        log,
    };
    let (container, state) = make(global.state_root().create(&parts.state.id)?, parts)?;
    match pid_file(flags.pid_file.as_deref(), &state) {
        Ok(()) => Ok((container, state)),
        Err(error) => {
            destroy(container, Some(state), log)?;
            Err(error)
        }
    }
}

/// Writes the lead's pid where `--pid-file` says.
///
/// # Errors
/// The host's.
pub fn pid_file(path: Option<&Path>, state: &State) -> Result<()> {
    path.map_or(Ok(()), |path| write_pid_file(path, state.pid()))
}

/// How many sockets systemd's activation passes to the container.
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (None, Some(count)) => count,
        (Some(pid), Some(count)) if pid == std::process::id() => count,
        _ => 0,
    }
}

/// Takes over descriptors that were inherited.
pub(super) fn preserved(count: u32) -> Result<Vec<OwnedFd>> {
    (3..3 + count as i32)
        .map(|number| {
            // SAFETY: asks whether the number is in use.
            if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
                bail!("--preserve-fds: unable to stat preserved-fd {number} (of {count}): bad file descriptor");
            }
            // SAFETY: the descriptor was inherited: nothing in this program has opened it or closes it.
            let fd = unsafe { OwnedFd::from_raw_fd(number) };
            let cloexec = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
            nix::fcntl::fcntl(fd.as_fd(), cloexec).context("--preserve-fds")?;
            Ok(fd)
        })
        .collect()
}
