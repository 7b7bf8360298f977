//! timerfd_create(2): timers that are read.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::poll::PollEvents;

use super::file::{FileOperations, OpenFile};
use crate::Result;
use crate::executor::timer::{Armed, TimerQueue};
use crate::executor::wait::{Notify, WaitQueue, Waiter};
use crate::sync::{Mutex, Rank};

/// The operations of a timerfd.
pub struct TimerFd {
    myself: Weak<TimerFd>,
    /// `CLOCK_*`.
    pub clock: i32,
    state: Mutex<State>,
    expired: WaitQueue,
}

#[derive(Default)]
struct State {
    /// The next expiry; of a periodic timer that has expired, the one that was.
    expires: Option<Instant>,
    interval: Duration,
    /// Expiries since the last read.
    ticks: u64,
    /// A periodic timer that has expired is armed again when somebody looks, so that nobody wakes for nothing.
    waits_for_reader: bool,
    armed: Option<Armed>,
    flags: u32,
}

/// How long until a timer expires, and its interval.
pub type Setting = (Duration, Duration);

/// A new timer by this clock.
pub fn open(clock: i32, nonblocking: OpenFlags) -> Arc<OpenFile> {
    let operations = Arc::new_cyclic(|myself| TimerFd {
        myself: myself.clone(),
        clock,
        state: Mutex::new(Rank::File, State::default()),
        expired: WaitQueue::new(),
    });
    OpenFile::new(operations, None, OpenFlags::RDWR | nonblocking)
}

struct Fire(Weak<TimerFd>);

impl Notify for Fire {
    fn notify(&self) {
        let Some(timer) = self.0.upgrade() else { return };
        {
            let mut state = timer.state.lock();
            // It may have been set anew while this was on its way.
            if state.waits_for_reader || state.expires.is_none_or(|at| at > Instant::now()) {
                return;
            }
            state.ticks += 1;
            if state.interval.is_zero() {
                state.expires = None;
            } else {
                state.waits_for_reader = true;
            }
        }
        timer.expired.wake(PollEvents::IN | PollEvents::RDNORM);
    }
}

impl TimerFd {
    fn arm(&self, at: Instant) -> Armed {
        TimerQueue::global().arm(at, Arc::new(Fire(self.myself.clone())))
    }

    /// Counts what a periodic timer missed since it expired, and arms it again.
    fn catch_up(&self, state: &mut State) {
        if !std::mem::take(&mut state.waits_for_reader) {
            return;
        }
        let Some(last) = state.expires else { return };
        let late = Instant::now().saturating_duration_since(last);
        let missed = u64::try_from(late.as_nanos() / state.interval.as_nanos().max(1)).unwrap_or(u64::MAX);
        let step = state.interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1));
        let next = last.checked_add(step).unwrap_or_else(|| crate::kernel::timers::far(Duration::MAX));
        state.ticks = state.ticks.saturating_add(missed);
        state.expires = Some(next);
        state.armed = Some(self.arm(next));
    }

    fn left(state: &State) -> Setting {
        // An armed timer never shows zero.
        let left = |at: Instant| at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        (state.expires.map_or(Duration::ZERO, left), state.interval)
    }

    /// Sets it to expire at `at` (`None` disarms); the old setting.
    pub fn set(&self, at: Option<Instant>, interval: Duration, flags: u32) -> Setting {
        let mut state = self.state.lock();
        self.catch_up(&mut state);
        let old = Self::left(&state);
        *state =
            State { expires: at, interval, ticks: 0, waits_for_reader: false, armed: at.map(|at| self.arm(at)), flags };
        old
    }

    /// Its setting.
    pub fn get(&self) -> Setting {
        let mut state = self.state.lock();
        self.catch_up(&mut state);
        Self::left(&state)
    }
}

impl FileOperations for TimerFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        let out = buf.first_chunk_mut::<8>().ok_or(Errno::EINVAL)?;
        let mut state = self.state.lock();
        if state.ticks == 0 {
            return Err(Errno::EAGAIN);
        }
        self.catch_up(&mut state);
        *out = std::mem::take(&mut state.ticks).to_ne_bytes();
        Ok(8)
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.expired);
        }
        match self.state.lock().ticks {
            0 => PollEvents::empty(),
            _ => PollEvents::IN | PollEvents::RDNORM,
        }
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:[timerfd]".to_owned()
    }

    fn fdinfo(&self) -> String {
        let state = self.state.lock();
        let (value, interval) = Self::left(&state);
        format!(
            "clockid: {}\nticks: {}\nsettime flags: 0{:o}\nit_value: ({}, {})\nit_interval: ({}, {})\n",
            self.clock,
            state.ticks,
            state.flags,
            value.as_secs(),
            value.subsec_nanos(),
            interval.as_secs(),
            interval.subsec_nanos()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &OpenFile) -> Result<u64> {
        let mut buf = [0; 8];
        file.operations()?.read_at(file, &mut buf, 0).map(|_| u64::from_ne_bytes(buf))
    }

    fn wait_and_read(file: &OpenFile) -> u64 {
        let by = Instant::now() + Duration::from_secs(5);
        let got = crate::executor::block_on(crate::executor::wait::wait_for(Some(by), |waiter| {
            file.poll(Some(waiter));
            read(file).ok()
        }));
        got.unwrap()
    }

    #[test]
    fn a_single_timer_expires_once() {
        let file = open(1, OpenFlags::empty());
        let timer = file.downcast::<TimerFd>().unwrap();
        timer.set(Some(Instant::now() + Duration::from_millis(5)), Duration::ZERO, 0);
        assert_eq!(read(&file), Err(Errno::EAGAIN));
        assert_eq!(wait_and_read(&file), 1);
        assert_eq!(timer.get(), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_periodic_timer_counts_what_was_missed() {
        let file = open(1, OpenFlags::empty());
        let timer = file.downcast::<TimerFd>().unwrap();
        timer.set(Some(Instant::now() + Duration::from_millis(2)), Duration::from_millis(2), 0);
        std::thread::sleep(Duration::from_millis(20));
        assert!(wait_and_read(&file) >= 8);
        assert!(wait_and_read(&file) >= 1);
        let (left, interval) = timer.get();
        assert!(!left.is_zero() && interval == Duration::from_millis(2));
    }
}
