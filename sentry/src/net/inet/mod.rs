//! Inet sockets (ip(7), tcp(7), udp(7), ipv6(7)): addresses, options and permissions over a stack's endpoints.

mod messages;
mod options;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{self as s, MsgFlags};

use super::NetNamespace;
use super::address::{self, encode_inet, parse_inet, unmapped, unspecified};
use super::options::{BUFFER_DEFAULT, Options};
use super::socket::{NewSocket, Outgoing, Owner, Protocol, Received, Socket};
use super::stack::{Asked, Endpoint, Rules, Transport};
use crate::Result;
use crate::executor::wait::Waiter;
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};
use messages::Corked;
use options::Settings;

/// `net.ipv4.tcp_wmem` and `tcp_rmem`, the middle ones.
pub const TCP_SEND_BUFFER: u32 = 16_384;
/// See [`TCP_SEND_BUFFER`].
pub const TCP_RECEIVE_BUFFER: u32 = 131_072;
/// Ports below need CAP_NET_BIND_SERVICE (`net.ipv4.ip_unprivileged_port_start`).
const PRIVILEGED_PORTS: u16 = 1024;
/// The longest datagram, whatever the family.
const DATAGRAM_MAX: usize = 65_535;

/// The inet side of a socket.
pub struct InetSocket {
    family: u16,
    transport: Transport,
    protocol: i32,
    owner: Owner,
    endpoint: Arc<dyn Endpoint>,
    options: Arc<Options>,
    settings: Settings,
    net: Arc<NetNamespace>,
    /// What is held back of a datagram.
    corked: Mutex<Option<Corked>>,
}

/// socket(2) for AF_INET and AF_INET6.
pub fn create(
    task: &Task,
    net: &Arc<NetNamespace>,
    owner: Owner,
    family: u16,
    kind: u32,
    protocol: i32,
) -> Result<Arc<Socket>> {
    if !(0..s::IPPROTO_MAX).contains(&protocol) {
        return Err(Errno::EINVAL);
    }
    let protocol = match (kind, protocol) {
        (s::SOCK_STREAM, 0 | s::IPPROTO_TCP) => s::IPPROTO_TCP,
        (s::SOCK_DGRAM, 0 | s::IPPROTO_UDP) => s::IPPROTO_UDP,
        (s::SOCK_DGRAM, s::IPPROTO_ICMP) if family == s::AF_INET => protocol,
        (s::SOCK_DGRAM, s::IPPROTO_ICMPV6) if family == s::AF_INET6 => protocol,
        (s::SOCK_RAW, 0) => return Err(Errno::EPROTONOSUPPORT),
        (s::SOCK_RAW, _) if !task.credentials().has(CapabilitySet::NET_RAW) => return Err(Errno::EPERM),
        (s::SOCK_RAW, _) => protocol,
        (s::SOCK_STREAM | s::SOCK_DGRAM, _) => return Err(Errno::EPROTONOSUPPORT),
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    net.stack().socket(net, Asked { owner, family, kind, protocol })
}

/// A socket over an endpoint.
pub fn over(net: &Arc<NetNamespace>, asked: Asked, transport: Transport, endpoint: Arc<dyn Endpoint>) -> Arc<Socket> {
    let Asked { owner, family, protocol, .. } = asked;
    let options = Arc::new(match transport {
        Transport::Stream => Options::new(TCP_SEND_BUFFER, TCP_RECEIVE_BUFFER),
        Transport::Datagram => Options::new(BUFFER_DEFAULT, BUFFER_DEFAULT),
    });
    wrap(net, owner, family, transport, endpoint, options, Settings::default(), protocol)
}

#[allow(clippy::too_many_arguments, reason = "the parts of a socket, put together in two places")]
fn wrap(
    net: &Arc<NetNamespace>,
    owner: Owner,
    family: u16,
    transport: Transport,
    endpoint: Arc<dyn Endpoint>,
    options: Arc<Options>,
    settings: Settings,
    protocol: i32,
) -> Arc<Socket> {
    let kind = if transport == Transport::Stream { s::SOCK_STREAM } else { s::SOCK_DGRAM };
    let new = NewSocket { family, kind, protocol, id: net.next_id(), owner };
    let inet = InetSocket {
        family,
        transport,
        protocol,
        owner,
        endpoint,
        options: options.clone(),
        settings,
        net: net.clone(),
        corked: Mutex::new(Rank::Leaf, None),
    };
    Socket::new(net, new, options, Box::new(inet))
}

impl InetSocket {
    /// What transports its bytes.
    pub fn endpoint(&self) -> &Arc<dyn Endpoint> {
        &self.endpoint
    }

    /// Whether it is a v6 socket that has nothing to do with v4 (IPV6_V6ONLY).
    pub fn v6_only(&self) -> bool {
        self.family == s::AF_INET6 && self.settings.is_set(s::IPPROTO_IPV6, s::IPV6_V6ONLY)
    }

    fn rules(&self) -> Rules {
        let v6_only = self.v6_only();
        let marks = self.marks(self.family == s::AF_INET6);
        let receive_errors = self.settings.is_set(s::IPPROTO_IP, s::IP_RECVERR)
            || self.settings.is_set(s::IPPROTO_IPV6, s::IPV6_RECVERR);
        self.options.get(|o| Rules {
            reuse_address: o.reuse_address,
            reuse_port: o.reuse_port,
            v6_only,
            broadcast: o.broadcast,
            uid: self.owner.uid,
            send_buffer: o.send_buffer as usize,
            receive_buffer: o.receive_buffer as usize,
            marks,
            receive_errors,
        })
    }

    /// A destination; v4-mapped ones become v4, which a v6-only socket does not reach.
    fn destination(&self, address: &[u8]) -> Result<SocketAddr> {
        let given = parse_inet(self.family, address)?;
        let to = unmapped(given);
        if self.family == s::AF_INET6 && to.is_ipv4() && self.v6_only() {
            return Err(Errno::ENETUNREACH);
        }
        Ok(to)
    }

    fn is_unspecified_family(address: &[u8]) -> bool {
        address::family(address) == Some(s::AF_UNSPEC)
    }
}

impl Protocol for InetSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bind(&self, task: &Task, address: &[u8]) -> Result<()> {
        // An old program may leave the family out if it names no address (inet_bind).
        let given = match (self.family, address::family(address)) {
            (s::AF_INET, Some(s::AF_UNSPEC)) if address.len() >= 16 => {
                let mut fixed = address.to_vec();
                fixed[..2].copy_from_slice(&s::AF_INET.to_ne_bytes());
                let given = parse_inet(s::AF_INET, &fixed)?;
                if given.ip().is_unspecified() { given } else { return Err(Errno::EAFNOSUPPORT) }
            }
            _ => parse_inet(self.family, address)?,
        };
        let at = unmapped(given);
        if self.v6_only() && at.is_ipv4() {
            return Err(Errno::EINVAL);
        }
        if (1..PRIVILEGED_PORTS).contains(&at.port()) && !task.credentials().has(CapabilitySet::NET_BIND_SERVICE) {
            return Err(Errno::EACCES);
        }
        self.endpoint.bind(at, self.rules())
    }

    fn listen(&self, _: &Task, backlog: u32) -> Result<()> {
        self.endpoint.listen(backlog as usize, self.rules())
    }

    fn accept(&self) -> Result<(Arc<Socket>, Vec<u8>)> {
        let endpoint = self.endpoint.accept()?;
        let peer = endpoint.peer().map(|p| encode_inet(self.family, p)).unwrap_or_default();
        let options = Arc::new(self.options.inherit());
        let settings = self.settings.clone();
        let socket =
            wrap(&self.net, self.owner, self.family, self.transport, endpoint, options, settings, self.protocol);
        Ok((socket, peer))
    }

    fn connect(&self, _: &Task, address: &[u8], nonblocking: bool, waiter: Option<&mut Waiter>) -> Result<()> {
        if address.len() < 2 {
            return Err(Errno::EINVAL);
        }
        let to = match Self::is_unspecified_family(address) {
            true => None,
            false => Some(self.destination(address)?),
        };
        self.endpoint.connect(to, self.rules(), nonblocking, waiter)
    }

    fn local_name(&self) -> Result<Vec<u8>> {
        let local = self.endpoint.local();
        let any = SocketAddr::new(unspecified(self.family == s::AF_INET6), 0);
        Ok(match local {
            // A v4 wildcard on a v6 socket can only be the mapped one, which shows as such.
            Some(local) => encode_inet(self.family, local),
            None => encode_inet(self.family, any),
        })
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        self.endpoint.peer().map(|p| encode_inet(self.family, p))
    }

    fn send(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = match message.to {
            Some(to) if self.transport == Transport::Datagram => {
                // udp_sendmsg takes no family for AF_INET.
                match (self.family, address::family(to)) {
                    (s::AF_INET, Some(s::AF_UNSPEC)) if to.len() >= 16 => {
                        let mut fixed = to.to_vec();
                        fixed[..2].copy_from_slice(&s::AF_INET.to_ne_bytes());
                        Some(self.destination(&fixed)?)
                    }
                    (s::AF_INET6, Some(s::AF_INET)) => Some(parse_inet(s::AF_INET, to)?),
                    _ => Some(self.destination(to)?),
                }
            }
            _ => None,
        };
        if self.transport == Transport::Stream {
            return self.endpoint.send(message.data, to, self.rules());
        }
        let rules = self.rules();
        let marks = match to {
            Some(to) => self.marks(to.is_ipv6()),
            None => rules.marks,
        };
        let rules = Rules { marks: self.marked(marks, message.control)?, ..rules };
        self.send_datagram(message.data, to, rules, message.flags.contains(MsgFlags::MORE))
    }

    fn receive(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        if flags.contains(MsgFlags::OOB) {
            return Err(if self.transport == Transport::Stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        if flags.contains(MsgFlags::ERRQUEUE) {
            return self.receive_returned(buf);
        }
        let arrival = self.endpoint.receive(buf, flags.contains(MsgFlags::PEEK), flags.contains(MsgFlags::DONTWAIT))?;
        let mut out = MsgFlags::empty();
        if arrival.full > arrival.copied {
            out |= MsgFlags::TRUNC;
        }
        Ok(Received {
            copied: arrival.copied,
            full: arrival.full,
            from: arrival.from.map(|f| encode_inet(self.family, f)),
            control: self.control(&arrival),
            flags: out,
        })
    }

    fn message_limit(&self) -> Option<usize> {
        (self.transport == Transport::Datagram).then_some(DATAGRAM_MAX)
    }

    fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        self.endpoint.shutdown(read, write)
    }

    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        let mut events = self.endpoint.poll(waiter);
        let mark = self.options.get(|o| o.receive_low_water).max(1) as usize;
        let ended = events.intersects(PollEvents::RDHUP | PollEvents::HUP | PollEvents::ERR);
        if mark > 1 && self.transport == Transport::Stream && !self.is_listening() && !ended {
            let enough = self.endpoint.queued().0 >= mark;
            events.set(PollEvents::IN | PollEvents::RDNORM, enough);
        }
        events
    }

    fn take_error(&self) -> Option<Errno> {
        self.endpoint.take_error()
    }

    fn is_listening(&self) -> bool {
        self.endpoint.state() == s::TCP_LISTEN
    }

    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        options::get(self, level, name, room)
    }

    fn set_option(&self, task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
        options::set(self, task, level, name, value)
    }

    fn signals_broken_pipe(&self) -> bool {
        self.transport == Transport::Stream
    }

    fn readable_bytes(&self) -> Result<usize> {
        if self.is_listening() {
            return Err(Errno::EINVAL);
        }
        Ok(self.endpoint.queued().0)
    }

    fn unsent_bytes(&self) -> Result<usize> {
        if self.is_listening() {
            return Err(Errno::EINVAL);
        }
        // On the loopback everything is acknowledged as soon as it is sent.
        Ok(0)
    }

    fn close(&self, options: &Options) {
        self.endpoint.close(options.get(|o| o.linger));
    }
}
