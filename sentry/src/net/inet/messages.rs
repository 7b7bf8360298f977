//! What goes along with datagrams: control messages, errors that come back, pieces that are held back (UDP_CORK).

use std::net::{IpAddr, SocketAddr};

use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, In6PktInfo, InPktInfo, MsgFlags, SockExtendedErr};
use moat_abi::time::{CLOCK_REALTIME, Timespec, Timeval};
use zerocopy::IntoBytes;

use super::{DATAGRAM_MAX, InetSocket};
use crate::Result;
use crate::net::address::encode_inet;
use crate::net::control::ControlMessage;
use crate::net::socket::Received;
use crate::net::stack::{Arrival, Marks, Rules};

/// Pieces of a datagram that is not complete.
pub struct Corked {
    to: Option<SocketAddr>,
    marks: Marks,
    data: Vec<u8>,
}

/// A number within bounds, from an int or where that is allowed a byte.
fn number(data: &[u8], low: i32, high: i32, byte: bool) -> Result<i32> {
    let value = match *data {
        [b] if byte => i32::from(b),
        [a, b, c, d] => i32::from_ne_bytes([a, b, c, d]),
        _ => return Err(Errno::EINVAL),
    };
    if (low..=high).contains(&value) { Ok(value) } else { Err(Errno::EINVAL) }
}

impl InetSocket {
    /// What marks this socket's packets.
    pub(super) fn marks(&self, v6: bool) -> Marks {
        let (level, ttl, tos) = match v6 {
            true => (s::IPPROTO_IPV6, s::IPV6_UNICAST_HOPS, s::IPV6_TCLASS),
            false => (s::IPPROTO_IP, s::IP_TTL, s::IP_TOS),
        };
        let set = |name| self.settings.get(level, name).and_then(|v| u8::try_from(v).ok());
        let default = Marks::default();
        Marks { ttl: set(ttl).unwrap_or(default.ttl), tos: set(tos).unwrap_or(default.tos) }
    }

    /// The same, as the control messages of a send change it. `EINVAL` for messages that a datagram cannot have.
    pub(super) fn marked(&self, mut marks: Marks, control: &[(i32, i32, Vec<u8>)]) -> Result<Marks> {
        for (level, kind, data) in control {
            match (*level, *kind) {
                (s::IPPROTO_IP, s::IP_TTL) => marks.ttl = number(data, 1, 255, false)? as u8,
                (s::IPPROTO_IP, s::IP_TOS) => marks.tos = number(data, 0, 255, true)? as u8,
                (s::IPPROTO_IPV6, s::IPV6_HOPLIMIT) if self.family == s::AF_INET6 => {
                    let hops = number(data, -1, 255, false)?;
                    marks.ttl = u8::try_from(hops).unwrap_or(Marks::default().ttl);
                }
                (s::IPPROTO_IPV6, s::IPV6_TCLASS) if self.family == s::AF_INET6 => {
                    marks.tos = u8::try_from(number(data, -1, 255, false)?).unwrap_or(0);
                }
                // There is one interface, and its addresses answer for themselves.
                (s::IPPROTO_IP, s::IP_PKTINFO) if data.len() == size_of::<InPktInfo>() => {}
                (s::IPPROTO_IPV6, s::IPV6_PKTINFO)
                    if self.family == s::AF_INET6 && data.len() == size_of::<In6PktInfo>() => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(marks)
    }

    /// Sends a datagram, or a piece of one that is held back.
    pub(super) fn send_datagram(&self, data: &[u8], to: Option<SocketAddr>, rules: Rules, more: bool) -> Result<usize> {
        let hold = more || self.settings.is_set(s::IPPROTO_UDP, s::UDP_CORK);
        let corked = self.corked.lock().take();
        let mut corked = match corked {
            None if !hold => return self.endpoint.send(data, to, rules),
            None if to.is_none() && self.endpoint.peer().is_err() => return Err(Errno::EDESTADDRREQ),
            None => Corked { to, marks: rules.marks, data: Vec::new() },
            Some(corked) => corked,
        };
        if corked.data.len() + data.len() > DATAGRAM_MAX {
            return Err(Errno::EMSGSIZE);
        }
        corked.data.extend_from_slice(data);
        if hold {
            *self.corked.lock() = Some(corked);
            return Ok(data.len());
        }
        self.send_corked(&corked, rules).map(|()| data.len())
    }

    fn send_corked(&self, corked: &Corked, rules: Rules) -> Result<()> {
        self.endpoint.send(&corked.data, corked.to, Rules { marks: corked.marks, ..rules }).map(drop)
    }

    /// Sends what is held back.
    pub(super) fn uncork(&self) -> Result<()> {
        let corked = self.corked.lock().take();
        corked.map_or(Ok(()), |corked| self.send_corked(&corked, self.rules()))
    }

    /// The next of the errors that came back (MSG_ERRQUEUE), with the datagram that it is about.
    pub(super) fn receive_returned(&self, buf: &mut [u8]) -> Result<Received> {
        /// ICMP's and ICMPv6's "destination unreachable", "port unreachable".
        const UNREACHABLE: [(u8, u8, u8); 2] = [(2, 3, 3), (3, 1, 4)];
        let returned = self.endpoint.take_returned()?;
        let copied = returned.data.len().min(buf.len());
        buf[..copied].copy_from_slice(&returned.data[..copied]);
        let (origin, kind, code) = UNREACHABLE[usize::from(returned.to.is_ipv6())];
        let error = SockExtendedErr { errno: returned.error.raw() as u32, origin, kind, code, ..Default::default() };
        let mut data = error.as_bytes().to_vec();
        // Who says so.
        data.extend_from_slice(&encode_inet(self.family, SocketAddr::new(returned.to.ip(), 0)));
        let (level, kind) = match self.family {
            s::AF_INET6 => (s::IPPROTO_IPV6, s::IPV6_RECVERR),
            _ => (s::IPPROTO_IP, s::IP_RECVERR),
        };
        let mut flags = MsgFlags::ERRQUEUE;
        flags.set(MsgFlags::TRUNC, copied < returned.data.len());
        Ok(Received {
            copied,
            full: returned.data.len(),
            from: Some(encode_inet(self.family, returned.to)),
            control: vec![ControlMessage::Other { level, kind, data }],
            flags,
        })
    }

    /// The control messages that the options ask for.
    pub(super) fn control(&self, arrival: &Arrival) -> Vec<ControlMessage> {
        let mut messages = Vec::new();
        let (timestamp, timestamp_ns) = self.options.get(|o| (o.timestamp, o.timestamp_ns));
        let mut put = |level, kind, data: &[u8]| {
            messages.push(ControlMessage::Other { level, kind, data: data.to_vec() });
        };
        if timestamp || timestamp_ns {
            let now = moat_host::clock::now(CLOCK_REALTIME);
            match timestamp_ns {
                true => put(s::SOL_SOCKET, s::SO_TIMESTAMPNS, Timespec::from(now).as_bytes()),
                false => put(s::SOL_SOCKET, s::SO_TIMESTAMP, Timeval::from(now).as_bytes()),
            }
        }
        let Some(to) = arrival.to else { return messages };
        let ttl = i32::from(arrival.marks.ttl);
        let ip = |name| self.settings.is_set(s::IPPROTO_IP, name);
        let ipv6 = |name| self.family == s::AF_INET6 && self.settings.is_set(s::IPPROTO_IPV6, name);
        if let IpAddr::V4(to) = to {
            if ip(s::IP_PKTINFO) {
                let info = InPktInfo { ifindex: 1, spec_dst: to.octets(), addr: to.octets() };
                put(s::IPPROTO_IP, s::IP_PKTINFO, info.as_bytes());
            }
            if ip(s::IP_RECVTTL) {
                put(s::IPPROTO_IP, s::IP_TTL, &ttl.to_ne_bytes());
            }
            if ip(s::IP_RECVTOS) {
                put(s::IPPROTO_IP, s::IP_TOS, &[arrival.marks.tos]);
            }
        }
        if ipv6(s::IPV6_RECVPKTINFO) {
            let to = match to {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            put(s::IPPROTO_IPV6, s::IPV6_PKTINFO, In6PktInfo { addr: to.octets(), ifindex: 1 }.as_bytes());
        }
        if ipv6(s::IPV6_RECVHOPLIMIT) {
            put(s::IPPROTO_IPV6, s::IPV6_HOPLIMIT, &ttl.to_ne_bytes());
        }
        if ipv6(s::IPV6_RECVTCLASS) {
            put(s::IPPROTO_IPV6, s::IPV6_TCLASS, &i32::from(arrival.marks.tos).to_ne_bytes());
        }
        messages
    }
}
