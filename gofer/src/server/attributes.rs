//! Attributes: reading and changing them; statfs; sync.

use std::os::fd::{AsFd, OwnedFd};

use moat_abi::stat::{FileType, Statfs, makedev};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, StatxFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::handles::Node;
use super::{Answer, Failure, ITSELF, Server, number};
use crate::protocol::attributes::{Change, NO_BTIME, change};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, Attributes, sync};

/// The attributes of the file that `fd` stands for.
pub(super) fn of(fd: impl AsFd) -> Result<Attributes, Errno> {
    let s = rustix::fs::statx(fd, c"", ITSELF, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let known = s.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(Attributes {
        device: makedev(s.stx_dev_major, s.stx_dev_minor),
        inode: s.stx_ino,
        mode: u32::from(s.stx_mode),
        links: s.stx_nlink,
        uid: s.stx_uid,
        gid: s.stx_gid,
        rdev: makedev(s.stx_rdev_major, s.stx_rdev_minor),
        size: s.stx_size,
        blocks: s.stx_blocks,
        block_size: s.stx_blksize,
        btime_nanoseconds: if known { s.stx_btime.tv_nsec } else { 0 },
        btime_seconds: if known { s.stx_btime.tv_sec } else { NO_BTIME },
        atime_seconds: s.stx_atime.tv_sec,
        mtime_seconds: s.stx_mtime.tv_sec,
        ctime_seconds: s.stx_ctime.tv_sec,
        atime_nanoseconds: s.stx_atime.tv_nsec,
        mtime_nanoseconds: s.stx_mtime.tv_nsec,
        ctime_nanoseconds: s.stx_ctime.tv_nsec,
        reserved: 0,
    })
}

/// Device and inode number of a name in a directory; zeros if they can't be told.
pub(super) fn number_of(directory: impl AsFd, name: &[u8]) -> [u64; 2] {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(directory, name, flags, StatxFlags::INO) {
        Ok(s) => [makedev(s.stx_dev_major, s.stx_dev_minor), s.stx_ino],
        Err(_) => [0; 2],
    }
}

impl Server {
    pub(super) fn get_attributes(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        body.finish()?;
        reply.put(&of(&self.node(target.handle)?.fd)?);
        Ok(None)
    }

    pub(super) fn set_attributes(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let set: protocol::SetAttributes = body.take()?;
        body.finish()?;
        if !set.change.is_sound() {
            return Err(Failure::Malformed);
        }
        let node = self.changeable(set.handle)?;
        self.change(&node, &set.change)?;
        reply.put(&of(&node.fd)?);
        Ok(None)
    }

    fn change(&self, node: &Node, to: &Change) -> Result<(), Errno> {
        if to.mask & change::SIZE != 0 {
            match node.kind {
                FileType::Regular => {}
                FileType::Directory => return Err(Errno::ISDIR),
                _ => return Err(Errno::INVAL),
            }
            let file = self.reopen(&node.fd, OFlags::WRONLY)?;
            rustix::fs::ftruncate(file, to.size)?;
        }
        if to.mask & (change::UID | change::GID) != 0 {
            let uid = (to.mask & change::UID != 0).then(|| Uid::from_raw(to.uid));
            let gid = (to.mask & change::GID != 0).then(|| Gid::from_raw(to.gid));
            rustix::fs::chownat(&node.fd, c"", uid, gid, ITSELF)?;
        }
        // Behind the owner, whose change takes set-id bits away.
        if to.mask & change::PERMISSIONS != 0 {
            self.change_permissions(&node.fd, to.permissions)?;
        }
        if let Some(times) = to.times() {
            let [last_access, last_modification] =
                times.map(|t| Timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_nsec as _ });
            let times = Timestamps { last_access, last_modification };
            rustix::fs::utimensat(&self.descriptors, number(&node.fd), &times, AtFlags::empty())?;
        }
        Ok(())
    }

    /// chmod of what a descriptor stands for; a symbolic link refuses it (`EOPNOTSUPP`).
    pub(super) fn change_permissions(&self, fd: &OwnedFd, permissions: u32) -> Result<(), Errno> {
        rustix::fs::chmodat(&self.descriptors, number(fd), Mode::from_raw_mode(permissions), AtFlags::empty())
    }

    pub(super) fn stat_fs(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        body.finish()?;
        let s = rustix::fs::fstatfs(&self.shown(target.handle)?.fd)?;
        reply.put(&Statfs {
            f_type: s.f_type as _,
            f_bsize: s.f_bsize as _,
            f_blocks: s.f_blocks,
            f_bfree: s.f_bfree,
            f_bavail: s.f_bavail,
            f_files: s.f_files,
            f_ffree: s.f_ffree,
            f_namelen: s.f_namelen as _,
            f_frsize: s.f_frsize as _,
            f_flags: s.f_flags as _,
            ..Statfs::default()
        });
        Ok(None)
    }

    pub(super) fn sync(&self, mut body: Reader<'_>) -> Answer {
        let request: protocol::Sync = body.take()?;
        body.finish()?;
        if request.what > sync::FILESYSTEM {
            return Err(Failure::Malformed);
        }
        let node = self.shown(request.handle)?;
        if !matches!(node.kind, FileType::Regular | FileType::Directory) {
            return Err(Errno::INVAL.into());
        }
        let file = self.reopen(&node.fd, OFlags::RDONLY)?;
        match request.what {
            sync::FILE => rustix::fs::fsync(file)?,
            sync::DATA => rustix::fs::fdatasync(file)?,
            _ => rustix::fs::syncfs(file)?,
        }
        Ok(None)
    }
}
