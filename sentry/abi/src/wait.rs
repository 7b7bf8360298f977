//! wait(2): the wait status, and options.

use crate::signal::Signal;

/// The status of a process that ended with `exit(code)`.
pub const fn exited(code: u32) -> u32 {
    (code & 0xff) << 8
}

/// The status of a process that a signal ended.
pub const fn signaled(signal: Signal, core: bool) -> u32 {
    signal.raw() as u32 | if core { 0x80 } else { 0 }
}

/// The status of a stopped process.
pub const fn stopped(signal: Signal) -> u32 {
    (signal.raw() as u32) << 8 | 0x7f
}

/// The status of a continued process.
pub const CONTINUED: u32 = 0xffff;

pub const WNOHANG: u32 = 1;
pub const WUNTRACED: u32 = 2;
pub const WSTOPPED: u32 = 2;
pub const WEXITED: u32 = 4;
pub const WCONTINUED: u32 = 8;
pub const WNOWAIT: u32 = 0x0100_0000;
pub const WNOTHREAD: u32 = 0x2000_0000;
pub const WALL: u32 = 0x4000_0000;
pub const WCLONE: u32 = 0x8000_0000;

pub const P_ALL: u32 = 0;
pub const P_PID: u32 = 1;
pub const P_PGID: u32 = 2;
pub const P_PIDFD: u32 = 3;
