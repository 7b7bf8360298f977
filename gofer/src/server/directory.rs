//! Reading directories.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use moat_abi::stat::FileType;
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::handles::Stream;
use super::{Answer, Server};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, MESSAGE_MAX, NAME_MAX};

/// The most that one entry takes of a message: its structure, the length of its name, its name.
const ENTRY_MAX: usize = size_of::<protocol::Entry>() + 4 + NAME_MAX;
/// Bytes that are read from the host at a time.
const READ: usize = 16 * 1024;

fn open(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(fd, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Whether a directory has no entries.
pub(super) fn is_empty(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut space = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(open(fd)?, &mut space);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Server {
    pub(super) fn read_directory(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let request: protocol::ReadDirectory = body.take()?;
        body.finish()?;
        let node = self.shown(request.handle)?;
        if node.kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        let at = reply.len();
        let mut said = protocol::ReadDirectoryReply { stream: request.stream, count: 0, end: 0 };
        reply.put(&said);
        let limit = (request.limit as usize).clamp(ENTRY_MAX, MESSAGE_MAX - at - size_of_val(&said));
        if request.stream != 0 {
            let stream = self.handles.stream(request.stream)?;
            let mut state = stream.state.lock();
            let (fd, position) = &mut *state;
            if *position != request.position {
                *position = seek(fd, request.position)?;
            }
            *position = read(fd, *position, limit, reply, &mut said)?;
        } else {
            let fd = open(&node.fd)?;
            let position = if request.position == 0 { 0 } else { seek(&fd, request.position)? };
            let position = read(&fd, position, limit, reply, &mut said)?;
            if said.end == 0 {
                said.stream = self.handles.insert_stream(Stream { state: Mutex::new((fd, position)) })?;
            }
        }
        reply.patch(at, &said);
        Ok(None)
    }
}

fn seek(fd: &OwnedFd, position: u64) -> Result<u64, Errno> {
    i64::try_from(position).map_err(|_| Errno::INVAL)?;
    rustix::fs::seek(fd, SeekFrom::Start(position))
}

/// Adds entries to the reply until nothing more fits or comes; returns the position behind them.
fn read(
    fd: &OwnedFd,
    mut position: u64,
    limit: usize,
    reply: &mut Writer<'_>,
    said: &mut protocol::ReadDirectoryReply,
) -> Result<u64, Errno> {
    let mut space = [MaybeUninit::uninit(); READ];
    let start = reply.len();
    let mut entries = RawDir::new(fd, &mut space);
    loop {
        if reply.len() - start + ENTRY_MAX > limit {
            // What was read and not sent is read again next time.
            if !entries.is_buffer_empty() {
                seek(fd, position)?;
            }
            return Ok(position);
        }
        let Some(entry) = entries.next() else {
            said.end = 1;
            return Ok(position);
        };
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.len() > NAME_MAX {
            continue;
        }
        position = entry.next_entry_cookie();
        reply.put(&protocol::Entry {
            inode: entry.ino(),
            next: position,
            file_type: entry.file_type().as_raw_mode() >> 12,
            reserved: 0,
        });
        reply.put_bytes(name);
        said.count += 1;
    }
}
