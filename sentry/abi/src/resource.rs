//! getrlimit(2), getrusage(2), getpriority(2).

use crate::plain;
use crate::time::Timeval;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Resource {
    Cpu = 0,
    FileSize,
    Data,
    Stack,
    Core,
    Rss,
    Processes,
    Files,
    LockedMemory,
    AddressSpace,
    Locks,
    SigPending,
    MessageQueue,
    Nice,
    RealTimePriority,
    RealTimeTime,
}

impl Resource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Cpu,
        Self::FileSize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Rss,
        Self::Processes,
        Self::Files,
        Self::LockedMemory,
        Self::AddressSpace,
        Self::Locks,
        Self::SigPending,
        Self::MessageQueue,
        Self::Nice,
        Self::RealTimePriority,
        Self::RealTimeTime,
    ];

    /// By its number.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.get(raw as usize).copied()
    }

    /// Its name behind `RLIMIT_`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 16] = [
            "CPU",
            "FSIZE",
            "DATA",
            "STACK",
            "CORE",
            "RSS",
            "NPROC",
            "NOFILE",
            "MEMLOCK",
            "AS",
            "LOCKS",
            "SIGPENDING",
            "MSGQUEUE",
            "NICE",
            "RTPRIO",
            "RTTIME",
        ];
        NAMES[self as usize]
    }
}

/// No limit.
pub const RLIM_INFINITY: u64 = u64::MAX;

plain! { pub struct Rlimit [16] { rlim_cur: u64, rlim_max: u64, } }
plain! {
    pub struct Rusage [144] {
        ru_utime: Timeval, ru_stime: Timeval, ru_maxrss: i64, ru_ixrss: i64, ru_idrss: i64, ru_isrss: i64,
        ru_minflt: i64, ru_majflt: i64, ru_nswap: i64, ru_inblock: i64, ru_oublock: i64, ru_msgsnd: i64,
        ru_msgrcv: i64, ru_nsignals: i64, ru_nvcsw: i64, ru_nivcsw: i64,
    }
}
