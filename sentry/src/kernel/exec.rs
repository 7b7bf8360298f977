//! execve(2).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::errno::Errno;
use moat_abi::signal::{SIGKILL, SigAltStack};
use moat_platform::{Registers, Title};

use super::timers::ProcessTimers;
use super::{Current, exit};
use crate::Result;
use crate::loader::{self, Program};
use crate::mm::{MemoryManager, errno_of};

/// Replaces the program. On success the registers are those of the new program; past the point of no return a failure
/// ends the process by SIGKILL.
pub async fn exec(current: &mut Current, program: Program) -> Result<()> {
    kill_other_threads(current).await?;
    match replace(current, program).await {
        Ok(()) => Ok(()),
        Err(errno) => {
            let status = moat_abi::wait::signaled(SIGKILL, false);
            exit::group(current, status);
            current.ending = Some(status);
            Err(errno)
        }
    }
}

/// Waits until the calling thread is the only one, which then has the leader's number.
async fn kill_other_threads(current: &mut Current) -> Result<()> {
    let group = current.group();
    {
        let mut signals = group.signals().lock();
        if signals.exiting.is_some() || signals.exec_by.is_some() {
            return Err(Errno::EAGAIN);
        }
        signals.exec_by = Some(current.tid());
    }
    for task in group.tasks() {
        if task.tid() != current.tid() {
            task.recalculate_pending();
        }
    }
    let alone = current
        .wait_killable(|waiter| {
            waiter.listen(&group.thread_ended);
            (group.task_count() == 1).then_some(())
        })
        .await;
    if alone.is_ok() && current.tid() != group.pid() {
        let old = current.tid();
        let mut tree = current.kernel().tree();
        if let Some(process) = tree.process_mut(group.pid()) {
            process.tasks.remove(&old);
            process.tasks.insert(group.pid(), current.task.clone());
        }
        // In this order: a signal finds no process that has no thread.
        group.add_task(group.pid(), &current.task);
        group.remove_task(old);
        current.set_tid(group.pid());
        group.state().lock().leader_status = None;
    }
    group.signals().lock().exec_by = None;
    alone.map_err(|_| Errno::EINTR)
}

async fn replace(current: &mut Current, program: Program) -> Result<()> {
    let group = current.group();
    let stub = group.stub().clone();
    let old = current.memory_manager();
    let in_place = Arc::ptr_eq(old.space(), &stub);
    let memory = MemoryManager::new(stub.clone());
    if !in_place {
        let context = poll_fn(|cx| stub.poll_context(cx)).await.map_err(errno_of)?;
        current.replace_context(context);
    }
    poll_fn(|cx| stub.poll_clear(cx)).await.map_err(errno_of)?;
    if program.secure {
        current.context.renew().map_err(errno_of)?;
    }
    old.leave();
    drop(old);
    let entry = loader::load(&memory, &program).await?;
    // Before descriptors are closed, by which others learn of it.
    if let Some(process) = current.kernel().tree().process_mut(group.pid()) {
        process.has_execed = true;
    }
    let closed = {
        let files = current.files();
        let own = if Arc::strong_count(&files) > 2 { Arc::new(files.duplicate()) } else { files };
        let closed = own.remove_close_on_exec();
        current.update_shared(|shared| {
            shared.files = own;
            shared.memory = memory.clone();
            shared.handlers = shared.handlers.after_exec();
        });
        closed
    };
    current.memory_was_replaced();
    for file in closed {
        crate::fs::locks::release_posix(&file, group.pid());
    }
    current.set_credentials(program.credentials.clone());
    current.clear_child_tid.store(0, Ordering::Relaxed);
    current.robust_list.store(0, Ordering::Relaxed);
    {
        let mut signals = current.signals().lock();
        signals.altstack = SigAltStack::disabled();
    }
    let (timers, old_executable) = {
        let mut state = group.state().lock();
        let old = state.executable.replace(program.executable.clone());
        state.dumpable = u32::from(!program.secure);
        let kept = state.timers.keep_over_exec();
        (std::mem::replace(&mut state.timers, kept), old)
    };
    drop::<ProcessTimers>(timers);
    drop(old_executable);
    current.set_name(&program.name);
    current.restart = None;
    *current.context.registers_mut() = Registers {
        rip: entry.instruction,
        rsp: entry.stack,
        cs: 0x33,
        ss: 0x2b,
        eflags: 0x202,
        orig_rax: u64::MAX,
        ..Registers::default()
    };
    current.context.reset_extended_state();
    let layout = memory.layout();
    stub.set_title(&Title {
        name: program.name.clone(),
        users: program.credentials.users(),
        arguments: layout.arg_start..layout.arg_end,
        environment: layout.env_start..layout.env_end,
    });
    group.end_vfork();
    Ok(())
}
