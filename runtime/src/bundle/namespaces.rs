//! `linux.namespaces` and the user mappings.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, Spec};

use crate::sandbox::rootless::within;
use crate::sandbox::users::{Extent, format_map, own_maps};

/// Which namespaces a container has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `CLONE_NEW*` flags of the new ones, without the user namespace.
    pub new: i32,
    /// Those to join.
    pub join: Vec<(i32, PathBuf)>,
    /// The container's own maps of users and groups, if it has some.
    pub maps: Option<(String, String)>,
    /// A user namespace to join.
    pub user: Option<PathBuf>,
    /// Whether its hostname is its own.
    pub own_hostname: bool,
    /// Whether it has the runtime's network.
    pub host_network: bool,
    /// Whether the network namespace was made, and is set up, by somebody else.
    pub joined_network: bool,
}

const FIELD: &str = "linux.namespaces";

fn flag(kind: LinuxNamespaceType) -> i32 {
    match kind {
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Time => libc::CLONE_NEWTIME,
    }
}

/// Translates them.
///
/// # Errors
/// Names the setting.
pub fn translate(spec: &Spec) -> Result<Namespaces> {
    let linux = spec.linux().as_ref();
    let mut namespaces = Namespaces { host_network: true, ..Namespaces::default() };
    let mut seen = 0;
    for (index, namespace) in linux.and_then(|l| l.namespaces().as_ref()).into_iter().flatten().enumerate() {
        let kind = namespace.typ();
        if seen & flag(kind) != 0 {
            bail!("{FIELD}[{index}]: malformed spec file: duplicated ns {kind:?}");
        }
        seen |= flag(kind);
        let path = namespace.path().clone().filter(|p| !p.as_os_str().is_empty());
        if let Some(path) = &path
            && !path.exists()
        {
            bail!("{FIELD}[{index}].path: {}: no such file or directory", path.display());
        }
        match (kind, path) {
            // The sentry keeps the guest's own clocks.
            (LinuxNamespaceType::Time, None) => {}
            (LinuxNamespaceType::User, path) => namespaces.user = path,
            (kind, None) => namespaces.new |= flag(kind),
            (LinuxNamespaceType::Network, Some(path)) => namespaces.join.push((flag(kind), path)),
            // What these hold is in the sentry of the container that they belong to, if in any, and not in the host's.
            (kind, Some(path)) => bail!(
                "{FIELD}[{index}].path: {}: joining a namespace of type {} is not supported yet",
                path.display(),
                format!("{kind:?}").to_lowercase()
            ),
        }
        namespaces.own_hostname |= kind == LinuxNamespaceType::Uts;
        namespaces.host_network &= kind != LinuxNamespaceType::Network;
    }
    namespaces.joined_network = namespaces.join.iter().any(|(kind, _)| *kind == libc::CLONE_NEWNET);
    for (kind, name) in [(libc::CLONE_NEWPID, "pid"), (libc::CLONE_NEWNS, "mount")] {
        if seen & kind == 0 {
            bail!("{FIELD}: a container without a {name} namespace of its own is not supported");
        }
    }
    namespaces.maps = maps(linux, seen & libc::CLONE_NEWUSER != 0, namespaces.user.is_some())?;
    Ok(namespaces)
}

fn maps(linux: Option<&Linux>, has_user: bool, joins: bool) -> Result<Option<(String, String)>> {
    let empty: &[LinuxIdMapping] = &[];
    let uids = linux.and_then(|l| l.uid_mappings().as_deref()).unwrap_or(empty);
    let gids = linux.and_then(|l| l.gid_mappings().as_deref()).unwrap_or(empty);
    if !has_user {
        if !uids.is_empty() || !gids.is_empty() {
            bail!(
                "linux.uidMappings: user namespace mappings specified, but USER namespace isn't enabled in the config"
            );
        }
        return Ok(None);
    }
    if joins {
        return Ok(None);
    }
    if uids.is_empty() || gids.is_empty() {
        bail!("linux.uidMappings: user namespaces enabled, but no user mappings found");
    }
    let lines = |mappings: &[LinuxIdMapping], field: &str, map: &str| -> Result<String> {
        let mut extents = Vec::new();
        for (index, m) in mappings.iter().enumerate() {
            let extent = Extent { inside: m.container_id(), outside: m.host_id(), count: m.size() };
            let fits = |first: u32| first.checked_add(extent.count).is_some();
            if extent.count == 0 || !fits(extent.inside) || !fits(extent.outside) {
                bail!("{field}[{index}].size: {} is not possible", extent.count);
            }
            extents.push(extent);
        }
        Ok(format_map(&within(&extents, map).with_context(|| field.to_owned())?))
    };
    Ok(Some((lines(uids, "linux.uidMappings", "uid_map")?, lines(gids, "linux.gidMappings", "gid_map")?)))
}

impl Namespaces {
    /// The maps of the lead's user namespace, which it always has: those of the container, or the runtime's own users.
    pub fn lead_maps(&self) -> Option<(String, String)> {
        self.maps.clone().or_else(own_maps)
    }
}
