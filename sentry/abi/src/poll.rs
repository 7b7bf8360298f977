//! poll(2).

crate::plain! { pub struct PollFd [8] { fd: i32, events: u16, revents: u16, } }

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct PollEvents: u32 {
        const IN = 1;
        const PRI = 2;
        const OUT = 4;
        const ERR = 8;
        const HUP = 0x10;
        const NVAL = 0x20;
        const RDNORM = 0x40;
        const RDBAND = 0x80;
        const WRNORM = 0x100;
        const WRBAND = 0x200;
        const MSG = 0x400;
        const RDHUP = 0x2000;
        const _ = !0;
    }
}
