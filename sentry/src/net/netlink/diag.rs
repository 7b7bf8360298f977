//! NETLINK_SOCK_DIAG (sock_diag(7)): the list of sockets that `ss` shows.

use std::net::{IpAddr, SocketAddr};

use moat_abi::errno::Errno;
use moat_abi::netlink::{self as n, InetDiagMsg, InetDiagReq, InetDiagSockId, UnixDiagMsg, UnixDiagReq};
use moat_abi::socket as s;
use zerocopy::FromBytes;

use super::message::{Answer, Request};
use crate::Result;
use crate::net::address::UnixAddress;
use crate::net::inet::InetSocket;
use crate::net::unix::UnixSocket;
use crate::net::{NetNamespace, Socket};

/// Answers a request. An error becomes NLMSG_ERROR.
pub fn answer(net: &NetNamespace, request: &Request<'_>, out: &mut Answer) -> Result<()> {
    if request.header.kind != n::SOCK_DIAG_BY_FAMILY {
        return Err(Errno::EINVAL);
    }
    let family = u16::from(request.body.first().copied().unwrap_or_default());
    match family {
        s::AF_INET | s::AF_INET6 if request.is_dump() => inet(net, request, family, out),
        s::AF_UNIX if request.is_dump() => unix(net, request, out),
        _ => Err(Errno::ENOENT),
    }
}

fn octets(of: u16, address: Option<SocketAddr>) -> ([u8; 2], [u8; 16]) {
    let mut raw = [0; 16];
    let Some(address) = address else { return ([0; 2], raw) };
    match address.ip() {
        IpAddr::V4(ip) if of == s::AF_INET => raw[..4].copy_from_slice(&ip.octets()),
        IpAddr::V4(ip) => raw = ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => raw = ip.octets(),
    }
    (address.port().to_be_bytes(), raw)
}

fn inet(net: &NetNamespace, request: &Request<'_>, family: u16, out: &mut Answer) -> Result<()> {
    let (asked, _) = InetDiagReq::read_from_prefix(request.body).map_err(|_| Errno::EINVAL)?;
    for socket in net.sockets.of_family(family) {
        let Some(inet) = socket.downcast::<InetSocket>() else { continue };
        let endpoint = inet.endpoint();
        let state = endpoint.state();
        let wanted = asked.states & (1 << state) != 0;
        if socket.protocol != i32::from(asked.protocol) || !wanted || endpoint.local().is_none() {
            continue;
        }
        let (sport, src) = octets(family, endpoint.local());
        let (dport, dst) = octets(family, endpoint.peer().ok());
        let (rqueue, wqueue) = endpoint.queued();
        let message = InetDiagMsg {
            family: family as u8,
            state,
            id: InetDiagSockId { sport, dport, src, dst, interface: 0, cookie: cookie(&socket) },
            rqueue: rqueue as u32,
            wqueue: if state == s::TCP_LISTEN { wqueue as u32 } else { 0 },
            uid: socket.owner.uid,
            inode: socket.id as u32,
            ..InetDiagMsg::default()
        };
        out.begin(n::SOCK_DIAG_BY_FAMILY, n::NLM_F_MULTI, &message);
        if family == s::AF_INET6 && matches!(state, s::TCP_LISTEN | s::TCP_CLOSE) {
            out.attribute(n::INET_DIAG_SKV6ONLY, &[u8::from(inet.v6_only())]);
        }
    }
    Ok(())
}

fn cookie(socket: &Socket) -> [u32; 2] {
    [socket.id as u32, (socket.id >> 32) as u32]
}

fn unix(net: &NetNamespace, request: &Request<'_>, out: &mut Answer) -> Result<()> {
    let (asked, _) = UnixDiagReq::read_from_prefix(request.body).map_err(|_| Errno::EINVAL)?;
    for socket in net.sockets.of_family(s::AF_UNIX) {
        let Some(unix) = socket.downcast::<UnixSocket>() else { continue };
        let shown = unix.shown();
        let state = match (shown.listening, shown.connected) {
            (true, _) => s::TCP_LISTEN,
            (_, true) => s::TCP_ESTABLISHED,
            _ => s::TCP_CLOSE,
        };
        if asked.states & (1 << state) == 0 {
            continue;
        }
        let message = UnixDiagMsg {
            family: s::AF_UNIX as u8,
            kind: socket.kind as u8,
            state,
            pad: 0,
            ino: socket.id as u32,
            cookie: cookie(&socket),
        };
        out.begin(n::SOCK_DIAG_BY_FAMILY, n::NLM_F_MULTI, &message);
        if asked.show & n::UDIAG_SHOW_NAME != 0
            && let Some(name) = &shown.name
        {
            out.attribute(n::UNIX_DIAG_NAME, &UnixAddress::encode(Some(name))[2..]);
        }
        if asked.show & n::UDIAG_SHOW_PEER != 0 && shown.peer != 0 {
            out.number(n::UNIX_DIAG_PEER, shown.peer as u32);
        }
        if asked.show & n::UDIAG_SHOW_RQLEN != 0 {
            let mut lengths = (shown.waiting as u32).to_ne_bytes().to_vec();
            lengths.extend_from_slice(&(shown.backlog as u32).to_ne_bytes());
            out.attribute(n::UNIX_DIAG_RQLEN, &lengths);
        }
    }
    Ok(())
}
