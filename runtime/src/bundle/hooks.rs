//! Hooks: programs that the bundle wants run at the turns of a container's life, with its state on standard input.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use oci_spec::runtime::Hook;

use crate::state::{Hooks, OciState};

/// Hooks of a container's creation.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    /// `prestart`, the old name of `createRuntime`, run before it.
    pub prestart: Hooks,
    /// In the runtime's namespaces, when the container's are there.
    pub create_runtime: Hooks,
    /// In the container's namespaces. The program is found in the runtime's files.
    pub create_container: Hooks,
}

impl Phases {
    /// Runs them.
    ///
    /// # Errors
    /// The first that failed.
    pub fn created(&self, state: &OciState) -> Result<()> {
        for (name, hooks) in [("prestart", &self.prestart), ("createRuntime", &self.create_runtime)] {
            for hook in hooks {
                run(hook, state, None).with_context(|| format!("{name} hook {}", hook.path().display()))?;
            }
        }
        for hook in &self.create_container {
            let name = || format!("createContainer hook {}", hook.path().display());
            run(hook, state, Some(state.pid)).with_context(name)?;
        }
        Ok(())
    }
}

/// Runs hooks whose failure changes nothing any more; what went wrong.
pub fn run_all(hooks: &[Hook], state: &OciState) -> Vec<String> {
    hooks
        .iter()
        .filter_map(|hook| run(hook, state, None).err().map(|e| format!("hook {}: {e:#}", hook.path().display())))
        .collect()
}

/// Runs a hook, in the network, IPC and UTS namespaces of `inside` if there is one.
///
/// # Errors
/// It could not be run, failed, or took longer than it may.
pub fn run(hook: &Hook, state: &OciState, inside: Option<i32>) -> Result<()> {
    let arguments = hook.args().as_deref().unwrap_or_default();
    let mut command = Command::new(hook.path());
    if let Some((name, rest)) = arguments.split_first() {
        command.arg0(name).args(rest);
    }
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    for variable in hook.env().iter().flatten() {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    if state.bundle.is_dir() {
        command.current_dir(&state.bundle);
    }
    if let Some(pid) = inside {
        let mut namespaces = Vec::new();
        for (name, kind) in [("net", libc::CLONE_NEWNET), ("ipc", libc::CLONE_NEWIPC), ("uts", libc::CLONE_NEWUTS)] {
            namespaces
                .push((File::open(format!("/proc/{pid}/ns/{name}")).context("the container's namespaces")?, kind));
        }
        let join = move || {
            for (file, kind) in &namespaces {
                nix::sched::setns(file.as_fd(), nix::sched::CloneFlags::from_bits_truncate(*kind))?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes system calls only, on descriptors it owns.
        unsafe { command.pre_exec(join) };
    }
    let mut child = command.spawn().context("cannot be run")?;
    if let Some(mut input) = child.stdin.take() {
        // A hook need not read what it is told.
        let _ = input.write_all(&serde_json::to_vec(state)?);
    }
    let patience = hook.timeout().filter(|&t| t > 0).map(|t| Duration::from_secs(t as u64));
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("wait")? {
            if status.success() {
                return Ok(());
            }
            let mut said = String::new();
            if let Some(mut errors) = child.stderr.take() {
                let _ = std::io::Read::read_to_string(&mut errors, &mut said);
            }
            bail!("{status}: {}", said.trim());
        }
        if patience.is_some_and(|p| began.elapsed() > p) {
            let _ = child.kill();
            let _ = child.wait();
            bail!("took longer than {} s", patience.unwrap_or_default().as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
