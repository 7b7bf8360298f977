//! The socket options that reach the host. What is not here is none, as far as the guest can tell (`ENOPROTOOPT`).
//!
//! The published list of host calls has the same ones (a test of the runtime compares them), so that a sentry that was
//! taken over can't set others either.

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::socket as s;

use crate::Result;
use crate::kernel::Task;

/// What may be done with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and set.
    Both,
    /// Only read.
    Read,
    /// Only set.
    Set,
}

use Access::{Both, Read, Set};

/// An option that passes.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// Its level.
    pub level: i32,
    /// Its name.
    pub name: i32,
    /// What may be done with it.
    pub access: Access,
    /// The longest value that it is set to, in bytes.
    pub size: usize,
}

const fn option(level: i32, name: i32, access: Access, size: usize) -> Passed {
    Passed { level, name, access, size }
}

const fn int(level: i32, name: i32) -> Passed {
    option(level, name, Both, 4)
}

/// The options that pass.
pub const PASSED: &[Passed] = &[
    int(s::SOL_SOCKET, s::SO_REUSEADDR),
    int(s::SOL_SOCKET, s::SO_REUSEPORT),
    int(s::SOL_SOCKET, s::SO_KEEPALIVE),
    int(s::SOL_SOCKET, s::SO_BROADCAST),
    int(s::SOL_SOCKET, s::SO_OOBINLINE),
    int(s::SOL_SOCKET, s::SO_DONTROUTE),
    int(s::SOL_SOCKET, s::SO_SNDBUF),
    int(s::SOL_SOCKET, s::SO_RCVBUF),
    int(s::SOL_SOCKET, s::SO_RCVLOWAT),
    int(s::SOL_SOCKET, s::SO_PRIORITY),
    int(s::SOL_SOCKET, s::SO_MARK),
    int(s::SOL_SOCKET, s::SO_NO_CHECK),
    int(s::SOL_SOCKET, s::SO_TIMESTAMP),
    int(s::SOL_SOCKET, s::SO_TIMESTAMPNS),
    int(s::SOL_SOCKET, s::SO_RXQ_OVFL),
    option(s::SOL_SOCKET, s::SO_LINGER, Set, 8),
    option(s::SOL_SOCKET, s::SO_BINDTODEVICE, Both, s::IFNAMSIZ),
    option(s::SOL_SOCKET, s::SO_ERROR, Read, 0),
    option(s::SOL_SOCKET, s::SO_ACCEPTCONN, Read, 0),
    option(s::SOL_SOCKET, s::SO_COOKIE, Read, 0),
    option(s::SOL_SOCKET, s::SO_INCOMING_NAPI_ID, Read, 0),
    option(s::SOL_SOCKET, s::SO_INCOMING_CPU, Read, 0),
    int(s::IPPROTO_IP, s::IP_TOS),
    int(s::IPPROTO_IP, s::IP_TTL),
    int(s::IPPROTO_IP, s::IP_MTU_DISCOVER),
    int(s::IPPROTO_IP, s::IP_PKTINFO),
    int(s::IPPROTO_IP, s::IP_RECVERR),
    int(s::IPPROTO_IP, s::IP_RECVTTL),
    int(s::IPPROTO_IP, s::IP_RECVTOS),
    int(s::IPPROTO_IP, s::IP_FREEBIND),
    int(s::IPPROTO_IP, s::IP_RECVORIGDSTADDR),
    int(s::IPPROTO_IP, s::IP_MINTTL),
    int(s::IPPROTO_IP, s::IP_BIND_ADDRESS_NO_PORT),
    int(s::IPPROTO_IP, s::IP_LOCAL_PORT_RANGE),
    int(s::IPPROTO_IP, s::IP_MULTICAST_TTL),
    int(s::IPPROTO_IP, s::IP_MULTICAST_LOOP),
    int(s::IPPROTO_IP, s::IP_MULTICAST_ALL),
    // struct ip_mreqn.
    option(s::IPPROTO_IP, s::IP_MULTICAST_IF, Both, 12),
    option(s::IPPROTO_IP, s::IP_ADD_MEMBERSHIP, Set, 12),
    option(s::IPPROTO_IP, s::IP_DROP_MEMBERSHIP, Set, 12),
    option(s::IPPROTO_IP, s::IP_MTU, Read, 0),
    int(s::IPPROTO_IPV6, s::IPV6_V6ONLY),
    int(s::IPPROTO_IPV6, s::IPV6_UNICAST_HOPS),
    int(s::IPPROTO_IPV6, s::IPV6_MULTICAST_IF),
    int(s::IPPROTO_IPV6, s::IPV6_MULTICAST_HOPS),
    int(s::IPPROTO_IPV6, s::IPV6_MULTICAST_LOOP),
    int(s::IPPROTO_IPV6, s::IPV6_MTU_DISCOVER),
    int(s::IPPROTO_IPV6, s::IPV6_MTU),
    int(s::IPPROTO_IPV6, s::IPV6_RECVERR),
    int(s::IPPROTO_IPV6, s::IPV6_RECVPKTINFO),
    int(s::IPPROTO_IPV6, s::IPV6_RECVHOPLIMIT),
    int(s::IPPROTO_IPV6, s::IPV6_RECVTCLASS),
    int(s::IPPROTO_IPV6, s::IPV6_TCLASS),
    int(s::IPPROTO_IPV6, s::IPV6_FREEBIND),
    int(s::IPPROTO_IPV6, s::IPV6_ADDR_PREFERENCES),
    // struct ipv6_mreq.
    option(s::IPPROTO_IPV6, s::IPV6_ADD_MEMBERSHIP, Set, 20),
    option(s::IPPROTO_IPV6, s::IPV6_DROP_MEMBERSHIP, Set, 20),
    int(s::IPPROTO_TCP, s::TCP_NODELAY),
    int(s::IPPROTO_TCP, s::TCP_MAXSEG),
    int(s::IPPROTO_TCP, s::TCP_CORK),
    int(s::IPPROTO_TCP, s::TCP_KEEPIDLE),
    int(s::IPPROTO_TCP, s::TCP_KEEPINTVL),
    int(s::IPPROTO_TCP, s::TCP_KEEPCNT),
    int(s::IPPROTO_TCP, s::TCP_SYNCNT),
    int(s::IPPROTO_TCP, s::TCP_LINGER2),
    int(s::IPPROTO_TCP, s::TCP_DEFER_ACCEPT),
    int(s::IPPROTO_TCP, s::TCP_WINDOW_CLAMP),
    int(s::IPPROTO_TCP, s::TCP_QUICKACK),
    int(s::IPPROTO_TCP, s::TCP_USER_TIMEOUT),
    int(s::IPPROTO_TCP, s::TCP_FASTOPEN),
    int(s::IPPROTO_TCP, s::TCP_NOTSENT_LOWAT),
    option(s::IPPROTO_TCP, s::TCP_CONGESTION, Both, 16),
    option(s::IPPROTO_TCP, s::TCP_INFO, Read, 0),
    int(s::IPPROTO_UDP, s::UDP_CORK),
    int(s::IPPROTO_UDP, s::UDP_SEGMENT),
    int(s::IPPROTO_UDP, s::UDP_GRO),
];

/// The longest value that is read.
pub const VALUE_MAX: usize = 512;

/// The entry of an option.
pub fn find(level: i32, name: i32) -> Option<&'static Passed> {
    PASSED.iter().find(|o| o.level == level && o.name == name)
}

/// Whether the caller may set this option to this value. The sentry's own privileges must not stand in for the caller's.
///
/// # Errors
/// `EPERM`.
pub fn check(task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let number = value.get(..4).and_then(|v| v.try_into().ok()).map_or(0, i32::from_ne_bytes);
    let privileged = match (level, name) {
        (s::SOL_SOCKET, s::SO_MARK) => true,
        (s::SOL_SOCKET, s::SO_PRIORITY) => !(0..=6).contains(&number),
        _ => false,
    };
    if privileged { task.credentials().require(CapabilitySet::NET_ADMIN) } else { Ok(()) }
}

/// What an option of this level that does not pass is answered with.
pub fn unknown(level: i32, family: u16, kind: u32, reading: bool) -> Errno {
    let there = match level {
        s::SOL_SOCKET | s::IPPROTO_IP => true,
        s::IPPROTO_IPV6 => family == s::AF_INET6,
        s::IPPROTO_TCP => kind == s::SOCK_STREAM,
        s::IPPROTO_UDP => kind == s::SOCK_DGRAM,
        _ => false,
    };
    if there || !reading { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_is_there_once() {
        for (at, option) in PASSED.iter().enumerate() {
            let others = &PASSED[at + 1..];
            assert!(!others.iter().any(|o| o.level == option.level && o.name == option.name), "{option:?}");
            assert_eq!(option.access == Access::Read, option.size == 0, "{option:?}");
        }
    }

    #[test]
    fn what_takes_programs_or_pointers_or_changes_the_protocol_does_not_pass() {
        const SO_ATTACH_BPF: i32 = 50;
        const IPT_SO_SET_REPLACE: i32 = 64;
        const TCP_REPAIR: i32 = 19;
        const TCP_ULP: i32 = 31;
        for (level, name) in [
            (s::SOL_SOCKET, s::SO_ATTACH_FILTER),
            (s::SOL_SOCKET, SO_ATTACH_BPF),
            (s::SOL_SOCKET, s::SO_ZEROCOPY),
            (s::IPPROTO_IP, IPT_SO_SET_REPLACE),
            (s::IPPROTO_IP, s::IP_TRANSPARENT),
            (s::IPPROTO_IP, s::IP_OPTIONS),
            (s::IPPROTO_TCP, TCP_REPAIR),
            (s::IPPROTO_TCP, TCP_ULP),
        ] {
            assert!(find(level, name).is_none(), "{level} {name}");
        }
    }
}
