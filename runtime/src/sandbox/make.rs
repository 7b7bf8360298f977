//! Makes a container: its state, its control groups, its processes; and takes all of it away again.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use oci_spec::runtime::LinuxResources;

use super::client;
use super::launch::{Launch, Plan, launch};
use crate::bundle::hooks::Phases;
use crate::cgroup::Cgroup;
use crate::log::Log;
use crate::state::{Container, ProcessId, Root, State, Status};

/// What a container is made of.
pub struct Make<'a> {
    /// What is known of it so far.
    pub state: State,
    /// Its sandbox.
    pub plan: Plan,
    /// Its limits.
    pub resources: Option<&'a LinuxResources>,
    /// Its control group's path; none is its id.
    pub cgroups_path: Option<PathBuf>,
    /// Hooks of its start.
    pub hooks: Phases,
    /// Descriptors of init.
    pub stdio: Vec<OwnedFd>,
    /// Where trace text goes.
    pub trace: Option<OwnedFd>,
    /// Where messages of the processes go.
    pub debug_log: Option<PathBuf>,
    /// What the runtime says.
    pub log: &'a Log,
}

/// Makes it, in its new directory.
///
/// # Errors
/// What failed; nothing of it is left then.
pub fn make(container: Container, make: Make<'_>) -> Result<(Container, State)> {
    let mut state = make.state.clone();
    match fill(&container, &mut state, make) {
        Ok(()) => Ok((container, state)),
        Err(error) => {
            state.cgroup.remove();
            let _ = container.remove();
            Err(error)
        }
    }
}

fn fill(container: &Container, state: &mut State, make: Make<'_>) -> Result<()> {
    state.cgroup = Cgroup::plan(make.cgroups_path.as_deref(), &state.id);
    container.save(state)?;
    let (cgroup, warnings) = Cgroup::create(make.cgroups_path.as_deref(), &state.id, make.resources);
    // Who asked for no limit misses none.
    if make.resources.is_some() {
        warnings.iter().for_each(|w| make.log.warn(w));
    }
    state.cgroup = cgroup;
    state.process = Some(make.plan.config.process.clone());
    let listener = client::listen(container.directory()).context("make the control socket")?;
    let debug_log = make.debug_log.as_deref().map(|path| {
        let opened = File::options().create(true).append(true).open(path);
        opened.with_context(|| format!("--debug-log {}: cannot be written", path.display()))
    });
    let debug_log = debug_log.transpose()?;
    let shared = std::cell::RefCell::new(state);
    let lead = launch(Launch {
        plan: make.plan,
        directory: container.directory(),
        listener,
        stdio: make.stdio,
        trace: make.trace,
        debug_log,
        spawned: &mut |pid| {
            let mut state = shared.borrow_mut();
            if let Some(warning) = state.cgroup.add(pid).filter(|_| make.resources.is_some()) {
                make.log.warn(&warning);
            }
            state.helpers.push(ProcessId::of(pid));
            // Somebody may have to clean up if this process is killed from here on; if it cannot be written, later on fails.
            let _ = container.save(&state);
        },
        born: &mut |lead| {
            let mut state = shared.borrow_mut();
            state.lead = Some(ProcessId::of(lead));
            container.save(&state)?;
            let mut seen = state.to_oci_as(Status::Creating);
            seen.pid = lead;
            make.hooks.created(&seen)
        },
    })?;
    let mut state = shared.borrow_mut();
    state.lead = Some(ProcessId::of(lead));
    state.phase = Status::Created;
    container.save(&state)
}

/// Takes away the containers whose names begin like this and that were tied to processes that are gone.
pub fn sweep(root: &Root, prefix: &str, log: &Log) {
    for container in root.left_behind(prefix) {
        let state = container.load().ok().or_else(|| container.load_old());
        if let Err(error) = destroy(container, state, log) {
            log.warn(&format!("{error:#}"));
        }
    }
}

/// Takes away everything that a container left: processes, control groups, state. Runs the hooks of its end.
///
/// # Errors
/// The host's.
pub fn destroy(container: Container, state: Option<State>, log: &Log) -> Result<()> {
    let Some(mut state) = state else { return container.remove() };
    // The sentry first: it would only report what happens to the lead.
    state.cgroup.thaw();
    for process in state.helpers.iter().chain(&state.lead) {
        let _ = process.signal(libc::SIGKILL);
    }
    for process in state.helpers.iter().chain(&state.lead) {
        process.wait(std::time::Duration::from_secs(5));
    }
    if let Some(warning) = state.cgroup.remove() {
        log.warn(&warning);
    }
    let seen = state.to_oci_as(Status::Stopped);
    container.remove()?;
    for warning in crate::bundle::hooks::run_all(&std::mem::take(&mut state.poststop), &seen) {
        log.warn(&warning);
    }
    Ok(())
}
