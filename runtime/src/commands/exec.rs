//! `moat exec`: a further process in a container.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use moat_sentry::control::config::{ProcessConfig, Stdio};

use super::{Failure, Global, Outcome, write_pid_file};
use crate::bundle;
use crate::bundle::process::{capability_bit, translate};
use crate::sandbox::console::{self, Pty};
use crate::sandbox::foreground::{Watched, attend, block_signals, standard_streams};
use crate::sandbox::shepherd;
use crate::state::{State, Status};

/// Run a further process in a container
#[derive(Debug, clap::Args)]
pub struct Exec {
    /// A unix socket that takes the master of the process's terminal
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Where the process runs
    #[arg(long, value_name = "DIRECTORY")]
    cwd: Option<String>,
    /// Set an environment variable: NAME=VALUE
    #[arg(long, short, value_name = "VARIABLE")]
    env: Vec<String>,
    /// Give the process a terminal
    #[arg(long, short)]
    tty: bool,
    /// Who runs it: UID[:GID]
    #[arg(long, short, value_name = "USER")]
    user: Option<String>,
    /// Add a group
    #[arg(long, short = 'g', value_name = "GID")]
    additional_gids: Vec<u32>,
    /// Take all of that from a file in the form of config.json's process
    #[arg(long, short, value_name = "FILE")]
    process: Option<PathBuf>,
    /// Do not wait for it
    #[arg(long, short)]
    detach: bool,
    /// Write the pid of a process that ends with it to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Has no effect: the container does not use this host's kernel
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// Has no effect: the container does not use this host's kernel
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Set no_new_privs
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability
    #[arg(long, short, value_name = "CAPABILITY")]
    cap: Vec<String>,
    /// Pass this many descriptors on, from 3
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// Has no effect: all processes of a container are in its control group
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,
    /// Also in a paused container, where it waits
    #[arg(long)]
    ignore_paused: bool,
    /// The container's name
    id: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    /// Runs it.
    pub fn run(self, global: &Global) -> Outcome {
        self.try_run(global).context("exec failed").map_err(|e| Failure { message: format!("{e:#}"), code: 255 })
    }

    fn try_run(self, global: &Global) -> Result<u8> {
        let extra = super::create::preserved(self.preserve_fds)?;
        let root = global.state_root();
        let state = root.peek(&self.id)?;
        match state.status() {
            Status::Stopped => bail!("cannot exec in a stopped container"),
            Status::Paused if !self.ignore_paused => {
                bail!("cannot exec in a paused container (use --ignore-paused to override)")
            }
            Status::Creating => bail!("cannot exec in a container that is being created"),
            _ => {}
        }
        let directory = root.directory(&self.id)?;
        let mut process = self.process(&state)?;
        process.extra_files = extra.len() as u32;
        let signals = (!self.detach).then(block_signals).transpose()?;
        let (mut stdio, master) = self.streams(&mut process)?;
        stdio.extend(extra);
        let shepherd = shepherd::start(&directory, state.lead, &process, &stdio)?;
        drop(stdio);
        if let Some(path) = &self.pid_file {
            write_pid_file(path, shepherd.pid).inspect_err(|_| shepherd.kill())?;
        }
        let Some(signals) = signals else { return Ok(0) };
        attend(&Watched { process: shepherd.id(), guest: shepherd.guest, directory: &directory }, master, &signals)
    }

    /// The descriptors of the process, and the terminal that this process is to relay.
    fn streams(
        &self,
        process: &mut ProcessConfig,
    ) -> Result<(Vec<std::os::fd::OwnedFd>, Option<std::os::fd::OwnedFd>)> {
        use std::os::fd::AsFd;
        match (process.stdio, &self.console_socket) {
            (Stdio::Files, None) => Ok((standard_streams()?, None)),
            (Stdio::Files, Some(_)) => bail!("cannot use console socket if runc will not detach or allocate tty"),
            (Stdio::Terminal { columns, rows }, Some(socket)) => {
                let pty = Pty::new((columns, rows))?;
                pty.send_master(socket)?;
                Ok((vec![pty.slave], None))
            }
            (Stdio::Terminal { .. }, None) if self.detach => {
                bail!("cannot allocate tty if runc will detach without setting console socket")
            }
            (Stdio::Terminal { .. }, None) => {
                let (columns, rows) = console::size(std::io::stdout().as_fd());
                process.stdio = Stdio::Terminal { columns, rows };
                let pty = Pty::new((columns, rows))?;
                Ok((vec![pty.slave], Some(pty.master)))
            }
        }
    }

    fn process(&self, state: &State) -> Result<ProcessConfig> {
        if let Some(path) = &self.process {
            let text = std::fs::read_to_string(path).with_context(|| format!("--process {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let described = bundle::parse(&text, &name)?;
            let mut process = translate(&described, "process", &state.rootfs, &mut Vec::new())?;
            if self.tty && process.stdio == Stdio::Files {
                process.stdio = Stdio::Terminal { columns: 0, rows: 0 };
            }
            return Ok(process);
        }
        let mut process =
            state.process.clone().ok_or_else(|| anyhow!("the state does not say how processes are started"))?;
        if self.command.is_empty() {
            bail!("process args cannot be empty");
        }
        process.arguments.clone_from(&self.command);
        process.environment.extend(self.env.iter().cloned());
        process.stdio = if self.tty { Stdio::Terminal { columns: 0, rows: 0 } } else { Stdio::Files };
        process.no_new_privileges |= self.no_new_privs;
        process.additional_gids.extend(&self.additional_gids);
        if let Some(cwd) = &self.cwd {
            if !cwd.starts_with('/') {
                bail!("--cwd {cwd}: Cwd must be an absolute path");
            }
            process.cwd.clone_from(cwd);
        }
        if let Some(user) = &self.user {
            let (uid, gid) = user.split_once(':').map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
            process.uid = uid.parse().with_context(|| format!("--user {user}: {uid:?} is not a number"))?;
            if let Some(gid) = gid {
                process.gid = gid.parse().with_context(|| format!("--user {user}: {gid:?} is not a number"))?;
            }
        }
        for name in &self.cap {
            let bit = capability_bit(name).with_context(|| format!("--cap {name}: unknown capability"))?;
            let sets = &mut process.capabilities;
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
                *set |= bit;
            }
        }
        Ok(process)
    }
}
