//! `process` of config.json, and what `exec` is told.

use std::path::Path;

use anyhow::{Context, Result, bail};
use moat_abi::capability::CapabilitySet;
use moat_sentry::control::config::{Capabilities, ProcessConfig, Stdio};
use oci_spec::runtime::{PosixRlimit, Process};

use super::passwd;

/// Translates a process whose fields stand below `field`. What cannot be honoured but changes nothing for the application
/// is added to `warnings`.
///
/// # Errors
/// Names the setting.
pub fn translate(process: &Process, field: &str, rootfs: &Path, warnings: &mut Vec<String>) -> Result<ProcessConfig> {
    let arguments = process.args().clone().unwrap_or_default();
    if arguments.first().is_none_or(String::is_empty) {
        bail!("{field}.args: must not be empty");
    }
    let texts = arguments.iter().chain(process.env().iter().flatten());
    if let Some(text) = texts.into_iter().find(|t| t.contains('\0')) {
        bail!("{field}: {text:?} has a NUL in it");
    }
    if process.command_line().as_ref().is_some_and(|c| !c.is_empty()) {
        bail!("{field}.commandLine: is for Windows");
    }
    for (name, set) in [
        ("ioPriority", process.io_priority().is_some()),
        ("scheduler", process.scheduler().is_some()),
        ("execCPUAffinity", process.exec_cpu_affinity().is_some()),
    ] {
        if set {
            bail!("{field}.{name}: not supported");
        }
    }
    for (name, value) in [("apparmorProfile", process.apparmor_profile()), ("selinuxLabel", process.selinux_label())] {
        if value.as_ref().is_some_and(|v| !v.is_empty() && v != "unconfined") {
            warnings.push(format!("{field}.{name}: does not apply, the container does not use the host's kernel"));
        }
    }
    let cwd = process.cwd().to_str().with_context(|| format!("{field}.cwd: not UTF-8"))?;
    if cwd.is_empty() {
        bail!("{field}.cwd: Cwd property must not be empty");
    }
    if !cwd.starts_with('/') {
        bail!("{field}.cwd: Cwd must be an absolute path");
    }
    let user = process.user();
    if user.username().as_ref().is_some_and(|name| !name.is_empty()) {
        bail!("{field}.user.username: is for Windows");
    }
    let mut environment = process.env().clone().unwrap_or_default();
    if !environment.iter().any(|v| v.starts_with("HOME=") && v.len() > 5) {
        environment.retain(|v| v != "HOME=");
        environment.push(format!("HOME={}", passwd::home(rootfs, user.uid())));
    }
    let stdio = if process.terminal() == Some(true) {
        let size = process.console_size();
        let number = |n: u64| u16::try_from(n).with_context(|| format!("{field}.consoleSize: {n} is too large"));
        let (columns, rows) = match &size {
            Some(size) => (number(size.width())?, number(size.height())?),
            None => (0, 0),
        };
        Stdio::Terminal { columns, rows }
    } else {
        Stdio::Files
    };
    Ok(ProcessConfig {
        arguments,
        environment,
        cwd: cwd.to_owned(),
        uid: user.uid(),
        gid: user.gid(),
        additional_gids: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
        capabilities: capabilities(process, field)?,
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        rlimits: rlimits(process.rlimits().as_deref().unwrap_or_default(), field)?,
        oom_score_adj: oom_score_adj(process.oom_score_adj(), field)?,
        stdio,
        extra_files: 0,
    })
}

fn oom_score_adj(value: Option<i32>, field: &str) -> Result<Option<i32>> {
    match value {
        Some(v) if !(-1000..=1000).contains(&v) => bail!("{field}.oomScoreAdj: {v} is not within -1000 and 1000"),
        other => Ok(other),
    }
}

fn capabilities(process: &Process, field: &str) -> Result<Capabilities> {
    let Some(sets) = process.capabilities() else { return Ok(Capabilities::default()) };
    let set = |name: &str, names: &Option<oci_spec::runtime::Capabilities>| -> Result<u64> {
        names.iter().flatten().try_fold(0, |bits, capability| {
            let text = capability.to_string();
            let one = capability_bit(&text).with_context(|| format!("{field}.capabilities.{name}: unknown {text}"))?;
            Ok(bits | one)
        })
    };
    Ok(Capabilities {
        bounding: set("bounding", sets.bounding())?,
        effective: set("effective", sets.effective())?,
        permitted: set("permitted", sets.permitted())?,
        inheritable: set("inheritable", sets.inheritable())?,
        ambient: set("ambient", sets.ambient())?,
    })
}

/// The bit of a capability's name, with or without `CAP_`.
pub fn capability_bit(name: &str) -> Option<u64> {
    CapabilitySet::from_kernel_name(&name.to_ascii_uppercase()).map(|c| c.bits())
}

fn rlimits(limits: &[PosixRlimit], field: &str) -> Result<Vec<(String, u64, u64)>> {
    let mut seen: Vec<(String, u64, u64)> = Vec::new();
    for (index, limit) in limits.iter().enumerate() {
        let name = limit.typ().to_string();
        if seen.iter().any(|(known, ..)| *known == name) {
            bail!("{field}.rlimits[{index}].type: {name} stands there twice");
        }
        if limit.soft() > limit.hard() {
            bail!("{field}.rlimits[{index}].soft: {} is above the hard limit {}", limit.soft(), limit.hard());
        }
        seen.push((name, limit.soft(), limit.hard()));
    }
    Ok(seen)
}
