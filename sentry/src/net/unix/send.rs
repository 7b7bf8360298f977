//! Sending through unix sockets.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, UCred};

use super::inflight::Rights;
use super::queue::Segment;
use super::{Core, DATAGRAMS, State, Status, UnixSocket};
use crate::Result;
use crate::net::socket::Outgoing;

/// What goes along with the bytes.
fn luggage(
    sender: &Core,
    receiver: &Core,
    accepted: bool,
    message: &mut Outgoing<'_>,
) -> (Option<UCred>, Option<Rights>) {
    let wanted = !accepted || sender.options.passes_credentials() || receiver.options.passes_credentials();
    let credentials = message.stated.or_else(|| wanted.then(|| message.sender.ucred()));
    let rights = (!message.rights.is_empty()).then(|| Rights::new(std::mem::take(message.rights)));
    (credentials, rights)
}

impl State {
    /// Whether somebody with a send buffer of `limit` bytes may send; if not, it is to be woken later.
    fn has_room(&mut self, limit: usize) -> bool {
        if self.queue.charge() < limit {
            return true;
        }
        self.starved = Some(limit);
        false
    }
}

impl Core {
    /// What poll says of a sender: room for a good piece, so that it is not woken for every byte.
    pub(super) fn has_room_for(&self, sender: &Core) -> bool {
        let limit = sender.send_buffer();
        let mut state = self.state.lock();
        let foreign = state.peer.as_ref().is_none_or(|p| !std::ptr::eq(Arc::as_ptr(p), sender));
        let full = self.kind == s::SOCK_DGRAM && foreign && state.queue.len() > DATAGRAMS;
        if state.dead || (state.queue.charge() * 4 <= limit && !full) {
            return true;
        }
        state.starved = Some(limit);
        false
    }
}

impl UnixSocket {
    pub(super) fn send_stream(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        let limit = self.core.send_buffer();
        let peer = {
            let mut state = self.core.state.lock();
            let connected = state.status == Status::Established;
            if message.to.is_some() {
                return Err(if connected { Errno::EISCONN } else { Errno::EOPNOTSUPP });
            }
            if !connected {
                return Err(Errno::ENOTCONN);
            }
            if state.shut_write {
                return Err(Errno::EPIPE);
            }
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            state.peer.clone().ok_or(Errno::ENOTCONN)?
        };
        if let Some(waiter) = message.waiter.as_deref_mut() {
            waiter.listen(&peer.writable);
            waiter.listen(&self.core.readable);
        }
        let n = {
            let mut other = peer.state.lock();
            if other.dead || other.shut_read {
                return Err(Errno::EPIPE);
            }
            if message.data.is_empty() {
                return Ok(0);
            }
            if !other.has_room(limit) {
                return Err(Errno::EAGAIN);
            }
            let n = message.data.len().min(limit - other.queue.charge());
            let (credentials, rights) = luggage(&self.core, &peer, other.accepted, message);
            other.queue.extend(&message.data[..n], credentials, rights);
            n
        };
        peer.readable.wake_all();
        Ok(n)
    }

    pub(super) fn send_message(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        let connection = self.core.is_connection();
        self.name_for_credentials()?;
        let limit = self.core.send_buffer();
        if message.data.len() > limit - 32 {
            return Err(Errno::EMSGSIZE);
        }
        let peer = {
            let mut state = self.core.state.lock();
            if connection && state.status != Status::Established {
                return Err(Errno::ENOTCONN);
            }
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            if state.shut_write {
                return Err(Errno::EPIPE);
            }
            state.peer.clone()
        };
        let named = message.to.filter(|_| !connection);
        let target = match named {
            Some(to) => self.find(message.task, to)?,
            None => peer.ok_or(Errno::ENOTCONN)?,
        };
        if let Some(waiter) = message.waiter.as_deref_mut() {
            waiter.listen(&target.writable);
            waiter.listen(&self.core.readable);
        }
        let sent = self.deliver(&target, message, limit);
        match sent {
            Ok(()) => {
                target.readable.wake_all();
                Ok(message.data.len())
            }
            Err(Errno::ECONNREFUSED) if named.is_none() && !connection => {
                let mut state = self.core.state.lock();
                if state.peer.as_ref().is_some_and(|p| Arc::ptr_eq(p, &target)) {
                    let old = state.peer.take();
                    state.status = Status::Unconnected;
                    drop(state);
                    drop(old);
                }
                Err(Errno::ECONNREFUSED)
            }
            Err(e) => Err(e),
        }
    }

    fn deliver(&self, target: &Arc<Core>, message: &mut Outgoing<'_>, limit: usize) -> Result<()> {
        let mut other = target.state.lock();
        if other.dead {
            return Err(if self.core.is_connection() { Errno::EPIPE } else { Errno::ECONNREFUSED });
        }
        let ours = other.peer.as_ref().is_some_and(|p| Arc::ptr_eq(p, &self.core));
        if !ours && other.peer.is_some() {
            return Err(Errno::EPERM);
        }
        if other.shut_read {
            return Err(Errno::EPIPE);
        }
        let full = !ours && !Arc::ptr_eq(target, &self.core) && other.queue.len() > DATAGRAMS;
        if full {
            other.starved = Some(limit);
            return Err(Errno::EAGAIN);
        }
        if !other.has_room(limit) {
            return Err(Errno::EAGAIN);
        }
        let (credentials, rights) = luggage(&self.core, target, other.accepted, message);
        other.queue.push(Segment::new(message.data.to_vec(), credentials, rights, Some(self.core.clone())));
        Ok(())
    }
}
