//! Dentries: names in the tree, cached.
//!
//! A dentry knows its parent (strongly: a path to the root always exists) and its children (weakly). What keeps an
//! unused dentry alive is a bounded cache. A negative dentry remembers that a name does not exist.
//!
//! How long a cached name is true is the filesystem's to say ([`Inode::names_valid`]): a dentry keeps what that was when
//! its name was looked up. What a lookup found is put in only if nobody changed a name of the directory meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;

use super::inode::{Found, Inode};
use crate::Result;
use crate::sync::{Mutex, Rank};

/// How many unused dentries are kept.
const CACHED: usize = 16_384;

/// Dentries, one beneath the other, each with the count of its changes.
type Chain = Vec<(Arc<Dentry>, u64)>;

/// A name and what it names.
pub struct Dentry {
    inode: Option<Arc<dyn Inode>>,
    place: Mutex<Place>,
    children: Mutex<HashMap<Box<[u8]>, Weak<Dentry>>>,
    /// How many mounts lie on it.
    pub(super) mounts: AtomicU32,
    gone: AtomicBool,
    /// One more than what its directory's [`Inode::names_valid`] was when this name was looked up; 0 if it gave nothing.
    valid: AtomicU64,
    /// How often names in this directory were changed through the sentry; changed under the lock of the children.
    changes: AtomicU64,
    /// Its place in the cache of unused dentries; 0 for none.
    kept: AtomicU64,
}

struct Place {
    name: Arc<[u8]>,
    parent: Option<Arc<Dentry>>,
}

impl Dentry {
    /// A dentry without a parent: the root of a filesystem, or a name for something that has none (pipe, socket).
    pub fn root(inode: Arc<dyn Inode>, name: &[u8]) -> Arc<Self> {
        Arc::new(Self::new(Some(inode), name, None))
    }

    fn new(inode: Option<Arc<dyn Inode>>, name: &[u8], parent: Option<Arc<Dentry>>) -> Self {
        Self {
            inode,
            place: Mutex::new(Rank::Dentry, Place { name: name.into(), parent }),
            children: Mutex::new(Rank::Dentry, HashMap::new()),
            mounts: AtomicU32::new(0),
            gone: AtomicBool::new(false),
            valid: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        }
    }

    /// The inode. `ENOENT` for a negative dentry.
    pub fn inode(&self) -> Result<&Arc<dyn Inode>> {
        self.inode.as_ref().ok_or(Errno::ENOENT)
    }

    /// Whether it remembers that the name does not exist.
    pub fn is_negative(&self) -> bool {
        self.inode.is_none()
    }

    /// Its last component.
    pub fn name(&self) -> Arc<[u8]> {
        self.place.lock().name.clone()
    }

    /// The directory it is in; `None` for the root of a filesystem.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    /// Whether the name was removed (`(deleted)` in /proc).
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Marks a file without a name as one that will never have one (O_TMPFILE with O_EXCL).
    pub fn forbid_name(&self) {
        self.gone.store(true, Ordering::Release);
    }

    /// Whether something is mounted on it.
    pub fn is_mounted_on(&self) -> bool {
        self.mounts.load(Ordering::Acquire) > 0
    }

    /// Whether `self` is `other` or lies beneath it.
    pub fn is_within(self: &Arc<Self>, other: &Arc<Dentry>) -> bool {
        let mut at = self.clone();
        loop {
            if Arc::ptr_eq(&at, other) {
                return true;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// The child of this name, from the cache or the filesystem; negative if there is none.
    pub fn lookup(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Dentry>> {
        match self.cached(name) {
            Some(child) => Ok(child),
            None => Ok(self.look_up_ahead(&[name])?.0),
        }
    }

    /// The child of this name if it is cached and still true.
    pub fn cached(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        let child = self.child(name)?;
        let valid = child.is_mounted_on() || self.names_valid().is_some_and(|now| child.is_valid(now));
        valid.then_some(child)
    }

    /// Asks the filesystem for the child of the first name, which may be negative, and along with it for the names beneath
    /// that, as far as the filesystem tells them in the same answer.
    pub fn look_up_ahead(self: &Arc<Self>, names: &[&[u8]]) -> Result<(Arc<Dentry>, Vec<Arc<Dentry>>)> {
        let directory = self.inode()?;
        loop {
            let before = self.changes.load(Ordering::Acquire);
            let (chain, names) = self.known_chain(names);
            let answer = directory.look_up_ahead(names);
            let Some(first) = self.settle(names[0], answer.at(0)?, before) else { continue };
            let mut further: Vec<Arc<Dentry>> = Vec::new();
            for (at, &name) in names.iter().enumerate().skip(1) {
                let parent = further.last().unwrap_or(&first);
                let Ok(found) = answer.at(at) else { break };
                // Names of a directory that was not known before cannot have been changed through it since.
                let before = match chain.get(at - 1) {
                    Some((known, before)) if Arc::ptr_eq(known, parent) => *before,
                    _ => 0,
                };
                let Some(child) = parent.settle(name, found, before) else { break };
                further.push(child);
            }
            return Ok((first, further));
        }
    }

    /// What is cached under these names, one beneath the other, each with the count of its changes; and the names up to
    /// the first that something is mounted on, whose own children are elsewhere.
    fn known_chain<'a, 'b>(&self, names: &'a [&'b [u8]]) -> (Chain, &'a [&'b [u8]]) {
        let mut chain = Chain::new();
        for (at, name) in names.iter().enumerate() {
            let parent = chain.last().map_or(self, |(dentry, _)| dentry);
            let Some(child) = parent.child(name) else { break };
            if child.is_mounted_on() && at > 0 {
                return (chain, &names[..at]);
            }
            let changes = child.changes.load(Ordering::Acquire);
            chain.push((child, changes));
        }
        (chain, names)
    }

    fn child(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        self.children.lock().get(name).and_then(Weak::upgrade)
    }

    /// How long names of this directory are true that are looked up now.
    pub fn names_valid(&self) -> Option<u64> {
        self.inode.as_ref().and_then(|directory| directory.names_valid())
    }

    fn is_valid(&self, now: u64) -> bool {
        self.valid.load(Ordering::Acquire) == now.wrapping_add(1)
    }

    fn set_valid(&self, valid: Option<u64>) {
        self.valid.store(valid.map_or(0, |now| now.wrapping_add(1)), Ordering::Release);
    }

    /// Records what a lookup of `name` found: the dentry that is there if it is for the same file, or a new one. `None` if
    /// names were changed here since the count of changes was `before`: the answer may be older than the change.
    fn settle(self: &Arc<Self>, name: &[u8], found: &Found, before: u64) -> Option<Arc<Dentry>> {
        let there = self.child(name);
        if let Some(child) = &there
            && match (&child.inode, &found.inode) {
                (Some(old), Some(new)) => same_inode(old, new),
                (None, None) => true,
                _ => false,
            }
        {
            child.set_valid(found.valid);
            return Some(child.clone());
        }
        let child = Arc::new(Self::new(found.inode.clone(), name, Some(self.clone())));
        child.set_valid(found.valid);
        {
            let mut children = self.children.lock();
            let now = children.get(name).and_then(Weak::upgrade);
            let same = now.as_ref().map(Arc::as_ptr) == there.as_ref().map(Arc::as_ptr);
            if !same || self.changes.load(Ordering::Acquire) != before {
                drop(children);
                return None;
            }
            children.insert(name.into(), Arc::downgrade(&child));
            prune(&mut children);
        }
        if let Some(old) = there {
            bury(&old);
        }
        if found.valid.is_some() {
            keep_alive(child.clone());
        }
        Some(child)
    }

    /// Puts a new inode under `name` (after a successful create, link or mkdir). `valid` is what [`Self::names_valid`] was
    /// before that.
    pub fn instantiate(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>, valid: Option<u64>) -> Arc<Dentry> {
        let child = Arc::new(Self::new(Some(inode), name, Some(self.clone())));
        child.set_valid(valid);
        let old = {
            let mut children = self.children.lock();
            self.changes.fetch_add(1, Ordering::AcqRel);
            let old = children.insert(name.into(), Arc::downgrade(&child)).and_then(|w| w.upgrade());
            prune(&mut children);
            old
        };
        if let Some(old) = old {
            bury(&old);
        }
        if valid.is_some() {
            keep_alive(child.clone());
        }
        child
    }

    /// Forgets `name` (after a successful unlink or rmdir); those who hold its dentry see that it is gone.
    pub fn remove(self: &Arc<Self>, name: &[u8]) {
        let old = {
            let mut children = self.children.lock();
            self.changes.fetch_add(1, Ordering::AcqRel);
            children.remove(name).and_then(|w| w.upgrade())
        };
        if let Some(old) = old {
            bury(&old);
        }
    }

    /// Moves the child `name` (its dentry is `child`) to `to`, under `to_name`; what was there is gone, or with
    /// `exchange` takes the old place. `valid` is what [`Self::names_valid`] was of both directories before that. The caller
    /// holds the rename lock.
    pub fn rename(
        self: &Arc<Self>,
        child: &Arc<Dentry>,
        to: &Arc<Dentry>,
        to_name: &[u8],
        exchange: bool,
        valid: (Option<u64>, Option<u64>),
    ) {
        let name = child.name();
        let displaced = {
            {
                let mut children = self.children.lock();
                self.changes.fetch_add(1, Ordering::AcqRel);
                children.remove(&*name);
            }
            let displaced = {
                let mut children = to.children.lock();
                to.changes.fetch_add(1, Ordering::AcqRel);
                children.insert(to_name.into(), Arc::downgrade(child)).and_then(|w| w.upgrade())
            };
            let mut place = child.place.lock();
            place.name = to_name.into();
            place.parent = Some(to.clone());
            displaced
        };
        child.set_valid(valid.1);
        let Some(displaced) = displaced else { return };
        if exchange {
            displaced.set_valid(valid.0);
            self.children.lock().insert(name[..].into(), Arc::downgrade(&displaced));
            let mut place = displaced.place.lock();
            place.name = name;
            place.parent = Some(self.clone());
        } else {
            bury(&displaced);
        }
    }
}

/// Lets go of entries whose dentries have ended.
fn prune(children: &mut HashMap<Box<[u8]>, Weak<Dentry>>) {
    if children.len() > 64 && children.len().is_power_of_two() {
        children.retain(|_, c| c.strong_count() > 0);
    }
}

/// Whether two lookups found the same inode.
pub fn same_inode(a: &Arc<dyn Inode>, b: &Arc<dyn Inode>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
        || match (a.attributes(), b.attributes()) {
            (Ok(a), Ok(b)) => a.device == b.device && a.inode == b.inode && a.mode == b.mode && a.inode != 0,
            _ => false,
        }
}

/// The cache of unused dentries, oldest first.
struct Kept {
    dentries: BTreeMap<u64, Arc<Dentry>>,
    next: u64,
    limit: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Rank::Leaf, Kept { dentries: BTreeMap::new(), next: 1, limit: CACHED });

/// Bounds the cache: each dentry of the gofer's costs a descriptor there.
pub fn limit_cache(limit: usize) {
    KEPT.lock().limit = limit.min(CACHED);
}

/// Keeps a dentry in the cache until enough others came after it.
fn keep_alive(dentry: Arc<Dentry>) {
    let dropped = {
        let mut kept = KEPT.lock();
        let key = kept.next;
        kept.next += 1;
        dentry.kept.store(key, Ordering::Relaxed);
        kept.dentries.insert(key, dentry);
        if kept.dentries.len() > kept.limit { kept.dentries.pop_first() } else { None }
    };
    // A dentry's end can reach its parents and their inodes: never under the lock.
    drop(dropped);
}

/// Marks a dentry as gone, and lets its file go with its last user.
fn bury(dentry: &Dentry) {
    dentry.gone.store(true, Ordering::Release);
    let dropped = KEPT.lock().dentries.remove(&dentry.kept.load(Ordering::Relaxed));
    drop(dropped);
}
