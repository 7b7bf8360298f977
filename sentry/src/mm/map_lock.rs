//! The lock that serialises changes of an address space. It is held across orders to the stub, which take their time, so
//! it is one that tasks wait for asynchronously.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::executor::wait::{WaitQueue, wait_for};

/// See the module.
#[derive(Default)]
pub struct MapLock {
    held: AtomicBool,
    released: WaitQueue,
}

/// Holds a [`MapLock`].
pub struct MapGuard<'a> {
    lock: &'a MapLock,
}

impl MapLock {
    /// Waits for the lock, uninterruptibly: who holds it makes progress without the waiter.
    pub async fn lock(&self) -> MapGuard<'_> {
        let free = || !self.held.swap(true, Ordering::Acquire);
        if !free() {
            wait_for(None, |waiter| {
                waiter.listen(&self.released);
                free().then_some(())
            })
            .await;
        }
        MapGuard { lock: self }
    }
}

impl Drop for MapGuard<'_> {
    fn drop(&mut self) {
        self.lock.held.store(false, Ordering::Release);
        self.lock.released.wake_all();
    }
}
