//! `mounts`, `mountinfo` and `mountstats`.

use std::sync::Arc;

use moat_abi::mount::MountFlags;
use moat_abi::stat::{major, minor};

use super::subject::Subject;
use crate::Result;
use crate::fs::{Mount, Path};

/// A field with blanks escaped, as `mangle_path` does.
fn mangled(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' | b'#' => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out
}

/// The options of a mount, without `ro` and `rw`.
fn mount_options(flags: MountFlags) -> String {
    let mut out = String::new();
    for (flag, name) in [
        (MountFlags::NOSUID, ",nosuid"),
        (MountFlags::NODEV, ",nodev"),
        (MountFlags::NOEXEC, ",noexec"),
        (MountFlags::NOATIME, ",noatime"),
        (MountFlags::NODIRATIME, ",nodiratime"),
        (MountFlags::NOSYMFOLLOW, ",nosymfollow"),
    ] {
        if flags.contains(flag) {
            out.push_str(name);
        }
    }
    if !flags.intersects(MountFlags::NOATIME | MountFlags::STRICTATIME) {
        out.push_str(",relatime");
    }
    out
}

fn read_only(flags: MountFlags) -> &'static str {
    if flags.contains(MountFlags::RDONLY) { "ro" } else { "rw" }
}

/// Where a mount is seen from `root`; `None` if it lies outside.
fn place(mount: &Arc<Mount>, root: &Path) -> Option<Vec<u8>> {
    let top = Path { mount: mount.clone(), dentry: mount.root.clone() };
    top.display_from(root)
}

/// The mounts that the subject can reach, with where it sees them.
fn visible(subject: &Subject) -> Result<Vec<(Arc<Mount>, Vec<u8>)>> {
    let root = match subject.task()? {
        Some(task) => task.fs().root(),
        None => subject.kernel()?.mounts().root(),
    };
    let mounts = subject.kernel()?.mounts().mounts();
    Ok(mounts.into_iter().filter_map(|m| place(&m, &root).map(|at| (m, at))).collect())
}

/// `mounts`: as fstab(5).
pub fn mounts(subject: &Subject) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (mount, at) in visible(subject)? {
        let flags = mount.flags();
        out.extend(mangled(mount.filesystem.source().as_bytes()));
        out.push(b' ');
        out.extend(mangled(&at));
        let rest = format!(
            " {} {}{}{} 0 0\n",
            mount.filesystem.kind(),
            read_only(flags),
            mount_options(flags),
            mount.filesystem.show_options()
        );
        out.extend_from_slice(rest.as_bytes());
    }
    Ok(out)
}

/// See proc_pid_mountinfo(5).
pub fn mountinfo(subject: &Subject) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (mount, at) in visible(subject)? {
        let flags = mount.flags();
        let parent = mount.place().map_or(1, |p| p.mount.id);
        let device = mount.filesystem.device();
        out.extend_from_slice(format!("{} {parent} {}:{} ", mount.id, major(device), minor(device)).as_bytes());
        out.extend(mangled(&root_within(&mount)));
        out.push(b' ');
        out.extend(mangled(&at));
        let options = format!(" {}{} - {} ", read_only(flags), mount_options(flags), mount.filesystem.kind());
        out.extend_from_slice(options.as_bytes());
        out.extend(mangled(mount.filesystem.source().as_bytes()));
        out.extend_from_slice(format!(" rw{}\n", mount.filesystem.show_options()).as_bytes());
    }
    Ok(out)
}

/// The path of a mount's root in its filesystem: not `/` for a bind of a part.
fn root_within(mount: &Arc<Mount>) -> Vec<u8> {
    let mut names = Vec::new();
    let mut at = mount.root.clone();
    while let Some(parent) = at.parent() {
        names.push(at.name());
        at = parent;
    }
    let mut out = Vec::new();
    for name in names.iter().rev() {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() { b"/".to_vec() } else { out }
}

/// `mountstats`.
pub fn mountstats(subject: &Subject) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (mount, at) in visible(subject)? {
        out.extend_from_slice(b"device ");
        out.extend(mangled(mount.filesystem.source().as_bytes()));
        out.extend_from_slice(b" mounted on ");
        out.extend(mangled(&at));
        out.extend_from_slice(format!(" with fstype {}\n", mount.filesystem.kind()).as_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_and_options_are_in_linux_order() {
        assert_eq!(mangled(b"a b\\"), b"a\\040b\\134");
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
        assert_eq!(format!("{}{}", read_only(flags), mount_options(flags)), "ro,nosuid,nodev,noexec,relatime");
        assert_eq!(mount_options(MountFlags::STRICTATIME), "");
        assert_eq!(mount_options(MountFlags::NOATIME), ",noatime");
    }
}
