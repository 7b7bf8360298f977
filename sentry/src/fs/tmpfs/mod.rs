//! tmpfs(5): files in memory. /dev, /dev/shm, memfds and the upper layer of the overlay are made of it too.
//!
//! A directory holds [`node::Node`]s; an inode is a node seen through its filesystem.

mod content;
mod directory;
mod file;
mod inode;
pub mod node;
mod options;
pub mod usage;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use moat_abi::stat::Statfs;

pub use file::{RegularFile, dots};
pub use inode::TmpInode;
pub use options::TmpfsOptions;

use super::inode::{FileSystem, Inode, NewNode, NodeKind};
use super::kernfs::anonymous_device;
use crate::Result;
use crate::sync::{Mutex, MutexGuard, Rank};
use node::Node;
use usage::Usage;

/// Size of a page, in bytes: the unit of its accounting.
pub const PAGE: u64 = moat_platform::PAGE_SIZE;

/// `TMPFS_MAGIC`.
const MAGIC: i64 = 0x0102_1994;

/// One mounted tmpfs.
pub struct TmpFs {
    device: u64,
    kind: &'static str,
    source: String,
    shown: String,
    usage: Arc<Usage>,
    root: Arc<Node>,
    /// Held by who locks more than one directory: rename and rmdir.
    tree: Mutex<()>,
    this: Weak<TmpFs>,
}

impl TmpFs {
    /// An empty filesystem. `kind` is its name in `/proc/mounts` (`tmpfs`, `mqueue`), `memory` the memory of the
    /// machine, of which it may by default use the half.
    pub fn new(kind: &'static str, source: &str, options: &TmpfsOptions, memory: u64) -> Result<Arc<Self>> {
        let half = memory / 2;
        let usage =
            Arc::new(Usage::new(options.size.unwrap_or(half / PAGE * PAGE), options.inodes.unwrap_or(half / PAGE)));
        let root = NewNode { kind: NodeKind::Directory, permissions: options.mode, uid: options.uid, gid: options.gid };
        let root = Node::new(&usage, &root)?;
        root.adjust_links(1)?;
        Ok(Arc::new_cyclic(|this| Self {
            device: anonymous_device(),
            kind,
            source: source.to_owned(),
            shown: options.shown().to_owned(),
            usage,
            root,
            tree: Mutex::new(Rank::Directory, ()),
            this: this.clone(),
        }))
    }

    fn lock_tree(&self) -> MutexGuard<'_, ()> {
        self.tree.lock()
    }

    /// The counters.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// A node of it as an inode.
    pub fn inode(&self, node: Arc<Node>) -> Arc<TmpInode> {
        let Some(this) = self.this.upgrade() else { crate::fatal("a filesystem is used after its end") };
        Arc::new(TmpInode::new(this, node))
    }

    /// A regular file that has no name (O_TMPFILE, memfd).
    pub fn nameless(&self, new: &NewNode) -> Result<Arc<TmpInode>> {
        Ok(self.inode(Node::new(&self.usage, new)?))
    }
}

impl FileSystem for TmpFs {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn device(&self) -> u64 {
        self.device
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.inode(self.root.clone())
    }

    fn statfs(&self) -> Result<Statfs> {
        let (pages, free_pages) = self.usage.pages();
        let (inodes, free_inodes) = self.usage.inodes();
        Ok(Statfs {
            f_type: MAGIC,
            f_bsize: PAGE as i64,
            f_blocks: pages,
            f_bfree: free_pages,
            f_bavail: free_pages,
            f_files: inodes,
            f_ffree: free_inodes,
            f_fsid: [self.device as i32, 0],
            f_namelen: 255,
            f_frsize: PAGE as i64,
            ..Statfs::default()
        })
    }

    fn show_options(&self) -> String {
        self.shown.clone()
    }

    fn source(&self) -> String {
        self.source.clone()
    }
}
