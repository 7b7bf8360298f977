//! clock_gettime(2), timerfd_create(2), times(2).

use crate::plain;

plain! { pub struct Timespec [16] { tv_sec: i64, tv_nsec: i64, } }
plain! { pub struct Timeval [16] { tv_sec: i64, tv_usec: i64, } }
plain! { pub struct Itimerspec [32] { it_interval: Timespec, it_value: Timespec, } }
plain! { pub struct Itimerval [32] { it_interval: Timeval, it_value: Timeval, } }
plain! { pub struct Tms [32] { tms_utime: i64, tms_stime: i64, tms_cutime: i64, tms_cstime: i64, } }

impl Eq for Timespec {}

impl Timespec {
    /// As a duration; `None` if it is negative or its nanoseconds are out of range.
    pub fn duration(self) -> Option<std::time::Duration> {
        let nsec = u32::try_from(self.tv_nsec).ok().filter(|&n| n < 1_000_000_000)?;
        Some(std::time::Duration::new(u64::try_from(self.tv_sec).ok()?, nsec))
    }
}

impl Timeval {
    /// As a duration; `None` if it is negative or its microseconds are out of range.
    pub fn duration(self) -> Option<std::time::Duration> {
        let usec = u32::try_from(self.tv_usec).ok().filter(|&n| n < 1_000_000)?;
        Some(std::time::Duration::new(u64::try_from(self.tv_sec).ok()?, usec * 1000))
    }
}

impl From<std::time::Duration> for Timespec {
    fn from(d: std::time::Duration) -> Self {
        Self { tv_sec: d.as_secs() as i64, tv_nsec: i64::from(d.subsec_nanos()) }
    }
}

impl From<std::time::Duration> for Timeval {
    fn from(d: std::time::Duration) -> Self {
        Self { tv_sec: d.as_secs() as i64, tv_usec: i64::from(d.subsec_micros()) }
    }
}

pub const CLOCK_REALTIME: i32 = 0;
pub const CLOCK_MONOTONIC: i32 = 1;
pub const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
pub const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
pub const CLOCK_MONOTONIC_RAW: i32 = 4;
pub const CLOCK_REALTIME_COARSE: i32 = 5;
pub const CLOCK_MONOTONIC_COARSE: i32 = 6;
pub const CLOCK_BOOTTIME: i32 = 7;
pub const CLOCK_REALTIME_ALARM: i32 = 8;
pub const CLOCK_BOOTTIME_ALARM: i32 = 9;
pub const CLOCK_TAI: i32 = 11;
pub const TIMER_ABSTIME: u32 = 1;
pub const UTIME_NOW: i64 = 0x3fff_ffff;
pub const UTIME_OMIT: i64 = 0x3fff_fffe;
/// Ticks a second of `times` and /proc (`USER_HZ`).
pub const USER_HZ: u64 = 100;
