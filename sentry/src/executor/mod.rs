//! Runs tasks. A task (application thread) is one future; what it awaits is either its platform context or a
//! [`wait::WaitQueue`].
//!
//! On platforms that tie a task to a host thread (`Platform::thread_per_task`) each task has a thread that polls it and
//! sleeps between polls; that is the only mode so far.

pub mod reactor;
pub mod timer;
pub mod wait;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

/// Stack of a thread that polls a task, in bytes. Mostly untouched.
const TASK_STACK: usize = 1 << 20;

thread_local! {
    static NEXT_DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Asks for another poll of the future that is being polled by this thread, no later than `at`.
pub(crate) fn poll_again_by(at: Instant) {
    NEXT_DEADLINE.with(|d| d.set(Some(d.get().map_or(at, |earlier| earlier.min(at)))));
}

/// Runs `future` to its end on a thread of its own.
///
/// # Errors
/// When the host refuses another thread.
pub fn spawn<F>(name: &str, future: F) -> std::io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).stack_size(TASK_STACK).spawn(move || block_on(future)).map(drop)
}

/// Polls `future` on this thread until it is done.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let parker = Arc::new(Parker { thread: std::thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        NEXT_DEADLINE.with(|d| d.set(None));
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
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
