//! The options of IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP and IPPROTO_UDP: Linux's defaults and bounds. Those that only
//! shape packets are kept and shown.

use std::collections::BTreeMap;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::socket as s;

use super::InetSocket;
use crate::Result;
use crate::kernel::Task;
use crate::net::options::{int_value, integer};
use crate::net::stack::Transport;
use crate::sync::{Mutex, Rank};

/// What was set: by level and name.
pub struct Settings {
    values: Mutex<BTreeMap<(i32, i32), i32>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { values: Mutex::new(Rank::Leaf, BTreeMap::new()) }
    }
}

impl Clone for Settings {
    fn clone(&self) -> Self {
        let values = self.values.lock().clone();
        Self { values: Mutex::new(Rank::Leaf, values) }
    }
}

impl Settings {
    /// Whether a flag is set.
    pub fn is_set(&self, level: i32, name: i32) -> bool {
        self.values.lock().get(&(level, name)).is_some_and(|&v| v != 0)
    }

    /// What was set.
    pub fn get(&self, level: i32, name: i32) -> Option<i32> {
        self.values.lock().get(&(level, name)).copied()
    }

    fn set(&self, level: i32, name: i32, value: i32) {
        self.values.lock().insert((level, name), value);
    }
}

/// The ways of congestion control that there are, of which none has anything to control.
const ALGORITHMS: [&str; 2] = ["cubic", "reno"];
/// `TCP_FIN_TIMEOUT_MAX` in seconds.
const LINGER2_MAX: i32 = 120;

/// How an option takes numbers.
#[derive(Clone, Copy)]
enum Kind {
    /// 0 or 1.
    Flag,
    /// Within bounds, `EINVAL` otherwise.
    Within(i32, i32),
    /// Within bounds; -1 stands for the default.
    OrDefault(i32, i32),
    /// Read only.
    Fixed,
}

/// An option's default and kind.
fn known(level: i32, name: i32, transport: Transport) -> Option<(i32, Kind)> {
    let stream = transport == Transport::Stream;
    Some(match (level, name) {
        (s::IPPROTO_IP, s::IP_TOS) => (0, Kind::Within(0, 255)),
        (s::IPPROTO_IP, s::IP_TTL) => (64, Kind::OrDefault(1, 255)),
        (s::IPPROTO_IP, s::IP_MTU_DISCOVER) => (1, Kind::Within(0, 5)),
        (s::IPPROTO_IP, s::IP_MINTTL) => (0, Kind::Within(0, 255)),
        (s::IPPROTO_IP, s::IP_MULTICAST_TTL) => (1, Kind::OrDefault(0, 255)),
        (s::IPPROTO_IP, s::IP_MULTICAST_LOOP | s::IP_MULTICAST_ALL) => (1, Kind::Flag),
        (s::IPPROTO_IP, s::IP_HDRINCL) => return None,
        (s::IPPROTO_IP, s::IP_MULTICAST_IF) => (0, Kind::Within(0, i32::MAX)),
        (s::IPPROTO_IP, s::IP_LOCAL_PORT_RANGE) => (0, Kind::Within(i32::MIN, i32::MAX)),
        (
            s::IPPROTO_IP,
            s::IP_RECVOPTS
            | s::IP_RETOPTS
            | s::IP_PKTINFO
            | s::IP_RECVERR
            | s::IP_RECVTTL
            | s::IP_RECVTOS
            | s::IP_FREEBIND
            | s::IP_TRANSPARENT
            | s::IP_RECVORIGDSTADDR
            | s::IP_BIND_ADDRESS_NO_PORT,
        ) => (0, Kind::Flag),
        (s::IPPROTO_IPV6, s::IPV6_UNICAST_HOPS) => (64, Kind::OrDefault(0, 255)),
        (s::IPPROTO_IPV6, s::IPV6_MULTICAST_HOPS) => (1, Kind::OrDefault(0, 255)),
        (s::IPPROTO_IPV6, s::IPV6_MULTICAST_LOOP) => (1, Kind::Flag),
        (s::IPPROTO_IPV6, s::IPV6_MULTICAST_IF) => (0, Kind::Within(0, i32::MAX)),
        (s::IPPROTO_IPV6, s::IPV6_MTU_DISCOVER) => (1, Kind::Within(0, 5)),
        (s::IPPROTO_IPV6, s::IPV6_TCLASS) => (0, Kind::OrDefault(0, 255)),
        (s::IPPROTO_IPV6, s::IPV6_ADDR_PREFERENCES) => (0x500, Kind::Within(0, i32::MAX)),
        (
            s::IPPROTO_IPV6,
            s::IPV6_V6ONLY
            | s::IPV6_RECVERR
            | s::IPV6_FREEBIND
            | s::IPV6_RECVPKTINFO
            | s::IPV6_RECVHOPLIMIT
            | s::IPV6_RECVTCLASS,
        ) => (0, Kind::Flag),
        (s::IPPROTO_TCP, _) if !stream => return None,
        (s::IPPROTO_TCP, s::TCP_NODELAY | s::TCP_CORK) => (0, Kind::Flag),
        (s::IPPROTO_TCP, s::TCP_MAXSEG) => (536, Kind::Within(88, 32_767)),
        (s::IPPROTO_TCP, s::TCP_KEEPIDLE) => (7200, Kind::Within(1, 32_767)),
        (s::IPPROTO_TCP, s::TCP_KEEPINTVL) => (75, Kind::Within(1, 32_767)),
        (s::IPPROTO_TCP, s::TCP_KEEPCNT) => (9, Kind::Within(1, 127)),
        (s::IPPROTO_TCP, s::TCP_SYNCNT) => (6, Kind::Within(1, 127)),
        (s::IPPROTO_TCP, s::TCP_LINGER2) => (60, Kind::Within(i32::MIN, i32::MAX)),
        (s::IPPROTO_TCP, s::TCP_DEFER_ACCEPT | s::TCP_WINDOW_CLAMP | s::TCP_USER_TIMEOUT | s::TCP_FASTOPEN) => {
            (0, Kind::Within(0, i32::MAX))
        }
        (s::IPPROTO_TCP, s::TCP_NOTSENT_LOWAT) => (0, Kind::Within(i32::MIN, i32::MAX)),
        (s::IPPROTO_TCP, s::TCP_QUICKACK) => (1, Kind::Flag),
        (s::IPPROTO_TCP, s::TCP_FASTOPEN_CONNECT) => (0, Kind::Fixed),
        (s::IPPROTO_UDP, _) if stream => return None,
        (s::IPPROTO_UDP, s::UDP_CORK | s::UDP_GRO) => (0, Kind::Flag),
        (s::IPPROTO_UDP, s::UDP_SEGMENT) => (0, Kind::Fixed),
        _ => return None,
    })
}

/// Whether the socket has options of this level at all. `EOPNOTSUPP`.
fn check_level(socket: &InetSocket, level: i32) -> Result<()> {
    let there = match level {
        s::IPPROTO_IP => true,
        s::IPPROTO_IPV6 => socket.family == s::AF_INET6,
        s::IPPROTO_TCP => socket.transport == Transport::Stream,
        s::IPPROTO_UDP => socket.transport == Transport::Datagram,
        _ => false,
    };
    if there { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
}

/// getsockopt(2) below SOL_SOCKET.
pub fn get(socket: &InetSocket, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
    check_level(socket, level)?;
    match (level, name) {
        (s::IPPROTO_TCP, s::TCP_INFO) => return Ok(tcp_info(socket)),
        (s::IPPROTO_TCP, s::TCP_CONGESTION) => {
            let set = socket.settings.get(level, name).and_then(|at| ALGORITHMS.get(at as usize));
            let mut algorithm = set.unwrap_or(&ALGORITHMS[0]).as_bytes().to_vec();
            algorithm.resize(16, 0);
            return Ok(algorithm);
        }
        (s::IPPROTO_IP, s::IP_OPTIONS) => return Ok(Vec::new()),
        (s::IPPROTO_IP, s::IP_MTU) | (s::IPPROTO_IPV6, s::IPV6_MTU) => {
            socket.endpoint.peer()?;
            return Ok(int_value(65_536));
        }
        _ => {}
    }
    let (default, _) = known(level, name, socket.transport).ok_or(Errno::ENOPROTOOPT)?;
    let value = socket.settings.get(level, name).unwrap_or(default);
    // With little room, IP gives a byte (do_ip_getsockopt).
    if level == s::IPPROTO_IP && room < 4 && (0..=255).contains(&value) {
        return Ok(vec![value as u8]);
    }
    Ok(int_value(value))
}

/// setsockopt(2) below SOL_SOCKET.
pub fn set(socket: &InetSocket, task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
    check_level(socket, level).map_err(|_| Errno::ENOPROTOOPT)?;
    match (level, name) {
        (s::IPPROTO_TCP, s::TCP_CONGESTION) => {
            let name = value.split(|&b| b == 0).next().unwrap_or_default();
            let at = ALGORITHMS.iter().position(|a| a.as_bytes() == name).ok_or(Errno::ENOENT)?;
            socket.settings.set(s::IPPROTO_TCP, s::TCP_CONGESTION, at as i32);
            return Ok(());
        }
        // No interface here takes part in multicast.
        (s::IPPROTO_IP, s::IP_ADD_MEMBERSHIP) | (s::IPPROTO_IPV6, s::IPV6_ADD_MEMBERSHIP) => return Err(Errno::ENODEV),
        (s::IPPROTO_IP, s::IP_DROP_MEMBERSHIP) | (s::IPPROTO_IPV6, s::IPV6_DROP_MEMBERSHIP) => {
            return Err(Errno::EADDRNOTAVAIL);
        }
        (s::IPPROTO_IP, s::IP_OPTIONS) if value.is_empty() => return Ok(()),
        (s::IPPROTO_IP, s::IP_OPTIONS) => return Err(Errno::EPERM),
        (s::IPPROTO_IP, s::IP_MULTICAST_IF) => return Ok(()),
        (s::IPPROTO_IP, s::IP_TRANSPARENT) => task.credentials().require(CapabilitySet::NET_ADMIN)?,
        (s::IPPROTO_IPV6, s::IPV6_V6ONLY) if socket.endpoint.local().is_some() => return Err(Errno::EINVAL),
        _ => {}
    }
    let number = match (level, value) {
        (s::IPPROTO_IP, [byte, ..]) if value.len() < 4 => i32::from(*byte),
        _ => integer(value)?,
    };
    let (default, kind) = known(level, name, socket.transport).ok_or(Errno::ENOPROTOOPT)?;
    let number = if (level, name) == (s::IPPROTO_TCP, s::TCP_LINGER2) { number.min(LINGER2_MAX) } else { number };
    let kept = match kind {
        Kind::Flag => i32::from(number != 0),
        Kind::Within(low, high) | Kind::OrDefault(low, high) if (low..=high).contains(&number) => number,
        Kind::OrDefault(..) if number == -1 => default,
        Kind::Within(..) | Kind::OrDefault(..) => return Err(Errno::EINVAL),
        Kind::Fixed => return Err(Errno::EOPNOTSUPP),
    };
    socket.settings.set(level, name, kept);
    if (level, name, kept) == (s::IPPROTO_UDP, s::UDP_CORK, 0) {
        return socket.uncork();
    }
    Ok(())
}

/// `struct tcp_info` up to `tcpi_total_retrans`: the state and plausible constants.
fn tcp_info(socket: &InetSocket) -> Vec<u8> {
    let mut info = vec![0u8; 104];
    info[0] = socket.endpoint.state();
    let mut word = |at: usize, value: u32| info[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    // rto, ato, snd_mss, rcv_mss, pmtu, snd_ssthresh, snd_cwnd, advmss.
    word(8, 200_000);
    word(16, 32_768);
    word(20, 536);
    word(60, 65_536);
    word(76, i32::MAX as u32);
    word(80, 10);
    word(84, 65_483);
    info
}
