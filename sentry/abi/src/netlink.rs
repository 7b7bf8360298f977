//! netlink(7), rtnetlink(7), sock_diag(7).

use crate::plain;

pub const NETLINK_ROUTE: i32 = 0;
pub const NETLINK_USERSOCK: i32 = 2;
pub const NETLINK_SOCK_DIAG: i32 = 4;
pub const NETLINK_KOBJECT_UEVENT: i32 = 15;
pub const NETLINK_GENERIC: i32 = 16;

pub const NLMSG_NOOP: u16 = 1;
pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;
/// Message types below this are netlink's own.
pub const NLMSG_MIN_TYPE: u16 = 0x10;

pub const NLM_F_REQUEST: u16 = 1;
pub const NLM_F_MULTI: u16 = 2;
pub const NLM_F_ACK: u16 = 4;
pub const NLM_F_ROOT: u16 = 0x100;
pub const NLM_F_MATCH: u16 = 0x200;
pub const NLM_F_DUMP: u16 = NLM_F_ROOT | NLM_F_MATCH;
pub const NLM_F_CAPPED: u16 = 0x100;

pub const NETLINK_ADD_MEMBERSHIP: i32 = 1;
pub const NETLINK_DROP_MEMBERSHIP: i32 = 2;
pub const NETLINK_PKTINFO: i32 = 3;
pub const NETLINK_BROADCAST_ERROR: i32 = 4;
pub const NETLINK_NO_ENOBUFS: i32 = 5;
pub const NETLINK_LISTEN_ALL_NSID: i32 = 8;
pub const NETLINK_LIST_MEMBERSHIPS: i32 = 9;
pub const NETLINK_CAP_ACK: i32 = 10;
pub const NETLINK_EXT_ACK: i32 = 11;
pub const NETLINK_GET_STRICT_CHK: i32 = 12;

pub const RTM_NEWLINK: u16 = 16;
pub const RTM_GETLINK: u16 = 18;
pub const RTM_NEWADDR: u16 = 20;
pub const RTM_GETADDR: u16 = 22;
pub const RTM_NEWROUTE: u16 = 24;
pub const RTM_GETROUTE: u16 = 26;
pub const RTM_GETNEIGH: u16 = 30;
pub const RTM_NEWRULE: u16 = 32;
pub const RTM_GETRULE: u16 = 34;

pub const IFLA_ADDRESS: u16 = 1;
pub const IFLA_BROADCAST: u16 = 2;
pub const IFLA_IFNAME: u16 = 3;
pub const IFLA_MTU: u16 = 4;
pub const IFLA_QDISC: u16 = 6;
pub const IFLA_TXQLEN: u16 = 13;
pub const IFLA_OPERSTATE: u16 = 16;
pub const IFLA_LINKMODE: u16 = 17;
pub const IFLA_STATS64: u16 = 23;
pub const IFLA_GROUP: u16 = 27;
pub const IFLA_NUM_TX_QUEUES: u16 = 31;
pub const IFLA_NUM_RX_QUEUES: u16 = 32;
pub const IFLA_EXT_MASK: u16 = 29;
pub const IFLA_CARRIER: u16 = 33;
pub const IFLA_ALT_IFNAME: u16 = 53;

pub const IFA_ADDRESS: u16 = 1;
pub const IFA_LOCAL: u16 = 2;
pub const IFA_LABEL: u16 = 3;
pub const IFA_BROADCAST: u16 = 4;
pub const IFA_CACHEINFO: u16 = 6;
pub const IFA_FLAGS: u16 = 8;
pub const IFA_F_PERMANENT: u8 = 0x80;

pub const NDA_DST: u16 = 1;
pub const NDA_IFINDEX: u16 = 8;

pub const RTA_DST: u16 = 1;
pub const RTA_SRC: u16 = 2;
pub const RTA_IIF: u16 = 3;
pub const RTA_OIF: u16 = 4;
pub const RTA_PRIORITY: u16 = 6;
pub const RTA_PREFSRC: u16 = 7;
pub const RTA_CACHEINFO: u16 = 12;
pub const RTA_TABLE: u16 = 15;
pub const RT_TABLE_MAIN: u8 = 254;
pub const RT_TABLE_DEFAULT: u8 = 253;
pub const RT_TABLE_LOCAL: u8 = 255;
pub const RTPROT_UNSPEC: u8 = 0;
pub const RTPROT_KERNEL: u8 = 2;
/// A route that was looked up, to this machine (`RTCF_LOCAL`).
pub const RTM_F_CLONED: u32 = 0x200;
pub const RTCF_LOCAL: u32 = 0x8000_0000;
pub const RT_SCOPE_UNIVERSE: u8 = 0;
pub const RT_SCOPE_LINK: u8 = 253;
pub const RT_SCOPE_HOST: u8 = 254;
pub const RTN_UNICAST: u8 = 1;
pub const RTN_LOCAL: u8 = 2;
pub const RTN_BROADCAST: u8 = 3;
pub const FRA_PRIORITY: u16 = 6;
pub const FRA_TABLE: u16 = 15;
pub const FRA_PROTOCOL: u16 = 21;
pub const FR_ACT_TO_TBL: u8 = 1;

pub const TCPDIAG_GETSOCK: u16 = 18;
pub const SOCK_DIAG_BY_FAMILY: u16 = 20;
pub const INET_DIAG_SKV6ONLY: u16 = 11;
pub const UNIX_DIAG_NAME: u16 = 0;
pub const UNIX_DIAG_PEER: u16 = 2;
pub const UNIX_DIAG_RQLEN: u16 = 4;
pub const UDIAG_SHOW_NAME: u32 = 1;
pub const UDIAG_SHOW_PEER: u32 = 4;
pub const UDIAG_SHOW_RQLEN: u32 = 0x10;

plain! { pub struct NlMsgHdr [16] { len: u32, kind: u16, flags: u16, seq: u32, pid: u32, } }
plain! { pub struct IfInfoMsg [16] { family: u8, pad: u8, kind: u16, index: i32, flags: u32, change: u32, } }
plain! { pub struct IfAddrMsg [8] { family: u8, prefixlen: u8, flags: u8, scope: u8, index: u32, } }
plain! { pub struct RtMsg [12] { family: u8, dst_len: u8, src_len: u8, tos: u8, table: u8, protocol: u8, scope: u8, kind: u8, flags: u32, } }
plain! { pub struct NdMsg [12] { family: u8, pad1: u8, pad2: u16, ifindex: i32, state: u16, flags: u8, kind: u8, } }
plain! { pub struct FibRuleHdr [12] { family: u8, dst_len: u8, src_len: u8, tos: u8, table: u8, res1: u8, res2: u8, action: u8, flags: u32, } }
plain! { pub struct InetDiagSockId [48] { sport: [u8; 2], dport: [u8; 2], src: [u8; 16], dst: [u8; 16], interface: u32, cookie: [u32; 2], } }
plain! { pub struct InetDiagReq [56] { family: u8, protocol: u8, ext: u8, pad: u8, states: u32, id: InetDiagSockId, } }
plain! { pub struct InetDiagMsg [72] { family: u8, state: u8, timer: u8, retrans: u8, id: InetDiagSockId, expires: u32, rqueue: u32, wqueue: u32, uid: u32, inode: u32, } }
plain! { pub struct UnixDiagReq [24] { family: u8, protocol: u8, pad: u16, states: u32, ino: u32, show: u32, cookie: [u32; 2], } }
plain! { pub struct UnixDiagMsg [16] { family: u8, kind: u8, state: u8, pad: u8, ino: u32, cookie: [u32; 2], } }
