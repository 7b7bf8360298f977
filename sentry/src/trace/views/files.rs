//! Files and descriptors.

use moat_abi::fcntl::OpenFlags;

use crate::trace::show::{Show, View, choices, flags};
use crate::trace::structures::{show_device, show_mode};

choices! {
    /// From where lseek counts.
    Whence "SEEK_???" { SEEK_SET 0 SEEK_CUR 1 SEEK_END 2 SEEK_DATA 3 SEEK_HOLE 4 }
    /// Advice of fadvise64.
    FileAdvice "POSIX_FADV_???" {
        POSIX_FADV_NORMAL 0 POSIX_FADV_RANDOM 1 POSIX_FADV_SEQUENTIAL 2 POSIX_FADV_WILLNEED 3 POSIX_FADV_DONTNEED 4
        POSIX_FADV_NOREUSE 5
    }
    /// Which filesystem (`f_type` of statfs).
    FilesystemMagic "???_MAGIC" {
        EXT2_SUPER_MAGIC 0xef53 TMPFS_MAGIC 0x01021994 PROC_SUPER_MAGIC 0x9fa0 SYSFS_MAGIC 0x62656572
        DEVPTS_SUPER_MAGIC 0x1cd1 OVERLAYFS_SUPER_MAGIC 0x794c7630 CGROUP_SUPER_MAGIC 0x27e0eb
        CGROUP2_SUPER_MAGIC 0x63677270 PIPEFS_MAGIC 0x50495045 SOCKFS_MAGIC 0x534f434b BTRFS_SUPER_MAGIC 0x9123683e
        XFS_SUPER_MAGIC 0x58465342 ANON_INODE_FS_MAGIC 0x09041934 RAMFS_MAGIC 0x858458f6 MQUEUE_MAGIC 0x19800202
    }
}

flags! {
    /// What access asks for.
    AccessMode "?_OK" { F_OK 0 R_OK 4 W_OK 2 X_OK 1 }
    /// Operations of flock.
    FlockOperation "LOCK_???" { LOCK_SH 1 LOCK_EX 2 LOCK_UN 8 LOCK_NB 4 }
    /// Which fields statx asks for.
    StatxMask "STATX_???" {
        STATX_ALL 0xfff STATX_BASIC_STATS 0x7ff STATX_TYPE 1 STATX_MODE 2 STATX_NLINK 4 STATX_UID 8 STATX_GID 0x10
        STATX_ATIME 0x20 STATX_MTIME 0x40 STATX_CTIME 0x80 STATX_INO 0x100 STATX_SIZE 0x200 STATX_BLOCKS 0x400
        STATX_BTIME 0x800 STATX_MNT_ID 0x1000 STATX_DIOALIGN 0x2000
    }
    /// Attributes that statx found.
    StatxAttributes "STATX_ATTR_???" {
        STATX_ATTR_COMPRESSED 4 STATX_ATTR_IMMUTABLE 0x10 STATX_ATTR_APPEND 0x20 STATX_ATTR_NODUMP 0x40
        STATX_ATTR_ENCRYPTED 0x800 STATX_ATTR_AUTOMOUNT 0x1000 STATX_ATTR_MOUNT_ROOT 0x2000 STATX_ATTR_VERITY 0x100000
        STATX_ATTR_DAX 0x200000
    }
    /// Flags of a mounted filesystem.
    StatfsFlags "ST_???" {
        ST_VALID 0x20 ST_RDONLY 1 ST_NOSUID 2 ST_NODEV 4 ST_NOEXEC 8 ST_SYNCHRONOUS 0x10 ST_MANDLOCK 0x40
        ST_NOATIME 0x400 ST_NODIRATIME 0x800 ST_RELATIME 0x1000
    }
    /// Flags of splice and its kin.
    SpliceFlags "SPLICE_F_???" { SPLICE_F_MOVE 1 SPLICE_F_NONBLOCK 2 SPLICE_F_MORE 4 SPLICE_F_GIFT 8 }
    /// Flags of preadv2 and pwritev2.
    ReadWriteFlags "RWF_???" { RWF_HIPRI 1 RWF_DSYNC 2 RWF_SYNC 4 RWF_NOWAIT 8 RWF_APPEND 0x10 }
    /// Flags of close_range.
    CloseRangeFlags "CLOSE_RANGE_???" { CLOSE_RANGE_UNSHARE 2 CLOSE_RANGE_CLOEXEC 4 }
    /// Flags of sync_file_range.
    SyncRangeFlags "SYNC_FILE_RANGE_???" {
        SYNC_FILE_RANGE_WAIT_BEFORE 1 SYNC_FILE_RANGE_WRITE 2 SYNC_FILE_RANGE_WAIT_AFTER 4
    }
    /// Flags of umount2.
    UnmountFlags "MNT_???" { MNT_FORCE 1 MNT_DETACH 2 MNT_EXPIRE 4 UMOUNT_NOFOLLOW 8 }
    /// Flags of unlinkat.
    UnlinkFlags "AT_???" { AT_REMOVEDIR 0x200 }
    /// Flags of faccessat2.
    AccessFlags "AT_???" { AT_SYMLINK_NOFOLLOW 0x100 AT_EACCESS 0x200 AT_EMPTY_PATH 0x1000 }
    /// Flags of setxattr.
    XattrFlags "XATTR_???" { XATTR_CREATE 1 XATTR_REPLACE 2 }
    /// Events of inotify.
    InotifyMask "IN_???" {
        IN_ACCESS 1 IN_MODIFY 2 IN_ATTRIB 4 IN_CLOSE_WRITE 8 IN_CLOSE_NOWRITE 0x10 IN_OPEN 0x20 IN_MOVED_FROM 0x40
        IN_MOVED_TO 0x80 IN_CREATE 0x100 IN_DELETE 0x200 IN_DELETE_SELF 0x400 IN_MOVE_SELF 0x800 IN_UNMOUNT 0x2000
        IN_Q_OVERFLOW 0x4000 IN_IGNORED 0x8000 IN_ONLYDIR 0x1000000 IN_DONT_FOLLOW 0x2000000 IN_EXCL_UNLINK 0x4000000
        IN_MASK_CREATE 0x10000000 IN_MASK_ADD 0x20000000 IN_ISDIR 0x40000000 IN_ONESHOT 0x80000000
    }
    /// Flags of descriptors of pipes and their like, which may be O_CLOEXEC and O_NONBLOCK.
    DescriptorFlags "O_???" { O_NONBLOCK 0o4000 O_DIRECT 0o40000 O_CLOEXEC 0o2000000 }
    /// Flags of eventfd2.
    EventFdFlags "EFD_???" { EFD_SEMAPHORE 1 EFD_CLOEXEC 0o2000000 EFD_NONBLOCK 0o4000 }
    /// Flags of timerfd_create.
    TimerFdFlags "TFD_???" { TFD_CLOEXEC 0o2000000 TFD_NONBLOCK 0o4000 }
    /// Flags of signalfd4.
    SignalFdFlags "SFD_???" { SFD_CLOEXEC 0o2000000 SFD_NONBLOCK 0o4000 }
    /// Flags of inotify_init1.
    InotifyFlags "IN_???" { IN_CLOEXEC 0o2000000 IN_NONBLOCK 0o4000 }
    /// Flags of pidfd_open.
    PidfdFlags "PIDFD_???" { PIDFD_NONBLOCK 0o4000 PIDFD_THREAD 0o200 }
}

/// The access mode, then the flags, in strace's order.
pub fn show_open_flags(flags: OpenFlags, to: &mut Show<'_>) {
    const NAMES: &[(u64, &str)] = &[
        (0o100, "O_CREAT"),
        (0o200, "O_EXCL"),
        (0o400, "O_NOCTTY"),
        (0o1000, "O_TRUNC"),
        (0o2000, "O_APPEND"),
        (0o4000, "O_NONBLOCK"),
        (0o4010000, "O_SYNC"),
        (0o20000, "O_ASYNC"),
        (0o10000, "O_DSYNC"),
        (0o40000, "O_DIRECT"),
        (0o100000, "O_LARGEFILE"),
        (0o400000, "O_NOFOLLOW"),
        (0o1000000, "O_NOATIME"),
        (0o2000000, "O_CLOEXEC"),
        (0o10000000, "O_PATH"),
        (0o20200000, "O_TMPFILE"),
        (0o200000, "O_DIRECTORY"),
    ];
    to.str(["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][(flags.bits() & 3) as usize]);
    let rest = u64::from(flags.bits() & !3);
    if rest != 0 {
        to.str("|");
        to.flags(rest, NAMES, "O_???");
    }
}

/// The mode of open, which means something only if the file may be made; argument `FLAGS` tells.
pub struct CreateMode<const FLAGS: usize>;

impl<const FLAGS: usize> View for CreateMode<FLAGS> {
    fn show(raw: u64, to: &mut Show<'_>) {
        let flags = OpenFlags::from_bits_retain(to.argument(FLAGS) as u32);
        if flags.contains(OpenFlags::CREAT) || flags.contains(OpenFlags::TMPFILE) {
            to.permissions(raw as u32);
        }
    }
}

/// The mode of mknod, with the type.
pub struct NodeMode;

impl View for NodeMode {
    fn show(raw: u64, to: &mut Show<'_>) {
        show_mode(raw as u32, to);
    }
}

/// The device of mknod; argument `MODE` tells whether there is one.
pub struct Device<const MODE: usize>;

impl<const MODE: usize> View for Device<MODE> {
    fn show(raw: u64, to: &mut Show<'_>) {
        if matches!(to.argument(MODE) & 0o170000, 0o020000 | 0o060000) {
            show_device(raw, to);
        }
    }
}

/// Entries of a directory: how many.
pub struct Entries;

impl View for Entries {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        to.address(raw);
        let Some(len) = to.succeeded() else { return };
        let (mut at, mut count) = (0, 0);
        // Either kind of entry has its length behind two 64-bit words.
        while at < len {
            match to.read::<u16>(raw.wrapping_add(at + 16)) {
                Some(entry) if entry > 0 => at += u64::from(entry),
                _ => break,
            }
            count += 1;
        }
        to.put(format_args!(" /* {count} entries */"));
    }
}

/// A path that the call writes, with its NUL.
pub struct PathOut;

impl View for PathOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(_) => to.path(raw),
            None => to.address(raw),
        }
    }
}

/// An offset that may be NULL: `[4096]`, or `[4096] => [8192]` if the call moved it.
pub struct Offset;

impl View for Offset {
    const LATE: bool = true;
    const REMEMBERED: usize = 8;
    fn show(raw: u64, to: &mut Show<'_>) {
        match (to.read::<i64>(raw), to.before(raw)) {
            (Some(offset), Some(before)) if before != offset as u64 => {
                to.put(format_args!("[{}] => [{offset}]", before as i64));
            }
            (Some(offset), _) => to.put(format_args!("[{offset}]")),
            (None, _) => to.address(raw),
        }
    }
}
