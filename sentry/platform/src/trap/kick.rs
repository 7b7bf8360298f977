//! Kicks: a signal to the thread, sent by the mapper of its own process, whose handler posts as for any other. One that
//! finds the thread in its handler waits until that returns, and then stops it again: no kick is lost.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
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

/// The state that kickers and the polling thread share.
pub struct Kicks {
    stub: Weak<Stub>,
    slot: Arc<Slot>,
    /// The thread's number in its pid namespace.
    thread: AtomicI32,
    pending: AtomicBool,
    running: AtomicBool,
    /// When the thread that runs was signalled first.
    signalled: Mutex<Option<Instant>>,
}

impl Kicks {
    /// Those of a thread of `stub`.
    pub fn new(stub: &Arc<Stub>, slot: Arc<Slot>, thread: i32) -> Self {
        Self {
            stub: Arc::downgrade(stub),
            slot,
            thread: AtomicI32::new(thread),
            pending: AtomicBool::new(false),
            running: AtomicBool::new(false),
            signalled: Mutex::new(None),
        }
    }

    /// Takes a kick that has come.
    pub fn take(&self) -> bool {
        self.pending.swap(false, Ordering::SeqCst)
    }

    /// From here to [`Self::leave`] a kick signals the thread. False if one has come already.
    pub fn enter(&self) -> bool {
        self.running.store(true, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) {
            self.leave();
            return false;
        }
        true
    }

    /// See [`Self::enter`].
    pub fn leave(&self) {
        self.running.store(false, Ordering::SeqCst);
        *self.signalled.lock() = None;
    }

    /// From now on another thread is the one that is kicked.
    pub fn set_thread(&self, thread: i32) {
        self.thread.store(thread, Ordering::SeqCst);
    }

    /// Whether the application runs, for as long as it likes.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Whether the thread has not answered a kick for too long.
    pub fn unanswered(&self) -> bool {
        self.signalled.lock().is_some_and(|at| at.elapsed() > PATIENCE)
    }
}

impl Kicker for Kicks {
    fn revoke_constants(&self) {
        constants::revoke(&self.slot);
    }

    fn kick(&self) {
        self.pending.store(true, Ordering::SeqCst);
        if !self.running.load(Ordering::SeqCst) {
            return;
        }
        {
            let mut signalled = self.signalled.lock();
            if signalled.is_some() {
                return;
            }
            *signalled = Some(Instant::now());
        }
        if let Some(stub) = self.stub.upgrade() {
            let thread = [stub.inner_pid() as u64, self.thread.load(Ordering::SeqCst) as u64, SIGNAL as u64];
            // A thread that has just ended needs no kick.
            let _ = stub.order(&[Order::new(libc::SYS_tgkill, &thread)]);
        }
    }
}
