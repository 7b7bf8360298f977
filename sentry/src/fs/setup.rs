//! Puts a container's tree together from its configuration, before there is a kernel or a task.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::mount::MountFlags;
use moat_abi::stat::{FileType, makedev};

use super::devpts::DevPts;
use super::inode::{FileSystem, NewNode, NodeKind};
use super::kernfs::KernelSlot;
use super::tmpfs::{TmpFs, TmpfsOptions};
use super::{Dentry, Mount, MountNamespace, Path, cgroup, dev, overlay, proc, sys};
use crate::Result;
use crate::control::config::{ContainerConfig, DeviceConfig, MountConfig, MountSource, Stdio};

/// How many symbolic links the way to a mount point may go through.
const LINKS_MAX: u32 = 40;

/// Gives the filesystem of one of the gofer's roots: which, whether the container alone changes it, and its name in
/// `/proc/mounts`.
pub type Attach<'a> = dyn FnMut(u32, bool, &str) -> Result<Arc<dyn FileSystem>> + 'a;

/// A tree that is ready for a kernel.
pub struct Tree {
    /// The mounts.
    pub mounts: Arc<MountNamespace>,
    /// To be filled with the kernel before the first task runs: what /proc shows.
    pub kernel: KernelSlot,
    /// The terminals, if they are mounted: where the console comes from.
    pub devpts: Option<Arc<DevPts>>,
}

/// Why a tree could not be made: which mount, path or device, and the errno.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {}", errno.description())]
pub struct SetupError {
    /// What was being done to what.
    pub what: String,
    /// Why it failed.
    pub errno: Errno,
}

trait Context<T> {
    fn during(self, what: impl FnOnce() -> String) -> std::result::Result<T, SetupError>;
}

impl<T> Context<T> for Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> std::result::Result<T, SetupError> {
        self.map_err(|errno| SetupError { what: what(), errno })
    }
}

/// Builds the tree: mounts in order, devices, read-only and masked paths. `memory` is what the guest has, in bytes.
pub fn build(config: &ContainerConfig, memory: u64, gofer: &mut Attach<'_>) -> std::result::Result<Tree, SetupError> {
    let kernel = KernelSlot::default();
    for (name, value) in &config.sysctl {
        kernel.set_sysctl(name, value).during(|| format!("linux.sysctl {name}"))?;
    }
    let console = matches!(config.process.stdio, Stdio::Terminal { .. });
    let mut build = Build { kernel: &kernel, memory, console, cpus: config.cpus.max(1), devpts: None, gofer };
    let (first, rest) =
        config.mounts.split_first().ok_or(Errno::EINVAL).during(|| "the configuration has no root mount".to_owned())?;
    let root = build.filesystem(first).during(|| "mount /".to_owned())?;
    let root = mount_of(root, first.flags);
    let namespace = MountNamespace::new(root);
    for mount in rest {
        let what = || format!("mount {}", mount.destination);
        let filesystem = build.filesystem(mount).during(what)?;
        let kind = match filesystem.root().file_type() {
            FileType::Directory => NodeKind::Directory,
            _ => NodeKind::Regular,
        };
        let place = place(&namespace, mount.destination.as_bytes(), Some(kind)).during(what)?;
        namespace.attach(&mount_of(filesystem, mount.flags), place);
    }
    for device in &config.devices {
        make_device(&namespace, device).during(|| format!("device {}", device.path))?;
    }
    for path in &config.readonly_paths {
        make_readonly(&namespace, path).during(|| format!("read-only path {path}"))?;
    }
    for path in &config.masked_paths {
        mask(&namespace, path, memory).during(|| format!("masked path {path}"))?;
    }
    let devpts = build.devpts.take();
    Ok(Tree { mounts: namespace, kernel, devpts })
}

fn mount_of(filesystem: Arc<dyn FileSystem>, flags: u64) -> Arc<Mount> {
    let root = Dentry::root(filesystem.root(), b"/");
    Mount::new(filesystem, root, MountFlags::from_bits_retain(flags))
}

struct Build<'a, 'b> {
    kernel: &'a KernelSlot,
    memory: u64,
    console: bool,
    cpus: u32,
    devpts: Option<Arc<DevPts>>,
    gofer: &'a mut Attach<'b>,
}

impl Build<'_, '_> {
    fn filesystem(&mut self, mount: &MountConfig) -> Result<Arc<dyn FileSystem>> {
        match &mount.source {
            MountSource::Gofer { attach, owned, overlay, name } => {
                let below = (self.gofer)(*attach, *owned, name)?;
                if !overlay {
                    return Ok(below);
                }
                let above = TmpFs::new("tmpfs", "overlay", &TmpfsOptions::default(), self.memory)?;
                Ok(overlay::OverlayFs::new(below, above))
            }
            MountSource::Own { fstype, options } => match fstype.as_str() {
                "devpts" => {
                    let made = DevPts::new(options)?;
                    self.devpts.get_or_insert_with(|| made.clone());
                    Ok(made)
                }
                "devtmpfs" => {
                    let options = TmpfsOptions::parse(options, self.memory)?;
                    Ok(dev::tree::new(&options, self.memory, self.console)?)
                }
                other => own_filesystem(other, other, options, self.kernel, self.memory, self.cpus),
            },
        }
    }
}

/// A filesystem of the sentry's own, by the name of its type. `ENODEV` for others.
pub fn own_filesystem(
    fstype: &str,
    source: &str,
    options: &str,
    kernel: &KernelSlot,
    memory: u64,
    cpus: u32,
) -> Result<Arc<dyn FileSystem>> {
    match fstype {
        "tmpfs" => Ok(TmpFs::new("tmpfs", source, &TmpfsOptions::parse(options, memory)?, memory)?),
        "ramfs" => Ok(TmpFs::new("ramfs", source, &TmpfsOptions::unlimited(), memory)?),
        "mqueue" => Ok(TmpFs::new("mqueue", source, &TmpfsOptions::default(), memory)?),
        "proc" => Ok(proc::new(kernel)),
        "sysfs" => Ok(sys::new(kernel, cpus)),
        "devpts" => Ok(DevPts::new(options)?),
        "cgroup2" => Ok(cgroup::new(kernel)),
        "cgroup" => Ok(cgroup::new_v1(kernel)),
        _ => Err(Errno::ENODEV),
    }
}

/// Where `path` leads, through mounts and symbolic links, as root sees it. What is missing is made: directories on the
/// way, and `make` at the end.
pub fn place(namespace: &Arc<MountNamespace>, path: &[u8], make: Option<NodeKind>) -> Result<Path> {
    let root = namespace.root();
    let mut at = root.clone();
    let mut links = 0;
    let mut rest: Vec<Vec<u8>> = components(path);
    while let Some(name) = rest.pop() {
        match name.as_slice() {
            b"." => continue,
            b".." => {
                if !at.is(&root) {
                    at = namespace.topmost(at.parent());
                }
                continue;
            }
            _ => {}
        }
        let child = at.dentry.lookup(&name)?;
        let child = match &make {
            Some(last) if child.is_negative() => {
                let kind = if rest.is_empty() { last.clone() } else { NodeKind::Directory };
                let permissions = if matches!(kind, NodeKind::Directory) { 0o755 } else { 0o644 };
                let valid = at.dentry.names_valid();
                let inode = at.inode()?.create(&name, &NewNode { kind, permissions, uid: 0, gid: 0 })?;
                at.dentry.instantiate(&name, inode, valid)
            }
            _ => child,
        };
        let next = namespace.topmost(Path { mount: at.mount.clone(), dentry: child });
        let inode = next.inode()?.clone();
        if inode.file_type() == FileType::Symlink {
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::ELOOP);
            }
            let text = inode.readlink()?;
            if text.starts_with(b"/") {
                at = root.clone();
            }
            rest.append(&mut components(&text));
            continue;
        }
        if !rest.is_empty() && inode.file_type() != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        at = next;
    }
    Ok(at)
}

/// The components of a path, last first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty()).rev().map(<[u8]>::to_vec).collect()
}

fn make_device(namespace: &Arc<MountNamespace>, device: &DeviceConfig) -> Result<()> {
    let path = device.path.as_bytes();
    let slash = path.iter().rposition(|&b| b == b'/').ok_or(Errno::EINVAL)?;
    let (directory, name) = (&path[..slash], &path[slash + 1..]);
    let directory = place(namespace, directory, Some(NodeKind::Directory))?;
    let number = makedev(device.major, device.minor);
    let kind = match FileType::from_bits(device.mode) {
        FileType::CharDevice => NodeKind::CharDevice(number),
        FileType::BlockDevice => NodeKind::BlockDevice(number),
        FileType::Fifo => NodeKind::Fifo,
        _ => return Err(Errno::EINVAL),
    };
    let inode = directory.inode()?;
    if let Ok(old) = inode.lookup(name) {
        inode.unlink(name, &old)?;
        directory.dentry.remove(name);
    }
    let node = NewNode { kind, permissions: device.mode & 0o7777, uid: device.uid, gid: device.gid };
    let valid = inode.names_valid();
    let made = inode.create(name, &node)?;
    directory.dentry.instantiate(name, made, valid);
    Ok(())
}

/// What is found at a path that may be missing.
fn existing(namespace: &Arc<MountNamespace>, path: &str) -> Result<Option<Path>> {
    match place(namespace, path.as_bytes(), None) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn make_readonly(namespace: &Arc<MountNamespace>, path: &str) -> Result<()> {
    let Some(found) = existing(namespace, path)? else { return Ok(()) };
    let flags = found.mount.flags() | MountFlags::RDONLY;
    let mount = Mount::new(found.mount.filesystem.clone(), found.dentry.clone(), flags);
    namespace.attach(&mount, found);
    Ok(())
}

fn mask(namespace: &Arc<MountNamespace>, path: &str, memory: u64) -> Result<()> {
    let Some(found) = existing(namespace, path)? else { return Ok(()) };
    let mount = if found.inode()?.file_type() == FileType::Directory {
        mount_of(TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::default(), memory)?, MountFlags::RDONLY.bits())
    } else {
        let null = place(namespace, b"/dev/null", None)?;
        Mount::new(null.mount.filesystem.clone(), null.dentry.clone(), null.mount.flags())
    };
    namespace.attach(&mount, found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::tmpfs::TmpfsOptions;

    #[test]
    fn mount_points_are_made_through_links_that_stay_inside() {
        let root = TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::unlimited(), 0).unwrap();
        let link = NewNode { kind: NodeKind::Symlink(b"../../run".to_vec()), permissions: 0o777, uid: 0, gid: 0 };
        root.root().create(b"var", &link).unwrap();
        let namespace = MountNamespace::new(mount_of(root.clone(), 0));
        let made = place(&namespace, b"/run", Some(NodeKind::Directory)).unwrap();
        let found = place(&namespace, b"/var/lock/file", Some(NodeKind::Regular)).unwrap();
        assert_eq!(found.inode().unwrap().file_type(), FileType::Regular);
        assert_eq!(found.display_from(&namespace.root()).unwrap(), b"/run/lock/file");
        assert!(found.parent().parent().is(&made));
        assert_eq!(place(&namespace, b"/missing", None).err(), Some(Errno::ENOENT));
        mask(&namespace, "/run/lock", 1 << 20).unwrap();
        assert_eq!(place(&namespace, b"/run/lock/file", None).err(), Some(Errno::ENOENT));
        mask(&namespace, "/nowhere", 1 << 20).unwrap();
    }
}
