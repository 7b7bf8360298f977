//! File locks: POSIX (fcntl(2)), open file description and flock(2) locks. All are advisory.
//!
//! One table for all files: locks are few, and a lock across files is what finding deadlocks needs.

use std::collections::HashMap;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLKW, F_UNLCK, F_WRLCK, Flock};
use moat_abi::stat::{major, minor};

use super::OpenFile;
use crate::Result;
use crate::executor::wait::WaitQueue;
use crate::kernel::Current;
use crate::sync::{Mutex, Rank};

/// A file: its device and inode number.
type Key = (u64, u64);

/// Whose a lock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process: POSIX locks.
    Process(u32),
    /// An open file description, by its number: `F_OFD_*`.
    Description(u64),
}

/// Bytes from `start` to before `end`; `u64::MAX` for as far as the file may ever reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: u64,
    end: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lock {
    range: Range,
    exclusive: bool,
    owner: Owner,
    pid: u32,
}

impl Lock {
    fn overlaps(&self, range: Range) -> bool {
        self.range.start < range.end && range.start < self.range.end
    }
}

/// A `flock` lock: the whole file, owned by a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole {
    description: u64,
    exclusive: bool,
    pid: u32,
}

#[derive(Default)]
struct FileLocks {
    ranges: Vec<Lock>,
    whole: Vec<Whole>,
    changed: Arc<WaitQueue>,
}

impl FileLocks {
    /// A lock of somebody else that forbids this one.
    fn conflict(&self, owner: Owner, exclusive: bool, range: Range) -> Option<Lock> {
        let forbids = |l: &&Lock| l.owner != owner && l.overlaps(range) && (exclusive || l.exclusive);
        self.ranges.iter().filter(forbids).min_by_key(|l| l.range.start).copied()
    }

    /// Makes `range` the owner's as `kind` says (`None` unlocks), cutting and joining the locks that it has.
    fn set(&mut self, owner: Owner, pid: u32, kind: Option<bool>, range: Range) {
        let mut kept = Vec::with_capacity(self.ranges.len() + 2);
        let mut new = range;
        for lock in self.ranges.drain(..) {
            if lock.owner != owner {
                kept.push(lock);
                continue;
            }
            let touches = lock.range.start <= new.end && new.start <= lock.range.end;
            if touches && kind == Some(lock.exclusive) {
                new.start = new.start.min(lock.range.start);
                new.end = new.end.max(lock.range.end);
                continue;
            }
            if !lock.overlaps(range) {
                kept.push(lock);
                continue;
            }
            if lock.range.start < range.start {
                kept.push(Lock { range: Range { end: range.start, ..lock.range }, ..lock });
            }
            if range.end < lock.range.end {
                kept.push(Lock { range: Range { start: range.end, ..lock.range }, ..lock });
            }
        }
        if let Some(exclusive) = kind {
            kept.push(Lock { range: new, exclusive, owner, pid });
        }
        self.ranges = kept;
    }

    fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.whole.is_empty() && Arc::strong_count(&self.changed) == 1
    }
}

#[derive(Default)]
struct Table {
    files: HashMap<Key, FileLocks>,
    /// Processes that wait for a POSIX lock, and for whose.
    blocked: Vec<(u32, u32)>,
}

impl Table {
    /// Whether `pid`, waiting for `holder`, would wait for itself.
    fn deadlocks(&self, pid: u32, holder: u32) -> bool {
        let mut seen = vec![holder];
        let mut at = 0;
        while let Some(&process) = seen.get(at) {
            if process == pid {
                return true;
            }
            for &(waiter, next) in &self.blocked {
                if waiter == process && !seen.contains(&next) {
                    seen.push(next);
                }
            }
            at += 1;
        }
        false
    }
}

/// A leaf: the end of a description releases its locks wherever it happens.
static TABLE: Mutex<Option<Table>> = Mutex::new(Rank::Leaf, None);

fn with<T>(use_it: impl FnOnce(&mut Table) -> T) -> T {
    use_it(TABLE.lock().get_or_insert_with(Table::default))
}

/// Which file a description is of; those without an inode are files of their own.
fn key(file: &OpenFile) -> Result<Key> {
    match file.inode() {
        Some(inode) => inode.attributes().map(|a| (a.device, a.inode)),
        None => Ok((u64::MAX, Arc::as_ptr(file.raw_operations()).cast::<()>() as u64)),
    }
}

/// Changes the locks of a file, then lets its waiters look again.
fn change<T>(key: Key, by: impl FnOnce(&mut FileLocks) -> T) -> T {
    let (done, changed) = with(|table| {
        let locks = table.files.entry(key).or_default();
        let done = by(locks);
        let changed = locks.changed.clone();
        (done, changed)
    });
    changed.wake_all();
    drop(changed);
    with(|table| {
        if table.files.get(&key).is_some_and(FileLocks::is_empty) {
            table.files.remove(&key);
        }
    });
    done
}

/// Releases the POSIX locks of a process on a file that it closes.
pub fn release_posix(file: &Arc<OpenFile>, pid: u32) {
    // Most processes hold no lock: then no attributes are asked for.
    let holds = |locks: &FileLocks| locks.ranges.iter().any(|l| l.owner == Owner::Process(pid));
    if !with(|table| table.files.values().any(holds)) {
        return;
    }
    if let Ok(key) = key(file) {
        change(key, |locks| locks.ranges.retain(|l| l.owner != Owner::Process(pid)));
    }
}

/// Releases the locks of a description that ends.
pub fn release_description(id: u64) {
    let holds = |locks: &FileLocks| {
        locks.ranges.iter().any(|l| l.owner == Owner::Description(id))
            || locks.whole.iter().any(|w| w.description == id)
    };
    let keys: Vec<Key> = {
        let table = TABLE.lock();
        let Some(table) = &*table else { return };
        table.files.iter().filter(|(_, locks)| holds(locks)).map(|(&key, _)| key).collect()
    };
    for key in keys {
        change(key, |locks| {
            locks.ranges.retain(|l| l.owner != Owner::Description(id));
            locks.whole.retain(|w| w.description != id);
        });
    }
}

/// The range that a `struct flock` names. `EINVAL`, `EOVERFLOW`.
fn range_of(file: &OpenFile, lock: &Flock) -> Result<Range> {
    let base = match lock.l_whence {
        0 => 0,
        1 => *file.position().lock() as i64,
        2 => i64::try_from(file.attributes()?.size).map_err(|_| Errno::EOVERFLOW)?,
        _ => return Err(Errno::EINVAL),
    };
    let start = base.checked_add(lock.l_start).ok_or(Errno::EOVERFLOW)?;
    let (start, last) = match lock.l_len {
        0 => (start, None),
        len if len > 0 => (start, Some(start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?)),
        len => (start.checked_add(len).ok_or(Errno::EINVAL)?, Some(start - 1)),
    };
    let start = u64::try_from(start).map_err(|_| Errno::EINVAL)?;
    // The last byte is not before the first, which is no negative number.
    Ok(Range { start, end: last.map_or(u64::MAX, |last| last as u64 + 1) })
}

/// What F_GETLK answers.
fn shown(lock: Option<Lock>, asked: Flock) -> Flock {
    match lock {
        None => Flock { l_type: F_UNLCK, ..asked },
        Some(lock) => Flock {
            l_type: if lock.exclusive { F_WRLCK } else { F_RDLCK },
            l_whence: 0,
            l_start: lock.range.start as i64,
            l_len: if lock.range.end == u64::MAX { 0 } else { (lock.range.end - lock.range.start) as i64 },
            l_pid: if matches!(lock.owner, Owner::Process(_)) { lock.pid as i32 } else { -1 },
            ..asked
        },
    }
}

/// The lock commands of fcntl.
pub async fn fcntl(current: &mut Current, file: &Arc<OpenFile>, command: i32, argument: u64) -> Result<u64> {
    let asked: Flock = current.memory().read(argument)?;
    let of_description = matches!(command, F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW);
    if of_description && asked.l_pid != 0 {
        return Err(Errno::EINVAL);
    }
    let owner = if of_description { Owner::Description(file.id) } else { Owner::Process(current.pid()) };
    let range = range_of(file, &asked)?;
    let key = key(file)?;
    let kind = match asked.l_type {
        F_RDLCK => Some(false),
        F_WRLCK => Some(true),
        F_UNLCK => None,
        _ => return Err(Errno::EINVAL),
    };
    if matches!(command, F_GETLK | F_OFD_GETLK) {
        let exclusive = kind.ok_or(Errno::EINVAL)?;
        let found = with(|table| table.files.get(&key).and_then(|locks| locks.conflict(owner, exclusive, range)));
        current.memory().write(argument, &shown(found, asked))?;
        return Ok(0);
    }
    match kind {
        Some(false) if !file.readable() => return Err(Errno::EBADF),
        Some(true) if !file.writable() => return Err(Errno::EBADF),
        _ => {}
    }
    let pid = current.pid();
    let Some(exclusive) = kind else {
        change(key, |locks| locks.set(owner, pid, None, range));
        return Ok(0);
    };
    let waits = matches!(command, F_SETLKW | F_OFD_SETLKW);
    let wanted = Wanted { key, owner, pid, exclusive, range };
    match wanted.attempt(false) {
        Err(Errno::EAGAIN) if waits => {}
        other => return other.map(|()| 0),
    }
    let queue = with(|table| table.files.entry(key).or_default().changed.clone());
    let end = current
        .wait_for(None, |waiter| {
            waiter.listen(&queue);
            match wanted.attempt(true) {
                Err(Errno::EAGAIN) => None,
                other => Some(other),
            }
        })
        .await;
    with(|table| table.blocked.retain(|(waiter, _)| *waiter != pid));
    drop(queue);
    change(key, |_| ());
    end.unwrap_or(Err(Errno::ERESTARTSYS)).map(|()| 0)
}

/// A lock that is asked for.
struct Wanted {
    key: Key,
    owner: Owner,
    pid: u32,
    exclusive: bool,
    range: Range,
}

impl Wanted {
    /// Takes the lock. `EAGAIN` if somebody else's is in the way; with `waits`, `EDEADLK` if that one (in the end)
    /// waits for us.
    fn attempt(&self, waits: bool) -> Result<()> {
        let free = with(|table| {
            table.blocked.retain(|(waiter, _)| *waiter != self.pid || !waits);
            let locks = table.files.entry(self.key).or_default();
            let Some(conflict) = locks.conflict(self.owner, self.exclusive, self.range) else { return Ok(()) };
            if waits && let (Owner::Process(pid), Owner::Process(holder)) = (self.owner, conflict.owner) {
                if table.deadlocks(pid, holder) {
                    return Err(Errno::EDEADLK);
                }
                table.blocked.push((pid, holder));
            }
            Err(Errno::EAGAIN)
        });
        free?;
        // A conversion can free what others wait for, and nobody came between: looked at again under the lock.
        change(self.key, |locks| match locks.conflict(self.owner, self.exclusive, self.range) {
            Some(_) => Err(Errno::EAGAIN),
            None => {
                locks.set(self.owner, self.pid, Some(self.exclusive), self.range);
                Ok(())
            }
        })
    }
}

/// `flock`: a shared or exclusive lock of the description on the whole file; `None` releases it.
pub async fn flock(current: &mut Current, file: &Arc<OpenFile>, exclusive: Option<bool>, waits: bool) -> Result<()> {
    let key = key(file)?;
    let (id, pid) = (file.id, current.pid());
    // A conversion gives up the old lock first (flock(2)).
    change(key, |locks| match exclusive {
        Some(kind) => locks.whole.retain(|w| w.description != id || w.exclusive == kind),
        None => locks.whole.retain(|w| w.description != id),
    });
    let Some(exclusive) = exclusive else { return Ok(()) };
    let attempt = move || {
        with(|table| {
            let locks = table.files.entry(key).or_default();
            if locks.whole.iter().any(|w| w.description != id && (exclusive || w.exclusive)) {
                return Err(Errno::EWOULDBLOCK);
            }
            if !locks.whole.iter().any(|w| w.description == id) {
                locks.whole.push(Whole { description: id, exclusive, pid });
            }
            Ok(())
        })
    };
    match attempt() {
        Err(Errno::EWOULDBLOCK) if waits => {}
        other => return other,
    }
    let queue = with(|table| table.files.entry(key).or_default().changed.clone());
    let end = current
        .wait_for(None, |waiter| {
            waiter.listen(&queue);
            attempt().ok().map(Ok)
        })
        .await;
    drop(queue);
    end.unwrap_or(Err(Errno::ERESTARTSYS))
}

fn line(number: usize, kind: &str, exclusive: bool, pid: i64, key: Key, range: Range) -> String {
    let access = if exclusive { "WRITE" } else { "READ " };
    let end = if range.end == u64::MAX { "EOF".to_owned() } else { (range.end - 1).to_string() };
    let (device, inode) = key;
    format!(
        "{number}: {kind:<6} ADVISORY  {access} {pid} {:02x}:{:02x}:{inode} {} {end}\n",
        major(device),
        minor(device),
        range.start
    )
}

/// The lines of those locks that `wanted` says, numbered from 1.
fn lines(wanted: impl Fn(Key, Option<Owner>, Option<u64>) -> bool) -> Vec<String> {
    const ALL: Range = Range { start: 0, end: u64::MAX };
    with(|table| {
        let mut out = Vec::new();
        for (&key, locks) in &table.files {
            for lock in locks.ranges.iter().filter(|l| wanted(key, Some(l.owner), None)) {
                let (kind, pid) = match lock.owner {
                    Owner::Process(pid) => ("POSIX", i64::from(pid)),
                    Owner::Description(_) => ("OFDLCK", -1),
                };
                out.push(line(out.len() + 1, kind, lock.exclusive, pid, key, lock.range));
            }
            for lock in locks.whole.iter().filter(|w| wanted(key, None, Some(w.description))) {
                out.push(line(out.len() + 1, "FLOCK", lock.exclusive, i64::from(lock.pid), key, ALL));
            }
        }
        out
    })
}

/// `/proc/locks`.
pub fn all() -> String {
    lines(|_, _, _| true).concat()
}

/// The `lock:` lines of `/proc/PID/fdinfo/N`.
pub fn fdinfo(file: &OpenFile) -> String {
    let Ok(own) = key(file) else { return String::new() };
    let wanted = |key, owner, description| {
        key == own
            && match owner {
                Some(Owner::Process(_)) => true,
                Some(Owner::Description(id)) => id == file.id,
                None => description == Some(file.id),
            }
    };
    lines(wanted).iter().map(|line| format!("lock:\t{line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Owner = Owner::Process(1);
    const B: Owner = Owner::Process(2);

    fn range(start: u64, end: u64) -> Range {
        Range { start, end }
    }

    #[test]
    fn ranges_are_cut_and_joined() {
        let mut locks = FileLocks::default();
        locks.set(A, 1, Some(true), range(0, 100));
        locks.set(A, 1, None, range(40, 60));
        assert_eq!(locks.ranges.len(), 2);
        assert!(locks.conflict(B, false, range(40, 60)).is_none());
        assert_eq!(locks.conflict(B, false, range(0, u64::MAX)).unwrap().range, range(0, 40));
        locks.set(A, 1, Some(true), range(40, 60));
        assert_eq!(locks.ranges.len(), 1);
        locks.set(A, 1, Some(false), range(10, 20));
        assert_eq!(locks.ranges.len(), 3);
        assert!(locks.conflict(B, false, range(10, 20)).is_none());
        assert!(locks.conflict(B, true, range(10, 20)).is_some());
    }

    #[test]
    fn a_circle_of_waiters_is_a_deadlock() {
        let mut table = Table { blocked: vec![(2, 3), (3, 4)], ..Table::default() };
        assert!(!table.deadlocks(1, 2));
        table.blocked.push((4, 1));
        assert!(table.deadlocks(1, 2));
    }

    #[test]
    fn an_attempt_against_a_waiter_for_us_is_refused() {
        let (x, y) = ((900, 1), (900, 2));
        let all = range(0, u64::MAX);
        let want = |key, pid| Wanted { key, owner: Owner::Process(pid), pid, exclusive: true, range: all };
        want(x, 901).attempt(false).unwrap();
        want(y, 902).attempt(false).unwrap();
        assert_eq!(want(y, 901).attempt(true), Err(Errno::EAGAIN));
        assert_eq!(want(x, 902).attempt(true), Err(Errno::EDEADLK));
        change(y, |locks| locks.ranges.clear());
        want(y, 901).attempt(true).unwrap();
        for key in [x, y] {
            change(key, |locks| locks.ranges.clear());
        }
    }

    #[test]
    fn lines_are_as_linux_prints_them() {
        let shown = line(1, "POSIX", true, 12, (0x801, 34), range(0, u64::MAX));
        assert_eq!(shown, "1: POSIX  ADVISORY  WRITE 12 08:01:34 0 EOF\n");
        let shown = line(2, "FLOCK", false, 12, (0x801, 34), range(5, 10));
        assert_eq!(shown, "2: FLOCK  ADVISORY  READ  12 08:01:34 5 9\n");
    }
}
