//! Futexes (futex(2)).
//!
//! A waiter queues itself first and looks at the word then, since the look can sleep and so is made without a lock. A
//! waiter that was woken but found the word changed passes its wake on, so that no wake is lost to one who would not
//! have slept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use moat_abi::errno::Errno;
use moat_abi::futex::{OWNER_DIED, ROBUST_LIST_LIMIT, RobustListHead, TID_MASK, WAITERS};

use super::task::WaitEnd;
use super::{Current, Kernel};
use crate::Result;
use crate::executor::wait::WaitQueue;
use crate::mm::MemoryManager;
use crate::sync::{Mutex, Rank};

/// What a word is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// In private memory: the address space and the address.
    Private(u64, u64),
    /// In shared memory: the memory file and the offset.
    Shared(u64, u64),
}

impl Key {
    /// The key of a word. `EINVAL` if it is not aligned, `EFAULT` if it lies outside the application's memory,
    /// or if it is not said to be private and nothing is mapped there.
    pub fn of(memory: &MemoryManager, address: u64, private: bool) -> Result<Self> {
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        if address >= moat_platform::APPLICATION_END {
            return Err(Errno::EFAULT);
        }
        if !private && let Some((file, offset)) = memory.shared_key(address)? {
            return Ok(Self::Shared(file, offset));
        }
        Ok(Self::Private(memory.id, address))
    }
}

struct Waiter {
    key: Mutex<Key>,
    bitset: u32,
    woken: AtomicBool,
    queue: WaitQueue,
    /// For PI waiters: the thread that waits.
    tid: u32,
}

impl Waiter {
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.queue.wake_all();
    }
}

const BUCKETS: usize = 256;

/// Those who wait for the words of one bucket.
type Bucket = HashMap<Key, Vec<Arc<Waiter>>>;

/// Everybody who waits for a word, by key, first come first.
pub struct FutexTable {
    buckets: Vec<Mutex<Bucket>>,
    /// Serialises operations that look at two keys.
    moves: Mutex<()>,
}

impl Default for FutexTable {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Mutex::new(Rank::Futex, HashMap::new())).collect(),
            moves: Mutex::new(Rank::FutexMoves, ()),
        }
    }
}

impl FutexTable {
    fn index(key: &Key) -> usize {
        let (Key::Private(a, b) | Key::Shared(a, b)) = *key;
        let hash = (a ^ (b >> 2)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (hash >> 56) as usize % BUCKETS
    }

    fn bucket(&self, key: &Key) -> &Mutex<Bucket> {
        &self.buckets[Self::index(key)]
    }

    fn add(&self, key: Key, bitset: u32, tid: u32) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter {
            key: Mutex::new(Rank::Leaf, key),
            bitset,
            woken: AtomicBool::new(false),
            queue: WaitQueue::new(),
            tid,
        });
        self.bucket(&key).lock().entry(key).or_default().push(waiter.clone());
        waiter
    }

    /// Takes a waiter out; false if a wake had taken it already.
    fn remove(&self, waiter: &Arc<Waiter>) -> bool {
        // Its key changes only under the lock of moves.
        let _moves = self.moves.lock();
        let key = *waiter.key.lock();
        let mut bucket = self.bucket(&key).lock();
        let Some(queue) = bucket.get_mut(&key) else { return false };
        let Some(at) = queue.iter().position(|w| Arc::ptr_eq(w, waiter)) else { return false };
        queue.remove(at);
        if queue.is_empty() {
            bucket.remove(&key);
        }
        true
    }

    /// Wakes up to `count` waiters on `key` that care for any of `bitset`; how many that were.
    pub fn wake(&self, key: Key, count: usize, bitset: u32) -> usize {
        let woken = {
            let mut bucket = self.bucket(&key).lock();
            let Some(queue) = bucket.get_mut(&key) else { return 0 };
            let mut woken = Vec::new();
            queue.retain(|waiter| {
                let chosen = woken.len() < count && waiter.bitset & bitset != 0;
                if chosen {
                    woken.push(waiter.clone());
                }
                !chosen
            });
            if queue.is_empty() {
                bucket.remove(&key);
            }
            woken
        };
        for waiter in &woken {
            waiter.wake();
        }
        woken.len()
    }

    /// Wakes waiters on a word, whether they called it private or shared.
    pub fn wake_word(&self, memory: &MemoryManager, address: u64, count: usize) {
        for private in [true, false] {
            if let Ok(key) = Key::of(memory, address, private) {
                self.wake(key, count, u32::MAX);
            }
        }
    }

    /// Wakes up to `wake` waiters of `from` and moves up to `requeue` others to `to`; how many of each.
    pub fn requeue(&self, from: Key, to: Key, wake: usize, requeue: usize) -> (usize, usize) {
        let _moves = self.moves.lock();
        let woken = self.wake(from, wake, u32::MAX);
        if from == to {
            return (woken, 0);
        }
        let take = |bucket: &mut Bucket| {
            let Some(queue) = bucket.get_mut(&from) else { return Vec::new() };
            let moved: Vec<_> = queue.drain(..requeue.min(queue.len())).collect();
            if queue.is_empty() {
                bucket.remove(&from);
            }
            moved
        };
        let put = |bucket: &mut Bucket, moved: Vec<Arc<Waiter>>| {
            for waiter in &moved {
                *waiter.key.lock() = to;
            }
            let count = moved.len();
            if count > 0 {
                bucket.entry(to).or_default().extend(moved);
            }
            count
        };
        // Both buckets are held, so that no wake finds a waiter in neither.
        let (source, target) = (Self::index(&from), Self::index(&to));
        let moved = match source.cmp(&target) {
            std::cmp::Ordering::Equal => {
                let mut both = self.buckets[source].lock();
                let moved = take(&mut both);
                put(&mut both, moved)
            }
            std::cmp::Ordering::Less => {
                let mut first = self.buckets[source].lock();
                put(&mut self.buckets[target].lock_nested(), take(&mut first))
            }
            std::cmp::Ordering::Greater => {
                let mut first = self.buckets[target].lock();
                let moved = take(&mut self.buckets[source].lock_nested());
                put(&mut first, moved)
            }
        };
        (woken, moved)
    }

    /// Takes the first waiter out, who is to be woken in any case.
    fn take_first(&self, key: &Key) -> Option<Arc<Waiter>> {
        let mut bucket = self.bucket(key).lock();
        let queue = bucket.get_mut(key)?;
        let first = (!queue.is_empty()).then(|| queue.remove(0));
        if queue.is_empty() {
            bucket.remove(key);
        }
        first
    }

    fn has_waiters(&self, key: &Key) -> bool {
        self.bucket(key).lock().contains_key(key)
    }
}

/// FUTEX_WAIT and FUTEX_WAIT_BITSET: sleeps while the word has `value`. `EAGAIN` if it has another, `ETIMEDOUT`.
pub async fn wait(
    current: &Current,
    address: u64,
    value: u32,
    bitset: u32,
    private: bool,
    until: Option<Instant>,
) -> Result<()> {
    if bitset == 0 {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory_manager();
    let key = Key::of(&memory, address, private)?;
    let kernel = current.kernel().clone();
    let table = kernel.futexes();
    let waiter = table.add(key, bitset, current.tid());
    let seen = memory.user().read::<u32>(address);
    if seen != Ok(value) {
        if !table.remove(&waiter) {
            let key = *waiter.key.lock();
            table.wake(key, 1, bitset);
        }
        return Err(seen.err().unwrap_or(Errno::EAGAIN));
    }
    let end = current
        .wait_for(until, |w| {
            w.listen(&waiter.queue);
            waiter.woken.load(Ordering::Acquire).then_some(())
        })
        .await;
    match end {
        Ok(()) => Ok(()),
        // A wake that came together with the end of the wait counts.
        Err(_) if !table.remove(&waiter) => Ok(()),
        Err(WaitEnd::TimedOut) => Err(Errno::ETIMEDOUT),
        Err(WaitEnd::Interrupted) => {
            Err(if until.is_some() { Errno::ERESTART_RESTARTBLOCK } else { Errno::ERESTARTSYS })
        }
    }
}

/// FUTEX_WAKE_OP's change of the second word, made atomically; the old value.
pub fn change_word(current: &mut Current, address: u64, operation: u32) -> Result<u32> {
    let argument = ((operation >> 12) as i32) << 20 >> 20;
    let argument = if operation & 0x8000_0000 != 0 { 1i32.wrapping_shl(argument as u32 & 31) } else { argument } as u32;
    let mut old: u32 = current.memory().read(address)?;
    loop {
        let new = match operation >> 28 & 7 {
            0 => argument,
            1 => old.wrapping_add(argument),
            2 => old | argument,
            3 => old & !argument,
            4 => old ^ argument,
            _ => return Err(Errno::ENOSYS),
        };
        let seen = current.context.compare_exchange(address, old, new).map_err(|_| Errno::EFAULT)?;
        if seen == old {
            return Ok(old);
        }
        old = seen;
    }
}

/// FUTEX_WAKE_OP's comparison of the old value.
pub fn compare_word(old: u32, operation: u32) -> Result<bool> {
    let argument = (operation as i32) << 20 >> 20;
    let old = old as i32;
    Ok(match operation >> 24 & 0xf {
        0 => old == argument,
        1 => old != argument,
        2 => old < argument,
        3 => old <= argument,
        4 => old > argument,
        5 => old >= argument,
        _ => return Err(Errno::ENOSYS),
    })
}

/// FUTEX_LOCK_PI (`wait`) and FUTEX_TRYLOCK_PI: takes the lock, or queues for it. Priorities are not inherited, since
/// all tasks have the same here.
pub async fn lock_pi(
    current: &mut Current,
    address: u64,
    private: bool,
    until: Option<Instant>,
    wait: bool,
) -> Result<()> {
    let memory = current.memory_manager();
    let key = Key::of(&memory, address, private)?;
    let kernel = current.kernel().clone();
    let tid = current.tid();
    loop {
        let word: u32 = memory.user().read(address)?;
        let owner = word & TID_MASK;
        if owner == tid {
            return Err(Errno::EDEADLK);
        }
        if owner == 0 || word & OWNER_DIED != 0 && kernel.tree().task(owner).is_none() {
            let waiters = if kernel.futexes().has_waiters(&key) { WAITERS } else { 0 };
            let new = tid | waiters | (word & OWNER_DIED);
            if exchange(current, address, word, new)? {
                return Ok(());
            }
            continue;
        }
        if !wait {
            return Err(Errno::EAGAIN);
        }
        if kernel.tree().task(owner).is_none() {
            return Err(Errno::ESRCH);
        }
        let waiter = kernel.futexes().add(key, u32::MAX, tid);
        if !exchange(current, address, word, word | WAITERS).unwrap_or(false) {
            kernel.futexes().remove(&waiter);
            continue;
        }
        let end = current
            .wait_for(until, |w| {
                w.listen(&waiter.queue);
                waiter.woken.load(Ordering::Acquire).then_some(())
            })
            .await;
        match end {
            // The owner handed the lock over.
            Ok(()) => {
                let word: u32 = memory.user().read(address)?;
                if word & TID_MASK == tid {
                    return Ok(());
                }
            }
            Err(end) => {
                if !kernel.futexes().remove(&waiter) {
                    // The owner is just handing it over.
                    wait_until_woken(&waiter).await;
                    if memory.user().read::<u32>(address)? & TID_MASK == tid {
                        return Ok(());
                    }
                    continue;
                }
                return Err(match end {
                    WaitEnd::TimedOut => Errno::ETIMEDOUT,
                    WaitEnd::Interrupted => Errno::ERESTARTNOINTR,
                });
            }
        }
    }
}

/// FUTEX_UNLOCK_PI: hands the lock to the first waiter, or frees it. `EPERM` if the caller does not own it.
pub fn unlock_pi(current: &mut Current, address: u64, private: bool) -> Result<()> {
    let memory = current.memory_manager();
    let key = Key::of(&memory, address, private)?;
    let kernel = current.kernel().clone();
    // Who is to own it leaves the queue first: it must not give up the wait and the lock be its own after that.
    let mut next = None;
    let result = loop {
        let word: u32 = match memory.user().read(address) {
            Ok(word) => word,
            Err(e) => break Err(e),
        };
        if word & TID_MASK != current.tid() {
            break Err(Errno::EPERM);
        }
        if next.is_none() {
            next = kernel.futexes().take_first(&key);
        }
        let new = next.as_ref().map_or(0, |waiter| waiter.tid | WAITERS);
        match exchange(current, address, word, new) {
            Ok(true) => break Ok(()),
            Ok(false) => {}
            Err(e) => break Err(e),
        }
    };
    if let Some(waiter) = next {
        waiter.wake();
    }
    result
}

/// Sleeps until a waiter that was taken out of its queue is woken, which is about to happen.
async fn wait_until_woken(waiter: &Arc<Waiter>) {
    let _ = crate::executor::wait::wait_for(None, |w| {
        w.listen(&waiter.queue);
        waiter.woken.load(Ordering::Acquire).then_some(())
    })
    .await;
}

fn exchange(current: &mut Current, address: u64, old: u32, new: u32) -> Result<bool> {
    current.context.compare_exchange(address, old, new).map(|seen| seen == old).map_err(|_| Errno::EFAULT)
}

/// Marks the locks of the robust list of an ending thread as ownerless, and wakes a waiter of each.
pub fn release_robust_list(current: &mut Current) {
    let head = current.robust_list.load(Ordering::Relaxed);
    if head == 0 {
        return;
    }
    let memory = current.memory();
    let Ok(list) = memory.read::<RobustListHead>(head) else { return };
    let pending = list.list_op_pending & !1;
    let mut entry = list.list & !1;
    let mut left = ROBUST_LIST_LIMIT;
    while entry != head && left > 0 {
        let Ok(next) = memory.read::<u64>(entry) else { return };
        if entry != pending {
            release_robust(current, entry.wrapping_add_signed(list.futex_offset));
        }
        entry = next & !1;
        left -= 1;
    }
    if pending != 0 {
        release_robust(current, pending.wrapping_add_signed(list.futex_offset));
    }
}

fn release_robust(current: &mut Current, address: u64) {
    let memory = current.memory_manager();
    let kernel: Arc<Kernel> = current.kernel().clone();
    while let Ok(word) = memory.user().read::<u32>(address) {
        if word & TID_MASK != current.tid() {
            return;
        }
        match exchange(current, address, word, (word & WAITERS) | OWNER_DIED) {
            Ok(true) => {
                if word & WAITERS != 0 {
                    kernel.futexes().wake_word(&memory, address, 1);
                }
                return;
            }
            Ok(false) => {}
            Err(_) => return,
        }
    }
}
