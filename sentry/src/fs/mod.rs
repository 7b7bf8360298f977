//! The VFS, and a folder for each filesystem.
//!
//! In the manner of Linux: names are [`dentry`]s, files are [`inode`]s, trees are put together by [`mount`]s, paths are
//! resolved by [`walk`], and an open file description is an [`file::OpenFile`] in an [`fd_table::FdTable`].

pub mod anonymous;
pub mod cgroup;
pub mod context;
pub mod dentry;
pub mod dev;
pub mod devpts;
pub mod epoll;
pub mod eventfd;
pub mod fasync;
pub mod fd_table;
pub mod file;
pub mod gofer;
pub mod host;
pub mod inode;
pub mod inotify;
pub mod kernfs;
pub mod locks;
pub mod mount;
pub mod notify;
pub mod open;
pub mod overlay;
pub mod permission;
pub mod pidfd;
pub mod pipe;
pub mod proc;
pub mod setup;
pub mod signalfd;
pub mod sys;
pub mod timerfd;
pub mod tmpfs;
pub mod tty;
pub mod walk;
pub mod write_access;

use std::sync::Arc;

pub use context::FsContext;
pub use dentry::Dentry;
pub use fd_table::FdTable;
pub use file::{FileOperations, OpenFile};
pub use inode::{Attributes, FileSystem, Inode};
pub use mount::{Mount, MountNamespace};

use crate::Result;

/// A place in the tree: which mount, which name in it.
#[derive(Clone)]
pub struct Path {
    /// The mount.
    pub mount: Arc<Mount>,
    /// The name.
    pub dentry: Arc<Dentry>,
}

impl Path {
    /// The inode. `ENOENT` for a negative dentry.
    pub fn inode(&self) -> Result<&Arc<dyn Inode>> {
        self.dentry.inode()
    }

    /// Whether both are the same name through the same mount.
    pub fn is(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.mount, &other.mount) && Arc::ptr_eq(&self.dentry, &other.dentry)
    }

    /// The directory that `..` leads to, crossing to the mount below at the root of a mount; itself at the very top.
    pub fn parent(&self) -> Path {
        let mut at = self.clone();
        loop {
            if let Some(parent) = at.dentry.parent()
                && !Arc::ptr_eq(&at.dentry, &at.mount.root)
            {
                return Path { mount: at.mount, dentry: parent };
            }
            match at.mount.place() {
                Some(place) => at = place,
                None => return at,
            }
        }
    }

    /// The path as seen from `root`, as `getcwd` and /proc show it; `None` if it is not beneath `root`.
    pub fn display_from(&self, root: &Path) -> Option<Vec<u8>> {
        let mut names: Vec<Arc<[u8]>> = Vec::new();
        let mut at = self.clone();
        while !at.is(root) {
            if Arc::ptr_eq(&at.dentry, &at.mount.root) {
                at = at.mount.place()?;
                continue;
            }
            names.push(at.dentry.name());
            let parent = at.dentry.parent()?;
            at = Path { mount: at.mount, dentry: parent };
        }
        if names.is_empty() {
            return Some(b"/".to_vec());
        }
        let mut out = Vec::new();
        for name in names.iter().rev() {
            out.push(b'/');
            out.extend_from_slice(name);
        }
        Some(out)
    }
}
