//! Devices, sysctls, paths, clocks and seccomp of `linux` in config.json.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::DeviceConfig;
use oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxPersonalityDomain, LinuxSeccomp, LinuxSeccompAction,
};

use super::namespaces::Namespaces;

/// Refuses what the sandbox cannot honour.
///
/// # Errors
/// Names the setting.
pub fn check(linux: &Linux) -> Result<()> {
    for (name, set) in [
        ("intelRdt", linux.intel_rdt().is_some()),
        ("memoryPolicy", linux.memory_policy().is_some()),
        ("netDevices", linux.net_devices().as_ref().is_some_and(|d| !d.is_empty())),
    ] {
        if set {
            bail!("linux.{name}: not supported");
        }
    }
    if let Some(personality) = linux.personality() {
        if personality.domain() != LinuxPersonalityDomain::PerLinux {
            bail!("linux.personality.domain: only LINUX is supported");
        }
        if personality.flags().as_ref().is_some_and(|f| !f.is_empty()) {
            bail!("linux.personality.flags: not supported");
        }
    }
    match linux.rootfs_propagation().as_deref().unwrap_or_default() {
        "" | "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable" => {}
        "shared" | "rshared" => {
            bail!("linux.rootfsPropagation: mounts of the container cannot be made visible on the host")
        }
        other => bail!("linux.rootfsPropagation: unknown value {other:?}"),
    }
    for (field, paths) in [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())] {
        for (index, path) in paths.iter().flatten().enumerate() {
            if !path.starts_with('/') {
                bail!("linux.{field}[{index}]: {path:?} is not an absolute path");
            }
        }
    }
    Ok(())
}

/// The device nodes.
///
/// # Errors
/// Names the setting.
pub fn devices(linux: &Linux) -> Result<Vec<DeviceConfig>> {
    linux
        .devices()
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, d)| device(d, &format!("linux.devices[{index}]")))
        .collect()
}

fn device(device: &LinuxDevice, field: &str) -> Result<DeviceConfig> {
    let path = device.path().to_str().with_context(|| format!("{field}.path: not UTF-8"))?;
    if !path.starts_with('/') {
        bail!("{field}.path: {path:?} is not an absolute path");
    }
    let kind = match device.typ() {
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => bail!("{field}.type: {:?} is not the type of a node", device.typ().as_str()),
    };
    let number =
        |name: &str, n: i64| u32::try_from(n).with_context(|| format!("{field}.{name}: {n} is not a device number"));
    Ok(DeviceConfig {
        path: path.to_owned(),
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        major: number("major", device.major())?,
        minor: number("minor", device.minor())?,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

/// The values of /proc/sys that a container may have for itself.
///
/// # Errors
/// Names the setting.
pub fn sysctls(linux: &Linux, namespaces: &Namespaces) -> Result<BTreeMap<String, String>> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let mut values = BTreeMap::new();
    for (name, value) in linux.sysctl().iter().flatten() {
        let dotted = name.replace('/', ".");
        let own = if dotted.starts_with("net.") {
            !namespaces.host_network
        } else {
            IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") || dotted == "kernel.domainname"
        };
        if !own {
            bail!("linux.sysctl: sysctl {name:?} is not in a separate kernel namespace");
        }
        values.insert(dotted, value.clone());
    }
    Ok(values)
}

/// Offsets of the boot-time and the monotonic clock, in nanoseconds.
///
/// # Errors
/// Names the setting.
pub fn time_offsets(linux: &Linux) -> Result<(i64, i64)> {
    let mut offsets = (0, 0);
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        let seconds = offset.secs().unwrap_or(0).checked_mul(1_000_000_000);
        let total = seconds.and_then(|s| s.checked_add(i64::from(offset.nanosecs().unwrap_or(0))));
        let total = total.with_context(|| format!("linux.timeOffsets.{clock}: out of range"))?;
        match clock.as_str() {
            "boottime" => offsets.0 = total,
            "monotonic" => offsets.1 = total,
            other => bail!("linux.timeOffsets.{other}: not a clock that has an offset"),
        }
    }
    Ok(offsets)
}

/// The seccomp profile's JSON, for the sentry.
///
/// # Errors
/// Names the setting.
pub fn seccomp(linux: &Linux) -> Result<Option<String>> {
    let Some(seccomp) = linux.seccomp() else { return Ok(None) };
    let field = "linux.seccomp";
    if seccomp.listener_path().as_ref().is_some_and(|p| !p.as_os_str().is_empty()) {
        bail!("{field}.listenerPath: not supported");
    }
    check_action(seccomp.default_action(), &format!("{field}.defaultAction"))?;
    for (index, rule) in seccomp.syscalls().iter().flatten().enumerate() {
        check_action(rule.action(), &format!("{field}.syscalls[{index}].action"))?;
        for (at, argument) in rule.args().iter().flatten().enumerate() {
            if argument.index() > 5 {
                bail!("{field}.syscalls[{index}].args[{at}].index: {} is not within 0 and 5", argument.index());
            }
        }
    }
    Ok(Some(text(seccomp)?))
}

fn text(seccomp: &LinuxSeccomp) -> Result<String> {
    serde_json::to_string(seccomp).context("linux.seccomp")
}

fn check_action(action: LinuxSeccompAction, field: &str) -> Result<()> {
    match action {
        LinuxSeccompAction::ScmpActNotify | LinuxSeccompAction::ScmpActTrace => {
            bail!("{field}: {action} is not supported")
        }
        _ => Ok(()),
    }
}
