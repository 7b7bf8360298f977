//! An inet socket of the guest that is a socket of the host.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{self as s, Linger, MsgFlags};
use zerocopy::{FromBytes, IntoBytes};

use super::options::{Access, VALUE_MAX};
use super::{control, errno, options};
use crate::Result;
use crate::executor::reactor::{Reactor, Watched};
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::Task;
use crate::net::options::{BUFFER_DEFAULT, Options, int_value};
use crate::net::socket::{NewSocket, Outgoing, Protocol, Received};
use crate::net::stack::Asked;
use crate::net::{NetNamespace, Socket, address};

/// What is passed on of a guest's flags.
const SEND_FLAGS: MsgFlags =
    MsgFlags::OOB.union(MsgFlags::DONTROUTE).union(MsgFlags::MORE).union(MsgFlags::CONFIRM).union(MsgFlags::EOR);
const RECEIVE_FLAGS: MsgFlags = MsgFlags::OOB.union(MsgFlags::PEEK).union(MsgFlags::ERRQUEUE);
/// What is passed back of the host's.
const RECEIVED_FLAGS: MsgFlags = MsgFlags::OOB.union(MsgFlags::TRUNC).union(MsgFlags::EOR).union(MsgFlags::ERRQUEUE);

/// The longest datagram, whatever the family.
const DATAGRAM_MAX: usize = 65_535;
/// The longest `sockaddr` of the two families.
const NAME_MAX: usize = 28;

/// The inet side of a socket.
pub struct HostSocket {
    asked: Asked,
    host: Arc<moat_host::Socket>,
    options: Arc<Options>,
    net: Arc<NetNamespace>,
    unprivileged_port: u16,
    /// Something has changed on the host's side.
    changed: Arc<WaitQueue>,
    /// From the first time that somebody waits; none if the host refused.
    watched: OnceLock<Option<Watched>>,
    /// Reading was shut down.
    shut_read: AtomicBool,
}

/// Makes a socket of one of the host's; `options` are those that a listener leaves to its connection.
pub fn wrap(
    net: &Arc<NetNamespace>,
    asked: Asked,
    host: moat_host::Socket,
    unprivileged_port: u16,
    options: Option<Options>,
) -> Result<Arc<Socket>> {
    let id = host.inode().map_err(errno)?;
    let Asked { owner, family, kind, protocol } = asked;
    // Of these only what the sentry keeps itself is looked at: how long to wait and to linger.
    let options = Arc::new(options.unwrap_or_else(|| Options::new(BUFFER_DEFAULT, BUFFER_DEFAULT)));
    let inet = HostSocket {
        asked,
        host: Arc::new(host),
        options: options.clone(),
        net: net.clone(),
        unprivileged_port,
        changed: Arc::new(WaitQueue::new()),
        watched: OnceLock::new(),
        shut_read: AtomicBool::new(false),
    };
    Ok(Socket::new(net, NewSocket { family, kind, protocol, id, owner }, options, Box::new(inet)))
}

impl HostSocket {
    /// Wakes `waiter` at each change from now on.
    fn listen_to_changes(&self, waiter: Option<&mut Waiter>) -> bool {
        let Some(waiter) = waiter else { return true };
        waiter.listen(&self.changed);
        let watched =
            self.watched.get_or_init(|| Reactor::global().watch(self.host.clone(), self.changed.clone()).ok());
        watched.is_some()
    }

    /// An address that may go to the host: of its own families, and no longer than theirs.
    fn address<'a>(&self, given: &'a [u8]) -> Result<&'a [u8]> {
        let family = address::family(given).ok_or(Errno::EINVAL)?;
        let given = &given[..given.len().min(NAME_MAX)];
        match family {
            s::AF_UNSPEC | s::AF_INET | s::AF_INET6 => Ok(given),
            // A short one is found out first.
            _ if given.len() < if self.asked.family == s::AF_INET6 { 24 } else { 16 } => Err(Errno::EINVAL),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }

    fn is_stream(&self) -> bool {
        self.asked.kind == s::SOCK_STREAM
    }

    fn host_option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let mut value = vec![0; room.min(VALUE_MAX)];
        let n = self.host.option(level, name, &mut value).map_err(errno)?;
        value.truncate(n);
        Ok(value)
    }

    fn set_host_option(&self, task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let passed = options::find(level, name).filter(|o| o.access != Access::Read);
        let Some(passed) = passed else {
            return Err(options::unknown(level, self.asked.family, self.asked.kind, false));
        };
        options::check(task, level, name, value)?;
        self.host.set_option(level, name, &value[..value.len().min(passed.size)]).map_err(errno)
    }

    /// SO_LINGER. The host is told only whether to reset: it would make the sentry's thread wait in close.
    fn set_linger(&self, value: &[u8]) -> Result<()> {
        let (linger, _) = Linger::read_from_prefix(value).map_err(|_| Errno::EINVAL)?;
        let reset = linger.onoff != 0 && linger.linger == 0;
        let told = Linger { onoff: i32::from(reset), linger: 0 };
        self.host.set_option(s::SOL_SOCKET, s::SO_LINGER, told.as_bytes()).map_err(errno)?;
        let time = (linger.onoff != 0).then(|| Duration::from_secs(u64::from(linger.linger as u32)));
        self.options.set_linger(time);
        Ok(())
    }
}

impl Protocol for HostSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bind(&self, task: &Task, address: &[u8]) -> Result<()> {
        let address = self.address(address)?;
        let port = address.get(2..4).map_or(0, |p| u16::from_be_bytes([p[0], p[1]]));
        let privileged = (1..self.unprivileged_port).contains(&port);
        if privileged && !task.credentials().has(CapabilitySet::NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        self.host.bind(address).map_err(errno)
    }

    fn listen(&self, _: &Task, backlog: u32) -> Result<()> {
        self.host.listen(backlog as i32).map_err(errno)
    }

    fn accept(&self) -> Result<(Arc<Socket>, Vec<u8>)> {
        let (host, peer) = self.host.accept().map_err(errno)?;
        let options = self.options.inherit();
        let socket = wrap(&self.net, self.asked, host, self.unprivileged_port, Some(options))?;
        Ok((socket, peer))
    }

    fn connect(&self, _: &Task, address: &[u8], nonblocking: bool, waiter: Option<&mut Waiter>) -> Result<()> {
        let address = self.address(address)?;
        let waits = waiter.is_some();
        let watched = self.listen_to_changes(waiter);
        match self.host.connect(address).map_err(errno) {
            // Asked again, the host says how it went.
            Err(Errno::EINPROGRESS | Errno::EALREADY) if !nonblocking && (watched || !waits) => Err(Errno::EAGAIN),
            Err(Errno::EAGAIN) => Err(Errno::EADDRNOTAVAIL),
            other => other,
        }
    }

    fn local_name(&self) -> Result<Vec<u8>> {
        self.host.local_name().map_err(errno)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        self.host.peer_name().map_err(errno)
    }

    fn send(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        // As where net.ipv4.tcp_fastopen is 0.
        if message.flags.contains(MsgFlags::FASTOPEN) && self.is_stream() {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = message.to.map(|to| self.address(to)).transpose()?;
        let control = control::to_host(message.control)?;
        let flags = message.flags & SEND_FLAGS;
        self.host.send(message.data, to, &control, flags.bits()).map_err(errno)
    }

    fn receive(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        let mut asked = flags & RECEIVE_FLAGS;
        // The host is to tell the length of a datagram; of a stream it would throw bytes away.
        asked.set(MsgFlags::TRUNC, !self.is_stream() || flags.contains(MsgFlags::ERRQUEUE));
        let mut room = [0; control::ROOM];
        let message = match self.host.receive(buf, &mut room, asked.bits()).map_err(errno) {
            // Who may wait is told of the end; who may not, never is.
            Err(Errno::EAGAIN)
                if !self.is_stream()
                    && self.shut_read.load(Ordering::Relaxed)
                    && !flags.contains(MsgFlags::DONTWAIT) =>
            {
                return Ok(Received::default());
            }
            other => other?,
        };
        Ok(Received {
            copied: message.length.min(buf.len()),
            full: message.length,
            from: (!message.from.is_empty()).then_some(message.from),
            control: control::from_host(&message.control),
            flags: MsgFlags::from_bits_retain(message.flags) & RECEIVED_FLAGS,
        })
    }

    fn message_limit(&self) -> Option<usize> {
        (!self.is_stream()).then_some(DATAGRAM_MAX)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let how = match (read, write) {
            (true, true) => s::SHUT_RDWR,
            (true, false) => s::SHUT_RD,
            _ => s::SHUT_WR,
        };
        // A datagram socket that is not connected says ENOTCONN, and is shut down.
        self.shut_read.fetch_or(read, Ordering::Relaxed);
        let done = self.host.shutdown(how).map_err(errno);
        self.changed.wake_all();
        done
    }

    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        if !self.listen_to_changes(waiter) {
            return PollEvents::ERR;
        }
        self.host.ready()
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        match options::find(level, name) {
            Some(passed) if passed.access != Access::Set => self.host_option(level, name, room),
            _ => Err(options::unknown(level, self.asked.family, self.asked.kind, true)),
        }
    }

    fn set_option(&self, task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
        self.set_host_option(task, level, name, value)
    }

    fn socket_option(&self, name: i32, room: usize) -> Option<Result<Vec<u8>>> {
        let passed = options::find(s::SOL_SOCKET, name)?;
        // A value that is cut is the sentry's affair; the host would refuse short ones of some.
        let room = if room < 4 && passed.size <= 4 && name != s::SO_COOKIE { 4 } else { room };
        (passed.access != Access::Set).then(|| self.host_option(s::SOL_SOCKET, name, room))
    }

    fn set_socket_option(&self, task: &Task, name: i32, value: &[u8]) -> Option<Result<()>> {
        let plain = match name {
            s::SO_LINGER => return Some(self.set_linger(value)),
            // The limits that force lifts are the host's.
            s::SO_SNDBUFFORCE | s::SO_RCVBUFFORCE => {
                if let Err(e) = task.credentials().require(CapabilitySet::NET_ADMIN) {
                    return Some(Err(e));
                }
                if name == s::SO_SNDBUFFORCE { s::SO_SNDBUF } else { s::SO_RCVBUF }
            }
            name => name,
        };
        options::find(s::SOL_SOCKET, plain).filter(|o| o.access != Access::Read)?;
        let done = self.set_host_option(task, s::SOL_SOCKET, plain, value);
        if let (Ok(()), s::SO_RCVLOWAT, Ok((mark, _))) = (done, plain, i32::read_from_prefix(value)) {
            self.options.set_receive_low_water(mark.max(1));
        }
        Some(done)
    }

    fn take_error(&self) -> Option<Errno> {
        let value = self.host_option(s::SOL_SOCKET, s::SO_ERROR, 4).ok()?;
        let number = i32::from_ne_bytes(value.try_into().ok()?);
        (number != 0).then(|| Errno::from_raw(number))
    }

    fn is_listening(&self) -> bool {
        self.host_option(s::SOL_SOCKET, s::SO_ACCEPTCONN, 4).is_ok_and(|v| v == int_value(1))
    }

    fn at_mark(&self) -> Result<bool> {
        self.host.at_mark().map_err(errno)
    }

    fn signals_broken_pipe(&self) -> bool {
        self.is_stream()
    }

    fn readable_bytes(&self) -> Result<usize> {
        self.host.readable_bytes().map(|n| n.max(0) as usize).map_err(errno)
    }

    fn unsent_bytes(&self) -> Result<usize> {
        self.host.unsent_bytes().map(|n| n.max(0) as usize).map_err(errno)
    }

    fn close(&self, _: &Options) {
        // The descriptor goes with this.
    }
}
