//! UDP over the loopback: datagrams go straight into the receiver's queue.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{TCP_CLOSE, TCP_ESTABLISHED};

use super::ports::Hold;
use super::{Loopback, check_bind, route, source};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::net::address::unspecified;
use crate::net::stack::{Arrival, Endpoint, Marks, Returned, Rules};
use crate::sync::{Mutex, Rank};

/// What the kernel's own bookkeeping of a datagram counts against the receiver's buffer.
const OVERHEAD: usize = 768;
/// The longest payloads: 65535 bytes less the headers.
const LONGEST_V4: usize = 65_507;
const LONGEST_V6: usize = 65_527;
/// Errors that nobody has taken yet.
const RETURNED_MAX: usize = 64;

struct Datagram {
    data: Vec<u8>,
    from: SocketAddr,
    to: IpAddr,
    marks: Marks,
}

/// An endpoint.
pub struct Udp {
    stack: Arc<Loopback>,
    v6: bool,
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// The address that bind was given.
    bound: Option<SocketAddr>,
    /// The address while connected, which may be more precise.
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    hold: Option<Hold>,
    /// The port was chosen by connect or send, so that the end of the association gives it up.
    automatic: bool,
    queue: VecDeque<Datagram>,
    charge: usize,
    limit: usize,
    error: Option<Errno>,
    returned: VecDeque<Returned>,
    shut_read: bool,
    shut_write: bool,
}

impl Udp {
    pub(super) fn endpoint(stack: Arc<Loopback>, v6: bool) -> Arc<dyn Endpoint> {
        let state = State { limit: crate::net::options::BUFFER_DEFAULT as usize, ..State::default() };
        let udp = Arc::new(Self { stack, v6, state: Mutex::new(Rank::Socket, state), changed: WaitQueue::new() });
        Arc::new(UdpEnd { udp })
    }

    fn bind_any(self: &Arc<Self>, rules: Rules) -> Result<()> {
        if self.state.lock().local.is_some() {
            return Ok(());
        }
        let any = SocketAddr::new(unspecified(self.v6), 0);
        self.take(any, rules)?;
        self.state.lock().automatic = true;
        Ok(())
    }

    fn take(self: &Arc<Self>, address: SocketAddr, rules: Rules) -> Result<()> {
        let hold = self.stack.datagrams.lock().take(address, rules, self, false)?;
        let mut state = self.state.lock();
        if state.local.is_some() {
            drop(state);
            self.stack.datagrams.lock().release(hold);
            return Err(Errno::EINVAL);
        }
        let at = SocketAddr::new(address.ip(), hold.port);
        state.bound = Some(at);
        state.local = Some(at);
        state.hold = Some(hold);
        Ok(())
    }

    /// Ends the association: the address is again what bind gave, if it did.
    fn disconnect(&self) {
        let (hold, ip) = {
            let mut state = self.state.lock();
            state.peer = None;
            let hold = state.hold;
            if state.automatic {
                state.bound = None;
                state.local = None;
                state.hold = None;
                state.automatic = false;
                (hold, None)
            } else {
                state.local = state.bound;
                (hold, state.bound.map(|a| a.ip()))
            }
        };
        match (hold, ip) {
            (Some(hold), Some(ip)) => self.stack.datagrams.lock().settle(hold, ip),
            (Some(hold), None) => self.stack.datagrams.lock().release(hold),
            _ => {}
        }
    }

    /// Puts a datagram into the queue; false if this endpoint does not hear the sender.
    fn deliver(&self, data: &[u8], from: SocketAddr, to: IpAddr, marks: Marks) -> bool {
        {
            let mut state = self.state.lock();
            if state.peer.is_some_and(|p| p != from) {
                return false;
            }
            // What does not fit is lost, as on any network.
            if state.charge + data.len() > state.limit || state.shut_read {
                return true;
            }
            state.charge += data.len() + OVERHEAD;
            state.queue.push_back(Datagram { data: data.to_vec(), from, to, marks });
        }
        self.changed.wake_all();
        true
    }
}

/// What holds an [`Udp`] by its socket.
struct UdpEnd {
    udp: Arc<Udp>,
}

impl Endpoint for UdpEnd {
    fn bind(&self, address: SocketAddr, rules: Rules) -> Result<()> {
        check_bind(address.ip())?;
        if self.udp.state.lock().local.is_some() {
            return Err(Errno::EINVAL);
        }
        self.udp.take(address, rules)
    }

    fn connect(&self, address: Option<SocketAddr>, rules: Rules, _: bool, _: Option<&mut Waiter>) -> Result<()> {
        let udp = &self.udp;
        let Some(to) = address else {
            udp.disconnect();
            return Ok(());
        };
        let bound = udp.state.lock().bound.map(|a| a.ip());
        let to = route(to, bound)?;
        udp.bind_any(rules)?;
        let (hold, ip) = {
            let mut state = udp.state.lock();
            let Some(local) = state.local else { return Err(Errno::EINVAL) };
            let ip = source(to.ip(), bound);
            state.peer = Some(to);
            state.local = Some(SocketAddr::new(ip, local.port()));
            state.limit = rules.receive_buffer;
            (state.hold, ip)
        };
        if let Some(hold) = hold {
            udp.stack.datagrams.lock().settle(hold, ip);
        }
        udp.changed.wake_all();
        Ok(())
    }

    fn listen(&self, _: usize, _: Rules) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn accept(&self) -> Result<Arc<dyn Endpoint>> {
        Err(Errno::EOPNOTSUPP)
    }

    fn local(&self) -> Option<SocketAddr> {
        self.udp.state.lock().local
    }

    fn peer(&self) -> Result<SocketAddr> {
        self.udp.state.lock().peer.ok_or(Errno::ENOTCONN)
    }

    fn send(&self, data: &[u8], to: Option<SocketAddr>, rules: Rules) -> Result<usize> {
        let udp = &self.udp;
        let (peer, local, error, shut) = {
            let mut state = udp.state.lock();
            (state.peer, state.local, state.error.take(), state.shut_write)
        };
        let to = to.or(peer).ok_or(Errno::EDESTADDRREQ)?;
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if data.len() > if to.is_ipv4() { LONGEST_V4 } else { LONGEST_V6 } {
            return Err(Errno::EMSGSIZE);
        }
        if let Some(error) = error {
            return Err(error);
        }
        if shut {
            return Err(Errno::EPIPE);
        }
        if matches!(to.ip(), IpAddr::V4(ip) if ip.is_broadcast()) && !rules.broadcast {
            return Err(Errno::EACCES);
        }
        let to = route(to, local.map(|a| a.ip()))?;
        udp.bind_any(rules)?;
        let port = udp.state.lock().local.map_or(0, |a| a.port());
        let from = SocketAddr::new(source(to.ip(), local.map(|a| a.ip())), port);
        let hearers = udp.stack.datagrams.lock().hearers(to);
        // A connected endpoint is the better match for its peer.
        let (connected, open): (Vec<_>, Vec<_>) = hearers.into_iter().partition(|h| h.state.lock().peer.is_some());
        let heard = connected.iter().chain(&open).any(|h| h.deliver(data, from, to.ip(), rules.marks));
        if !heard && (peer == Some(to) || rules.receive_errors) {
            // The ICMP message that nobody is there.
            let mut state = udp.state.lock();
            state.error = Some(Errno::ECONNREFUSED);
            if rules.receive_errors && state.returned.len() < RETURNED_MAX {
                state.returned.push_back(Returned { error: Errno::ECONNREFUSED, to, data: data.to_vec() });
            }
            drop(state);
            udp.changed.wake_all();
        }
        Ok(data.len())
    }

    fn receive(&self, buf: &mut [u8], peek: bool, nonblocking: bool) -> Result<Arrival> {
        let mut state = self.udp.state.lock();
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        let Some(first) = state.queue.front() else {
            return if state.shut_read && !nonblocking {
                Ok(Arrival { copied: 0, full: 0, from: None, to: None, marks: Marks::default() })
            } else {
                Err(Errno::EAGAIN)
            };
        };
        let full = first.data.len();
        let copied = full.min(buf.len());
        buf[..copied].copy_from_slice(&first.data[..copied]);
        let arrival = Arrival { copied, full, from: Some(first.from), to: Some(first.to), marks: first.marks };
        if !peek {
            state.queue.pop_front();
            state.charge -= full + OVERHEAD;
        }
        Ok(arrival)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let connected = {
            let mut state = self.udp.state.lock();
            state.shut_read |= read;
            state.shut_write |= write;
            state.peer.is_some()
        };
        self.udp.changed.wake_all();
        // It says so, and yet shuts down (inet_shutdown).
        if connected { Ok(()) } else { Err(Errno::ENOTCONN) }
    }

    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.udp.changed);
        }
        let state = self.udp.state.lock();
        let mut events = PollEvents::OUT | PollEvents::WRNORM | PollEvents::WRBAND;
        if state.error.is_some() || !state.returned.is_empty() {
            events |= PollEvents::ERR;
        }
        if !state.queue.is_empty() {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if state.shut_read {
            events |= PollEvents::IN | PollEvents::RDNORM | PollEvents::RDHUP;
        }
        if state.shut_read && state.shut_write {
            events |= PollEvents::HUP;
        }
        events
    }

    fn take_error(&self) -> Option<Errno> {
        self.udp.state.lock().error.take()
    }

    fn take_returned(&self) -> Result<Returned> {
        let mut state = self.udp.state.lock();
        let first = state.returned.pop_front().ok_or(Errno::EAGAIN)?;
        // The pending error is that of what is next (sock_dequeue_err_skb).
        state.error = state.returned.front().map(|r| r.error);
        Ok(first)
    }

    fn state(&self) -> u8 {
        if self.udp.state.lock().peer.is_some() { TCP_ESTABLISHED } else { TCP_CLOSE }
    }

    fn queued(&self) -> (usize, usize) {
        // FIONREAD tells the length of the next datagram.
        (self.udp.state.lock().queue.front().map_or(0, |d| d.data.len()), 0)
    }

    fn close(&self, _: Option<Duration>) {
        let hold = self.udp.state.lock().hold.take();
        if let Some(hold) = hold {
            self.udp.stack.datagrams.lock().release(hold);
        }
    }
}
