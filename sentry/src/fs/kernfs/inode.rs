//! The inode of a generated file.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::{FileType, Mode};

use super::file::GeneratedFile;
use super::{Content, KernFs, Listed, ListedDirectory, Node};
use crate::Result;
use crate::fs::file::DirectoryEntry;
use crate::fs::inode::{Attributes, FileSystem, Inode, SetAttributes};
use crate::fs::tmpfs::node::now;
use crate::fs::{FileOperations, Path};
use crate::kernel::{Task, ThreadGroup};

/// See the module.
pub struct KernInode {
    filesystem: Arc<KernFs>,
    number: u64,
    node: Node,
}

/// The number of a child: a hash (FNV-1a) of its name and its parent's number, the same at every lookup. 48 bits, so
/// that programs which keep inode numbers in floating point lose nothing.
pub fn child_number(parent: u64, name: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for &byte in parent.to_le_bytes().iter().chain(name) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    ((hash >> 48) ^ hash) & 0xffff_ffff_ffff | 2
}

impl KernInode {
    pub(super) fn new(filesystem: Arc<KernFs>, number: u64, node: Node) -> Self {
        Self { filesystem, number, node }
    }

    /// The process whose directory of /proc it is.
    pub fn process(&self) -> Option<Result<Arc<ThreadGroup>>> {
        match &self.node.content {
            Content::Directory(directory) => directory.process(),
            _ => None,
        }
    }
}

impl Inode for KernInode {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        self.filesystem.clone()
    }

    fn file_type(&self) -> FileType {
        self.node.file_type()
    }

    fn attributes(&self) -> Result<Attributes> {
        let (uid, gid) = self.node.owner.as_ref().map_or((0, 0), |owner| owner());
        let now = now();
        Ok(Attributes {
            device: self.filesystem.device(),
            inode: self.number,
            mode: Mode::new(self.file_type(), self.node.permissions),
            links: match &self.node.content {
                Content::Directory(directory) => directory.links(),
                _ => 1,
            },
            uid,
            gid,
            size: match &self.node.content {
                Content::File(file) => file.size(),
                _ => 0,
            },
            block_size: 1024,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attributes::default()
        })
    }

    fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        // `echo 1 > /proc/…` opens with O_TRUNC, which means nothing here.
        let harmless = change.permissions.is_none() && change.uid.is_none() && change.gid.is_none();
        if harmless { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, _: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        match &self.node.content {
            Content::Directory(directory) => {
                let (directory, number) = (directory.clone(), self.number);
                let entry = move |listed: Listed| DirectoryEntry {
                    inode: child_number(number, &listed.name),
                    next: 0,
                    file_type: Some(listed.file_type),
                    name: listed.name,
                };
                let list = move || Ok(directory.list()?.into_iter().map(entry).collect());
                Ok(Arc::new(ListedDirectory::new(number, false, list)))
            }
            Content::File(file) => Ok(Arc::new(GeneratedFile::new(file.clone()))),
            Content::Link(_) => Err(Errno::ELOOP),
        }
    }

    fn open_for(self: Arc<Self>, task: &Task, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        if let Content::File(file) = &self.node.content
            && let Some(own) = file.open(task, flags)?
        {
            return Ok(own);
        }
        self.open(flags)
    }

    fn names_valid(&self) -> Option<u64> {
        None
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        match &self.node.content {
            Content::Directory(directory) => {
                let node = directory.lookup(name)?;
                Ok(Arc::new(Self::new(self.filesystem.clone(), child_number(self.number, name), node)))
            }
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn readlink_for(&self, task: &Task) -> Result<Vec<u8>> {
        match &self.node.content {
            Content::Link(link) => link.text(task),
            _ => Err(Errno::EINVAL),
        }
    }

    fn magic_link(&self, task: &Task) -> Option<Result<Path>> {
        match &self.node.content {
            Content::Link(link) => link.follow(task),
            _ => None,
        }
    }
}
