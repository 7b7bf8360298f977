//! New tasks (clone(2), clone3(2)).

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::sched::CloneFlags;
use moat_abi::signal::{SIGCHLD, SigSet};
use moat_platform::{AddressSpace, Context};

use super::process_tree::{Process, ProcessTree};
use super::signal::{deliver, mask};
use super::task::{NewTask, SCHED_RESET_ON_FORK, Shared};
use super::usage::Usage;
use super::{Current, Task, ThreadGroup, run};
use crate::Result;
use crate::mm::{MemoryManager, errno_of};

/// What clone is asked for, checked as far as it does not depend on the caller.
#[derive(Clone, Copy, Debug)]
pub struct CloneRequest {
    /// CLONE_*.
    pub flags: CloneFlags,
    /// The signal at the child's end; 0 for none.
    pub exit_signal: u32,
    /// The child's stack pointer; 0 to keep the caller's.
    pub stack: u64,
    /// Where the child's number is written in the parent (CLONE_PARENT_SETTID).
    pub parent_tid: u64,
    /// Where it is written in the child, or cleared at its end.
    pub child_tid: u64,
    /// The child's FS base (CLONE_SETTLS).
    pub tls: u64,
    /// Where the pidfd is written (CLONE_PIDFD).
    pub pidfd: u64,
}

/// Namespaces that a container cannot make inside itself.
pub const NAMESPACES: CloneFlags = CloneFlags::NEWNS
    .union(CloneFlags::NEWCGROUP)
    .union(CloneFlags::NEWUTS)
    .union(CloneFlags::NEWIPC)
    .union(CloneFlags::NEWUSER)
    .union(CloneFlags::NEWPID)
    .union(CloneFlags::NEWNET)
    .union(CloneFlags::NEWTIME);

impl CloneRequest {
    fn check(&self) -> Result<()> {
        let f = self.flags;
        let has = |flag| f.contains(flag);
        if (has(CloneFlags::SIGHAND) && !has(CloneFlags::VM))
            || (has(CloneFlags::THREAD) && !has(CloneFlags::SIGHAND))
            || (has(CloneFlags::SIGHAND) && has(CloneFlags::CLEAR_SIGHAND))
            || (has(CloneFlags::PIDFD) && has(CloneFlags::DETACHED))
            || (has(CloneFlags::NEWNS) && has(CloneFlags::FS))
            || (has(CloneFlags::NEWIPC) && has(CloneFlags::SYSVSEM))
            || (f.intersects(CloneFlags::NEWPID | CloneFlags::NEWUSER) && has(CloneFlags::THREAD))
            || (self.exit_signal > 64)
        {
            return Err(Errno::EINVAL);
        }
        if f.intersects(NAMESPACES) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }
}

/// Makes a task as `request` says; its number. With CLONE_VFORK, returns when the child has called execve or ended.
pub async fn clone(current: &mut Current, request: CloneRequest) -> Result<u32> {
    request.check()?;
    check_limits(current)?;
    let thread = request.flags.contains(CloneFlags::THREAD);
    let Born { context, memory, stub } = birth(current, request.flags).await?;
    let child = match thread {
        true => new_thread(current, &request, &*context)?,
        false => new_process(current, &request, memory, stub)?,
    };
    current.kernel().count_fork();
    let pid = child.tid();
    let group = child.group();
    let vfork = request.flags.contains(CloneFlags::VFORK);
    if vfork && !thread {
        group.begin_vfork();
    }
    let child_memory = child.memory_manager().user();
    let pidfd = match request.flags.contains(CloneFlags::PIDFD) {
        true => Some(crate::fs::pidfd::open(current, &group)?),
        false => None,
    };
    if let Some(fd) = pidfd {
        current.memory().write(request.pidfd, &fd)?;
    }
    if request.flags.contains(CloneFlags::PARENT_SETTID) {
        // Linux does not report a word that cannot be written.
        let _ = current.memory().write(request.parent_tid, &pid);
    }
    if request.flags.contains(CloneFlags::CHILD_SETTID) {
        let _ = child_memory.write(request.child_tid, &pid);
    }
    if request.flags.contains(CloneFlags::CHILD_CLEARTID) {
        child.clear_child_tid.store(request.child_tid, Ordering::Relaxed);
    }
    start(child, ready(current, context, &request))?;
    // A killed parent does not wait; the child goes on.
    if vfork && thread {
        let _ = current
            .wait_killable(|waiter| {
                waiter.listen(&group.thread_ended);
                group.tasks().iter().all(|task| task.tid() != pid).then_some(())
            })
            .await;
    } else if vfork {
        let _ = current
            .wait_killable(|waiter| {
                waiter.listen(&group.vfork_done);
                (!group.is_vfork_pending()).then_some(())
            })
            .await;
    }
    Ok(pid)
}

/// Whether there may be one task more: asked before the platform makes it, and again when it enters the tree.
fn check_count(current: &Current, tree: &ProcessTree) -> Result<()> {
    if tree.task_count() as u64 >= current.kernel().pids_limit() { Err(Errno::EAGAIN) } else { Ok(()) }
}

fn check_limits(current: &Current) -> Result<()> {
    check_count(current, &current.kernel().tree())?;
    let credentials = current.credentials();
    let privileged = credentials.uid == 0
        || credentials.has(moat_abi::capability::CapabilitySet::SYS_RESOURCE)
        || credentials.has(moat_abi::capability::CapabilitySet::SYS_ADMIN);
    if !privileged {
        let own = current.kernel().all_tasks().iter().filter(|t| t.credentials().uid == credentials.uid).count();
        if own as u64 >= current.group_ref().limit(Resource::Processes) {
            return Err(Errno::EAGAIN);
        }
    }
    Ok(())
}

/// What the platform made for a child.
struct Born {
    context: Box<dyn Context>,
    memory: Arc<MemoryManager>,
    /// `None` for a thread.
    stub: Option<Arc<dyn AddressSpace>>,
}

async fn birth(current: &Current, flags: CloneFlags) -> Result<Born> {
    let memory = current.memory_manager();
    if flags.contains(CloneFlags::VM) {
        let context = poll_fn(|cx| memory.space().poll_context(cx)).await.map_err(errno_of)?;
        // A process that shares its parent's memory has a host process of its own for the execve to come.
        let stub = match flags.contains(CloneFlags::THREAD) {
            true => None,
            false => Some(poll_fn(|cx| memory.space().poll_fork(cx)).await.map_err(errno_of)?),
        };
        return Ok(Born { context, memory, stub });
    }
    let (copy, space) = memory.fork().await?;
    let context = poll_fn(|cx| space.poll_context(cx)).await.map_err(errno_of)?;
    Ok(Born { context, memory: copy, stub: Some(space) })
}

fn new_thread(current: &Current, request: &CloneRequest, context: &dyn Context) -> Result<Arc<Task>> {
    let group = current.group();
    let mut tree = current.kernel().tree();
    {
        let signals = group.signals().lock();
        if signals.exiting.is_some() || signals.exec_by.is_some() {
            return Err(Errno::ERESTARTNOINTR);
        }
    }
    check_count(current, &tree)?;
    let tid = tree.allocate(context.tid_hint()).ok_or(Errno::EAGAIN)?;
    let task = new_task(current, request, tid, group.clone(), current.memory_manager());
    if let Some(process) = tree.process_mut(group.pid()) {
        process.tasks.insert(tid, task.clone());
    }
    group.add_task(tid, &task);
    Ok(task)
}

fn new_process(
    current: &Current,
    request: &CloneRequest,
    memory: Arc<MemoryManager>,
    stub: Option<Arc<dyn AddressSpace>>,
) -> Result<Arc<Task>> {
    let parent_group = current.group();
    let stub = stub.unwrap_or_else(|| memory.space().clone());
    let mut tree = current.kernel().tree();
    check_count(current, &tree)?;
    let pid = tree.allocate(stub.pid_hint()).ok_or(Errno::EAGAIN)?;
    let (limits, executable, dumpable, personality) = {
        let state = parent_group.state().lock();
        (state.limits.clone(), state.executable.clone(), state.dumpable, state.personality)
    };
    if request.flags.contains(CloneFlags::VM) {
        memory.join();
    }
    let group = ThreadGroup::new(pid, stub, limits, executable);
    {
        let mut state = group.state().lock();
        state.dumpable = dumpable;
        state.personality = personality;
    }
    group.set_oom_score_adjust(parent_group.oom_score_adjust());
    let task = new_task(current, request, pid, group.clone(), memory);
    let (own_parent, process_group, session) =
        tree.process(parent_group.pid()).map_or((0, pid, pid), |p| (p.parent, p.process_group, p.session));
    let parent = if request.flags.contains(CloneFlags::PARENT) { own_parent } else { parent_group.pid() };
    let exit_signal = match request.flags.contains(CloneFlags::PARENT) {
        true => tree.process(parent_group.pid()).map_or(SIGCHLD.raw() as u32, |p| p.exit_signal),
        false => request.exit_signal,
    };
    group.add_task(pid, &task);
    tree.insert(
        pid,
        Process {
            group,
            parent,
            children: Default::default(),
            process_group,
            session,
            tasks: [(pid, task.clone())].into(),
            zombie: None,
            exit_signal,
            event: None,
            children_usage: Usage::default(),
            subreaper: false,
            has_execed: false,
        },
    );
    Ok(task)
}

fn new_task(
    current: &Current,
    request: &CloneRequest,
    tid: u32,
    group: Arc<ThreadGroup>,
    memory: Arc<MemoryManager>,
) -> Arc<Task> {
    let flags = request.flags;
    let own = current.shared();
    let handlers = if flags.contains(CloneFlags::SIGHAND) {
        own.handlers.clone()
    } else if flags.contains(CloneFlags::CLEAR_SIGHAND) {
        own.handlers.after_exec()
    } else {
        own.handlers.duplicate()
    };
    let shared = Shared {
        files: match flags.contains(CloneFlags::FILES) {
            true => own.files.clone(),
            false => Arc::new(own.files.duplicate()),
        },
        fs: match flags.contains(CloneFlags::FS) {
            true => own.fs.clone(),
            false => Arc::new(own.fs.duplicate()),
        },
        memory,
        handlers,
        credentials: own.credentials.clone(),
    };
    let (blocked, altstack) = {
        let signals = current.signals().lock();
        (signals.blocked, signals.altstack)
    };
    let task = Task::new(current.kernel().clone(), NewTask { tid, group, shared, blocked, name: current.name() });
    // A child in its own memory keeps the alternate stack, and so does one of vfork.
    if !flags.contains(CloneFlags::VM) || flags.contains(CloneFlags::VFORK) {
        task.signals().lock().altstack = altstack;
    }
    task.no_new_privileges.store(current.no_new_privileges.load(Ordering::Relaxed), Ordering::Relaxed);
    let (policy, nice) = (current.policy.load(Ordering::Relaxed), current.nice.load(Ordering::Relaxed));
    let reset = policy & SCHED_RESET_ON_FORK != 0;
    task.policy.store(policy & !SCHED_RESET_ON_FORK, Ordering::Relaxed);
    task.nice.store(if reset { nice.max(0) } else { nice }, Ordering::Relaxed);
    let affinity = *current.affinity.lock();
    *task.affinity.lock() = affinity;
    task.timer_slack.store(current.timer_slack.load(Ordering::Relaxed), Ordering::Relaxed);
    task.filters.inherit(&current.filters);
    task
}

/// Gives the child the caller's registers, with what clone changes.
fn ready(current: &mut Current, mut context: Box<dyn Context>, request: &CloneRequest) -> Box<dyn Context> {
    let mut registers = *current.context.registers();
    registers.rax = 0;
    registers.orig_rax = u64::MAX;
    if request.stack != 0 {
        registers.rsp = request.stack;
    }
    if request.flags.contains(CloneFlags::SETTLS) {
        registers.fs_base = request.tls;
    }
    *context.registers_mut() = registers;
    // The child's state is a copy of one that the host gave out; it cannot be refused.
    let _ = context.set_extended_state(&current.context.extended_state());
    context
}

/// Starts the task's future.
fn start(task: Arc<Task>, context: Box<dyn Context>) -> Result<()> {
    task.recalculate_pending();
    spawn(Current::new(task, context))
}

/// Runs a task on the executor. `EAGAIN` when the host has no thread for it; the task is taken apart then.
pub fn spawn(current: Current) -> Result<()> {
    let (task, home) = (current.task.clone(), current.context.home());
    crate::executor::workers::spawn(home, run::run(current)).map_err(|_| {
        abandon(&task);
        Errno::EAGAIN
    })
}

/// Takes back a task that never ran.
fn abandon(task: &Arc<Task>) {
    let group = task.group();
    let mut tree = task.kernel().tree();
    if group.remove_task(task.tid()) == 0 {
        let removed = tree.remove(group.pid());
        drop(tree);
        group.stub().kill();
        task.memory_manager().leave();
        drop(removed);
    } else {
        if let Some(process) = tree.process_mut(group.pid()) {
            process.tasks.remove(&task.tid());
        }
        drop(tree);
        mask::retarget(&group, SigSet::ALL, None);
        deliver::tell_of_stop(&group);
    }
}
