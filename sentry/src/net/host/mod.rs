//! The network namespace's own sockets (`--network=host`): each inet socket of the guest is a socket of the host.
//!
//! What reaches the host is narrow: stream, datagram and ping sockets, the options of [`options`], the control messages of
//! [`control`], and the requests of [`queries`], which only read. What needs a privilege is checked against the caller's
//! capabilities before the host sees it. No host call waits: all sockets are non-blocking, and the reactor tells of changes.

pub mod control;
mod interfaces;
pub mod options;
mod queries;
mod socket;
mod texts;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::netlink as n;
use moat_abi::socket as s;
use moat_host::HostFile;

use super::netlink::message::Request;
use super::stack::{Asked, Interface, NetStack};
use super::{NetNamespace, Socket};
use crate::Result;

/// The numbers of sockets that are the sentry's own begin here: far above the host's inode numbers, which those of the
/// host keep.
pub const OWN_SOCKETS: u64 = 3 << 30;

/// What is told of the network namespace by who could still look at it.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Files of its /proc/net, open for reading, by name.
    pub texts: Vec<(String, OwnedFd)>,
    /// `net.ipv4.ip_unprivileged_port_start`.
    pub unprivileged_port: u16,
}

/// The files of /proc/net that [`Surroundings`] has: those that tell of the stack. What tells of unix, netlink and packet
/// sockets is not among them, for those of the host are nobody's business here.
pub const TEXTS: &[&str] = &[
    "arp",
    "dev",
    "if_inet6",
    "igmp",
    "ipv6_route",
    "raw",
    "raw6",
    "route",
    "snmp",
    "sockstat",
    "tcp",
    "tcp6",
    "udp",
    "udp6",
];

/// See the module.
pub struct HostStack {
    texts: BTreeMap<String, HostFile>,
    unprivileged_port: u16,
}

impl HostStack {
    /// The stack of the namespace that this process is in.
    pub fn new(surroundings: Surroundings) -> Arc<Self> {
        let texts = surroundings.texts.into_iter().map(|(name, fd)| (name, HostFile::new(fd))).collect();
        Arc::new(Self { texts, unprivileged_port: surroundings.unprivileged_port })
    }
}

/// The host's errno as the guest's.
fn errno(raw: i32) -> Errno {
    match Errno::from_raw(raw) {
        // The table of descriptors that is full is the sentry's.
        Errno::EMFILE => Errno::ENFILE,
        other => other,
    }
}

impl NetStack for HostStack {
    fn socket(&self, net: &Arc<NetNamespace>, asked: Asked) -> Result<Arc<Socket>> {
        // Raw sockets are for those with CAP_NET_RAW in the host's eyes, which the sentry has not.
        if !matches!(asked.kind, s::SOCK_STREAM | s::SOCK_DGRAM) {
            return Err(Errno::EPERM);
        }
        let host = moat_host::Socket::new(i32::from(asked.family), asked.kind as i32, asked.protocol).map_err(errno)?;
        socket::wrap(net, asked, host, self.unprivileged_port, None)
    }

    fn interfaces(&self) -> Vec<Interface> {
        interfaces::list().unwrap_or_default()
    }

    fn proc_text(&self, net: &NetNamespace, name: &str) -> Option<Result<Vec<u8>>> {
        self.texts.get(name).map(|file| texts::read(net, name, file))
    }

    fn query(
        &self,
        net: &NetNamespace,
        protocol: i32,
        request: &Request<'_>,
        port: u32,
    ) -> Option<Result<Vec<Vec<u8>>>> {
        match protocol {
            n::NETLINK_ROUTE => queries::route(request, port),
            n::NETLINK_SOCK_DIAG => queries::diag(net, request, port),
            _ => None,
        }
    }
}
