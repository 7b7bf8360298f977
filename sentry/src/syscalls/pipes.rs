//! Pipes (pipe(2), splice(2), tee(2), vmsplice(2)).

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;

use super::arguments::{Fd, InOut, Out, UserOpaque};
use super::descriptors::install;
use super::file::{gather, read_iovec, scatter, until_ready};
use crate::Result;
use crate::fs::OpenFile;
use crate::fs::file::Seeking;
use crate::fs::pipe::{self, PipeEnd};
use crate::kernel::Current;

const SPLICE_NONBLOCK: u32 = 2;
const SPLICE_KNOWN: u32 = 0xf;
const PIECE: usize = 64 << 10;

/// pipe(2).
pub fn pipe(current: &mut Current, out: Out<[i32; 2]>) -> Result<()> {
    pipe2(current, out, OpenFlags::empty())
}

/// pipe2(2).
pub fn pipe2(current: &mut Current, out: Out<[i32; 2]>, flags: OpenFlags) -> Result<()> {
    let known = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK | OpenFlags::DIRECT;
    if flags.bits() & !known.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let (reader, writer) = pipe::pair(flags);
    let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
    let read = install(current, reader, close_on_exec)?;
    let written = install(current, writer, close_on_exec).and_then(|write| {
        out.write(&current.memory(), &[read.0, write.0]).inspect_err(|_| {
            let _ = current.files().remove(write.0);
        })
    });
    written.inspect_err(|_| {
        let _ = current.files().remove(read.0);
    })
}

fn offset_of(
    memory: &crate::mm::user::UserMemory,
    file: &Arc<OpenFile>,
    is_pipe: bool,
    offset: InOut<i64>,
) -> Result<Option<u64>> {
    if offset.is_null() {
        return Ok(None);
    }
    if is_pipe || file.seeking() == Seeking::Stream {
        return Err(Errno::ESPIPE);
    }
    u64::try_from(offset.read(memory)?).map(Some).map_err(|_| Errno::EINVAL)
}

/// splice(2): through the sentry's memory, whole pieces or nothing lost.
pub async fn splice(
    current: &mut Current,
    from: Fd,
    from_offset: InOut<i64>,
    to: Fd,
    to_offset: InOut<i64>,
    count: usize,
    flags: u32,
) -> Result<usize> {
    if flags & !SPLICE_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (current.files().get(from.0)?, current.files().get(to.0)?);
    if !source.readable() || !target.writable() {
        return Err(Errno::EBADF);
    }
    let (from_pipe, to_pipe) = (source.downcast::<PipeEnd>(), target.downcast::<PipeEnd>());
    if from_pipe.is_none() && to_pipe.is_none() {
        return Err(Errno::EINVAL);
    }
    if let (Some(a), Some(b)) = (from_pipe, to_pipe)
        && Arc::ptr_eq(a.pipe(), b.pipe())
    {
        return Err(Errno::EINVAL);
    }
    if target.flags().contains(OpenFlags::APPEND) {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory();
    let start = offset_of(&memory, &source, from_pipe.is_some(), from_offset)?;
    let target_start = offset_of(&memory, &target, to_pipe.is_some(), to_offset)?;
    let nonblocking = flags & SPLICE_NONBLOCK != 0;
    let count = count.min(PIECE);
    if count == 0 {
        return Ok(0);
    }
    // Room first, so that what was read can be written.
    let room = match to_pipe {
        Some(end) => {
            let wait = nonblocking || target.nonblocking();
            until_ready(current, &target, wait, || end.room()).await?.min(count)
        }
        None => count,
    };
    let mut bytes = vec![0u8; room];
    let positioned = source.seeking() != Seeking::Stream;
    let at = start.unwrap_or_else(|| if positioned { *source.position().lock() } else { 0 });
    let operations = source.operations()?.clone();
    let wait = from_pipe.is_some() && nonblocking || source.nonblocking();
    let got = until_ready(current, &source, wait, || operations.read_at(&source, &mut bytes, at)).await?;
    let sink = target.operations()?.clone();
    let seekable = target.seeking() != Seeking::Stream;
    let to_at = target_start.unwrap_or_else(|| if seekable { *target.position().lock() } else { 0 });
    let mut done = 0;
    while done < got {
        let attempt =
            until_ready(current, &target, false, || sink.write_at(&target, &bytes[done..got], to_at + done as u64));
        match attempt.await {
            Ok(n) => done += n,
            Err(e) if done == 0 => return Err(e),
            Err(_) => break,
        }
    }
    if positioned {
        match start {
            Some(start) => from_offset.write(&memory, &((start + done as u64) as i64))?,
            None => *source.position().lock() = at + done as u64,
        }
    }
    if seekable {
        match target_start {
            Some(start) => to_offset.write(&memory, &((start + done as u64) as i64))?,
            None => *target.position().lock() = to_at + done as u64,
        }
    }
    Ok(done)
}

/// tee(2).
pub async fn tee(current: &mut Current, from: Fd, to: Fd, count: usize, flags: u32) -> Result<usize> {
    if flags & !SPLICE_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let (source, target) = (current.files().get(from.0)?, current.files().get(to.0)?);
    if !source.readable() || !target.writable() {
        return Err(Errno::EBADF);
    }
    let (Some(a), Some(b)) = (source.downcast::<PipeEnd>(), target.downcast::<PipeEnd>()) else {
        return Err(Errno::EINVAL);
    };
    if Arc::ptr_eq(a.pipe(), b.pipe()) {
        return Err(Errno::EINVAL);
    }
    let nonblocking = flags & SPLICE_NONBLOCK != 0;
    let room = until_ready(current, &target, nonblocking || target.nonblocking(), || b.room()).await?;
    let limit = count.min(room).min(PIECE);
    let bytes = until_ready(current, &source, nonblocking || source.nonblocking(), || a.peek(limit)).await?;
    if bytes.is_empty() {
        return Ok(0);
    }
    target.operations()?.write_at(&target, &bytes, 0)
}

/// vmsplice(2): copies; gifts are not taken.
pub async fn vmsplice(current: &mut Current, fd: Fd, vector: UserOpaque, count: usize, flags: u32) -> Result<usize> {
    if flags & !SPLICE_KNOWN != 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    let end = file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?;
    let memory = current.memory();
    let segments = read_iovec(&memory, vector.0, count)?;
    let operations = file.operations()?.clone();
    let nonblocking = flags & SPLICE_NONBLOCK != 0 || file.nonblocking();
    if end.writes() {
        let bytes = gather(&memory, &segments, 0, PIECE)?;
        return until_ready(current, &file, nonblocking, || operations.write_at(&file, &bytes, 0)).await;
    }
    let total: usize = segments.iter().map(|s| s.1).sum();
    let mut bytes = vec![0u8; total.min(PIECE)];
    let got = until_ready(current, &file, nonblocking, || operations.read_at(&file, &mut bytes, 0)).await?;
    scatter(&memory, &segments, 0, &bytes[..got])?;
    Ok(got)
}
