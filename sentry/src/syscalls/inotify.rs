//! inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2).

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::inotify::InotifyMask;
use moat_abi::stat::FileType;

use super::arguments::{DirFd, Fd, UserPath};
use super::descriptors::install;
use super::event::check_flags;
use super::open::lookup;
use crate::Result;
use crate::fs::inotify::Inotify;
use crate::fs::permission::{self, Access};
use crate::kernel::Current;

/// inotify_init(2).
pub fn inotify_init(current: &mut Current) -> Result<Fd> {
    inotify_init1(current, OpenFlags::empty())
}

/// inotify_init1(2).
pub fn inotify_init1(current: &mut Current, flags: OpenFlags) -> Result<Fd> {
    check_flags(flags)?;
    install(current, Inotify::open(flags & OpenFlags::NONBLOCK), flags.contains(OpenFlags::CLOEXEC))
}

/// inotify_add_watch(2).
pub fn inotify_add_watch(current: &mut Current, fd: Fd, path: UserPath, mask: u32) -> Result<i32> {
    let mask = InotifyMask::from_bits_retain(mask);
    let known = InotifyMask::ALL_EVENTS
        | InotifyMask::UNMOUNT
        | InotifyMask::Q_OVERFLOW
        | InotifyMask::IGNORED
        | InotifyMask::ONLYDIR
        | InotifyMask::DONT_FOLLOW
        | InotifyMask::EXCL_UNLINK
        | InotifyMask::MASK_CREATE
        | InotifyMask::MASK_ADD
        | InotifyMask::ISDIR
        | InotifyMask::ONESHOT;
    if !mask.intersects(known) {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    if mask.contains(InotifyMask::MASK_ADD | InotifyMask::MASK_CREATE) {
        return Err(Errno::EINVAL);
    }
    let inotify = file.downcast::<Inotify>().ok_or(Errno::EINVAL)?;
    let place = lookup(current, DirFd::CWD, path, !mask.contains(InotifyMask::DONT_FOLLOW))?;
    let inode = place.inode()?;
    if mask.contains(InotifyMask::ONLYDIR) && inode.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    permission::check(inode, &current.credentials(), Access::READ)?;
    inotify.watch(inode, mask)
}

/// inotify_rm_watch(2).
pub fn inotify_rm_watch(current: &mut Current, fd: Fd, wd: i32) -> Result<()> {
    let file = current.files().get(fd.0)?;
    file.downcast::<Inotify>().ok_or(Errno::EINVAL)?.remove(wd)
}
