//! Timers that are not a task's own sleep: interval timers, POSIX timers, timerfds. One thread sleeps until the
//! earliest of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::wait::Notify;

/// The timers of the sandbox and the thread that fires them.
pub struct TimerQueue {
    state: parking_lot::Mutex<BTreeMap<(Instant, u64), Arc<dyn Notify>>>,
    changed: parking_lot::Condvar,
    next: AtomicU64,
}

/// An armed timer; dropping it disarms.
pub struct Armed {
    queue: Arc<TimerQueue>,
    key: (Instant, u64),
}

impl TimerQueue {
    /// The queue of this sandbox; its thread starts with the first use.
    pub fn global() -> &'static Arc<TimerQueue> {
        static QUEUE: OnceLock<Arc<TimerQueue>> = OnceLock::new();
        QUEUE.get_or_init(|| {
            let queue = Arc::new(TimerQueue {
                state: parking_lot::Mutex::new(BTreeMap::new()),
                changed: parking_lot::Condvar::new(),
                next: AtomicU64::new(0),
            });
            let runner = queue.clone();
            let spawned =
                std::thread::Builder::new().name("timers".into()).stack_size(256 << 10).spawn(move || runner.run());
            if let Err(e) = spawned {
                crate::fatal(&format!("cannot start the timer thread: {e}"));
            }
            queue
        })
    }

    /// Calls `notify` once, at `at` or as soon after as the host lets us.
    pub fn arm(self: &Arc<Self>, at: Instant, notify: Arc<dyn Notify>) -> Armed {
        let key = (at, self.next.fetch_add(1, Ordering::Relaxed));
        let mut timers = self.state.lock();
        timers.insert(key, notify);
        if timers.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.changed.notify_one();
        }
        Armed { queue: self.clone(), key }
    }

    fn run(&self) {
        let mut timers = self.state.lock();
        loop {
            let Some(first) = timers.first_entry() else {
                self.changed.wait(&mut timers);
                continue;
            };
            let at = first.key().0;
            if at > Instant::now() {
                self.changed.wait_until(&mut timers, at);
                continue;
            }
            let notify = first.remove();
            parking_lot::MutexGuard::unlocked(&mut timers, || notify.notify());
        }
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        let removed = self.queue.state.lock().remove(&self.key);
        drop(removed);
    }
}
