//! A file of the merged tree: what lies below, and what was changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::FileType;

use super::{OWN_NUMBERS, OverlayFs};
use crate::Result;
use crate::fs::OpenFile;
use crate::fs::inode::{Attributes, Inode, NewNode, NodeKind};
use crate::fs::tmpfs::node::Node as TmpNode;
use crate::sync::{Mutex, Rank};

/// How much is copied at a time.
const PIECE: usize = 256 << 10;

/// See the module.
pub struct Node {
    number: u64,
    file_type: FileType,
    lower: Option<Arc<dyn Inode>>,
    /// Device and number of what lies below; none for the root, which is always there.
    key: Option<(u64, u64)>,
    /// Attributes, and bytes, once they differ from what is below.
    upper: Mutex<Option<Arc<TmpNode>>>,
    /// One copy-up at a time; held while the file below is read, so that nobody works with a half copy. Outside of every
    /// lock of the filesystem below.
    copying: Mutex<()>,
    /// Names that were added to those below, less those that were removed.
    link_change: AtomicI32,
    /// What became of names in this directory.
    pub(super) names: Mutex<Names>,
}

/// The changed names of a directory.
#[derive(Default)]
pub(super) struct Names {
    /// What a name is now; `None` if it was removed.
    pub changed: BTreeMap<Vec<u8>, Option<Arc<Node>>>,
    /// The directory was removed.
    pub dead: bool,
}

impl Node {
    fn new(file_type: FileType, number: u64, upper: Option<Arc<TmpNode>>) -> Self {
        Self {
            number,
            file_type,
            lower: None,
            key: None,
            upper: Mutex::new(Rank::Leaf, upper),
            copying: Mutex::new(Rank::Dentry, ()),
            link_change: AtomicI32::new(0),
            names: Mutex::new(Rank::Directory, Names::default()),
        }
    }

    /// What lies below, unchanged so far.
    pub fn over(lower: Arc<dyn Inode>, key: Option<(u64, u64)>) -> Arc<Self> {
        let node = Self::new(lower.file_type(), key.map_or(1, |(_, number)| number), None);
        Arc::new(Self { lower: Some(lower), key, ..node })
    }

    /// Something new, with nothing below it.
    pub fn fresh(upper: Arc<TmpNode>) -> Arc<Self> {
        Arc::new(Self::new(upper.file_type(), OWN_NUMBERS + upper.number, Some(upper)))
    }

    /// Its number, which a copy-up does not change.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its type.
    pub fn file_type(&self) -> FileType {
        self.file_type
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// What lies below.
    pub fn lower(&self) -> Option<&Arc<dyn Inode>> {
        self.lower.as_ref()
    }

    /// See [`Inode::names_valid`]: what was changed here is told to the dentry cache, what lies below tells for itself.
    pub fn names_valid(&self) -> Option<u64> {
        self.lower.as_ref().map_or(Some(0), |lower| lower.names_valid())
    }

    /// See the field.
    pub(super) fn key(&self) -> Option<(u64, u64)> {
        self.key
    }

    /// What replaces the attributes and bytes from below, if they were changed.
    pub fn upper(&self) -> Option<Arc<TmpNode>> {
        self.upper.lock().clone()
    }

    /// What is below a node without an upper part, which always has one.
    fn below(&self) -> Result<&Arc<dyn Inode>> {
        self.lower.as_ref().ok_or(Errno::EIO)
    }

    /// Its attributes in the overlay of this device number.
    pub fn attributes(&self, device: u64) -> Result<Attributes> {
        let mut attributes = match self.upper() {
            Some(upper) => {
                let mut attributes = upper.attributes(device);
                if let Some(lower) = &self.lower
                    && !self.is_directory()
                {
                    attributes.links = lower.attributes()?.links;
                }
                attributes
            }
            None => self.below()?.attributes()?,
        };
        attributes.links = attributes.links.saturating_add_signed(self.link_change.load(Ordering::Relaxed));
        if self.is_directory() {
            // As overlayfs: the number of subdirectories would take a merge to count.
            attributes.links = 1;
        }
        attributes.device = device;
        attributes.inode = self.number;
        Ok(attributes)
    }

    /// Adds names to it, or takes them away.
    pub fn adjust_links(&self, by: i32) {
        self.link_change.fetch_add(by, Ordering::Relaxed);
        if let Some(upper) = self.upper() {
            upper.changed();
        }
    }

    /// Copies attributes, extended attributes and (up to `size`, which a truncation makes pointless to exceed) bytes
    /// up, if that was not done yet.
    pub fn copy_up(self: &Arc<Self>, filesystem: &OverlayFs, size: u64) -> Result<Arc<TmpNode>> {
        let _one = self.copying.lock();
        if let Some(upper) = self.upper() {
            return Ok(upper);
        }
        let lower = self.below()?;
        let attributes = lower.attributes()?;
        let kind = match self.file_type {
            FileType::Regular => NodeKind::Regular,
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink(lower.readlink()?),
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharDevice => NodeKind::CharDevice(attributes.rdev),
            FileType::BlockDevice => NodeKind::BlockDevice(attributes.rdev),
        };
        let new =
            NewNode { kind, permissions: attributes.mode.permissions(), uid: attributes.uid, gid: attributes.gid };
        let upper = TmpNode::new(filesystem.upper.usage(), &new)?;
        if self.file_type == FileType::Regular {
            copy_bytes(lower, &upper, attributes.size.min(size))?;
        }
        // A filesystem without extended attributes has none to copy.
        for name in lower.list_xattrs().unwrap_or_default() {
            if let Ok(value) = lower.xattr(&name) {
                upper.set_xattr(&name, &value, 0)?;
            }
        }
        upper.resemble(&attributes);
        *self.upper.lock() = Some(upper.clone());
        filesystem.keep(self);
        Ok(upper)
    }
}

fn copy_bytes(lower: &Arc<dyn Inode>, upper: &TmpNode, size: u64) -> Result<()> {
    let operations = lower.clone().open(OpenFlags::empty())?;
    let file = OpenFile::new(operations.clone(), None, OpenFlags::empty());
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < size {
        let most = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
        let n = operations.read_at(&file, &mut buffer[..most], at)?;
        if n == 0 {
            break;
        }
        let piece = &buffer[..n];
        // Holes stay holes.
        if piece.iter().any(|&b| b != 0) && upper.content()?.lock().write(upper.usage(), piece, at)? < n {
            return Err(Errno::ENOSPC);
        }
        at += n as u64;
    }
    let mut content = upper.content()?.lock();
    if content.size() < at { content.truncate(upper.usage(), at) } else { Ok(()) }
}
