//! memfd_create(2).

use std::sync::{Arc, OnceLock};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mman::MemfdFlags;
use moat_abi::mount::MountFlags;

use super::arguments::{Fd, UserString};
use super::descriptors::install;
use crate::Result;
use crate::fs::inode::{FileSystem, Inode, NewNode, NodeKind};
use crate::fs::tmpfs::{TmpFs, TmpfsOptions};
use crate::fs::{Dentry, Mount, OpenFile, Path};
use crate::kernel::Current;

/// The longest name: NAME_MAX less `memfd:`.
const NAME_MAX: usize = 249;

/// The tmpfs of files that no tree shows (Linux's internal shmem mount); without a limit of its own.
fn internal_mount() -> Result<(Arc<TmpFs>, Arc<Mount>)> {
    static MOUNT: OnceLock<(Arc<TmpFs>, Arc<Mount>)> = OnceLock::new();
    if let Some(mount) = MOUNT.get() {
        return Ok(mount.clone());
    }
    let filesystem = TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::unlimited(), 0)?;
    let root = Dentry::root(filesystem.root(), b"/");
    let mount = Mount::new(filesystem.clone(), root, MountFlags::empty());
    Ok(MOUNT.get_or_init(|| (filesystem, mount)).clone())
}

/// memfd_create(2).
pub fn memfd_create(current: &mut Current, name: UserString, flags: MemfdFlags) -> Result<Fd> {
    let known = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL | MemfdFlags::EXEC;
    if flags.bits() & !known.bits() != 0 || flags.contains(MemfdFlags::NOEXEC_SEAL | MemfdFlags::EXEC) {
        return Err(Errno::EINVAL);
    }
    let name = current.memory().read_string(name.0, NAME_MAX + 1, Errno::EINVAL)?;
    let (filesystem, mount) = internal_mount()?;
    let credentials = current.credentials();
    let unexecutable = flags.contains(MemfdFlags::NOEXEC_SEAL);
    let inode = filesystem.nameless(&NewNode {
        kind: NodeKind::Regular,
        permissions: if unexecutable { 0o666 } else { 0o777 },
        uid: credentials.fsuid,
        gid: credentials.fsgid,
    })?;
    if flags.intersects(MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL) {
        inode.node().content()?.lock().allow_sealing();
    }
    let shown = [b"/memfd:".as_slice(), &name, b" (deleted)"].concat();
    let operations = inode.clone().open(OpenFlags::RDWR)?;
    let dentry = Dentry::root(inode, &shown);
    let file = OpenFile::new(operations, Some(Path { mount, dentry }), OpenFlags::RDWR | OpenFlags::LARGEFILE);
    install(current, file, flags.contains(MemfdFlags::CLOEXEC))
}
