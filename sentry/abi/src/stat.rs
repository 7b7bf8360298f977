//! stat(2), statx(2), statfs(2), inode(7).

use crate::plain;
use crate::time::Timespec;

/// Type and permissions of a file.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Mode(u32);

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    Fifo,
    CharDevice,
    Directory,
    BlockDevice,
    Regular,
    Symlink,
    Socket,
}

pub const S_IFMT: u32 = 0o170000;
pub const S_ISUID: u32 = 0o4000;
pub const S_ISGID: u32 = 0o2000;
pub const S_ISVTX: u32 = 0o1000;

impl FileType {
    /// The `S_IF*` bits.
    pub fn bits(self) -> u32 {
        match self {
            Self::Fifo => 0o010000,
            Self::CharDevice => 0o020000,
            Self::Directory => 0o040000,
            Self::BlockDevice => 0o060000,
            Self::Regular => 0o100000,
            Self::Symlink => 0o120000,
            Self::Socket => 0o140000,
        }
    }

    /// From the `S_IF*` bits of a mode; anything odd counts as a regular file.
    pub fn from_bits(mode: u32) -> Self {
        match mode & S_IFMT {
            0o010000 => Self::Fifo,
            0o020000 => Self::CharDevice,
            0o040000 => Self::Directory,
            0o060000 => Self::BlockDevice,
            0o120000 => Self::Symlink,
            0o140000 => Self::Socket,
            _ => Self::Regular,
        }
    }

    /// `DT_*` of getdents(2).
    pub fn directory_type(self) -> u8 {
        (self.bits() >> 12) as u8
    }
}

impl Mode {
    /// A mode with these type and permission bits.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// A mode of this type with these permissions.
    pub fn new(file_type: FileType, permissions: u32) -> Self {
        Self(file_type.bits() | (permissions & 0o7777))
    }

    /// All bits.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The lower 12 bits.
    pub const fn permissions(self) -> u32 {
        self.0 & 0o7777
    }

    /// The type.
    pub fn file_type(self) -> FileType {
        FileType::from_bits(self.0)
    }

    /// The same type with other permissions.
    pub fn with_permissions(self, permissions: u32) -> Self {
        Self((self.0 & S_IFMT) | (permissions & 0o7777))
    }
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#o}", self.0)
    }
}

plain! {
    pub struct Stat [144] {
        st_dev: u64,
        st_ino: u64,
        st_nlink: u64,
        st_mode: u32,
        st_uid: u32,
        st_gid: u32,
        pad0: u32,
        st_rdev: u64,
        st_size: i64,
        st_blksize: i64,
        st_blocks: i64,
        st_atim: Timespec,
        st_mtim: Timespec,
        st_ctim: Timespec,
        unused: [i64; 3],
    }
}

plain! { pub struct StatxTimestamp [16] { tv_sec: i64, tv_nsec: u32, reserved: i32, } }

plain! {
    pub struct Statx [256] {
        stx_mask: u32,
        stx_blksize: u32,
        stx_attributes: u64,
        stx_nlink: u32,
        stx_uid: u32,
        stx_gid: u32,
        stx_mode: u16,
        pad0: u16,
        stx_ino: u64,
        stx_size: u64,
        stx_blocks: u64,
        stx_attributes_mask: u64,
        stx_atime: StatxTimestamp,
        stx_btime: StatxTimestamp,
        stx_ctime: StatxTimestamp,
        stx_mtime: StatxTimestamp,
        stx_rdev_major: u32,
        stx_rdev_minor: u32,
        stx_dev_major: u32,
        stx_dev_minor: u32,
        stx_mnt_id: u64,
        spare: [u64; 13],
    }
}

pub const STATX_BASIC_STATS: u32 = 0x7ff;
pub const STATX_BTIME: u32 = 0x800;
pub const STATX_MNT_ID: u32 = 0x1000;
pub const STATX_RESERVED: u32 = 0x8000_0000;
pub const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;

plain! {
    pub struct Statfs [120] {
        f_type: i64,
        f_bsize: i64,
        f_blocks: u64,
        f_bfree: u64,
        f_bavail: u64,
        f_files: u64,
        f_ffree: u64,
        f_fsid: [i32; 2],
        f_namelen: i64,
        f_frsize: i64,
        f_flags: i64,
        f_spare: [i64; 4],
    }
}

/// A device number from its parts (makedev(3), kernel encoding of `struct stat`).
pub const fn makedev(major: u32, minor: u32) -> u64 {
    ((minor & 0xff) | ((major & 0xfff) << 8)) as u64
        | (((minor & !0xff) as u64) << 12)
        | (((major & !0xfff) as u64) << 32)
}

/// The major number.
pub const fn major(device: u64) -> u32 {
    (((device >> 8) & 0xfff) | ((device >> 32) & !0xfff)) as u32
}

/// The minor number.
pub const fn minor(device: u64) -> u32 {
    ((device & 0xff) | ((device >> 12) & !0xff)) as u32
}
