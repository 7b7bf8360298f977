//! Open file descriptions, and the operations that each kind of file gives them.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags};
use moat_abi::poll::PollEvents;
use moat_abi::stat::{FileType, Mode};
use moat_host::HostFile;

use super::Path;
use super::fasync::Fasync;
use super::inode::{Attributes, Inode};
use super::write_access::WriteAccess;
use crate::Result;
use crate::executor::wait::Waiter;
use crate::kernel::credentials::Credentials;
use crate::kernel::{Current, Task};
use crate::sync::{Mutex, Rank};

/// What can be mapped of a file.
#[derive(Clone)]
pub struct Mappable {
    /// The host file that holds the bytes; offsets are the file's own.
    pub file: Arc<HostFile>,
    /// Whether a shared writable mapping is possible.
    pub writable: bool,
    /// Held by every mapping that could write to a file that can be sealed.
    pub writer: Option<Arc<()>>,
}

/// One directory entry, as `getdents64` gives it.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// Inode number.
    pub inode: u64,
    /// The position *behind* this entry: what `telldir` returns after it.
    pub next: u64,
    /// Its type, as far as known.
    pub file_type: Option<FileType>,
    /// Its name.
    pub name: Vec<u8>,
}

/// How a file takes positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeking {
    /// `lseek` and `pread` work; the length is the inode's.
    Positions,
    /// A directory: positions are cookies.
    Directory,
    /// `lseek` gives ESPIPE (pipes, sockets).
    Stream,
    /// `lseek` succeeds and changes nothing (terminals: Linux gives ESPIPE there too; /dev/null and its kin).
    Ignored,
}

/// What a kind of file can do once open. Nothing here blocks: an operation that would have to wait gives `EAGAIN`, and
/// the system call waits on [`FileOperations::poll`] and tries again, so that blocking, signals and restarts are in one
/// place. Buffers are the sentry's own; application memory is copied before or after.
pub trait FileOperations: Send + Sync + Any {
    /// For downcasts (sockets, epoll, terminals).
    fn as_any(&self) -> &dyn Any;
    /// How it takes positions.
    fn seeking(&self) -> Seeking {
        Seeking::Stream
    }
    /// Reads at `offset` (meaningless for streams). 0 at the end.
    fn read_at(&self, file: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let _ = (file, buf, offset);
        Err(Errno::EINVAL)
    }
    /// Writes at `offset`; with O_APPEND the caller gives the end.
    fn write_at(&self, file: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let _ = (file, buf, offset);
        Err(Errno::EINVAL)
    }
    /// Appends (O_APPEND); returns the bytes written and the offset behind them.
    fn append(&self, file: &OpenFile, buf: &[u8]) -> Result<(usize, u64)> {
        let end = file.attributes()?.size;
        let n = self.write_at(file, buf, end)?;
        Ok((n, end + n as u64))
    }
    /// A read by `task`, for files that treat tasks differently (signalfd, terminals).
    fn read_by(&self, task: &Arc<Task>, file: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let _ = task;
        self.read_at(file, buf, offset)
    }
    /// A write by `task`.
    fn write_by(&self, task: &Arc<Task>, file: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let _ = task;
        self.write_at(file, buf, offset)
    }
    /// How long a read that finds nothing waits before it gives 0; for ever if `None` (VTIME of termios(3)).
    fn read_patience(&self) -> Option<Duration> {
        None
    }
    /// What is ready for `task`.
    fn poll_by(&self, task: &Arc<Task>, file: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        let _ = task;
        self.poll(file, waiter)
    }
    /// What is ready now. With a waiter, listens to what could change that: to the same queues for as long as the file is
    /// open, since epoll listens once. Called without any lock held.
    fn poll(&self, file: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        let _ = (file, waiter);
        PollEvents::IN | PollEvents::OUT | PollEvents::RDNORM | PollEvents::WRNORM
    }
    /// Whether `epoll_ctl` takes it (not regular files and directories: EPERM).
    fn pollable(&self) -> bool {
        !matches!(self.seeking(), Seeking::Positions | Seeking::Directory)
    }
    /// Whether O_ASYNC has an effect.
    fn has_fasync(&self) -> bool {
        false
    }
    /// `ioctl` beyond the generic ones.
    fn ioctl(&self, current: &mut Current, file: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        let _ = (current, file, command, argument);
        Err(Errno::ENOTTY)
    }
    /// Passes directory entries from position `from` on to `sink` until it says no.
    fn read_directory(&self, file: &OpenFile, from: u64, sink: &mut dyn FnMut(DirectoryEntry) -> bool) -> Result<()> {
        let _ = (file, from, sink);
        Err(Errno::ENOTDIR)
    }
    /// SEEK_DATA and SEEK_HOLE (`hole`).
    fn seek_data(&self, file: &OpenFile, offset: u64, hole: bool) -> Result<u64> {
        let size = file.attributes()?.size;
        if offset >= size { Err(Errno::ENXIO) } else { Ok(if hole { size } else { offset }) }
    }
    /// The host file behind it, for mmap. `ENODEV` if it cannot be mapped.
    fn mappable(&self, file: &OpenFile) -> Result<Mappable> {
        let _ = file;
        Err(Errno::ENODEV)
    }
    /// Whether `lseek` succeeds and changes nothing, though there are no positions (eventfd and its kin).
    fn ignores_seeks(&self) -> bool {
        false
    }
    /// `fsync`, `fdatasync` (`data_only`).
    fn sync(&self, file: &OpenFile, data_only: bool) -> Result<()> {
        let _ = (file, data_only);
        Err(Errno::EINVAL)
    }
    /// `fallocate`.
    fn allocate(&self, file: &OpenFile, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let _ = (flags, offset, length);
        match file.seeking() {
            Seeking::Stream => Err(Errno::ESPIPE),
            _ => Err(Errno::ENODEV),
        }
    }
    /// `ftruncate` of a file without an inode (memfd).
    fn truncate(&self, file: &OpenFile, length: u64) -> Result<()> {
        let _ = (file, length);
        Err(Errno::EINVAL)
    }
    /// F_ADD_SEALS (`add`) and F_GET_SEALS of a memfd; the seals.
    fn seals(&self, file: &OpenFile, add: bool, seals: u32) -> Result<u64> {
        let _ = (file, add, seals);
        Err(Errno::EINVAL)
    }
    /// Opens what has no place in a tree once more (through `/proc/PID/fd/N`). `ENXIO` for what cannot be.
    fn reopen(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        let _ = flags;
        Err(Errno::ENXIO)
    }
    /// Called when a descriptor of it is closed, as Linux's `flush`; the last reference ends by `Drop`.
    fn flush(&self, file: &OpenFile) -> Result<()> {
        let _ = file;
        Ok(())
    }
    /// A change of status flags by F_SETFL.
    fn status_changed(&self, file: &OpenFile, flags: OpenFlags) -> Result<()> {
        let _ = (file, flags);
        Ok(())
    }
    /// Attributes of files that have no inode in a tree (pipes, sockets, anonymous inodes).
    fn anonymous_attributes(&self) -> Result<Attributes> {
        Ok(Attributes { mode: Mode::from_raw(0o600), links: 1, block_size: 4096, ..Attributes::default() })
    }
    /// What `/proc/PID/fd/N` shows for files without a path, such as `pipe:[12]`.
    fn anonymous_name(&self) -> String {
        "anon_inode:[unknown]".to_owned()
    }
    /// Lines that `/proc/PID/fdinfo/N` shows behind the generic ones.
    fn fdinfo(&self) -> String {
        String::new()
    }
}

/// Who is to be told of I/O by SIGIO (`F_SETOWN`).
#[derive(Clone, Default)]
pub struct SignalOwner {
    /// `F_OWNER_TID`, `F_OWNER_PID` or `F_OWNER_PGRP`; 0 with id 0 for nobody.
    pub kind: u32,
    /// The id.
    pub id: i32,
    /// The signal of F_SETSIG; 0 means SIGIO.
    pub signal: u32,
    /// Of who named the owner: what may be signalled on its behalf.
    pub credentials: Option<Arc<Credentials>>,
}

/// An open file description.
pub struct OpenFile {
    /// A number of its own: the owner of its OFD and flock locks.
    pub id: u64,
    operations: Arc<dyn FileOperations>,
    path: Option<Path>,
    flags: AtomicU32,
    position: Mutex<u64>,
    owner: Mutex<SignalOwner>,
    fasync: Mutex<Option<Fasync>>,
    /// That it is a writer of its file, if it is.
    _write_access: Option<WriteAccess>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The flags that F_SETFL can change, and that F_GETFL keeps from open.
const CHANGEABLE: OpenFlags = OpenFlags::APPEND
    .union(OpenFlags::NONBLOCK)
    .union(OpenFlags::DIRECT)
    .union(OpenFlags::NOATIME)
    .union(OpenFlags::ASYNC);

impl OpenFile {
    /// A description of the file at `path` (or of one without a path).
    pub fn new(operations: Arc<dyn FileOperations>, path: Option<Path>, flags: OpenFlags) -> Arc<Self> {
        Self::with_access(operations, path, flags, None)
    }

    /// The same, of a file that it may write to.
    pub fn with_access(
        operations: Arc<dyn FileOperations>,
        path: Option<Path>,
        flags: OpenFlags,
        write_access: Option<WriteAccess>,
    ) -> Arc<Self> {
        let kept =
            flags - (OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::NOCTTY | OpenFlags::TRUNC | OpenFlags::CLOEXEC);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            operations,
            path,
            flags: AtomicU32::new(kept.bits()),
            position: Mutex::new(Rank::FilePosition, 0),
            owner: Mutex::new(Rank::File, SignalOwner::default()),
            fasync: Mutex::new(Rank::File, None),
            _write_access: write_access,
        })
    }

    /// Its operations. `EBADF` for an `O_PATH` description.
    pub fn operations(&self) -> Result<&Arc<dyn FileOperations>> {
        if self.flags().contains(OpenFlags::PATH) { Err(Errno::EBADF) } else { Ok(&self.operations) }
    }

    /// The operations as the type that a caller knows them to be.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.operations.as_any().downcast_ref()
    }

    /// Where it was opened.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }

    /// Its inode, if it has one.
    pub fn inode(&self) -> Option<&Arc<dyn Inode>> {
        self.path.as_ref().and_then(|p| p.dentry.inode().ok())
    }

    /// Access mode and status flags.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// `F_SETFL`.
    pub fn set_flags(&self, new: OpenFlags) -> Result<()> {
        self.operations.status_changed(self, new)?;
        let kept = self.flags() - CHANGEABLE;
        self.flags.store((kept | (new & CHANGEABLE)).bits(), Ordering::Relaxed);
        Ok(())
    }

    /// Whether operations must not wait.
    pub fn nonblocking(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }

    /// Whether it was opened for reading.
    pub fn readable(&self) -> bool {
        self.flags().readable()
    }

    /// Whether it was opened for writing.
    pub fn writable(&self) -> bool {
        self.flags().writable()
    }

    /// How it takes positions.
    pub fn seeking(&self) -> Seeking {
        self.operations.seeking()
    }

    /// The lock over the position; held while a read or write moves it, as Linux does for regular files.
    pub fn position(&self) -> &Mutex<u64> {
        &self.position
    }

    /// Who is told of I/O.
    pub fn owner(&self) -> &Mutex<SignalOwner> {
        &self.owner
    }

    /// How it announces input and output by signals (O_ASYNC).
    pub fn fasync(&self) -> &Mutex<Option<Fasync>> {
        &self.fasync
    }

    /// Attributes, from its inode or made up.
    pub fn attributes(&self) -> Result<Attributes> {
        match self.inode() {
            Some(inode) => inode.attributes(),
            None => self.operations.anonymous_attributes(),
        }
    }

    /// What is ready; with a waiter, listens.
    pub fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        self.operations.poll(self, waiter)
    }

    /// What is ready for `task`; with a waiter, listens.
    pub fn poll_by(&self, task: &Arc<Task>, waiter: Option<&mut Waiter>) -> PollEvents {
        self.operations.poll_by(task, self, waiter)
    }

    /// How `/proc/PID/fd/N` shows it when it has no path.
    pub fn anonymous_name(&self) -> String {
        self.operations.anonymous_name()
    }

    /// Its own operations, whatever the flags: for /proc and for locks.
    pub fn raw_operations(&self) -> &Arc<dyn FileOperations> {
        &self.operations
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        super::locks::release_description(self.id);
        super::notify::closed(self);
    }
}
