//! One connection: a request, then its answer.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use moat_abi::errno::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{MESSAGE_MAX, Opcode};
use crate::transport;

/// The connection is of no use any more.
#[derive(Debug)]
pub(super) struct Broken;

/// An answer: its body, and the descriptors that came along.
type Answer<'a> = Result<(Reader<'a>, Vec<OwnedFd>), Errno>;

/// See the module.
pub(super) struct Channel {
    socket: Arc<OwnedFd>,
    request: Vec<u8>,
    reply: Vec<u8>,
    sequence: u32,
    patience: Duration,
}

/// The highest error number that may leave the kernel.
const ERRNO_MAX: u32 = 133;

impl Channel {
    pub(super) fn new(socket: OwnedFd, patience: Duration) -> Result<Self, rustix::io::Errno> {
        set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
        Ok(Self {
            socket: Arc::new(socket),
            request: Vec::with_capacity(512),
            reply: vec![0; MESSAGE_MAX],
            sequence: 0,
            patience,
        })
    }

    pub(super) fn socket(&self) -> &Arc<OwnedFd> {
        &self.socket
    }

    /// Sends a request.
    pub(super) fn send(&mut self, opcode: Opcode, write: impl FnOnce(&mut Writer<'_>)) -> Result<(), Broken> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut writer = Writer::request(&mut self.request, opcode, self.sequence);
        write(&mut writer);
        writer.finish().map_err(|_| Broken)?;
        transport::send(&*self.socket, &self.request, &[]).map_err(|_| Broken)
    }

    /// Sends a request and waits for its answer.
    pub(super) fn transact(
        &mut self,
        opcode: Opcode,
        patience: Duration,
        write: impl FnOnce(&mut Writer<'_>),
    ) -> Result<Answer<'_>, Broken> {
        if patience != self.patience {
            set_socket_timeout(&*self.socket, Timeout::Recv, Some(patience)).map_err(|_| Broken)?;
            self.patience = patience;
        }
        self.send(opcode, write)?;
        let received = transport::receive(&*self.socket, &mut self.reply, true).map_err(|_| Broken)?.ok_or(Broken)?;
        let (header, body) = Reader::reply(&self.reply[..received.length]).map_err(|_| Broken)?;
        if header.sequence != self.sequence || header.descriptors as usize != received.descriptors.len() {
            return Err(Broken);
        }
        if header.errno != 0 {
            body.finish().map_err(|_| Broken)?;
            // What is no error of Linux's, or one of those that never leave the kernel, must not reach an application.
            return Ok(Err(if header.errno > ERRNO_MAX { Errno::EIO } else { Errno::from_raw(header.errno as i32) }));
        }
        Ok(Ok((body, received.descriptors)))
    }
}

/// Wakes whoever waits on the connection.
pub(super) fn shut_down(socket: &OwnedFd) {
    // It fails only if it was shut down before.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}
