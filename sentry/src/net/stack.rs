//! What inet sockets run on.
//!
//! A [`NetStack`] knows interfaces and gives [`Endpoint`]s; what lies between them, packets or none, is its own affair.
//! Addresses on this border are never v4-mapped: a dual-stack endpoint has v4 or v6 ones.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;

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
    /// Its hardware address.
    pub hardware: [u8; 6],
    /// ARPHRD_*.
    pub hardware_type: u16,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// A network stack.
pub trait NetStack: Send + Sync {
    /// A fresh endpoint; `v6` ones reach v4 too, unless their rules say otherwise.
    fn endpoint(&self, transport: Transport, v6: bool) -> Result<Arc<dyn Endpoint>>;
    /// The interfaces, by index.
    fn interfaces(&self) -> Vec<Interface>;
}
