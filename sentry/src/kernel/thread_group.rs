//! A thread group: a process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moat_abi::signal::{SigInfo, Signal};
use moat_platform::AddressSpace;

use super::rlimits::Limits;
use super::signal::{GroupSignals, SignalQueue};
use super::task::Task;
use super::timers::ProcessTimers;
use super::usage::Usage;
use crate::executor::wait::WaitQueue;
use crate::loader::Executable;
use crate::sync::{Mutex, Rank};

/// What the threads of a process share that no flag of clone can separate.
pub struct ThreadGroup {
    pid: u32,
    tasks: Mutex<BTreeMap<u32, Weak<Task>>>,
    signals: Mutex<GroupSignals>,
    state: Mutex<State>,
    /// The host process that stands for this one. A child of vfork runs in its parent's memory until it calls execve,
    /// which then happens here.
    stub: Arc<dyn AddressSpace>,
    /// Children ended, stopped or continued.
    pub children_changed: WaitQueue,
    /// A thread of this group ended.
    pub thread_ended: WaitQueue,
    /// A stop ended.
    pub continued: WaitQueue,
    /// A signal was queued for the process.
    pub signal_arrived: WaitQueue,
    /// This vfork child has called execve or ended.
    pub vfork_done: WaitQueue,
    vfork_pending: AtomicBool,
    oom_score_adjust: AtomicU32,
    /// When it began.
    pub started: Instant,
}

/// The rest of a process's state.
pub struct State {
    /// Resource limits.
    pub limits: Limits,
    /// Interval timers and POSIX timers.
    pub timers: ProcessTimers,
    /// What its ended threads used.
    pub ended_threads: Usage,
    /// The program it runs.
    pub executable: Option<Arc<Executable>>,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: u32,
    /// `personality(2)`.
    pub personality: u32,
    /// The wait status of the leader, once it has ended.
    pub leader_status: Option<u32>,
    /// The real user at the end.
    pub uid_at_end: u32,
}

impl ThreadGroup {
    /// A process without threads yet.
    pub fn new(
        pid: u32,
        stub: Arc<dyn AddressSpace>,
        limits: Limits,
        executable: Option<Arc<Executable>>,
    ) -> Arc<Self> {
        let group = Arc::new(Self {
            pid,
            tasks: Mutex::new(Rank::Leaf, BTreeMap::new()),
            signals: Mutex::new(Rank::GroupSignals, GroupSignals::default()),
            state: Mutex::new(
                Rank::Group,
                State {
                    limits,
                    timers: ProcessTimers::default(),
                    ended_threads: Usage::default(),
                    executable,
                    dumpable: 1,
                    personality: 0,
                    leader_status: None,
                    uid_at_end: 0,
                },
            ),
            stub,
            children_changed: WaitQueue::new(),
            thread_ended: WaitQueue::new(),
            continued: WaitQueue::new(),
            signal_arrived: WaitQueue::new(),
            vfork_done: WaitQueue::new(),
            vfork_pending: AtomicBool::new(false),
            oom_score_adjust: AtomicU32::new(0),
            started: Instant::now(),
        });
        super::timers::watch_cpu(&group);
        group
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is the container's init.
    pub fn is_init(&self) -> bool {
        self.pid == 1
    }

    /// The host process that stands for it.
    pub fn stub(&self) -> &Arc<dyn AddressSpace> {
        &self.stub
    }

    /// Its live threads, by number.
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        self.tasks.lock().values().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn add_task(&self, tid: u32, task: &Arc<Task>) {
        self.tasks.lock().insert(tid, Arc::downgrade(task));
    }

    pub(super) fn remove_task(&self, tid: u32) -> usize {
        let mut tasks = self.tasks.lock();
        tasks.remove(&tid);
        tasks.len()
    }

    /// How many live threads it has.
    pub fn task_count(&self) -> usize {
        self.tasks.lock().len()
    }

    /// Its signal state.
    pub fn signals(&self) -> &Mutex<GroupSignals> {
        &self.signals
    }

    /// Its other state.
    pub fn state(&self) -> &Mutex<State> {
        &self.state
    }

    /// The soft limit of a resource.
    pub fn limit(&self, resource: moat_abi::resource::Resource) -> u64 {
        self.state.lock().limits.get(resource).soft
    }

    /// Whether RLIMIT_SIGPENDING forbids to queue another real-time signal.
    pub fn is_queue_full(&self, queue: &SignalQueue, signal: Signal, info: &SigInfo) -> bool {
        signal.is_real_time()
            && info.is_from_user()
            && queue.len() as u64 >= self.limit(moat_abi::resource::Resource::SigPending)
    }

    /// Marks it as a vfork child whose parent waits.
    pub(super) fn begin_vfork(&self) {
        self.vfork_pending.store(true, Ordering::Release);
    }

    /// Lets the parent of a vfork child go on.
    pub(super) fn end_vfork(&self) {
        if self.vfork_pending.swap(false, Ordering::AcqRel) {
            self.vfork_done.wake_all();
        }
    }

    /// Whether its parent still waits for its execve or end.
    pub fn is_vfork_pending(&self) -> bool {
        self.vfork_pending.load(Ordering::Acquire)
    }

    /// The real user that it had at its end.
    pub fn uid_at_end(&self) -> u32 {
        self.state.lock().uid_at_end
    }

    /// Processor time of all its threads, ended ones included.
    pub fn cpu_time(&self) -> Duration {
        let usage = self.usage();
        usage.user + usage.system
    }

    /// A time in application code, which is measured by the wall clock, as far as the process can have had it: a busy host
    /// lets it wait.
    pub(super) fn bounded(&self, time: Duration) -> Duration {
        match self.stub.cpu_time() {
            // It has ended, and nobody knows.
            Duration::ZERO => time,
            most => time.min(most),
        }
    }

    /// What its threads have used so far, ended ones included.
    pub fn usage(&self) -> Usage {
        let mut usage = self.state.lock().ended_threads;
        for task in self.tasks() {
            let (user, system) = task.times();
            usage.user += user;
            usage.system += system;
        }
        usage.user = self.bounded(usage.user);
        usage.minor_faults = self.stub.minor_faults();
        usage.max_resident = self.peak_resident_bytes().unwrap_or(0) >> 10;
        usage
    }

    /// The most memory that it had resident so far, in bytes, as far as that is known.
    pub fn peak_resident_bytes(&self) -> Option<u64> {
        self.stub.peak_resident_bytes()
    }

    /// `oom_score_adj`.
    pub fn oom_score_adjust(&self) -> i32 {
        self.oom_score_adjust.load(Ordering::Relaxed) as i32
    }

    /// Sets `oom_score_adj` (-1000..=1000, checked by the caller).
    pub fn set_oom_score_adjust(&self, value: i32) {
        self.oom_score_adjust.store(value as u32, Ordering::Relaxed);
    }
}
