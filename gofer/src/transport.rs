//! Packets with descriptors, over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::protocol::OPEN_MAX;

/// Sends one packet, with at most [`OPEN_MAX`] descriptors.
///
/// # Errors
/// The host's; `EPIPE` if the other side is gone.
pub(crate) fn send(socket: impl AsFd, packet: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(OPEN_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
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

/// A packet that came: its length, and the descriptors with it.
pub(crate) struct Received {
    pub length: usize,
    pub descriptors: Vec<OwnedFd>,
}

/// Receives one packet into `buffer`. `None` when the other side is gone. At most [`OPEN_MAX`] descriptors are
/// accepted, and only where the caller wants any (`descriptors`).
///
/// # Errors
/// The host's; `EBADMSG` for a packet that is too long or has more descriptors than accepted.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], descriptors: bool) -> Result<Option<Received>, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(OPEN_MAX))];
    let mut control = RecvAncillaryBuffer::new(if descriptors { &mut space } else { &mut [] });
    let message = loop {
        let mut into = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(&socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = part {
            descriptors.extend(list);
        }
    }
    if descriptors.len() > OPEN_MAX || message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::BADMSG);
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    Ok(Some(Received { length: message.bytes, descriptors }))
}
