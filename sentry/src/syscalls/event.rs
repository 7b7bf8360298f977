//! Descriptors for events: eventfd(2), timerfd_create(2), signalfd(2).

use std::time::Instant;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::signal::SigSet;
use moat_abi::time::{
    CLOCK_BOOTTIME, CLOCK_BOOTTIME_ALARM, CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_REALTIME_ALARM, Itimerspec,
};

use super::arguments::{Fd, In, Out};
use super::descriptors::install;
use super::signals::check_set_size;
use crate::Result;
use crate::fs::signalfd::SignalFd;
use crate::fs::timerfd::{Setting, TimerFd};
use crate::fs::{eventfd, signalfd, timerfd};
use crate::kernel::{Current, timers};

const EFD_SEMAPHORE: u32 = 1;
const TFD_TIMER_ABSTIME: u32 = 1;
const TFD_TIMER_CANCEL_ON_SET: u32 = 2;

/// `EINVAL` if there is more in `flags` than O_CLOEXEC and O_NONBLOCK.
pub(super) fn check_flags(flags: OpenFlags) -> Result<()> {
    if (flags - (OpenFlags::CLOEXEC | OpenFlags::NONBLOCK)).is_empty() { Ok(()) } else { Err(Errno::EINVAL) }
}

/// eventfd(2) of old, without flags.
pub fn eventfd(current: &mut Current, count: u32) -> Result<Fd> {
    eventfd2(current, count, 0)
}

/// eventfd2(2).
pub fn eventfd2(current: &mut Current, count: u32, flags: u32) -> Result<Fd> {
    let status = OpenFlags::from_bits_retain(flags & !EFD_SEMAPHORE);
    check_flags(status)?;
    let file = eventfd::open(u64::from(count), flags & EFD_SEMAPHORE != 0, status & OpenFlags::NONBLOCK);
    install(current, file, status.contains(OpenFlags::CLOEXEC))
}

/// timerfd_create(2).
pub fn timerfd_create(current: &mut Current, clock: i32, flags: OpenFlags) -> Result<Fd> {
    check_flags(flags)?;
    match clock {
        CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME => {}
        CLOCK_REALTIME_ALARM | CLOCK_BOOTTIME_ALARM => {
            if !current.credentials().has(CapabilitySet::WAKE_ALARM) {
                return Err(Errno::EPERM);
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    install(current, timerfd::open(clock, flags & OpenFlags::NONBLOCK), flags.contains(OpenFlags::CLOEXEC))
}

fn itimerspec((value, interval): Setting) -> Itimerspec {
    Itimerspec { it_interval: interval.into(), it_value: value.into() }
}

/// timerfd_settime(2). TFD_TIMER_CANCEL_ON_SET has nothing to cancel by: nobody in a container sets the clock.
pub fn timerfd_settime(
    current: &mut Current,
    fd: Fd,
    flags: u32,
    new: In<Itimerspec>,
    old: Out<Itimerspec>,
) -> Result<()> {
    let memory = current.memory();
    let new = new.read(&memory)?;
    let (Some(value), Some(interval)) = (new.it_value.duration(), new.it_interval.duration()) else {
        return Err(Errno::EINVAL);
    };
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    let timer = file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    let at: Option<Instant> = match value.is_zero() {
        true => None,
        false if flags & TFD_TIMER_ABSTIME != 0 => Some(current.kernel().clocks().instant(timer.clock, value)),
        false => Some(timers::far(value)),
    };
    let previous = timer.set(at, interval, flags);
    old.write_if(&memory, &itimerspec(previous))
}

/// timerfd_gettime(2).
pub fn timerfd_gettime(current: &mut Current, fd: Fd, out: Out<Itimerspec>) -> Result<()> {
    let file = current.files().get(fd.0)?;
    let timer = file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    out.write(&current.memory(), &itimerspec(timer.get()))
}

/// signalfd(2) of old, without flags.
pub fn signalfd(current: &mut Current, fd: Fd, mask: In<SigSet>, size: usize) -> Result<Fd> {
    signalfd4(current, fd, mask, size, OpenFlags::empty())
}

/// signalfd4(2).
pub fn signalfd4(current: &mut Current, fd: Fd, mask: In<SigSet>, size: usize, flags: OpenFlags) -> Result<Fd> {
    check_set_size(size)?;
    let mask = mask.read(&current.memory())?;
    check_flags(flags)?;
    if fd.0 == -1 {
        return install(
            current,
            signalfd::open(current, mask, flags & OpenFlags::NONBLOCK),
            flags.contains(OpenFlags::CLOEXEC),
        );
    }
    let file = current.files().get(fd.0)?;
    file.downcast::<SignalFd>().ok_or(Errno::EINVAL)?.set_mask(mask);
    Ok(fd)
}
