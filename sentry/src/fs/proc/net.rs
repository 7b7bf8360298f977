//! `/proc/net`: of /proc/PID/net, since it belongs to a network namespace. The tables of sockets are filled in by the
//! network; here is what a machine with nothing but an idle loopback shows.

use super::subject::Subject;
use crate::fs::kernfs::{Fixed, Node};

const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
";
const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n";
const TCP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n";
const UDP6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
const UNIX: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";
const NETLINK: &str = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
const PACKET: &str = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";
const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       \n";
const ARP: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";
const IF_INET6: &str = "00000000000000000000000000000001 01 80 10 80       lo\n";
const SOCKSTAT: &str = "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n";
const PROTOCOLS: &str = "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh gp em\n";

/// The directory.
pub fn directory(_: &Subject) -> Node {
    Fixed::new()
        .with("arp", Node::text(ARP))
        .with("dev", Node::text(DEV))
        .with("if_inet6", Node::text(IF_INET6))
        .with("ipv6_route", Node::text(""))
        .with("netlink", Node::text(NETLINK))
        .with("packet", Node::text(PACKET))
        .with("protocols", Node::text(PROTOCOLS))
        .with("raw", Node::text(UDP))
        .with("raw6", Node::text(UDP6))
        .with("route", Node::text(ROUTE))
        .with("sockstat", Node::text(SOCKSTAT))
        .with("tcp", Node::text(TCP))
        .with("tcp6", Node::text(TCP6))
        .with("udp", Node::text(UDP))
        .with("udp6", Node::text(UDP6))
        .with("udplite", Node::text(UDP))
        .with("unix", Node::text(UNIX))
        .node()
}
