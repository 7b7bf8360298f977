//! Where the two host threads of a task run. Tracer and tracee take turns, and a switch within a core costs a fifth of
//! one to another core, but the host's scheduler likes to spread them. So a pair that stops often is pinned to one core
//! together; a pair whose application computes is left to the host. A pair that need not be woken, since one side spins,
//! is better off on two cores ([`Placement::part`]), as long as there are more cores than pairs that run.
//!
//! One thread, the overseer, looks every few milliseconds, and only while something runs: it frees a pinned tracee that
//! computes, moves a pair from a core with several busy pairs to one with none, and says whether a core is spare, which it
//! is only if the rest of the host leaves one, too.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::host_load;

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
    /// The core of both, or the tracer's while they are apart; or [`FREE`].
    core: AtomicI32,
    /// The tracee's core while they are apart, else [`FREE`].
    apart: AtomicI32,
    /// Held while either core changes.
    moving: Mutex<()>,
    /// How often the tracee was started; it runs while the number is odd.
    turns: AtomicU64,
    /// What `turns` was at the last look.
    seen: AtomicU64,
}

/// A pair's placement, held by its tracer.
pub struct Placement {
    overseer: &'static Overseer,
    pair: Arc<Pair>,
    short_runs: u32,
}

struct Overseer {
    pairs: Mutex<Vec<Weak<Pair>>>,
    awake: AtomicBool,
    thread: OnceLock<Thread>,
    /// Those that the sentry may use.
    cores: Vec<u32>,
    /// As much runs as there are cores.
    crowded: AtomicBool,
    /// A core on which nothing runs, or [`FREE`].
    spare: AtomicI32,
}

/// Whether the host has obeyed. Placement is a matter of speed alone: a refusal (or a thread that has just ended) changes
/// nothing else.
fn set_affinity(tid: i32, cores: &[u32]) -> bool {
    let mut set = nix::sched::CpuSet::new();
    for &core in cores {
        // A core beyond what the set can hold stays out of it.
        let _ = set.set(core as usize);
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(tid), &set).is_ok()
}

/// The cores that the calling thread may use, in order.
fn own_cores() -> Vec<u32> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap_or_default();
    (0..nix::sched::CpuSet::count()).filter(|&core| set.is_set(core) == Ok(true)).map(|core| core as u32).collect()
}

impl Overseer {
    fn global() -> &'static Self {
        static OVERSEER: OnceLock<Overseer> = OnceLock::new();
        OVERSEER.get_or_init(|| Overseer {
            pairs: Mutex::new(Vec::new()),
            awake: AtomicBool::new(false),
            thread: OnceLock::new(),
            cores: own_cores(),
            crowded: AtomicBool::new(true),
            spare: AtomicI32::new(FREE),
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
        // It was born by a thread with one core.
        set_affinity(0, &self.cores);
        let mut idle = 0;
        let mut busy = vec![0u32; self.cores.last().map_or(0, |&last| last as usize + 1)];
        let mut others = Others::default();
        loop {
            std::thread::sleep(PERIOD);
            let ran = self.look(&mut busy, &mut others);
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
    fn look(&self, busy: &mut [u32], others: &mut Others) -> bool {
        let pairs: Vec<Arc<Pair>> = {
            let mut pairs = self.pairs.lock();
            pairs.retain(|p| p.strong_count() > 0);
            pairs.iter().filter_map(Weak::upgrade).collect()
        };
        busy.fill(0);
        let mut running_pairs = 0;
        let mut active = Vec::new();
        for pair in &pairs {
            let turns = pair.turns.load(Ordering::Relaxed);
            let before = pair.seen.swap(turns, Ordering::Relaxed);
            let running = turns % 2 == 1;
            if !running && turns == before {
                continue;
            }
            running_pairs += 1;
            let _moving = pair.moving.lock();
            let (core, apart) = (pair.core.load(Ordering::Relaxed), pair.apart.load(Ordering::Relaxed));
            if core == FREE {
                continue;
            }
            if turns == before && apart == FREE {
                // It computes: the host shall find a core for it.
                pair.core.store(FREE, Ordering::Relaxed);
                set_affinity(pair.tracee, &self.cores);
                continue;
            }
            for core in [core, apart] {
                if let Some(count) = usize::try_from(core).ok().and_then(|core| busy.get_mut(core)) {
                    *count += 1;
                }
            }
            active.push(pair);
        }
        let empty = self.cores.iter().copied().find(|&core| busy[core as usize] == 0);
        let full = busy.iter().position(|&n| n > 1);
        let crowded = running_pairs >= self.cores.len() || others.leave_no_core(running_pairs as u32);
        self.crowded.store(crowded, Ordering::Relaxed);
        let spare = empty.filter(|_| !crowded && full.is_none());
        self.spare.store(spare.map_or(FREE, |core| core as i32), Ordering::Relaxed);
        if let (Some(to), Some(from)) = (empty, full) {
            for pair in active {
                let _moving = pair.moving.lock();
                let together = pair.apart.load(Ordering::Relaxed) == FREE;
                if together && pair.core.load(Ordering::Relaxed) == from as i32 {
                    pair.core.store(to as i32, Ordering::Relaxed);
                    set_affinity(pair.tracer.load(Ordering::Relaxed), &[to]);
                    set_affinity(pair.tracee, &[to]);
                    break;
                }
            }
        }
        running_pairs > 0
    }
}

/// What runs on the host besides our pairs: smoothed, since each look sees a moment only.
#[derive(Default)]
struct Others {
    /// In sixteenths of a thread.
    running: u32,
}

impl Others {
    /// Looks, and says whether they and so many pairs of ours use all cores of the host.
    fn leave_no_core(&mut self, pairs: u32) -> bool {
        let Some((running, cores)) = host_load::running() else { return false };
        // The calling thread, and both of a pair that takes turns.
        self.follow(running.saturating_sub(1 + 2 * pairs));
        self.are_too_many(pairs, cores)
    }

    fn follow(&mut self, running: u32) {
        self.running = (self.running * 7 + running.min(1 << 16) * 16) / 8;
    }

    /// A quarter of a thread is nobody's.
    fn are_too_many(&self, pairs: u32, cores: u32) -> bool {
        16 * pairs + self.running > 16 * cores.saturating_sub(1) + 4
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
            apart: AtomicI32::new(FREE),
            moving: Mutex::new(()),
            turns: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        });
        let pairs = {
            let mut pairs = overseer.pairs.lock();
            pairs.push(Arc::downgrade(&pair));
            pairs.len()
        };
        if pairs >= overseer.cores.len() {
            // One more runs than at the overseer's last look.
            overseer.crowded.store(true, Ordering::Relaxed);
        }
        let mut placement = Self { overseer, pair, short_runs: 0 };
        // Programs begin with many calls.
        placement.pin();
        placement
    }

    fn pin(&mut self) {
        let core = match nix::sched::sched_getcpu() {
            Ok(core) => core as u32,
            Err(_) => {
                let cores = &self.overseer.cores;
                let next = NEXT_CORE.fetch_add(1, Ordering::Relaxed) as usize;
                cores.get(next % cores.len().max(1)).copied().unwrap_or_default()
            }
        };
        let _moving = self.pair.moving.lock();
        self.pair.core.store(core as i32, Ordering::Relaxed);
        set_affinity(self.pair.tracer.load(Ordering::Relaxed), &[core]);
        set_affinity(self.pair.tracee, &[core]);
    }

    /// The number of turns is this thread's alone to change.
    fn turn(&self) {
        self.pair.turns.store(self.pair.turns.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The tracee is about to run.
    pub fn begin(&self) {
        self.turn();
        if !self.overseer.awake.load(Ordering::Relaxed) {
            self.overseer.wake();
        }
    }

    /// It has stopped, after this time.
    pub fn end(&mut self, ran: Duration) {
        self.turn();
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
            self.pin();
        }
    }

    /// Whether as much runs as there are cores, as far as the overseer knows.
    pub fn is_crowded(&self) -> bool {
        self.overseer.crowded.load(Ordering::Relaxed)
    }

    /// The tracee, which has stopped, goes to a spare core. False if there is none.
    pub fn part(&mut self) -> bool {
        let _moving = self.pair.moving.lock();
        let here = self.pair.core.load(Ordering::Relaxed);
        let there = self.overseer.spare.load(Ordering::Relaxed);
        if self.is_crowded() || here == FREE || there == FREE || here == there {
            return false;
        }
        if !set_affinity(self.pair.tracee, &[there as u32]) {
            return false;
        }
        self.pair.apart.store(there, Ordering::Relaxed);
        true
    }

    /// Both run on one core again. The one that sleeps goes to the other's core, which costs nothing but the wake that
    /// it needs anyhow: the tracee if it does, else the calling tracer, which is about to.
    pub fn rejoin(&mut self, tracee_sleeps: bool) {
        let _moving = self.pair.moving.lock();
        let there = self.pair.apart.swap(FREE, Ordering::Relaxed);
        let here = self.pair.core.load(Ordering::Relaxed);
        if there == FREE || here == FREE {
            return;
        }
        if tracee_sleeps {
            set_affinity(self.pair.tracee, &[here as u32]);
        } else {
            self.pair.core.store(there, Ordering::Relaxed);
            set_affinity(self.pair.tracer.load(Ordering::Relaxed), &[there as u32]);
        }
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        // The sentry's thread may go on with another tracee.
        set_affinity(self.pair.tracer.load(Ordering::Relaxed), &self.overseer.cores);
    }
}

#[cfg(test)]
mod tests {
    use super::Others;

    #[test]
    fn others_that_stay_take_a_core_and_those_that_come_and_go_do_not() {
        let mut others = Others::default();
        assert!(!others.are_too_many(1, 2) && others.are_too_many(2, 2) && others.are_too_many(1, 1));
        others.follow(1);
        assert!(!others.are_too_many(1, 2));
        (0..20).for_each(|_| others.follow(1));
        assert!(others.are_too_many(1, 2) && !others.are_too_many(1, 3));
        (0..20).for_each(|_| others.follow(0));
        assert!(!others.are_too_many(1, 2));
    }
}
