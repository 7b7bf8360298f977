//! Sockets.

use std::net::Ipv6Addr;

use moat_abi::socket::{CMsgHdr, MsgHdr, UCred};
use moat_abi::uio::IoVec;

use super::memory::show_vector;
use crate::trace::show::{Show, View, choices, flags};

choices! {
    /// A protocol family.
    Domain "AF_???" { AF_UNSPEC 0 AF_UNIX 1 AF_INET 2 AF_INET6 10 AF_NETLINK 16 AF_PACKET 17 AF_VSOCK 40 }
    /// How a connection is shut down.
    ShutdownHow "SHUT_???" { SHUT_RD 0 SHUT_WR 1 SHUT_RDWR 2 }
    /// A level of socket options.
    SocketLevel "SOL_???" {
        SOL_IP 0 SOL_SOCKET 1 SOL_TCP 6 SOL_UDP 17 SOL_IPV6 41 SOL_RAW 255 SOL_PACKET 263 SOL_NETLINK 270
    }
}

flags! {
    /// Flags of socket types and of accept4.
    SocketFlags "SOCK_???" { SOCK_CLOEXEC 0o2000000 SOCK_NONBLOCK 0o4000 }
    /// Flags of sending and receiving.
    MessageFlags "MSG_???" {
        MSG_OOB 1 MSG_PEEK 2 MSG_DONTROUTE 4 MSG_CTRUNC 8 MSG_PROBE 0x10 MSG_TRUNC 0x20 MSG_DONTWAIT 0x40 MSG_EOR 0x80
        MSG_WAITALL 0x100 MSG_FIN 0x200 MSG_SYN 0x400 MSG_CONFIRM 0x800 MSG_RST 0x1000 MSG_ERRQUEUE 0x2000
        MSG_NOSIGNAL 0x4000 MSG_MORE 0x8000 MSG_WAITFORONE 0x10000 MSG_FASTOPEN 0x20000000 MSG_CMSG_CLOEXEC 0x40000000
    }
}

/// A socket type with its flags.
pub struct SocketType;

impl View for SocketType {
    fn show(raw: u64, to: &mut Show<'_>) {
        let names = [
            (1, "SOCK_STREAM"),
            (2, "SOCK_DGRAM"),
            (3, "SOCK_RAW"),
            (4, "SOCK_RDM"),
            (5, "SOCK_SEQPACKET"),
            (10, "SOCK_PACKET"),
        ];
        to.choice(raw & 0xf, &names, "SOCK_???");
        if raw & !0xf != 0 {
            to.str("|");
            to.flags(raw & !0xf, SocketFlags::NAMES, "SOCK_???");
        }
    }
}

/// A protocol of the family in argument 0.
pub struct Protocol;

impl View for Protocol {
    fn show(raw: u64, to: &mut Show<'_>) {
        const INTERNET: &[(u64, &str)] = &[
            (0, "IPPROTO_IP"),
            (1, "IPPROTO_ICMP"),
            (6, "IPPROTO_TCP"),
            (17, "IPPROTO_UDP"),
            (41, "IPPROTO_IPV6"),
            (58, "IPPROTO_ICMPV6"),
            (255, "IPPROTO_RAW"),
        ];
        match to.argument(0) {
            2 | 10 => to.choice(raw, INTERNET, "IPPROTO_???"),
            16 => to.choice(
                raw,
                &[(0, "NETLINK_ROUTE"), (4, "NETLINK_SOCK_DIAG"), (9, "NETLINK_AUDIT"), (15, "NETLINK_KOBJECT_UEVENT")],
                "NETLINK_???",
            ),
            _ => to.put(format_args!("{raw}")),
        }
    }
}

fn show_address(address: u64, len: u64, to: &mut Show<'_>) {
    if address == 0 {
        return to.str("NULL");
    }
    let Some(bytes) = to.bytes(address, len.min(128) as usize).filter(|b| b.len() >= 2) else {
        return to.address(address);
    };
    let family = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
    to.str("{sa_family=");
    to.choice(family, Domain::NAMES, "AF_???");
    let port = |b: &[u8]| u16::from_be_bytes([b[2], b[3]]);
    match family {
        1 if bytes.len() > 2 && bytes[2] == 0 && bytes.len() > 3 => {
            to.str(", sun_path=@");
            to.quoted_whole(&bytes[3..]);
        }
        1 if bytes.len() > 2 => {
            to.str(", sun_path=");
            to.quoted_whole(bytes[2..].split(|b| *b == 0).next().unwrap_or_default());
        }
        2 if bytes.len() >= 8 => to.put(format_args!(
            ", sin_port=htons({}), sin_addr=inet_addr(\"{}.{}.{}.{}\")",
            port(&bytes),
            bytes[4],
            bytes[5],
            bytes[6],
            bytes[7]
        )),
        10 if bytes.len() >= 24 => {
            let mut raw = [0; 16];
            raw.copy_from_slice(&bytes[8..24]);
            let flow = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            to.put(format_args!(
                ", sin6_port=htons({}), sin6_flowinfo=htonl({flow}), inet_pton(AF_INET6, \"{}\", &sin6_addr)",
                port(&bytes),
                Ipv6Addr::from(raw)
            ));
            if let Some(scope) = bytes.get(24..28) {
                to.put(format_args!(
                    ", sin6_scope_id={}",
                    u32::from_le_bytes([scope[0], scope[1], scope[2], scope[3]])
                ));
            }
        }
        16 if bytes.len() >= 12 => {
            let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            to.put(format_args!(", nl_pid={}, nl_groups={:08x}", word(4), word(8)));
        }
        _ => {}
    }
    to.str("}");
}

/// An address that the call reads; argument `LEN` is its length.
pub struct AddressIn<const LEN: usize>;

impl<const LEN: usize> View for AddressIn<LEN> {
    fn show(raw: u64, to: &mut Show<'_>) {
        let len = u64::from(to.argument(LEN) as u32);
        show_address(raw, len, to);
    }
}

/// An address that the call writes; argument `LEN` points to its length.
pub struct AddressOut<const LEN: usize>;

impl<const LEN: usize> View for AddressOut<LEN> {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<u32>(to.argument(LEN)) {
            Some(len) if !to.failed() => show_address(raw, u64::from(len), to),
            _ => to.address(raw),
        }
    }
}

/// The value of a socket option that the call reads; argument 4 is its length.
pub struct OptionIn;

impl View for OptionIn {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(4) {
            4 => match to.read::<i32>(raw) {
                Some(value) => to.put(format_args!("[{value}]")),
                None => to.address(raw),
            },
            len => to.buffer(raw, len),
        }
    }
}

/// The value of a socket option that the call writes; argument 4 points to its length.
pub struct OptionOut;

impl View for OptionOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<u32>(to.argument(4)).filter(|_| !to.failed()) {
            Some(4) => match to.read::<i32>(raw) {
                Some(value) => to.put(format_args!("[{value}]")),
                None => to.address(raw),
            },
            Some(len) => to.buffer(raw, u64::from(len)),
            None => to.address(raw),
        }
    }
}

/// The name of a socket option; argument 1 is its level.
pub struct SocketOption;

const SOCKET_OPTIONS: &[(u64, &str)] = &[
    (1, "SO_DEBUG"),
    (2, "SO_REUSEADDR"),
    (3, "SO_TYPE"),
    (4, "SO_ERROR"),
    (5, "SO_DONTROUTE"),
    (6, "SO_BROADCAST"),
    (7, "SO_SNDBUF"),
    (8, "SO_RCVBUF"),
    (9, "SO_KEEPALIVE"),
    (10, "SO_OOBINLINE"),
    (12, "SO_PRIORITY"),
    (13, "SO_LINGER"),
    (15, "SO_REUSEPORT"),
    (16, "SO_PASSCRED"),
    (17, "SO_PEERCRED"),
    (18, "SO_RCVLOWAT"),
    (19, "SO_SNDLOWAT"),
    (20, "SO_RCVTIMEO_OLD"),
    (21, "SO_SNDTIMEO_OLD"),
    (25, "SO_BINDTODEVICE"),
    (26, "SO_ATTACH_FILTER"),
    (29, "SO_TIMESTAMP_OLD"),
    (30, "SO_ACCEPTCONN"),
    (31, "SO_PEERSEC"),
    (32, "SO_SNDBUFFORCE"),
    (33, "SO_RCVBUFFORCE"),
    (34, "SO_PASSSEC"),
    (36, "SO_MARK"),
    (38, "SO_PROTOCOL"),
    (39, "SO_DOMAIN"),
    (46, "SO_BUSY_POLL"),
    (49, "SO_INCOMING_CPU"),
    (59, "SO_PEERGROUPS"),
    (60, "SO_ZEROCOPY"),
    (77, "SO_PEERPIDFD"),
];

const TCP_OPTIONS: &[(u64, &str)] = &[
    (1, "TCP_NODELAY"),
    (2, "TCP_MAXSEG"),
    (3, "TCP_CORK"),
    (4, "TCP_KEEPIDLE"),
    (5, "TCP_KEEPINTVL"),
    (6, "TCP_KEEPCNT"),
    (7, "TCP_SYNCNT"),
    (8, "TCP_LINGER2"),
    (9, "TCP_DEFER_ACCEPT"),
    (11, "TCP_INFO"),
    (12, "TCP_QUICKACK"),
    (13, "TCP_CONGESTION"),
    (18, "TCP_USER_TIMEOUT"),
    (23, "TCP_FASTOPEN"),
];

const IP_OPTIONS: &[(u64, &str)] = &[
    (1, "IP_TOS"),
    (2, "IP_TTL"),
    (8, "IP_PKTINFO"),
    (10, "IP_MTU_DISCOVER"),
    (11, "IP_RECVERR"),
    (12, "IP_RECVTTL"),
    (32, "IP_MULTICAST_IF"),
    (33, "IP_MULTICAST_TTL"),
    (34, "IP_MULTICAST_LOOP"),
    (35, "IP_ADD_MEMBERSHIP"),
    (36, "IP_DROP_MEMBERSHIP"),
];

const IPV6_OPTIONS: &[(u64, &str)] = &[
    (16, "IPV6_UNICAST_HOPS"),
    (18, "IPV6_MULTICAST_HOPS"),
    (19, "IPV6_MULTICAST_LOOP"),
    (23, "IPV6_MTU_DISCOVER"),
    (25, "IPV6_RECVERR"),
    (26, "IPV6_V6ONLY"),
    (49, "IPV6_RECVPKTINFO"),
    (67, "IPV6_TCLASS"),
];

impl View for SocketOption {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) {
            0 => to.choice(raw, IP_OPTIONS, "IP_???"),
            1 => to.choice(raw, SOCKET_OPTIONS, "SO_???"),
            6 => to.choice(raw, TCP_OPTIONS, "TCP_???"),
            41 => to.choice(raw, IPV6_OPTIONS, "IPV6_???"),
            _ => to.hex(raw),
        }
    }
}

/// A message that the call sends.
pub struct MessageIn;

/// A message that the call receives.
pub struct MessageOut;

fn show_message(header: &MsgHdr, data: Option<u64>, to: &mut Show<'_>) {
    to.str("{msg_name=");
    match data {
        Some(_) => show_address(header.name, u64::from(header.namelen), to),
        None => to.address(header.name),
    }
    to.put(format_args!(", msg_namelen={}, msg_iov=", header.namelen));
    show_vector(header.iov, header.iovlen, data, to);
    to.put(format_args!(", msg_iovlen={}", header.iovlen));
    if header.controllen > 0 && header.control != 0 {
        to.str(", msg_control=");
        match data {
            Some(_) => show_control(header, to),
            None => to.address(header.control),
        }
    }
    to.put(format_args!(", msg_controllen={}, msg_flags=", header.controllen));
    to.flags(u64::from(header.flags), MessageFlags::NAMES, "MSG_???");
    to.str("}");
}

fn show_control(header: &MsgHdr, to: &mut Show<'_>) {
    let (mut at, end) = (header.control, header.control.wrapping_add(header.controllen.min(4096)));
    to.str("[");
    while at.wrapping_add(16) <= end {
        let Some(control) = to.read::<CMsgHdr>(at).filter(|c| c.len >= 16) else { break };
        if at != header.control {
            to.str(", ");
        }
        to.put(format_args!("{{cmsg_len={}, cmsg_level=", control.len));
        to.choice(u64::from(control.level as u32), SocketLevel::NAMES, "SOL_???");
        to.str(", cmsg_type=");
        let data = at + 16;
        let len = control.len.min(end - at) - 16;
        match (control.level, control.kind) {
            (1, 1) => {
                to.str("SCM_RIGHTS, cmsg_data=");
                to.array::<i32>(data, len / 4, |to, fd| to.put(format_args!("{fd}")));
            }
            (1, 2) => {
                to.str("SCM_CREDENTIALS, cmsg_data=");
                match to.read::<UCred>(data) {
                    Some(c) => to.put(format_args!("{{pid={}, uid={}, gid={}}}", c.pid, c.uid, c.gid)),
                    None => to.address(data),
                }
            }
            (_, kind) => {
                to.hex(u64::from(kind as u32));
                if len > 0 {
                    to.str(", cmsg_data=");
                    to.buffer(data, len);
                }
            }
        }
        to.str("}");
        at = at.wrapping_add(control.len.min(1 << 20).next_multiple_of(8));
    }
    to.str("]");
}

impl View for MessageIn {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<MsgHdr>(raw) {
            Some(header) => show_message(&header, Some(u64::MAX), to),
            None => to.address(raw),
        }
    }
}

impl View for MessageOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<MsgHdr>(raw) {
            Some(header) => show_message(&header, to.succeeded(), to),
            None => to.address(raw),
        }
    }
}

/// `struct mmsghdr`.
#[derive(Clone, Copy, zerocopy::FromBytes)]
#[repr(C)]
struct MultiHeader {
    header: MsgHdr,
    len: u32,
    pad: u32,
}

/// Several messages; argument 2 says how many are asked for, the result how many there are.
pub struct Messages;

impl View for Messages {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        let Some(count) = to.succeeded() else { return to.address(raw) };
        to.array::<MultiHeader>(raw, count, |to, message| {
            to.str("{msg_hdr=");
            show_message(&message.header, Some(u64::from(message.len)), to);
            to.put(format_args!(", msg_len={}}}", message.len));
        });
    }
}

const _: () = assert!(size_of::<IoVec>() == 16 && size_of::<MultiHeader>() == 64);
