//! The end of tasks and processes (exit(2), exit_group(2)).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::signal::{SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SigActionFlags, SigInfo, SigSet, Signal};

use super::signal::send::{self, Origin};
use super::signal::{SIG_IGN, deliver, mask};
use super::{Current, Kernel, Task, ThreadGroup, futex};

/// Decides that the whole process ends with this wait status. The calling thread sets its own `ending`.
pub fn group(task: &Task, status: u32) {
    let group = task.group_ref();
    {
        let mut signals = group.signals().lock();
        signals.exiting.get_or_insert(status);
    }
    for other in group.tasks() {
        if other.tid() != task.tid() {
            other.recalculate_pending();
        }
    }
}

/// Takes a task apart. Its context goes first, so that its host thread is gone before its memory is.
pub async fn end(mut current: Current) {
    let status = current.ending.unwrap_or(0);
    futex::release_robust_list(&mut current);
    let clear = current.clear_child_tid.load(Ordering::Relaxed);
    let memory_manager = current.memory_manager();
    if clear != 0 && memory_manager.in_use() {
        let memory = current.memory();
        // A word that cannot be written has no waiter that could see it.
        if memory.write(clear, &0u32).is_ok() {
            current.kernel().futexes().wake_word(&memory_manager, clear, 1);
        }
    }
    let task = current.task.clone();
    let group = task.group();
    if group.task_count() == 1 {
        current.context.update_use();
    }
    let goes_on = {
        let signals = group.signals().lock();
        signals.exiting.is_none() && signals.exec_by.is_none() && group.task_count() > 1
    };
    match goes_on && Arc::ptr_eq(memory_manager.space(), group.stub()) {
        true => current.context.retire(),
        false => drop(current),
    }
    drop(memory_manager);
    let last = {
        let mut tree = task.kernel().tree();
        if let Some(process) = tree.process_mut(group.pid()) {
            process.tasks.remove(&task.tid());
        }
        let (user, system) = task.times();
        {
            let mut state = group.state().lock();
            state.ended_threads.user += user;
            state.ended_threads.system += system;
            state.ended_threads.minor_faults = group.stub().minor_faults();
            state.ended_threads.max_resident = group.peak_resident_bytes().unwrap_or(0) >> 10;
            if task.tid() == group.pid() {
                state.leader_status = Some(status);
            }
        }
        group.remove_task(task.tid()) == 0
    };
    group.thread_ended.wake_all();
    if last {
        end_process(&task, &group, status).await;
    } else {
        mask::retarget(&group, SigSet::ALL, None);
        deliver::tell_of_stop(&group);
        release(&task);
    }
}

/// Gives up what a task shares with others.
fn release(task: &Task) {
    let memory = task.memory_manager();
    task.release_shared();
    drop(memory);
}

async fn end_process(task: &Arc<Task>, group: &Arc<ThreadGroup>, last_status: u32) {
    let kernel = task.kernel().clone();
    let status = {
        let exiting = group.signals().lock().exiting;
        exiting.or(group.state().lock().leader_status).unwrap_or(last_status)
    };
    let timers = std::mem::take(&mut group.state().lock().timers);
    drop(timers);
    task.memory_manager().leave();
    let files = task.files();
    if Arc::strong_count(&files) <= 2 {
        for file in files.remove_range(0, u32::MAX) {
            crate::fs::locks::release_posix(&file, group.pid());
            drop(file);
        }
    }
    drop(files);
    let executable = {
        let uid = task.credentials().uid;
        let mut state = group.state().lock();
        state.uid_at_end = uid;
        state.executable.take()
    };
    drop(executable);
    let death_signals = children_to_tell(&kernel, group.pid());
    release(task);
    crate::fs::tty::session_ended(&kernel, group.pid());
    group.end_vfork();
    if group.is_init() {
        end_everything(&kernel, group).await;
        kernel.record_end(1, status);
        return;
    }
    group.stub().kill();
    for (child, signal) in death_signals {
        let info = SigInfo::user(signal, SigInfo::SI_USER, group.pid() as i32, 0);
        // Real-time signals may be refused by a full queue.
        let _ = send::to_process(&child, signal, info, Origin::Inside);
    }
    tell_parent(&kernel, group, status);
}

/// The children that asked for a signal at the end of their parent (PR_SET_PDEATHSIG).
fn children_to_tell(kernel: &Arc<Kernel>, pid: u32) -> Vec<(Arc<ThreadGroup>, Signal)> {
    let tree = kernel.tree();
    let Some(process) = tree.process(pid) else { return Vec::new() };
    process
        .children
        .iter()
        .filter_map(|c| tree.process(*c))
        .filter_map(|c| {
            let task = c.tasks.values().next()?;
            let signal = Signal::from_raw(task.parent_death_signal.load(Ordering::Relaxed) as i32)?;
            Some((c.group.clone(), signal))
        })
        .collect()
}

/// Reparents the children, becomes a zombie (or vanishes), and tells the parent.
fn tell_parent(kernel: &Arc<Kernel>, group: &Arc<ThreadGroup>, status: u32) {
    let pid = group.pid();
    let (parent, exit_signal, orphaned, reaper) = {
        let mut tree = kernel.tree();
        let reaper = tree.reaper_of(pid);
        let before = stopped_groups(&tree, pid);
        let zombies = tree.reparent(pid, reaper);
        let reaper_group = tree.process(reaper).map(|p| p.group.clone());
        let orphaned: Vec<u32> =
            before.into_iter().filter(|&g| tree.is_orphaned(g, Some(pid)) && has_stopped(&tree, g)).collect();
        let Some(process) = tree.process_mut(pid) else { return };
        process.zombie = Some(status);
        process.event = None;
        let (parent, exit_signal) = (process.parent, process.exit_signal);
        let parent = tree.process(parent).map(|p| p.group.clone());
        (parent, exit_signal, orphaned, reaper_group.filter(|_| !zombies.is_empty()))
    };
    for process_group in orphaned {
        // Not in the head of the loop, where the guard would live as long as the loop.
        let members = kernel.tree().group_members(process_group);
        for member in members {
            let _ = send::to_process(&member, SIGHUP, SigInfo::kernel(SIGHUP), Origin::Inside);
            let _ = send::to_process(&member, SIGCONT, SigInfo::kernel(SIGCONT), Origin::Inside);
        }
    }
    if let Some(reaper) = reaper {
        let _ = send::to_process(&reaper, SIGCHLD, SigInfo::kernel(SIGCHLD), Origin::Inside);
        reaper.children_changed.wake_all();
    }
    let Some(parent) = parent else {
        // Brought in by exec: nobody in the container waits for it.
        let removed = kernel.tree().remove(pid);
        drop(removed);
        kernel.record_end(pid, status);
        return;
    };
    let mut reap = false;
    if let (Some(signal), Some(handlers)) =
        (Signal::from_raw(exit_signal as i32), parent.tasks().first().map(|t| t.handlers()))
    {
        let action = handlers.get(SIGCHLD);
        reap = signal == SIGCHLD && (action.handler == SIG_IGN || action.flags.contains(SigActionFlags::NOCLDWAIT));
        let (code, value) = match status & 0x7f {
            0 => (SigInfo::CLD_EXITED, (status >> 8) as i32 & 0xff),
            signal if status & 0x80 != 0 => (SigInfo::CLD_DUMPED, signal as i32),
            signal => (SigInfo::CLD_KILLED, signal as i32),
        };
        let (user, system) = {
            let state = group.state().lock();
            (state.ended_threads.user, state.ended_threads.system)
        };
        let ticks = |d: std::time::Duration| (d.as_millis() / 10) as i64;
        let uid = group.uid_at_end();
        let info = SigInfo::child(signal, code, pid as i32, uid, value, ticks(user), ticks(system));
        if action.handler != SIG_IGN || signal != SIGCHLD {
            let _ = send::to_process(&parent, signal, info, Origin::Inside);
        }
    }
    if reap {
        let removed = kernel.tree().remove(pid);
        drop(removed);
    }
    parent.children_changed.wake_all();
}

/// The process groups of a process and of its children, which its end can orphan.
fn stopped_groups(tree: &super::ProcessTree, pid: u32) -> std::collections::BTreeSet<u32> {
    let Some(process) = tree.process(pid) else { return Default::default() };
    let mut groups: std::collections::BTreeSet<u32> =
        process.children.iter().filter_map(|c| tree.process(*c)).map(|c| c.process_group).collect();
    groups.insert(process.process_group);
    groups.retain(|&g| !tree.is_orphaned(g, None));
    groups
}

fn has_stopped(tree: &super::ProcessTree, process_group: u32) -> bool {
    tree.group_members(process_group).iter().any(|g| g.signals().lock().stop.is_some())
}

/// The end of init ends everybody (pid_namespaces(7)).
async fn end_everything(kernel: &Arc<Kernel>, init: &Arc<ThreadGroup>) {
    loop {
        let others: Vec<_> = kernel
            .tree()
            .processes()
            .filter(|(pid, p)| *pid != 1 && p.zombie.is_none())
            .map(|(_, p)| p.group.clone())
            .collect();
        if others.is_empty() {
            return;
        }
        for other in &others {
            let _ = send::to_process(other, SIGKILL, SigInfo::kernel(SIGKILL), Origin::Outside);
        }
        // Ended children wake their parent, and orphans are init's.
        let by = std::time::Instant::now() + std::time::Duration::from_millis(20);
        crate::executor::wait::wait_for(Some(by), |waiter| {
            waiter.listen(&init.children_changed);
            None::<()>
        })
        .await;
    }
}
