//! The signal mask of a task, and what its changes mean for other threads.
//!
//! A signal sent to a process is announced to one thread that lets it through. If that thread blocks it, or ends, before
//! it has taken it, the signal is another's, who has to be told: `retarget_shared_pending` of Linux's kernel/signal.c.

use std::sync::Arc;

use moat_abi::signal::SigSet;

use super::TaskSignals;
use crate::kernel::{Task, ThreadGroup};

/// Sets the mask; what it lets through now is delivered at the end of the call.
pub fn set(task: &Task, mask: SigSet) {
    change(task, |signals| signals.blocked = mask.blockable());
    task.recalculate_pending();
}

/// Sets a mask for the time of a call (ppoll, pselect, epoll_pwait, sigsuspend): the old one comes back at delivery,
/// after a handler's frame has recorded it.
pub fn set_temporary(task: &Task, mask: SigSet) {
    change(task, |signals| {
        let old = signals.blocked;
        signals.restore.get_or_insert(old);
        signals.blocked = mask.blockable();
    });
    task.recalculate_pending();
}

/// Puts the old mask back when the call ends without an interruption.
pub fn restore(task: &Task) {
    if restore_for_delivery(task) {
        task.recalculate_pending();
    }
}

/// The same for who looks at what is pending afterwards. False if no temporary mask was set.
pub fn restore_for_delivery(task: &Task) -> bool {
    change(task, |signals| signals.restore.take().map(|mask| signals.blocked = mask).is_some())
}

/// Adds to the mask while a handler is entered; delivery looks at what is pending afterwards.
pub fn add(task: &Task, more: SigSet) {
    change(task, |signals| signals.blocked = signals.blocked.union(more).blockable());
}

/// Changes the mask, and tells other threads of signals that this one does not let through any more.
fn change<T>(task: &Task, by: impl FnOnce(&mut TaskSignals) -> T) -> T {
    let (result, grown) = {
        let mut signals = task.signals().lock();
        let before = signals.blocked;
        let result = by(&mut signals);
        (result, signals.blocked.without(before))
    };
    if !grown.is_empty() {
        retarget(task.group_ref(), grown, Some(task));
    }
    result
}

/// Of what is pending for the process, tells other threads than `except` of what is in `which`.
pub fn retarget(group: &ThreadGroup, which: SigSet, except: Option<&Task>) {
    let pending = group.signals().lock().pending.set().intersection(which);
    if !pending.is_empty() {
        let tasks = group.tasks();
        announce(tasks.iter().filter(|task| except.is_none_or(|e| !std::ptr::eq(e, Arc::as_ptr(task)))), pending);
    }
}

/// Tells one thread for each of these signals, which are pending for the process: the first that lets it through.
pub fn announce<'a>(tasks: impl Iterator<Item = &'a Arc<Task>>, mut signals: SigSet) {
    for task in tasks {
        let blocked = task.signals().lock().blocked;
        if signals.without(blocked).is_empty() {
            continue;
        }
        task.recalculate_pending();
        signals = signals.intersection(blocked);
        if signals.is_empty() {
            return;
        }
    }
}
