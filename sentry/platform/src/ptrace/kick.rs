//! Kicks: how another thread gets a tracee to stop.
//!
//! Only the tracer may interrupt its tracee, so the kick is a signal to the tracing sentry thread, whose handler does it.
//! PTRACE_INTERRUPT on a tracee that happens to be stopped stays pending and stops it at its next run: no kick is lost.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use crate::{Kicker, PlatformError};

thread_local! {
    /// The tracee that this thread waits for; 0 for none.
    static TRACEE: Cell<i32> = const { Cell::new(0) };
    /// This thread's own number.
    // SAFETY: no arguments.
    static OWN: i32 = unsafe { libc::gettid() };
}

fn kick_signal() -> i32 {
    libc::SIGRTMIN() + 1
}

extern "C" fn handler(_: i32) {
    // SAFETY: errno belongs to the code that was interrupted.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: a valid pointer to this thread's errno.
    let saved = unsafe { *errno };
    let tid = TRACEE.get();
    if tid != 0 {
        // A tracee that has just died needs no kick.
        let _ = super::raw::interrupt(tid);
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

/// Installs the handler, and lets the signal through to this thread and those that it starts: whoever started the
/// process may have blocked it. Idempotent.
pub fn install_handler() -> Result<(), PlatformError> {
    // SAFETY: sigaction and sigset_t are plain data; the handler only makes async-signal-safe calls.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, kick_signal());
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::sigaction(kick_signal(), &raw const action, std::ptr::null_mut())
    };
    if result < 0 { Err(PlatformError::Host(libc::EINVAL)) } else { Ok(()) }
}

/// Says which tracee this thread waits for.
pub fn set_tracee(tid: i32) {
    TRACEE.set(tid);
}

/// The state that kickers and the polling thread share.
#[derive(Default)]
pub struct Kicks {
    pending: AtomicBool,
    /// The sentry thread that is about to wait, or 0.
    waiting: AtomicI32,
}

impl Kicks {
    /// Takes a kick that has come.
    pub fn take(&self) -> bool {
        self.pending.swap(false, Ordering::SeqCst)
    }

    /// From here to [`Self::leave`] a kick interrupts the tracee. False if one has come already.
    pub fn enter(&self) -> bool {
        self.waiting.store(OWN.with(|own| *own), Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) {
            self.leave();
            return false;
        }
        true
    }

    /// See [`Self::enter`].
    pub fn leave(&self) {
        self.waiting.store(0, Ordering::SeqCst);
    }
}

impl Kicker for Kicks {
    fn revoke_constants(&self) {}

    fn kick(&self) {
        self.pending.store(true, Ordering::SeqCst);
        let tid = self.waiting.load(Ordering::SeqCst);
        if tid != 0 {
            // SAFETY: no memory; the signal goes to a thread of this very process, which handles it.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, kick_signal()) };
        }
    }
}
