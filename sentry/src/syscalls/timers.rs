//! Timers (alarm(2), setitimer(2), timer_create(2)).

use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::signal::{SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, SigEvent, Signal};
use moat_abi::time::{Itimerspec, Itimerval, TIMER_ABSTIME};

use super::arguments::{In, Out};
use crate::Result;
use crate::kernel::Current;
use crate::kernel::clock::Clock;
use crate::kernel::timers::{self as t, CpuKind, Due, Expiry, Setting};

const ITIMER_REAL: i32 = 0;
const ITIMER_VIRTUAL: i32 = 1;
const ITIMER_PROF: i32 = 2;

fn itimerval_of((value, interval): Setting) -> Itimerval {
    Itimerval { it_interval: interval.into(), it_value: value.into() }
}

fn itimerspec_of((value, interval): Setting) -> Itimerspec {
    Itimerspec { it_interval: interval.into(), it_value: value.into() }
}

/// alarm(2).
pub fn alarm(current: &mut Current, seconds: u32) -> Result<u64> {
    let (left, _) = t::set_real(&current.group(), Duration::from_secs(u64::from(seconds)), Duration::ZERO);
    // Rounded to whole seconds, but never to 0 while one is armed.
    let rounded = left.as_secs() + u64::from(left.subsec_nanos() >= 500_000_000);
    Ok(if left.is_zero() { 0 } else { rounded.max(1) })
}

/// getitimer(2).
pub fn getitimer(current: &mut Current, which: i32, out: Out<Itimerval>) -> Result<()> {
    let setting = match which {
        ITIMER_REAL => t::real(&current.group()),
        ITIMER_VIRTUAL => t::cpu(&current.group(), CpuKind::User),
        ITIMER_PROF => t::cpu(&current.group(), CpuKind::All),
        _ => return Err(Errno::EINVAL),
    };
    out.write(&current.memory(), &itimerval_of(setting))
}

/// setitimer(2).
pub fn setitimer(current: &mut Current, which: i32, new: In<Itimerval>, old: Out<Itimerval>) -> Result<()> {
    let memory = current.memory();
    let new = new.read_if(&memory)?.unwrap_or_default();
    let value = new.it_value.duration().ok_or(Errno::EINVAL)?;
    let interval = new.it_interval.duration().ok_or(Errno::EINVAL)?;
    let previous = match which {
        ITIMER_REAL => t::set_real(&current.group(), value, interval),
        ITIMER_VIRTUAL => t::set_cpu(&current.group(), CpuKind::User, value, interval),
        ITIMER_PROF => t::set_cpu(&current.group(), CpuKind::All, value, interval),
        _ => return Err(Errno::EINVAL),
    };
    old.write_if(&memory, &itimerval_of(previous))
}

/// The clock of a timer, whose owner may be somebody else later: one of processor time names its thread or process.
/// Threads of others are nobody's business.
fn timer_clock(current: &Current, clock: Clock) -> Result<Clock> {
    let clock = match clock {
        Clock::Process(0) => Clock::Process(current.pid()),
        Clock::Thread(0) => Clock::Thread(current.tid()),
        clock => clock,
    };
    let known = match clock {
        Clock::System(_) => true,
        Clock::Process(pid) => current.kernel().tree().process(pid).is_some(),
        Clock::Thread(tid) => current.group_ref().tasks().iter().any(|task| task.tid() == tid),
    };
    if known { Ok(clock) } else { Err(Errno::EINVAL) }
}

/// What the clock of a timer shows, if it counts processor time.
fn spent(current: &Current, clock: Clock) -> Duration {
    match clock {
        Clock::System(_) => Duration::ZERO,
        // One that is gone stands still.
        clock => current.kernel().clocks().read(current, clock).unwrap_or_default(),
    }
}

/// timer_create(2).
pub fn timer_create(current: &mut Current, clock: i32, event: In<SigEvent>, out: Out<i32>) -> Result<()> {
    let clock = timer_clock(current, Clock::from_id(clock)?)?;
    let memory = current.memory();
    let event = event.read_if(&memory)?;
    let group = current.group();
    let signal_of = |event: &SigEvent| Signal::from_raw(event.signo).ok_or(Errno::EINVAL);
    let id = match event {
        None => t::create(&group, clock, |id| Expiry::Process(SIGALRM, id as u64))?,
        Some(event) => {
            let expiry = match event.notify {
                SIGEV_NONE => Expiry::Nothing,
                SIGEV_SIGNAL | SIGEV_THREAD => Expiry::Process(signal_of(&event)?, event.value),
                SIGEV_THREAD_ID => {
                    let tid = event.tid as u32;
                    if !group.tasks().iter().any(|task| task.tid() == tid) {
                        return Err(Errno::EINVAL);
                    }
                    Expiry::Thread(signal_of(&event)?, event.value, tid)
                }
                _ => return Err(Errno::EINVAL),
            };
            t::create(&group, clock, |_| expiry)?
        }
    };
    out.write(&memory, &id).inspect_err(|_| {
        // Nobody can know of the timer: it goes again.
        let _ = t::delete(&group, id);
    })
}

/// timer_settime(2).
pub fn timer_settime(
    current: &mut Current,
    id: i32,
    flags: u32,
    new: In<Itimerspec>,
    old: Out<Itimerspec>,
) -> Result<()> {
    let memory = current.memory();
    let new = new.read(&memory)?;
    let value = new.it_value.duration().ok_or(Errno::EINVAL)?;
    let interval = new.it_interval.duration().ok_or(Errno::EINVAL)?;
    let group = current.group();
    let clock = t::clock_of(&group, id)?;
    let now = spent(current, clock);
    let due = (!value.is_zero()).then(|| match (flags & TIMER_ABSTIME != 0, clock) {
        (true, Clock::System(id)) => Due::At(current.kernel().clocks().instant(id, value)),
        (false, Clock::System(_)) => Due::At(t::far(value)),
        (true, _) => Due::Spent(value),
        (false, _) => Due::Spent(now.saturating_add(value)),
    });
    let previous = t::set(&group, id, due, interval, now)?;
    old.write_if(&memory, &itimerspec_of(previous))
}

/// timer_gettime(2).
pub fn timer_gettime(current: &mut Current, id: i32, out: Out<Itimerspec>) -> Result<()> {
    let group = current.group();
    let now = spent(current, t::clock_of(&group, id)?);
    let setting = t::get(&group, id, now)?;
    out.write(&current.memory(), &itimerspec_of(setting))
}

/// timer_getoverrun(2).
pub fn timer_getoverrun(current: &mut Current, id: i32) -> Result<i32> {
    t::overrun(&current.group(), id)
}

/// timer_delete(2).
pub fn timer_delete(current: &mut Current, id: i32) -> Result<()> {
    t::delete(&current.group(), id)
}
