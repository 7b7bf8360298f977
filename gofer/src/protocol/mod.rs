//! What sentry and gofer say to each other.
//!
//! A message is one packet of a `SOCK_SEQPACKET` socket: a header, a body of fixed layout, and for some requests names or
//! bytes behind it ([`wire`]). A connection carries one request at a time, and its reply; [`Opcode::Close`] alone has no
//! reply. At most one descriptor comes with a reply, or [`OPEN_MAX`] with that of [`Opcode::OpenAll`]; none with a request. The first request is [`Hello`].
//!
//! Both sides check all of it. What is malformed ends the connection; what merely cannot be done is an errno in the reply.

pub mod attributes;
pub mod wire;

pub use attributes::{Attributes, Change, Node};
use moat_abi::plain;

/// The version of everything in this module. Sentry and gofer are one binary; a mismatch means that it was replaced
/// between their starts.
pub const VERSION: u32 = 3;
/// First word of a hello.
pub const MAGIC: u32 = 0x7461_6f6d;
/// The longest message, with its header: an attribute value of 64 KiB and some names.
pub const MESSAGE_MAX: usize = 64 * 1024 + 4096;
/// The longest component of a path.
pub const NAME_MAX: usize = 255;
/// The longest path or text of a symbolic link, with its NUL.
pub const PATH_MAX: usize = 4096;
/// The longest value of an extended attribute.
pub const XATTR_MAX: usize = 64 * 1024;
/// The most components in one walk.
pub const WALK_MAX: usize = 64;
/// The most handles in one close.
pub const CLOSE_MAX: usize = 1024;
/// The most files that one request opens.
pub const OPEN_MAX: usize = 32;

/// Which extended attributes the sentry sees: its applications' own, file capabilities and access lists. What host security
/// modules or overlay filesystems keep there is nobody's business in a container.
pub fn is_shown(xattr: &[u8]) -> bool {
    xattr.starts_with(b"user.")
        || matches!(xattr, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Opcode {
    /// [`Hello`] → [`HelloReply`]. The first request of each connection, and only that.
    Hello = 1,
    /// [`Attach`] → [`Node`], and for an owned root that is watched a descriptor from which inotify's events are read.
    Attach,
    /// [`Walk`], names → [`WalkReply`], [`Node`]s.
    Walk,
    /// [`Target`] → [`Attributes`].
    GetAttributes,
    /// [`SetAttributes`] → [`Attributes`].
    SetAttributes,
    /// [`Open`] → [`Attributes`], a descriptor.
    Open,
    /// [`Make`], name → [`Made`], a descriptor that reads and writes.
    Create,
    /// [`Make`] → [`Node`], a descriptor that reads and writes.
    CreateAnonymous,
    /// [`Make`], name → [`Made`].
    MakeDirectory,
    /// [`Make`], name, text → [`Made`].
    Symlink,
    /// [`Make`], name → [`Made`].
    MakeNode,
    /// [`Link`], name → [`Linked`].
    Link,
    /// [`Remove`], name → [`Attributes`] of the directory.
    Remove,
    /// [`Rename`], name, name → [`Renamed`].
    Rename,
    /// [`Target`] → the text.
    ReadLink,
    /// [`ReadDirectory`] → [`ReadDirectoryReply`], [`Entry`]s each with its name.
    ReadDirectory,
    /// [`Target`], name → the value.
    GetXattr,
    /// [`SetXattr`], name, value → nothing.
    SetXattr,
    /// [`Target`] → names, each ended by a NUL.
    ListXattrs,
    /// [`Target`], name → nothing.
    RemoveXattr,
    /// [`Target`] → [`moat_abi::stat::Statfs`].
    StatFs,
    /// [`Sync`] → nothing.
    Sync,
    /// [`Connect`] → nothing, a connected socket.
    Connect,
    /// [`Make`] (the socket's type in `rdev`), name → [`Made`], a bound socket.
    Bind,
    /// Handles. No reply.
    Close,
    /// [`Walk`], names that are all in its directory → for each 1 and a [`Node`], or 0 for what could not be looked up.
    LookUpAll,
    /// [`OpenAll`], handles → for each 1, its [`Attributes`] and a descriptor that reads, or 0 for what could not be opened.
    OpenAll,
}

impl Opcode {
    const ALL: [Self; 27] = [
        Self::Hello,
        Self::Attach,
        Self::Walk,
        Self::GetAttributes,
        Self::SetAttributes,
        Self::Open,
        Self::Create,
        Self::CreateAnonymous,
        Self::MakeDirectory,
        Self::Symlink,
        Self::MakeNode,
        Self::Link,
        Self::Remove,
        Self::Rename,
        Self::ReadLink,
        Self::ReadDirectory,
        Self::GetXattr,
        Self::SetXattr,
        Self::ListXattrs,
        Self::RemoveXattr,
        Self::StatFs,
        Self::Sync,
        Self::Connect,
        Self::Bind,
        Self::Close,
        Self::LookUpAll,
        Self::OpenAll,
    ];

    /// The request of this number.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|&o| o as u32 == raw)
    }
}

plain! {
    /// Before each request.
    pub struct RequestHeader [16] {
        /// Bytes of the message, with this header.
        length: u32,
        /// An [`Opcode`].
        opcode: u32,
        /// Comes back in the reply.
        sequence: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// Before each reply. With an error nothing follows.
    pub struct ReplyHeader [16] {
        /// Bytes of the message, with this header.
        length: u32,
        /// 0, or Linux's number of the error.
        errno: u32,
        /// The request's.
        sequence: u32,
        /// How many descriptors come along: up to [`OPEN_MAX`].
        descriptors: u32,
    }
}

plain! {
    /// See [`Opcode::Hello`].
    pub struct Hello [8] {
        /// [`MAGIC`].
        magic: u32,
        /// [`VERSION`].
        version: u32,
    }
}

plain! {
    /// See [`Opcode::Hello`].
    pub struct HelloReply [16] {
        /// [`VERSION`].
        version: u32,
        /// How many roots there are.
        roots: u32,
        /// How many handles can be held at a time.
        handles: u64,
    }
}

plain! {
    /// See [`Opcode::Attach`].
    pub struct Attach [8] {
        /// Which root.
        root: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// A request about one handle.
    pub struct Target [8] {
        /// The handle.
        handle: u64,
    }
}

plain! {
    /// See [`Opcode::Walk`]. Stops behind a symbolic link and before a name that does not exist.
    pub struct Walk [16] {
        /// Where to begin: a directory.
        handle: u64,
        /// How many names follow: 1 to [`WALK_MAX`].
        count: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::Walk`].
    pub struct WalkReply [8] {
        /// How many nodes follow.
        count: u32,
        /// Why it stopped early, or 0.
        errno: u32,
    }
}

plain! {
    /// See [`Opcode::SetAttributes`].
    pub struct SetAttributes [72] {
        /// The handle.
        handle: u64,
        /// What to change.
        change: Change,
    }
}

plain! {
    /// See [`Opcode::Open`].
    pub struct Open [16] {
        /// The handle.
        handle: u64,
        /// Bits of [`access`].
        access: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::OpenAll`].
    pub struct OpenAll [8] {
        /// How many handles follow: 1 to [`OPEN_MAX`].
        count: u32,
        /// Zero.
        reserved: u32,
    }
}

/// How a file is opened.
pub mod access {
    /// For reading.
    pub const READ: u32 = 1;
    /// For writing.
    pub const WRITE: u32 = 2;
    /// Both.
    pub const BOTH: u32 = READ | WRITE;
}

plain! {
    /// What to make, where, whose.
    pub struct Make [32] {
        /// The directory.
        handle: u64,
        /// Permission bits; for [`Opcode::MakeNode`] with the type.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Zero.
        reserved: u32,
        /// Which device, or which type of socket.
        rdev: u64,
    }
}

plain! {
    /// What was made.
    pub struct Made [240] {
        /// It.
        node: Node,
        /// The directory's attributes now.
        directory: Attributes,
    }
}

plain! {
    /// See [`Opcode::Link`].
    pub struct Link [16] {
        /// The directory.
        handle: u64,
        /// What gets another name.
        target: u64,
    }
}

plain! {
    /// See [`Opcode::Link`].
    pub struct Linked [224] {
        /// The target's attributes now.
        target: Attributes,
        /// The directory's.
        directory: Attributes,
    }
}

plain! {
    /// See [`Opcode::Remove`].
    pub struct Remove [16] {
        /// The directory.
        handle: u64,
        /// Whether a directory is removed (1) or anything else (0).
        directory: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::Rename`].
    pub struct Rename [24] {
        /// The old directory.
        from: u64,
        /// The new one.
        to: u64,
        /// `RENAME_*`.
        flags: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::Rename`].
    pub struct Renamed [256] {
        /// The old directory's attributes now.
        from: Attributes,
        /// The new one's.
        to: Attributes,
        /// Device and inode number of what was moved; zeros if they could not be told.
        moved: [u64; 2],
        /// The same of what had the new name before; zeros if nothing had.
        replaced: [u64; 2],
    }
}

plain! {
    /// See [`Opcode::ReadDirectory`].
    pub struct ReadDirectory [32] {
        /// The directory.
        handle: u64,
        /// The stream that an earlier reply gave; 0 begins one.
        stream: u64,
        /// Where to go on; 0 is the beginning.
        position: u64,
        /// The most bytes of entries wanted.
        limit: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::ReadDirectory`].
    pub struct ReadDirectoryReply [16] {
        /// The stream to go on with, a handle like others; 0 if it was not kept.
        stream: u64,
        /// Entries that follow.
        count: u32,
        /// 1 if nothing comes behind them.
        end: u32,
    }
}

plain! {
    /// A directory entry; its name follows.
    pub struct Entry [24] {
        /// Inode number.
        inode: u64,
        /// The position behind it.
        next: u64,
        /// `DT_*`.
        file_type: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::SetXattr`].
    pub struct SetXattr [16] {
        /// The handle.
        handle: u64,
        /// `XATTR_CREATE`, `XATTR_REPLACE`.
        flags: u32,
        /// Zero.
        reserved: u32,
    }
}

plain! {
    /// See [`Opcode::Sync`].
    pub struct Sync [16] {
        /// The handle.
        handle: u64,
        /// One of [`sync`].
        what: u32,
        /// Zero.
        reserved: u32,
    }
}

/// What is synced.
pub mod sync {
    /// `fsync`.
    pub const FILE: u32 = 0;
    /// `fdatasync`.
    pub const DATA: u32 = 1;
    /// `syncfs`.
    pub const FILESYSTEM: u32 = 2;
}

plain! {
    /// See [`Opcode::Connect`].
    pub struct Connect [16] {
        /// The socket.
        handle: u64,
        /// `SOCK_STREAM`, `SOCK_DGRAM` or `SOCK_SEQPACKET`.
        socket_type: u32,
        /// Zero.
        reserved: u32,
    }
}
