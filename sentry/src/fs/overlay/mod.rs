//! A memory layer over another filesystem, which is only read: changes live in the sentry and never reach what is below.
//! What others change there shows through wherever it was not changed here.
//!
//! Unlike Linux's overlayfs, the upper layer is no directory tree of its own: the merged tree is one tree of [`Node`]s,
//! each with what lies below it (if anything) and what was changed. So a rename moves a node with all that it has, and
//! hard links and inode numbers stay what they were. A node that is not changed is made anew from below whenever it is
//! needed; one that is changed is kept.

mod directory;
mod file;
mod inode;
mod node;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use moat_abi::stat::Statfs;

use super::inode::{FileSystem, Inode};
use super::kernfs::anonymous_device;
use super::tmpfs::TmpFs;
use crate::Result;
use crate::sync::{Mutex, MutexGuard, Rank};
use inode::OverlayInode;
use node::Node;

/// `OVERLAYFS_SUPER_MAGIC`.
const MAGIC: i64 = 0x794c_7630;

/// Numbers of nodes that have nothing below begin here, above what filesystems use and below 2^53, which programs that
/// keep inode numbers in floating point can still tell apart.
const OWN_NUMBERS: u64 = 1 << 51;

/// An overlay.
pub struct OverlayFs {
    device: u64,
    lower: Arc<dyn FileSystem>,
    upper: Arc<TmpFs>,
    root: Arc<Node>,
    /// Nodes over files below, by those files' device and number.
    known: Mutex<HashMap<(u64, u64), Known>>,
    /// Held by rename and rmdir, so that what they have looked at stays.
    tree: Mutex<()>,
    this: Weak<OverlayFs>,
}

/// A node over something below.
enum Known {
    /// It can be made anew.
    Same(Weak<Node>),
    /// It differs from what is below.
    Changed(Arc<Node>),
}

impl OverlayFs {
    /// An overlay of `lower`; changes are made of nodes of `upper`, which counts what they occupy.
    pub fn new(lower: Arc<dyn FileSystem>, upper: Arc<TmpFs>) -> Arc<Self> {
        let root = Node::over(lower.root(), None);
        Arc::new_cyclic(|this| Self {
            device: anonymous_device(),
            lower,
            upper,
            root,
            known: Mutex::new(Rank::Leaf, HashMap::new()),
            // Outside of every lock of the filesystem below, which is asked while it is held.
            tree: Mutex::new(Rank::Dentry, ()),
            this: this.clone(),
        })
    }

    fn inode(&self, node: Arc<Node>) -> Arc<OverlayInode> {
        let Some(this) = self.this.upgrade() else { crate::fatal("a filesystem is used after its end") };
        Arc::new(OverlayInode::new(this, node))
    }

    fn lock_tree(&self) -> MutexGuard<'_, ()> {
        self.tree.lock()
    }

    /// The node over `lower`: the same one for all names of a file.
    fn node_over(&self, lower: Arc<dyn Inode>) -> Result<Arc<Node>> {
        let attributes = lower.attributes()?;
        let key = (attributes.device, attributes.inode);
        let mut known = self.known.lock();
        match known.get(&key) {
            Some(Known::Changed(node)) => return Ok(node.clone()),
            Some(Known::Same(node)) => {
                if let Some(node) = node.upgrade() {
                    return Ok(node);
                }
            }
            None => {}
        }
        let node = Node::over(lower, Some(key));
        known.insert(key, Known::Same(Arc::downgrade(&node)));
        if known.len() > 1024 && known.len().is_power_of_two() {
            known.retain(|_, k| match k {
                Known::Same(node) => node.strong_count() > 0,
                Known::Changed(_) => true,
            });
        }
        Ok(node)
    }

    /// Keeps a node that is no longer what lies below it.
    fn keep(&self, node: &Arc<Node>) {
        if let Some(key) = node.key() {
            let old = self.known.lock().insert(key, Known::Changed(node.clone()));
            drop(old);
        }
    }

    /// Lets go of a node that has no name any more.
    fn forget(&self, node: &Arc<Node>) {
        if let Some(key) = node.key() {
            let old = self.known.lock().remove(&key);
            drop(old);
        }
    }
}

impl FileSystem for OverlayFs {
    fn kind(&self) -> &'static str {
        "overlay"
    }

    fn device(&self) -> u64 {
        self.device
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.inode(self.root.clone())
    }

    fn statfs(&self) -> Result<Statfs> {
        // What is free is what the upper layer has left.
        let (upper, lower) = (self.upper.statfs()?, self.lower.statfs()?);
        Ok(Statfs { f_type: MAGIC, f_namelen: lower.f_namelen.max(255), ..upper })
    }

    fn catch_up(&self) {
        self.lower.catch_up();
    }

    fn source(&self) -> String {
        "overlay".to_owned()
    }
}
