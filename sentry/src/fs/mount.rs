//! Mounts and the mount namespace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moat_abi::errno::Errno;
use moat_abi::mount::MountFlags;

use super::Path;
use super::dentry::Dentry;
use super::inode::FileSystem;
use crate::Result;
use crate::sync::{Mutex, Rank};

/// A filesystem, or a part of it, put into the tree.
pub struct Mount {
    /// Its number in mountinfo.
    pub id: u64,
    /// The dentry that appears at the mount point.
    pub root: Arc<Dentry>,
    /// The filesystem.
    pub filesystem: Arc<dyn FileSystem>,
    state: Mutex<State>,
}

struct State {
    flags: MountFlags,
    /// Where it is mounted; `None` for the root and for what was detached.
    place: Option<Path>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(20);

impl Mount {
    /// A mount of `filesystem` from `root` down that is not attached anywhere.
    pub fn new(filesystem: Arc<dyn FileSystem>, root: Arc<Dentry>, flags: MountFlags) -> Arc<Self> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, root, filesystem, state: Mutex::new(Rank::Mounts, State { flags, place: None }) })
    }

    /// Its flags (`MS_RDONLY`, `MS_NOSUID`…).
    pub fn flags(&self) -> MountFlags {
        self.state.lock_nested().flags
    }

    /// Changes them (`MS_REMOUNT|MS_BIND`).
    pub fn set_flags(&self, flags: MountFlags) {
        self.state.lock_nested().flags = flags;
    }

    /// The mount point.
    pub fn place(&self) -> Option<Path> {
        self.state.lock_nested().place.clone()
    }

    /// `EROFS` if nothing may be changed through this mount.
    pub fn check_writable(&self) -> Result<()> {
        if self.flags().contains(MountFlags::RDONLY) { Err(Errno::EROFS) } else { Ok(()) }
    }
}

/// The mounts that a container sees.
pub struct MountNamespace {
    root: Arc<Mount>,
    mounts: Mutex<Vec<Arc<Mount>>>,
}

impl MountNamespace {
    /// A namespace whose root is `root`.
    pub fn new(root: Arc<Mount>) -> Arc<Self> {
        Arc::new(Self { mounts: Mutex::new(Rank::Mounts, vec![root.clone()]), root })
    }

    /// The root directory: the topmost mount on `/`.
    pub fn root(&self) -> Path {
        self.topmost(Path { mount: self.root.clone(), dentry: self.root.root.clone() })
    }

    /// All mounts, in the order in which they were made.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        self.mounts.lock().clone()
    }

    /// Attaches `mount` at `at`.
    pub fn attach(&self, mount: &Arc<Mount>, at: Path) {
        let mut mounts = self.mounts.lock();
        at.dentry.mounts.fetch_add(1, Ordering::AcqRel);
        mount.state.lock_nested().place = Some(at);
        mounts.push(mount.clone());
    }

    /// Detaches a mount. `EBUSY` if others are mounted on it and `lazy` (MNT_DETACH) is not asked for, `EINVAL` for the
    /// root or what is not mounted.
    pub fn detach(&self, mount: &Arc<Mount>, lazy: bool) -> Result<()> {
        let mut mounts = self.mounts.lock();
        if Arc::ptr_eq(mount, &self.root) {
            return Err(Errno::EINVAL);
        }
        let children: Vec<_> = mounts
            .iter()
            .filter(|m| m.state.lock_nested().place.as_ref().is_some_and(|p| Arc::ptr_eq(&p.mount, mount)))
            .cloned()
            .collect();
        if !children.is_empty() && !lazy {
            return Err(Errno::EBUSY);
        }
        let mut removed: Vec<Arc<Mount>> = Vec::new();
        let mut queue = vec![mount.clone()];
        while let Some(next) = queue.pop() {
            let Some(at) = mounts.iter().position(|m| Arc::ptr_eq(m, &next)) else { continue };
            mounts.remove(at);
            queue.extend(
                mounts
                    .iter()
                    .filter(|m| m.state.lock_nested().place.as_ref().is_some_and(|p| Arc::ptr_eq(&p.mount, &next)))
                    .cloned(),
            );
            removed.push(next);
        }
        if removed.is_empty() {
            return Err(Errno::EINVAL);
        }
        let places: Vec<_> = removed.iter().filter_map(|m| m.state.lock_nested().place.take()).collect();
        drop(mounts);
        for place in &places {
            place.dentry.mounts.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Moves a mount, with all that is mounted on it, to `to` (MS_MOVE). `EINVAL` for the root, `ELOOP` into itself.
    pub fn relocate(&self, mount: &Arc<Mount>, to: Path) -> Result<()> {
        let mut at = Some(to.clone());
        while let Some(place) = at {
            if Arc::ptr_eq(&place.mount, mount) {
                return Err(Errno::ELOOP);
            }
            at = place.mount.place();
        }
        let _mounts = self.mounts.lock();
        let old = mount.place().ok_or(Errno::EINVAL)?;
        to.dentry.mounts.fetch_add(1, Ordering::AcqRel);
        mount.state.lock_nested().place = Some(to);
        old.dentry.mounts.fetch_sub(1, Ordering::AcqRel);
        Ok(())
    }

    /// What is seen at `path`: itself, or the root of the last mount on it, and so on.
    pub fn topmost(&self, mut path: Path) -> Path {
        while path.dentry.mounts.load(Ordering::Acquire) > 0 {
            let above = self
                .mounts
                .lock()
                .iter()
                .rev()
                .find(|m| {
                    m.state
                        .lock_nested()
                        .place
                        .as_ref()
                        .is_some_and(|p| Arc::ptr_eq(&p.dentry, &path.dentry) && Arc::ptr_eq(&p.mount, &path.mount))
                })
                .cloned();
            match above {
                Some(mount) => path = Path { dentry: mount.root.clone(), mount },
                None => break,
            }
        }
        path
    }
}
