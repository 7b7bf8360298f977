//! Wait queues: how a task sleeps until something happens, and how things that happen find who cares.
//!
//! The pattern is that of the whole kernel: *register, then look, then sleep*. [`wait_for`] calls an attempt with a
//! [`Waiter`]; the attempt registers the waiter with the queues that could change its answer and then looks. A wake
//! between the look and the sleep is not lost, since the waiter was registered before.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Instant;

use moat_abi::poll::PollEvents;

use crate::sync::{Mutex, Rank};

/// Something that wants to hear of wakes: a sleeping task, an epoll item, a timer.
pub trait Notify: Send + Sync {
    /// Called without any lock of the queue held. Must not block.
    fn notify(&self);
    /// The same for a wake that is known to be about these events of poll(2), for who wants only some (epoll).
    fn notify_of(&self, events: PollEvents) {
        let _ = events;
        self.notify();
    }
}

/// Those who wait, each under the key of its registration.
type Waiters = Vec<(u64, Arc<dyn Notify>)>;

/// Who waits for one condition.
pub struct WaitQueue {
    waiters: Arc<Mutex<Waiters>>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

impl WaitQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self { waiters: Arc::new(Mutex::new(Rank::WaitQueue, Vec::new())) }
    }

    /// Notifies everybody who is registered.
    pub fn wake_all(&self) {
        self.wake(PollEvents::all());
    }

    /// Notifies everybody who is registered that these events may be there now. An edge-triggered epoll takes only those
    /// for news that it asked for, so that who has read does not seem to have received.
    pub fn wake(&self, events: PollEvents) {
        let waiters: Vec<_> = {
            let waiters = self.waiters.lock();
            if waiters.is_empty() {
                return;
            }
            waiters.iter().map(|(_, n)| n.clone()).collect()
        };
        for waiter in waiters {
            waiter.notify_of(events);
        }
    }

    /// Registers `notify` until the registration is dropped.
    pub fn register(&self, notify: Arc<dyn Notify>) -> Registration {
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        self.waiters.lock().push((key, notify));
        Registration { queue: self.waiters.clone(), key }
    }
}

/// A place in a wait queue; dropping it leaves the queue.
pub struct Registration {
    queue: Arc<Mutex<Waiters>>,
    key: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let removed = {
            let mut waiters = self.queue.lock();
            waiters.iter().position(|(k, _)| *k == self.key).map(|at| waiters.swap_remove(at))
        };
        drop(removed);
    }
}

/// Collects the queues that a condition depends on, each once.
pub struct Waiter {
    notify: Arc<dyn Notify>,
    registrations: Vec<Registration>,
}

impl Waiter {
    /// A waiter that passes wakes on to `notify`.
    pub fn new(notify: Arc<dyn Notify>) -> Self {
        Self { notify, registrations: Vec::new() }
    }

    /// Listens to `queue` from now on.
    pub fn listen(&mut self, queue: &WaitQueue) {
        if !self.registrations.iter().any(|r| Arc::ptr_eq(&r.queue, &queue.waiters)) {
            self.registrations.push(queue.register(self.notify.clone()));
        }
    }

    /// The registrations made, to be kept by who outlives a single wait (epoll).
    pub fn into_registrations(self) -> Vec<Registration> {
        self.registrations
    }
}

/// The waker of a sleeping future.
#[derive(Default)]
pub struct Sleeper {
    woken: AtomicBool,
    waker: parking_lot::Mutex<Option<Waker>>,
}

impl Notify for Sleeper {
    fn notify(&self) {
        self.woken.store(true, Ordering::Release);
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Sleeps until `attempt` has an answer or `deadline` has passed (`None`). Not interruptible: tasks use
/// `Task::wait_for`, which adds signals.
pub async fn wait_for<T>(deadline: Option<Instant>, mut attempt: impl FnMut(&mut Waiter) -> Option<T>) -> Option<T> {
    let sleeper = Arc::new(Sleeper::default());
    let mut waiter = Waiter::new(sleeper.clone());
    poll_fn(move |cx| {
        {
            let mut slot = sleeper.waker.lock();
            if !slot.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                *slot = Some(cx.waker().clone());
            }
        }
        loop {
            sleeper.woken.store(false, Ordering::Release);
            if let Some(answer) = attempt(&mut waiter) {
                return Poll::Ready(Some(answer));
            }
            if !sleeper.woken.load(Ordering::Acquire) {
                break;
            }
        }
        if let Some(at) = deadline {
            if Instant::now() >= at {
                return Poll::Ready(None);
            }
            super::poll_again_by(at);
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wake_between_look_and_sleep_is_not_lost() {
        let queue = Arc::new(WaitQueue::new());
        let flag = Arc::new(AtomicBool::new(false));
        let (q, f) = (queue.clone(), flag.clone());
        let waker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            f.store(true, Ordering::Release);
            q.wake_all();
        });
        let got = crate::executor::block_on(wait_for(None, |w| {
            w.listen(&queue);
            flag.load(Ordering::Acquire).then_some(7)
        }));
        assert_eq!(got, Some(7));
        waker.join().unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let queue = WaitQueue::new();
        let by = Instant::now() + Duration::from_millis(5);
        let got = crate::executor::block_on(wait_for(Some(by), |w| {
            w.listen(&queue);
            None::<()>
        }));
        assert_eq!(got, None);
        assert!(Instant::now() >= by);
    }
}
