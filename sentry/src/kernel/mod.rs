//! The kernel proper: tasks, thread groups, sessions, signals, credentials, limits, timers, futexes.

pub mod clock;
pub mod clone;
pub mod credentials;
pub mod current;
pub mod exec;
pub mod exit;
pub mod fault;
pub mod futex;
pub mod process_tree;
pub mod rlimits;
pub mod run;
pub mod seccomp;
pub mod signal;
pub mod task;
pub mod thread_group;
pub mod timers;
pub mod usage;
pub mod uts;
pub mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moat_platform::Platform;

pub use current::{Current, FaultInfo};
pub use process_tree::ProcessTree;
pub use task::Task;
pub use thread_group::ThreadGroup;

use crate::executor::wait::WaitQueue;
use crate::fs::MountNamespace;
use crate::loader::vdso::Vdso;
use crate::net::NetNamespace;
use crate::sync::{Mutex, MutexGuard, Rank};
use crate::syscalls::counters::Counters;
use crate::trace::Tracer;
use clock::Clocks;
use futex::FutexTable;
use uts::Uts;

/// What a kernel is told at the start.
pub struct KernelConfig {
    /// How application code runs.
    pub platform: Arc<dyn Platform>,
    /// The tree.
    pub mounts: Arc<MountNamespace>,
    /// The sockets' network.
    pub net: Arc<NetNamespace>,
    /// Node and domain name.
    pub uts: Uts,
    /// Clock offsets.
    pub clocks: Clocks,
    /// The vDSO of every program, made for these clocks.
    pub vdso: Vdso,
    /// The most tasks.
    pub pids_limit: u64,
    /// The memory that the guest sees, in bytes.
    pub memory: u64,
    /// The processors that the guest sees.
    pub cpus: u32,
    /// Where its system calls are traced to.
    pub tracer: Option<Tracer>,
    /// The filter of config.json, for every process that comes from outside.
    pub filter: Option<Arc<seccomp::Filter>>,
    /// See [`Kernel::ordinary_init`].
    pub ordinary_init: bool,
}

/// One container's kernel.
pub struct Kernel {
    platform: Arc<dyn Platform>,
    tree: Mutex<ProcessTree>,
    mounts: Arc<MountNamespace>,
    net: Arc<NetNamespace>,
    uts: Mutex<Uts>,
    clocks: Clocks,
    futexes: FutexTable,
    paused: AtomicBool,
    /// `resume` was called.
    pub resumed: WaitQueue,
    /// Processes without a parent in the container (init, exec) that have ended: their wait statuses.
    ended: Mutex<HashMap<u32, u32>>,
    /// One of them ended.
    pub ended_changed: WaitQueue,
    pids_limit: AtomicU64,
    /// Memory in bytes.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
    /// The sessions' terminals.
    pub terminals: crate::fs::tty::Sessions,
    /// Whether signals act on init as on any other process, and not as on the first of a pid namespace.
    pub ordinary_init: bool,
    forks: AtomicU64,
    vdso: Vdso,
    tracer: Option<Arc<Tracer>>,
    counters: Counters,
    filter: Option<Arc<seccomp::Filter>>,
}

impl Kernel {
    /// A kernel without processes.
    pub fn new(config: KernelConfig) -> Arc<Self> {
        Arc::new(Self {
            vdso: config.vdso,
            platform: config.platform,
            tree: Mutex::new(Rank::ProcessTree, ProcessTree::default()),
            mounts: config.mounts,
            net: config.net,
            uts: Mutex::new(Rank::Leaf, config.uts),
            clocks: config.clocks,
            futexes: FutexTable::default(),
            paused: AtomicBool::new(false),
            resumed: WaitQueue::new(),
            ended: Mutex::new(Rank::Leaf, HashMap::new()),
            ended_changed: WaitQueue::new(),
            pids_limit: AtomicU64::new(config.pids_limit),
            memory: config.memory,
            cpus: config.cpus,
            terminals: Default::default(),
            forks: AtomicU64::new(0),
            tracer: config.tracer.map(Arc::new),
            counters: Counters::default(),
            filter: config.filter,
            ordinary_init: config.ordinary_init,
        })
    }

    /// How application code runs.
    pub fn platform(&self) -> &Arc<dyn Platform> {
        &self.platform
    }

    /// The processes.
    pub fn tree(&self) -> MutexGuard<'_, ProcessTree> {
        self.tree.lock()
    }

    /// The mounts.
    pub fn mounts(&self) -> &Arc<MountNamespace> {
        &self.mounts
    }

    /// The network.
    pub fn net(&self) -> &Arc<NetNamespace> {
        &self.net
    }

    /// The names of this machine.
    pub fn uts(&self) -> MutexGuard<'_, Uts> {
        self.uts.lock()
    }

    /// The clocks.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Who waits for which word.
    pub fn futexes(&self) -> &FutexTable {
        &self.futexes
    }

    /// The vDSO of every program.
    pub fn vdso(&self) -> &Vdso {
        &self.vdso
    }

    /// The most tasks at a time.
    pub fn pids_limit(&self) -> u64 {
        self.pids_limit.load(Ordering::Relaxed)
    }

    /// Changes it; the tasks that are there stay.
    pub fn set_pids_limit(&self, most: u64) {
        self.pids_limit.store(most, Ordering::Relaxed);
    }

    /// How many tasks were made since the start (`processes` in /proc/stat).
    pub fn forks(&self) -> u64 {
        self.forks.load(Ordering::Relaxed)
    }

    /// Where its system calls are traced to.
    pub fn tracer(&self) -> Option<&Arc<Tracer>> {
        self.tracer.as_ref()
    }

    /// How often each system call was made.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The filter of config.json.
    pub fn filter(&self) -> Option<&Arc<seccomp::Filter>> {
        self.filter.as_ref()
    }

    pub(crate) fn count_fork(&self) {
        self.forks.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether `pause` was called.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// Holds every task still, or lets them go on.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
        if paused {
            for task in self.all_tasks() {
                task.recalculate_pending();
            }
        } else {
            self.resumed.wake_all();
        }
    }

    /// Every live task.
    pub fn all_tasks(&self) -> Vec<Arc<Task>> {
        self.tree().processes().flat_map(|(_, p)| p.tasks.values().cloned()).collect()
    }

    /// Application memory in use, in bytes, as far as the platform can tell.
    pub fn resident_bytes(&self) -> u64 {
        let groups: Vec<_> = self.tree().processes().map(|(_, p)| p.group.clone()).collect();
        groups.iter().filter_map(|g| g.peak_resident_bytes()).sum()
    }

    /// Records the end of a process that nobody in the container waits for.
    pub(crate) fn record_end(&self, pid: u32, status: u32) {
        self.ended.lock().insert(pid, status);
        self.ended_changed.wake_all();
    }

    /// The wait status of init or of a process that `exec` brought in, once it has ended.
    pub fn ended(&self, pid: u32) -> Option<u32> {
        self.ended.lock().get(&pid).copied()
    }
}
