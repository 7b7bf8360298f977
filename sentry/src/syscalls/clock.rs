//! Clocks and sleeping (clock_gettime(2), nanosleep(2), gettimeofday(2), times(2)).

use std::time::{Duration, Instant};

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::time::{self as t, Timespec, Timeval, Tms};

use super::arguments::{In, Out, UserOpaque};
use crate::Result;
use crate::kernel::clock::Clock;
use crate::kernel::current::RestartBlock;
use crate::kernel::task::WaitEnd;
use crate::kernel::{Current, timers};

/// clock_gettime(2).
pub fn clock_gettime(current: &mut Current, clock: i32, out: Out<Timespec>) -> Result<()> {
    let now = current.kernel().clocks().read(current, Clock::from_id(clock)?)?;
    out.write(&current.memory(), &now.into())
}

/// clock_getres(2).
pub fn clock_getres(current: &mut Current, clock: i32, out: Out<Timespec>) -> Result<()> {
    let resolution = match Clock::from_id(clock)? {
        Clock::System(id) => moat_host::clock::resolution(id),
        Clock::Process(_) | Clock::Thread(_) => Duration::from_nanos(1),
    };
    out.write_if(&current.memory(), &resolution.into())
}

/// clock_settime(2): nobody in a container sets the host's clocks.
pub fn clock_settime(current: &mut Current, clock: i32, time: In<Timespec>) -> Result<()> {
    let clock = Clock::from_id(clock)?;
    time.read(&current.memory())?.duration().ok_or(Errno::EINVAL)?;
    if clock != Clock::System(t::CLOCK_REALTIME) { Err(Errno::EINVAL) } else { Err(Errno::EPERM) }
}

/// settimeofday(2).
pub fn settimeofday(current: &mut Current, time: In<Timeval>, _zone: UserOpaque) -> Result<()> {
    if let Some(time) = time.read_if(&current.memory())? {
        time.duration().ok_or(Errno::EINVAL)?;
    }
    Err(Errno::EPERM)
}

/// gettimeofday(2).
pub fn gettimeofday(current: &mut Current, out: Out<Timeval>, zone: Out<[i32; 2]>) -> Result<()> {
    let memory = current.memory();
    out.write_if(&memory, &current.kernel().clocks().now(t::CLOCK_REALTIME).into())?;
    zone.write_if(&memory, &[0, 0])
}

/// time(2).
pub fn time(current: &mut Current, out: Out<i64>) -> Result<i64> {
    let now = current.kernel().clocks().now(t::CLOCK_REALTIME).as_secs() as i64;
    out.write_if(&current.memory(), &now)?;
    Ok(now)
}

/// Sleeps; when a signal interrupts, what is left goes to `remainder` unless that is 0.
pub async fn sleep_until(current: &mut Current, until: Instant, remainder: u64) -> Result<()> {
    match current.wait_for(Some(until), |_| None::<()>).await {
        Err(WaitEnd::TimedOut) => Ok(()),
        Err(WaitEnd::Interrupted) if Instant::now() >= until => Ok(()),
        _ => {
            if remainder != 0 {
                let left: Timespec = until.saturating_duration_since(Instant::now()).into();
                current.memory().write(remainder, &left)?;
            }
            current.restart = Some(RestartBlock::Nanosleep { until, remainder });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
    }
}

/// nanosleep(2).
pub async fn nanosleep(current: &mut Current, time: In<Timespec>, remainder: Out<Timespec>) -> Result<()> {
    let length = time.read(&current.memory())?.duration().ok_or(Errno::EINVAL)?;
    sleep_until(current, timers::far(length), remainder.address()).await
}

/// clock_nanosleep(2).
pub async fn clock_nanosleep(
    current: &mut Current,
    clock: i32,
    flags: u32,
    time: In<Timespec>,
    remainder: Out<Timespec>,
) -> Result<()> {
    let clock = Clock::from_id(clock)?;
    let time = time.read(&current.memory())?.duration().ok_or(Errno::EINVAL)?;
    let id = match clock {
        Clock::System(t::CLOCK_REALTIME_ALARM | t::CLOCK_BOOTTIME_ALARM)
            if !current.credentials().has(CapabilitySet::WAKE_ALARM) =>
        {
            return Err(Errno::EPERM);
        }
        Clock::System(t::CLOCK_MONOTONIC_RAW | t::CLOCK_REALTIME_COARSE | t::CLOCK_MONOTONIC_COARSE) => {
            return Err(Errno::EOPNOTSUPP);
        }
        Clock::System(id) => id,
        // Sleeping on processor time would need it to pass while asleep; other processes' clocks are not followed.
        Clock::Process(_) | Clock::Thread(_) => return Err(Errno::EOPNOTSUPP),
    };
    if flags & t::TIMER_ABSTIME == 0 {
        return sleep_until(current, timers::far(time), remainder.address()).await;
    }
    let until = current.kernel().clocks().instant(id, time);
    match current.wait_for(Some(until), |_| None::<()>).await {
        Err(WaitEnd::TimedOut) => Ok(()),
        _ => Err(Errno::ERESTARTNOHAND),
    }
}

/// times(2).
pub fn times(current: &mut Current, out: Out<Tms>) -> Result<i64> {
    let ticks = |d: Duration| (d.as_millis() * u128::from(t::USER_HZ) / 1000) as i64;
    let own = current.group_ref().usage();
    let children = current.kernel().tree().process(current.pid()).map(|p| p.children_usage).unwrap_or_default();
    let tms = Tms {
        tms_utime: ticks(own.user),
        tms_stime: ticks(own.system),
        tms_cutime: ticks(children.user),
        tms_cstime: ticks(children.system),
    };
    out.write_if(&current.memory(), &tms)?;
    Ok(ticks(current.kernel().clocks().now(t::CLOCK_MONOTONIC)))
}
