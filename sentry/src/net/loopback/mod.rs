//! A stack of one loopback interface: TCP and UDP over v4 and v6 in which no packet is made. A connection is a pair of
//! bounded buffers, a datagram goes straight into the receiver's queue.

mod ports;
mod ring;
mod tcp;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::socket as s;

use super::stack::{Asked, Endpoint, Interface, InterfaceAddress, NetStack, Transport};
use super::{NetNamespace, Socket, inet};
use crate::Result;
use crate::sync::{Mutex, Rank};
pub use ports::EPHEMERAL;
use ports::Ports;
use tcp::Tcp;
use udp::Udp;

/// See the module.
pub struct Loopback {
    this: Weak<Self>,
    streams: Mutex<Ports<Tcp>>,
    datagrams: Mutex<Ports<Udp>>,
}

impl Loopback {
    /// A stack without endpoints.
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            streams: Mutex::new(Rank::NetStack, Ports::default()),
            datagrams: Mutex::new(Rank::NetStack, Ports::default()),
        })
    }
}

/// Whether an address is one of this machine's.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// Whether an endpoint may take this address. `EADDRNOTAVAIL`.
fn check_bind(ip: IpAddr) -> Result<()> {
    let heard = match ip {
        // What is sent to many has no owner, so that everybody may listen there.
        IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast(),
        IpAddr::V6(_) => false,
    };
    if is_local(ip) || ip.is_unspecified() || heard { Ok(()) } else { Err(Errno::EADDRNOTAVAIL) }
}

/// Where something that is sent to `to` by an endpoint at `local` goes: the wildcard means this machine. `ENETUNREACH`
/// for what is beyond it.
fn route(to: SocketAddr, local: Option<IpAddr>) -> Result<SocketAddr> {
    let ip = match to.ip() {
        ip if is_local(ip) => ip,
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return Err(Errno::ENETUNREACH),
    };
    match local {
        Some(local) if local.is_unspecified() || local.is_ipv4() == ip.is_ipv4() => Ok(SocketAddr::new(ip, to.port())),
        // A v6 socket with a mapped address (ip6_dst_lookup_tail).
        Some(local) if local.is_ipv4() => Err(Errno::EAFNOSUPPORT),
        Some(_) => Err(Errno::ENETUNREACH),
        _ => Ok(SocketAddr::new(ip, to.port())),
    }
}

/// The source address of what goes to `to` (a local address) from an endpoint at `local`.
fn source(to: IpAddr, local: Option<IpAddr>) -> IpAddr {
    match (local, to) {
        (Some(local), _) if !local.is_unspecified() => local,
        // Every address of 127/8 answers for itself.
        (_, to) => to,
    }
}

impl Loopback {
    /// A fresh endpoint; `v6` ones reach v4 too, unless their rules say otherwise.
    fn endpoint(&self, transport: Transport, v6: bool) -> Result<Arc<dyn Endpoint>> {
        let stack = self.this.upgrade().ok_or(Errno::ENETDOWN)?;
        Ok(match transport {
            Transport::Stream => Tcp::endpoint(stack, v6),
            Transport::Datagram => Udp::endpoint(stack, v6),
        })
    }
}

impl NetStack for Loopback {
    fn socket(&self, net: &Arc<NetNamespace>, asked: Asked) -> Result<Arc<Socket>> {
        let transport = match (asked.kind, asked.protocol) {
            (s::SOCK_STREAM, s::IPPROTO_TCP) => Transport::Stream,
            (s::SOCK_DGRAM, s::IPPROTO_UDP) => Transport::Datagram,
            // The range of groups that may ping is empty, as it is by default.
            (s::SOCK_DGRAM, _) => return Err(Errno::EACCES),
            _ => return Err(Errno::EPROTONOSUPPORT),
        };
        let endpoint = self.endpoint(transport, asked.family == s::AF_INET6)?;
        Ok(inet::over(net, asked, transport, endpoint))
    }

    fn interfaces(&self) -> Vec<Interface> {
        vec![Interface {
            index: 1,
            name: "lo".to_owned(),
            flags: s::IFF_UP | s::IFF_LOOPBACK | s::IFF_RUNNING | s::IFF_LOWER_UP,
            mtu: 65_536,
            queue_length: 1000,
            hardware: [0; 6],
            hardware_type: s::ARPHRD_LOOPBACK,
            addresses: vec![
                InterfaceAddress { ip: Ipv4Addr::LOCALHOST.into(), prefix: 8, peer: None, broadcast: None },
                InterfaceAddress { ip: Ipv6Addr::LOCALHOST.into(), prefix: 128, peer: None, broadcast: None },
            ],
        }]
    }
}

#[cfg(test)]
mod tests;
