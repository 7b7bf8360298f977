//! Extended attributes (xattr(7)): setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their kin.

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::arguments::{DirFd, Fd, InBytes, OutBytes, UserPath, UserString};
use super::open::lookup;
use crate::Result;
use crate::fs::permission::{self, Access};
use crate::fs::{Inode, Path, notify};
use crate::kernel::Current;

/// The longest name, with its NUL left out (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;
/// The longest value (`XATTR_SIZE_MAX`).
const SIZE_MAX: usize = 65_536;
/// The longest list of names (`XATTR_LIST_MAX`).
const LIST_MAX: usize = 65_536;

fn name(current: &Current, name: UserString) -> Result<Vec<u8>> {
    let name = current.memory().read_string(name.0, NAME_MAX + 1, Errno::ERANGE)?;
    if name.is_empty() { Err(Errno::ERANGE) } else { Ok(name) }
}

/// What a call names.
enum Of {
    /// What a path leads to.
    Path(UserPath),
    /// The same, but a symbolic link at its end itself.
    Link(UserPath),
    /// An open file.
    File(Fd),
}

impl Of {
    fn place(self, current: &Current) -> Result<Path> {
        match self {
            Self::Path(path) => lookup(current, DirFd::CWD, path, true),
            Self::Link(path) => lookup(current, DirFd::CWD, path, false),
            Self::File(fd) => {
                let file = current.files().get(fd.0)?;
                file.operations()?;
                file.path().cloned().ok_or(Errno::EOPNOTSUPP)
            }
        }
    }
}

/// Whether the caller may read or (`writes`) change an attribute of this name (xattr_permission in Linux).
fn check(current: &Current, inode: &Arc<dyn Inode>, name: &[u8], writes: bool) -> Result<()> {
    let credentials = current.credentials();
    let refusal = if writes { Errno::EPERM } else { Errno::ENODATA };
    if name.starts_with(b"trusted.") {
        return if credentials.has(CapabilitySet::SYS_ADMIN) { Ok(()) } else { Err(refusal) };
    }
    if name.starts_with(b"security.") {
        let needed = if name == b"security.capability" { CapabilitySet::SETFCAP } else { CapabilitySet::SYS_ADMIN };
        return if writes { credentials.require(needed) } else { Ok(()) };
    }
    if !name.starts_with(b"user.") {
        return Err(Errno::EOPNOTSUPP);
    }
    let attributes = inode.attributes()?;
    match inode.file_type() {
        FileType::Regular => {}
        FileType::Directory => {
            if writes && attributes.mode.permissions() & 0o1000 != 0 {
                permission::check_owner(&attributes, &credentials)?;
            }
        }
        _ => return Err(refusal),
    }
    permission::check_attributes(&attributes, &credentials, if writes { Access::WRITE } else { Access::READ })
}

fn set(current: &mut Current, of: Of, attribute: UserString, value: u64, size: usize, flags: u32) -> Result<()> {
    let place = of.place(current)?;
    if flags & !3 != 0 {
        return Err(Errno::EINVAL);
    }
    let attribute = name(current, attribute)?;
    if size > SIZE_MAX {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; size];
    current.memory().read_bytes(value, &mut bytes)?;
    place.mount.check_writable()?;
    let inode = place.inode()?;
    check(current, inode, &attribute, true)?;
    inode.set_xattr(&attribute, &bytes, flags)?;
    notify::attributes_changed(&place.dentry);
    Ok(())
}

/// setxattr(2).
pub fn setxattr(
    current: &mut Current,
    path: UserPath,
    name: UserString,
    value: InBytes<3>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(current, Of::Path(path), name, value.0, size, flags)
}

/// lsetxattr(2).
pub fn lsetxattr(
    current: &mut Current,
    path: UserPath,
    name: UserString,
    value: InBytes<3>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(current, Of::Link(path), name, value.0, size, flags)
}

/// fsetxattr(2).
pub fn fsetxattr(
    current: &mut Current,
    fd: Fd,
    name: UserString,
    value: InBytes<3>,
    size: usize,
    flags: u32,
) -> Result<()> {
    set(current, Of::File(fd), name, value.0, size, flags)
}

/// Hands out `bytes`; a size of 0 asks only how many there are. `ERANGE` if they do not fit.
fn hand_out(current: &Current, bytes: &[u8], buffer: u64, size: usize) -> Result<usize> {
    if size != 0 {
        if bytes.len() > size {
            return Err(Errno::ERANGE);
        }
        current.memory().write_bytes(buffer, bytes)?;
    }
    Ok(bytes.len())
}

fn get(current: &mut Current, of: Of, attribute: UserString, value: u64, size: usize) -> Result<usize> {
    let place = of.place(current)?;
    let attribute = name(current, attribute)?;
    let inode = place.inode()?;
    check(current, inode, &attribute, false)?;
    let bytes = inode.xattr(&attribute)?;
    hand_out(current, &bytes, value, size.min(SIZE_MAX))
}

/// getxattr(2).
pub fn getxattr(
    current: &mut Current,
    path: UserPath,
    name: UserString,
    value: OutBytes<3>,
    size: usize,
) -> Result<usize> {
    get(current, Of::Path(path), name, value.0, size)
}

/// lgetxattr(2).
pub fn lgetxattr(
    current: &mut Current,
    path: UserPath,
    name: UserString,
    value: OutBytes<3>,
    size: usize,
) -> Result<usize> {
    get(current, Of::Link(path), name, value.0, size)
}

/// fgetxattr(2).
pub fn fgetxattr(current: &mut Current, fd: Fd, name: UserString, value: OutBytes<3>, size: usize) -> Result<usize> {
    get(current, Of::File(fd), name, value.0, size)
}

fn list(current: &mut Current, of: Of, buffer: u64, size: usize) -> Result<usize> {
    let place = of.place(current)?;
    let trusted = current.credentials().has(CapabilitySet::SYS_ADMIN);
    let mut bytes = Vec::new();
    for name in place.inode()?.list_xattrs()? {
        if trusted || !name.starts_with(b"trusted.") {
            bytes.extend_from_slice(&name);
            bytes.push(0);
        }
    }
    if bytes.len() > LIST_MAX {
        return Err(Errno::E2BIG);
    }
    hand_out(current, &bytes, buffer, size)
}

/// listxattr(2).
pub fn listxattr(current: &mut Current, path: UserPath, buffer: OutBytes<2>, size: usize) -> Result<usize> {
    list(current, Of::Path(path), buffer.0, size)
}

/// llistxattr(2).
pub fn llistxattr(current: &mut Current, path: UserPath, buffer: OutBytes<2>, size: usize) -> Result<usize> {
    list(current, Of::Link(path), buffer.0, size)
}

/// flistxattr(2).
pub fn flistxattr(current: &mut Current, fd: Fd, buffer: OutBytes<2>, size: usize) -> Result<usize> {
    list(current, Of::File(fd), buffer.0, size)
}

fn remove(current: &mut Current, of: Of, attribute: UserString) -> Result<()> {
    let place = of.place(current)?;
    let attribute = name(current, attribute)?;
    place.mount.check_writable()?;
    let inode = place.inode()?;
    check(current, inode, &attribute, true)?;
    inode.remove_xattr(&attribute)?;
    notify::attributes_changed(&place.dentry);
    Ok(())
}

/// removexattr(2).
pub fn removexattr(current: &mut Current, path: UserPath, name: UserString) -> Result<()> {
    remove(current, Of::Path(path), name)
}

/// lremovexattr(2).
pub fn lremovexattr(current: &mut Current, path: UserPath, name: UserString) -> Result<()> {
    remove(current, Of::Link(path), name)
}

/// fremovexattr(2).
pub fn fremovexattr(current: &mut Current, fd: Fd, name: UserString) -> Result<()> {
    remove(current, Of::File(fd), name)
}
