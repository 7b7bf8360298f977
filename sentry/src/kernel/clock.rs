//! The guest's clocks (clock_gettime(2)): the host's, with the container's time offsets.

use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::time as t;

use super::Task;
use crate::Result;

/// Offsets of a time namespace (time_namespaces(7)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// Nanoseconds added to CLOCK_MONOTONIC and its kin.
    pub monotonic: i64,
    /// Nanoseconds added to CLOCK_BOOTTIME.
    pub boottime: i64,
}

/// A clock that a guest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// One of the machine's, by its number.
    System(i32),
    /// Processor time of a process; 0 for the caller's.
    Process(u32),
    /// Processor time of a thread; 0 for the caller.
    Thread(u32),
}

impl Clock {
    /// The clock of this id. `EINVAL` if there is none.
    pub fn from_id(id: i32) -> Result<Self> {
        match id {
            t::CLOCK_PROCESS_CPUTIME_ID => Ok(Self::Process(0)),
            t::CLOCK_THREAD_CPUTIME_ID => Ok(Self::Thread(0)),
            t::CLOCK_REALTIME..=t::CLOCK_BOOTTIME_ALARM | t::CLOCK_TAI => Ok(Self::System(id)),
            // ~pid << 3 | per thread << 2 | kind (include/linux/posix-timers.h).
            _ if id < 0 && id & 3 == 2 => {
                let pid = !(id >> 3) as u32;
                Ok(if id & 4 != 0 { Self::Thread(pid) } else { Self::Process(pid) })
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Whether it follows the calendar, so that setting the time moves it.
    pub fn is_realtime(self) -> bool {
        matches!(
            self,
            Self::System(t::CLOCK_REALTIME | t::CLOCK_REALTIME_COARSE | t::CLOCK_REALTIME_ALARM | t::CLOCK_TAI)
        )
    }
}

impl Clocks {
    fn offset(&self, id: i32) -> i64 {
        match id {
            t::CLOCK_MONOTONIC | t::CLOCK_MONOTONIC_RAW | t::CLOCK_MONOTONIC_COARSE => self.monotonic,
            t::CLOCK_BOOTTIME | t::CLOCK_BOOTTIME_ALARM => self.boottime,
            _ => 0,
        }
    }

    /// The time of one of the machine's clocks.
    pub fn now(&self, id: i32) -> Duration {
        let host = moat_host::clock::now(id);
        let offset = self.offset(id);
        match offset >= 0 {
            true => host + Duration::from_nanos(offset as u64),
            false => host.saturating_sub(Duration::from_nanos(offset.unsigned_abs())),
        }
    }

    /// The instant at which a clock of the machine will show `at`; the present if it has.
    pub fn instant(&self, id: i32, at: Duration) -> Instant {
        let now = Instant::now();
        let left = at.saturating_sub(self.now(id));
        now.checked_add(left).unwrap_or_else(|| now + Duration::from_secs(u64::from(u32::MAX)))
    }

    /// The time of any clock, as `task` sees it.
    pub fn read(&self, task: &Task, clock: Clock) -> Result<Duration> {
        match clock {
            Clock::System(id) => Ok(self.now(id)),
            Clock::Process(0) => Ok(task.group_ref().cpu_time()),
            Clock::Process(pid) => {
                let group = task.kernel().tree().process(pid).map(|p| p.group.clone()).ok_or(Errno::EINVAL)?;
                Ok(group.cpu_time())
            }
            Clock::Thread(0) => {
                let (user, system) = task.times();
                Ok(user + system)
            }
            Clock::Thread(tid) => {
                let other = task.kernel().tree().task(tid).ok_or(Errno::EINVAL)?;
                let (user, system) = other.times();
                Ok(user + system)
            }
        }
    }
}
