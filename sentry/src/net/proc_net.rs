//! The texts of /proc/net (proc(5)), for the filesystem to show.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use moat_abi::socket as s;

use super::NetNamespace;
use super::address::unspecified;
use super::inet::InetSocket;
use super::unix::UnixSocket;

/// What makes a file's text.
pub type Text = fn(&NetNamespace) -> String;

/// The files there are, with what makes their text.
pub const FILES: &[(&str, Text)] = &[
    ("arp", arp),
    ("dev", dev),
    ("if_inet6", if_inet6),
    ("igmp", igmp),
    ("ipv6_route", ipv6_route),
    ("netlink", netlink),
    ("packet", packet),
    ("protocols", protocols),
    ("raw", raw),
    ("raw6", raw),
    ("route", route),
    ("snmp", snmp),
    ("sockstat", sockstat),
    ("tcp", tcp),
    ("tcp6", tcp6),
    ("udp", udp),
    ("udp6", udp6),
    ("unix", unix),
];

/// /proc/net/unix.
pub fn unix(net: &NetNamespace) -> String {
    let mut out = String::from("Num       RefCount Protocol Flags    Type St Inode Path\n");
    for socket in net.sockets.of_family(s::AF_UNIX) {
        let Some(unix) = socket.downcast::<UnixSocket>() else { continue };
        let shown = unix.shown();
        let flags = if shown.listening { 0x1_0000 } else { 0 };
        // SS_CONNECTED and SS_UNCONNECTED.
        let state = if shown.connected { 3 } else { 1 };
        let name = shown.name.map_or(String::new(), |n| format!(" {}", n.display()));
        let _ = writeln!(
            out,
            "{:016x}: {:08X} {:08X} {:08X} {:04X} {:02X} {:5}{}",
            0, 2, 0, flags, socket.kind, state, socket.id, name
        );
    }
    out
}

fn address(of: u16, address: Option<SocketAddr>) -> String {
    let address = address.unwrap_or_else(|| SocketAddr::new(unspecified(of == s::AF_INET6), 0));
    let words = |bytes: &[u8]| {
        let mut text = String::new();
        for word in bytes.chunks_exact(4) {
            let _ = write!(text, "{:08X}", u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        }
        text
    };
    let ip = match address.ip() {
        IpAddr::V4(ip) if of == s::AF_INET => words(&ip.octets()),
        IpAddr::V4(ip) => words(&ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{ip}:{:04X}", address.port())
}

fn inet(net: &NetNamespace, family: u16, protocol: i32) -> String {
    let v6 = family == s::AF_INET6;
    let mut out = match (v6, protocol) {
        (false, s::IPPROTO_TCP) => {
            let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
            format!("{head:<149}\n")
        }
        (true, s::IPPROTO_TCP) => "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n".to_owned(),
        (false, _) => {
            let head = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
            format!("{head:<127}\n")
        }
        (true, _) => "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n".to_owned(),
    };
    let mut slot = 0;
    for socket in net.sockets.of_family(family) {
        let Some(inet) = socket.downcast::<InetSocket>().filter(|_| socket.protocol == protocol) else { continue };
        let endpoint = inet.endpoint();
        if endpoint.local().is_none() {
            continue;
        }
        let state = endpoint.state();
        let (receive, send) = endpoint.queued();
        let send = if state == s::TCP_LISTEN { 0 } else { send };
        let (local, peer) = (address(family, endpoint.local()), address(family, endpoint.peer().ok()));
        let tail =
            if protocol == s::IPPROTO_TCP { " 1 0000000000000000 100 0 0 10 0" } else { " 2 0000000000000000 0" };
        let line = format!(
            "{slot:4}: {local} {peer} {state:02X} {send:08X}:{receive:08X} 00:00000000 00000000 {:5}        0 {}{tail}",
            socket.owner.uid, socket.id
        );
        let _ = writeln!(out, "{line:<149}");
        slot += 1;
    }
    out
}

/// /proc/net/tcp.
pub fn tcp(net: &NetNamespace) -> String {
    inet(net, s::AF_INET, s::IPPROTO_TCP)
}

/// /proc/net/tcp6.
pub fn tcp6(net: &NetNamespace) -> String {
    inet(net, s::AF_INET6, s::IPPROTO_TCP)
}

/// /proc/net/udp.
pub fn udp(net: &NetNamespace) -> String {
    inet(net, s::AF_INET, s::IPPROTO_UDP)
}

/// /proc/net/udp6.
pub fn udp6(net: &NetNamespace) -> String {
    inet(net, s::AF_INET6, s::IPPROTO_UDP)
}

/// /proc/net/raw and raw6: there are no raw sockets.
pub fn raw(_: &NetNamespace) -> String {
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"
        .to_owned()
}

/// /proc/net/packet: there are no packet sockets.
pub fn packet(_: &NetNamespace) -> String {
    "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n".to_owned()
}

/// /proc/net/netlink.
pub fn netlink(net: &NetNamespace) -> String {
    let mut out =
        String::from("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n");
    for socket in net.sockets.of_family(s::AF_NETLINK) {
        let _ = writeln!(
            out,
            "{:016x} {:<3} {:<10} {:08x} {:<8} {:<8} {:<5} {:<8} {:<8} {:<8}",
            0, socket.protocol, socket.owner.pid, 0, 0, 0, 0, 2, 0, socket.id
        );
    }
    out
}

/// /proc/net/dev. The loopback of this stack moves no packets.
pub fn dev(net: &NetNamespace) -> String {
    let mut out = String::from(
        "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
    );
    for interface in net.stack().interfaces() {
        let _ = writeln!(
            out,
            "{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}",
            interface.name, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
        );
    }
    out
}

/// /proc/net/if_inet6.
pub fn if_inet6(net: &NetNamespace) -> String {
    let mut out = String::new();
    for interface in net.stack().interfaces() {
        for address in &interface.addresses {
            let IpAddr::V6(ip) = address.ip else { continue };
            for byte in ip.octets() {
                let _ = write!(out, "{byte:02x}");
            }
            // Scope host, permanent.
            let _ = writeln!(out, " {:02x} {:02x} 10 80 {:>8}", interface.index, address.prefix, interface.name);
        }
    }
    out
}

/// /proc/net/route: nothing but the loopback, which has no line here.
pub fn route(_: &NetNamespace) -> String {
    let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
    format!("{head:<127}\n")
}

/// /proc/net/ipv6_route.
pub fn ipv6_route(net: &NetNamespace) -> String {
    let mut out = String::new();
    let zero = "00000000000000000000000000000000";
    for interface in net.stack().interfaces() {
        for (metric, flags) in [(0x100, 1), (0, 0x8020_0001u32)] {
            let _ = writeln!(
                out,
                "00000000000000000000000000000001 80 {zero} 00 {zero} {metric:08x} 00000001 00000000 {flags:08x} {:>8}",
                interface.name
            );
        }
    }
    out
}

/// /proc/net/arp: no neighbours.
pub fn arp(_: &NetNamespace) -> String {
    "IP address       HW type     Flags       HW address            Mask     Device\n".to_owned()
}

/// /proc/net/igmp.
pub fn igmp(_: &NetNamespace) -> String {
    "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n".to_owned()
}

/// /proc/net/protocols.
pub fn protocols(_: &NetNamespace) -> String {
    "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n"
        .to_owned()
}

/// /proc/net/sockstat.
pub fn sockstat(net: &NetNamespace) -> String {
    let inet = net.sockets.of_family(s::AF_INET);
    let count = |protocol| inet.iter().filter(|s| s.protocol == protocol).count();
    let (tcp, udp) = (count(s::IPPROTO_TCP), count(s::IPPROTO_UDP));
    let others = [s::AF_INET6, s::AF_UNIX, s::AF_NETLINK].iter().map(|&f| net.sockets.of_family(f).len());
    let used = inet.len() + others.sum::<usize>();
    format!(
        "sockets: used {used}\nTCP: inuse {tcp} orphan 0 tw 0 alloc {tcp} mem 0\nUDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n"
    )
}

/// /proc/net/snmp, with the counters that programs parse; no packets are made, so all are 0.
pub fn snmp(_: &NetNamespace) -> String {
    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates\n\
     Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
     Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
     Tcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n\
     Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
     Udp: 0 0 0 0 0 0 0 0 0\n"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_in_words_of_the_machine() {
        let v4 = address(s::AF_INET, Some("127.0.0.1:80".parse().unwrap()));
        assert_eq!(v4, "0100007F:0050");
        let v6 = address(s::AF_INET6, Some("[::1]:8080".parse().unwrap()));
        assert_eq!(v6, "00000000000000000000000001000000:1F90");
        assert_eq!(address(s::AF_INET, None), "00000000:0000");
    }

    #[test]
    fn every_file_ends_with_a_newline() {
        let net = NetNamespace::loopback();
        for (name, text) in FILES {
            assert!(text(&net).ends_with('\n'), "{name}");
        }
    }
}
