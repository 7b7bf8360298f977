//! Inodes: a node and the filesystem that it is in.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags, RenameFlags};
use moat_abi::stat::FileType;
use moat_abi::time::{Timespec, UTIME_NOW};
use moat_gofer::client::{NameChange, NewFile};
use moat_gofer::protocol::Change;
use moat_gofer::protocol::attributes::change;

use super::GoferFs;
use super::ahead::Ahead;
use super::changes::Watch;
use super::directory::DirectoryFile;
use super::file::RegularFile;
use super::node::Node;
use crate::Result;
use crate::fs::FileOperations;
use crate::fs::inode::{Answer, Attributes, FileSystem, Found, Inode, NewNode, NodeKind, SetAttributes, SetTime};

/// See the module.
pub struct GoferInode {
    filesystem: Arc<GoferFs>,
    node: Arc<Node>,
    /// Of a symbolic link, whose text never changes.
    text: OnceLock<Vec<u8>>,
}

impl Drop for GoferInode {
    fn drop(&mut self) {
        self.filesystem.forget(self.node.key);
    }
}

/// The inode of this filesystem that `inode` is said to be. `EXDEV` if it is not.
fn of<'a>(filesystem: &Arc<GoferFs>, inode: &'a Arc<dyn Inode>) -> Result<&'a GoferInode> {
    let inode = inode.as_any().downcast_ref::<GoferInode>().ok_or(Errno::EXDEV)?;
    if Arc::ptr_eq(filesystem, &inode.filesystem) { Ok(inode) } else { Err(Errno::EXDEV) }
}

impl GoferInode {
    pub(super) fn new(filesystem: Arc<GoferFs>, node: Arc<Node>) -> Self {
        Self { filesystem, node, text: OnceLock::new() }
    }

    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(super) fn ahead(&self) -> &Ahead {
        &self.filesystem.ahead
    }

    /// A host socket that is connected to this unix socket of the host's. `ECONNREFUSED` unless the root allows it.
    pub fn connect(&self, socket_type: u32) -> Result<OwnedFd> {
        self.node.client().connect(&self.node.handle, socket_type)
    }

    fn check_directory(&self) -> Result<()> {
        if self.node.file_type == FileType::Directory { Ok(()) } else { Err(Errno::ENOTDIR) }
    }

    fn remove(&self, name: &[u8], child: &Arc<dyn Inode>, is_directory: bool) -> Result<()> {
        let child = of(&self.filesystem, child)?;
        let expected = Watch::expect(self.filesystem.watch(), &[(&self.node, name, NameChange::Deleted)]);
        let began = self.node.begin();
        let directory = self.node.client().remove(&self.node.handle, name, is_directory)?;
        expected.met();
        self.node.told(began, &directory);
        child.node.unlinked();
        Ok(())
    }
}

impl Inode for GoferInode {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        self.filesystem.clone()
    }

    fn file_type(&self) -> FileType {
        self.node.file_type
    }

    fn attributes(&self) -> Result<Attributes> {
        self.node.attributes()
    }

    fn set_attributes(&self, to: &SetAttributes) -> Result<()> {
        let mut mask = 0;
        let mut change = Change::default();
        for (value, field, bit) in [
            (to.permissions, &mut change.permissions, change::PERMISSIONS),
            (to.uid, &mut change.uid, change::UID),
            (to.gid, &mut change.gid, change::GID),
        ] {
            if let Some(value) = value {
                *field = value;
                mask |= bit;
            }
        }
        if let Some(size) = to.size {
            if self.node.file_type != FileType::Regular {
                return Err(if self.node.file_type == FileType::Directory { Errno::EISDIR } else { Errno::EINVAL });
            }
            // Through a descriptor: who truncates is about to write, and then has it.
            let done =
                self.node.file(&self.filesystem, true).and_then(|file| file.set_len(size).map_err(Errno::from_raw));
            self.node.changed();
            done?;
        }
        let time = |t: SetTime| match t {
            SetTime::Now => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            SetTime::To(t) => t,
        };
        if let Some(t) = to.atime.map(time) {
            (change.atime_seconds, change.atime_nanoseconds) = (t.tv_sec, t.tv_nsec);
            mask |= change::ATIME;
        }
        if let Some(t) = to.mtime.map(time) {
            (change.mtime_seconds, change.mtime_nanoseconds) = (t.tv_sec, t.tv_nsec);
            mask |= change::MTIME;
        }
        if mask == 0 {
            return Ok(());
        }
        change.mask = mask;
        let began = self.node.begin();
        match self.node.client().set_attributes(&self.node.handle, &change) {
            Ok(attributes) => {
                self.node.told(began, &attributes);
                Ok(())
            }
            Err(e) => {
                // A part of it can have been done.
                self.node.changed();
                Err(e)
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        match self.node.file_type {
            FileType::Regular => {
                let write = flags.writable();
                let file = self.node.file(&self.filesystem, write)?;
                Ok(Arc::new(RegularFile::new(self, file, write)))
            }
            FileType::Directory => Ok(Arc::new(DirectoryFile::new(self))),
            _ => Err(Errno::ENXIO),
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        if self.node.opaque {
            return Err(Errno::ENOENT);
        }
        if let Some(brought) = self.ahead().take(&self.node, name) {
            return Ok(brought);
        }
        let along = self.ahead().next(&self.node, name);
        let (epoch, valid) = (self.filesystem.epoch(), self.node.names_valid());
        let names: Vec<&[u8]> = std::iter::once(name).chain(along.iter().map(|n| &n[..])).collect();
        let mut found = match names.len() {
            1 => vec![Some(self.node.client().look_up(&self.node.handle, name)?)],
            _ => self.node.client().look_up_all(&self.node.handle, &names)?,
        };
        let brought = found.split_off(1);
        let inode = self.filesystem.child(&self.node, name, found.pop().flatten().ok_or(Errno::ENOENT)?);
        let brought = along.into_iter().zip(brought).filter_map(|(name, found)| {
            let inode = self.filesystem.child(&self.node, &name, found?);
            Some((name, inode))
        });
        let brought: Vec<_> = brought.collect();
        if self.filesystem.epoch() != epoch {
            inode.node.changed();
        } else if !brought.is_empty() {
            self.ahead().bring(&self.node, valid, brought);
        }
        Ok(inode)
    }

    fn look_up_ahead(&self, names: &[&[u8]]) -> Answer {
        let valid = self.node.names_valid();
        if self.node.opaque || self.node.file_type != FileType::Directory || names.len() == 1 {
            return Answer::of_one(self.lookup(names[0]), valid);
        }
        if let Some(brought) = self.ahead().take(&self.node, names[0]) {
            return Answer::of_one(Ok(brought), valid);
        }
        let epoch = self.filesystem.epoch();
        let (nodes, error) = match self.node.client().walk(&self.node.handle, names) {
            Ok(told) => told,
            Err(errno) => return Answer::of_one(Err(errno), valid),
        };
        let mut found = Vec::with_capacity(nodes.len() + 1);
        let (mut directory, mut valid) = (self.node.clone(), valid);
        for (name, node) in names.iter().zip(nodes) {
            let inode = self.filesystem.child(&directory, name, node);
            directory = inode.node.clone();
            found.push(Found { inode: Some(inode), valid });
            valid = directory.names_valid();
        }
        if error == Some(Errno::ENOENT) && found.len() < names.len() {
            found.push(Found { inode: None, valid });
        }
        if self.filesystem.epoch() != epoch {
            // Only the first name's validity is from before the question, and no attributes are certain.
            found.truncate(1);
            for inode in found.iter().filter_map(|f| f.inode.as_ref()) {
                of(&self.filesystem, inode).inspect(|inode| inode.node.changed()).ok();
            }
        }
        Answer { found, error }
    }

    fn names_valid(&self) -> Option<u64> {
        self.node.names_valid()
    }

    fn create(&self, name: &[u8], node: &NewNode) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let (client, directory) = (self.node.client(), &self.node.handle);
        let mut new = NewFile { mode: node.permissions & 0o7777, uid: node.uid, gid: node.gid };
        let expected = Watch::expect(self.filesystem.watch(), &[(&self.node, name, NameChange::Created)]);
        let began = self.node.begin();
        let (made, attributes, fd) = match &node.kind {
            NodeKind::Regular => {
                let (made, attributes, fd) = client.create(directory, name, &new)?;
                (made, attributes, Some(fd))
            }
            NodeKind::Directory => {
                let (made, attributes) = client.make_directory(directory, name, &new)?;
                (made, attributes, None)
            }
            NodeKind::Symlink(text) => {
                let (made, attributes) = client.symlink(directory, name, text, &new)?;
                (made, attributes, None)
            }
            NodeKind::Fifo | NodeKind::Socket | NodeKind::CharDevice(_) | NodeKind::BlockDevice(_) => {
                let (kind, device) = match node.kind {
                    NodeKind::Fifo => (FileType::Fifo, 0),
                    NodeKind::CharDevice(device) => (FileType::CharDevice, device),
                    NodeKind::BlockDevice(device) => (FileType::BlockDevice, device),
                    _ => (FileType::Socket, 0),
                };
                new.mode |= kind.bits();
                let (made, attributes) = client.make_node(directory, name, &new, device)?;
                (made, attributes, None)
            }
        };
        expected.met();
        self.node.told(began, &attributes);
        let inode = self.filesystem.child(&self.node, name, made);
        if let Some(fd) = fd {
            inode.node.accept(&self.filesystem, fd)?;
        }
        Ok(inode)
    }

    fn create_anonymous(&self, node: &NewNode) -> Result<Arc<dyn Inode>> {
        self.check_directory()?;
        let new = NewFile { mode: node.permissions & 0o7777, uid: node.uid, gid: node.gid };
        let (made, fd) = self.node.client().create_anonymous(&self.node.handle, &new)?;
        let inode = self.filesystem.inode(made);
        inode.node.accept(&self.filesystem, fd)?;
        Ok(inode)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<()> {
        self.check_directory()?;
        let target = of(&self.filesystem, target)?;
        let expected = Watch::expect(self.filesystem.watch(), &[(&self.node, name, NameChange::Created)]);
        let (began, target_began) = (self.node.begin(), target.node.begin());
        let (linked, directory) = self.node.client().link(&self.node.handle, name, &target.node.handle)?;
        expected.met();
        self.node.has_child(name, &target.node);
        target.node.told(target_began, &linked);
        self.node.told(began, &directory);
        Ok(())
    }

    fn unlink(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        self.remove(name, child, false)
    }

    fn rmdir(&self, name: &[u8], child: &Arc<dyn Inode>) -> Result<()> {
        self.remove(name, child, true)
    }

    fn rename(&self, name: &[u8], to_directory: &Arc<dyn Inode>, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        let to = of(&self.filesystem, to_directory)?;
        let same = Arc::ptr_eq(&self.node, &to.node);
        let exchange = flags.contains(RenameFlags::EXCHANGE);
        let mut changes = vec![(&self.node, name, NameChange::MovedFrom), (&to.node, to_name, NameChange::MovedTo)];
        if exchange {
            changes.extend([(&to.node, to_name, NameChange::MovedFrom), (&self.node, name, NameChange::MovedTo)]);
        }
        let expected = Watch::expect(self.filesystem.watch(), &changes);
        let began = self.node.begin();
        let to_began = if same { began } else { to.node.begin() };
        let said = self.node.client().rename((&self.node.handle, name), (&to.node.handle, to_name), flags.bits())?;
        expected.met();
        self.node.told(began, &said.from);
        if !same {
            to.node.told(to_began, &said.to);
        }
        self.filesystem.moved(said.moved, &to.node, to_name);
        if exchange {
            self.filesystem.moved(said.replaced, &self.node, name);
        } else {
            self.filesystem.unlinked(said.replaced);
        }
        Ok(())
    }

    fn readlink(&self) -> Result<Vec<u8>> {
        if let Some(text) = self.text.get() {
            return Ok(text.clone());
        }
        let text = self.node.client().read_link(&self.node.handle)?;
        Ok(self.text.get_or_init(|| text).clone())
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.node.xattr(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let done = self.node.client().set_xattr(&self.node.handle, name, value, flags);
        self.node.changed();
        done
    }

    fn list_xattrs(&self) -> Result<Vec<Vec<u8>>> {
        self.node.client().list_xattrs(&self.node.handle)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let done = self.node.client().remove_xattr(&self.node.handle, name);
        self.node.changed();
        done
    }

    fn allocate(&self, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let file = self.node.file(&self.filesystem, true)?;
        let done = file.allocate(flags.bits(), offset, length).map_err(Errno::from_raw);
        self.node.changed();
        done
    }
}
