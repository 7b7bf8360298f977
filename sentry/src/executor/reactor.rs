//! Wakes wait queues when host descriptors change. One thread sleeps in the host's epoll for all of them.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_host::readiness::Readiness;

use super::wait::Notify;
use crate::Result;

/// What is watched, and the thread that watches.
pub struct Reactor {
    readiness: Readiness,
    watched: parking_lot::Mutex<HashMap<u64, Arc<dyn Notify>>>,
    next: AtomicU64,
}

/// What has a host descriptor that can be watched.
pub type Watchable = Arc<dyn AsFd + Send + Sync>;

/// A descriptor that is watched; dropping it ends that.
pub struct Watched {
    descriptor: Watchable,
    /// `None` for what is always ready.
    token: Option<u64>,
}

impl Reactor {
    /// The reactor of this sandbox; its thread starts with the first use.
    pub fn global() -> &'static Arc<Reactor> {
        static REACTOR: OnceLock<Arc<Reactor>> = OnceLock::new();
        REACTOR.get_or_init(|| {
            let readiness = match Readiness::new() {
                Ok(readiness) => readiness,
                Err(e) => crate::fatal(&format!("cannot watch host descriptors: {:?}", Errno::from_raw(e))),
            };
            let reactor = Arc::new(Reactor {
                readiness,
                watched: parking_lot::Mutex::new(HashMap::new()),
                next: AtomicU64::new(1),
            });
            let runner = reactor.clone();
            let spawned =
                std::thread::Builder::new().name("reactor".into()).stack_size(256 << 10).spawn(move || runner.run());
            if let Err(e) = spawned {
                crate::fatal(&format!("cannot start the reactor: {e}"));
            }
            reactor
        })
    }

    /// Calls `notify` at each change of the descriptor's readiness, by this reactor's thread; never for files, which are
    /// always ready.
    ///
    /// # Errors
    /// The host's, `ENOSPC` or `ENOMEM`.
    pub fn watch(&self, descriptor: Watchable, notify: Arc<dyn Notify>) -> Result<Watched> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        self.watched.lock().insert(token, notify);
        match self.readiness.add(&*descriptor, token) {
            Ok(()) => Ok(Watched { descriptor, token: Some(token) }),
            Err(e) => {
                let removed = self.watched.lock().remove(&token);
                drop(removed);
                match Errno::from_raw(e) {
                    Errno::EPERM => Ok(Watched { descriptor, token: None }),
                    e => Err(e),
                }
            }
        }
    }

    fn run(&self) {
        let mut tokens = Vec::new();
        loop {
            if let Err(e) = self.readiness.wait(&mut tokens) {
                crate::fatal(&format!("the reactor cannot wait: {:?}", Errno::from_raw(e)));
            }
            for (token, events) in &tokens {
                // What was removed meanwhile is nobody's business any more.
                let notify = self.watched.lock().get(token).cloned();
                if let Some(notify) = notify {
                    notify.notify_of(*events);
                }
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        let reactor = Reactor::global();
        reactor.readiness.remove(&*self.descriptor);
        let removed = reactor.watched.lock().remove(&token);
        drop(removed);
    }
}

impl Notify for super::wait::WaitQueue {
    fn notify(&self) {
        self.wake_all();
    }

    fn notify_of(&self, events: PollEvents) {
        self.wake(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::wait::{self, WaitQueue};
    use moat_host::Descriptor;
    use std::io::Write;
    use std::time::{Duration, Instant};

    #[test]
    fn data_from_the_host_wakes_a_queue() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let descriptor = Arc::new(Descriptor::new(reader.into()).unwrap());
        let queue = Arc::new(WaitQueue::new());
        let watched = Reactor::global().watch(descriptor.clone(), queue.clone()).unwrap();
        let writing = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            writer.write_all(b"hello").unwrap();
            writer
        });
        let by = Instant::now() + Duration::from_secs(5);
        let got = crate::executor::block_on(wait::wait_for(Some(by), |waiter| {
            waiter.listen(&queue);
            let mut buf = [0; 16];
            descriptor.read(&mut buf, 0).ok()
        }));
        assert_eq!(got, Some(5));
        writing.join().unwrap();
        drop(watched);
    }
}
