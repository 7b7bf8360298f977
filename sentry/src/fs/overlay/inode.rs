//! Inodes of an overlay.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags, RenameFlags};
use moat_abi::stat::FileType;

use super::OverlayFs;
use super::file::OverlayFile;
use super::node::Node;
use crate::Result;
use crate::fs::FileOperations;
use crate::fs::inode::{Answer, Attributes, FileSystem, Inode, NewNode, SetAttributes};
use crate::fs::kernfs::ListedDirectory;
use crate::fs::tmpfs::node::Node as TmpNode;

/// A node and the overlay that it is in.
pub struct OverlayInode {
    filesystem: Arc<OverlayFs>,
    node: Arc<Node>,
}

fn node_of(inode: &Arc<dyn Inode>) -> Result<&Arc<Node>> {
    inode.as_any().downcast_ref::<OverlayInode>().map(|i| &i.node).ok_or(Errno::EXDEV)
}

impl OverlayInode {
    pub(super) fn new(filesystem: Arc<OverlayFs>, node: Arc<Node>) -> Self {
        Self { filesystem, node }
    }

    fn copy_up(&self) -> Result<Arc<TmpNode>> {
        self.node.copy_up(&self.filesystem, u64::MAX)
    }
}

impl Inode for OverlayInode {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        self.filesystem.clone()
    }

    fn file_type(&self) -> FileType {
        self.node.file_type()
    }

    fn attributes(&self) -> Result<Attributes> {
        self.node.attributes(self.filesystem.device)
    }

    fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        let upper = self.node.copy_up(&self.filesystem, change.size.unwrap_or(u64::MAX))?;
        upper.set_attributes(change)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        match self.node.file_type() {
            FileType::Regular => {
                if flags.writable() {
                    self.copy_up()?;
                }
                Ok(Arc::new(OverlayFile::open(&self.node, flags)?))
            }
            FileType::Directory => {
                let number = self.node.number();
                Ok(Arc::new(ListedDirectory::new(number, true, move || self.filesystem.list(&self.node))))
            }
            FileType::Symlink => Err(Errno::ELOOP),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if !self.node.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let node = self.filesystem.find(&self.node, name)?;
        Ok(self.filesystem.inode(node))
    }

    fn look_up_ahead(&self, names: &[&[u8]]) -> Answer {
        self.filesystem.find_ahead(&self.node, names)
    }

    fn names_valid(&self) -> Option<u64> {
        self.node.names_valid()
    }

    fn create(&self, name: &[u8], new: &NewNode) -> Result<Arc<dyn Inode>> {
        let upper = self.copy_up()?;
        let made = TmpNode::new(self.filesystem.upper.usage(), new)?;
        made.adjust_links(1)?;
        let node = Node::fresh(made);
        self.filesystem.add(&self.node, name, node.clone())?;
        upper.modified();
        Ok(self.filesystem.inode(node))
    }

    fn create_anonymous(&self, new: &NewNode) -> Result<Arc<dyn Inode>> {
        let made = TmpNode::new(self.filesystem.upper.usage(), new)?;
        Ok(self.filesystem.inode(Node::fresh(made)))
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        let node = node_of(target)?;
        let upper = self.copy_up()?;
        self.filesystem.add(&self.node, name, node.clone())?;
        node.adjust_links(1);
        self.filesystem.keep(node);
        upper.modified();
        Ok(())
    }

    fn unlink(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        let upper = self.copy_up()?;
        let node = {
            let _tree = self.filesystem.lock_tree();
            let node = self.filesystem.find(&self.node, name)?;
            if node.is_directory() {
                return Err(Errno::EISDIR);
            }
            self.filesystem.put(&self.node, name, None);
            node
        };
        upper.modified();
        self.filesystem.drop_name(&node)
    }

    fn rmdir(&self, name: &[u8], _: &Arc<dyn Inode>) -> Result<()> {
        let upper = self.copy_up()?;
        let node = {
            let _tree = self.filesystem.lock_tree();
            let node = self.filesystem.find(&self.node, name)?;
            self.filesystem.bury(&node)?;
            self.filesystem.put(&self.node, name, None);
            node
        };
        upper.modified();
        self.filesystem.drop_name(&node)
    }

    fn rename(&self, name: &[u8], to_directory: &Arc<dyn Inode>, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        let to = node_of(to_directory)?;
        let (from_upper, to_upper) = (self.copy_up()?, to.copy_up(&self.filesystem, u64::MAX)?);
        let replaced = {
            let filesystem = &self.filesystem;
            let _tree = filesystem.lock_tree();
            if to.names.lock().dead {
                return Err(Errno::ENOENT);
            }
            let node = filesystem.find(&self.node, name)?;
            let target = match filesystem.find(to, to_name) {
                Ok(target) => Some(target),
                Err(Errno::ENOENT) => None,
                Err(errno) => return Err(errno),
            };
            if target.is_some() && flags.contains(RenameFlags::NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            // A moved node cannot be found from below any more under its new name.
            filesystem.keep(&node);
            if flags.contains(RenameFlags::EXCHANGE) {
                let target = target.ok_or(Errno::ENOENT)?;
                filesystem.keep(&target);
                filesystem.put(to, to_name, Some(node));
                filesystem.put(&self.node, name, Some(target));
                None
            } else {
                if let Some(target) = &target {
                    if Arc::ptr_eq(target, &node) {
                        return Ok(());
                    }
                    match (node.is_directory(), target.is_directory()) {
                        (true, false) => return Err(Errno::ENOTDIR),
                        (false, true) => return Err(Errno::EISDIR),
                        (true, true) => filesystem.bury(target)?,
                        (false, false) => {}
                    }
                }
                filesystem.put(&self.node, name, None);
                filesystem.put(to, to_name, Some(node));
                target
            }
        };
        from_upper.modified();
        to_upper.modified();
        replaced.map_or(Ok(()), |node| self.filesystem.drop_name(&node))
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        use crate::fs::tmpfs::node::Body;
        match (self.node.upper(), self.node.lower()) {
            (Some(upper), _) => match &upper.body {
                Body::Symlink(text) => Ok(text.clone()),
                _ => Err(Errno::EINVAL),
            },
            (None, Some(lower)) => lower.readlink(),
            (None, None) => Err(Errno::EINVAL),
        }
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        match (self.node.upper(), self.node.lower()) {
            (None, Some(lower)) => lower.xattr(name),
            (upper, _) => upper.ok_or(Errno::ENODATA)?.xattr(name),
        }
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.copy_up()?.set_xattr(name, value, flags)
    }

    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        match (self.node.upper(), self.node.lower()) {
            (None, Some(lower)) => lower.list_xattrs(),
            (upper, _) => Ok(upper.map_or_else(Vec::new, |u| u.xattr_names())),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.copy_up()?.remove_xattr(name)
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let upper = self.copy_up()?;
        upper.content()?.lock().allocate(upper.usage(), flags, offset, length)
    }
}
