//! open(2), openat(2), openat2(2), creat(2), and where paths begin.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{OpenFlags, OpenHow, ResolveFlags};
use moat_abi::stat::FileType;

use super::arguments::{DirFd, Fd, In, ModeBits, UserPath};
use super::descriptors::install;
use crate::Result;
use crate::fs::open::{self, OpenRequest};
use crate::fs::pipe::PipeEnd;
use crate::fs::{OpenFile, Path, notify, walk};
use crate::kernel::Current;

/// Where a path begins that belongs to `dirfd`: a directory for relative paths; absolute ones do not look at it.
pub fn base(current: &Current, dirfd: DirFd, path: &[u8]) -> Result<Path> {
    if path.starts_with(b"/") {
        return Ok(current.fs().root());
    }
    if dirfd == DirFd::CWD {
        return Ok(current.fs().directory());
    }
    let file = current.files().get(dirfd.0)?;
    let place = file.path().ok_or(Errno::ENOTDIR)?;
    if !path.is_empty() && place.inode()?.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    Ok(place.clone())
}

/// Reads and resolves a path that must exist.
pub fn lookup(current: &Current, dirfd: DirFd, path: UserPath, follow: bool) -> Result<Path> {
    let path = path.read(&current.memory())?;
    walk::resolve(current, &base(current, dirfd, &path)?, &path, follow)
}

/// The same where an empty path means the descriptor itself (AT_EMPTY_PATH).
pub fn lookup_or_descriptor(
    current: &Current,
    dirfd: DirFd,
    path: UserPath,
    follow: bool,
    empty: bool,
) -> Result<Target> {
    let path = match path.0 {
        0 if empty => Vec::new(),
        _ => path.read(&current.memory())?,
    };
    if path.is_empty() && empty {
        if dirfd == DirFd::CWD {
            return Ok(Target::Path(current.fs().directory()));
        }
        return Ok(Target::File(current.files().get(dirfd.0)?));
    }
    walk::resolve(current, &base(current, dirfd, &path)?, &path, follow).map(Target::Path)
}

/// What a path or a descriptor led to.
pub enum Target {
    /// A place in the tree.
    Path(Path),
    /// An open file, which may have no place.
    File(Arc<OpenFile>),
}

impl Target {
    /// The place in the tree. `EBADF` if there is none.
    pub fn path(self) -> Result<Path> {
        match self {
            Self::Path(path) => Ok(path),
            Self::File(file) => file.path().cloned().ok_or(Errno::EBADF),
        }
    }
}

/// A FIFO's open waits for the other side, unless it is non-blocking or both sides at once.
async fn await_peer(current: &Current, file: &OpenFile) -> Result<()> {
    let Some(end) = file.downcast::<PipeEnd>() else { return Ok(()) };
    // A pipe that is opened once more through /proc has no place in a tree, and does not wait.
    if file.path().is_none() || file.nonblocking() || (end.reads() && end.writes()) {
        return Ok(());
    }
    if end.has_met_peer() {
        return Ok(());
    }
    current
        .wait_for(None, |waiter| {
            waiter.listen(&end.pipe().changed);
            end.has_met_peer().then_some(())
        })
        .await
        .map_err(|_| Errno::ERESTARTSYS)
}

async fn do_open(current: &mut Current, dirfd: DirFd, path: UserPath, request: OpenRequest) -> Result<Fd> {
    let path = path.read(&current.memory())?;
    // With RESOLVE_IN_ROOT an absolute path starts at the directory, too.
    let scoped = request.resolve.contains(ResolveFlags::IN_ROOT);
    let from = base(current, dirfd, if scoped { b"." } else { &path })?;
    let file = open::open(current, &from, &path, request)?;
    await_peer(current, &file).await?;
    notify::opened(&file);
    install(current, file, request.flags.contains(OpenFlags::CLOEXEC))
}

/// What open(2) makes of its flags: unknown ones are ignored, O_PATH ignores most.
fn lenient(flags: OpenFlags, mode: ModeBits) -> OpenRequest {
    let mut flags = flags & OpenFlags::all_known();
    if flags.contains(OpenFlags::PATH) {
        flags &= OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    }
    OpenRequest { flags, mode: mode.0 & 0o7777, resolve: ResolveFlags::empty() }
}

/// open(2).
pub async fn open(current: &mut Current, path: UserPath, flags: OpenFlags, mode: ModeBits) -> Result<Fd> {
    do_open(current, DirFd::CWD, path, lenient(flags, mode)).await
}

/// creat(2).
pub async fn creat(current: &mut Current, path: UserPath, mode: ModeBits) -> Result<Fd> {
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
    do_open(current, DirFd::CWD, path, lenient(flags, mode)).await
}

/// openat(2).
pub async fn openat(
    current: &mut Current,
    dirfd: DirFd,
    path: UserPath,
    flags: OpenFlags,
    mode: ModeBits,
) -> Result<Fd> {
    do_open(current, dirfd, path, lenient(flags, mode)).await
}

/// openat2(2): the same, but nothing unknown is ignored.
pub async fn openat2(current: &mut Current, dirfd: DirFd, path: UserPath, how: In<OpenHow>, size: usize) -> Result<Fd> {
    if size < size_of::<OpenHow>() {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let memory = current.memory();
    let mut tail = vec![0u8; size - size_of::<OpenHow>()];
    memory.read_bytes(how.address() + size_of::<OpenHow>() as u64, &mut tail)?;
    if tail.iter().any(|&b| b != 0) {
        return Err(Errno::E2BIG);
    }
    let how = how.read(&memory)?;
    let flags = u32::try_from(how.flags).map_err(|_| Errno::EINVAL).map(OpenFlags::from_bits_retain)?;
    let resolve = ResolveFlags::from_bits_retain(how.resolve);
    let creates = flags.intersects(OpenFlags::CREAT) || flags.contains(OpenFlags::TMPFILE);
    let path_flags = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW | OpenFlags::CLOEXEC;
    if flags.bits() & !OpenFlags::all_known().bits() != 0
        || how.resolve & !0x3f != 0
        || how.mode & !0o7777 != 0
        || (how.mode != 0 && !creates)
        || resolve.contains(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT)
        || (flags.contains(OpenFlags::PATH) && flags.bits() & !path_flags.bits() != 0)
    {
        return Err(Errno::EINVAL);
    }
    if resolve.contains(ResolveFlags::CACHED) {
        return Err(Errno::EAGAIN);
    }
    do_open(current, dirfd, path, OpenRequest { flags, mode: how.mode as u32, resolve }).await
}
