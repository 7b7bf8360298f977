//! `mounts` of config.json.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use moat_abi::mount::MountFlags;
use moat_sentry::control::config::{MountConfig, MountSource};
use oci_spec::runtime::Mount;

use super::Bundle;
use crate::sandbox::boot::GoferRoot;
use crate::sandbox::launch::RootPlan;

/// A mount's options, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    flags: MountFlags,
    bind: bool,
    recursive: bool,
    /// What the filesystem itself is told.
    data: Vec<String>,
}

/// The options that set flags (mount(8)); those with `r` in front apply to the mounts below, too, which are one with it here.
const SETTING: [(&str, MountFlags); 13] = [
    ("ro", MountFlags::RDONLY),
    ("nosuid", MountFlags::NOSUID),
    ("nodev", MountFlags::NODEV),
    ("noexec", MountFlags::NOEXEC),
    ("sync", MountFlags::SYNCHRONOUS),
    ("dirsync", MountFlags::DIRSYNC),
    ("mand", MountFlags::MANDLOCK),
    ("noatime", MountFlags::NOATIME),
    ("nodiratime", MountFlags::NODIRATIME),
    ("relatime", MountFlags::RELATIME),
    ("strictatime", MountFlags::STRICTATIME),
    ("lazytime", MountFlags::LAZYTIME),
    ("nosymfollow", MountFlags::NOSYMFOLLOW),
];

/// The options that clear them.
const CLEARING: [(&str, MountFlags); 14] = [
    ("rw", MountFlags::RDONLY),
    ("suid", MountFlags::NOSUID),
    ("dev", MountFlags::NODEV),
    ("exec", MountFlags::NOEXEC),
    ("async", MountFlags::SYNCHRONOUS),
    ("nomand", MountFlags::MANDLOCK),
    ("atime", MountFlags::NOATIME),
    ("diratime", MountFlags::NODIRATIME),
    ("norelatime", MountFlags::RELATIME),
    ("nostrictatime", MountFlags::STRICTATIME),
    ("nolazytime", MountFlags::LAZYTIME),
    ("symfollow", MountFlags::NOSYMFOLLOW),
    ("loud", MountFlags::SILENT),
    ("defaults", MountFlags::empty()),
];

/// Options that the sentry's own filesystems know, by type.
fn known_data(fstype: &str, name: &str) -> bool {
    match fstype {
        "tmpfs" => {
            matches!(
                name,
                "size"
                    | "mode"
                    | "uid"
                    | "gid"
                    | "nr_inodes"
                    | "nr_blocks"
                    | "tmpcopyup"
                    | "huge"
                    | "noswap"
                    | "mpol"
                    | "inode64"
                    | "inode32"
            )
        }
        "devpts" => matches!(name, "newinstance" | "ptmxmode" | "mode" | "uid" | "gid" | "max"),
        "proc" => matches!(name, "hidepid" | "gid" | "subset"),
        "cgroup2" => matches!(name, "nsdelegate" | "memory_recursiveprot" | "memory_localevents"),
        _ => false,
    }
}

fn parse_options(options: &[String], field: &str) -> Result<Options> {
    let mut parsed = Options::default();
    for option in options {
        let find = |table: &[(&str, MountFlags)], name: &str| table.iter().find(|(n, _)| *n == name).map(|(_, f)| *f);
        let plain =
            option.strip_prefix('r').filter(|rest| find(&SETTING, rest).is_some() || find(&CLEARING, rest).is_some());
        let name = plain.unwrap_or(option);
        if let Some(flag) = find(&SETTING, name) {
            parsed.flags |= flag;
        } else if let Some(flag) = find(&CLEARING, name) {
            parsed.flags &= !flag;
        } else {
            match option.as_str() {
                "bind" => parsed.bind = true,
                "rbind" => (parsed.bind, parsed.recursive) = (true, true),
                "silent" => parsed.flags |= MountFlags::SILENT,
                // Nothing that the container mounts reaches the host, nor the other way round.
                "private" | "rprivate" | "slave" | "rslave" | "unbindable" | "runbindable" => {}
                "shared" | "rshared" => {
                    bail!("{field}.options: {option}: mounts of the container cannot be made visible on the host")
                }
                "idmap" | "ridmap" => bail!("{field}.options: {option}: idmapped mounts are not supported"),
                "remount" => bail!("{field}.options: {option}: not supported"),
                "" => {}
                other => parsed.data.push(other.to_owned()),
            }
        }
    }
    Ok(parsed)
}

/// The mounts of a container, and what the gofer serves for them.
#[derive(Debug)]
pub struct Mounts {
    /// For the sentry.
    pub mounts: Vec<MountConfig>,
    /// For the gofer.
    pub roots: Vec<RootPlan>,
    /// For the lead's mount namespace: source and destination of binds.
    pub binds: Vec<(String, String)>,
    /// Whether there is a procfs at /proc.
    pub procfs: bool,
}

/// Translates the root and the mounts.
///
/// # Errors
/// Names the setting.
pub fn translate(bundle: &Bundle, rootfs: &Path, overlay: bool) -> Result<Mounts> {
    let readonly = bundle.spec.root().as_ref().and_then(|r| r.readonly()).unwrap_or(false);
    let root =
        GoferRoot { read_only: readonly || overlay, owned: true, allow_devices: false, allow_unix_connect: true };
    let flags = if readonly { MountFlags::RDONLY.bits() } else { 0 };
    let mut made = Mounts {
        mounts: vec![MountConfig {
            destination: "/".into(),
            source: MountSource::Gofer { attach: 0, owned: true, overlay, name: "rootfs".into() },
            flags,
        }],
        roots: vec![RootPlan { path: rootfs.to_owned(), recursive: true, root }],
        binds: Vec::new(),
        procfs: false,
    };
    for (index, mount) in bundle.spec.mounts().iter().flatten().enumerate() {
        made.add(bundle, mount, &format!("mounts[{index}]"))?;
    }
    Ok(made)
}

impl Mounts {
    fn add(&mut self, bundle: &Bundle, mount: &Mount, field: &str) -> Result<()> {
        let destination = mount.destination().to_str().with_context(|| format!("{field}.destination: not UTF-8"))?;
        if destination.is_empty() {
            bail!("{field}.destination: must not be empty");
        }
        for (name, mappings) in [("uidMappings", mount.uid_mappings()), ("gidMappings", mount.gid_mappings())] {
            if mappings.as_ref().is_some_and(|m| !m.is_empty()) {
                bail!("{field}.{name}: idmapped mounts are not supported");
            }
        }
        // Old engines leave the slash out.
        let destination = format!("/{}", destination.trim_start_matches('/'));
        let options = parse_options(mount.options().as_deref().unwrap_or_default(), field)?;
        let fstype = mount.typ().as_deref().unwrap_or_default();
        if options.bind || fstype == "bind" {
            return self.add_bind(bundle, mount, destination, &options, field);
        }
        let fstype = match fstype {
            // A tmpfs there is filled with the usual nodes.
            "tmpfs" if destination.trim_end_matches('/') == "/dev" => "devtmpfs",
            "tmpfs" | "proc" | "sysfs" | "devpts" | "mqueue" | "cgroup" | "cgroup2" => fstype,
            "" => bail!("{field}.type: must be given unless options have bind or rbind"),
            other => bail!("{field}.type: filesystem {other:?} is not supported"),
        };
        let options_of = if fstype == "devtmpfs" { "tmpfs" } else { fstype };
        for option in &options.data {
            let name = option.split_once('=').map_or(option.as_str(), |(name, _)| name);
            if !known_data(options_of, name) {
                bail!("{field}.options: {option}: unknown option of {options_of}");
            }
        }
        self.procfs |= fstype == "proc" && destination.trim_end_matches('/') == "/proc";
        let source = MountSource::Own { fstype: fstype.to_owned(), options: options.data.join(",") };
        self.mounts.push(MountConfig { destination, source, flags: options.flags.bits() });
        Ok(())
    }

    fn add_bind(
        &mut self,
        bundle: &Bundle,
        mount: &Mount,
        destination: String,
        options: &Options,
        field: &str,
    ) -> Result<()> {
        if let Some(option) = options.data.first() {
            bail!("{field}.options: {option}: unknown option of a bind mount");
        }
        let Some(source) = mount.source() else { bail!("{field}.source: must be given for a bind mount") };
        let path: PathBuf = bundle.path(source);
        let found = std::fs::canonicalize(&path).with_context(|| format!("{field}.source: {}", path.display()))?;
        let name = found.to_str().with_context(|| format!("{field}.source: not UTF-8"))?.to_owned();
        let kind = std::fs::metadata(&found).with_context(|| format!("{field}.source: {name}"))?.file_type();
        let is_device = kind.is_char_device() || kind.is_block_device();
        let attach = self.roots.len() as u32;
        let read_only = options.flags.contains(MountFlags::RDONLY);
        self.roots.push(RootPlan {
            path: found,
            recursive: options.recursive,
            root: GoferRoot {
                read_only,
                owned: false,
                // A device that the engine binds in (`--device` of a rootless engine) is meant to be used; in a directory
                // of the host's nobody makes any.
                allow_devices: is_device && !options.flags.contains(MountFlags::NODEV),
                allow_unix_connect: true,
            },
        });
        self.binds.push((name.clone(), destination.clone()));
        let source = MountSource::Gofer { attach, owned: false, overlay: false, name };
        self.mounts.push(MountConfig { destination, source, flags: options.flags.bits() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Options> {
        parse_options(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>(), "mounts[0]")
    }

    #[test]
    fn options_become_flags_in_their_order() {
        let options = parse(&["nosuid", "ro", "rw", "size=64k", "rprivate", "rnodev"]).unwrap();
        assert_eq!(options.flags, MountFlags::NOSUID | MountFlags::NODEV);
        assert_eq!(options.data, ["size=64k"]);
        let options = parse(&["rbind", "rro", "relatime"]).unwrap();
        assert!(options.bind && options.recursive);
        assert_eq!(options.flags, MountFlags::RDONLY | MountFlags::RELATIME);
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        assert!(parse(&["idmap"]).unwrap_err().to_string().contains("idmap"));
        assert!(parse(&["rshared"]).unwrap_err().to_string().contains("rshared"));
    }
}
