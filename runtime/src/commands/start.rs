//! `moat start`.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::{ProcessConfig, Stdio};
use moat_sentry::control::protocol::{Reply, Request};
use oci_spec::runtime::Hook;

use super::{Global, Outcome};
use crate::bundle::hooks;
use crate::log::Log;
use crate::sandbox::client::Client;
use crate::state::{Container, State, Status};

/// Start the process of a created container
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The container's name
    id: String,
}

impl Start {
    /// Starts it.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        let container = global.state_root().open(&self.id)?;
        let mut state = container.load()?;
        match state.status() {
            Status::Created => start(&container, &mut state, log)?,
            Status::Stopped => return Err(anyhow::anyhow!("cannot start a container that has stopped").into()),
            Status::Running | Status::Paused => {
                return Err(anyhow::anyhow!("cannot start an already running container").into());
            }
            Status::Creating => return Err(anyhow::anyhow!("cannot start a container that is being created").into()),
        }
        Ok(0)
    }
}

/// Runs the hooks of the start, and between them lets init run.
pub fn start(container: &Container, state: &mut State, log: &Log) -> Result<()> {
    let client = Client::connect(container.directory())?;
    for hook in std::mem::take(&mut state.start_container) {
        run_inside(&client, &hook, state).with_context(|| format!("startContainer hook {}", hook.path().display()))?;
    }
    client.request(&Request::Start, &[]).context("start the container")?;
    state.phase = Status::Running;
    let poststart = std::mem::take(&mut state.poststart);
    container.save(state)?;
    let seen = state.to_oci_as(Status::Running);
    hooks::run_all(&poststart, &seen).iter().for_each(|warning| log.warn(warning));
    Ok(())
}

/// Runs a hook's program as a process of the container: it is found there, and does what it may there.
fn run_inside(client: &Client, hook: &Hook, state: &State) -> Result<()> {
    let Some(init) = &state.process else { bail!("the state does not say how processes are started") };
    let mut arguments = hook.args().clone().unwrap_or_default();
    let program = hook.path().display().to_string();
    match arguments.first_mut() {
        Some(name) => *name = program,
        None => arguments.push(program),
    }
    let process = ProcessConfig {
        arguments,
        environment: hook.env().clone().unwrap_or_default(),
        stdio: Stdio::Files,
        extra_files: 0,
        ..init.clone()
    };
    let input = input(&serde_json::to_vec(&state.to_oci())?)?;
    let null: OwnedFd = File::options().write(true).open("/dev/null")?.into();
    let files: [BorrowedFd<'_>; 3] = [input.as_fd(), null.as_fd(), null.as_fd()];
    let Reply::Started { pid, .. } = client.request(&Request::Exec { process: Box::new(process) }, &files)? else {
        bail!("the sandbox does not keep to the protocol");
    };
    match client.request(&Request::Wait { pid }, &[])? {
        Reply::Ended { status: 0 } => Ok(()),
        Reply::Ended { status } => bail!("ended with wait status {status:#x}"),
        _ => bail!("the sandbox does not keep to the protocol"),
    }
}

/// A file with these bytes, to be read from its start.
fn input(bytes: &[u8]) -> Result<OwnedFd> {
    let file = nix::sys::memfd::memfd_create(c"state", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(file);
    std::io::Write::write_all(&mut file, bytes)?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file.into())
}
