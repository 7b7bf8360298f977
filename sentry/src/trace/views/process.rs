//! Processes: clone, exec, wait, limits, scheduling, futexes.

use moat_abi::capability::{CapUserData, CapUserHeader};
use moat_abi::sched::CloneFlags;
use moat_abi::signal::SigInfo;
use moat_abi::time::Timespec;

use super::pointed;
use crate::trace::show::{Show, View, choices, flags};
use crate::trace::structures::show_capabilities;

choices! {
    /// What is limited.
    Resource "RLIMIT_???" {
        RLIMIT_CPU 0 RLIMIT_FSIZE 1 RLIMIT_DATA 2 RLIMIT_STACK 3 RLIMIT_CORE 4 RLIMIT_RSS 5 RLIMIT_NPROC 6
        RLIMIT_NOFILE 7 RLIMIT_MEMLOCK 8 RLIMIT_AS 9 RLIMIT_LOCKS 10 RLIMIT_SIGPENDING 11 RLIMIT_MSGQUEUE 12
        RLIMIT_NICE 13 RLIMIT_RTPRIO 14 RLIMIT_RTTIME 15
    }
    /// Whose usage.
    UsageOf "RUSAGE_???" { RUSAGE_SELF 0 RUSAGE_CHILDREN 0xffffffff RUSAGE_BOTH 0xfffffffe RUSAGE_THREAD 1 }
    /// Whose priority.
    PriorityOf "PRIO_???" { PRIO_PROCESS 0 PRIO_PGRP 1 PRIO_USER 2 }
    /// A scheduling policy.
    Policy "SCHED_???" { SCHED_OTHER 0 SCHED_FIFO 1 SCHED_RR 2 SCHED_BATCH 3 SCHED_ISO 4 SCHED_IDLE 5 SCHED_DEADLINE 6 }
    /// What waitid waits for.
    IdKind "P_???" { P_ALL 0 P_PID 1 P_PGID 2 P_PIDFD 3 }
    /// Version of the capability calls.
    CapabilityVersion "_LINUX_CAPABILITY_VERSION_???" {
        _LINUX_CAPABILITY_VERSION_1 0x19980330 _LINUX_CAPABILITY_VERSION_2 0x20071026
        _LINUX_CAPABILITY_VERSION_3 0x20080522
    }
    /// What kcmp compares.
    Comparison "KCMP_???" {
        KCMP_FILE 0 KCMP_VM 1 KCMP_FILES 2 KCMP_FS 3 KCMP_SIGHAND 4 KCMP_IO 5 KCMP_SYSVSEM 6 KCMP_EPOLL_TFD 7
    }
}

flags! {
    /// Options of wait4 and waitid.
    WaitOptions "W???" {
        WNOHANG 1 WSTOPPED 2 WEXITED 4 WCONTINUED 8 WNOWAIT 0x01000000 __WCLONE 0x80000000 __WALL 0x40000000
        __WNOTHREAD 0x20000000
    }
    /// Options of wait4, to which WSTOPPED is WUNTRACED.
    Wait4Options "W???" {
        WNOHANG 1 WUNTRACED 2 WEXITED 4 WCONTINUED 8 WNOWAIT 0x01000000 __WCLONE 0x80000000 __WALL 0x40000000
        __WNOTHREAD 0x20000000
    }
    /// Flags of getrandom.
    RandomFlags "GRND_???" { GRND_NONBLOCK 1 GRND_RANDOM 2 GRND_INSECURE 4 }
}

/// Random bytes.
pub struct RandomBytes;

impl View for RandomBytes {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(len) => to.quoted_hex(raw, len),
            None => to.address(raw),
        }
    }
}

/// The flags of clone with the exit signal, shown with the stack before them.
pub struct CloneWord;

impl View for CloneWord {
    fn show(raw: u64, to: &mut Show<'_>) {
        let stack = to.argument(1);
        to.str("child_stack=");
        to.address(stack);
        to.str(", flags=");
        let (flags, signal) = (CloneFlags::from_bits_retain(raw & !0xff), (raw & 0xff) as i32);
        match (flags.is_empty(), signal) {
            (true, 0) => to.str("0"),
            (true, _) => to.signal(signal),
            (false, 0) => to.flag_word(flags, "CLONE_", "0"),
            (false, _) => {
                to.flag_word(flags, "CLONE_", "0");
                to.str("|");
                to.signal(signal);
            }
        }
    }
}

/// An argument that is shown with another one.
pub struct Elsewhere;

impl View for Elsewhere {
    fn show(_raw: u64, _to: &mut Show<'_>) {}
}

/// Where clone writes the child's number for the parent, if it is asked to.
pub struct CloneParentTid;

impl View for CloneParentTid {
    const LATE: bool = true;
    const OPTIONAL: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        let flags = CloneFlags::from_bits_retain(to.argument(0));
        if flags.intersects(CloneFlags::PARENT_SETTID | CloneFlags::PIDFD) {
            to.str("parent_tid=");
            pointed::<u32>(raw, to);
        }
    }
}

/// The child's thread-local storage, and behind it where clone writes (or later clears) the child's number.
pub struct CloneTls;

impl View for CloneTls {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        let flags = CloneFlags::from_bits_retain(to.argument(0));
        let tls = flags.contains(CloneFlags::SETTLS);
        if tls {
            to.put(format_args!("tls={raw:#x}"));
        }
        if flags.intersects(CloneFlags::CHILD_SETTID | CloneFlags::CHILD_CLEARTID) {
            let address = to.argument(3);
            to.str(if tls { ", child_tidptr=" } else { "child_tidptr=" });
            to.address(address);
        }
    }
}

/// An environment: how many there are.
pub struct Environment;

impl View for Environment {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.address(raw);
        if raw == 0 {
            return;
        }
        let count = to.pointers(raw);
        to.put(format_args!(" /* {count} var{} */", if count == 1 { "" } else { "s" }));
    }
}

/// A wait status.
pub struct Status;

impl View for Status {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        // Without a child the status is not written.
        let waited = to.succeeded().is_some_and(|pid| pid != 0);
        let Some(status) = to.read::<u32>(raw).filter(|_| waited) else { return to.address(raw) };
        let (low, high) = (status & 0x7f, ((status >> 8) & 0xff) as i32);
        to.str("[{");
        match low {
            _ if status == moat_abi::wait::CONTINUED => to.str("WIFCONTINUED(s)"),
            0 => to.put(format_args!("WIFEXITED(s) && WEXITSTATUS(s) == {high}")),
            0x7f => {
                to.str("WIFSTOPPED(s) && WSTOPSIG(s) == ");
                to.signal(high);
            }
            signal => {
                to.str("WIFSIGNALED(s) && WTERMSIG(s) == ");
                to.signal(signal as i32);
                if status & 0x80 != 0 {
                    to.str(" && WCOREDUMP(s)");
                }
            }
        }
        to.str("}]");
    }
}

/// What waitid found; `{}` if it found nothing.
pub struct Waited;

impl View for Waited {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<SigInfo>(raw) {
            Some(info) if !to.failed() && info.signo == 0 => to.str("{}"),
            _ => pointed::<SigInfo>(raw, to),
        }
    }
}

/// A processor mask that the call reads; argument 1 is its size.
pub struct CpuMask;

/// A processor mask that the call writes; its result is the size.
pub struct CpuMaskOut;

fn show_cpus(address: u64, len: u64, to: &mut Show<'_>) {
    let Some(bytes) = to.bytes(address, len.min(1024) as usize) else { return to.address(address) };
    to.str("[");
    let mut separator = "";
    for cpu in (0..bytes.len() * 8).filter(|cpu| bytes[cpu / 8] & (1 << (cpu % 8)) != 0) {
        to.put(format_args!("{separator}{cpu}"));
        separator = " ";
    }
    to.str("]");
}

impl View for CpuMask {
    fn show(raw: u64, to: &mut Show<'_>) {
        let len = to.argument(1);
        show_cpus(raw, len, to);
    }
}

impl View for CpuMaskOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(len) => show_cpus(raw, len, to),
            None => to.address(raw),
        }
    }
}

/// Capabilities that the call reads.
pub struct CapabilitiesIn;

/// Capabilities that the call writes.
pub struct CapabilitiesOut;

fn show_caps(address: u64, to: &mut Show<'_>) {
    // All of Linux's callers use the third version, which has two halves.
    match to.read::<[CapUserData; 2]>(address) {
        Some(halves) if !to.failed() => show_capabilities(&halves, to),
        _ => to.address(address),
    }
}

impl View for CapabilitiesIn {
    fn show(raw: u64, to: &mut Show<'_>) {
        show_caps(raw, to);
    }
}

impl View for CapabilitiesOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        show_caps(raw, to);
    }
}

/// The operation of futex.
pub struct FutexOperation;

const FUTEX: &[&str] = &[
    "FUTEX_WAIT",
    "FUTEX_WAKE",
    "FUTEX_FD",
    "FUTEX_REQUEUE",
    "FUTEX_CMP_REQUEUE",
    "FUTEX_WAKE_OP",
    "FUTEX_LOCK_PI",
    "FUTEX_UNLOCK_PI",
    "FUTEX_TRYLOCK_PI",
    "FUTEX_WAIT_BITSET",
    "FUTEX_WAKE_BITSET",
    "FUTEX_WAIT_REQUEUE_PI",
    "FUTEX_CMP_REQUEUE_PI",
    "FUTEX_LOCK_PI2",
];

impl View for FutexOperation {
    fn show(raw: u64, to: &mut Show<'_>) {
        let command = (raw & 0x7f) as usize;
        match FUTEX.get(command) {
            Some(name) => to.str(name),
            None => to.put(format_args!("{command:#x} /* FUTEX_??? */")),
        }
        if raw & 0x80 != 0 {
            to.str("_PRIVATE");
        }
        if raw & 0x100 != 0 {
            to.str("|FUTEX_CLOCK_REALTIME");
        }
    }
}

/// The value of futex.
pub struct FutexValue;

impl View for FutexValue {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) & 0x7f {
            6..=8 | 13 => {}
            _ => to.put(format_args!("{}", raw as u32)),
        }
    }
}

/// Futex's fourth argument: a time limit, or a second number.
pub struct FutexTimeout;

impl View for FutexTimeout {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) & 0x7f {
            0 | 6 | 9 | 11 | 13 => match to.read::<Timespec>(raw) {
                Some(limit) => crate::trace::structures::Structure::show(&limit, to),
                None => to.address(raw),
            },
            3 | 4 | 5 | 12 => to.put(format_args!("{}", raw as u32)),
            _ => {}
        }
    }
}

/// Futex's second word, where the operation has one.
pub struct FutexSecond;

impl View for FutexSecond {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) & 0x7f {
            3 | 4 | 5 | 11 | 12 => to.address(raw),
            _ => {}
        }
    }
}

/// Futex's third value: a bitset, or a value to compare.
pub struct FutexThird;

impl View for FutexThird {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.argument(1) & 0x7f {
            9 | 10 if raw as u32 == u32::MAX => to.str("FUTEX_BITSET_MATCH_ANY"),
            9 | 10 => to.hex(u64::from(raw as u32)),
            4 | 12 => to.put(format_args!("{}", raw as u32)),
            5 => to.hex(u64::from(raw as u32)),
            _ => {}
        }
    }
}

/// The header of capget and capset.
pub struct CapabilityHeader;

impl View for CapabilityHeader {
    fn show(raw: u64, to: &mut Show<'_>) {
        pointed::<CapUserHeader>(raw, to);
    }
}
