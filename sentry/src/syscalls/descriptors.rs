//! Descriptors (close(2), dup(2), fcntl(2), close_range(2)).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl as f;
use moat_abi::fcntl::OpenFlags;
use moat_abi::resource::Resource;

use super::arguments::Fd;
use crate::Result;
use crate::fs::fasync::{self, PGRP, PID, TID};
use crate::fs::file::SignalOwner;
use crate::fs::pipe::PipeEnd;
use crate::fs::{OpenFile, locks, permission};
use crate::kernel::Current;

/// What every close does before the reference goes: the POSIX locks of the process, and the file's own flush.
fn closed(current: &Current, file: &Arc<OpenFile>) -> Result<()> {
    locks::release_posix(file, current.pid());
    match file.operations() {
        Ok(operations) => operations.flush(file),
        Err(_) => Ok(()),
    }
}

/// Puts a file into the caller's table at the lowest free number.
pub fn install(current: &Current, file: Arc<OpenFile>, close_on_exec: bool) -> Result<Fd> {
    let limit = current.group_ref().limit(Resource::Files);
    current.files().insert(file, close_on_exec, 0, limit).map(Fd)
}

/// close(2).
pub fn close(current: &mut Current, fd: Fd) -> Result<()> {
    let file = current.files().remove(fd.0)?;
    closed(current, &file)
}

/// close_range(2).
pub fn close_range(current: &mut Current, first: u32, last: u32, flags: u32) -> Result<()> {
    const UNSHARE: u32 = 2;
    const CLOEXEC: u32 = 4;
    if flags & !(UNSHARE | CLOEXEC) != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    if flags & UNSHARE != 0 {
        let own = Arc::new(current.files().duplicate());
        current.update_shared(|shared| shared.files = own);
    }
    if flags & CLOEXEC != 0 {
        current.files().close_range_on_exec(first, last);
        return Ok(());
    }
    for file in current.files().remove_range(first, last) {
        // As close_range on Linux, which reports nothing of this.
        let _ = closed(current, &file);
    }
    Ok(())
}

/// dup(2).
pub fn dup(current: &mut Current, fd: Fd) -> Result<Fd> {
    let file = current.files().get(fd.0)?;
    install(current, file, false)
}

/// dup2(2).
pub fn dup2(current: &mut Current, old: Fd, new: Fd) -> Result<Fd> {
    if old == new {
        current.files().get(old.0)?;
        return Ok(new);
    }
    replace(current, old, new, false)
}

/// dup3(2).
pub fn dup3(current: &mut Current, old: Fd, new: Fd, flags: OpenFlags) -> Result<Fd> {
    if old == new || flags.bits() & !OpenFlags::CLOEXEC.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    replace(current, old, new, flags.contains(OpenFlags::CLOEXEC))
}

fn replace(current: &Current, old: Fd, new: Fd, close_on_exec: bool) -> Result<Fd> {
    let files = current.files();
    let file = files.get(old.0)?;
    let limit = current.group_ref().limit(Resource::Files);
    if let Some(replaced) = files.replace(new.0, file, close_on_exec, limit)? {
        // dup2 reports no error of the close that it makes.
        let _ = closed(current, &replaced);
    }
    Ok(new)
}

/// fcntl(2).
pub async fn fcntl(current: &mut Current, fd: Fd, command: i32, argument: u64) -> Result<u64> {
    let (file, close_on_exec) = current.files().get_with_flag(fd.0)?;
    let path_only = file.flags().contains(OpenFlags::PATH);
    if path_only && !matches!(command, f::F_DUPFD | f::F_DUPFD_CLOEXEC | f::F_GETFD | f::F_SETFD | f::F_GETFL) {
        return Err(Errno::EBADF);
    }
    match command {
        f::F_DUPFD | f::F_DUPFD_CLOEXEC => {
            let limit = current.group_ref().limit(Resource::Files);
            let least = argument as i32;
            if least < 0 || argument as u32 as u64 >= limit {
                return Err(Errno::EINVAL);
            }
            let new = current.files().insert(file, command == f::F_DUPFD_CLOEXEC, least, limit)?;
            Ok(new as u64)
        }
        f::F_GETFD => Ok(u64::from(close_on_exec)),
        f::F_SETFD => {
            current.files().set_close_on_exec(fd.0, argument & f::FD_CLOEXEC != 0)?;
            Ok(0)
        }
        f::F_GETFL => Ok(u64::from((file.flags() | large_file(&file)).bits())),
        f::F_SETFL => {
            let flags = OpenFlags::from_bits_retain(argument as u32);
            if flags.contains(OpenFlags::NOATIME)
                && !file.flags().contains(OpenFlags::NOATIME)
                && let Some(inode) = file.inode()
            {
                permission::check_owner(&inode.attributes()?, &current.credentials())?;
            }
            set_flags(current, &file, fd.0, flags)?;
            Ok(0)
        }
        f::F_GETLK | f::F_SETLK | f::F_SETLKW | f::F_OFD_GETLK | f::F_OFD_SETLK | f::F_OFD_SETLKW => {
            locks::fcntl(current, &file, command, argument).await
        }
        f::F_SETOWN | f::F_GETOWN | f::F_SETSIG | f::F_GETSIG | f::F_SETOWN_EX | f::F_GETOWN_EX => {
            owner(current, &file, command, argument)
        }
        f::F_GETPIPE_SZ | f::F_SETPIPE_SZ => {
            let end = file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?;
            if command == f::F_GETPIPE_SZ {
                return Ok(end.capacity() as u64);
            }
            let privileged = current.credentials().has(CapabilitySet::SYS_RESOURCE);
            end.set_capacity(argument as u32 as usize, privileged).map(|c| c as u64)
        }
        f::F_ADD_SEALS | f::F_GET_SEALS => file.operations()?.seals(&file, command == f::F_ADD_SEALS, argument as u32),
        f::F_GETLEASE => Ok(f::F_UNLCK as u64),
        f::F_SETLEASE => Err(Errno::EINVAL),
        f::F_NOTIFY => Err(Errno::ENOTDIR),
        _ => Err(Errno::EINVAL),
    }
}

/// 64-bit programs always open with O_LARGEFILE, which F_GETFL shows for what open(2) made.
fn large_file(file: &OpenFile) -> OpenFlags {
    if file.path().is_some() && !file.flags().contains(OpenFlags::PATH) {
        OpenFlags::LARGEFILE
    } else {
        OpenFlags::empty()
    }
}

/// F_SETFL; O_ASYNC begins and ends announcements.
pub fn set_flags(current: &Current, file: &Arc<OpenFile>, fd: i32, flags: OpenFlags) -> Result<()> {
    let on = flags.contains(OpenFlags::ASYNC);
    let changes = on != file.flags().contains(OpenFlags::ASYNC);
    file.set_flags(flags)?;
    if changes && file.raw_operations().has_fasync() {
        fasync::update(current, file, fd, on);
    }
    Ok(())
}

/// Whether there is such an owner.
fn exists(current: &Current, kind: u32, id: u32) -> bool {
    let tree = current.kernel().tree();
    match kind {
        TID => tree.task(id).is_some(),
        PID => tree.process(id).is_some(),
        _ => tree.session_of_group(id).is_some(),
    }
}

fn set_owner(current: &Current, file: &OpenFile, kind: u32, id: i32) {
    let credentials = current.credentials();
    let mut owner = file.owner().lock();
    *owner = SignalOwner { kind, id, signal: owner.signal, credentials: Some(credentials) };
}

fn owner_of(file: &OpenFile) -> (u32, i32) {
    let owner = file.owner().lock();
    (owner.kind, owner.id)
}

fn owner(current: &Current, file: &Arc<OpenFile>, command: i32, argument: u64) -> Result<u64> {
    match command {
        f::F_SETOWN => {
            let id = argument as i32;
            if id == i32::MIN {
                return Err(Errno::EINVAL);
            }
            let (kind, id) = if id < 0 { (PGRP, -id) } else { (PID, id) };
            if id != 0 && !exists(current, kind, id as u32) {
                return Err(Errno::ESRCH);
            }
            set_owner(current, file, kind, id);
            Ok(0)
        }
        f::F_GETOWN => {
            let (kind, id) = owner_of(file);
            Ok(if kind == PGRP { -i64::from(id) as u64 } else { id as u64 })
        }
        f::F_SETSIG => {
            if argument > 64 {
                return Err(Errno::EINVAL);
            }
            file.owner().lock().signal = argument as u32;
            Ok(0)
        }
        f::F_GETSIG => Ok(u64::from(file.owner().lock().signal)),
        f::F_SETOWN_EX => {
            let new: f::FOwnerEx = current.memory().read(argument)?;
            let kind = u32::try_from(new.kind).ok().filter(|&k| k <= PGRP).ok_or(Errno::EINVAL)?;
            if new.pid != 0 && !exists(current, kind, new.pid as u32) {
                return Err(Errno::ESRCH);
            }
            set_owner(current, file, kind, new.pid);
            Ok(0)
        }
        _ => {
            let (kind, pid) = owner_of(file);
            current.memory().write(argument, &f::FOwnerEx { kind: kind as i32, pid })?;
            Ok(0)
        }
    }
}
