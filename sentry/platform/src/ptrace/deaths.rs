//! Stubs that the host kills while their threads are stopped, waiting for an answer to a call that may take for ever:
//! their tracers sleep and would not notice.
//!
//! The host sends SIGCHLD for each tracee that ends while it is traced, which is only one that was killed. One thread then
//! looks which of those that asked has ended; it leaves the reaping to the tracer. With SA_NOCLDSTOP in force, the stops
//! themselves cost no signal.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::PlatformError;

/// The event counter that the handler of SIGCHLD raises, or -1.
static EVENT: AtomicI32 = AtomicI32::new(-1);

/// Who is told of the end of a thread.
type Tell = Arc<dyn Fn() + Send + Sync>;

/// Those who want to hear of the end of which thread.
static WATCHED: LazyLock<Mutex<HashMap<i32, Tell>>> = LazyLock::new(Mutex::default);

extern "C" fn handler(_: i32) {
    let one = 1u64;
    // SAFETY: errno belongs to the code that was interrupted; writing eight bytes of this frame is async-signal-safe.
    unsafe {
        let errno = libc::__errno_location();
        let saved = *errno;
        libc::write(EVENT.load(Ordering::Relaxed), (&raw const one).cast(), 8);
        *errno = saved;
    }
}

/// Starts the thread that looks. Idempotent.
pub fn install() -> Result<(), PlatformError> {
    static STARTED: std::sync::Once = std::sync::Once::new();
    let mut result = Ok(());
    STARTED.call_once(|| result = start());
    result
}

fn start() -> Result<(), PlatformError> {
    let flags = nix::sys::eventfd::EfdFlags::EFD_CLOEXEC;
    let event: OwnedFd =
        nix::sys::eventfd::EventFd::from_flags(flags).map_err(|e| PlatformError::Host(e as i32))?.into();
    EVENT.store(event.as_raw_fd(), Ordering::Relaxed);
    // No other thread shall be interrupted in what it does: this one and those that it starts from now on block it.
    mask(libc::SIG_BLOCK)?;
    std::thread::Builder::new()
        .name("deaths".into())
        .stack_size(128 << 10)
        .spawn(move || {
            if mask(libc::SIG_UNBLOCK).is_err() {
                return;
            }
            let mut event = std::fs::File::from(event);
            let mut count = [0; 8];
            // An interrupted read is tried again; no other error is possible.
            while event.read_exact(&mut count).is_ok() {
                look();
            }
        })
        .map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EAGAIN)))?;
    // SAFETY: sigaction is plain data; the handler only makes async-signal-safe calls.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_NOCLDSTOP | libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut())
    };
    if result < 0 { Err(PlatformError::Host(libc::EINVAL)) } else { Ok(()) }
}

/// Blocks or unblocks SIGCHLD in the calling thread.
fn mask(how: i32) -> Result<(), PlatformError> {
    // SAFETY: sigset_t is plain data, and the calls fill it.
    let result = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(PlatformError::Host(result)) }
}

fn look() {
    let watched: Vec<i32> = WATCHED.lock().keys().copied().collect();
    for tid in watched.into_iter().filter(|&tid| super::raw::has_ended(tid)) {
        let tell = WATCHED.lock().remove(&tid);
        if let Some(tell) = tell {
            tell();
        }
    }
}

/// Calls `tell` once, by another thread, if this tracee ends before [`forget`] is called.
pub fn watch(tid: i32, tell: Tell) {
    WATCHED.lock().insert(tid, tell);
}

/// Takes that back.
pub fn forget(tid: i32) {
    let forgotten = WATCHED.lock().remove(&tid);
    drop(forgotten);
}
