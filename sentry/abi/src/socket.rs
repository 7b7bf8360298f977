//! socket(2), socket(7), unix(7), ip(7).

use crate::plain;

pub const AF_UNSPEC: u16 = 0;
pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
pub const AF_NETLINK: u16 = 16;
pub const AF_PACKET: u16 = 17;

pub const SOCK_STREAM: u32 = 1;
pub const SOCK_DGRAM: u32 = 2;
pub const SOCK_RAW: u32 = 3;
pub const SOCK_SEQPACKET: u32 = 5;
pub const SOCK_NONBLOCK: u32 = 0o4000;
pub const SOCK_CLOEXEC: u32 = 0o2000000;

pub const SOL_SOCKET: i32 = 1;
pub const SCM_RIGHTS: i32 = 1;
pub const SCM_CREDENTIALS: i32 = 2;

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct MsgFlags: u32 {
        const OOB = 1;
        const PEEK = 2;
        const DONTROUTE = 4;
        const CTRUNC = 8;
        const TRUNC = 0x20;
        const DONTWAIT = 0x40;
        const EOR = 0x80;
        const WAITALL = 0x100;
        const CONFIRM = 0x800;
        const ERRQUEUE = 0x2000;
        const NOSIGNAL = 0x4000;
        const MORE = 0x8000;
        const WAITFORONE = 0x1_0000;
        const CMSG_CLOEXEC = 0x4000_0000;
        const _ = !0;
    }
}

plain! { pub struct MsgHdr [56] { name: u64, namelen: u32, pad: u32, iov: u64, iovlen: u64, control: u64, controllen: u64, flags: u32, pad2: u32, } }
plain! { pub struct CMsgHdr [16] { len: u64, level: i32, kind: i32, } }
plain! { pub struct UCred [12] { pid: i32, uid: u32, gid: u32, } }
plain! { pub struct Linger [8] { onoff: i32, linger: i32, } }
