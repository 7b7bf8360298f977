//! Sending and receiving (send(2), recv(2), sendmmsg(2), recvmmsg(2)).

use std::sync::Arc;
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::signal::{SIGPIPE, SigInfo};
use moat_abi::socket as s;
use moat_abi::socket::{MMsgHdr, MsgFlags, MsgHdr, SOCKADDR_MAX};
use moat_abi::time::Timespec;

use super::arguments::{Fd, InBytes, InOut, OutBytes, UserOpaque};
use super::file::{gather, read_iovec, scatter};
use super::socket::{of, read_address, socket_file, until_done, write_address};
use crate::Result;
use crate::fs::OpenFile;
use crate::kernel::Current;
use crate::kernel::signal::send;
use crate::mm::user::{IOV_MAX, RW_MAX};
use crate::net::control::{self, ControlMessage, Sent, Writer};
use crate::net::socket::{Outgoing, Owner, Received};
use crate::net::{Socket, unix};

/// Streams move through the sentry in pieces of this many bytes; no message is longer.
const PIECE: usize = 256 << 10;

/// Sends from the segments: a message as a whole, of a stream as much as goes.
async fn send_segments(
    current: &Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    to: Option<Vec<u8>>,
    sent: Sent,
    flags: MsgFlags,
) -> Result<usize> {
    let socket = of(file)?;
    let total: usize = segments.iter().map(|s| s.1).sum();
    if socket.protocol_operations().message_limit().is_some_and(|limit| total > limit.min(PIECE)) {
        return Err(Errno::EMSGSIZE);
    }
    let nonblocking = file.nonblocking() || flags.contains(MsgFlags::DONTWAIT);
    let Sent { mut rights, credentials, others } = sent;
    let mut done = 0;
    let result = loop {
        let piece = match gather(&current.memory(), segments, done, PIECE.min(total - done)) {
            Ok(piece) => piece,
            Err(e) => break Err(e),
        };
        let mut at = 0;
        let moved = loop {
            let limit = socket.send_timeout();
            let one = until_done(current, nonblocking, limit, Errno::EAGAIN, |mut waiter| {
                if let Some(waiter) = waiter.as_deref_mut() {
                    socket.protocol_operations().poll(Some(waiter));
                }
                socket.protocol_operations().send(&mut Outgoing {
                    data: &piece[at..],
                    to: to.as_deref(),
                    rights: &mut rights,
                    stated: credentials,
                    control: &others,
                    sender: Owner::real(current),
                    task: Some(current),
                    flags,
                    waiter,
                })
            })
            .await;
            match one {
                Ok(n) => {
                    at += n;
                    done += n;
                    if at >= piece.len() || n == 0 {
                        break Ok(());
                    }
                }
                Err(e) => break Err(e),
            }
        };
        if let Err(e) = moved {
            break Err(e);
        }
        if done >= total || at < piece.len() {
            break Ok(());
        }
    };
    unix::inflight::end_all(rights);
    match result {
        Err(_) if done > 0 => Ok(done),
        Err(Errno::EPIPE) => {
            if socket.protocol_operations().signals_broken_pipe() && !flags.contains(MsgFlags::NOSIGNAL) {
                // A standard signal to oneself is never refused.
                let _ = send::to_task(&current.task, SIGPIPE, SigInfo::kernel(SIGPIPE), send::Origin::Inside);
            }
            Err(Errno::EPIPE)
        }
        Err(e) => Err(e),
        Ok(()) => Ok(done),
    }
}

/// What ends the wait for the low water mark.
const READABLE: PollEvents = PollEvents::IN.union(PollEvents::ERR).union(PollEvents::HUP).union(PollEvents::RDHUP);

/// Receives into the segments. `copied` of the answer says how much lies there.
async fn receive_segments(
    current: &Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    flags: MsgFlags,
) -> Result<Received> {
    let socket = of(file)?;
    let operations = socket.protocol_operations();
    let total: usize = segments.iter().map(|s| s.1).sum();
    let stream = operations.message_limit().is_none();
    let nonblocking = file.nonblocking() || flags.contains(MsgFlags::DONTWAIT);
    let mut flags = flags;
    flags.set(MsgFlags::DONTWAIT, nonblocking);
    let deadline = socket.receive_timeout().and_then(|l| Instant::now().checked_add(l));
    let mark = socket.options.get(|o| o.receive_low_water);
    let low_water = stream && !nonblocking && mark > 1 && total >= mark as usize;
    let mut buffer = vec![0u8; total.min(PIECE)];
    let mut whole = Received::default();
    loop {
        let n = (total - whole.copied).min(buffer.len());
        let limit = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let got = until_done(current, nonblocking, limit, Errno::EAGAIN, |waiter| {
            if waiter.is_some() {
                operations.poll(waiter);
            }
            // Below the low water mark there is nothing to be had by who may wait.
            if low_water && !operations.poll(None).intersects(READABLE) {
                return Err(Errno::EAGAIN);
            }
            operations.receive(&mut buffer[..n], flags)
        })
        .await;
        let got = match got {
            Ok(got) => got,
            Err(_) if whole.copied > 0 => break,
            Err(e) => return Err(e),
        };
        let discards = stream && flags.contains(MsgFlags::TRUNC) && socket.family != s::AF_UNIX;
        if !discards && let Err(e) = scatter(&current.memory(), segments, whole.copied, &buffer[..got.copied]) {
            return if whole.copied > 0 { Ok(whole) } else { Err(e) };
        }
        let ended = got.copied == 0;
        let luggage = !got.control.is_empty();
        let before = whole.copied;
        whole = Received { copied: before + got.copied, full: before + got.full, ..got };
        // More of a stream is fetched if all is wanted, or if the piece was full and more may lie there.
        let wants_all = flags.contains(MsgFlags::WAITALL) && !flags.contains(MsgFlags::PEEK);
        if !stream || ended || luggage || whole.copied >= total || !wants_all {
            break;
        }
    }
    Ok(whole)
}

/// read(2) and its like on a socket.
pub(super) async fn read(
    current: &Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    nowait: bool,
) -> Result<usize> {
    let flags = if nowait { MsgFlags::DONTWAIT } else { MsgFlags::empty() };
    if segments.iter().all(|s| s.1 == 0) {
        return Ok(0);
    }
    receive_segments(current, file, segments, flags).await.map(|r| r.copied)
}

/// write(2) and its like on a socket.
pub(super) async fn write(
    current: &Current,
    file: &Arc<OpenFile>,
    segments: &[(u64, usize)],
    nowait: bool,
) -> Result<usize> {
    let flags = if nowait { MsgFlags::DONTWAIT } else { MsgFlags::empty() };
    send_segments(current, file, segments, None, Sent::default(), flags).await
}

/// sendto(2).
pub async fn sendto(
    current: &mut Current,
    fd: Fd,
    buffer: InBytes<2>,
    length: usize,
    flags: MsgFlags,
    address: UserOpaque,
    address_length: u32,
) -> Result<usize> {
    let file = socket_file(current, fd)?;
    let to = match address.0 {
        0 => None,
        at => Some(read_address(&current.memory(), at, address_length)?),
    };
    send_segments(current, &file, &[(buffer.0, length.min(RW_MAX))], to, Sent::default(), flags).await
}

/// recvfrom(2).
pub async fn recvfrom(
    current: &mut Current,
    fd: Fd,
    buffer: OutBytes<2>,
    length: usize,
    flags: MsgFlags,
    address: UserOpaque,
    address_length: UserOpaque,
) -> Result<usize> {
    let file = socket_file(current, fd)?;
    let received = receive_segments(current, &file, &[(buffer.0, length.min(RW_MAX))], flags).await?;
    if address.0 != 0 {
        let name = received.from.as_deref().unwrap_or_default();
        write_address(&current.memory(), address.0, address_length.0, name)?;
    }
    Ok(amount(&received, of(&file)?, flags))
}

/// What a receive returns: MSG_TRUNC asks for the length of the message.
fn amount(received: &Received, socket: &Socket, flags: MsgFlags) -> usize {
    let message = socket.protocol_operations().message_limit().is_some();
    if flags.contains(MsgFlags::TRUNC) && message { received.full } else { received.copied }
}

async fn send_one(current: &Current, file: &Arc<OpenFile>, header: &MsgHdr, flags: MsgFlags) -> Result<usize> {
    let memory = current.memory();
    let to = match (header.name, header.namelen) {
        (0, _) | (_, 0) => None,
        (_, length) if (length as i32) < 0 => return Err(Errno::EINVAL),
        // Longer ones are cut, not refused, here.
        (at, length) => Some(read_address(&memory, at, length.min(SOCKADDR_MAX as u32))?),
    };
    let count = usize::try_from(header.iovlen).ok().filter(|&n| n <= IOV_MAX).ok_or(Errno::EMSGSIZE)?;
    let segments = read_iovec(&memory, header.iov, count)?;
    let length = usize::try_from(header.controllen).map_err(|_| Errno::ENOBUFS)?;
    if length > control::CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut raw = vec![0; if header.control == 0 { 0 } else { length }];
    memory.read_bytes(header.control, &mut raw)?;
    let sent = control::parse(current, of(file)?.family, &raw)?;
    send_segments(current, file, &segments, to, sent, flags).await
}

/// sendmsg(2).
pub async fn sendmsg(current: &mut Current, fd: Fd, message: UserOpaque, flags: MsgFlags) -> Result<usize> {
    let file = socket_file(current, fd)?;
    let header: MsgHdr = current.memory().read(message.0)?;
    send_one(current, &file, &header, flags).await
}

/// sendmmsg(2).
pub async fn sendmmsg(
    current: &mut Current,
    fd: Fd,
    messages: UserOpaque,
    count: u32,
    flags: MsgFlags,
) -> Result<usize> {
    let file = socket_file(current, fd)?;
    let mut done = 0;
    while done < (count as usize).min(IOV_MAX) {
        let at = messages.0.wrapping_add((done * size_of::<MMsgHdr>()) as u64);
        let sent = match current.memory().read::<MMsgHdr>(at) {
            Ok(message) => send_one(current, &file, &message.hdr, flags).await,
            Err(e) => Err(e),
        };
        let written = sent.and_then(|n| current.memory().write(at + size_of::<MsgHdr>() as u64, &(n as u32)));
        match written {
            Ok(()) => done += 1,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Offsets in `struct msghdr` of what a receive writes back.
const NAME_LENGTH: u64 = 8;
const CONTROL_LENGTH: u64 = 40;
const FLAGS: u64 = 48;

async fn receive_one(current: &Current, file: &Arc<OpenFile>, at: u64, flags: MsgFlags) -> Result<usize> {
    let memory = current.memory();
    let header: MsgHdr = memory.read(at)?;
    let count = usize::try_from(header.iovlen).ok().filter(|&n| n <= IOV_MAX).ok_or(Errno::EMSGSIZE)?;
    if header.name != 0 && (header.namelen as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let segments = read_iovec(&memory, header.iov, count)?;
    let mut received = receive_segments(current, file, &segments, flags).await?;
    let room = if header.control == 0 { 0 } else { usize::try_from(header.controllen).unwrap_or(usize::MAX) };
    let mut writer = Writer::new(room);
    for message in std::mem::take(&mut received.control) {
        match message {
            ControlMessage::Credentials(credentials) => {
                writer.put(s::SOL_SOCKET, s::SCM_CREDENTIALS, zerocopy::IntoBytes::as_bytes(&credentials));
            }
            ControlMessage::Rights(files) => writer.put_rights(current, files, flags.contains(MsgFlags::CMSG_CLOEXEC)),
            ControlMessage::Other { level, kind, data } => writer.put(level, kind, &data),
        }
    }
    if header.name != 0 {
        let name = received.from.as_deref().unwrap_or_default();
        let n = name.len().min(header.namelen as usize);
        memory.write_bytes(header.name, &name[..n])?;
        memory.write(at + NAME_LENGTH, &(name.len() as u32))?;
    }
    let shown = received.flags | writer.flags | (flags & MsgFlags::CMSG_CLOEXEC);
    let control = writer.into_bytes();
    memory.write_bytes(header.control, &control)?;
    memory.write(at + FLAGS, &shown.bits())?;
    memory.write(at + CONTROL_LENGTH, &(control.len() as u64))?;
    Ok(amount(&received, of(file)?, flags))
}

/// recvmsg(2).
pub async fn recvmsg(current: &mut Current, fd: Fd, message: UserOpaque, flags: MsgFlags) -> Result<usize> {
    let file = socket_file(current, fd)?;
    receive_one(current, &file, message.0, flags).await
}

/// recvmmsg(2). The time limit is looked at between messages only, as Linux does.
pub async fn recvmmsg(
    current: &mut Current,
    fd: Fd,
    messages: UserOpaque,
    count: u32,
    flags: MsgFlags,
    limit: InOut<Timespec>,
) -> Result<usize> {
    let file = socket_file(current, fd)?;
    let memory = current.memory();
    let until = match limit.is_null() {
        true => None,
        false => {
            let time = limit.read(&memory)?.duration().ok_or(Errno::EINVAL)?;
            Instant::now().checked_add(time)
        }
    };
    let mut flags = flags;
    let mut done = 0;
    while done < (count as usize).min(IOV_MAX) {
        let at = messages.0.wrapping_add((done * size_of::<MMsgHdr>()) as u64);
        let one = flags - MsgFlags::WAITFORONE;
        let received = receive_one(current, &file, at, one).await;
        let written = received.and_then(|n| memory.write(at + size_of::<MsgHdr>() as u64, &(n as u32)));
        match written {
            Ok(()) => done += 1,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
        if flags.contains(MsgFlags::WAITFORONE) {
            flags |= MsgFlags::DONTWAIT;
        }
        if until.is_some_and(|u| Instant::now() >= u) {
            break;
        }
    }
    if let Some(until) = until {
        let left: Duration = until.saturating_duration_since(Instant::now());
        limit.write(&memory, &left.into())?;
    }
    Ok(done)
}
