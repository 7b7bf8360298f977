//! Kicks: a signal to the thread, sent by the mapper of its own process, whose handler posts as for any other. One that
//! finds the thread in its handler waits until that returns, and then stops it again: no kick is lost.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::constants;
use super::slots::Slot;
use crate::Kicker;
use crate::stub::orders::Order;
use crate::stub::process::Stub;

/// The signal, which the published list of the mapper names.
pub const SIGNAL: i32 = 64;
/// A thread that does not answer for so long is one that has blocked the signal, by frames that it forged.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A kick has come that nobody was told of.
const PENDING: u32 = 1;
/// The application runs, for as long as it likes.
const RUNNING: u32 = 2;
/// The thread that runs was signalled.
const SIGNALLED: u32 = 4;

/// The state that kickers and the polling thread share.
pub struct Kicks {
    stub: Weak<Stub>,
    slot: Arc<Slot>,
    /// The thread's number in its pid namespace.
    thread: AtomicI32,
    state: AtomicU32,
    /// When the thread that runs was signalled first. Held from before [`SIGNALLED`] is set until it says so.
    signalled: Mutex<Instant>,
}

impl Kicks {
    /// Those of a thread of `stub`.
    pub fn new(stub: &Arc<Stub>, slot: Arc<Slot>, thread: i32) -> Self {
        Self {
            stub: Arc::downgrade(stub),
            slot,
            thread: AtomicI32::new(thread),
            state: AtomicU32::new(0),
            signalled: Mutex::new(Instant::now()),
        }
    }

    /// Takes a kick that has come.
    pub fn take(&self) -> bool {
        self.state.fetch_and(!PENDING, Ordering::SeqCst) & PENDING != 0
    }

    /// From here to [`Self::leave`] a kick signals the thread. False if one has come already.
    pub fn enter(&self) -> bool {
        self.state.compare_exchange(0, RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// See [`Self::enter`].
    pub fn leave(&self) {
        self.state.fetch_and(PENDING, Ordering::SeqCst);
    }

    /// From now on another thread is the one that is kicked.
    pub fn set_thread(&self, thread: i32) {
        self.thread.store(thread, Ordering::SeqCst);
    }

    /// Whether the application runs, for as long as it likes.
    pub fn is_running(&self) -> bool {
        self.state.load(Ordering::SeqCst) & RUNNING != 0
    }

    /// Whether the thread has not answered a kick for too long.
    pub fn unanswered(&self) -> bool {
        let signalled = self.signalled.lock();
        self.state.load(Ordering::SeqCst) & SIGNALLED != 0 && signalled.elapsed() > PATIENCE
    }

    /// A kick comes: true if the thread is to be signalled for it.
    fn note(&self) -> bool {
        let noted = |state| Some(state | PENDING | if state & RUNNING != 0 { SIGNALLED } else { 0 });
        let mut signalled = self.signalled.lock();
        let before = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, noted).unwrap_or_else(|state| state);
        let first = before & (RUNNING | SIGNALLED) == RUNNING;
        if first {
            *signalled = Instant::now();
        }
        first
    }
}

impl Kicker for Kicks {
    fn revoke_constants(&self) {
        constants::revoke(&self.slot);
    }

    fn kick(&self) {
        if !self.note() {
            return;
        }
        if let Some(stub) = self.stub.upgrade() {
            let thread = [stub.inner_pid() as u64, self.thread.load(Ordering::SeqCst) as u64, SIGNAL as u64];
            // A thread that has just ended needs no kick.
            let _ = stub.order(&[Order::new(libc::SYS_tgkill, &thread)]);
        }
    }
}
