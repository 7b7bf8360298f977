//! Inodes: a node and the filesystem that it is in.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags, RenameFlags};
use moat_abi::stat::FileType;

use super::TmpFs;
use super::directory::Entries;
use super::file::{DirectoryFile, RegularFile};
use super::node::{Body, Node};
use crate::Result;
use crate::fs::inode::{Attributes, FileSystem, Inode, NewNode, NodeKind, SetAttributes};
use crate::fs::{Dentry, FileOperations};
use crate::sync::{Mutex, MutexGuard};

/// See the module.
pub struct TmpInode {
    filesystem: Arc<TmpFs>,
    node: Arc<Node>,
}

impl TmpInode {
    pub(super) fn new(filesystem: Arc<TmpFs>, node: Arc<Node>) -> Self {
        Self { filesystem, node }
    }

    /// The node behind it.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// A dentry for it that has no place in a tree, shown as `name`.
    pub fn nameless_dentry(self: &Arc<Self>, name: &[u8]) -> Arc<Dentry> {
        Dentry::root(self.clone(), name)
    }

    fn entries(&self) -> Result<MutexGuard<'_, Entries>> {
        Ok(self.node.entries()?.lock())
    }

    fn wrap(&self, node: &Arc<Node>) -> Arc<dyn Inode> {
        Arc::new(Self { filesystem: self.filesystem.clone(), node: node.clone() })
    }
}

/// The node of an inode that is said to be of a tmpfs. `EXDEV` if it is not.
fn node_of(inode: &Arc<dyn Inode>) -> Result<&Arc<Node>> {
    inode.as_any().downcast_ref::<TmpInode>().map(|i| &i.node).ok_or(Errno::EXDEV)
}

fn is_directory(node: &Node) -> bool {
    matches!(node.body, Body::Directory(_))
}

/// Marks an empty directory as removed. `ENOTEMPTY` if it is not empty. The caller holds the parent's lock.
fn bury(node: &Node) -> Result<()> {
    let mut entries = node.entries()?.lock_nested();
    if !entries.is_empty() {
        return Err(Errno::ENOTEMPTY);
    }
    entries.dead = true;
    Ok(())
}

/// What a node loses with its only name, or with one of several.
fn drop_name(node: &Node) -> Result<()> {
    node.adjust_links(if is_directory(node) { -2 } else { -1 })
}

/// Both directories locked; one guard if they are the same. The caller holds the filesystem's tree lock, without which
/// nobody takes two.
fn lock_both<'a>(
    a: &'a Mutex<Entries>,
    b: &'a Mutex<Entries>,
) -> (MutexGuard<'a, Entries>, Option<MutexGuard<'a, Entries>>) {
    let first = a.lock_nested();
    let second = (!std::ptr::eq(a, b)).then(|| b.lock_nested());
    (first, second)
}

impl Inode for TmpInode {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        self.filesystem.clone()
    }

    fn file_type(&self) -> FileType {
        self.node.file_type()
    }

    fn attributes(&self) -> Result<Attributes> {
        Ok(self.node.attributes(self.filesystem.device()))
    }

    fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        self.node.set_attributes(change)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, _: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        match self.node.body {
            Body::Regular(_) => Ok(Arc::new(RegularFile(self.node.clone()))),
            Body::Directory(_) => Ok(Arc::new(DirectoryFile(self.node.clone()))),
            Body::Symlink(_) => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.entries()?.get(name).map(|node| self.wrap(node)).ok_or(Errno::ENOENT)
    }

    fn create(&self, name: &[u8], new: &NewNode) -> Result<Arc<dyn Inode>> {
        let mut entries = self.entries()?;
        if entries.dead {
            return Err(Errno::ENOENT);
        }
        if entries.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        let node = Node::new(self.filesystem.usage(), new)?;
        node.adjust_links(1)?;
        if matches!(new.kind, NodeKind::Directory) {
            self.node.adjust_links(1)?;
        }
        entries.insert(name, node.clone());
        self.node.modified();
        Ok(self.wrap(&node))
    }

    fn create_anonymous(&self, new: &NewNode) -> Result<Arc<dyn Inode>> {
        self.node.entries()?;
        Ok(self.filesystem.nameless(new)?)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let node = node_of(target)?;
        let mut entries = self.entries()?;
        if entries.dead {
            return Err(Errno::ENOENT);
        }
        if entries.get(name).is_some() {
            return Err(Errno::EEXIST);
        }
        node.adjust_links(1)?;
        entries.insert(name, node.clone());
        self.node.modified();
        Ok(())
    }

    fn unlink(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        let removed = {
            let mut entries = self.entries()?;
            match entries.get(name) {
                None => return Err(Errno::ENOENT),
                Some(node) if is_directory(node) => return Err(Errno::EISDIR),
                Some(_) => {}
            }
            self.node.modified();
            entries.remove(name)
        };
        removed.map_or(Ok(()), |node| drop_name(&node))
    }

    fn rmdir(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        let removed = {
            let _tree = self.filesystem.lock_tree();
            let mut entries = self.node.entries()?.lock_nested();
            let node = entries.get(name).ok_or(Errno::ENOENT)?;
            bury(node)?;
            self.node.modified();
            self.node.adjust_links(-1)?;
            entries.remove(name)
        };
        removed.map_or(Ok(()), |node| drop_name(&node))
    }

    fn rename(&self, name: &[u8], to_directory: &Arc<dyn Inode>, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        let to = node_of(to_directory)?;
        let replaced = {
            let _tree = self.filesystem.lock_tree();
            let (mut from_entries, mut to_entries) = lock_both(self.node.entries()?, to.entries()?);
            if to_entries.as_ref().unwrap_or(&from_entries).dead {
                return Err(Errno::ENOENT);
            }
            let node = from_entries.get(name).cloned().ok_or(Errno::ENOENT)?;
            let target = to_entries.as_ref().unwrap_or(&from_entries).get(to_name).cloned();
            if target.is_some() && flags.contains(RenameFlags::NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            if flags.contains(RenameFlags::EXCHANGE) {
                let target = target.ok_or(Errno::ENOENT)?;
                to_entries.as_mut().unwrap_or(&mut from_entries).insert(to_name, node.clone());
                from_entries.insert(name, target.clone());
                let moved = i32::from(is_directory(&node)) - i32::from(is_directory(&target));
                self.node.adjust_links(-moved)?;
                to.adjust_links(moved)?;
                target.changed();
                node.changed();
                None
            } else {
                if let Some(target) = &target {
                    if Arc::ptr_eq(target, &node) {
                        return Ok(());
                    }
                    match (is_directory(&node), is_directory(target)) {
                        (true, false) => return Err(Errno::ENOTDIR),
                        (false, true) => return Err(Errno::EISDIR),
                        (true, true) => {
                            bury(target)?;
                            to.adjust_links(-1)?;
                        }
                        (false, false) => {}
                    }
                }
                from_entries.remove(name);
                to_entries.as_mut().unwrap_or(&mut from_entries).insert(to_name, node.clone());
                if is_directory(&node) {
                    self.node.adjust_links(-1)?;
                    to.adjust_links(1)?;
                }
                node.changed();
                target
            }
        };
        self.node.modified();
        to.modified();
        replaced.map_or(Ok(()), |node| drop_name(&node))
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        match &self.node.body {
            Body::Symlink(text) => Ok(text.clone()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.node.xattr(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.node.set_xattr(name, value, flags)
    }

    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.node.xattr_names())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.node.remove_xattr(name)
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        self.node.content()?.lock().allocate(self.node.usage(), flags, offset, length)
    }
}
