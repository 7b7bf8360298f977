//! Attributes (stat(2), statx(2), access(2), chmod(2), chown(2), utimensat(2), truncate(2), statfs(2)).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::AtFlags;
use moat_abi::mount::MountFlags;
use moat_abi::stat::{self as s, FileType, S_ISGID, S_ISUID, Stat, Statfs, Statx, StatxTimestamp, major, minor};
use moat_abi::time::{Timespec, Timeval, UTIME_NOW, UTIME_OMIT};

use super::arguments::{DirFd, Fd, In, ModeBits, Out, UserPath};
use super::open::{Target, lookup, lookup_or_descriptor};
use crate::Result;
use crate::fs::inode::{Attributes, SetAttributes, SetTime};
use crate::fs::permission::{self, Access};
use crate::fs::write_access::WriteAccess;
use crate::fs::{Path, notify, open};
use crate::kernel::Current;
use crate::kernel::credentials::Credentials;

impl Target {
    fn attributes(&self) -> Result<Attributes> {
        match self {
            Self::Path(path) => path.inode()?.attributes(),
            Self::File(file) => file.attributes(),
        }
    }
}

/// `struct stat` of attributes.
pub fn stat_of(a: &Attributes) -> Stat {
    Stat {
        st_dev: a.device,
        st_ino: a.inode,
        st_nlink: u64::from(a.links),
        st_mode: a.mode.raw(),
        st_uid: a.uid,
        st_gid: a.gid,
        st_rdev: a.rdev,
        st_size: a.size as i64,
        st_blksize: i64::from(a.block_size),
        st_blocks: a.blocks as i64,
        st_atim: a.atime,
        st_mtim: a.mtime,
        st_ctim: a.ctime,
        ..Stat::default()
    }
}

/// stat(2).
pub fn stat(current: &mut Current, path: UserPath, out: Out<Stat>) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    out.write(&current.memory(), &stat_of(&place.inode()?.attributes()?))
}

/// lstat(2).
pub fn lstat(current: &mut Current, path: UserPath, out: Out<Stat>) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, false)?;
    out.write(&current.memory(), &stat_of(&place.inode()?.attributes()?))
}

/// fstat(2).
pub fn fstat(current: &mut Current, fd: Fd, out: Out<Stat>) -> Result<()> {
    let file = current.files().get(fd.0)?;
    out.write(&current.memory(), &stat_of(&file.attributes()?))
}

/// newfstatat(2).
pub fn newfstatat(current: &mut Current, dirfd: DirFd, path: UserPath, out: Out<Stat>, flags: AtFlags) -> Result<()> {
    let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
    if flags.bits() & !known.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    let target = lookup_or_descriptor(current, dirfd, path, follow, flags.contains(AtFlags::EMPTY_PATH))?;
    out.write(&current.memory(), &stat_of(&target.attributes()?))
}

/// statx(2).
pub fn statx(
    current: &mut Current,
    dirfd: DirFd,
    path: UserPath,
    flags: AtFlags,
    mask: u32,
    out: Out<Statx>,
) -> Result<()> {
    let sync = AtFlags::STATX_FORCE_SYNC | AtFlags::STATX_DONT_SYNC;
    let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH | sync;
    if mask & s::STATX_RESERVED != 0 || flags.bits() & !known.bits() != 0 || flags.contains(sync) {
        return Err(Errno::EINVAL);
    }
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    let target = lookup_or_descriptor(current, dirfd, path, follow, flags.contains(AtFlags::EMPTY_PATH))?;
    let a = target.attributes()?;
    let stamp = |t: Timespec| StatxTimestamp { tv_sec: t.tv_sec, tv_nsec: t.tv_nsec as u32, reserved: 0 };
    let mut x = Statx {
        stx_mask: s::STATX_BASIC_STATS,
        stx_blksize: a.block_size,
        stx_attributes_mask: s::STATX_ATTR_MOUNT_ROOT,
        stx_nlink: a.links,
        stx_uid: a.uid,
        stx_gid: a.gid,
        stx_mode: a.mode.raw() as u16,
        stx_ino: a.inode,
        stx_size: a.size,
        stx_blocks: a.blocks,
        stx_atime: stamp(a.atime),
        stx_ctime: stamp(a.ctime),
        stx_mtime: stamp(a.mtime),
        stx_rdev_major: major(a.rdev),
        stx_rdev_minor: minor(a.rdev),
        stx_dev_major: major(a.device),
        stx_dev_minor: minor(a.device),
        ..Statx::default()
    };
    if let Some(btime) = a.btime {
        x.stx_mask |= s::STATX_BTIME;
        x.stx_btime = stamp(btime);
    }
    let place = match &target {
        Target::Path(path) => Some(path),
        Target::File(file) => file.path(),
    };
    if let Some(place) = place {
        x.stx_mask |= s::STATX_MNT_ID;
        x.stx_mnt_id = place.mount.id;
        if Arc::ptr_eq(&place.dentry, &place.mount.root) {
            x.stx_attributes |= s::STATX_ATTR_MOUNT_ROOT;
        }
    }
    out.write(&current.memory(), &x)
}

/// access(2).
pub fn access(current: &mut Current, path: UserPath, mode: u32) -> Result<()> {
    do_access(current, DirFd::CWD, path, mode, AtFlags::empty())
}

/// faccessat(2), as the kernel has it: without flags.
pub fn faccessat(current: &mut Current, dirfd: DirFd, path: UserPath, mode: u32) -> Result<()> {
    do_access(current, dirfd, path, mode, AtFlags::empty())
}

/// faccessat2(2).
pub fn faccessat2(current: &mut Current, dirfd: DirFd, path: UserPath, mode: u32, flags: AtFlags) -> Result<()> {
    do_access(current, dirfd, path, mode, flags)
}

fn do_access(current: &mut Current, dirfd: DirFd, path: UserPath, mode: u32, flags: AtFlags) -> Result<()> {
    // AT_EACCESS is the bit of AT_REMOVEDIR.
    let known = AtFlags::SYMLINK_NOFOLLOW | AtFlags::REMOVEDIR | AtFlags::EMPTY_PATH;
    if mode & !7 != 0 || flags.bits() & !known.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let effective = current.credentials();
    let real = (!flags.contains(AtFlags::REMOVEDIR)).then(|| real_credentials(&effective));
    // The walk is done with the same ids as the check.
    if let Some(real) = &real {
        current.set_credentials(real.clone());
    }
    let found = lookup_or_descriptor(
        current,
        dirfd,
        path,
        !flags.contains(AtFlags::SYMLINK_NOFOLLOW),
        flags.contains(AtFlags::EMPTY_PATH),
    );
    if real.is_some() {
        current.set_credentials((*effective).clone());
    }
    let found = found?;
    if mode == 0 {
        return Ok(());
    }
    let attributes = found.attributes()?;
    let who = real.as_ref().unwrap_or(&effective);
    if let Target::Path(path) = &found {
        if mode & 1 != 0
            && attributes.mode.file_type() == FileType::Regular
            && path.mount.flags().contains(MountFlags::NOEXEC)
        {
            return Err(Errno::EACCES);
        }
        permission::check_attributes(&attributes, who, Access(mode))?;
        let special = matches!(
            attributes.mode.file_type(),
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket
        );
        if mode & 2 != 0 && !special {
            path.mount.check_writable()?;
        }
        return Ok(());
    }
    permission::check_attributes(&attributes, who, Access(mode))
}

/// The credentials that access(2) checks with: the real ids; capabilities only for root.
fn real_credentials(effective: &Credentials) -> Credentials {
    let mut real = effective.clone();
    real.fsuid = real.uid;
    real.fsgid = real.gid;
    real.effective = if real.uid == 0 { real.permitted } else { CapabilitySet::empty() };
    real
}

fn change(path: &Path, set: &SetAttributes) -> Result<()> {
    path.inode()?.set_attributes(set)?;
    notify::attributes_changed(&path.dentry);
    Ok(())
}

fn do_chmod(current: &Current, path: &Path, mode: u32) -> Result<()> {
    path.mount.check_writable()?;
    let attributes = path.inode()?.attributes()?;
    let credentials = current.credentials();
    permission::check_owner(&attributes, &credentials)?;
    if attributes.mode.file_type() == FileType::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut mode = mode & 0o7777;
    if !credentials.is_in_group(attributes.gid) && !credentials.has(CapabilitySet::FSETID) {
        mode &= !S_ISGID;
    }
    change(path, &SetAttributes { permissions: Some(mode), ..SetAttributes::default() })
}

/// chmod(2).
pub fn chmod(current: &mut Current, path: UserPath, mode: ModeBits) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    do_chmod(current, &place, mode.0)
}

/// fchmodat(2), as the kernel has it: without flags.
pub fn fchmodat(current: &mut Current, dirfd: DirFd, path: UserPath, mode: ModeBits) -> Result<()> {
    let place = lookup(current, dirfd, path, true)?;
    do_chmod(current, &place, mode.0)
}

/// fchmodat2(2).
pub fn fchmodat2(current: &mut Current, dirfd: DirFd, path: UserPath, mode: ModeBits, flags: AtFlags) -> Result<()> {
    if flags.bits() & !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    let place = lookup_or_descriptor(current, dirfd, path, follow, flags.contains(AtFlags::EMPTY_PATH))?.path()?;
    do_chmod(current, &place, mode.0)
}

/// The place of a descriptor whose file's attributes are to be changed.
fn place_of(current: &Current, fd: Fd) -> Result<Path> {
    let file = current.files().get(fd.0)?;
    file.operations()?;
    file.path().cloned().ok_or(Errno::EINVAL)
}

/// fchmod(2).
pub fn fchmod(current: &mut Current, fd: Fd, mode: ModeBits) -> Result<()> {
    let place = place_of(current, fd)?;
    do_chmod(current, &place, mode.0)
}

fn do_chown(current: &Current, path: &Path, uid: u32, gid: u32) -> Result<()> {
    path.mount.check_writable()?;
    let attributes = path.inode()?.attributes()?;
    let credentials = current.credentials();
    let (uid, gid) = ((uid != u32::MAX).then_some(uid), (gid != u32::MAX).then_some(gid));
    if !credentials.has(CapabilitySet::CHOWN) {
        let own = credentials.fsuid == attributes.uid;
        if uid.is_some_and(|u| !own || u != attributes.uid)
            || gid.is_some_and(|g| !own || (g != attributes.gid && !credentials.is_in_group(g)))
        {
            return Err(Errno::EPERM);
        }
    }
    let mode = attributes.mode.permissions();
    let mut set = SetAttributes { uid, gid, ..SetAttributes::default() };
    if attributes.mode.file_type() != FileType::Directory {
        // A change of owner takes the set-id bits, also from the privileged (chown_common).
        let mut kept = mode & !S_ISUID;
        if mode & 0o010 != 0 {
            kept &= !S_ISGID;
        }
        set.permissions = (kept != mode).then_some(kept);
    }
    change(path, &set)
}

/// chown(2).
pub fn chown(current: &mut Current, path: UserPath, uid: u32, gid: u32) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    do_chown(current, &place, uid, gid)
}

/// lchown(2).
pub fn lchown(current: &mut Current, path: UserPath, uid: u32, gid: u32) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, false)?;
    do_chown(current, &place, uid, gid)
}

/// fchown(2).
pub fn fchown(current: &mut Current, fd: Fd, uid: u32, gid: u32) -> Result<()> {
    let place = place_of(current, fd)?;
    do_chown(current, &place, uid, gid)
}

/// fchownat(2).
pub fn fchownat(current: &mut Current, dirfd: DirFd, path: UserPath, uid: u32, gid: u32, flags: AtFlags) -> Result<()> {
    if flags.bits() & !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    let place = lookup_or_descriptor(current, dirfd, path, follow, flags.contains(AtFlags::EMPTY_PATH))?.path()?;
    do_chown(current, &place, uid, gid)
}

/// umask(2).
pub fn umask(current: &mut Current, mask: ModeBits) -> Result<u32> {
    Ok(current.fs().set_umask(mask.0))
}

/// The times to set; `None` leaves one alone. `EINVAL` for nanoseconds out of range.
fn set_time(time: Timespec) -> Result<Option<SetTime>> {
    match time.tv_nsec {
        UTIME_NOW => Ok(Some(SetTime::Now)),
        UTIME_OMIT => Ok(None),
        0..=999_999_999 => Ok(Some(SetTime::To(time))),
        _ => Err(Errno::EINVAL),
    }
}

fn do_utimes(current: &Current, path: &Path, times: Option<[Timespec; 2]>) -> Result<()> {
    let (atime, mtime) = match times {
        None => (Some(SetTime::Now), Some(SetTime::Now)),
        Some([a, m]) => (set_time(a)?, set_time(m)?),
    };
    if atime.is_none() && mtime.is_none() {
        return Ok(());
    }
    path.mount.check_writable()?;
    let attributes = path.inode()?.attributes()?;
    let credentials = current.credentials();
    if permission::check_owner(&attributes, &credentials).is_err() {
        // Who may write may also set both to the present.
        let both_now = atime == Some(SetTime::Now) && mtime == Some(SetTime::Now);
        if !both_now {
            return Err(Errno::EPERM);
        }
        permission::check_attributes(&attributes, &credentials, Access::WRITE)?;
    }
    change(path, &SetAttributes { atime, mtime, ..SetAttributes::default() })
}

fn from_timevals(times: Option<[Timeval; 2]>) -> Result<Option<[Timespec; 2]>> {
    let Some(times) = times else { return Ok(None) };
    if times.iter().any(|t| !(0..1_000_000).contains(&t.tv_usec)) {
        return Err(Errno::EINVAL);
    }
    Ok(Some(times.map(|t| Timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_usec * 1000 })))
}

/// utimensat(2). A NULL path means the descriptor.
pub fn utimensat(
    current: &mut Current,
    dirfd: DirFd,
    path: UserPath,
    times: In<[Timespec; 2]>,
    flags: AtFlags,
) -> Result<()> {
    if flags.bits() & !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let times = times.read_if(&current.memory())?;
    let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
    if path.0 == 0 && dirfd == DirFd::CWD {
        return Err(Errno::EFAULT);
    }
    let empty = path.0 == 0 || flags.contains(AtFlags::EMPTY_PATH);
    let place = lookup_or_descriptor(current, dirfd, path, follow, empty)?.path()?;
    do_utimes(current, &place, times)
}

/// futimesat(2).
pub fn futimesat(current: &mut Current, dirfd: DirFd, path: UserPath, times: In<[Timeval; 2]>) -> Result<()> {
    let times = from_timevals(times.read_if(&current.memory())?)?;
    let place = lookup_or_descriptor(current, dirfd, path, true, path.0 == 0)?.path()?;
    do_utimes(current, &place, times)
}

/// utimes(2).
pub fn utimes(current: &mut Current, path: UserPath, times: In<[Timeval; 2]>) -> Result<()> {
    let times = from_timevals(times.read_if(&current.memory())?)?;
    let place = lookup(current, DirFd::CWD, path, true)?;
    do_utimes(current, &place, times)
}

/// utime(2).
pub fn utime(current: &mut Current, path: UserPath, times: In<[i64; 2]>) -> Result<()> {
    let times = times.read_if(&current.memory())?;
    let place = lookup(current, DirFd::CWD, path, true)?;
    do_utimes(current, &place, times.map(|t| t.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 })))
}

/// truncate(2).
pub fn truncate(current: &mut Current, path: UserPath, length: i64) -> Result<()> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let place = lookup(current, DirFd::CWD, path, true)?;
    let inode = place.inode()?;
    match inode.file_type() {
        FileType::Regular => {}
        FileType::Directory => return Err(Errno::EISDIR),
        _ => return Err(Errno::EINVAL),
    }
    place.mount.check_writable()?;
    let attributes = inode.attributes()?;
    let credentials = current.credentials();
    permission::check_attributes(&attributes, &credentials, Access::WRITE)?;
    let _access = WriteAccess::get(&attributes)?;
    super::file::within_size_limit(current, length.saturating_sub(1), 1)?;
    inode.set_attributes(&open::truncation(&attributes, &credentials, length))?;
    notify::truncated(&place.dentry);
    Ok(())
}

fn statfs_of(path: &Path) -> Result<Statfs> {
    const ST_VALID: i64 = 0x20;
    let mut statfs = path.mount.filesystem.statfs()?;
    let flags = path.mount.flags();
    statfs.f_flags = ST_VALID;
    for (flag, bit) in [
        (MountFlags::RDONLY, 1),
        (MountFlags::NOSUID, 2),
        (MountFlags::NODEV, 4),
        (MountFlags::NOEXEC, 8),
        (MountFlags::NOATIME, 0x400),
        (MountFlags::NODIRATIME, 0x800),
        (MountFlags::RELATIME, 0x1000),
    ] {
        if flags.contains(flag) {
            statfs.f_flags |= bit;
        }
    }
    Ok(statfs)
}

/// statfs(2).
pub fn statfs(current: &mut Current, path: UserPath, out: Out<Statfs>) -> Result<()> {
    let place = lookup(current, DirFd::CWD, path, true)?;
    out.write(&current.memory(), &statfs_of(&place)?)
}

/// fstatfs(2).
pub fn fstatfs(current: &mut Current, fd: Fd, out: Out<Statfs>) -> Result<()> {
    const PIPEFS_MAGIC: i64 = 0x5049_5045;
    let file = current.files().get(fd.0)?;
    let statfs = match file.path() {
        Some(path) => statfs_of(path)?,
        None => Statfs { f_type: PIPEFS_MAGIC, f_bsize: 4096, f_namelen: 255, f_frsize: 4096, ..Statfs::default() },
    };
    out.write(&current.memory(), &statfs)
}
