//! Packets with descriptors, over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// Sends one packet, with a descriptor if there is one.
///
/// # Errors
/// The host's; `EPIPE` if the other side is gone.
pub(crate) fn send(socket: impl AsFd, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let list = descriptor.map(|d| [d]);
    if let Some(list) = &list
        && !control.push(SendAncillaryMessage::ScmRights(list))
    {
        return Err(Errno::NOBUFS);
    }
    loop {
        match rustix::net::sendmsg(&socket, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL) {
            Ok(n) if n == packet.len() => return Ok(()),
            Ok(_) => return Err(Errno::MSGSIZE),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// A packet that came: its length, and the descriptor with it.
pub(crate) struct Received {
    pub length: usize,
    pub descriptor: Option<OwnedFd>,
}

/// Receives one packet into `buffer`. `None` when the other side is gone. At most one descriptor is accepted, and only
/// where the caller wants one (`descriptors`).
///
/// # Errors
/// The host's; `EBADMSG` for a packet that is too long or has more descriptors than accepted.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: bool) -> Result<Option<Received>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(if descriptors { &mut space } else { &mut [] });
    let message = loop {
        let mut into = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptor = None;
    let mut surplus = false;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = part {
            for fd in list {
                surplus |= descriptor.replace(fd).is_some();
            }
        }
    }
    if surplus || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::BADMSG);
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    Ok(Some(Received { length: message.bytes, descriptor }))
}
