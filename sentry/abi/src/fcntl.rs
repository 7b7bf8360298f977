//! open(2), openat2(2), fcntl(2), fallocate(2), rename(2).

use crate::plain;

bitflags::bitflags! {
    /// Flags of open(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct OpenFlags: u32 {
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const CREAT = 0o100;
        const EXCL = 0o200;
        const NOCTTY = 0o400;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const NONBLOCK = 0o4000;
        const DSYNC = 0o10000;
        const ASYNC = 0o20000;
        const DIRECT = 0o40000;
        const LARGEFILE = 0o100000;
        const DIRECTORY = 0o200000;
        const NOFOLLOW = 0o400000;
        const NOATIME = 0o1000000;
        const CLOEXEC = 0o2000000;
        const SYNC = 0o4010000;
        const PATH = 0o10000000;
        const TMPFILE = 0o20200000;
        const _ = !0;
    }
    /// Flags of the *at calls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct AtFlags: u32 {
        const SYMLINK_NOFOLLOW = 0x100;
        /// The same bit is AT_EACCESS for faccessat.
        const REMOVEDIR = 0x200;
        const SYMLINK_FOLLOW = 0x400;
        const NO_AUTOMOUNT = 0x800;
        const EMPTY_PATH = 0x1000;
        const STATX_FORCE_SYNC = 0x2000;
        const STATX_DONT_SYNC = 0x4000;
        const _ = !0;
    }
    /// `RESOLVE_*` of openat2(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ResolveFlags: u64 {
        const NO_XDEV = 1;
        const NO_MAGICLINKS = 2;
        const NO_SYMLINKS = 4;
        const BENEATH = 8;
        const IN_ROOT = 0x10;
        const CACHED = 0x20;
        const _ = !0;
    }
    /// Modes of fallocate(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct FallocateFlags: u32 {
        const KEEP_SIZE = 1;
        const PUNCH_HOLE = 2;
        const COLLAPSE_RANGE = 8;
        const ZERO_RANGE = 0x10;
        const INSERT_RANGE = 0x20;
        const UNSHARE_RANGE = 0x40;
        const _ = !0;
    }
    /// Flags of renameat2(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct RenameFlags: u32 {
        const NOREPLACE = 1;
        const EXCHANGE = 2;
        const WHITEOUT = 4;
        const _ = !0;
    }
}

impl OpenFlags {
    /// Every flag that Linux knows, the access mode included; what open(2) does not ignore.
    pub const fn all_known() -> Self {
        Self::from_bits_retain(0o37777703)
    }

    /// Whether the access mode lets read. Mode 3 lets neither.
    pub fn readable(self) -> bool {
        !self.contains(Self::PATH) && matches!(self.bits() & 3, 0 | 2)
    }

    /// Whether the access mode lets write.
    pub fn writable(self) -> bool {
        !self.contains(Self::PATH) && matches!(self.bits() & 3, 1 | 2)
    }
}

/// The directory descriptor that means the working directory.
pub const AT_FDCWD: i32 = -100;

pub const F_DUPFD: i32 = 0;
pub const F_GETFD: i32 = 1;
pub const F_SETFD: i32 = 2;
pub const F_GETFL: i32 = 3;
pub const F_SETFL: i32 = 4;
pub const F_GETLK: i32 = 5;
pub const F_SETLK: i32 = 6;
pub const F_SETLKW: i32 = 7;
pub const F_SETOWN: i32 = 8;
pub const F_GETOWN: i32 = 9;
pub const F_SETSIG: i32 = 10;
pub const F_GETSIG: i32 = 11;
pub const F_SETOWN_EX: i32 = 15;
pub const F_GETOWN_EX: i32 = 16;
pub const F_OFD_GETLK: i32 = 36;
pub const F_OFD_SETLK: i32 = 37;
pub const F_OFD_SETLKW: i32 = 38;
pub const F_SETLEASE: i32 = 1024;
pub const F_GETLEASE: i32 = 1025;
pub const F_NOTIFY: i32 = 1026;
pub const F_DUPFD_CLOEXEC: i32 = 1030;
pub const F_SETPIPE_SZ: i32 = 1031;
pub const F_GETPIPE_SZ: i32 = 1032;
pub const F_ADD_SEALS: i32 = 1033;
pub const F_GET_SEALS: i32 = 1034;

pub const F_RDLCK: i16 = 0;
pub const F_WRLCK: i16 = 1;
pub const F_UNLCK: i16 = 2;

pub const LOCK_SH: i32 = 1;
pub const LOCK_EX: i32 = 2;
pub const LOCK_NB: i32 = 4;
pub const LOCK_UN: i32 = 8;

pub const FD_CLOEXEC: u64 = 1;

plain! { pub struct Flock [32] { l_type: i16, l_whence: i16, pad: i32, l_start: i64, l_len: i64, l_pid: i32, pad2: i32, } }
plain! { pub struct OpenHow [24] { flags: u64, mode: u64, resolve: u64, } }
plain! { pub struct FOwnerEx [8] { kind: i32, pid: i32, } }
