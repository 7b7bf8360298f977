//! A process's timers: setitimer(2), timer_create(2).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::resource::{RLIM_INFINITY, Resource};
use moat_abi::signal::{SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU, SigInfo, Signal};

use super::clock::Clock;
use super::signal::send::{self, Origin};
use super::thread_group::ThreadGroup;
use crate::Result;
use crate::executor::timer::{Armed, TimerQueue};
use crate::executor::wait::Notify;

/// See the module.
#[derive(Default)]
pub struct ProcessTimers {
    real: Option<RealTimer>,
    /// ITIMER_VIRTUAL and ITIMER_PROF.
    cpu: [Option<CpuTimer>; 2],
    /// The next look at the processor time, while a timer or RLIMIT_CPU wants it.
    cpu_tick: Option<Armed>,
    posix: BTreeMap<i32, PosixTimer>,
    next: i32,
}

/// ITIMER_REAL.
struct RealTimer {
    expires: Instant,
    interval: Duration,
    _armed: Armed,
}

/// A timer that counts processor time, and when it expires in that.
#[derive(Clone, Copy)]
struct CpuTimer {
    expires: Duration,
    interval: Duration,
}

/// What a timer that counts processor time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuKind {
    /// Time in application code (ITIMER_VIRTUAL).
    User,
    /// That and the kernel's on its behalf (ITIMER_PROF).
    All,
}

/// How often processor time is looked at: for timers, and for RLIMIT_CPU, which counts seconds.
const TIMER_TICK: Duration = Duration::from_millis(4);
const LIMIT_TICK: Duration = Duration::from_millis(100);

struct CpuTick(Weak<ThreadGroup>);

impl Notify for CpuTick {
    fn notify(&self) {
        if let Some(group) = self.0.upgrade() {
            tick_cpu(&group);
        }
    }
}

/// Looks at the processor time from time to time, as long as something wants it.
pub fn watch_cpu(group: &Arc<ThreadGroup>) {
    let replaced = {
        let mut state = group.state().lock();
        let limit = state.limits.get(Resource::Cpu);
        let posix = state.timers.posix.values().any(|timer| matches!(timer.expires, Some(Due::Spent(_))));
        let period = match posix || state.timers.cpu.iter().any(Option::is_some) {
            true => Some(TIMER_TICK),
            false => (limit.soft.min(limit.hard) != RLIM_INFINITY).then_some(LIMIT_TICK),
        };
        let tick =
            period.map(|p| TimerQueue::global().arm(Instant::now() + p, Arc::new(CpuTick(Arc::downgrade(group)))));
        std::mem::replace(&mut state.timers.cpu_tick, tick)
    };
    drop(replaced);
}

fn tick_cpu(group: &Arc<ThreadGroup>) {
    if group.task_count() == 0 {
        return;
    }
    let usage = group.usage();
    let total = usage.user + usage.system;
    let mut signals = Vec::new();
    {
        let mut state = group.state().lock();
        for (timer, now, signal) in state
            .timers
            .cpu
            .iter_mut()
            .zip([usage.user, total])
            .zip([SIGVTALRM, SIGPROF])
            .map(|((timer, now), signal)| (timer, now, signal))
        {
            if let Some(due) = *timer
                && due.expires <= now
            {
                signals.push(signal);
                let late = (now - due.expires).as_nanos() / due.interval.as_nanos().max(1);
                let missed = u32::try_from(late).unwrap_or(u32::MAX - 1);
                *timer = (!due.interval.is_zero())
                    .then(|| CpuTimer { expires: due.expires + due.interval * (missed + 1), ..due });
            }
        }
        let mut limit = state.limits.get(Resource::Cpu);
        if total.as_secs() >= limit.hard.max(1) {
            signals.push(SIGKILL);
        } else if total.as_secs() >= limit.soft.max(1) {
            // Said again each second.
            signals.push(SIGXCPU);
            limit.soft += 1;
            state.limits.set(Resource::Cpu, limit);
        }
    }
    for signal in signals {
        // Standard signals of the kernel are not refused.
        let _ = send::to_process(group, signal, SigInfo::kernel(signal), Origin::Inside);
    }
    fire_spent(group);
    watch_cpu(group);
}

/// Fires the POSIX timers that count processor time and whose time has come.
fn fire_spent(group: &Arc<ThreadGroup>) {
    let armed: Vec<(i32, Clock, Duration)> = {
        let state = group.state().lock();
        let armed = |(id, timer): (&i32, &PosixTimer)| match timer.expires {
            Some(Due::Spent(at)) => Some((*id, timer.clock, at)),
            _ => None,
        };
        state.timers.posix.iter().filter_map(armed).collect()
    };
    let Some(task) = group.tasks().into_iter().next() else { return };
    for (id, clock, at) in armed {
        // A clock whose process or thread has ended stands still.
        match task.kernel().clocks().read(&task, clock) {
            Ok(now) if now >= at => fire_posix(group, id, Due::Spent(at), now),
            _ => {}
        }
    }
}

fn cpu_setting(timer: Option<CpuTimer>, now: Duration) -> Setting {
    timer.map_or_else(Default::default, |t| (t.expires.saturating_sub(now).max(Duration::from_micros(1)), t.interval))
}

fn spent(group: &Arc<ThreadGroup>, kind: CpuKind) -> Duration {
    let usage = group.usage();
    match kind {
        CpuKind::User => usage.user,
        CpuKind::All => usage.user + usage.system,
    }
}

/// The setting of ITIMER_VIRTUAL or ITIMER_PROF.
pub fn cpu(group: &Arc<ThreadGroup>, kind: CpuKind) -> Setting {
    let now = spent(group, kind);
    cpu_setting(group.state().lock().timers.cpu[kind as usize], now)
}

/// Sets ITIMER_VIRTUAL or ITIMER_PROF; the old setting.
pub fn set_cpu(group: &Arc<ThreadGroup>, kind: CpuKind, value: Duration, interval: Duration) -> Setting {
    let now = spent(group, kind);
    let new = (!value.is_zero()).then(|| CpuTimer { expires: now.saturating_add(value), interval });
    let old = std::mem::replace(&mut group.state().lock().timers.cpu[kind as usize], new);
    watch_cpu(group);
    cpu_setting(old, now)
}

/// What a POSIX timer does when it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing (SIGEV_NONE).
    Nothing,
    /// Sends a signal to the process.
    Process(Signal, u64),
    /// Sends a signal to a thread.
    Thread(Signal, u64, u32),
}

/// When a timer expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Then.
    At(Instant),
    /// When its clock, which counts processor time, shows this.
    Spent(Duration),
}

/// A timer of timer_create.
pub struct PosixTimer {
    clock: Clock,
    expiry: Expiry,
    expires: Option<Due>,
    interval: Duration,
    overrun: i32,
    armed: Option<Armed>,
}

/// The most POSIX timers of a process.
const POSIX_MAX: usize = 1024;

struct Fire {
    group: Weak<ThreadGroup>,
    /// `None` for ITIMER_REAL.
    timer: Option<i32>,
    /// The expiry that it stands for: a timer may be set anew while this is on its way.
    at: Instant,
}

impl Notify for Fire {
    fn notify(&self) {
        let Some(group) = self.group.upgrade() else { return };
        match self.timer {
            None => fire_real(&group, self.at),
            Some(id) => fire_posix(&group, id, Due::At(self.at), Duration::ZERO),
        }
    }
}

/// Under the lock under which the timer is set to expire then: what fires looks for that.
fn arm(group: &Arc<ThreadGroup>, at: Instant, timer: Option<i32>) -> Armed {
    TimerQueue::global().arm(at, Arc::new(Fire { group: Arc::downgrade(group), timer, at }))
}

/// The next expiry of a periodic timer that expired at `last`, and how many were missed.
fn next_expiry(last: Instant, interval: Duration) -> (Instant, i32) {
    let late = Instant::now().saturating_duration_since(last);
    let missed = (late.as_nanos() / interval.as_nanos().max(1)).min(i32::MAX as u128) as u32;
    (last + interval * (missed + 1), missed as i32)
}

fn fire_real(group: &Arc<ThreadGroup>, at: Instant) {
    {
        let mut state = group.state().lock();
        let Some(timer) = state.timers.real.take_if(|timer| timer.expires == at) else { return };
        if !timer.interval.is_zero() {
            let (expires, _) = next_expiry(timer.expires, timer.interval);
            state.timers.real =
                Some(RealTimer { expires, interval: timer.interval, _armed: arm(group, expires, None) });
        }
    }
    // SIGALRM is no queued signal; it cannot be refused.
    let _ = send::to_process(group, SIGALRM, SigInfo::kernel(SIGALRM), Origin::Inside);
}

/// `now` is what a clock of processor time shows.
fn fire_posix(group: &Arc<ThreadGroup>, id: i32, due: Due, now: Duration) {
    let (expiry, overrun) = {
        let mut state = group.state().lock();
        let Some(timer) = state.timers.posix.get_mut(&id).filter(|timer| timer.expires == Some(due)) else { return };
        let mut missed = 0;
        match timer.expires.take() {
            Some(Due::At(last)) if !timer.interval.is_zero() => {
                let (expires, late) = next_expiry(last, timer.interval);
                missed = late;
                timer.expires = Some(Due::At(expires));
                timer.armed = Some(arm(group, expires, Some(id)));
            }
            Some(Due::Spent(last)) if !timer.interval.is_zero() => {
                let late = now.saturating_sub(last).as_nanos() / timer.interval.as_nanos();
                let late = late.min(i32::MAX as u128) as u32;
                missed = late as i32;
                timer.expires = Some(Due::Spent(last + timer.interval * late + timer.interval));
            }
            _ => timer.armed = None,
        }
        timer.overrun = missed;
        (timer.expiry, missed)
    };
    match expiry {
        Expiry::Nothing => {}
        Expiry::Process(signal, value) => {
            let _ = send::to_process(group, signal, SigInfo::timer(signal, id, overrun, value), Origin::Inside);
        }
        Expiry::Thread(signal, value, tid) => {
            if let Some(task) = group.tasks().into_iter().find(|t| t.tid() == tid) {
                let _ = send::to_task(&task, signal, SigInfo::timer(signal, id, overrun, value), Origin::Inside);
            }
        }
    }
}

impl ProcessTimers {
    /// What `execve` keeps: the interval timers.
    pub fn keep_over_exec(&mut self) -> Self {
        Self { real: self.real.take(), cpu: self.cpu, cpu_tick: self.cpu_tick.take(), ..Self::default() }
    }
}

/// How long until a timer expires, and its interval; zeroes if it is not armed.
pub type Setting = (Duration, Duration);

fn left(expires: Option<Instant>) -> Duration {
    // An armed timer never shows zero.
    expires.map_or(Duration::ZERO, |e| e.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1000)))
}

/// ITIMER_REAL's setting.
pub fn real(group: &Arc<ThreadGroup>) -> Setting {
    let state = group.state().lock();
    state.timers.real.as_ref().map_or_else(Default::default, |t| (left(Some(t.expires)), t.interval))
}

/// Sets ITIMER_REAL; the old setting.
pub fn set_real(group: &Arc<ThreadGroup>, value: Duration, interval: Duration) -> Setting {
    let old = real(group);
    let replaced = {
        let mut state = group.state().lock();
        let new = (!value.is_zero()).then(|| {
            let expires = far(value);
            RealTimer { expires, interval, _armed: arm(group, expires, None) }
        });
        std::mem::replace(&mut state.timers.real, new)
    };
    drop(replaced);
    old
}

/// An instant that far ahead, within what the host can count.
pub fn far(ahead: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(ahead).unwrap_or_else(|| now + Duration::from_secs(u64::from(u32::MAX)))
}

/// `timer_create`.
pub fn create(group: &Arc<ThreadGroup>, clock: Clock, expiry: impl FnOnce(i32) -> Expiry) -> Result<i32> {
    let mut state = group.state().lock();
    let timers = &mut state.timers;
    if timers.posix.len() >= POSIX_MAX {
        return Err(Errno::EAGAIN);
    }
    let mut id = timers.next;
    while timers.posix.contains_key(&id) {
        id = id.wrapping_add(1) & i32::MAX;
    }
    timers.next = id.wrapping_add(1) & i32::MAX;
    let timer =
        PosixTimer { clock, expiry: expiry(id), expires: None, interval: Duration::ZERO, overrun: 0, armed: None };
    timers.posix.insert(id, timer);
    Ok(id)
}

/// The clock of a timer.
pub fn clock_of(group: &Arc<ThreadGroup>, id: i32) -> Result<Clock> {
    group.state().lock().timers.posix.get(&id).map(|t| t.clock).ok_or(Errno::EINVAL)
}

/// How long until a POSIX timer expires, if `now` is what a clock of processor time shows.
fn left_of(expires: Option<Due>, now: Duration) -> Duration {
    match expires {
        Some(Due::Spent(at)) => at.saturating_sub(now).max(Duration::from_nanos(1)),
        Some(Due::At(at)) => left(Some(at)),
        None => Duration::ZERO,
    }
}

/// `timer_settime`: expires when `due` says (`None` disarms); the old setting. `now` is what a clock of processor time
/// shows.
pub fn set(group: &Arc<ThreadGroup>, id: i32, due: Option<Due>, interval: Duration, now: Duration) -> Result<Setting> {
    let (old, replaced) = {
        let mut state = group.state().lock();
        let armed = match due {
            Some(Due::At(at)) => Some(arm(group, at, Some(id))),
            _ => None,
        };
        let timer = state.timers.posix.get_mut(&id).ok_or(Errno::EINVAL)?;
        let old = (left_of(timer.expires, now), timer.interval);
        timer.expires = due;
        timer.interval = interval;
        timer.overrun = 0;
        (old, std::mem::replace(&mut timer.armed, armed))
    };
    drop(replaced);
    if matches!(due, Some(Due::Spent(_))) {
        watch_cpu(group);
    }
    Ok(old)
}

/// `timer_gettime`; `now` as for [`set`].
pub fn get(group: &Arc<ThreadGroup>, id: i32, now: Duration) -> Result<Setting> {
    let state = group.state().lock();
    let timer = state.timers.posix.get(&id).ok_or(Errno::EINVAL)?;
    Ok((left_of(timer.expires, now), timer.interval))
}

/// `timer_getoverrun`.
pub fn overrun(group: &Arc<ThreadGroup>, id: i32) -> Result<i32> {
    group.state().lock().timers.posix.get(&id).map(|t| t.overrun).ok_or(Errno::EINVAL)
}

/// `timer_delete`.
pub fn delete(group: &Arc<ThreadGroup>, id: i32) -> Result<()> {
    let removed = group.state().lock().timers.posix.remove(&id);
    removed.map(drop).ok_or(Errno::EINVAL)
}
