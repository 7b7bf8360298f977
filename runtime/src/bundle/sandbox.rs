//! From a bundle to the plan of a sandbox.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::{ContainerConfig, Network, StraceConfig};

use super::hooks::Phases;
use super::namespaces::Namespaces;
use super::{Bundle, check, linux, mounts, namespaces, process};
use crate::sandbox::boot::LeadPlan;
use crate::sandbox::confine::Unlisted;
use crate::sandbox::launch::Plan;
use crate::sandbox::users;
use crate::state::{Hooks, State};

/// What the command line adds to a bundle.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--platform`.
    pub platform: String,
    /// `--platform-option`.
    pub platform_options: String,
    /// `--unlisted`.
    pub unlisted: Unlisted,
    /// `--network`, if it was given.
    pub network: Option<Network>,
    /// `--overlay`.
    pub overlay: bool,
    /// Whether system calls are traced.
    pub trace: bool,
    /// How many descriptors `--preserve-fds` adds.
    pub extra_files: u32,
}

/// A bundle's plan.
#[derive(Debug)]
pub struct Translation {
    /// For the launch.
    pub plan: Plan,
    /// To remember.
    pub state: State,
    /// For the creation.
    pub hooks: Phases,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<PathBuf>,
    /// What is not honoured, but changes nothing for the application.
    pub warnings: Vec<String>,
}

/// Checks all of a bundle and translates it.
///
/// # Errors
/// Names the setting.
pub fn translate(bundle: &Bundle, id: &str, options: &Options) -> Result<Translation> {
    let spec = &bundle.spec;
    check::check(spec)?;
    let rootfs = bundle.rootfs()?;
    let mut warnings = Vec::new();
    let namespaces = namespaces::translate(spec)?;
    let empty = oci_spec::runtime::Linux::default();
    let linux_settings = spec.linux().as_ref().unwrap_or(&empty);
    linux::check(linux_settings)?;
    if linux_settings.mount_label().as_ref().is_some_and(|l| !l.is_empty()) {
        warnings.push("linux.mountLabel: does not apply, the container does not use the host's kernel".into());
    }
    let described = spec.process().as_ref().context("process: must be given")?;
    let mut process = process::translate(described, "process", &rootfs, &mut warnings)?;
    process.extra_files = options.extra_files;
    let mounts = mounts::translate(bundle, &rootfs, options.overlay)?;
    let annotations: BTreeMap<String, String> = spec.annotations().clone().unwrap_or_default().into_iter().collect();
    let (boottime_offset, monotonic_offset) = linux::time_offsets(linux_settings)?;
    let resources = linux_settings.resources().as_ref();
    let lead = LeadPlan {
        namespaces: namespaces.new,
        maps: namespaces.lead_maps(),
        sentry_user: users::spare_user(),
        rootfs: rootfs.to_str().context("root.path: not UTF-8")?.to_owned(),
        binds: mounts.binds,
        procfs: mounts.procfs,
        user: (process.uid, process.gid),
    };
    let config = ContainerConfig {
        id: id.to_owned(),
        hostname: hostname(bundle, &namespaces)?,
        domainname: spec.domainname().clone().unwrap_or_else(|| "(none)".into()),
        mounts: mounts.mounts,
        devices: linux::devices(linux_settings)?,
        masked_paths: linux_settings.masked_paths().clone().unwrap_or_default(),
        readonly_paths: linux_settings.readonly_paths().clone().unwrap_or_default(),
        sysctl: linux::sysctls(linux_settings, &namespaces)?,
        boottime_offset,
        monotonic_offset,
        pids_limit: resources
            .and_then(|r| r.pids().as_ref())
            .and_then(|p| u64::try_from(p.limit()).ok())
            .filter(|&l| l > 0),
        memory_limit: resources
            .and_then(|r| r.memory().as_ref())
            .and_then(|m| m.limit())
            .and_then(|l| u64::try_from(l).ok()),
        cpus: cpus(resources),
        process,
        ordinary_init: false,
        network: network(options.network, &namespaces, &mut warnings),
        seccomp: linux::seccomp(linux_settings)?,
        annotations: annotations.clone(),
        strace: options.trace.then_some(StraceConfig { string_limit: 32 }),
    };
    let mut state = State::new(id, bundle.directory.clone(), rootfs, annotations);
    let hooks = take_hooks(bundle, &mut state);
    let joins_user = namespaces.user.is_some();
    Ok(Translation {
        plan: Plan {
            config,
            lead,
            roots: mounts.roots,
            join: namespaces.join,
            user_namespace: namespaces.user,
            platform: options.platform.clone(),
            platform_options: options.platform_options.clone(),
            unlisted: options.unlisted,
            mapped: namespaces.maps.is_some() || joins_user,
        },
        state,
        hooks,
        cgroups_path: linux_settings.cgroups_path().clone().filter(|p| !p.as_os_str().is_empty()),
        warnings,
    })
}

/// Its own, or in the host's UTS namespace the host's.
fn hostname(bundle: &Bundle, namespaces: &Namespaces) -> Result<String> {
    let given = bundle.spec.hostname().clone().filter(|h| !h.is_empty());
    if given.is_some() && !namespaces.own_hostname {
        bail!("hostname: unable to set hostname without a private UTS namespace");
    }
    match given {
        Some(name) if name.len() > 64 => bail!("hostname: longer than 64 bytes"),
        Some(name) => Ok(name),
        None => Ok(nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_else(|| "moat".into())),
    }
}

/// The network's own sockets are the container's only where that is asked for.
fn network(asked: Option<Network>, namespaces: &Namespaces, warnings: &mut Vec<String>) -> Network {
    if asked.is_none() && (namespaces.host_network || namespaces.joined_network) {
        warnings.push("linux.namespaces: the container reaches its own loopback only, without --network=host".into());
    }
    asked.unwrap_or(Network::None)
}

/// How many processors the guest sees: no more than its quota pays for.
fn cpus(resources: Option<&oci_spec::runtime::LinuxResources>) -> u32 {
    let host = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let cpu = resources.and_then(|r| r.cpu().as_ref());
    let quota = cpu.and_then(|c| c.quota()).filter(|&q| q > 0);
    let period = cpu.and_then(|c| c.period()).filter(|&p| p > 0).unwrap_or(100_000);
    match quota {
        Some(quota) => (quota as u64).div_ceil(period).clamp(1, u64::from(host)) as u32,
        None => host,
    }
}

#[allow(deprecated, reason = "engines still use prestart")]
fn take_hooks(bundle: &Bundle, state: &mut State) -> Phases {
    let Some(hooks) = bundle.spec.hooks() else { return Phases::default() };
    let of = |hooks: &Option<Hooks>| hooks.clone().unwrap_or_default();
    state.start_container = of(hooks.start_container());
    state.poststart = of(hooks.poststart());
    state.poststop = of(hooks.poststop());
    Phases {
        prestart: of(hooks.prestart()),
        create_runtime: of(hooks.create_runtime()),
        create_container: of(hooks.create_container()),
    }
}
