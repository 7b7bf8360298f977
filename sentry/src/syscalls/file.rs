//! Reading and writing (read(2), write(2), readv(2), lseek(2), sendfile(2), fsync(2)…).

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags};
use moat_abi::resource::Resource;
use moat_abi::signal::{SIGPIPE, SIGXFSZ, SigInfo};
use moat_abi::stat::FileType;
use moat_abi::uio::{IoVec, RWF_APPEND, RWF_DSYNC, RWF_HIPRI, RWF_NOWAIT, RWF_SYNC};

use super::arguments::{Fd, InBytes, InOut, OutBytes, UserOpaque};
use crate::Result;
use crate::executor::wait::Waiter;
use crate::fs::file::Seeking;
use crate::fs::inode::{SetAttributes, SetTime};
use crate::fs::open::without_set_id;
use crate::fs::{OpenFile, open};
use crate::kernel::Current;
use crate::kernel::signal::send;
use crate::kernel::task::WaitEnd;
use crate::kernel::timers::far;
use crate::mm::user::{IOV_MAX, RW_MAX, UserMemory};

/// Data moves through the sentry in pieces of this many bytes.
const PIECE: usize = 256 << 10;

thread_local! {
    /// The buffer of the last long read of this thread.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a read goes through. Short ones get zeroes; for long ones, where filling a buffer costs as much as reading, it is
/// that of the read before, of which nothing is passed on that was not read anew.
struct Buffer(Vec<u8>);

/// Reads up to this length are short.
const SHORT: usize = 8 << 10;
/// The longest buffer that is kept.
const KEPT: usize = 64 << 10;

impl Buffer {
    fn take(len: usize) -> Self {
        if len <= SHORT || len > KEPT {
            return Self(vec![0; len]);
        }
        let mut last = LAST.take();
        last.resize(KEPT, 0);
        Self(last)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.len() == KEPT {
            LAST.set(std::mem::take(&mut self.0));
        }
    }
}

/// Where the position of a read or write comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The description's own, which moves.
    Position,
    /// The caller's.
    Offset(u64),
}

/// `EBADF` unless it was opened for reading.
fn for_reading(current: &Current, fd: Fd) -> Result<Arc<OpenFile>> {
    let file = current.files().get(fd.0)?;
    if file.readable() { Ok(file) } else { Err(Errno::EBADF) }
}

/// `EBADF` unless it was opened for writing.
fn for_writing(current: &Current, fd: Fd) -> Result<Arc<OpenFile>> {
    let file = current.files().get(fd.0)?;
    if file.writable() { Ok(file) } else { Err(Errno::EBADF) }
}

/// Waits until `attempt` gives something other than EAGAIN; at once if the file is non-blocking.
pub async fn until_ready<T>(
    current: &Current,
    file: &Arc<OpenFile>,
    nonblocking: bool,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    match attempt() {
        Err(Errno::EAGAIN) if !nonblocking => {}
        other => return other,
    }
    current
        .wait_for(None, |waiter| {
            file.poll_by(&current.task, Some(waiter));
            match attempt() {
                Err(Errno::EAGAIN) => None,
                other => Some(other),
            }
        })
        .await
        .unwrap_or(Err(Errno::ERESTARTSYS))
}

/// The same for at most `patience`; then `None`.
async fn until_ready_within<T>(
    current: &Current,
    file: &Arc<OpenFile>,
    nonblocking: bool,
    patience: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<Option<T>> {
    match attempt() {
        Err(Errno::EAGAIN) if !nonblocking => {}
        other => return other.map(Some),
    }
    let attempt = |waiter: &mut Waiter| {
        file.poll_by(&current.task, Some(waiter));
        match attempt() {
            Err(Errno::EAGAIN) => None,
            other => Some(other),
        }
    };
    match current.wait_for(Some(far(patience)), attempt).await {
        Ok(result) => result.map(Some),
        Err(WaitEnd::TimedOut) => Ok(None),
        Err(WaitEnd::Interrupted) => Err(Errno::ERESTARTSYS),
    }
}

/// The segments of an iovec. `EINVAL` for too many, or lengths that overflow.
pub fn read_iovec(memory: &UserMemory, address: u64, count: usize) -> Result<Vec<(u64, usize)>> {
    if count > IOV_MAX {
        return Err(Errno::EINVAL);
    }
    let raw: Vec<IoVec> = memory.read_array(address, count)?;
    let mut left = RW_MAX;
    let mut segments = Vec::with_capacity(count);
    for segment in raw {
        if segment.len > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        let n = usize::try_from(segment.len).unwrap_or(usize::MAX).min(left);
        left -= n;
        segments.push((segment.base, n));
    }
    Ok(segments)
}

/// One read into the segments. Streams give what one piece gives; files are read until the segments are full.
async fn read_into(
    current: &mut Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    at: At,
    nowait: bool,
) -> Result<usize> {
    let operations = file.operations()?.clone();
    if file.downcast::<crate::net::Socket>().is_some() {
        return super::sendrecv::read(current, file, segments, nowait).await;
    }
    let memory = current.memory();
    let total: usize = segments.iter().map(|s| s.1).sum();
    let seekable = file.seeking() != Seeking::Stream;
    let mut buffer = Buffer::take(total.min(PIECE));
    let mut done = 0;
    while done < total || total == 0 {
        let n = (total - done).min(PIECE);
        let position = match at {
            At::Position if seekable => *file.position().lock(),
            At::Position => 0,
            At::Offset(offset) => offset + done as u64,
        };
        let piece = &mut buffer.0[..n];
        let got = if seekable {
            operations.read_at(file, piece, position)
        } else {
            let nonblocking = file.nonblocking() || nowait || done > 0;
            let attempt = || operations.read_by(&current.task, file, piece, position);
            match operations.read_patience() {
                Some(patience) => {
                    until_ready_within(current, file, nonblocking, patience, attempt).await.map(|n| n.unwrap_or(0))
                }
                None => until_ready(current, file, nonblocking, attempt).await,
            }
        };
        let got = match got {
            Ok(got) => got,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let offered = got;
        let got = scatter_partial(&memory, segments, done, &buffer.0[..got]);
        if got < offered && got == 0 && done == 0 {
            return Err(Errno::EFAULT);
        }
        if at == At::Position && seekable {
            *file.position().lock() = position + got as u64;
        }
        done += got;
        if got < n || total == 0 || !seekable {
            break;
        }
    }
    if done > 0 {
        crate::fs::notify::accessed(file);
    }
    Ok(done)
}

/// Copies `bytes` to where the segments are after `skip` bytes.
pub fn scatter(memory: &UserMemory, segments: &[(u64, usize)], skip: usize, bytes: &[u8]) -> Result<()> {
    if scatter_partial(memory, segments, skip, bytes) == bytes.len() { Ok(()) } else { Err(Errno::EFAULT) }
}

/// The same up to the first byte that cannot be written; how many could.
fn scatter_partial(memory: &UserMemory, segments: &[(u64, usize)], mut skip: usize, bytes: &[u8]) -> usize {
    let mut done = 0;
    for &(base, len) in segments {
        if done == bytes.len() {
            break;
        }
        if skip >= len {
            skip -= len;
            continue;
        }
        let n = (len - skip).min(bytes.len() - done);
        let wrote = memory.write_partial(base.wrapping_add(skip as u64), &bytes[done..done + n]);
        done += wrote;
        if wrote < n {
            break;
        }
        skip = 0;
    }
    done
}

/// Copies up to `limit` bytes from where the segments are after `skip` bytes.
pub fn gather(memory: &UserMemory, segments: &[(u64, usize)], mut skip: usize, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for &(base, len) in segments {
        if bytes.len() == limit {
            break;
        }
        if skip >= len {
            skip -= len;
            continue;
        }
        let n = (len - skip).min(limit - bytes.len());
        let from = bytes.len();
        bytes.resize(from + n, 0);
        let got = memory.read_partial(base.wrapping_add(skip as u64), &mut bytes[from..]);
        if got < n {
            bytes.truncate(from + got);
            return if bytes.is_empty() { Err(Errno::EFAULT) } else { Ok(bytes) };
        }
        skip = 0;
    }
    Ok(bytes)
}

async fn write_from(
    current: &mut Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    at: At,
    append: bool,
    nowait: bool,
) -> Result<usize> {
    if file.downcast::<crate::net::Socket>().is_some() {
        return super::sendrecv::write(current, file, segments, nowait).await;
    }
    let memory = current.memory();
    let total: usize = segments.iter().map(|s| s.1).sum();
    let mut done = 0;
    loop {
        let bytes = match gather(&memory, segments, done, PIECE.min(total - done)) {
            Ok(bytes) => bytes,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let short = bytes.len() < PIECE.min(total - done);
        let at = match at {
            At::Position => At::Position,
            At::Offset(offset) => At::Offset(offset + done as u64),
        };
        let nonblocking = file.nonblocking() || nowait;
        match write_bytes(current, file, &bytes, at, append, nonblocking).await {
            Ok(n) => {
                done += n;
                if n < bytes.len() || short {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
        if done >= total {
            break;
        }
    }
    if done > 0 {
        crate::fs::notify::modified(file);
    }
    Ok(done)
}

/// Writes bytes of the sentry's; all of them, unless the file is non-blocking or the write is interrupted.
async fn write_bytes(
    current: &mut Current,
    file: &Arc<OpenFile>,
    bytes: &[u8],
    at: At,
    append: bool,
    nonblocking: bool,
) -> Result<usize> {
    let operations = file.operations()?.clone();
    if file.seeking() == Seeking::Stream {
        let mut done = 0;
        loop {
            let attempt = || operations.write_by(&current.task, file, &bytes[done..], 0);
            let result = until_ready(current, file, nonblocking, attempt).await;
            match result {
                Ok(n) => done += n,
                Err(Errno::EPIPE) => {
                    if done == 0 {
                        // A standard signal to oneself is never refused.
                        let _ = send::to_task(&current.task, SIGPIPE, SigInfo::kernel(SIGPIPE), send::Origin::Inside);
                        return Err(Errno::EPIPE);
                    }
                    return Ok(done);
                }
                Err(_) if done > 0 => return Ok(done),
                Err(e) => return Err(e),
            }
            if done >= bytes.len() {
                return Ok(done);
            }
        }
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    let append = append || file.flags().contains(OpenFlags::APPEND);
    let start = match at {
        At::Position if append => file.attributes()?.size,
        At::Position => *file.position().lock(),
        At::Offset(_) if append => file.attributes()?.size,
        At::Offset(offset) => offset,
    };
    let allowed = within_file_limit(current, file, start, bytes.len())?;
    drop_set_id(current, file)?;
    let (n, end) = match append {
        true => operations.append(file, &bytes[..allowed])?,
        false => {
            let n = operations.write_at(file, &bytes[..allowed], start)?;
            (n, start + n as u64)
        }
    };
    if at == At::Position {
        *file.position().lock() = end;
    }
    if file.flags().intersects(OpenFlags::DSYNC) {
        operations.sync(file, !file.flags().contains(OpenFlags::SYNC))?;
    }
    Ok(n)
}

/// How much of a write RLIMIT_FSIZE lets through; `EFBIG` with SIGXFSZ if nothing.
fn within_file_limit(current: &Current, file: &Arc<OpenFile>, start: u64, len: usize) -> Result<usize> {
    if !file.inode().is_some_and(|i| i.file_type() == FileType::Regular) {
        return Ok(len);
    }
    within_size_limit(current, start, len)
}

/// The same for a regular file.
pub fn within_size_limit(current: &Current, start: u64, len: usize) -> Result<usize> {
    let limit = current.group_ref().limit(Resource::FileSize);
    if start >= i64::MAX as u64 {
        return Err(Errno::EFBIG);
    }
    if start >= limit {
        let _ = send::to_task(&current.task, SIGXFSZ, SigInfo::kernel(SIGXFSZ), send::Origin::Inside);
        return Err(Errno::EFBIG);
    }
    Ok(len.min(usize::try_from(limit - start).unwrap_or(usize::MAX)))
}

/// A write by somebody without CAP_FSETID takes the set-id bits away.
fn drop_set_id(current: &Current, file: &Arc<OpenFile>) -> Result<()> {
    let credentials = current.credentials();
    if credentials.has(CapabilitySet::FSETID) {
        return Ok(());
    }
    let Some(inode) = file.inode() else { return Ok(()) };
    if let Some(permissions) = without_set_id(&inode.attributes()?, &credentials) {
        inode.set_attributes(&SetAttributes { permissions: Some(permissions), ..SetAttributes::default() })?;
    }
    Ok(())
}

fn positioned(file: &Arc<OpenFile>, offset: i64) -> Result<At> {
    if offset < 0 {
        return Err(Errno::EINVAL);
    }
    match file.seeking() {
        Seeking::Stream => Err(Errno::ESPIPE),
        _ => Ok(At::Offset(offset as u64)),
    }
}

fn directory_check(file: &Arc<OpenFile>) -> Result<()> {
    if file.seeking() == Seeking::Directory { Err(Errno::EISDIR) } else { Ok(()) }
}

/// read(2).
pub async fn read(current: &mut Current, fd: Fd, buffer: OutBytes<2>, count: usize) -> Result<usize> {
    let file = for_reading(current, fd)?;
    directory_check(&file)?;
    read_into(current, &file, &[(buffer.0, count.min(RW_MAX))], At::Position, false).await
}

/// pread64(2).
pub async fn pread64(current: &mut Current, fd: Fd, buffer: OutBytes<2>, count: usize, offset: i64) -> Result<usize> {
    let file = for_reading(current, fd)?;
    let at = positioned(&file, offset)?;
    directory_check(&file)?;
    read_into(current, &file, &[(buffer.0, count.min(RW_MAX))], at, false).await
}

/// write(2).
pub async fn write(current: &mut Current, fd: Fd, buffer: InBytes<2>, count: usize) -> Result<usize> {
    let file = for_writing(current, fd)?;
    write_from(current, &file, &[(buffer.0, count.min(RW_MAX))], At::Position, false, false).await
}

/// pwrite64(2).
pub async fn pwrite64(current: &mut Current, fd: Fd, buffer: InBytes<2>, count: usize, offset: i64) -> Result<usize> {
    let file = for_writing(current, fd)?;
    let at = positioned(&file, offset)?;
    write_from(current, &file, &[(buffer.0, count.min(RW_MAX))], at, false, false).await
}

const RWF_KNOWN: u32 = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;

/// Where `preadv2` and `pwritev2` take -1 for the description's own position.
fn positioned_or_own(file: &Arc<OpenFile>, offset: i64) -> Result<At> {
    if offset == -1 { Ok(At::Position) } else { positioned(file, offset) }
}

/// A read into an iovec; `place` says where of the file.
async fn read_vector(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    place: impl FnOnce(&Arc<OpenFile>) -> Result<At>,
    flags: u32,
) -> Result<usize> {
    if flags & !RWF_KNOWN != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = for_reading(current, fd)?;
    let at = place(&file)?;
    directory_check(&file)?;
    let segments = read_iovec(&current.memory(), vector.0, count)?;
    read_into(current, &file, &segments, at, flags & RWF_NOWAIT != 0).await
}

/// A write from an iovec.
async fn write_vector(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    place: impl FnOnce(&Arc<OpenFile>) -> Result<At>,
    flags: u32,
) -> Result<usize> {
    if flags & !RWF_KNOWN != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let file = for_writing(current, fd)?;
    let at = place(&file)?;
    let segments = read_iovec(&current.memory(), vector.0, count)?;
    let n = write_from(current, &file, &segments, at, flags & RWF_APPEND != 0, flags & RWF_NOWAIT != 0).await?;
    if flags & (RWF_SYNC | RWF_DSYNC) != 0 {
        file.operations()?.sync(&file, flags & RWF_SYNC == 0)?;
    }
    Ok(n)
}

/// readv(2).
pub async fn readv(current: &mut Current, fd: Fd, vector: UserOpaque, count: usize) -> Result<usize> {
    read_vector(current, fd, vector, count, |_| Ok(At::Position), 0).await
}

/// writev(2).
pub async fn writev(current: &mut Current, fd: Fd, vector: UserOpaque, count: usize) -> Result<usize> {
    write_vector(current, fd, vector, count, |_| Ok(At::Position), 0).await
}

/// preadv(2); the high half of the offset is always 0 on 64-bit.
pub async fn preadv(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    offset: i64,
    _high: u64,
) -> Result<usize> {
    read_vector(current, fd, vector, count, |file| positioned(file, offset), 0).await
}

/// pwritev(2).
pub async fn pwritev(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    offset: i64,
    _high: u64,
) -> Result<usize> {
    write_vector(current, fd, vector, count, |file| positioned(file, offset), 0).await
}

/// preadv2(2).
pub async fn preadv2(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> Result<usize> {
    read_vector(current, fd, vector, count, |file| positioned_or_own(file, offset), flags).await
}

/// pwritev2(2).
pub async fn pwritev2(
    current: &mut Current,
    fd: Fd,
    vector: UserOpaque,
    count: usize,
    offset: i64,
    _high: u64,
    flags: u32,
) -> Result<usize> {
    write_vector(current, fd, vector, count, |file| positioned_or_own(file, offset), flags).await
}

/// lseek(2).
pub fn lseek(current: &mut Current, fd: Fd, offset: i64, whence: i32) -> Result<u64> {
    let file = current.files().get(fd.0)?;
    let operations = file.operations()?.clone();
    match file.seeking() {
        Seeking::Stream if !operations.ignores_seeks() => return Err(Errno::ESPIPE),
        Seeking::Stream | Seeking::Ignored => return if whence <= 4 { Ok(0) } else { Err(Errno::EINVAL) },
        Seeking::Positions | Seeking::Directory => {}
    }
    let new = match whence {
        0 => offset,
        1 => i64::try_from(*file.position().lock()).ok().and_then(|p| p.checked_add(offset)).ok_or(Errno::EOVERFLOW)?,
        2 => i64::try_from(file.attributes()?.size).ok().and_then(|s| s.checked_add(offset)).ok_or(Errno::EOVERFLOW)?,
        3 | 4 => {
            let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            operations.seek_data(&file, from, whence == 4)? as i64
        }
        _ => return Err(Errno::EINVAL),
    };
    let new = u64::try_from(new).map_err(|_| Errno::EINVAL)?;
    *file.position().lock() = new;
    Ok(new)
}

/// sendfile(2): from something with positions to anything.
pub async fn sendfile(current: &mut Current, to: Fd, from: Fd, offset: InOut<i64>, count: usize) -> Result<usize> {
    let source = for_reading(current, from)?;
    let target = for_writing(current, to)?;
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    if source.seeking() == Seeking::Stream {
        return Err(if offset.is_null() { Errno::EINVAL } else { Errno::ESPIPE });
    }
    let memory = current.memory();
    let start = match offset.is_null() {
        true => *source.position().lock(),
        false => u64::try_from(offset.read(&memory)?).map_err(|_| Errno::EINVAL)?,
    };
    let done = copy_range(current, &source, &target, start, At::Position, count.min(RW_MAX)).await?;
    match offset.is_null() {
        true => *source.position().lock() = start + done as u64,
        false => offset.write(&memory, &(start as i64 + done as i64))?,
    }
    Ok(done)
}

async fn copy_range(
    current: &mut Current,
    source: &Arc<OpenFile>,
    target: &Arc<OpenFile>,
    start: u64,
    to: At,
    count: usize,
) -> Result<usize> {
    let operations = source.operations()?.clone();
    let mut buffer = vec![0u8; count.min(PIECE)];
    let mut done = 0;
    while done < count {
        let n = (count - done).min(PIECE);
        let got = match operations.read_at(source, &mut buffer[..n], start + done as u64) {
            Ok(0) => break,
            Ok(got) => got,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        let to = match to {
            At::Position => At::Position,
            At::Offset(offset) => At::Offset(offset + done as u64),
        };
        match write_bytes(current, target, &buffer[..got], to, false, target.nonblocking()).await {
            Ok(wrote) => {
                done += wrote;
                if wrote < got {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// copy_file_range(2).
pub async fn copy_file_range(
    current: &mut Current,
    from: Fd,
    from_offset: InOut<i64>,
    to: Fd,
    to_offset: InOut<i64>,
    count: usize,
    flags: u32,
) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let source = for_reading(current, from)?;
    let target = for_writing(current, to)?;
    for file in [&source, &target] {
        match file.inode().map(|i| i.file_type()) {
            Some(FileType::Regular) => {}
            Some(FileType::Directory) => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
    }
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EBADF);
    }
    let memory = current.memory();
    let place = |file: &Arc<OpenFile>, offset: InOut<i64>| -> Result<u64> {
        match offset.is_null() {
            true => Ok(*file.position().lock()),
            false => u64::try_from(offset.read(&memory)?).map_err(|_| Errno::EINVAL),
        }
    };
    let (start, target_start) = (place(&source, from_offset)?, place(&target, to_offset)?);
    let count = count.min(RW_MAX);
    let same = source.inode().zip(target.inode()).is_some_and(|(a, b)| crate::fs::dentry::same_inode(a, b));
    if same && start < target_start.saturating_add(count as u64) && target_start < start.saturating_add(count as u64) {
        return Err(Errno::EINVAL);
    }
    let done = copy_range(current, &source, &target, start, At::Offset(target_start), count).await?;
    for (file, offset, was) in [(&source, from_offset, start), (&target, to_offset, target_start)] {
        match offset.is_null() {
            true => *file.position().lock() = was + done as u64,
            false => offset.write(&memory, &((was + done as u64) as i64))?,
        }
    }
    Ok(done)
}

/// fsync(2).
pub fn fsync(current: &mut Current, fd: Fd) -> Result<()> {
    let file = current.files().get(fd.0)?;
    file.operations()?.sync(&file, false)
}

/// fdatasync(2).
pub fn fdatasync(current: &mut Current, fd: Fd) -> Result<()> {
    let file = current.files().get(fd.0)?;
    file.operations()?.sync(&file, true)
}

/// sync(2).
pub fn sync(current: &mut Current) -> Result<()> {
    for mount in current.kernel().mounts().mounts() {
        // sync reports nothing.
        let _ = mount.filesystem.sync();
    }
    Ok(())
}

/// syncfs(2).
pub fn syncfs(current: &mut Current, fd: Fd) -> Result<()> {
    let file = current.files().get(fd.0)?;
    file.operations()?;
    match file.path() {
        Some(path) => path.mount.filesystem.sync(),
        None => Ok(()),
    }
}

/// sync_file_range(2): a stronger guarantee than asked for.
pub fn sync_file_range(current: &mut Current, fd: Fd, offset: i64, bytes: i64, flags: u32) -> Result<()> {
    if offset < 0 || bytes < 0 || flags & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    if file.seeking() == Seeking::Stream {
        return Err(Errno::ESPIPE);
    }
    file.operations()?.sync(&file, true)
}

/// ftruncate(2).
pub fn ftruncate(current: &mut Current, fd: Fd, length: i64) -> Result<()> {
    let length = u64::try_from(length).map_err(|_| Errno::EINVAL)?;
    let file = current.files().get(fd.0)?;
    file.operations()?;
    if !file.writable() {
        return Err(Errno::EINVAL);
    }
    let Some(inode) = file.inode() else { return file.operations()?.truncate(&file, length) };
    if inode.file_type() != FileType::Regular {
        return Err(Errno::EINVAL);
    }
    within_file_limit(current, &file, length.saturating_sub(1), 1)?;
    inode.set_attributes(&open::truncation(&inode.attributes()?, &current.credentials(), length))?;
    crate::fs::notify::modified(&file);
    Ok(())
}

/// fallocate(2).
pub fn fallocate(current: &mut Current, fd: Fd, flags: FallocateFlags, offset: i64, length: i64) -> Result<()> {
    let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else { return Err(Errno::EINVAL) };
    if length == 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    let operations = file.operations()?;
    if !file.writable() {
        return Err(Errno::EBADF);
    }
    if offset.checked_add(length).is_none_or(|end| end > i64::MAX as u64) {
        return Err(Errno::EFBIG);
    }
    let end = offset + length;
    let grows =
        !flags.intersects(FallocateFlags::KEEP_SIZE | FallocateFlags::COLLAPSE_RANGE | FallocateFlags::INSERT_RANGE);
    if grows && file.inode().is_some_and(|inode| inode.attributes().is_ok_and(|a| a.size < end)) {
        within_file_limit(current, &file, end - 1, 1)?;
    }
    operations.allocate(&file, flags, offset, length)?;
    if let Some(inode) = file.inode() {
        inode.set_attributes(&SetAttributes { mtime: Some(SetTime::Now), ..SetAttributes::default() })?;
    }
    Ok(())
}

/// fadvise64(2): advice is only a hint.
pub fn fadvise64(current: &mut Current, fd: Fd, _offset: i64, _length: i64, advice: i32) -> Result<()> {
    let file = current.files().get(fd.0)?;
    file.operations()?;
    if file.seeking() == Seeking::Stream {
        return Err(Errno::ESPIPE);
    }
    if (0..=5).contains(&advice) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// readahead(2).
pub fn readahead(current: &mut Current, fd: Fd, _offset: i64, _count: usize) -> Result<()> {
    let file = for_reading(current, fd)?;
    match file.inode().map(|i| i.file_type()) {
        Some(FileType::Regular) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}
