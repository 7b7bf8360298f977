//! Receiving from unix sockets.

use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, MsgFlags, UCred};

use super::{Core, State, Status};
use crate::Result;
use crate::fs::OpenFile;
use crate::net::address::UnixAddress;
use crate::net::control::ControlMessage;
use crate::net::socket::Received;
use std::sync::Arc;

/// Who a message came from that did not say (`overflowuid`).
const UNKNOWN: UCred = UCred { pid: 0, uid: 65_534, gid: 65_534 };

impl State {
    /// Whether a sender that found no room has enough of it now.
    fn relieved(&mut self, message: bool) -> bool {
        match self.starved {
            Some(limit) if message || self.queue.charge() * 4 <= limit => {
                self.starved = None;
                true
            }
            _ => false,
        }
    }
}

impl Core {
    pub(super) fn receive_stream(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        let peek = flags.contains(MsgFlags::PEEK);
        let (mut received, relieved, peer) = {
            let mut state = self.state.lock();
            if state.status != Status::Established {
                return Err(Errno::EINVAL);
            }
            if state.queue.is_empty() {
                if let Some(error) = state.error.take() {
                    return Err(error);
                }
                return if state.shut_read { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
            }
            let received = match peek {
                true => self.peek_pieces(&state, buf),
                false => self.take_pieces(&mut state, buf),
            };
            (received, state.relieved(false), state.peer.clone())
        };
        if relieved {
            self.writable.wake_all();
        }
        received.from = peer.and_then(|p| p.state.lock().address.clone()).map(|a| UnixAddress::encode(Some(&a)));
        Ok(received)
    }

    fn received(&self, copied: usize, credentials: Option<Option<UCred>>, rights: Vec<Arc<OpenFile>>) -> Received {
        let mut control = Vec::new();
        if self.options.passes_credentials() {
            control.push(ControlMessage::Credentials(credentials.flatten().unwrap_or(UNKNOWN)));
        }
        if !rights.is_empty() {
            control.push(ControlMessage::Rights(rights));
        }
        Received { copied, full: copied, control, ..Received::default() }
    }

    /// Takes bytes up to the next change of sender (if that is told) or behind the first piece with rights.
    fn take_pieces(&self, state: &mut State, buf: &mut [u8]) -> Received {
        let told = self.options.passes_credentials();
        let mut credentials = None;
        let mut files = Vec::new();
        let mut copied = 0;
        while let Some(piece) = state.queue.front_mut() {
            if told && credentials.is_some_and(|c| c != piece.credentials) {
                break;
            }
            let n = piece.rest().len().min(buf.len() - copied);
            if n == 0 {
                break;
            }
            credentials = Some(piece.credentials);
            buf[copied..copied + n].copy_from_slice(&piece.rest()[..n]);
            let rights = piece.rights.take();
            let last = rights.is_some();
            files.extend(rights.into_iter().flat_map(super::inflight::Rights::land));
            copied += n;
            state.queue.consume(n);
            if last {
                break;
            }
        }
        self.received(copied, credentials, files)
    }

    fn peek_pieces(&self, state: &State, buf: &mut [u8]) -> Received {
        let told = self.options.passes_credentials();
        let mut credentials = None;
        let mut files = Vec::new();
        let mut copied = 0;
        for piece in state.queue.iter() {
            let n = piece.rest().len().min(buf.len() - copied);
            if n == 0 || (told && credentials.is_some_and(|c| c != piece.credentials)) {
                break;
            }
            credentials = Some(piece.credentials);
            buf[copied..copied + n].copy_from_slice(&piece.rest()[..n]);
            copied += n;
            if let Some(rights) = &piece.rights {
                files = rights.duplicate();
                break;
            }
        }
        self.received(copied, credentials, files)
    }

    pub(super) fn receive_message(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        let (mut received, from, full, relieved, done) = {
            let mut state = self.state.lock();
            if self.is_connection() && state.status != Status::Established {
                return Err(Errno::ENOTCONN);
            }
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            let Some(first) = state.queue.front_mut() else {
                let ended = self.kind == s::SOCK_SEQPACKET || !flags.contains(MsgFlags::DONTWAIT);
                return if state.shut_read && ended { Ok(Received::default()) } else { Err(Errno::EAGAIN) };
            };
            let full = first.rest().len();
            let n = full.min(buf.len());
            buf[..n].copy_from_slice(&first.rest()[..n]);
            let (credentials, from) = (first.credentials, first.from.clone());
            let files = match flags.contains(MsgFlags::PEEK) {
                true => first.rights.as_ref().map(super::inflight::Rights::duplicate),
                false => first.rights.take().map(super::inflight::Rights::land),
            };
            let mut relieved = false;
            // The segment must not end under the lock: it may be the last to hold its sender.
            let mut done = None;
            if !flags.contains(MsgFlags::PEEK) {
                done = state.queue.pop();
                relieved = state.relieved(true);
            }
            (self.received(n, Some(credentials), files.unwrap_or_default()), from, full, relieved, done)
        };
        if relieved {
            self.writable.wake_all();
        }
        received.full = full;
        let name = from.and_then(|sender| sender.state.lock().address.clone());
        drop(done);
        received.from = name.map(|a| UnixAddress::encode(Some(&a)));
        if full > received.copied {
            received.flags |= MsgFlags::TRUNC;
        }
        Ok(received)
    }
}
