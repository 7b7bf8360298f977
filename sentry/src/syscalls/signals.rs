//! Signals (sigaction(2), sigprocmask(2), kill(2), sigsuspend(2), sigtimedwait(2), sigaltstack(2)).

use std::sync::Arc;
use std::time::Instant;

use moat_abi::errno::Errno;
use moat_abi::signal::{
    MINSIGSTKSZ, RawSigAction, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGCONT, SIGKILL, SIGSTOP, SS_AUTODISARM,
    SS_DISABLE, SS_ONSTACK, SigAction, SigActionFlags, SigAltStack, SigInfo, SigSet, Signal,
};
use moat_abi::time::Timespec;

use super::arguments::{Fd, In, Out, Pid, Replaced, SignalNumber};
use crate::Result;
use crate::fs::pidfd;
use crate::kernel::signal::send::{self, Origin};
use crate::kernel::signal::{frame, mask};
use crate::kernel::task::WaitEnd;
use crate::kernel::{Current, Task, ThreadGroup, timers};

/// `EINVAL` unless the caller's signal set has the kernel's size.
pub fn check_set_size(size: usize) -> Result<()> {
    if size == size_of::<SigSet>() { Ok(()) } else { Err(Errno::EINVAL) }
}

impl SignalNumber {
    /// The signal; 0 is `None`. `EINVAL` for what is neither.
    fn checked(self) -> Result<Option<Signal>> {
        match self.0 {
            0 => Ok(None),
            n => Signal::from_raw(n).map(Some).ok_or(Errno::EINVAL),
        }
    }
}

/// rt_sigaction(2).
pub fn rt_sigaction(
    current: &mut Current,
    number: SignalNumber,
    new: In<RawSigAction>,
    old: Out<RawSigAction>,
    size: usize,
) -> Result<()> {
    check_set_size(size)?;
    let signal = Signal::from_raw(number.0).ok_or(Errno::EINVAL)?;
    let memory = current.memory();
    let new = new.read_if(&memory)?;
    let handlers = current.handlers();
    let previous = match new {
        None => handlers.get(signal),
        Some(_) if signal == SIGKILL || signal == SIGSTOP => return Err(Errno::EINVAL),
        Some(raw) => {
            let mut action = SigAction::from(raw);
            action.mask = action.mask.blockable();
            // Flags that Linux does not know are cleared, so that programs can probe for them.
            action.flags &= SigActionFlags::known();
            let previous = handlers.set(signal, action);
            if handlers.ignores(signal) {
                discard(current, signal);
            }
            previous
        }
    };
    old.write_if(&memory, &previous.into())
}

/// What is pending of a signal that is ignored from now on is thrown away.
fn discard(current: &Current, signal: Signal) {
    let set = SigSet::of(&[signal]);
    let group = current.group();
    group.signals().lock().pending.discard(set);
    for task in group.tasks() {
        task.signals().lock().pending.discard(set);
        task.recalculate_pending();
    }
}

/// rt_sigprocmask(2).
pub fn rt_sigprocmask(current: &mut Current, how: i32, set: In<SigSet>, old: Out<SigSet>, size: usize) -> Result<()> {
    check_set_size(size)?;
    let memory = current.memory();
    let previous = current.signals().lock().blocked;
    if let Some(set) = set.read_if(&memory)? {
        let new = match how {
            SIG_BLOCK => previous.union(set),
            SIG_UNBLOCK => previous.without(set),
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        mask::set(current, new);
    }
    old.write_if(&memory, &previous)
}

/// rt_sigpending(2).
pub fn rt_sigpending(current: &mut Current, out: Out<SigSet>, size: usize) -> Result<()> {
    if size > size_of::<SigSet>() {
        return Err(Errno::EINVAL);
    }
    let pending = {
        let group = current.group_ref().signals().lock();
        let task = current.signals().lock();
        group.pending.set().union(task.pending.set()).intersection(task.blocked)
    };
    current.memory().write_bytes(out.address(), &pending.bits().to_le_bytes()[..size])
}

/// rt_sigsuspend(2).
pub async fn rt_sigsuspend(current: &mut Current, set: In<SigSet>, size: usize) -> Result<()> {
    check_set_size(size)?;
    mask::set_temporary(current, set.read(&current.memory())?);
    let _: std::result::Result<(), WaitEnd> = current.wait_for(None, |_| None::<()>).await;
    Err(Errno::ERESTARTNOHAND)
}

/// pause(2).
pub async fn pause(current: &mut Current) -> Result<()> {
    let _: std::result::Result<(), WaitEnd> = current.wait_for(None, |_| None::<()>).await;
    Err(Errno::ERESTARTNOHAND)
}

/// rt_sigtimedwait(2).
pub async fn rt_sigtimedwait(
    current: &mut Current,
    set: In<SigSet>,
    out: Out<SigInfo>,
    timeout: In<Timespec>,
    size: usize,
) -> Result<i32> {
    check_set_size(size)?;
    let memory = current.memory();
    let wanted = set.read(&memory)?.blockable();
    let until = match timeout.read_if(&memory)? {
        Some(t) => Some(timers::far(t.duration().ok_or(Errno::EINVAL)?)),
        None => None,
    };
    let group = current.group();
    let take = |task: &Task| {
        let mut group = group.signals().lock();
        let mut own = task.signals().lock();
        let not = SigSet::from_bits(!wanted.bits());
        own.pending.pop(not).or_else(|| group.pending.pop(not))
    };
    // For the time of the wait the signals count as unblocked, so that those sent to the process wake this thread and
    // ignored ones are not dropped.
    let taken = match take(current) {
        Some(taken) => Some(taken),
        None if until.is_some_and(|u| u <= Instant::now()) => None,
        None => {
            let task = current.task.clone();
            let end = current
                .wait_for(until, |waiter| {
                    waiter.listen(&task.signal_arrived);
                    waiter.listen(&group.signal_arrived);
                    take(&task)
                })
                .await;
            match end {
                Ok(taken) => Some(taken),
                Err(WaitEnd::TimedOut) => None,
                Err(WaitEnd::Interrupted) => match take(current) {
                    Some(taken) => Some(taken),
                    None => return Err(Errno::EINTR),
                },
            }
        }
    };
    let (signal, info) = taken.ok_or(Errno::EAGAIN)?;
    current.recalculate_pending();
    out.write_if(&memory, &info)?;
    Ok(signal.raw())
}

/// rt_sigreturn(2). A frame that cannot be read is a SIGSEGV.
pub fn rt_sigreturn(current: &mut Current) -> Result<Replaced> {
    match frame::pop(current) {
        Ok(restored) => {
            mask::set(current, restored.mask);
            // An alternate stack that is not valid leaves the old one.
            let _ = set_altstack(current, restored.altstack, restored.stack);
        }
        Err(_) => send::force(&current.task, moat_abi::signal::SIGSEGV, SigInfo::kernel(moat_abi::signal::SIGSEGV)),
    }
    Ok(Replaced)
}

fn set_altstack(current: &Current, new: SigAltStack, rsp: u64) -> Result<()> {
    let mut signals = current.signals().lock();
    if signals.altstack.flags & SS_AUTODISARM == 0 && signals.altstack.contains(rsp) {
        return Err(Errno::EPERM);
    }
    let flags = new.flags & !SS_AUTODISARM;
    if flags != 0 && flags != SS_ONSTACK && flags != SS_DISABLE {
        return Err(Errno::EINVAL);
    }
    if flags == SS_DISABLE {
        signals.altstack = SigAltStack::disabled();
        return Ok(());
    }
    if new.size < MINSIGSTKSZ.max(moat_platform::minimum_signal_stack()) {
        return Err(Errno::ENOMEM);
    }
    signals.altstack = SigAltStack::new(new.sp, new.flags & SS_AUTODISARM, new.size);
    Ok(())
}

/// sigaltstack(2).
pub fn sigaltstack(current: &mut Current, new: In<SigAltStack>, old: Out<SigAltStack>) -> Result<()> {
    let memory = current.memory();
    let new = new.read_if(&memory)?;
    let rsp = current.context.registers().rsp;
    let previous = current.signals().lock().altstack;
    if let Some(new) = new {
        set_altstack(current, new, rsp)?;
    }
    let shown = SigAltStack::new(previous.sp, previous.flags_seen_from(rsp), previous.size);
    old.write_if(&memory, &shown)
}

/// Whether the caller may send to `group` (kill(2)): same user, CAP_KILL, or SIGCONT within the session.
fn may_signal(current: &Current, group: &ThreadGroup, signal: Option<Signal>) -> Result<()> {
    if group.pid() == current.pid() {
        return Ok(());
    }
    let own = current.credentials();
    let Some(other) = group.tasks().first().map(|t| t.credentials()) else { return Ok(()) };
    if own.may_signal(&other) {
        return Ok(());
    }
    if signal == Some(SIGCONT) {
        let tree = current.kernel().tree();
        let session = |pid| tree.process(pid).map(|p| p.session);
        if session(group.pid()) == session(current.pid()) {
            return Ok(());
        }
    }
    Err(Errno::EPERM)
}

fn send_to(current: &Current, group: &Arc<ThreadGroup>, signal: Option<Signal>, info: Option<SigInfo>) -> Result<()> {
    may_signal(current, group, signal)?;
    let Some(signal) = signal else { return Ok(()) };
    let info = info
        .unwrap_or_else(|| SigInfo::user(signal, SigInfo::SI_USER, current.pid() as i32, current.credentials().uid));
    send::to_process(group, signal, info, Origin::Inside)
}

/// kill(2).
pub fn kill(current: &mut Current, pid: Pid, number: SignalNumber) -> Result<()> {
    let signal = number.checked()?;
    let own = current.pid();
    let targets: Vec<Arc<ThreadGroup>> = {
        let tree = current.kernel().tree();
        match pid.0 {
            i32::MIN => return Err(Errno::ESRCH),
            0 => {
                let group = tree.process(own).map_or(0, |p| p.process_group);
                tree.group_members(group)
            }
            -1 => tree
                .processes()
                .filter(|(pid, p)| *pid > 1 && *pid != own && p.zombie.is_none())
                .map(|(_, p)| p.group.clone())
                .collect(),
            p if p < 0 => tree.group_members(p.unsigned_abs()),
            p => {
                let group = match tree.process(p as u32) {
                    Some(process) => process.group.clone(),
                    None => tree.task(p as u32).map(|t| t.group()).ok_or(Errno::ESRCH)?,
                };
                drop(tree);
                return send_to(current, &group, signal, None);
            }
        }
    };
    if targets.is_empty() {
        return Err(Errno::ESRCH);
    }
    let mut result = Err(Errno::EPERM);
    for group in targets {
        match send_to(current, &group, signal, None) {
            Ok(()) => result = Ok(()),
            Err(Errno::EPERM) => {}
            Err(e) if result.is_err() => result = Err(e),
            Err(_) => {}
        }
    }
    result
}

fn find_thread(current: &Current, group: Option<i32>, tid: Pid) -> Result<Arc<Task>> {
    if tid.0 <= 0 || group.is_some_and(|g| g <= 0) {
        return Err(Errno::EINVAL);
    }
    let task = current.kernel().tree().task(tid.0 as u32).ok_or(Errno::ESRCH)?;
    if group.is_some_and(|g| g as u32 != task.pid()) { Err(Errno::ESRCH) } else { Ok(task) }
}

fn send_to_thread(current: &Current, task: &Arc<Task>, signal: Option<Signal>, info: Option<SigInfo>) -> Result<()> {
    may_signal(current, task.group_ref(), signal)?;
    let Some(signal) = signal else { return Ok(()) };
    let info = info
        .unwrap_or_else(|| SigInfo::user(signal, SigInfo::SI_TKILL, current.pid() as i32, current.credentials().uid));
    send::to_task(task, signal, info, Origin::Inside)
}

/// tkill(2).
pub fn tkill(current: &mut Current, tid: Pid, number: SignalNumber) -> Result<()> {
    let signal = number.checked()?;
    let task = find_thread(current, None, tid)?;
    send_to_thread(current, &task, signal, None)
}

/// tgkill(2).
pub fn tgkill(current: &mut Current, pid: Pid, tid: Pid, number: SignalNumber) -> Result<()> {
    let signal = number.checked()?;
    let task = find_thread(current, Some(pid.0), tid)?;
    send_to_thread(current, &task, signal, None)
}

/// A siginfo that a process sends itself: only the kernel's own codes may not be forged, but to oneself.
fn forged(current: &Current, info: In<SigInfo>, number: SignalNumber, to: u32) -> Result<SigInfo> {
    let mut info = info.read(&current.memory())?;
    if (info.code >= 0 || info.code == SigInfo::SI_TKILL) && to != current.pid() {
        return Err(Errno::EPERM);
    }
    info.signo = number.0;
    Ok(info)
}

/// rt_sigqueueinfo(2).
pub fn rt_sigqueueinfo(current: &mut Current, pid: Pid, number: SignalNumber, info: In<SigInfo>) -> Result<()> {
    let info = forged(current, info, number, pid.0 as u32)?;
    let signal = number.checked()?;
    let group = current.kernel().tree().process(pid.0 as u32).map(|p| p.group.clone()).ok_or(Errno::ESRCH)?;
    send_to(current, &group, signal, Some(info))
}

/// rt_tgsigqueueinfo(2).
pub fn rt_tgsigqueueinfo(
    current: &mut Current,
    pid: Pid,
    tid: Pid,
    number: SignalNumber,
    info: In<SigInfo>,
) -> Result<()> {
    let info = forged(current, info, number, pid.0 as u32)?;
    let signal = number.checked()?;
    let task = find_thread(current, Some(pid.0), tid)?;
    send_to_thread(current, &task, signal, Some(info))
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(
    current: &mut Current,
    fd: Fd,
    number: SignalNumber,
    info: In<SigInfo>,
    flags: u32,
) -> Result<()> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(fd.0)?;
    let group = pidfd::addressee(&file)?;
    let signal = number.checked()?;
    let info = match info.is_null() {
        true => None,
        false => {
            let info = forged(current, info, number, group.pid())?;
            Some(info)
        }
    };
    // One that has ended takes signals, though they do nothing, until it was waited for.
    let there = current.kernel().tree().process(group.pid()).is_some_and(|p| Arc::ptr_eq(&p.group, &group));
    if !there {
        return Err(Errno::ESRCH);
    }
    send_to(current, &group, signal, info)
}

/// restart_syscall(2): goes on with what a signal without a handler interrupted.
pub async fn restart_syscall(current: &mut Current) -> Result<u64> {
    use crate::kernel::current::RestartBlock;
    match current.restart.take() {
        Some(RestartBlock::Nanosleep { until, remainder }) => {
            super::clock::sleep_until(current, until, remainder).await.map(|()| 0)
        }
        Some(RestartBlock::Futex { address, value, bitset, private, until }) => {
            super::futex::wait_until(current, address, value, bitset, private, Some(until)).await
        }
        Some(RestartBlock::Poll { fds, count, until }) => super::poll::restart(current, fds, count, until).await,
        None => Err(Errno::EINTR),
    }
}
