//! What inet sockets run on.
//!
//! A [`NetStack`] knows interfaces and gives sockets; what lies between them, packets or none, is its own affair. One that
//! is the sentry's own gives [`Endpoint`]s, for which [`super::inet`] knows Linux's options and addresses; one that is
//! Linux's gives sockets that need no such help. Addresses of endpoints are never v4-mapped: a dual-stack endpoint has v4 or
//! v6 ones.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;

use super::netlink::message::Request;
use super::socket::Owner;
use super::{NetNamespace, Socket};
use crate::Result;
use crate::executor::wait::Waiter;

/// What an endpoint transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// What a socket's options say to its endpoint, as of the call.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// IPV6_V6ONLY.
    pub v6_only: bool,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// Who made the socket.
    pub uid: u32,
    /// SO_SNDBUF.
    pub send_buffer: usize,
    /// SO_RCVBUF.
    pub receive_buffer: usize,
    /// What marks the packets.
    pub marks: Marks,
    /// IP_RECVERR, IPV6_RECVERR.
    pub receive_errors: bool,
}

/// What the header of a packet says besides addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// How many hops it may go.
    pub ttl: u8,
    /// Its type of service, or traffic class.
    pub tos: u8,
}

impl Default for Marks {
    fn default() -> Self {
        Self { ttl: 64, tos: 0 }
    }
}

/// An error that came back for a datagram that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// What is wrong.
    pub error: Errno,
    /// Where it was sent to.
    pub to: SocketAddr,
    /// What was sent.
    pub data: Vec<u8>,
}

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Bytes put into the buffer.
    pub copied: usize,
    /// The datagram's length.
    pub full: usize,
    /// Who sent it; none for streams.
    pub from: Option<SocketAddr>,
    /// The address that it was sent to.
    pub to: Option<IpAddr>,
    /// What marked it.
    pub marks: Marks,
}

/// One end of inet traffic. Nothing blocks; `EAGAIN` says to wait on [`Endpoint::poll`].
pub trait Endpoint: Send + Sync {
    /// Takes a local address; port 0 for any.
    fn bind(&self, address: SocketAddr, rules: Rules) -> Result<()>;
    /// Connects; no address ends the association of a datagram endpoint. `EINPROGRESS` if it may not wait, `EAGAIN` to
    /// be called again once the waiter is woken.
    fn connect(
        &self,
        address: Option<SocketAddr>,
        rules: Rules,
        nonblocking: bool,
        waiter: Option<&mut Waiter>,
    ) -> Result<()>;
    /// Lets others connect.
    fn listen(&self, backlog: usize, rules: Rules) -> Result<()>;
    /// The next connection.
    fn accept(&self) -> Result<Arc<dyn Endpoint>>;
    /// The local address, if it has one.
    fn local(&self) -> Option<SocketAddr>;
    /// The peer's address. `ENOTCONN`.
    fn peer(&self) -> Result<SocketAddr>;
    /// Sends; how much was taken.
    fn send(&self, data: &[u8], to: Option<SocketAddr>, rules: Rules) -> Result<usize>;
    /// Receives. `nonblocking` matters only for what an ended datagram endpoint says.
    fn receive(&self, buf: &mut [u8], peek: bool, nonblocking: bool) -> Result<Arrival>;
    /// Ends the sides given. `ENOTCONN`.
    fn shutdown(&self, read: bool, write: bool) -> Result<()>;
    /// What is ready.
    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents;
    /// Takes the pending error.
    fn take_error(&self) -> Option<Errno>;
    /// Takes the next of the errors that came back. `EAGAIN`.
    fn take_returned(&self) -> Result<Returned> {
        Err(Errno::EAGAIN)
    }
    /// The state, numbered as TCP's.
    fn state(&self) -> u8;
    /// Bytes to be read here, and bytes that the peer has not read.
    fn queued(&self) -> (usize, usize);
    /// The socket is closed, with its SO_LINGER.
    fn close(&self, linger: Option<Duration>);
}

/// An address of an interface.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceAddress {
    /// The address.
    pub ip: IpAddr,
    /// The length of the network's prefix in bits.
    pub prefix: u8,
    /// The other end, of a link that has only two.
    pub peer: Option<IpAddr>,
    /// Where everybody on the link listens.
    pub broadcast: Option<IpAddr>,
}

/// A network interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// IFF_*.
    pub flags: u32,
    /// The longest packet in bytes.
    pub mtu: u32,
    /// Packets that may wait to be sent.
    pub queue_length: u32,
    /// Its hardware address.
    pub hardware: [u8; 6],
    /// ARPHRD_*.
    pub hardware_type: u16,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// A socket(2) of an inet family whose type and protocol go together.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Who asks.
    pub owner: Owner,
    /// AF_INET or AF_INET6.
    pub family: u16,
    /// SOCK_*, without flags.
    pub kind: u32,
    /// IPPROTO_*, never 0.
    pub protocol: i32,
}

/// A network stack.
pub trait NetStack: Send + Sync {
    /// A new socket.
    fn socket(&self, net: &Arc<NetNamespace>, asked: Asked) -> Result<Arc<Socket>>;
    /// The interfaces, by index.
    fn interfaces(&self) -> Vec<Interface>;
    /// The text of a file of /proc/net, if the stack knows better than what sockets and interfaces tell.
    fn proc_text(&self, net: &NetNamespace, name: &str) -> Option<Result<Vec<u8>>> {
        let _ = (net, name);
        None
    }
    /// The datagrams that answer a netlink request from socket number `port`, if the stack knows better.
    fn query(
        &self,
        net: &NetNamespace,
        protocol: i32,
        request: &Request<'_>,
        port: u32,
    ) -> Option<Result<Vec<Vec<u8>>>> {
        let _ = (net, protocol, request, port);
        None
    }
}
