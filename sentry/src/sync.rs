//! Locks of the sentry, and the one order in which they may be taken.
//!
//! Every lock has a [`Rank`]. A thread that holds a lock may only take one of a higher rank; debug builds check this at
//! each acquisition and abort with both names. No guard may live across an await point (clippy checks it) nor across a
//! copy from or to application memory, which can sleep ([`assert_no_locks`] checks it).

use std::ops::{Deref, DerefMut};

/// The order of the locks, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each names the structure that it guards")]
pub enum Rank {
    /// What the runtime asks for, one request at a time.
    Control,
    /// Renames, so that the shape of the dentry trees holds still.
    Rename,
    /// Mount tables.
    Mounts,
    /// Parents, children, process groups, sessions, exit states: Linux's tasklist lock.
    ProcessTree,
    /// Shared signal state of a thread group.
    GroupSignals,
    /// A task's own signal state.
    TaskSignals,
    /// Other state of a thread group (limits, timers, accounting).
    Group,
    /// A task's pointers to what it shares (descriptor table, filesystem context, memory, credentials).
    Task,
    /// A descriptor table.
    FdTable,
    /// Working directory, root, umask.
    FsContext,
    /// The position of an open file description.
    FilePosition,
    /// State of one open file description.
    File,
    /// An epoll instance.
    Epoll,
    /// A terminal.
    Terminal,
    /// A socket.
    Socket,
    /// Tables of a network stack (ports, unix addresses).
    NetStack,
    /// A dentry's children and name.
    Dentry,
    /// A directory inode of a filesystem in memory.
    Directory,
    /// What others have changed in a tree that is cached, as it is taken note of.
    OutsideChanges,
    /// Any other inode.
    Inode,
    /// Writes that append to a file, one at a time.
    Append,
    /// Moves of futex waiters between buckets.
    FutexMoves,
    /// Buckets of the futex table.
    Futex,
    /// VMAs, for lookups; changes are serialised by the map lock, which is not a lock of this kind.
    Vmas,
    /// A pipe's ring.
    Pipe,
    /// Counters, caches, name tables: leaves that take nothing else but wait queues.
    Leaf,
    /// The timer wheel.
    Timers,
    /// A wait queue's list of waiters.
    WaitQueue,
    /// The slot that holds a waker.
    Waker,
}

#[cfg(debug_assertions)]
mod checker {
    use super::Rank;
    use std::cell::RefCell;

    thread_local! {
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn acquire(rank: Rank, nested: bool) {
        HELD.with_borrow_mut(|held| {
            if let Some(&top) = held.iter().max()
                && (rank < top || (rank == top && !nested))
            {
                let held = held.clone();
                crate::fatal(&format!("lock order: {rank:?} taken while {held:?} are held"));
            }
            held.push(rank);
        });
    }

    pub(super) fn release(rank: Rank) {
        HELD.with_borrow_mut(|held| {
            if let Some(at) = held.iter().rposition(|&r| r == rank) {
                held.remove(at);
            }
        });
    }

    pub(super) fn assert_none() {
        HELD.with_borrow(|held| {
            if !held.is_empty() {
                crate::fatal(&format!("application memory is copied while {held:?} are held"));
            }
        });
    }
}

/// Aborts in debug builds if this thread holds any lock. Called where the sentry may sleep.
pub fn assert_no_locks() {
    #[cfg(debug_assertions)]
    checker::assert_none();
}

/// A mutual-exclusion lock with a rank.
pub struct Mutex<T> {
    #[cfg(debug_assertions)]
    rank: Rank,
    inner: parking_lot::Mutex<T>,
}

/// Holds a [`Mutex`].
pub struct MutexGuard<'a, T> {
    inner: parking_lot::MutexGuard<'a, T>,
    #[cfg(debug_assertions)]
    rank: Rank,
}

impl<T> Mutex<T> {
    /// A lock of this rank around `value`.
    pub const fn new(rank: Rank, value: T) -> Self {
        #[cfg(not(debug_assertions))]
        let _ = rank;
        Self {
            #[cfg(debug_assertions)]
            rank,
            inner: parking_lot::Mutex::new(value),
        }
    }

    /// Takes the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_inner(false)
    }

    /// Takes a lock while another of the same rank is held; the caller orders the two (parent before child, lower
    /// address before higher).
    pub fn lock_nested(&self) -> MutexGuard<'_, T> {
        self.lock_inner(true)
    }

    fn lock_inner(&self, nested: bool) -> MutexGuard<'_, T> {
        #[cfg(debug_assertions)]
        checker::acquire(self.rank, nested);
        #[cfg(not(debug_assertions))]
        let _ = nested;
        MutexGuard {
            inner: self.inner.lock(),
            #[cfg(debug_assertions)]
            rank: self.rank,
        }
    }

    /// The value, without locking, for the only owner.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(debug_assertions)]
impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        checker::release(self.rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_nest_in_rank_order() {
        let outer = Mutex::new(Rank::FdTable, 1);
        let inner = Mutex::new(Rank::Leaf, 2);
        let a = outer.lock();
        let b = inner.lock();
        assert_eq!(*a + *b, 3);
        drop(a);
        drop(b);
        assert_no_locks();
    }

    #[test]
    fn locks_of_one_rank_nest_only_when_asked() {
        let parent = Mutex::new(Rank::Dentry, ());
        let child = Mutex::new(Rank::Dentry, ());
        let _a = parent.lock();
        let _b = child.lock_nested();
    }
}
