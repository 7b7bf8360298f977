//! Unix sockets (unix(7)).
//!
//! A [`Core`] is what others hold of a socket: its name, its state and what it has yet to receive. A sender puts its
//! message into the peer's queue. No two cores are locked at a time, and queues are woken without any lock.

pub mod inflight;
pub mod names;
mod queue;
mod receive;
mod send;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{self as s, MsgFlags, UCred};

use super::NetNamespace;
use super::address::{self, UnixAddress};
use super::options::{self, Options};
use super::socket::{NewSocket, Outgoing, Owner, Protocol, Received, Socket};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::fs::{OpenFile, Path};
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};
use names::Key;
use queue::Queue;

/// Messages that wait for a datagram socket before senders do (`net.unix.max_dgram_qlen`).
const DATAGRAMS: usize = 10;

/// A socket, as its peers see it.
pub struct Core {
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    pub kind: u32,
    /// Its number.
    pub id: u64,
    options: Arc<Options>,
    state: Mutex<State>,
    /// Something came for it: a message, a connection, an error, the end.
    readable: WaitQueue,
    /// There is room again in its queue or backlog.
    writable: WaitQueue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Unconnected,
    Connecting,
    Listening,
    Established,
}

struct State {
    address: Option<Arc<UnixAddress>>,
    key: Option<Key>,
    /// The node, so that its inode lives as long as the name.
    place: Option<Path>,
    status: Status,
    peer: Option<Arc<Core>>,
    peer_credentials: UCred,
    shut_read: bool,
    shut_write: bool,
    /// It is closed.
    dead: bool,
    error: Option<Errno>,
    queue: Queue,
    /// A sender found no room, whose buffer has this size.
    starved: Option<usize>,
    /// Connections that were not accepted yet.
    pending: VecDeque<Arc<Core>>,
    backlog: usize,
    /// It was accepted, or never had to be.
    accepted: bool,
}

const NOBODY: UCred = UCred { pid: 0, uid: u32::MAX, gid: u32::MAX };

impl Core {
    fn new(id: u64, kind: u32, options: Arc<Options>) -> Arc<Self> {
        let state = State {
            address: None,
            key: None,
            place: None,
            status: Status::Unconnected,
            peer: None,
            peer_credentials: NOBODY,
            shut_read: false,
            shut_write: false,
            dead: false,
            error: None,
            queue: Queue::default(),
            starved: None,
            pending: VecDeque::new(),
            backlog: 0,
            accepted: true,
        };
        Arc::new(Self {
            kind,
            id,
            options,
            state: Mutex::new(Rank::Socket, state),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
        })
    }

    fn is_connection(&self) -> bool {
        self.kind != s::SOCK_DGRAM
    }

    fn send_buffer(&self) -> usize {
        self.options.get(|o| o.send_buffer) as usize
    }

    fn wake(&self) {
        self.readable.wake_all();
        self.writable.wake_all();
    }

    /// The files in its messages and in those of its connections to be accepted.
    fn carried(&self) -> Vec<Arc<OpenFile>> {
        let (mut files, pending): (Vec<_>, Vec<_>) = {
            let state = self.state.lock();
            let files =
                state.queue.iter().filter_map(|s| s.rights.as_ref()).flat_map(inflight::Rights::duplicate_quietly);
            (files.collect(), state.pending.iter().cloned().collect())
        };
        for core in pending {
            files.extend(core.carried());
        }
        files
    }

    /// Throws the files in its messages away.
    fn discard_rights(&self) {
        let (rights, pending): (Vec<_>, Vec<_>) = {
            let mut state = self.state.lock();
            let rights = state.queue.iter_mut().filter_map(|s| s.rights.take()).collect();
            (rights, state.pending.iter().cloned().collect())
        };
        for core in pending {
            core.discard_rights();
        }
        drop::<Vec<inflight::Rights>>(rights);
    }

    /// Ends it: by close, or with the listener that had not accepted it.
    fn release(self: &Arc<Self>, net: &NetNamespace) {
        let (peer, queue, pending, key, place, accepted) = {
            let mut state = self.state.lock();
            state.dead = true;
            state.shut_read = true;
            state.shut_write = true;
            (
                state.peer.take(),
                state.queue.take(),
                std::mem::take(&mut state.pending),
                state.key.take(),
                state.place.take(),
                state.accepted,
            )
        };
        if let Some(key) = key {
            net.unix.release(&key, self);
        }
        if let Some(peer) = peer
            && self.is_connection()
        {
            {
                let mut other = peer.state.lock();
                other.shut_read = true;
                other.shut_write = true;
                if !queue.is_empty() || !accepted {
                    other.error = Some(Errno::ECONNRESET);
                }
            }
            peer.wake();
        }
        for core in pending {
            core.release(net);
        }
        self.wake();
        drop((queue, place));
    }
}

/// The unix side of a socket.
pub struct UnixSocket {
    core: Arc<Core>,
    net: Arc<NetNamespace>,
}

/// socket(2) for AF_UNIX.
pub fn create(net: &Arc<NetNamespace>, owner: Owner, kind: u32, protocol: i32) -> Result<Arc<Socket>> {
    if protocol != 0 && protocol != i32::from(s::AF_UNIX) {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let kind = match kind {
        // BSD's way, which Linux takes too.
        s::SOCK_RAW | s::SOCK_DGRAM => s::SOCK_DGRAM,
        s::SOCK_STREAM | s::SOCK_SEQPACKET => kind,
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    let options = Arc::new(Options::new(options::BUFFER_DEFAULT, options::BUFFER_DEFAULT));
    Ok(wrap(net, owner, Core::new(net.next_id(), kind, options)))
}

fn wrap(net: &Arc<NetNamespace>, owner: Owner, core: Arc<Core>) -> Arc<Socket> {
    let new = NewSocket { family: s::AF_UNIX, kind: core.kind, protocol: 0, id: core.id, owner };
    let options = core.options.clone();
    Socket::new(net, new, options, Box::new(UnixSocket { core, net: net.clone() }))
}

/// Connects two fresh sockets to each other (socketpair(2)). `EOPNOTSUPP` unless both are unix sockets.
pub fn pair(one: &Socket, two: &Socket, owner: Owner) -> Result<()> {
    let (Some(a), Some(b)) = (one.downcast::<UnixSocket>(), two.downcast::<UnixSocket>()) else {
        return Err(Errno::EOPNOTSUPP);
    };
    for (core, peer) in [(&a.core, &b.core), (&b.core, &a.core)] {
        let mut state = core.state.lock();
        state.peer = Some(peer.clone());
        state.peer_credentials = owner.ucred();
        state.status = Status::Established;
    }
    Ok(())
}

impl UnixSocket {
    /// What its peers see of it.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Binds it to a name of the kernel's choice, if it has none and others may want to know whom they hear from.
    fn name_for_credentials(&self) -> Result<()> {
        if self.core.options.passes_credentials() && self.core.state.lock().address.is_none() {
            self.bind_automatic()?;
        }
        Ok(())
    }

    fn bind_automatic(&self) -> Result<()> {
        if self.core.state.lock().address.is_some() {
            return Ok(());
        }
        let (key, name) = self.net.unix.take_automatic(&self.core)?;
        self.bound(key, name, None)
    }

    /// Records the name that was taken.
    fn bound(&self, key: Key, name: UnixAddress, place: Option<Path>) -> Result<()> {
        {
            let mut state = self.core.state.lock();
            if state.address.is_none() {
                state.address = Some(Arc::new(name));
                state.key = Some(key);
                state.place = place;
                return Ok(());
            }
        }
        self.net.unix.release(&key, &self.core);
        Err(Errno::EINVAL)
    }

    /// The socket that `address` names, of the same type. `ECONNREFUSED`, `EPROTOTYPE`, and what the walk gives.
    fn find(&self, task: Option<&Task>, address: &[u8]) -> Result<Arc<Core>> {
        let address = UnixAddress::parse(address)?.ok_or(Errno::EINVAL)?;
        let found = self.net.unix.find(task, &address)?;
        if found.kind != self.core.kind {
            return Err(Errno::EPROTOTYPE);
        }
        Ok(found)
    }

    fn connect_stream(&self, task: &Task, address: &[u8], waiter: Option<&mut Waiter>) -> Result<()> {
        self.name_for_credentials()?;
        let other = self.find(Some(task), address)?;
        if let Some(waiter) = waiter {
            waiter.listen(&other.writable);
        }
        {
            let mut state = self.core.state.lock();
            match state.status {
                Status::Unconnected => state.status = Status::Connecting,
                Status::Connecting => return Err(Errno::EALREADY),
                Status::Established => return Err(Errno::EISCONN),
                Status::Listening => return Err(Errno::EINVAL),
            }
        }
        let done = self.enter_backlog(task, &other);
        let mut state = self.core.state.lock();
        match done {
            Ok((peer, peer_credentials)) => {
                state.status = Status::Established;
                state.peer = Some(peer);
                state.peer_credentials = peer_credentials;
                drop(state);
                other.readable.wake_all();
                Ok(())
            }
            Err(e) => {
                state.status = Status::Unconnected;
                Err(e)
            }
        }
    }

    /// Puts a new connection into the backlog of `other`: its far end, and the credentials of who listens.
    fn enter_backlog(&self, task: &Task, other: &Arc<Core>) -> Result<(Arc<Core>, UCred)> {
        let far = Core::new(self.net.next_id(), self.core.kind, Arc::new(other.options.inherit()));
        let caller = Owner::of(task).ucred();
        let mut listener = other.state.lock();
        if listener.dead || listener.shut_read || listener.status != Status::Listening {
            return Err(Errno::ECONNREFUSED);
        }
        if listener.pending.len() > listener.backlog {
            return Err(Errno::EAGAIN);
        }
        {
            let mut state = far.state.lock_nested();
            state.status = Status::Established;
            state.address = listener.address.clone();
            state.peer = Some(self.core.clone());
            state.peer_credentials = caller;
            state.accepted = false;
        }
        listener.pending.push_back(far.clone());
        Ok((far, listener.peer_credentials))
    }

    fn connect_datagram(&self, task: &Task, address: &[u8]) -> Result<()> {
        let peer = if address::family(address) == Some(s::AF_UNSPEC) {
            None
        } else {
            self.name_for_credentials()?;
            let other = self.find(Some(task), address)?;
            if !other.accepts_from(&self.core) {
                return Err(Errno::EPERM);
            }
            Some(other)
        };
        let (old, dropped) = {
            let mut state = self.core.state.lock();
            state.status = if peer.is_some() { Status::Established } else { Status::Unconnected };
            let same = match (&state.peer, &peer) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, _) => true,
                _ => false,
            };
            // What the old peer sent is not for a socket that talks to somebody else.
            let dropped = if same { Queue::default() } else { state.queue.take() };
            (std::mem::replace(&mut state.peer, peer), dropped)
        };
        if let Some(old) = old
            && !dropped.is_empty()
        {
            let mut other = old.state.lock();
            if other.peer.as_ref().is_some_and(|p| Arc::ptr_eq(p, &self.core)) {
                other.error = Some(Errno::ECONNRESET);
                drop(other);
                old.wake();
            }
        }
        drop(dropped);
        self.core.wake();
        Ok(())
    }
}

impl Core {
    /// Whether a datagram from `sender` is welcome: a connected socket hears its peer only.
    fn accepts_from(self: &Arc<Self>, sender: &Arc<Core>) -> bool {
        self.state.lock().peer.as_ref().is_none_or(|p| Arc::ptr_eq(p, sender))
    }
}

impl Protocol for UnixSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bind(&self, task: &Task, address: &[u8]) -> Result<()> {
        let Some(name) = UnixAddress::parse(address)? else { return self.bind_automatic() };
        let bound = self.core.state.lock().address.is_some();
        let (key, place) = match &name {
            // That the path is taken is found out first.
            UnixAddress::Path(path) if bound => {
                return Err(names::check_path(task, path).err().unwrap_or(Errno::EINVAL));
            }
            UnixAddress::Abstract(_) if bound => return Err(Errno::EINVAL),
            UnixAddress::Abstract(bytes) => (self.net.unix.take_abstract(bytes, &self.core)?, None),
            UnixAddress::Path(path) => {
                let (key, place) = self.net.unix.take_path(task, path, &self.core)?;
                (key, Some(place))
            }
        };
        self.bound(key, name, place)
    }

    fn listen(&self, task: &Task, backlog: u32) -> Result<()> {
        if !self.core.is_connection() {
            return Err(Errno::EOPNOTSUPP);
        }
        let caller = Owner::of(task).ucred();
        {
            let mut state = self.core.state.lock();
            if state.address.is_none() || !matches!(state.status, Status::Unconnected | Status::Listening) {
                return Err(Errno::EINVAL);
            }
            state.status = Status::Listening;
            state.backlog = backlog as usize;
            state.peer_credentials = caller;
        }
        self.core.writable.wake_all();
        Ok(())
    }

    fn accept(&self) -> Result<(Arc<Socket>, Vec<u8>)> {
        if !self.core.is_connection() {
            return Err(Errno::EOPNOTSUPP);
        }
        let far = {
            let mut state = self.core.state.lock();
            if state.status != Status::Listening || state.shut_read {
                return Err(Errno::EINVAL);
            }
            state.pending.pop_front().ok_or(Errno::EAGAIN)?
        };
        self.core.writable.wake_all();
        let (peer, credentials) = {
            let mut state = far.state.lock();
            state.accepted = true;
            (state.peer.clone(), state.peer_credentials)
        };
        let name = peer.and_then(|p| p.state.lock().address.clone());
        let owner = Owner { pid: 0, uid: credentials.uid, gid: credentials.gid };
        Ok((wrap(&self.net, owner, far), UnixAddress::encode(name.as_deref())))
    }

    fn connect(&self, task: &Task, address: &[u8], _: bool, waiter: Option<&mut Waiter>) -> Result<()> {
        match self.core.is_connection() {
            true => self.connect_stream(task, address, waiter),
            false => self.connect_datagram(task, address),
        }
    }

    fn local_name(&self) -> Result<Vec<u8>> {
        let address = self.core.state.lock().address.clone();
        Ok(UnixAddress::encode(address.as_deref()))
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        let peer = self.core.state.lock().peer.clone().ok_or(Errno::ENOTCONN)?;
        let address = peer.state.lock().address.clone();
        Ok(UnixAddress::encode(address.as_deref()))
    }

    fn send(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if let Some(task) = message.task
            && !message.rights.is_empty()
        {
            inflight::admit(task, message.rights.len())?;
        }
        match self.core.kind {
            s::SOCK_STREAM => self.send_stream(message),
            _ => self.send_message(message),
        }
    }

    fn receive(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        if flags.contains(MsgFlags::OOB) {
            return Err(if self.core.kind == s::SOCK_STREAM { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        match self.core.kind {
            s::SOCK_STREAM => self.core.receive_stream(buf, flags),
            _ => self.core.receive_message(buf, flags),
        }
    }

    fn message_limit(&self) -> Option<usize> {
        (self.core.kind != s::SOCK_STREAM).then(|| self.core.send_buffer() - 32)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let peer = {
            let mut state = self.core.state.lock();
            state.shut_read |= read;
            state.shut_write |= write;
            state.peer.clone()
        };
        if let Some(peer) = peer.filter(|_| self.core.is_connection()) {
            {
                let mut other = peer.state.lock();
                other.shut_write |= read;
                other.shut_read |= write;
            }
            peer.wake();
        }
        self.core.wake();
        Ok(())
    }

    fn poll(&self, mut waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter.as_deref_mut() {
            waiter.listen(&self.core.readable);
        }
        let mut events = PollEvents::empty();
        let (peer, writes) = {
            let state = self.core.state.lock();
            if state.error.is_some() {
                events |= PollEvents::ERR;
            }
            if state.shut_read && state.shut_write {
                events |= PollEvents::HUP;
            }
            if state.shut_read {
                events |= PollEvents::RDHUP | PollEvents::IN | PollEvents::RDNORM;
            }
            if !state.queue.is_empty() || !state.pending.is_empty() {
                events |= PollEvents::IN | PollEvents::RDNORM;
            }
            let idle = matches!(state.status, Status::Unconnected | Status::Connecting);
            if self.core.is_connection() && idle {
                events |= PollEvents::HUP;
            }
            (state.peer.clone(), state.status != Status::Listening)
        };
        let room = match peer {
            _ if !writes => false,
            None => true,
            Some(peer) => {
                if let Some(waiter) = waiter {
                    waiter.listen(&peer.writable);
                }
                peer.has_room_for(&self.core)
            }
        };
        if room {
            events |= PollEvents::OUT | PollEvents::WRNORM | PollEvents::WRBAND;
        }
        events
    }

    fn take_error(&self) -> Option<Errno> {
        self.core.state.lock().error.take()
    }

    fn is_listening(&self) -> bool {
        self.core.state.lock().status == Status::Listening
    }

    fn peer_credentials(&self) -> UCred {
        self.core.state.lock().peer_credentials
    }

    fn signals_broken_pipe(&self) -> bool {
        self.core.kind == s::SOCK_STREAM
    }

    fn readable_bytes(&self) -> Result<usize> {
        let state = self.core.state.lock();
        match (self.core.kind, state.status) {
            (_, Status::Listening) => Err(Errno::EINVAL),
            (s::SOCK_DGRAM, _) => Ok(state.queue.iter().next().map_or(0, |s| s.rest().len())),
            _ => Ok(state.queue.bytes()),
        }
    }

    fn unsent_bytes(&self) -> Result<usize> {
        let peer = {
            let state = self.core.state.lock();
            if state.status == Status::Listening {
                return Err(Errno::EINVAL);
            }
            state.peer.clone()
        };
        Ok(peer.map_or(0, |p| p.state.lock().queue.charge()))
    }

    fn close(&self, _: &Options) {
        self.core.release(&self.net);
        inflight::collect(&self.net);
    }
}

/// How /proc/net/unix and sock_diag show a socket.
pub struct Shown {
    /// Its name.
    pub name: Option<Arc<UnixAddress>>,
    /// `__SO_ACCEPTCON` and nothing else.
    pub listening: bool,
    /// Whether it has a peer.
    pub connected: bool,
    /// The peer's number.
    pub peer: u64,
    /// Connections or messages that wait.
    pub waiting: usize,
    /// The most connections that wait.
    pub backlog: usize,
}

impl UnixSocket {
    /// See [`Shown`].
    pub fn shown(&self) -> Shown {
        let state = self.core.state.lock();
        let listening = state.status == Status::Listening;
        Shown {
            name: state.address.clone(),
            listening,
            connected: state.status == Status::Established,
            peer: state.peer.as_ref().map_or(0, |p| p.id),
            waiting: if listening { state.pending.len() } else { state.queue.bytes() },
            backlog: state.backlog,
        }
    }
}
