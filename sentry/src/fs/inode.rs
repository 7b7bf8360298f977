//! What a filesystem provides: inodes and the filesystem that they belong to.
//!
//! Filesystems answer; they do not judge. Permission checks, symlink walks, mount crossing, read-only mounts and sticky
//! directories are the VFS's (`walk`, `permission`), done before an inode is asked.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags, RenameFlags};
use moat_abi::stat::{FileType, Mode, Statfs};
use moat_abi::time::Timespec;

use super::Path;
use super::file::FileOperations;
use crate::Result;
use crate::kernel::Task;

/// The attributes of an inode, as `stat` shows them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes {
    /// Number of the filesystem.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Type and permissions.
    pub mode: Mode,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// For device nodes, which device.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// 512-byte blocks in use.
    pub blocks: u64,
    /// Preferred block size of reads and writes, in bytes.
    pub block_size: u32,
    /// Last access.
    pub atime: Timespec,
    /// Last change of the contents.
    pub mtime: Timespec,
    /// Last change of the attributes.
    pub ctime: Timespec,
    /// Creation, where it is known.
    pub btime: Option<Timespec>,
}

/// A time to set: `utimensat`'s UTIME_NOW is resolved by who owns the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The present.
    Now,
    /// This time.
    To(Timespec),
}

/// Attributes to change; `None` leaves one alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttributes {
    /// Permission bits (12 bits, without the type).
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// New length in bytes.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
}

/// What to make.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// The name of a unix socket.
    Socket,
    /// A character device node.
    CharDevice(u64),
    /// A block device node.
    BlockDevice(u64),
}

/// A new inode: what, with which permissions, whose.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// What to make.
    pub kind: NodeKind,
    /// Permission bits after the umask (12 bits).
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group; a set-group-id directory passes on its own instead, which the VFS has resolved.
    pub gid: u32,
}

/// What a lookup found under one name.
pub struct Found {
    /// The inode; `None` if the name does not exist.
    pub inode: Option<Arc<dyn Inode>>,
    /// [`Inode::names_valid`] of the directory as it was before it was asked.
    pub valid: Option<u64>,
}

/// What a lookup of several names, one beneath the other, found: what was told of each, from the first on, up to the
/// first that does not exist.
pub struct Answer {
    /// For each name, as far as they were told.
    pub found: Vec<Found>,
    /// Why the name behind those could not be looked up.
    pub error: Option<Errno>,
}

impl Answer {
    /// The answer to a lookup of one name.
    pub fn of_one(result: Result<Arc<dyn Inode>>, valid: Option<u64>) -> Self {
        match result {
            Ok(inode) => Self { found: vec![Found { inode: Some(inode), valid }], error: None },
            Err(Errno::ENOENT) => Self { found: vec![Found { inode: None, valid }], error: None },
            Err(errno) => Self { found: Vec::new(), error: Some(errno) },
        }
    }

    /// What was found under the name at this place.
    pub fn at(&self, place: usize) -> Result<&Found> {
        self.found.get(place).ok_or(self.error.unwrap_or(Errno::EIO))
    }
}

/// One mounted filesystem (Linux: super block).
pub trait FileSystem: Send + Sync {
    /// The name that `/proc/filesystems` and `/proc/mounts` use.
    fn kind(&self) -> &'static str;
    /// Device number of its inodes.
    fn device(&self) -> u64;
    /// The root inode.
    fn root(&self) -> Arc<dyn Inode>;
    /// `statfs`.
    fn statfs(&self) -> Result<Statfs>;
    /// Takes note of what others have changed, so that [`Inode::names_valid`] and cached attributes are true again. Called
    /// before either is relied on.
    fn catch_up(&self) {}
    /// Options behind the generic ones in `/proc/mounts`, such as `size=64k`, each preceded by a comma.
    fn show_options(&self) -> String {
        String::new()
    }
    /// What `/proc/mounts` names as the source.
    fn source(&self) -> String {
        self.kind().to_owned()
    }
    /// `sync`.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

/// A file of any type. Methods that a type has no use for answer as Linux does for it.
pub trait Inode: Send + Sync + Any {
    /// The filesystem it lives in.
    fn filesystem(&self) -> Arc<dyn FileSystem>;
    /// Its type, which never changes.
    fn file_type(&self) -> FileType;
    /// Its attributes now.
    fn attributes(&self) -> Result<Attributes>;
    /// Changes attributes.
    fn set_attributes(&self, change: &SetAttributes) -> Result<()>;
    /// For downcasts within a filesystem.
    fn as_any(&self) -> &dyn Any;

    /// Opens it. The description's access mode has been checked; `O_TRUNC` was done by `set_attributes`. Non-blocking:
    /// a FIFO without a peer is handled by its operations.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>>;

    /// The same for files whose opening depends on who does it (/proc); what the VFS calls.
    fn open_for(self: Arc<Self>, task: &Task, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let _ = task;
        self.open(flags)
    }

    /// The child of this name. `ENOENT` if there is none.
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }
    /// Looks up names, each beneath the one before, as many as can be told at the cost of one.
    fn look_up_ahead(&self, names: &[&[u8]]) -> Answer {
        let valid = self.names_valid();
        Answer::of_one(self.lookup(names[0]), valid)
    }
    /// What is known of names in this directory, absent ones too, is true for as long as this stays the same, and the sentry
    /// itself does not change them; `None` if it has to be asked for each time, since they come and go by themselves.
    fn names_valid(&self) -> Option<u64> {
        Some(0)
    }
    /// Makes a child that does not exist yet. `EEXIST` if it does.
    fn create(&self, name: &[u8], node: &NewNode) -> Result<Arc<dyn Inode>> {
        let _ = (name, node);
        Err(Errno::EPERM)
    }
    /// Makes a regular file without a name (`O_TMPFILE`).
    fn create_anonymous(&self, node: &NewNode) -> Result<Arc<dyn Inode>> {
        let _ = node;
        Err(Errno::EOPNOTSUPP)
    }
    /// Another name for `target`, which lives in the same filesystem.
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, target);
        Err(Errno::EPERM)
    }
    /// Removes the name of something that is no directory.
    fn unlink(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, child);
        Err(Errno::EPERM)
    }
    /// Removes an empty directory. `ENOTEMPTY` otherwise.
    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        let _ = (name, child);
        Err(Errno::EPERM)
    }
    /// Renames a child into `to_directory` of the same filesystem; the VFS has checked types, ancestry and permissions.
    fn rename(&self, name: &[u8], to_directory: &Arc<dyn Inode>, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        let _ = (name, to_directory, to_name, flags);
        Err(Errno::EPERM)
    }
    /// The text of a symbolic link.
    fn readlink(&self) -> Result<Vec<u8>> {
        Err(Errno::EINVAL)
    }
    /// The same for links whose text depends on who reads it (/proc/self); what the VFS calls.
    fn readlink_for(&self, task: &Task) -> Result<Vec<u8>> {
        let _ = task;
        self.readlink()
    }
    /// For a magic link of /proc: where it leads for this task, without a walk. `None` for ordinary symlinks.
    fn magic_link(&self, task: &Task) -> Option<Result<Path>> {
        let _ = task;
        None
    }
    /// Reads an extended attribute (`name` with its namespace prefix).
    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }
    /// Sets one; `flags` are XATTR_CREATE and XATTR_REPLACE.
    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let _ = (name, value, flags);
        Err(Errno::EOPNOTSUPP)
    }
    /// The names of all of them.
    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }
    /// Removes one.
    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }
    /// `fallocate`.
    fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let _ = (flags, offset, length);
        Err(Errno::EOPNOTSUPP)
    }
}
