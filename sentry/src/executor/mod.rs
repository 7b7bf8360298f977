//! Runs tasks. A task (application thread) is one future; what it awaits is either its platform context or a
//! [`wait::WaitQueue`].
//!
//! On platforms that tie a task to a host thread (`Platform::thread_per_task`) each task has a thread that polls it and
//! sleeps between polls ([`workers`]); that is the only mode so far.

pub mod deferred;
pub mod reactor;
pub mod timer;
pub mod wait;
pub mod workers;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

thread_local! {
    static NEXT_DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Asks for another poll of the future that is being polled by this thread, no later than `at`.
pub(crate) fn poll_again_by(at: Instant) {
    NEXT_DEADLINE.with(|d| d.set(Some(d.get().map_or(at, |earlier| earlier.min(at)))));
}

/// Polls `future` on this thread until it is done.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let parker = Arc::new(Parker { thread: std::thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        NEXT_DEADLINE.with(|d| d.set(None));
        deferred::begin();
        let polled = future.as_mut().poll(&mut cx);
        deferred::settle();
        if let Poll::Ready(value) = polled {
            return value;
        }
        let deadline = NEXT_DEADLINE.with(Cell::get);
        while !parker.woken.swap(false, Ordering::Acquire) {
            match deadline {
                None => std::thread::park(),
                Some(at) => {
                    let now = Instant::now();
                    if now >= at {
                        break;
                    }
                    std::thread::park_timeout(at - now);
                }
            }
        }
    }
}

struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}
