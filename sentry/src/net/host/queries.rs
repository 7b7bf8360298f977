//! Netlink requests that the host's kernel answers: what `ip`, `ss` and getaddrinfo ask of the namespace.
//!
//! No message of the guest's reaches the host. A request is made anew of what is known: a kind that only reads, the
//! family's header, and attributes by which to choose. Above all none of those that choose another namespace.

use moat_abi::errno::Errno;
use moat_abi::netlink::{
    self as n, FibRuleHdr, IfAddrMsg, IfInfoMsg, InetDiagMsg, InetDiagReq, NdMsg, NlMsgHdr, RtMsg,
};
use moat_abi::socket as s;
use zerocopy::{FromBytes, IntoBytes};

use super::{errno, texts};
use crate::Result;
use crate::net::NetNamespace;
use crate::net::netlink::message::{Request, requests};

/// The most that answers one request.
const ANSWER_MAX: usize = 8 << 20;
/// Longer than a datagram of the kernel's.
const PIECE: usize = 64 << 10;
const HEADER: usize = size_of::<NlMsgHdr>();

/// A request that passes.
struct Passed {
    kind: u16,
    /// The length of the family's header.
    header: usize,
    /// Attributes, and the longest values that they may have.
    attributes: &'static [(u16, usize)],
}

const ROUTE: &[Passed] = &[
    Passed {
        kind: n::RTM_GETLINK,
        header: size_of::<IfInfoMsg>(),
        attributes: &[(n::IFLA_IFNAME, s::IFNAMSIZ), (n::IFLA_ALT_IFNAME, 128), (n::IFLA_EXT_MASK, 4)],
    },
    Passed { kind: n::RTM_GETADDR, header: size_of::<IfAddrMsg>(), attributes: &[] },
    Passed {
        kind: n::RTM_GETROUTE,
        header: size_of::<RtMsg>(),
        attributes: &[(n::RTA_DST, 16), (n::RTA_SRC, 16), (n::RTA_IIF, 4), (n::RTA_OIF, 4), (n::RTA_TABLE, 4)],
    },
    Passed { kind: n::RTM_GETNEIGH, header: size_of::<NdMsg>(), attributes: &[(n::NDA_DST, 16), (n::NDA_IFINDEX, 4)] },
    Passed { kind: n::RTM_GETRULE, header: size_of::<FibRuleHdr>(), attributes: &[] },
];

const DIAG: &[Passed] = &[Passed { kind: n::SOCK_DIAG_BY_FAMILY, header: size_of::<InetDiagReq>(), attributes: &[] }];

/// Answers a request of NETLINK_ROUTE; none if it is not one of those that pass.
pub fn route(request: &Request<'_>, port: u32) -> Option<Result<Vec<Vec<u8>>>> {
    let passed = ROUTE.iter().find(|p| p.kind == request.header.kind)?;
    Some(ask(n::NETLINK_ROUTE, passed, request, port))
}

/// Answers a dump of inet sockets; none for anything else.
pub fn diag(net: &NetNamespace, request: &Request<'_>, port: u32) -> Option<Result<Vec<Vec<u8>>>> {
    let family = u16::from(*request.body.first()?);
    let passed = DIAG.iter().find(|p| p.kind == request.header.kind)?;
    if !request.is_dump() || !matches!(family, s::AF_INET | s::AF_INET6) {
        return None;
    }
    let answers = ask(n::NETLINK_SOCK_DIAG, passed, request, port);
    Some(answers.map(|datagrams| with_owners(net, datagrams)))
}

/// The request as the host gets it.
fn rebuild(passed: &Passed, request: &Request<'_>) -> Vec<u8> {
    let mut out = vec![0; HEADER + passed.header];
    // Old programs give less than the header: no more than the family.
    let given = request.body.len().min(passed.header);
    out[HEADER..HEADER + given].copy_from_slice(&request.body[..given]);
    for &(kind, longest) in passed.attributes {
        let Some(value) = request.attribute(passed.header, kind).filter(|v| v.len() <= longest) else { continue };
        out.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    let flags = request.header.flags & n::NLM_F_DUMP | n::NLM_F_REQUEST;
    let header = NlMsgHdr { len: out.len() as u32, kind: passed.kind, flags, seq: request.header.seq, pid: 0 };
    out[..HEADER].copy_from_slice(header.as_bytes());
    out
}

/// Asks the host. An error that it answers with becomes one.
fn ask(protocol: i32, passed: &Passed, request: &Request<'_>, port: u32) -> Result<Vec<Vec<u8>>> {
    let datagrams = exchange(protocol, &rebuild(passed, request), request.is_dump())?;
    Ok(datagrams.into_iter().map(|datagram| readdressed(datagram, port)).collect())
}

/// Sends a request to the host's kernel and takes what it answers: at once, for netlink answers within the send and the
/// receive.
pub fn exchange(protocol: i32, request: &[u8], dump: bool) -> Result<Vec<Vec<u8>>> {
    let host = moat_host::Socket::new(i32::from(s::AF_NETLINK), s::SOCK_RAW as i32, protocol).map_err(errno)?;
    host.send(request, None, &[], 0).map_err(errno)?;
    let mut datagrams = Vec::new();
    let mut total = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let got = match host.receive(&mut piece, &mut [], 0).map_err(errno) {
            Ok(message) => &piece[..message.length.min(PIECE)],
            Err(Errno::EAGAIN) => break,
            Err(e) => return Err(e),
        };
        let mut ended = !dump;
        for message in requests(got) {
            match message.header.kind {
                n::NLMSG_DONE => ended = true,
                n::NLMSG_ERROR => {
                    let code = i32::read_from_prefix(message.body).map_or(0, |(code, _)| code);
                    return if code == 0 { Ok(datagrams) } else { Err(errno(code.saturating_neg())) };
                }
                _ => {}
            }
        }
        total += got.len();
        if total > ANSWER_MAX {
            return Err(Errno::ENOBUFS);
        }
        datagrams.push(got.to_vec());
        if ended {
            break;
        }
    }
    Ok(datagrams)
}

/// Calls `change` with each message of a datagram.
fn each_message(datagram: &mut [u8], mut change: impl FnMut(&mut [u8])) {
    let mut at = 0;
    while let Some((header, _)) = datagram.get(at..).and_then(|rest| NlMsgHdr::read_from_prefix(rest).ok()) {
        let len = header.len as usize;
        let Some(message) = datagram.get_mut(at..at.saturating_add(len)).filter(|m| m.len() >= HEADER) else { return };
        change(message);
        at += len.next_multiple_of(4);
    }
}

/// Where the number of the socket that is addressed lies in a message's header.
const PORT: std::ops::Range<usize> = 12..16;

fn readdressed(mut datagram: Vec<u8>, port: u32) -> Vec<u8> {
    each_message(&mut datagram, |message| message[PORT].copy_from_slice(&port.to_ne_bytes()));
    datagram
}

/// Where user and inode number lie in a message about an inet socket.
const USER: std::ops::Range<usize> = HEADER + 64..HEADER + 68;
const INODE: std::ops::Range<usize> = HEADER + 68..HEADER + 72;

/// Sockets of the guest belong to who made them, not to the sentry's user.
fn with_owners(net: &NetNamespace, mut datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let owners = texts::owners(net);
    for datagram in &mut datagrams {
        each_message(datagram, |message| {
            let kind = u16::from_ne_bytes([message[4], message[5]]);
            if kind != n::SOCK_DIAG_BY_FAMILY || message.len() < HEADER + size_of::<InetDiagMsg>() {
                return;
            }
            let inode = u32::read_from_bytes(&message[INODE]).unwrap_or_default();
            if let Some(owner) = owners.get(&u64::from(inode)) {
                message[USER].copy_from_slice(&owner.to_ne_bytes());
            }
        });
    }
    datagrams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let header = NlMsgHdr { len: (HEADER + body.len()) as u32, kind, flags, seq: 9, pid: 77 };
        [header.as_bytes(), body].concat()
    }

    #[test]
    fn only_what_is_known_is_passed_on() {
        const IFLA_TARGET_NETNSID: u16 = 46;
        let mut body = vec![0u8; 16];
        for (kind, value) in [(IFLA_TARGET_NETNSID, &[1u8, 0, 0, 0][..]), (n::IFLA_IFNAME, b"lo\0\0")] {
            body.extend_from_slice(&8u16.to_ne_bytes());
            body.extend_from_slice(&kind.to_ne_bytes());
            body.extend_from_slice(value);
        }
        let raw = asked(n::RTM_GETLINK, n::NLM_F_REQUEST | n::NLM_F_ACK | 0x800, &body);
        let rebuilt = rebuild(&ROUTE[0], &requests(&raw)[0]);
        let parsed = requests(&rebuilt);
        assert_eq!((parsed[0].header.flags, parsed[0].header.pid, parsed[0].header.seq), (n::NLM_F_REQUEST, 0, 9));
        assert_eq!(parsed[0].attribute(16, n::IFLA_IFNAME), Some(&b"lo\0\0"[..]));
        assert_eq!(parsed[0].attribute(16, IFLA_TARGET_NETNSID), None);
    }

    #[test]
    fn requests_that_change_something_do_not_pass() {
        for kind in [n::RTM_NEWLINK, n::RTM_NEWADDR, n::RTM_NEWROUTE, n::RTM_NEWRULE] {
            let raw = asked(kind, n::NLM_F_REQUEST, &[0; 16]);
            assert!(route(&requests(&raw)[0], 1).is_none());
        }
        assert!(ROUTE.iter().all(|p| p.kind % 4 == 2));
    }

    #[test]
    fn the_host_tells_of_its_loopback() {
        let raw = asked(n::RTM_GETLINK, n::NLM_F_REQUEST | n::NLM_F_DUMP, &[0; 1]);
        let datagrams = route(&requests(&raw)[0], 1234).unwrap().unwrap();
        let all: Vec<_> = datagrams.iter().flat_map(|d| requests(d)).collect();
        assert!(all.iter().all(|m| m.header.pid == 1234 && m.header.seq == 9));
        assert!(all.iter().any(|m| m.attribute(16, n::IFLA_IFNAME) == Some(&b"lo\0"[..])));
        assert_eq!(all.last().map(|m| m.header.kind), Some(n::NLMSG_DONE));
    }
}
