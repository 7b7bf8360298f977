//! Names (link(2), symlink(2), readlink(2), unlink(2), rename(2), mknod(2)).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::{AtFlags, RenameFlags};
use moat_abi::stat::FileType;

use super::arguments::{DirFd, ModeBits, OutBytes, UserPath};
use super::directories::{make, remove_directory};
use super::open::{base, lookup_or_descriptor};
use crate::Result;
use crate::fs::inode::NodeKind;
use crate::fs::permission::{self, Access};
use crate::fs::walk::{self, Last, LastKind};
use crate::fs::{Dentry, notify};
use crate::kernel::Current;
use crate::sync::{Mutex, Rank};

/// One rename at a time, so that ancestry holds still (Linux's s_vfs_rename_mutex, for all filesystems at once).
static RENAME: Mutex<()> = Mutex::new(Rank::Rename, ());

/// symlink(2).
pub fn symlink(current: &mut Current, target: UserPath, path: UserPath) -> Result<()> {
    symlinkat(current, target, DirFd::CWD, path)
}

/// symlinkat(2).
pub fn symlinkat(current: &mut Current, target: UserPath, dirfd: DirFd, path: UserPath) -> Result<()> {
    let text = target.read(&current.memory())?;
    if text.is_empty() {
        return Err(Errno::ENOENT);
    }
    make(current, dirfd, path, NodeKind::Symlink(text), 0o777)
}

/// readlink(2).
pub fn readlink(current: &mut Current, path: UserPath, buffer: OutBytes<2>, size: i32) -> Result<usize> {
    do_readlink(current, DirFd::CWD, path, buffer.0, size)
}

/// readlinkat(2).
pub fn readlinkat(
    current: &mut Current,
    dirfd: DirFd,
    path: UserPath,
    buffer: OutBytes<3>,
    size: i32,
) -> Result<usize> {
    do_readlink(current, dirfd, path, buffer.0, size)
}

fn do_readlink(current: &Current, dirfd: DirFd, path: UserPath, buffer: u64, size: i32) -> Result<usize> {
    let size = usize::try_from(size).ok().filter(|&s| s > 0).ok_or(Errno::EINVAL)?;
    let memory = current.memory();
    let text = path.read(&memory)?;
    let place = match text.is_empty() {
        // An empty path means the descriptor, which must be of a link.
        true if dirfd != DirFd::CWD => current.files().get(dirfd.0)?.path().cloned().ok_or(Errno::ENOENT)?,
        _ => walk::resolve(current, &base(current, dirfd, &text)?, &text, false)?,
    };
    let inode = place.inode()?;
    if inode.file_type() != FileType::Symlink {
        return Err(if text.is_empty() { Errno::ENOENT } else { Errno::EINVAL });
    }
    let target = match inode.magic_link(current) {
        Some(leads) => shown_target(current, inode, leads)?,
        None => inode.readlink_for(current)?,
    };
    let shown = &target[..target.len().min(size)];
    memory.write_bytes(buffer, shown)?;
    Ok(shown.len())
}

/// How a magic link reads: as its own text (`pipe:[7]`), or as the path that it leads to.
fn shown_target(
    current: &Current,
    inode: &Arc<dyn crate::fs::Inode>,
    leads: Result<crate::fs::Path>,
) -> Result<Vec<u8>> {
    if let Ok(text) = inode.readlink_for(current) {
        return Ok(text);
    }
    let place = leads?;
    let mut text = place
        .display_from(&current.fs().root())
        .or_else(|| place.display_from(&current.kernel().mounts().root()))
        .unwrap_or_else(|| place.dentry.name().to_vec());
    if place.dentry.is_gone() {
        text.extend_from_slice(b" (deleted)");
    }
    Ok(text)
}

/// link(2).
pub fn link(current: &mut Current, old: UserPath, new: UserPath) -> Result<()> {
    linkat(current, DirFd::CWD, old, DirFd::CWD, new, AtFlags::empty())
}

/// linkat(2).
pub fn linkat(
    current: &mut Current,
    old_dirfd: DirFd,
    old: UserPath,
    new_dirfd: DirFd,
    new: UserPath,
    flags: AtFlags,
) -> Result<()> {
    if flags.bits() & !(AtFlags::SYMLINK_FOLLOW | AtFlags::EMPTY_PATH).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let empty = flags.contains(AtFlags::EMPTY_PATH);
    let source =
        lookup_or_descriptor(current, old_dirfd, old, flags.contains(AtFlags::SYMLINK_FOLLOW), empty)?.path()?;
    let path = new.read(&current.memory())?;
    let last = match walk::resolve_parent(current, &base(current, new_dirfd, &path)?, &path)? {
        LastKind::Name(last) => last,
        LastKind::Special(_) => return Err(Errno::EEXIST),
    };
    if !last.directory.dentry.lookup(&last.name)?.is_negative() {
        return Err(Errno::EEXIST);
    }
    if last.slash {
        return Err(Errno::ENOENT);
    }
    if !Arc::ptr_eq(&source.mount, &last.directory.mount) {
        return Err(Errno::EXDEV);
    }
    let inode = source.inode()?.clone();
    if inode.file_type() == FileType::Directory {
        return Err(Errno::EPERM);
    }
    last.directory.mount.check_writable()?;
    let credentials = current.credentials();
    let attributes = inode.attributes()?;
    protected_hardlinks(&attributes, &credentials)?;
    let directory = last.directory.inode()?;
    permission::check(directory, &credentials, Access::WRITE.and(Access::EXECUTE))?;
    if attributes.links == 0 && source.dentry.is_gone() {
        return Err(Errno::ENOENT);
    }
    let valid = directory.names_valid();
    directory.link(&last.name, &inode)?;
    let made = last.directory.dentry.instantiate(&last.name, inode, valid);
    notify::created(&last.directory.dentry, &made, false);
    Ok(())
}

/// `fs.protected_hardlinks`, as distributions set it: only files that one owns, or regular ones that one may read and
/// write.
fn protected_hardlinks(
    attributes: &crate::fs::Attributes,
    credentials: &crate::kernel::credentials::Credentials,
) -> Result<()> {
    if permission::check_owner(attributes, credentials).is_ok() {
        return Ok(());
    }
    let mode = attributes.mode.permissions();
    let plain = attributes.mode.file_type() == FileType::Regular && mode & 0o4000 == 0 && mode & 0o2010 != 0o2010;
    if plain && permission::check_attributes(attributes, credentials, Access::READ.and(Access::WRITE)).is_ok() {
        return Ok(());
    }
    Err(Errno::EPERM)
}

/// unlink(2).
pub fn unlink(current: &mut Current, path: UserPath) -> Result<()> {
    do_unlink(current, DirFd::CWD, path)
}

/// unlinkat(2).
pub fn unlinkat(current: &mut Current, dirfd: DirFd, path: UserPath, flags: AtFlags) -> Result<()> {
    if flags.bits() & !AtFlags::REMOVEDIR.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    if flags.contains(AtFlags::REMOVEDIR) {
        remove_directory(current, dirfd, path)
    } else {
        do_unlink(current, dirfd, path)
    }
}

fn do_unlink(current: &Current, dirfd: DirFd, path: UserPath) -> Result<()> {
    let path = path.read(&current.memory())?;
    let last = match walk::resolve_parent(current, &base(current, dirfd, &path)?, &path)? {
        LastKind::Name(last) => last,
        LastKind::Special(_) => return Err(Errno::EISDIR),
    };
    let directory = last.directory.inode()?;
    let child = last.directory.dentry.lookup(&last.name)?;
    let inode = child.inode()?.clone();
    if last.slash {
        return Err(if inode.file_type() == FileType::Directory { Errno::EISDIR } else { Errno::ENOTDIR });
    }
    last.directory.mount.check_writable()?;
    permission::check_remove(directory, &inode, &current.credentials())?;
    if inode.file_type() == FileType::Directory {
        return Err(Errno::EISDIR);
    }
    if child.is_mounted_on() {
        return Err(Errno::EBUSY);
    }
    directory.unlink(&last.name, &inode)?;
    last.directory.dentry.remove(&last.name);
    notify::deleted(&last.directory.dentry, &child, false);
    Ok(())
}

/// rename(2).
pub fn rename(current: &mut Current, old: UserPath, new: UserPath) -> Result<()> {
    renameat2(current, DirFd::CWD, old, DirFd::CWD, new, RenameFlags::empty())
}

/// renameat(2).
pub fn renameat(current: &mut Current, old_dirfd: DirFd, old: UserPath, new_dirfd: DirFd, new: UserPath) -> Result<()> {
    renameat2(current, old_dirfd, old, new_dirfd, new, RenameFlags::empty())
}

/// renameat2(2).
pub fn renameat2(
    current: &mut Current,
    old_dirfd: DirFd,
    old: UserPath,
    new_dirfd: DirFd,
    new: UserPath,
    flags: RenameFlags,
) -> Result<()> {
    let known = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE | RenameFlags::WHITEOUT;
    if flags.bits() & !known.bits() != 0
        || (flags.contains(RenameFlags::EXCHANGE) && flags.intersects(RenameFlags::NOREPLACE | RenameFlags::WHITEOUT))
        || flags.contains(RenameFlags::WHITEOUT)
    {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory();
    let (old, new) = (old.read(&memory)?, new.read(&memory)?);
    let from = walk::resolve_parent(current, &base(current, old_dirfd, &old)?, &old)?;
    let to = walk::resolve_parent(current, &base(current, new_dirfd, &new)?, &new)?;
    let (LastKind::Name(from), LastKind::Name(to)) = (from, to) else {
        return Err(if flags.contains(RenameFlags::NOREPLACE) { Errno::EEXIST } else { Errno::EBUSY });
    };
    if !Arc::ptr_eq(&from.directory.mount, &to.directory.mount) {
        return Err(Errno::EXDEV);
    }
    let _one = RENAME.lock();
    let child = from.directory.dentry.lookup(&from.name)?;
    let target = to.directory.dentry.lookup(&to.name)?;
    move_name(current, &from, &child, &to, &target, flags)
}

fn move_name(
    current: &Current,
    from: &Last,
    child: &Arc<Dentry>,
    to: &Last,
    target: &Arc<Dentry>,
    flags: RenameFlags,
) -> Result<()> {
    let inode = child.inode()?.clone();
    let is_directory = inode.file_type() == FileType::Directory;
    let exchange = flags.contains(RenameFlags::EXCHANGE);
    let existing = target.inode().ok().cloned();
    if existing.is_some() && flags.contains(RenameFlags::NOREPLACE) {
        return Err(Errno::EEXIST);
    }
    if existing.is_none() && exchange {
        return Err(Errno::ENOENT);
    }
    if !is_directory && (from.slash || (to.slash && !exchange)) {
        return Err(Errno::ENOTDIR);
    }
    if is_directory && to.directory.dentry.is_within(child) {
        return Err(Errno::EINVAL);
    }
    if existing.is_some() && from.directory.dentry.is_within(target) {
        return Err(if exchange { Errno::EINVAL } else { Errno::ENOTEMPTY });
    }
    from.directory.mount.check_writable()?;
    let credentials = current.credentials();
    let (from_directory, to_directory) = (from.directory.inode()?, to.directory.inode()?);
    permission::check_remove(from_directory, &inode, &credentials)?;
    match &existing {
        Some(existing) => {
            permission::check_remove(to_directory, existing, &credentials)?;
            let replaces_directory = existing.file_type() == FileType::Directory;
            if !exchange && is_directory && !replaces_directory {
                return Err(Errno::ENOTDIR);
            }
            if !exchange && !is_directory && replaces_directory {
                return Err(Errno::EISDIR);
            }
            // Two names of one file: nothing happens.
            if crate::fs::dentry::same_inode(existing, &inode) {
                return Ok(());
            }
        }
        None => permission::check(to_directory, &credentials, Access::WRITE.and(Access::EXECUTE))?,
    }
    if child.is_mounted_on() || target.is_mounted_on() {
        return Err(Errno::EBUSY);
    }
    // A directory that gets another parent has its `..` changed.
    if is_directory && !Arc::ptr_eq(&from.directory.dentry, &to.directory.dentry) {
        permission::check(&inode, &credentials, Access::WRITE)?;
    }
    let valid = (from_directory.names_valid(), to_directory.names_valid());
    from_directory.rename(&from.name, to_directory, &to.name, flags)?;
    from.directory.dentry.rename(child, &to.directory.dentry, &to.name, exchange, valid);
    notify::moved(&from.directory.dentry, &from.name, &to.directory.dentry, &to.name, child, is_directory);
    if existing.is_some() && !exchange {
        notify::displaced(target);
    }
    Ok(())
}

/// mknod(2).
pub fn mknod(current: &mut Current, path: UserPath, mode: ModeBits, device: u32) -> Result<()> {
    mknodat(current, DirFd::CWD, path, mode, device)
}

/// mknodat(2).
pub fn mknodat(current: &mut Current, dirfd: DirFd, path: UserPath, mode: ModeBits, device: u32) -> Result<()> {
    let device = u64::from(device);
    let privileged = current.credentials().has(CapabilitySet::MKNOD);
    let kind = match mode.0 & moat_abi::stat::S_IFMT {
        0 | 0o100000 => NodeKind::Regular,
        0o010000 => NodeKind::Fifo,
        0o140000 => NodeKind::Socket,
        0o020000 | 0o060000 if !privileged => return Err(Errno::EPERM),
        0o020000 => NodeKind::CharDevice(device),
        0o060000 => NodeKind::BlockDevice(device),
        0o040000 => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    make(current, dirfd, path, kind, mode.0 & 0o7777)
}
