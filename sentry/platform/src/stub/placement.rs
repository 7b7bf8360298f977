//! Where the two host threads of a task run. Tracer and tracee take turns, and a switch within a core costs a fifth of
//! one to another core, but the host's scheduler likes to spread them. So a pair that stops often is pinned to one core
//! together; a pair whose application computes is left to the host.
//!
//! One thread, the overseer, looks every few milliseconds, and only while something runs: it frees a pinned tracee that
//! computes, and moves a pair from a core with several busy pairs to one with none.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

/// Runs shorter than this make a pair one that stops often.
const SHORT: Duration = Duration::from_micros(200);
/// So many short runs in a row, and it is pinned.
const RUNS: u32 = 4;
/// How often the overseer looks.
const PERIOD: Duration = Duration::from_millis(4);
/// After so many looks without anything running it sleeps until something does.
const IDLE_LOOKS: u32 = 5;
/// `pinned` of a pair that is not.
const FREE: i32 = -1;

/// A pair, as the overseer sees it.
struct Pair {
    tracer: AtomicI32,
    tracee: i32,
    /// The core, or [`FREE`].
    core: AtomicI32,
    /// How often the tracee was started; it runs while the number is odd.
    turns: AtomicU64,
    /// What `turns` was at the last look.
    seen: AtomicU64,
}

/// A pair's placement, held by its tracer.
pub struct Placement {
    pair: Arc<Pair>,
    short_runs: u32,
}

struct Overseer {
    pairs: Mutex<Vec<Weak<Pair>>>,
    awake: AtomicBool,
    thread: OnceLock<Thread>,
    cores: u32,
}

fn set_affinity(tid: i32, core: Option<u32>, cores: u32) {
    let mut set = nix::sched::CpuSet::new();
    for candidate in 0..cores {
        if core.is_none_or(|c| c == candidate) {
            // A core beyond what the set can hold stays out of it.
            let _ = set.set(candidate as usize);
        }
    }
    // Placement is a matter of speed alone: a refusal (or a thread that has just ended) changes nothing else.
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(tid), &set);
}

impl Overseer {
    fn global() -> &'static Self {
        static OVERSEER: OnceLock<Overseer> = OnceLock::new();
        OVERSEER.get_or_init(|| Overseer {
            pairs: Mutex::new(Vec::new()),
            awake: AtomicBool::new(false),
            thread: OnceLock::new(),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        })
    }

    fn wake(&'static self) {
        if self.awake.swap(true, Ordering::AcqRel) {
            return;
        }
        match self.thread.get() {
            Some(thread) => thread.unpark(),
            None => {
                let spawned =
                    std::thread::Builder::new().name("overseer".into()).stack_size(64 << 10).spawn(|| self.run());
                match spawned {
                    Ok(handle) => drop(self.thread.set(handle.thread().clone())),
                    Err(_) => self.awake.store(false, Ordering::Release),
                }
            }
        }
    }

    fn run(&self) {
        let mut idle = 0;
        let mut busy = vec![0u32; self.cores as usize];
        loop {
            std::thread::sleep(PERIOD);
            let ran = self.look(&mut busy);
            idle = if ran { 0 } else { idle + 1 };
            if idle >= IDLE_LOOKS {
                self.awake.store(false, Ordering::Release);
                idle = 0;
                while !self.awake.load(Ordering::Acquire) {
                    std::thread::park();
                }
            }
        }
    }

    /// One look; whether anything ran since the last.
    fn look(&self, busy: &mut [u32]) -> bool {
        let pairs: Vec<Arc<Pair>> = {
            let mut pairs = self.pairs.lock();
            pairs.retain(|p| p.strong_count() > 0);
            pairs.iter().filter_map(Weak::upgrade).collect()
        };
        busy.fill(0);
        let mut ran = false;
        let mut active = Vec::new();
        for pair in &pairs {
            let turns = pair.turns.load(Ordering::Relaxed);
            let before = pair.seen.swap(turns, Ordering::Relaxed);
            let running = turns % 2 == 1;
            ran |= running || turns != before;
            let core = pair.core.load(Ordering::Relaxed);
            if core == FREE {
                continue;
            }
            if running && turns == before {
                // It computes: the host shall find a core for it.
                pair.core.store(FREE, Ordering::Relaxed);
                set_affinity(pair.tracee, None, self.cores);
            } else if turns != before
                && let Some(count) = busy.get_mut(core as usize)
            {
                *count += 1;
                active.push(pair);
            }
        }
        let empty = busy.iter().position(|&n| n == 0);
        let full = busy.iter().position(|&n| n > 1);
        if let (Some(to), Some(from)) = (empty, full)
            && let Some(pair) = active.iter().find(|p| p.core.load(Ordering::Relaxed) == from as i32)
        {
            pair.core.store(to as i32, Ordering::Relaxed);
            set_affinity(pair.tracer.load(Ordering::Relaxed), Some(to as u32), self.cores);
            set_affinity(pair.tracee, Some(to as u32), self.cores);
        }
        ran
    }
}

static NEXT_CORE: AtomicU32 = AtomicU32::new(0);

impl Placement {
    /// The placement of a pair whose tracer is the calling thread.
    pub fn new(tracee: i32) -> Self {
        let overseer = Overseer::global();
        let pair = Arc::new(Pair {
            tracer: AtomicI32::new(nix::unistd::gettid().as_raw()),
            tracee,
            core: AtomicI32::new(FREE),
            turns: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        });
        overseer.pairs.lock().push(Arc::downgrade(&pair));
        let mut placement = Self { pair, short_runs: 0 };
        // Programs begin with many calls.
        placement.pin(overseer);
        placement
    }

    fn pin(&mut self, overseer: &Overseer) {
        let core = match nix::sched::sched_getcpu() {
            Ok(core) => core as u32,
            Err(_) => NEXT_CORE.fetch_add(1, Ordering::Relaxed) % overseer.cores,
        };
        self.pair.core.store(core as i32, Ordering::Relaxed);
        set_affinity(self.pair.tracer.load(Ordering::Relaxed), Some(core), overseer.cores);
        set_affinity(self.pair.tracee, Some(core), overseer.cores);
    }

    /// The tracee is about to run.
    pub fn begin(&self) {
        self.pair.turns.fetch_add(1, Ordering::Relaxed);
        let overseer = Overseer::global();
        if !overseer.awake.load(Ordering::Relaxed) {
            overseer.wake();
        }
    }

    /// It has stopped, after this time.
    pub fn end(&mut self, ran: Duration) {
        self.pair.turns.fetch_add(1, Ordering::Relaxed);
        if self.pair.core.load(Ordering::Relaxed) != FREE {
            return;
        }
        if ran > SHORT {
            self.short_runs = 0;
            return;
        }
        self.short_runs += 1;
        if self.short_runs >= RUNS {
            self.short_runs = 0;
            self.pin(Overseer::global());
        }
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        // The sentry's thread may go on with another tracee.
        set_affinity(self.pair.tracer.load(Ordering::Relaxed), None, Overseer::global().cores);
    }
}
