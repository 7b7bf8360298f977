//! mount(2), umount2(2).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::mount::{MNT_DETACH, MNT_EXPIRE, MNT_FORCE, MountFlags, UMOUNT_NOFOLLOW};
use moat_abi::stat::FileType;

use super::arguments::{DirFd, UserOpaque, UserPath, UserString};
use super::open::lookup;
use crate::Result;
use crate::fs::inode::FileSystem;
use crate::fs::kernfs::KernelSlot;
use crate::fs::{Dentry, Mount, Path, setup};
use crate::kernel::Current;

/// The flags that a mount keeps.
const KEPT: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NOSUID)
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NOATIME)
    .union(MountFlags::NODIRATIME)
    .union(MountFlags::NOSYMFOLLOW)
    .union(MountFlags::STRICTATIME);

const PROPAGATION: MountFlags =
    MountFlags::UNBINDABLE.union(MountFlags::PRIVATE).union(MountFlags::SLAVE).union(MountFlags::SHARED);

/// A string argument that may be NULL.
fn text(current: &Current, address: u64) -> Result<String> {
    if address == 0 {
        return Ok(String::new());
    }
    let bytes = current.memory().read_string(address, 4096, Errno::EINVAL)?;
    String::from_utf8(bytes).map_err(|_| Errno::EINVAL)
}

/// mount(2).
pub fn mount(
    current: &mut Current,
    source: UserString,
    target: UserPath,
    fstype: UserString,
    flags: MountFlags,
    data: UserOpaque,
) -> Result<()> {
    let place = lookup(current, DirFd::CWD, target, true)?;
    current.credentials().require(CapabilitySet::SYS_ADMIN)?;
    if flags.contains(MountFlags::REMOUNT) {
        return remount(&place, flags);
    }
    if flags.contains(MountFlags::BIND) {
        let from = lookup(current, DirFd::CWD, UserPath(source.0), true)?;
        return bind(current, &from, place, flags.contains(MountFlags::REC));
    }
    if flags.intersects(PROPAGATION) {
        // There is one namespace, so that nothing propagates anywhere.
        return if is_mount_root(&place) { Ok(()) } else { Err(Errno::EINVAL) };
    }
    if flags.contains(MountFlags::MOVE) {
        let from = lookup(current, DirFd::CWD, UserPath(source.0), true)?;
        if !is_mount_root(&from) {
            return Err(Errno::EINVAL);
        }
        return current.kernel().mounts().relocate(&from.mount, place);
    }
    let (source, fstype, options) = (text(current, source.0)?, text(current, fstype.0)?, text(current, data.0)?);
    let filesystem = filesystem(current, &source, &fstype, &options)?;
    let root = Dentry::root(filesystem.root(), b"/");
    attach(current, &Mount::new(filesystem, root, flags & KEPT), place)
}

fn is_mount_root(place: &Path) -> bool {
    Arc::ptr_eq(&place.dentry, &place.mount.root)
}

fn attach(current: &Current, mount: &Arc<Mount>, place: Path) -> Result<()> {
    let directory = |dentry: &Dentry| dentry.inode().map(|i| i.file_type() == FileType::Directory);
    if directory(&mount.root)? != directory(&place.dentry)? {
        return Err(Errno::ENOTDIR);
    }
    if place.dentry.is_gone() {
        return Err(Errno::ENOENT);
    }
    current.kernel().mounts().attach(mount, place);
    Ok(())
}

/// A new filesystem; of those that show the kernel, the one that is there already.
fn filesystem(current: &Current, source: &str, fstype: &str, options: &str) -> Result<Arc<dyn FileSystem>> {
    let kernel = current.kernel();
    if matches!(fstype, "proc" | "sysfs" | "cgroup2" | "cgroup" | "devpts") {
        let there = kernel.mounts().mounts().into_iter().find(|m| m.filesystem.kind() == fstype);
        if let Some(mount) = there {
            return Ok(mount.filesystem.clone());
        }
    }
    setup::own_filesystem(fstype, source, options, &KernelSlot::of(kernel), kernel.memory, kernel.cpus)
}

fn remount(place: &Path, flags: MountFlags) -> Result<()> {
    if !is_mount_root(place) {
        return Err(Errno::EINVAL);
    }
    place.mount.set_flags(flags & KEPT);
    Ok(())
}

/// Mounts what is at `from` at `to` too; `recursive`: with what is mounted beneath.
fn bind(current: &Current, from: &Path, to: Path, recursive: bool) -> Result<()> {
    let namespace = current.kernel().mounts().clone();
    let top = Mount::new(from.mount.filesystem.clone(), from.dentry.clone(), from.mount.flags());
    let before = namespace.mounts();
    attach(current, &top, to)?;
    if !recursive {
        return Ok(());
    }
    let mut copies = vec![(from.mount.clone(), top)];
    // In the order in which they were made: what a mount lies on comes before it.
    for mount in before {
        let Some(place) = mount.place() else { continue };
        let beneath = !Arc::ptr_eq(&place.mount, &from.mount) || place.dentry.is_within(&from.dentry);
        let Some((_, copy)) = copies.iter().find(|(original, _)| Arc::ptr_eq(original, &place.mount)) else { continue };
        if beneath {
            let place = Path { mount: copy.clone(), dentry: place.dentry };
            let new = Mount::new(mount.filesystem.clone(), mount.root.clone(), mount.flags());
            namespace.attach(&new, place);
            copies.push((mount, new));
        }
    }
    Ok(())
}

/// Whether a task has its root, its working directory or an open file in a mount.
fn in_use(current: &Current, mount: &Arc<Mount>) -> bool {
    current.kernel().all_tasks().iter().any(|task| {
        let (fs, files) = (task.fs(), task.files());
        Arc::ptr_eq(&fs.directory().mount, mount)
            || Arc::ptr_eq(&fs.root().mount, mount)
            || files
                .numbers()
                .into_iter()
                .any(|fd| files.get(fd).is_ok_and(|f| f.path().is_some_and(|path| Arc::ptr_eq(&path.mount, mount))))
    })
}

/// umount2(2).
pub fn umount2(current: &mut Current, target: UserPath, flags: u32) -> Result<()> {
    if flags & !(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MNT_EXPIRE != 0 && flags & (MNT_FORCE | MNT_DETACH) != 0 {
        return Err(Errno::EINVAL);
    }
    let place = lookup(current, DirFd::CWD, target, flags & UMOUNT_NOFOLLOW == 0)?;
    current.credentials().require(CapabilitySet::SYS_ADMIN)?;
    if !is_mount_root(&place) {
        return Err(Errno::EINVAL);
    }
    if flags & MNT_EXPIRE != 0 {
        return Err(Errno::EAGAIN);
    }
    let lazy = flags & MNT_DETACH != 0;
    if !lazy && in_use(current, &place.mount) {
        return Err(Errno::EBUSY);
    }
    current.kernel().mounts().detach(&place.mount, lazy)
}
