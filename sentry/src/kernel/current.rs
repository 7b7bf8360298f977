//! The running task: what only it may touch.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moat_abi::signal::SIGKILL;
use moat_platform::{Constants, Context};

use super::Task;
use crate::mm::call::CallMemory;
use crate::mm::user::UserMemory;

/// The last fault of a task, as a signal frame shows it (`trapno`, `err`, `cr2`).
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultInfo {
    /// The vector of the exception.
    pub trap: u64,
    /// The error code.
    pub error: u64,
    /// The address.
    pub address: u64,
}

/// A system call that a signal (or a pause) interrupted, until it is known whether a handler runs.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    /// How it wants to be restarted.
    pub errno: moat_abi::errno::Errno,
    /// Its number.
    pub number: u64,
}

/// What `restart_syscall` goes on with.
#[derive(Clone, Copy, Debug)]
pub enum RestartBlock {
    /// A sleep until an instant; the rest is written to `remainder` if it is interrupted again.
    Nanosleep {
        /// When it ends.
        until: Instant,
        /// Where the rest goes, or 0.
        remainder: u64,
    },
    /// A futex wait with a time limit.
    Futex {
        /// The word.
        address: u64,
        /// The value that it must have.
        value: u32,
        /// The bits of interest.
        bitset: u32,
        /// Whether it is private to the process.
        private: bool,
        /// When it ends.
        until: Instant,
    },
    /// A poll with a time limit.
    Poll {
        /// The array.
        fds: u64,
        /// Its length.
        count: u32,
        /// When it ends.
        until: Option<Instant>,
    },
}

/// A task, held by the future that runs it.
pub struct Current {
    /// What others see of it.
    pub task: Arc<Task>,
    /// Its thread on the platform.
    pub context: Box<dyn Context>,
    /// Its last fault.
    pub fault: FaultInfo,
    /// See [`Interrupted`].
    pub interrupted: Option<Interrupted>,
    /// See [`RestartBlock`].
    pub restart: Option<RestartBlock>,
    /// The wait status that this thread ends with, once that is decided.
    pub ending: Option<u32>,
    /// When the system call under way began.
    pub entered: Instant,
    system_time: Duration,
    call_memory: Option<Arc<CallMemory>>,
}

impl Current {
    /// The task `task`, on the platform's `context`.
    pub fn new(task: Arc<Task>, mut context: Box<dyn Context>) -> Self {
        attend(&task, &mut *context);
        let call_memory = call_memory(&task, &*context);
        Self {
            task,
            context,
            fault: FaultInfo::default(),
            interrupted: None,
            restart: None,
            ending: None,
            entered: Instant::now(),
            system_time: Duration::ZERO,
            call_memory,
        }
    }

    /// Its memory, for copies.
    pub fn memory(&self) -> UserMemory {
        self.task.memory_manager().user().with(self.call_memory.clone())
    }

    /// What goes with the calls that it makes, if the platform can have something go with them.
    pub fn call_memory(&self) -> Option<&CallMemory> {
        self.call_memory.as_deref()
    }

    /// Its memory is another from now on.
    pub fn memory_was_replaced(&mut self) {
        self.call_memory = call_memory(&self.task, &*self.context);
    }

    /// Goes on with another thread of the platform (after an `execve` that changed the address space).
    pub fn replace_context(&mut self, mut context: Box<dyn Context>) {
        attend(&self.task, &mut *context);
        self.context = context;
    }

    /// Tells the platform which calls always answer the same: none where somebody wants to see each.
    pub fn refresh_constants(&mut self) {
        while self.task.take_constants_stale() {
            let seen = self.kernel().tracer().is_some() || self.filters.is_active();
            let constants = (!seen).then(|| {
                let credentials = self.credentials();
                Constants {
                    pid: self.pid(),
                    tid: self.tid(),
                    parent: self.kernel().tree().process(self.pid()).map_or(0, |p| p.parent),
                    uid: credentials.uid,
                    euid: credentials.euid,
                    gid: credentials.gid,
                    egid: credentials.egid,
                }
            });
            self.context.set_constants(constants.as_ref());
        }
    }

    /// Charges the time of the system call that ends `now`, but for its sleep.
    pub fn charge_system_call(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.entered);
        self.system_time += took.saturating_sub(self.task.take_slept());
        self.task.charge(self.context.cpu_time(), self.system_time);
    }
}

/// None while calls are traced: a tracer looks at memory when a call has ended.
fn call_memory(task: &Task, context: &dyn Context) -> Option<Arc<CallMemory>> {
    let window = context.window().filter(|_| task.kernel().tracer().is_none())?;
    Some(CallMemory::new(task.memory_manager(), window))
}

/// Connects a task with what runs it: it kicks that, and its process ends when the host kills it.
fn attend(task: &Arc<Task>, context: &mut dyn Context) {
    task.set_kicker(context.kicker());
    let weak = Arc::downgrade(task);
    context.on_death(Arc::new(move || {
        if let Some(task) = weak.upgrade() {
            super::exit::group(&task, moat_abi::wait::signaled(SIGKILL, false));
            task.recalculate_pending();
        }
    }));
}

impl Deref for Current {
    type Target = Arc<Task>;
    fn deref(&self) -> &Arc<Task> {
        &self.task
    }
}
