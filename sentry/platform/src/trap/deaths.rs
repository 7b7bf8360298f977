//! Ends of stubs: one thread waits for all of them, and wakes those who wait for a thread of one.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::Mutex;

use super::places::{Places, Watched};
use crate::PlatformError;
use crate::stub::process::Stub;

/// See the module.
pub struct Deaths {
    watch: Arc<Watch>,
}

struct Watch {
    epoll: Epoll,
    watched: Mutex<HashMap<u64, Watched>>,
    next: AtomicU64,
}

impl Deaths {
    /// Starts the thread.
    ///
    /// # Errors
    /// The host's errno.
    pub fn new() -> Result<Self, PlatformError> {
        let host = |e: nix::Error| PlatformError::Host(e as i32);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(host)?;
        let watch = Arc::new(Watch { epoll, watched: Mutex::new(HashMap::new()), next: AtomicU64::new(0) });
        let runner = watch.clone();
        std::thread::Builder::new()
            .name("deaths".into())
            .stack_size(128 << 10)
            .spawn(move || runner.run())
            .map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        Ok(Self { watch })
    }

    /// Tells `places` when `stub`, whose they are, has ended.
    pub fn watch(&self, stub: &Stub, places: &Arc<Places>) {
        let token = self.watch.next.fetch_add(1, Ordering::Relaxed);
        {
            let mut watched = self.watch.watched.lock();
            // A stub whose address space is gone ends unwatched, and its descriptor leaves the epoll with it.
            if token.is_multiple_of(64) {
                watched.retain(|_, places| places.strong_count() > 0);
            }
            watched.insert(token, Arc::downgrade(places));
        }
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, token);
        if self.watch.epoll.add(stub.pidfd().as_fd(), event).is_err() {
            // Without a watch nobody could tell its end: it is better to have none.
            stub.kill();
        }
    }
}

impl Watch {
    fn run(&self) {
        let mut events = [EpollEvent::empty(); 16];
        loop {
            let n = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(n) => n,
                Err(nix::Error::EINTR) => continue,
                Err(_) => return,
            };
            for event in &events[..n] {
                let places = self.watched.lock().remove(&event.data());
                if let Some(places) = places.and_then(|p| p.upgrade()) {
                    places.stub_has_ended();
                }
            }
        }
    }
}
