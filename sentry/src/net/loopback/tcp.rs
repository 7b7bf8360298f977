//! TCP over the loopback: a connection is a pair of rings, and its far end is in the listener's backlog as soon as
//! connect was called.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket as s;

use super::ports::Hold;
use super::ring::Ring;
use super::{Loopback, check_bind, route, source};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::net::address::unspecified;
use crate::net::inet::{TCP_RECEIVE_BUFFER, TCP_SEND_BUFFER};
use crate::net::stack::{Arrival, Endpoint, Marks, Rules};
use crate::sync::{Mutex, Rank};

/// What a buffer grows to whose size nobody set.
const SEND_GROWN: usize = 2 << 20;
const RECEIVE_GROWN: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Listening,
    /// Connecting to a listener whose backlog is full.
    Waiting,
    Connected,
}

/// A stream endpoint.
pub struct Tcp {
    stack: Arc<Loopback>,
    v6: bool,
    state: Mutex<State>,
    /// Something happened that is not a matter of bytes: a connection, an error.
    events: WaitQueue,
}

struct State {
    phase: Phase,
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
    hold: Option<Hold>,
    /// The port was chosen by connect.
    automatic: bool,
    /// What comes in, and what goes out.
    rings: Option<(Arc<Ring>, Arc<Ring>)>,
    rules: Option<Rules>,
    /// Connections to be accepted.
    pending: VecDeque<Arc<Tcp>>,
    /// Endpoints that connect while the backlog is full.
    waiting: VecDeque<Weak<Tcp>>,
    backlog: usize,
    error: Option<Errno>,
    /// The connection was refused or reset.
    aborted: bool,
    /// A connect that did not wait has ended, and the application has not called connect again to hear of it.
    unheard: bool,
    shut_read: bool,
    shut_write: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: Phase::Closed,
            local: None,
            peer: None,
            hold: None,
            automatic: false,
            rings: None,
            rules: None,
            pending: VecDeque::new(),
            waiting: VecDeque::new(),
            backlog: 0,
            error: None,
            aborted: false,
            unheard: false,
            shut_read: false,
            shut_write: false,
        }
    }
}

impl State {
    /// Notices a reset that the other side sent.
    fn notice_reset(&mut self) {
        let Some((incoming, _)) = &self.rings else { return };
        let incoming = incoming.lock();
        if incoming.reset && !self.aborted {
            self.aborted = true;
            self.error = Some(if incoming.ended { Errno::EPIPE } else { Errno::ECONNRESET });
        }
    }

    fn peer_ended(&self) -> bool {
        self.rings.as_ref().is_some_and(|(incoming, _)| incoming.lock().ended)
    }

    fn number(&self) -> u8 {
        match self.phase {
            Phase::Closed => s::TCP_CLOSE,
            Phase::Listening => s::TCP_LISTEN,
            Phase::Waiting => s::TCP_SYN_SENT,
            Phase::Connected if self.aborted => s::TCP_CLOSE,
            Phase::Connected => match (self.peer_ended(), self.shut_write) {
                (true, true) => s::TCP_CLOSE,
                (true, false) => s::TCP_CLOSE_WAIT,
                (false, true) => s::TCP_FIN_WAIT2,
                (false, false) => s::TCP_ESTABLISHED,
            },
        }
    }
}

fn capacity(sender: Rules, receiver: Rules) -> usize {
    let send = if sender.send_buffer == TCP_SEND_BUFFER as usize { SEND_GROWN } else { sender.send_buffer };
    let receive = match receiver.receive_buffer {
        n if n == TCP_RECEIVE_BUFFER as usize => RECEIVE_GROWN,
        n => n,
    };
    send + receive
}

/// What a socket holds of an endpoint.
pub struct TcpEnd {
    tcp: Arc<Tcp>,
}

impl Tcp {
    pub(super) fn endpoint(stack: Arc<Loopback>, v6: bool) -> Arc<dyn Endpoint> {
        Arc::new(TcpEnd { tcp: Self::fresh(stack, v6) })
    }

    fn fresh(stack: Arc<Loopback>, v6: bool) -> Arc<Self> {
        Arc::new(Self { stack, v6, state: Mutex::new(Rank::Socket, State::default()), events: WaitQueue::new() })
    }

    fn take(self: &Arc<Self>, address: SocketAddr, rules: Rules) -> Result<SocketAddr> {
        let hold = self.stack.streams.lock().take(address, rules, self, true)?;
        let at = SocketAddr::new(address.ip(), hold.port);
        let mut state = self.state.lock();
        if state.hold.is_some() {
            drop(state);
            self.stack.streams.lock().release(hold);
            return Err(Errno::EINVAL);
        }
        state.local = Some(at);
        state.hold = Some(hold);
        Ok(at)
    }

    /// The listener for `to`; among those that share a port, by the caller's port.
    fn listener(&self, to: SocketAddr, from: u16) -> Option<Arc<Tcp>> {
        let hearers = self.stack.streams.lock().hearers(to);
        let best = hearers.first()?.state.lock().local?.ip();
        let group: Vec<_> =
            hearers.into_iter().filter(|h| h.state.lock().local.is_some_and(|l| l.ip() == best)).collect();
        let at = usize::from(from) % group.len();
        group.into_iter().nth(at)
    }

    /// Makes the connection of `client`, which waits for it, and puts its far end into the backlog. False if there is
    /// no room; then the client is made to wait in line. `ECONNREFUSED` if it does not listen any more.
    fn admit(self: &Arc<Self>, client: &Arc<Tcp>) -> Result<bool> {
        let (from, to, client_rules) = {
            let state = client.state.lock();
            match (state.local, state.peer, state.rules) {
                (Some(from), Some(to), Some(rules)) if state.phase == Phase::Waiting => (from, to, rules),
                _ => return Err(Errno::ECONNREFUSED),
            }
        };
        let rules = self.state.lock().rules.ok_or(Errno::ECONNREFUSED)?;
        let up = Arc::new(Ring::new(capacity(client_rules, rules)));
        let down = Arc::new(Ring::new(capacity(rules, client_rules)));
        let far = Self::fresh(self.stack.clone(), self.v6);
        let hold = self.stack.streams.lock().share(to, rules, &far);
        {
            let mut state = far.state.lock();
            state.phase = Phase::Connected;
            state.local = Some(to);
            state.peer = Some(from);
            state.hold = Some(hold);
            state.rings = Some((up.clone(), down.clone()));
            state.rules = Some(rules);
        }
        let room = {
            let mut state = self.state.lock();
            if state.phase != Phase::Listening {
                None
            } else if state.pending.len() > state.backlog {
                state.waiting.push_back(Arc::downgrade(client));
                Some(false)
            } else {
                state.pending.push_back(far.clone());
                Some(true)
            }
        };
        if room != Some(true) {
            self.stack.streams.lock().release(hold);
            return room.ok_or(Errno::ECONNREFUSED);
        }
        {
            let mut state = client.state.lock();
            state.phase = Phase::Connected;
            state.rings = Some((down, up));
        }
        client.events.wake_all();
        self.events.wake_all();
        Ok(true)
    }

    /// Connects to the listener there. False if it has no room yet.
    fn reach(self: &Arc<Self>, to: SocketAddr, from: SocketAddr) -> Result<bool> {
        self.listener(to, from.port()).ok_or(Errno::ECONNREFUSED).and_then(|l| l.admit(self))
    }

    /// Connects to itself, which takes no listener (a simultaneous open, RFC 9293, 3.5).
    fn loop_back(&self, rules: Rules) -> bool {
        let ring = Arc::new(Ring::new(capacity(rules, rules)));
        let mut state = self.state.lock();
        state.phase = Phase::Connected;
        state.rings = Some((ring.clone(), ring));
        true
    }

    /// A connect has failed.
    fn refuse(&self, error: Option<Errno>) {
        let hold = {
            let mut state = self.state.lock();
            state.phase = Phase::Closed;
            state.peer = None;
            state.error = error;
            state.aborted = error.is_some();
            if state.automatic {
                state.automatic = false;
                state.local = None;
                state.hold.take()
            } else {
                None
            }
        };
        if let Some(hold) = hold {
            self.stack.streams.lock().release(hold);
        }
        self.events.wake_all();
    }

    /// Lets one who waits in line in, now that there is room.
    fn admit_next(self: &Arc<Self>) {
        loop {
            let next = self.state.lock().waiting.pop_front();
            let Some(next) = next else { return };
            let Some(client) = next.upgrade() else { continue };
            match self.admit(&client) {
                Ok(_) => return,
                Err(_) => client.refuse(Some(Errno::ECONNREFUSED)),
            }
        }
    }

    /// Ends everything: by close, by shutdown of a listener, by a connect to nowhere.
    fn end(&self, linger: Option<Duration>, keep_address: bool) {
        let mut old = {
            let mut state = self.state.lock();
            let fresh = State::default();
            std::mem::replace(&mut *state, fresh)
        };
        if keep_address && !old.automatic {
            let mut state = self.state.lock();
            state.hold = old.hold.take();
            state.local = old.local;
        }
        if let Some(hold) = old.hold {
            self.stack.streams.lock().release(hold);
        }
        if let Some((incoming, outgoing)) = old.rings {
            let unread = {
                let mut ring = incoming.lock();
                let unread = !ring.is_empty();
                ring.abandoned = true;
                ring.discard();
                unread
            };
            {
                let mut ring = outgoing.lock();
                // What was not read is lost, and the sender has to know (RFC 2525, 2.17).
                if unread || linger == Some(Duration::ZERO) {
                    ring.reset = true;
                } else {
                    ring.ended = true;
                }
            }
            incoming.wake();
            outgoing.wake();
        }
        for far in old.pending {
            far.end(Some(Duration::ZERO), false);
        }
        for client in old.waiting.iter().filter_map(Weak::upgrade) {
            client.refuse(Some(Errno::ECONNREFUSED));
        }
        self.events.wake_all();
    }

    /// What a connect that was begun before has come to.
    fn connect_again(&self, nonblocking: bool, waited: bool) -> Option<Result<()>> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Listening => Some(Err(Errno::EISCONN)),
            Phase::Waiting if waited || !nonblocking => Some(Err(Errno::EAGAIN)),
            Phase::Waiting => Some(Err(Errno::EALREADY)),
            Phase::Connected if waited || state.unheard => {
                state.unheard = false;
                Some(Ok(()))
            }
            Phase::Connected => Some(Err(Errno::EISCONN)),
            Phase::Closed if (waited && state.aborted) || state.unheard => {
                // As tcp_disconnect does.
                state.unheard = false;
                state.aborted = false;
                state.shut_read = false;
                state.shut_write = false;
                Some(Err(state.error.take().unwrap_or(Errno::ECONNABORTED)))
            }
            Phase::Closed => None,
        }
    }

    fn start_connect(self: &Arc<Self>, to: SocketAddr, rules: Rules) -> Result<SocketAddr> {
        let bound = self.state.lock().local;
        let to = route(to, bound.map(|a| a.ip()))?;
        let ip = source(to.ip(), bound.map(|a| a.ip()));
        let local = match bound {
            Some(bound) => SocketAddr::new(ip, bound.port()),
            None => {
                let any = SocketAddr::new(ip, 0);
                let taken = self.take(any, rules).map_err(|_| Errno::EADDRNOTAVAIL)?;
                self.state.lock().automatic = true;
                taken
            }
        };
        // Two ends have one connection.
        let holders = self.stack.streams.lock().holders(local.port());
        let connected = |other: &Arc<Self>| {
            let state = other.state.lock();
            state.phase == Phase::Connected && (state.local, state.peer) == (Some(local), Some(to))
        };
        if holders.iter().any(|other| !Arc::ptr_eq(other, self) && connected(other)) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        let hold = {
            let mut state = self.state.lock();
            state.local = Some(local);
            state.peer = Some(to);
            state.rules = Some(rules);
            state.phase = Phase::Waiting;
            state.aborted = false;
            state.error = None;
            state.hold
        };
        if let Some(hold) = hold {
            self.stack.streams.lock().settle(hold, ip);
        }
        Ok(local)
    }
}

impl Endpoint for TcpEnd {
    fn bind(&self, address: SocketAddr, rules: Rules) -> Result<()> {
        check_bind(address.ip())?;
        {
            let state = self.tcp.state.lock();
            if state.hold.is_some() || state.phase != Phase::Closed {
                return Err(Errno::EINVAL);
            }
        }
        self.tcp.take(address, rules).map(|_| ())
    }

    fn connect(
        &self,
        address: Option<SocketAddr>,
        rules: Rules,
        nonblocking: bool,
        waiter: Option<&mut Waiter>,
    ) -> Result<()> {
        let tcp = &self.tcp;
        let Some(to) = address else {
            let reset = tcp.state.lock().phase == Phase::Connected;
            tcp.end(Some(Duration::ZERO), true);
            if reset {
                // As tcp_disconnect does.
                tcp.state.lock().error = Some(Errno::ECONNRESET);
            }
            return Ok(());
        };
        let waited = waiter.is_some();
        if let Some(waiter) = waiter {
            waiter.listen(&tcp.events);
        }
        if let Some(done) = tcp.connect_again(nonblocking, waited) {
            return done;
        }
        let local = tcp.start_connect(to, rules)?;
        let peer = tcp.state.lock().peer.ok_or(Errno::ENOTCONN)?;
        let admitted = if peer == local { Ok(tcp.loop_back(rules)) } else { tcp.reach(peer, local) };
        if nonblocking {
            tcp.state.lock().unheard = true;
        }
        match admitted {
            // As over a network, the answer comes after the call has returned.
            Ok(_) if nonblocking => Err(Errno::EINPROGRESS),
            Ok(true) => Ok(()),
            Ok(false) => Err(Errno::EAGAIN),
            Err(e) => {
                tcp.refuse(nonblocking.then_some(e));
                Err(if nonblocking { Errno::EINPROGRESS } else { e })
            }
        }
    }

    fn listen(&self, backlog: usize, rules: Rules) -> Result<()> {
        let tcp = &self.tcp;
        let (phase, hold) = {
            let state = tcp.state.lock();
            (state.phase, state.hold)
        };
        match phase {
            Phase::Listening => {
                tcp.state.lock().backlog = backlog;
                return Ok(());
            }
            Phase::Closed => {}
            Phase::Waiting | Phase::Connected => return Err(Errno::EINVAL),
        }
        if hold.is_none() {
            tcp.take(SocketAddr::new(unspecified(tcp.v6), 0), rules)?;
        }
        let hold = tcp.state.lock().hold.ok_or(Errno::EINVAL)?;
        tcp.stack.streams.lock().hear(hold, rules)?;
        let mut state = tcp.state.lock();
        state.phase = Phase::Listening;
        state.backlog = backlog;
        state.rules = Some(rules);
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Endpoint>> {
        let far = {
            let mut state = self.tcp.state.lock();
            if state.phase != Phase::Listening {
                return Err(Errno::EINVAL);
            }
            state.pending.pop_front().ok_or(Errno::EAGAIN)?
        };
        self.tcp.admit_next();
        Ok(Arc::new(TcpEnd { tcp: far }))
    }

    fn local(&self) -> Option<SocketAddr> {
        self.tcp.state.lock().local
    }

    fn peer(&self) -> Result<SocketAddr> {
        let mut state = self.tcp.state.lock();
        state.notice_reset();
        match state.number() {
            s::TCP_CLOSE | s::TCP_LISTEN | s::TCP_SYN_SENT => Err(Errno::ENOTCONN),
            _ => state.peer.ok_or(Errno::ENOTCONN),
        }
    }

    fn send(&self, data: &[u8], _: Option<SocketAddr>, _: Rules) -> Result<usize> {
        let outgoing = {
            let mut state = self.tcp.state.lock();
            state.notice_reset();
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            match state.phase {
                Phase::Waiting => return Err(Errno::EAGAIN),
                Phase::Closed | Phase::Listening => return Err(Errno::EPIPE),
                Phase::Connected if state.aborted || state.shut_write => return Err(Errno::EPIPE),
                Phase::Connected => {}
            }
            let Some((_, outgoing)) = &state.rings else { return Err(Errno::EPIPE) };
            outgoing.clone()
        };
        let sent = {
            let mut ring = outgoing.lock();
            if ring.abandoned { None } else { Some(ring.write(data)) }
        };
        match sent {
            Some(0) if !data.is_empty() => Err(Errno::EAGAIN),
            Some(n) => {
                outgoing.readable.wake_all();
                Ok(n)
            }
            None => {
                // The peer is closed: the bytes go, and a reset comes back.
                let mut state = self.tcp.state.lock();
                state.aborted = true;
                state.error = Some(Errno::EPIPE);
                drop(state);
                outgoing.wake();
                self.tcp.events.wake_all();
                Ok(data.len())
            }
        }
    }

    fn receive(&self, buf: &mut [u8], peek: bool, _: bool) -> Result<Arrival> {
        let arrival = |copied| Arrival { copied, full: copied, from: None, to: None, marks: Marks::default() };
        let mut state = self.tcp.state.lock();
        state.notice_reset();
        let Some((incoming, _)) = state.rings.clone() else {
            return match (state.error.take(), state.phase) {
                (Some(error), _) => Err(error),
                (None, Phase::Waiting) => Err(Errno::EAGAIN),
                (None, _) if state.aborted => Ok(arrival(0)),
                (None, _) => Err(Errno::ENOTCONN),
            };
        };
        let (n, relieved, ended) = {
            let mut ring = incoming.lock();
            let (n, relieved) = ring.read(buf, peek);
            (n, relieved, ring.ended)
        };
        if n == 0 && (!buf.is_empty() || incoming.lock().is_empty()) {
            if !ended && let Some(error) = state.error.take() {
                return Err(error);
            }
            return if ended || state.aborted || state.shut_read { Ok(arrival(0)) } else { Err(Errno::EAGAIN) };
        }
        drop(state);
        if relieved {
            incoming.writable.wake_all();
        }
        Ok(arrival(n))
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let rings = {
            let mut state = self.tcp.state.lock();
            state.notice_reset();
            match state.number() {
                s::TCP_CLOSE => {
                    // It says so, and yet shuts down, even a connection to come (inet_shutdown).
                    state.shut_read |= read;
                    state.shut_write |= write;
                    return Err(Errno::ENOTCONN);
                }
                s::TCP_LISTEN | s::TCP_SYN_SENT => {
                    drop(state);
                    if read {
                        self.tcp.end(None, true);
                    }
                    return Ok(());
                }
                _ => {}
            }
            state.shut_read |= read;
            state.shut_write |= write;
            state.rings.clone()
        };
        if let Some((incoming, outgoing)) = rings {
            if write {
                outgoing.lock().ended = true;
                outgoing.wake();
            }
            incoming.wake();
        }
        self.tcp.events.wake_all();
        Ok(())
    }

    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        let mut state = self.tcp.state.lock();
        if let Some(waiter) = waiter {
            waiter.listen(&self.tcp.events);
            if let Some((incoming, outgoing)) = &state.rings {
                waiter.listen(&incoming.readable);
                waiter.listen(&outgoing.writable);
            }
        }
        state.notice_reset();
        let mut events = PollEvents::empty();
        if state.error.is_some() {
            events |= PollEvents::ERR;
        }
        match state.phase {
            Phase::Listening => {
                if !state.pending.is_empty() {
                    events |= PollEvents::IN | PollEvents::RDNORM;
                }
                return events;
            }
            Phase::Waiting => return events,
            Phase::Closed | Phase::Connected => {}
        }
        let ended = state.peer_ended() || state.shut_read || state.aborted;
        let done_writing = state.shut_write || state.aborted;
        if state.phase == Phase::Closed || (ended && done_writing) {
            events |= PollEvents::HUP;
        }
        if ended {
            events |= PollEvents::IN | PollEvents::RDNORM | PollEvents::RDHUP;
        }
        let (bytes, room) = match &state.rings {
            None => (false, true),
            Some((incoming, outgoing)) => {
                let bytes = !incoming.lock().is_empty();
                let mut ring = outgoing.lock();
                (bytes, ring.abandoned || ring.has_room())
            }
        };
        if bytes {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if room || done_writing {
            events |= PollEvents::OUT | PollEvents::WRNORM;
        }
        events
    }

    fn take_error(&self) -> Option<Errno> {
        let mut state = self.tcp.state.lock();
        state.notice_reset();
        state.error.take()
    }

    fn state(&self) -> u8 {
        let mut state = self.tcp.state.lock();
        state.notice_reset();
        state.number()
    }

    fn queued(&self) -> (usize, usize) {
        let state = self.tcp.state.lock();
        match &state.rings {
            None => (state.pending.len(), state.backlog),
            Some((incoming, outgoing)) => {
                let unread = incoming.lock().len();
                (unread, outgoing.lock().len())
            }
        }
    }

    fn close(&self, linger: Option<Duration>) {
        self.tcp.end(linger, false);
    }
}
