//! Sending signals.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::signal::{SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SigInfo, SigSet, Signal};

use super::{SIG_DFL, Stop, mask};
use crate::Result;
use crate::kernel::task::Task;
use crate::kernel::thread_group::ThreadGroup;
use crate::kernel::wait::{self, ChildEvent};

/// Where a signal comes from, which decides what init can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A task of the container.
    Inside,
    /// The runtime, an engine, or the kernel for a fault.
    Outside,
}

/// The signals that stop.
pub const STOPS: SigSet = SigSet::of(&[SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]);

/// Sends to a whole process: any thread that does not block the signal may take it.
pub fn to_process(group: &Arc<ThreadGroup>, signal: Signal, info: SigInfo, origin: Origin) -> Result<()> {
    let tasks = group.tasks();
    prepare(group, &tasks, signal);
    if is_dropped(group, &tasks, None, &info, signal, origin) {
        return Ok(());
    }
    {
        let mut signals = group.signals().lock();
        if signals.exiting.is_some() {
            return Ok(());
        }
        if signal == SIGKILL {
            signals.exiting = Some(moat_abi::wait::signaled(SIGKILL, false));
        } else {
            if group.is_queue_full(&signals.pending, signal, &info) {
                return Err(Errno::EAGAIN);
            }
            signals.pending.push(signal, info);
        }
    }
    if signal == SIGKILL {
        for task in &tasks {
            task.recalculate_pending();
        }
        return Ok(());
    }
    group.signal_arrived.wake_all();
    // As they are now: a thread that has left since then has told others of what was pending before it did.
    let tasks = group.tasks();
    for task in &tasks {
        task.signal_arrived.wake_all();
    }
    mask::announce(tasks.iter(), SigSet::of(&[signal]));
    Ok(())
}

/// Sends to one thread.
pub fn to_task(task: &Arc<Task>, signal: Signal, info: SigInfo, origin: Origin) -> Result<()> {
    let group = task.group();
    if signal == SIGKILL {
        return to_process(&group, signal, info, origin);
    }
    let tasks = group.tasks();
    prepare(&group, &tasks, signal);
    if is_dropped(&group, &tasks, Some(task), &info, signal, origin) {
        return Ok(());
    }
    {
        let mut signals = task.signals().lock();
        if group.is_queue_full(&signals.pending, signal, &info) {
            return Err(Errno::EAGAIN);
        }
        signals.pending.push(signal, info);
    }
    task.recalculate_pending();
    task.signal_arrived.wake_all();
    Ok(())
}

/// Sends a signal that cannot be ignored or blocked (a fault): if the task does either, the default action is taken.
pub fn force(task: &Arc<Task>, signal: Signal, info: SigInfo) {
    let handlers = task.handlers();
    {
        let mut signals = task.signals().lock();
        if signals.blocked.contains(signal) || handlers.get(signal).handler == super::SIG_IGN {
            signals.blocked.remove(signal);
            handlers.set(signal, Default::default());
        }
        signals.pending.push(signal, info);
    }
    task.recalculate_pending();
}

/// What a signal does by being sent at all: SIGCONT continues and throws away stops, a stop throws away SIGCONTs.
fn prepare(group: &Arc<ThreadGroup>, tasks: &[Arc<Task>], signal: Signal) {
    if signal == SIGCONT || signal == SIGKILL {
        let was_stopped = {
            let mut signals = group.signals().lock();
            if signal == SIGCONT {
                signals.pending.discard(STOPS);
            }
            signals.stop.take()
        };
        for task in tasks {
            if signal == SIGCONT {
                task.signals().lock().pending.discard(STOPS);
            }
            task.recalculate_pending();
        }
        if let Some(Stop { .. }) = was_stopped {
            group.continued.wake_all();
            if signal == SIGCONT {
                wait::notify_parent(group, ChildEvent::Continued);
            }
        }
    } else if STOPS.contains(signal) {
        let conts = SigSet::of(&[SIGCONT]);
        group.signals().lock().pending.discard(conts);
        for task in tasks {
            task.signals().lock().pending.discard(conts);
        }
    }
}

/// Whether the signal has no effect and need not be queued.
fn is_dropped(
    group: &Arc<ThreadGroup>,
    tasks: &[Arc<Task>],
    target: Option<&Arc<Task>>,
    info: &SigInfo,
    signal: Signal,
    origin: Origin,
) -> bool {
    let Some(any) = target.or_else(|| tasks.first()) else { return true };
    let handlers = any.handlers();
    // Init takes only what it has a handler for; from outside, also SIGKILL and SIGSTOP (pid_namespaces(7)).
    if group.is_init() && !any.kernel().ordinary_init && handlers.get(signal).handler == SIG_DFL {
        let unstoppable = signal == SIGKILL || signal == SIGSTOP;
        let taken = match unstoppable {
            true => origin == Origin::Outside,
            false => any.signals().lock().blocked.contains(signal),
        };
        if !taken {
            trace_dropped(any, signal, info);
            return true;
        }
    }
    if !handlers.ignores(signal) {
        return false;
    }
    let blocks = |task: &Arc<Task>| {
        let signals = task.signals().lock();
        signals.blocked.contains(signal) || signals.restore.is_some_and(|r| r.contains(signal))
    };
    let dropped = match target {
        Some(task) => !blocks(task),
        None => !tasks.iter().any(blocks),
    };
    if dropped {
        trace_dropped(any, signal, info);
    }
    dropped
}

/// A tracer is told of a signal that has no effect, unless it is one that is never reported.
fn trace_dropped(task: &Task, signal: Signal, info: &SigInfo) {
    if signal != SIGKILL
        && let Some(tracer) = task.kernel().tracer()
    {
        tracer.ignored_signal(task.tid(), info);
    }
}
