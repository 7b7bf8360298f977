//! Dentries: names in the tree, cached.
//!
//! A dentry knows its parent (strongly: a path to the root always exists) and its children (weakly). What keeps an
//! unused dentry alive is a bounded cache. A negative dentry remembers that a name does not exist.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;

use super::inode::{Caching, Inode};
use crate::Result;
use crate::sync::{Mutex, Rank};

/// How many unused dentries are kept.
const CACHED: usize = 16_384;

/// A name and what it names.
pub struct Dentry {
    inode: Option<Arc<dyn Inode>>,
    place: Mutex<Place>,
    children: Mutex<HashMap<Box<[u8]>, Weak<Dentry>>>,
    /// How many mounts lie on it.
    pub(super) mounts: AtomicU32,
    gone: AtomicBool,
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
        let directory = self.inode()?;
        let caching = directory.filesystem().caching();
        let cached = self.children.lock().get(name).and_then(Weak::upgrade);
        if let Some(child) = &cached
            && (caching == Caching::Owned || child.mounts.load(Ordering::Acquire) > 0)
        {
            return Ok(child.clone());
        }
        let found = match directory.lookup(name) {
            Ok(inode) => Some(inode),
            Err(Errno::ENOENT) => None,
            Err(e) => return Err(e),
        };
        if let Some(child) = cached
            && match (&child.inode, &found) {
                (Some(old), Some(new)) => same_inode(old, new),
                (None, None) => true,
                _ => false,
            }
        {
            return Ok(child);
        }
        Ok(self.insert(name, found, caching == Caching::Owned))
    }

    /// Records what `name` is now. A dentry that another task made meanwhile for the same inode wins.
    fn insert(self: &Arc<Self>, name: &[u8], inode: Option<Arc<dyn Inode>>, keep: bool) -> Arc<Dentry> {
        let mut children = self.children.lock();
        if keep
            && let Some(there) = children.get(name).and_then(Weak::upgrade)
            && there.is_negative() == inode.is_none()
        {
            return there;
        }
        let child = Arc::new(Self::new(inode, name, Some(self.clone())));
        let replaced = children.insert(name.into(), Arc::downgrade(&child)).and_then(|w| w.upgrade());
        if children.len() > 64 && children.len().is_power_of_two() {
            children.retain(|_, c| c.strong_count() > 0);
        }
        drop(children);
        if let Some(old) = replaced {
            bury(&old);
        }
        if keep {
            keep_alive(child.clone());
        }
        child
    }

    /// Puts a new inode under `name` (after a successful create, link or mkdir).
    pub fn instantiate(self: &Arc<Self>, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Dentry> {
        let old = self.children.lock().remove(name);
        drop(old);
        let keep = inode.filesystem().caching() == Caching::Owned;
        self.insert(name, Some(inode), keep)
    }

    /// Forgets `name` (after a successful unlink or rmdir); those who hold its dentry see that it is gone.
    pub fn remove(self: &Arc<Self>, name: &[u8]) {
        let old = self.children.lock().remove(name).and_then(|w| w.upgrade());
        if let Some(old) = old {
            bury(&old);
        }
    }

    /// Forgets everything that is cached of this directory, because somebody else changed it.
    pub fn invalidate_children(&self) {
        let mut children = self.children.lock();
        children.retain(|_, c| c.upgrade().is_some_and(|c| c.mounts.load(Ordering::Acquire) > 0));
    }

    /// Moves the child `name` (its dentry is `child`) to `to`, under `to_name`; what was there is gone, or with
    /// `exchange` takes the old place. The caller holds the rename lock.
    pub fn rename(self: &Arc<Self>, child: &Arc<Dentry>, to: &Arc<Dentry>, to_name: &[u8], exchange: bool) {
        let name = child.name();
        let displaced = {
            self.children.lock().remove(&*name);
            let displaced = to.children.lock().insert(to_name.into(), Arc::downgrade(child)).and_then(|w| w.upgrade());
            let mut place = child.place.lock();
            place.name = to_name.into();
            place.parent = Some(to.clone());
            displaced
        };
        let Some(displaced) = displaced else { return };
        if exchange {
            self.children.lock().insert(name[..].into(), Arc::downgrade(&displaced));
            let mut place = displaced.place.lock();
            place.name = name;
            place.parent = Some(self.clone());
        } else {
            bury(&displaced);
        }
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
