//! Attributes, as they travel.

use moat_abi::plain;
use moat_abi::time::{Timespec, UTIME_NOW, UTIME_OMIT};

plain! {
    /// What `statx` says of a file.
    pub struct Attributes [112] {
        /// The host's device number.
        device: u64,
        /// Inode number.
        inode: u64,
        /// Type and permissions.
        mode: u32,
        /// Hard links.
        links: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Of device nodes.
        rdev: u64,
        /// Bytes.
        size: u64,
        /// 512-byte blocks.
        blocks: u64,
        /// Preferred block size, in bytes.
        block_size: u32,
        /// Nanoseconds of the creation time.
        btime_nanoseconds: u32,
        /// Seconds of the creation time; `i64::MIN` if it is not known.
        btime_seconds: i64,
        /// Seconds of the last access.
        atime_seconds: i64,
        /// Seconds of the last change of the contents.
        mtime_seconds: i64,
        /// Seconds of the last change of the attributes.
        ctime_seconds: i64,
        /// Nanoseconds of the last access.
        atime_nanoseconds: u32,
        /// Nanoseconds of the last change of the contents.
        mtime_nanoseconds: u32,
        /// Nanoseconds of the last change of the attributes.
        ctime_nanoseconds: u32,
        /// Zero.
        reserved: u32,
    }
}

/// `btime_seconds` of files whose creation time is not known.
pub const NO_BTIME: i64 = i64::MIN;

impl Attributes {
    /// Whether they can be a file's: a type that exists, sizes and times in range.
    pub fn is_sound(&self) -> bool {
        const BILLION: u32 = 1_000_000_000;
        matches!(self.mode >> 12, 1 | 2 | 4 | 6 | 8 | 10 | 12)
            && i64::try_from(self.size).is_ok()
            && self.atime_nanoseconds < BILLION
            && self.mtime_nanoseconds < BILLION
            && self.ctime_nanoseconds < BILLION
            && self.btime_nanoseconds < BILLION
    }
}

plain! {
    /// A file that the gofer holds for the sentry.
    pub struct Node [128] {
        /// Its handle, until it is closed; never 0.
        handle: u64,
        /// Bits of [`node_flags`].
        flags: u32,
        /// The number of the watch on it; 0 for none.
        watch: i32,
        /// Its attributes.
        attributes: Attributes,
    }
}

/// What else is to be known of a node.
pub mod node_flags {
    /// Nothing in it is shown: a mount of a filesystem of the host kernel's own, such as procfs.
    pub const OPAQUE: u32 = 1;
    /// It is in a root that is [`owned`](crate::Root::owned).
    pub const OWNED: u32 = 2;
    /// It is in a root that is [`read_only`](crate::Root::read_only).
    pub const READ_ONLY: u32 = 4;
    /// If others change its attributes, that is told: by its own watch, or by the one on the directory that it was found
    /// in.
    pub const WATCHED: u32 = 8;
}

plain! {
    /// Attributes to change.
    pub struct Change [64] {
        /// Bits of [`change`].
        mask: u32,
        /// Permission bits.
        permissions: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Bytes.
        size: u64,
        /// Access time.
        atime_seconds: i64,
        /// Its nanoseconds, or `UTIME_NOW`.
        atime_nanoseconds: i64,
        /// Modification time.
        mtime_seconds: i64,
        /// Its nanoseconds, or `UTIME_NOW`.
        mtime_nanoseconds: i64,
        /// Zero.
        reserved: u64,
    }
}

/// Which fields of a [`Change`] count.
pub mod change {
    /// `permissions`.
    pub const PERMISSIONS: u32 = 1;
    /// `uid`.
    pub const UID: u32 = 2;
    /// `gid`.
    pub const GID: u32 = 4;
    /// `size`.
    pub const SIZE: u32 = 8;
    /// The access time.
    pub const ATIME: u32 = 16;
    /// The modification time.
    pub const MTIME: u32 = 32;
    /// All of them.
    pub const ALL: u32 = 63;
}

impl Change {
    /// Whether all of it is in range.
    pub fn is_sound(&self) -> bool {
        let time = |nanoseconds: i64| nanoseconds == UTIME_NOW || (0..1_000_000_000).contains(&nanoseconds);
        self.mask & !change::ALL == 0
            && self.permissions <= 0o7777
            && i64::try_from(self.size).is_ok()
            && (self.mask & change::UID == 0 || self.uid != u32::MAX)
            && (self.mask & change::GID == 0 || self.gid != u32::MAX)
            && (self.mask & change::ATIME == 0 || time(self.atime_nanoseconds))
            && (self.mask & change::MTIME == 0 || time(self.mtime_nanoseconds))
    }

    /// Access and modification time as `utimensat` takes them; `None` if neither changes.
    pub fn times(&self) -> Option<[Timespec; 2]> {
        if self.mask & (change::ATIME | change::MTIME) == 0 {
            return None;
        }
        let pick = |bit, tv_sec, tv_nsec| {
            if self.mask & bit != 0 {
                Timespec { tv_sec, tv_nsec }
            } else {
                Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }
            }
        };
        Some([
            pick(change::ATIME, self.atime_seconds, self.atime_nanoseconds),
            pick(change::MTIME, self.mtime_seconds, self.mtime_nanoseconds),
        ])
    }
}
