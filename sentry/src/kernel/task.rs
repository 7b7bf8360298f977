//! A task: one application thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moat_abi::signal::{SIGKILL, SigSet};
use moat_platform::Kicker;

use super::Kernel;
use super::credentials::Credentials;
use super::signal::{SignalHandlers, TaskSignals};
use super::thread_group::ThreadGroup;
use crate::executor::wait::{self, WaitQueue, Waiter};
use crate::fs::{FdTable, FsContext};
use crate::mm::MemoryManager;
use crate::sync::{Mutex, Rank};

/// A child starts with an ordinary policy and no better nice value than 0.
pub const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;

/// A set of processors, a bit for each.
pub type Affinity = [u64; 16];

/// How an interruptible wait ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// A signal (or a stop, a pause, the end of the process) wants the task.
    Interrupted,
    /// The deadline passed.
    TimedOut,
}

/// See the module. What is here can be seen by other tasks; what belongs to the running task alone is in
/// [`super::Current`].
pub struct Task {
    tid: AtomicU32,
    kernel: Arc<Kernel>,
    group: Arc<ThreadGroup>,
    shared: Mutex<Shared>,
    signals: Mutex<TaskSignals>,
    name: Mutex<[u8; 16]>,
    /// Something wants the task out of application code or out of a wait.
    pending: AtomicBool,
    /// It is in application code, so that only a kick reaches it.
    in_application: AtomicBool,
    /// What the platform was told of its constants may be no longer true.
    constants_stale: AtomicBool,
    interrupts: WaitQueue,
    kicker: Mutex<Option<Arc<dyn Kicker>>>,
    /// A signal was queued for this task, even a blocked one: what signalfd and sigtimedwait listen to.
    pub signal_arrived: WaitQueue,
    /// Where the tid is cleared at the end (CLONE_CHILD_CLEARTID).
    pub clear_child_tid: AtomicU64,
    /// The robust list (get_robust_list(2)).
    pub robust_list: AtomicU64,
    /// The signal that it gets when its parent ends (PR_SET_PDEATHSIG).
    pub parent_death_signal: AtomicU32,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: AtomicBool,
    /// Nice value.
    pub nice: AtomicI32,
    /// The scheduling policy, with SCHED_RESET_ON_FORK.
    pub policy: AtomicU32,
    /// The processors that it may run on, as far as it is told.
    pub affinity: Mutex<Affinity>,
    /// Set while the task sleeps in a system call, for the state letter in /proc.
    sleeping: AtomicBool,
    /// Time in application code and in the sentry, in nanoseconds.
    user_time: AtomicU64,
    /// When it went into application code, in nanoseconds after `started`; 0 while it is out.
    running_since: AtomicU64,
    /// Nanoseconds that the system call under way has slept.
    slept: AtomicU64,
    system_time: AtomicU64,
    /// When it began, for `starttime`.
    pub started: Instant,
    /// The guest's seccomp filters on this task.
    pub filters: super::seccomp::Filters,
    /// Timer slack in nanoseconds (PR_SET_TIMERSLACK).
    pub timer_slack: AtomicU64,
}

/// What a task may share with others by the flags of clone.
#[derive(Clone)]
pub struct Shared {
    /// CLONE_FILES.
    pub files: Arc<FdTable>,
    /// CLONE_FS.
    pub fs: Arc<FsContext>,
    /// CLONE_VM.
    pub memory: Arc<MemoryManager>,
    /// CLONE_SIGHAND.
    pub handlers: Arc<SignalHandlers>,
    /// A task's own, replaced as a whole.
    pub credentials: Arc<Credentials>,
}

/// What `Task::new` needs beyond what is shared.
pub struct NewTask {
    /// Its number.
    pub tid: u32,
    /// Its process.
    pub group: Arc<ThreadGroup>,
    /// See [`Shared`].
    pub shared: Shared,
    /// Its signal mask.
    pub blocked: SigSet,
    /// Its name (`comm`).
    pub name: [u8; 16],
}

impl Task {
    /// A task that does not run yet.
    pub fn new(kernel: Arc<Kernel>, new: NewTask) -> Arc<Self> {
        Arc::new(Self {
            tid: AtomicU32::new(new.tid),
            kernel,
            group: new.group,
            shared: Mutex::new(Rank::Task, new.shared),
            signals: Mutex::new(Rank::TaskSignals, TaskSignals::new(new.blocked)),
            name: Mutex::new(Rank::Leaf, new.name),
            pending: AtomicBool::new(false),
            in_application: AtomicBool::new(false),
            constants_stale: AtomicBool::new(true),
            interrupts: WaitQueue::new(),
            kicker: Mutex::new(Rank::Leaf, None),
            signal_arrived: WaitQueue::new(),
            clear_child_tid: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            parent_death_signal: AtomicU32::new(0),
            no_new_privileges: AtomicBool::new(false),
            nice: AtomicI32::new(0),
            policy: AtomicU32::new(0),
            affinity: Mutex::new(Rank::Leaf, [u64::MAX; 16]),
            sleeping: AtomicBool::new(false),
            user_time: AtomicU64::new(0),
            running_since: AtomicU64::new(0),
            slept: AtomicU64::new(0),
            system_time: AtomicU64::new(0),
            started: Instant::now(),
            filters: super::seccomp::Filters::default(),
            timer_slack: AtomicU64::new(50_000),
        })
    }

    /// Its number.
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// `execve` by a thread that is not the leader gives it the leader's number.
    pub(super) fn set_tid(&self, tid: u32) {
        self.tid.store(tid, Ordering::Relaxed);
        self.constants_changed();
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// The kernel it runs in.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Its process.
    pub fn group(&self) -> Arc<ThreadGroup> {
        self.group.clone()
    }

    /// Its process, borrowed.
    pub fn group_ref(&self) -> &Arc<ThreadGroup> {
        &self.group
    }

    /// Its descriptor table.
    pub fn files(&self) -> Arc<FdTable> {
        self.shared.lock().files.clone()
    }

    /// Its root, working directory and umask.
    pub fn fs(&self) -> Arc<FsContext> {
        self.shared.lock().fs.clone()
    }

    /// Its memory.
    pub fn memory_manager(&self) -> Arc<MemoryManager> {
        self.shared.lock().memory.clone()
    }

    /// Its credentials.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.shared.lock().credentials.clone()
    }

    /// Its process's signal actions.
    pub fn handlers(&self) -> Arc<SignalHandlers> {
        self.shared.lock().handlers.clone()
    }

    /// Everything that it may share.
    pub fn shared(&self) -> Shared {
        self.shared.lock().clone()
    }

    /// Replaces what it shares, by `change`.
    pub fn update_shared(&self, change: impl FnOnce(&mut Shared)) {
        // What is replaced may be the last reference to files and memory, whose end takes other locks.
        let old = {
            let mut shared = self.shared.lock();
            let old = shared.clone();
            change(&mut shared);
            old
        };
        drop(old);
    }

    /// Gives up the descriptor table of a task that has ended.
    pub(super) fn release_shared(&self) {
        self.update_shared(|shared| shared.files = Arc::default());
    }

    /// Replaces its credentials.
    pub fn set_credentials(&self, credentials: Credentials) {
        self.shared.lock().credentials = Arc::new(credentials);
        self.constants_changed();
    }

    /// Its signal state.
    pub fn signals(&self) -> &Mutex<TaskSignals> {
        &self.signals
    }

    /// Its name (`comm`), NUL-padded.
    pub fn name(&self) -> [u8; 16] {
        *self.name.lock()
    }

    /// Sets its name, cut to 15 bytes.
    pub fn set_name(&self, name: &[u8]) {
        let mut padded = [0u8; 16];
        let n = name.len().min(15);
        padded[..n].copy_from_slice(&name[..n]);
        *self.name.lock() = padded;
    }

    /// Whether something wants the task: it must go to the point of delivery before it may sleep or run on.
    pub fn signal_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Computes anew whether something wants the task, and if so interrupts it. Returns the answer.
    pub fn recalculate_pending(&self) -> bool {
        let wanted = {
            let group = self.group.signals().lock();
            let task = self.signals.lock();
            let ready = task.pending.set().union(group.pending.set()).without(task.blocked);
            let wanted = !ready.is_empty()
                || group.stop.is_some()
                || group.exiting.is_some()
                || group.exec_by.is_some_and(|by| by != self.tid())
                || self.kernel.is_paused();
            // Under the locks: an answer that is no longer true must not replace the one that is.
            self.pending.store(wanted, Ordering::SeqCst);
            wanted
        };
        if wanted {
            self.interrupt();
        }
        wanted
    }

    fn interrupt(&self) {
        self.interrupts.wake_all();
        if self.in_application.load(Ordering::SeqCst) {
            let kicker = self.kicker.lock().clone();
            if let Some(kicker) = kicker {
                kicker.kick();
            }
        }
    }

    pub(super) fn set_kicker(&self, kicker: Arc<dyn Kicker>) {
        *self.kicker.lock() = Some(kicker);
        self.constants_changed();
    }

    /// Something of what calls without arguments answer has changed, or each call has to be seen from now on.
    pub fn constants_changed(&self) {
        // In this order: who sets constants looks again afterwards.
        self.constants_stale.store(true, Ordering::SeqCst);
        let kicker = self.kicker.lock().clone();
        if let Some(kicker) = kicker {
            kicker.revoke_constants();
        }
    }

    /// Whether that has happened since the last time.
    pub(super) fn take_constants_stale(&self) -> bool {
        self.constants_stale.load(Ordering::SeqCst) && self.constants_stale.swap(false, Ordering::SeqCst)
    }

    /// Marks the task as in (or out of) application code; false if it must not go there because it is wanted.
    pub(super) fn enter_application(&self) -> bool {
        self.in_application.store(true, Ordering::SeqCst);
        if self.signal_pending() {
            self.in_application.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }

    /// Application code begins to run.
    pub(super) fn begin_run(&self, now: Instant) {
        let since = now.saturating_duration_since(self.started).as_nanos() as u64;
        self.running_since.store(since.max(1), Ordering::Relaxed);
    }

    /// Application code has run, in all its life for `user`.
    pub(super) fn end_run(&self, user: Duration) {
        self.running_since.store(0, Ordering::Relaxed);
        self.user_time.store(user.as_nanos() as u64, Ordering::Relaxed);
    }

    /// How long the system call that ends now was asleep.
    pub(super) fn take_slept(&self) -> Duration {
        // Nobody but the task itself counts.
        match self.slept.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(self.slept.swap(0, Ordering::Relaxed)),
        }
    }

    pub(super) fn leave_application(&self) {
        // Who still sees it there kicks in vain.
        self.in_application.store(false, Ordering::Release);
    }

    /// Whether it is in application code.
    pub fn is_in_application(&self) -> bool {
        self.in_application.load(Ordering::Relaxed)
    }

    /// Whether it sleeps in a system call.
    pub fn is_sleeping(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed)
    }

    /// Sleeps until `attempt` has an answer. The attempt listens, by the waiter, to every queue that could change its
    /// answer, then looks; it must not block.
    ///
    /// # Errors
    /// [`WaitEnd::Interrupted`] when a signal wants the task, [`WaitEnd::TimedOut`] at the deadline.
    pub async fn wait_for<T>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Waiter) -> Option<T>,
    ) -> Result<T, WaitEnd> {
        self.sleeping.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let end = wait::wait_for(deadline, |waiter| {
            waiter.listen(&self.interrupts);
            if let Some(answer) = attempt(waiter) {
                return Some(Ok(answer));
            }
            self.signal_pending().then_some(Err(WaitEnd::Interrupted))
        })
        .await;
        self.sleeping.store(false, Ordering::Relaxed);
        self.slept.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        end.unwrap_or(Err(WaitEnd::TimedOut))
    }

    /// The same for waits that only the end of the process may interrupt.
    pub async fn wait_killable<T>(&self, mut attempt: impl FnMut(&mut Waiter) -> Option<T>) -> Result<T, WaitEnd> {
        wait::wait_for(None, |waiter| {
            waiter.listen(&self.interrupts);
            if let Some(answer) = attempt(waiter) {
                return Some(Ok(answer));
            }
            self.is_killed().then_some(Err(WaitEnd::Interrupted))
        })
        .await
        .unwrap_or(Err(WaitEnd::TimedOut))
    }

    /// Whether the task has to exit.
    pub fn is_killed(&self) -> bool {
        let group = self.group.signals().lock();
        group.exiting.is_some()
            || group.exec_by.is_some_and(|by| by != self.tid())
            || self.signals.lock().pending.set().contains(SIGKILL)
    }

    pub(super) fn charge(&self, user: Duration, system: Duration) {
        self.user_time.store(user.as_nanos() as u64, Ordering::Relaxed);
        self.system_time.store(system.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Time in application code and in the sentry on its behalf.
    pub fn times(&self) -> (Duration, Duration) {
        let running = match self.running_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.started.elapsed().saturating_sub(Duration::from_nanos(since)),
        };
        let user = Duration::from_nanos(self.user_time.load(Ordering::Relaxed)) + running;
        (self.group.bounded(user), Duration::from_nanos(self.system_time.load(Ordering::Relaxed)))
    }
}
