//! An inode's state, apart from the filesystem that it is in: a directory holds nodes, so that nothing refers in a
//! circle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moat_abi::errno::Errno;
use moat_abi::stat::{FileType, Mode};
use moat_abi::time::{CLOCK_REALTIME_COARSE, Timespec};

use super::PAGE;
use super::content::Content;
use super::directory::Entries;
use super::usage::Usage;
use crate::Result;
use crate::fs::inode::{Attributes, NewNode, NodeKind, SetAttributes, SetTime};
use crate::sync::{Mutex, Rank};

/// `XATTR_CREATE`.
pub const XATTR_CREATE: u32 = 1;
/// `XATTR_REPLACE`.
pub const XATTR_REPLACE: u32 = 2;

/// What Linux's tmpfs says an entry weighs (`BOGO_DIRENT_SIZE`).
const ENTRY_SIZE: u64 = 20;

/// See the module.
pub struct Node {
    /// Inode number.
    pub number: u64,
    /// What it is.
    pub body: Body,
    usage: Arc<Usage>,
    meta: Mutex<Meta>,
}

/// What differs between the types.
pub enum Body {
    /// A regular file.
    Regular(Mutex<Content>),
    /// A directory.
    Directory(Mutex<Entries>),
    /// A symbolic link.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// A unix socket's name.
    Socket,
    /// A character device.
    CharDevice(u64),
    /// A block device.
    BlockDevice(u64),
}

struct Meta {
    permissions: u32,
    links: u32,
    uid: u32,
    gid: u32,
    atime: Timespec,
    mtime: Timespec,
    ctime: Timespec,
    btime: Timespec,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// The present, as filesystems stamp it.
pub fn now() -> Timespec {
    moat_host::clock::now(CLOCK_REALTIME_COARSE).into()
}

fn resolve(time: SetTime, now: Timespec) -> Timespec {
    match time {
        SetTime::Now => now,
        SetTime::To(time) => time,
    }
}

impl Node {
    /// A node without a name yet (directories count themselves). `ENOSPC`.
    pub fn new(usage: &Arc<Usage>, new: &NewNode) -> Result<Arc<Self>> {
        usage.take_inode()?;
        let body = match &new.kind {
            NodeKind::Regular => Body::Regular(Mutex::new(Rank::Inode, Content::default())),
            NodeKind::Directory => Body::Directory(Mutex::new(Rank::Directory, Entries::default())),
            NodeKind::Symlink(text) => Body::Symlink(text.clone()),
            NodeKind::Fifo => Body::Fifo,
            NodeKind::Socket => Body::Socket,
            NodeKind::CharDevice(device) => Body::CharDevice(*device),
            NodeKind::BlockDevice(device) => Body::BlockDevice(*device),
        };
        let now = now();
        let meta = Meta {
            permissions: new.permissions & 0o7777,
            links: u32::from(matches!(new.kind, NodeKind::Directory)),
            uid: new.uid,
            gid: new.gid,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            xattrs: BTreeMap::new(),
        };
        Ok(Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            body,
            usage: usage.clone(),
            meta: Mutex::new(Rank::Inode, meta),
        }))
    }

    /// Its type.
    pub fn file_type(&self) -> FileType {
        match self.body {
            Body::Regular(_) => FileType::Regular,
            Body::Directory(_) => FileType::Directory,
            Body::Symlink(_) => FileType::Symlink,
            Body::Fifo => FileType::Fifo,
            Body::Socket => FileType::Socket,
            Body::CharDevice(_) => FileType::CharDevice,
            Body::BlockDevice(_) => FileType::BlockDevice,
        }
    }

    /// The counters of its filesystem.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// The bytes of a regular file. `EINVAL` for other types.
    pub fn content(&self) -> Result<&Mutex<Content>> {
        match &self.body {
            Body::Regular(content) => Ok(content),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The entries of a directory. `ENOTDIR`.
    pub fn entries(&self) -> Result<&Mutex<Entries>> {
        match &self.body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Its attributes; `device` is the filesystem's number.
    pub fn attributes(&self, device: u64) -> Attributes {
        let (size, blocks) = match &self.body {
            Body::Regular(content) => {
                let content = content.lock();
                (content.size(), content.blocks())
            }
            Body::Directory(entries) => ((entries.lock().len() as u64 + 2) * ENTRY_SIZE, 0),
            Body::Symlink(text) => (text.len() as u64, 0),
            _ => (0, 0),
        };
        let rdev = match self.body {
            Body::CharDevice(device) | Body::BlockDevice(device) => device,
            _ => 0,
        };
        let meta = self.meta.lock();
        Attributes {
            device,
            inode: self.number,
            mode: Mode::new(self.file_type(), meta.permissions),
            links: meta.links,
            uid: meta.uid,
            gid: meta.gid,
            rdev,
            size,
            blocks,
            block_size: PAGE as u32,
            atime: meta.atime,
            mtime: meta.mtime,
            ctime: meta.ctime,
            btime: Some(meta.btime),
        }
    }

    /// Changes attributes.
    pub fn set_attributes(&self, change: &SetAttributes) -> Result<()> {
        if let Some(size) = change.size {
            self.content()?.lock().truncate(&self.usage, size)?;
        }
        let now = now();
        let mut meta = self.meta.lock();
        if let Some(permissions) = change.permissions {
            meta.permissions = permissions & 0o7777;
        }
        meta.uid = change.uid.unwrap_or(meta.uid);
        meta.gid = change.gid.unwrap_or(meta.gid);
        meta.atime = change.atime.map_or(meta.atime, |t| resolve(t, now));
        meta.mtime = change.mtime.map_or(meta.mtime, |t| resolve(t, now));
        meta.ctime = now;
        Ok(())
    }

    /// Makes it look as `from`, apart from number, size and links: what a copy-up starts with.
    pub fn resemble(&self, from: &Attributes) {
        let mut meta = self.meta.lock();
        meta.permissions = from.mode.permissions();
        meta.uid = from.uid;
        meta.gid = from.gid;
        meta.atime = from.atime;
        meta.mtime = from.mtime;
        meta.ctime = from.ctime;
        meta.btime = from.btime.unwrap_or(from.ctime);
    }

    /// Notes a read, as `relatime`: at most once a day unless the file changed since.
    pub fn accessed(&self) {
        const DAY: i64 = 86_400;
        let now = now();
        let mut meta = self.meta.lock();
        let at = |t: Timespec| (t.tv_sec, t.tv_nsec);
        if at(meta.atime) <= at(meta.mtime) || at(meta.atime) <= at(meta.ctime) || now.tv_sec - meta.atime.tv_sec >= DAY
        {
            meta.atime = now;
        }
    }

    /// Notes a change of the contents.
    pub fn modified(&self) {
        let now = now();
        let mut meta = self.meta.lock();
        meta.mtime = now;
        meta.ctime = now;
    }

    /// Notes a change of the names.
    pub fn changed(&self) {
        self.meta.lock().ctime = now();
    }

    /// Adds to the count of links (or takes from it) and notes the change. `EMLINK` at the most that fits.
    pub fn adjust_links(&self, by: i32) -> Result<()> {
        let mut meta = self.meta.lock();
        meta.links = meta.links.checked_add_signed(by).ok_or(Errno::EMLINK)?;
        meta.ctime = now();
        Ok(())
    }

    /// How many names it has.
    pub fn links(&self) -> u32 {
        self.meta.lock().links
    }

    /// Reads an extended attribute. `ENODATA`.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.meta.lock().xattrs.get(name).cloned().ok_or(Errno::ENODATA)
    }

    /// Sets one. `EEXIST` and `ENODATA` by the flags.
    pub fn set_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let mut meta = self.meta.lock();
        let exists = meta.xattrs.contains_key(name);
        if flags & XATTR_CREATE != 0 && exists {
            return Err(Errno::EEXIST);
        }
        if flags & XATTR_REPLACE != 0 && !exists {
            return Err(Errno::ENODATA);
        }
        // Application-made memory of the sentry's own is bounded: as much as ext4 gives a file.
        let total: usize = meta.xattrs.iter().map(|(n, v)| n.len() + v.len()).sum();
        if total + name.len() + value.len() > 1 << 20 {
            return Err(Errno::ENOSPC);
        }
        meta.xattrs.insert(name.to_vec(), value.to_vec());
        meta.ctime = now();
        Ok(())
    }

    /// The names of all of them.
    pub fn xattr_names(&self) -> Vec<Vec<u8>> {
        self.meta.lock().xattrs.keys().cloned().collect()
    }

    /// Removes one. `ENODATA`.
    pub fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let mut meta = self.meta.lock();
        meta.xattrs.remove(name).ok_or(Errno::ENODATA)?;
        meta.ctime = now();
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        match &mut self.body {
            Body::Regular(content) => content.get_mut().discharge(&self.usage),
            Body::Directory(entries) => {
                // Level by level: a tree can be deeper than the stack.
                let mut left = entries.get_mut().take_all();
                while let Some(node) = left.pop() {
                    if let Some(mut node) = Arc::into_inner(node)
                        && let Body::Directory(entries) = &mut node.body
                    {
                        left.append(&mut entries.get_mut().take_all());
                    }
                }
            }
            _ => {}
        }
        self.usage.put_inode();
    }
}
