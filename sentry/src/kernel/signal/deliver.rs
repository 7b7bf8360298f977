//! Delivery: what a task does about what is pending, before it goes (back) to application code.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::nr;
use moat_abi::signal::{SIGSEGV, SIGSTOP, SS_AUTODISARM, SigActionFlags, SigAltStack, SigInfo, Signal};

use super::{DefaultAction, SIG_DFL, SIG_IGN, Stop, default_action, frame, mask, send};
use crate::kernel::current::Interrupted;
use crate::kernel::wait::{self, ChildEvent};
use crate::kernel::{Current, ThreadGroup, exit};

/// Handles everything that is pending: ends, pauses, stops, handlers. Afterwards the task may run on, unless
/// `current.ending` is set.
pub async fn deliver(current: &mut Current) {
    loop {
        let (exiting, replaced, stop) = {
            let group = current.group_ref().signals().lock();
            let stop = group.stop.map(|stop| stop.number);
            (group.exiting, group.exec_by.is_some_and(|by| by != current.tid()), stop)
        };
        if let Some(status) = exiting {
            current.ending = Some(status);
            return;
        }
        if replaced {
            current.ending = Some(0);
            return;
        }
        if current.kernel().is_paused() {
            let kernel = current.kernel().clone();
            // Only the end interrupts it, which the loop sees.
            let _ = current
                .wait_killable(|waiter| {
                    waiter.listen(&kernel.resumed);
                    (!kernel.is_paused()).then_some(())
                })
                .await;
            continue;
        }
        if let Some(number) = stop {
            let group = current.group();
            halted(current, number);
            let _ = current
                .wait_killable(|waiter| {
                    waiter.listen(&group.continued);
                    // A process that is continued may be stopped again before all of its threads have seen it.
                    let same = group.signals().lock().stop.is_some_and(|stop| stop.number == number);
                    (!same).then_some(())
                })
                .await;
            continue;
        }
        let Some((signal, info)) = take(current) else { break };
        if let Some(tracer) = current.kernel().tracer() {
            tracer.signal(current.tid(), &info);
        }
        if act(current, signal, info) {
            break;
        }
        if current.ending.is_some() {
            return;
        }
    }
    finish(current);
    current.recalculate_pending();
}

/// The next signal that is not blocked: the task's own, then the process's.
fn take(current: &Current) -> Option<(Signal, SigInfo)> {
    let mut group = current.group_ref().signals().lock();
    let mut task = current.signals().lock();
    let blocked = task.blocked;
    task.pending.pop(blocked).or_else(|| group.pending.pop(blocked))
}

/// Does what the signal's action says. True if a handler was entered.
fn act(current: &mut Current, signal: Signal, info: SigInfo) -> bool {
    let handlers = current.handlers();
    let action = handlers.get(signal);
    match action.handler {
        SIG_IGN => return false,
        SIG_DFL => {
            by_default(current, signal);
            return false;
        }
        _ => {}
    }
    if let Some(interrupted) = current.interrupted.take() {
        let restart = match interrupted.errno {
            Errno::ERESTARTSYS => action.flags.contains(SigActionFlags::RESTART),
            Errno::ERESTARTNOINTR => true,
            _ => false,
        };
        if restart {
            call_again(current, interrupted.number);
        } else {
            current.context.set_result(-i64::from(Errno::EINTR.raw()) as u64);
        }
    }
    if action.flags.contains(SigActionFlags::RESETHAND) {
        handlers.set(signal, moat_abi::signal::SigAction { handler: SIG_DFL, ..action });
    }
    let (saved, altstack) = {
        let mut signals = current.signals().lock();
        (signals.restore.take().unwrap_or(signals.blocked), signals.altstack)
    };
    if frame::push(current, signal, &info, &action, saved, altstack).is_err() {
        // Linux gives up on the process if even SIGSEGV finds no stack.
        if signal == SIGSEGV {
            handlers.set(SIGSEGV, Default::default());
        }
        send::force(&current.task, SIGSEGV, SigInfo::kernel(SIGSEGV));
        return false;
    }
    let mut blocked = action.mask;
    if !action.flags.contains(SigActionFlags::NODEFER) {
        blocked.insert(signal);
    }
    mask::add(current, blocked);
    let mut signals = current.signals().lock();
    if signals.altstack.flags & SS_AUTODISARM != 0 && action.flags.contains(SigActionFlags::ONSTACK) {
        signals.altstack = SigAltStack::disabled();
    }
    true
}

fn by_default(current: &mut Current, signal: Signal) {
    match default_action(signal) {
        DefaultAction::Ignore | DefaultAction::Continue => {}
        DefaultAction::Stop => {
            if signal != SIGSTOP {
                let tree = current.kernel().tree();
                let process_group = tree.process(current.pid()).map_or(0, |p| p.process_group);
                if tree.is_orphaned(process_group, None) {
                    return;
                }
            }
            stop(current, signal);
        }
        DefaultAction::Terminate | DefaultAction::Core => {
            let status = moat_abi::wait::signaled(signal, false);
            exit::group(current, status);
            current.ending = Some(status);
        }
    }
}

/// Stops the whole process.
fn stop(current: &Current, signal: Signal) {
    let group = current.group();
    {
        let mut signals = group.signals().lock();
        if signals.exiting.is_some() || signals.stop.is_some() {
            return;
        }
        signals.stops += 1;
        signals.stop = Some(Stop { number: signals.stops, signal, halted: 0, told: false });
    }
    if let Some(tracer) = current.kernel().tracer() {
        tracer.stopped(current.tid(), signal);
    }
    for task in group.tasks() {
        task.recalculate_pending();
    }
}

/// A thread has come to a halt for the stop of this number.
fn halted(current: &Current, number: u64) {
    {
        let mut signals = current.group_ref().signals().lock();
        let Some(stop) = signals.stop.as_mut().filter(|stop| stop.number == number) else { return };
        stop.halted += 1;
    }
    tell_of_stop(current.group_ref());
}

/// Tells the parent of a stop, once, when all threads have come to a halt, or the last that had not has left.
pub fn tell_of_stop(group: &Arc<ThreadGroup>) {
    let all = {
        let mut signals = group.signals().lock();
        let threads = group.task_count();
        signals.stop.as_mut().filter(|stop| stop.halted == threads && !stop.told).map(|stop| {
            stop.told = true;
            stop.signal
        })
    };
    if let Some(signal) = all {
        wait::notify_parent(group, ChildEvent::Stopped(signal));
    }
}

/// No (further) handler runs: restarts an interrupted call, and puts a temporary mask back.
fn finish(current: &mut Current) {
    if let Some(Interrupted { errno, number }) = current.interrupted.take() {
        match errno {
            Errno::ERESTART_RESTARTBLOCK => call_again(current, nr::RESTART_SYSCALL),
            _ => call_again(current, number),
        }
    }
    mask::restore_for_delivery(current);
}

/// Goes back to the `syscall` instruction with this number.
fn call_again(current: &mut Current, number: u64) {
    let registers = current.context.registers_mut();
    registers.rip = registers.rip.wrapping_sub(2);
    registers.rax = number;
}
