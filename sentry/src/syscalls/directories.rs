//! Directories (getdents(2), mkdir(2), rmdir(2), chdir(2), getcwd(2), chroot(2)).

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::arguments::{DirFd, Fd, ModeBits, OutBytes, UserPath};
use super::open::{base, lookup};
use crate::Result;
use crate::fs::file::{DirectoryEntry, Seeking};
use crate::fs::inode::NodeKind;
use crate::fs::permission::{self, Access};
use crate::fs::walk::{self, LastKind};
use crate::fs::{Path, notify, open};
use crate::kernel::Current;

/// How an entry is laid out in the buffer; `None` if it does not fit.
type Layout = fn(&DirectoryEntry, usize) -> Option<Vec<u8>>;

fn linux_dirent64(entry: &DirectoryEntry, room: usize) -> Option<Vec<u8>> {
    let len = (19 + entry.name.len() + 1).next_multiple_of(8);
    (len <= room).then(|| {
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(&entry.inode.to_le_bytes());
        out.extend_from_slice(&entry.next.to_le_bytes());
        out.extend_from_slice(&(len as u16).to_le_bytes());
        out.push(entry.file_type.map_or(0, FileType::directory_type));
        out.extend_from_slice(&entry.name);
        out.resize(len, 0);
        out
    })
}

fn linux_dirent(entry: &DirectoryEntry, room: usize) -> Option<Vec<u8>> {
    let len = (18 + entry.name.len() + 2).next_multiple_of(8);
    (len <= room).then(|| {
        let mut out = Vec::with_capacity(len);
        out.extend_from_slice(&entry.inode.to_le_bytes());
        out.extend_from_slice(&entry.next.to_le_bytes());
        out.extend_from_slice(&(len as u16).to_le_bytes());
        out.extend_from_slice(&entry.name);
        out.resize(len - 1, 0);
        out.push(entry.file_type.map_or(0, FileType::directory_type));
        out
    })
}

fn list(current: &mut Current, fd: Fd, buffer: u64, size: usize, layout: Layout) -> Result<usize> {
    let file = current.files().get(fd.0)?;
    let operations = file.operations()?.clone();
    if file.seeking() != Seeking::Directory {
        return Err(Errno::ENOTDIR);
    }
    let size = size.min(1 << 20);
    let mut out = Vec::new();
    let from = *file.position().lock();
    let mut next = from;
    let mut too_small = false;
    operations.read_directory(&file, from, &mut |entry| match layout(&entry, size - out.len()) {
        Some(bytes) => {
            out.extend_from_slice(&bytes);
            next = entry.next;
            true
        }
        None => {
            too_small = out.is_empty();
            false
        }
    })?;
    if too_small {
        return Err(Errno::EINVAL);
    }
    current.memory().write_bytes(buffer, &out)?;
    *file.position().lock() = next;
    Ok(out.len())
}

/// getdents64(2).
pub fn getdents64(current: &mut Current, fd: Fd, buffer: OutBytes<2>, size: u32) -> Result<usize> {
    list(current, fd, buffer.0, size as usize, linux_dirent64)
}

/// getdents(2).
pub fn getdents(current: &mut Current, fd: Fd, buffer: OutBytes<2>, size: u32) -> Result<usize> {
    list(current, fd, buffer.0, size as usize, linux_dirent)
}

/// mkdir(2).
pub fn mkdir(current: &mut Current, path: UserPath, mode: ModeBits) -> Result<()> {
    mkdirat(current, DirFd::CWD, path, mode)
}

/// mkdirat(2).
pub fn mkdirat(current: &mut Current, dirfd: DirFd, path: UserPath, mode: ModeBits) -> Result<()> {
    make(current, dirfd, path, NodeKind::Directory, mode.0 & 0o1777)
}

/// Makes something under a name that must not exist: mkdir, mknod, symlink.
pub fn make(current: &Current, dirfd: DirFd, path: UserPath, kind: NodeKind, mode: u32) -> Result<()> {
    let path = path.read(&current.memory())?;
    let last = match walk::resolve_parent(current, &base(current, dirfd, &path)?, &path)? {
        LastKind::Name(last) => last,
        LastKind::Special(_) => return Err(Errno::EEXIST),
    };
    let child = last.directory.dentry.lookup(&last.name);
    match child {
        Ok(child) if !child.is_negative() => return Err(Errno::EEXIST),
        Err(e) if e != Errno::ENOENT => return Err(e),
        _ => {}
    }
    if last.slash && !matches!(kind, NodeKind::Directory) {
        return Err(Errno::ENOENT);
    }
    let directory = matches!(kind, NodeKind::Directory);
    let made = open::create(current, &last, kind, mode)?;
    notify::created(&last.directory.dentry, &made.dentry, directory);
    Ok(())
}

/// rmdir(2).
pub fn rmdir(current: &mut Current, path: UserPath) -> Result<()> {
    remove_directory(current, DirFd::CWD, path)
}

/// rmdir, and unlinkat with AT_REMOVEDIR.
pub fn remove_directory(current: &Current, dirfd: DirFd, path: UserPath) -> Result<()> {
    let path = path.read(&current.memory())?;
    let last = match walk::resolve_parent(current, &base(current, dirfd, &path)?, &path)? {
        LastKind::Name(last) => last,
        LastKind::Special(place) => {
            let text = path.strip_suffix(b"/").unwrap_or(&path);
            return Err(if place.is(&current.fs().root()) {
                Errno::EBUSY
            } else if text.ends_with(b"..") {
                Errno::ENOTEMPTY
            } else {
                Errno::EINVAL
            });
        }
    };
    let directory = last.directory.inode()?;
    let child = last.directory.dentry.lookup(&last.name)?;
    let inode = child.inode()?.clone();
    last.directory.mount.check_writable()?;
    permission::check_remove(directory, &inode, &current.credentials())?;
    if inode.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    if child.is_mounted_on() {
        return Err(Errno::EBUSY);
    }
    directory.rmdir(&last.name, &inode)?;
    last.directory.dentry.remove(&last.name);
    notify::deleted(&last.directory.dentry, &child, true);
    Ok(())
}

/// Makes `place` the working directory, if the caller may search it.
fn enter(current: &Current, place: Path) -> Result<()> {
    let inode = place.inode()?;
    if inode.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    permission::check(inode, &current.credentials(), Access::EXECUTE)?;
    current.fs().set_directory(place);
    Ok(())
}

/// chdir(2).
pub fn chdir(current: &mut Current, path: UserPath) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    enter(current, place)
}

/// fchdir(2).
pub fn fchdir(current: &mut Current, fd: Fd) -> Result<()> {
    let file = current.files().get(fd.0)?;
    let place = file.path().cloned().ok_or(Errno::ENOTDIR)?;
    enter(current, place)
}

/// chroot(2).
pub fn chroot(current: &mut Current, path: UserPath) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    let inode = place.inode()?;
    if inode.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    permission::check(inode, &current.credentials(), Access::EXECUTE)?;
    current.credentials().require(CapabilitySet::SYS_CHROOT)?;
    current.fs().set_root(place);
    Ok(())
}

/// getcwd(2): the length with the NUL.
pub fn getcwd(current: &mut Current, buffer: OutBytes<1>, size: usize) -> Result<usize> {
    let fs = current.fs();
    let directory = fs.directory();
    if directory.dentry.is_gone() {
        return Err(Errno::ENOENT);
    }
    let mut text = match directory.display_from(&fs.root()) {
        Some(text) => text,
        None => {
            let top = current.kernel().mounts().root();
            [b"(unreachable)".to_vec(), directory.display_from(&top).unwrap_or_else(|| b"/".to_vec())].concat()
        }
    };
    text.push(0);
    if text.len() > size {
        return Err(Errno::ERANGE);
    }
    current.memory().write_bytes(buffer.0, &text)?;
    Ok(text.len())
}
