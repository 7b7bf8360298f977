//! Inodes for open files that have no place in a tree (pipes, sockets, descriptors from outside), so that
//! `/proc/PID/fd/N` leads somewhere.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mount::MountFlags;
use moat_abi::stat::{FileType, Statfs};

use super::file::{FileOperations, OpenFile};
use super::inode::{Attributes, FileSystem, Inode, SetAttributes};
use super::{Dentry, Mount, Path};
use crate::Result;

/// See the module.
pub struct Anonymous {
    file: Arc<OpenFile>,
}

/// The filesystem of one such file.
struct Alone {
    file: Arc<OpenFile>,
}

/// A place for `file`, in a mount of its own that is attached nowhere.
pub fn place(file: Arc<OpenFile>) -> Path {
    let name = file.anonymous_name();
    let inode = Arc::new(Anonymous { file: file.clone() });
    let dentry = Dentry::root(inode, name.as_bytes());
    Path { mount: Mount::new(Arc::new(Alone { file }), dentry.clone(), MountFlags::empty()), dentry }
}

impl Anonymous {
    /// Opens the same thing once more, as a description of its own without a place.
    pub fn reopen(&self, flags: OpenFlags) -> Result<Arc<OpenFile>> {
        let operations = self.file.raw_operations().clone().reopen(flags)?;
        Ok(OpenFile::new(operations, None, flags))
    }
}

impl FileSystem for Alone {
    fn kind(&self) -> &'static str {
        "anon_inodefs"
    }

    fn device(&self) -> u64 {
        self.file.attributes().map_or(0, |a| a.device)
    }

    fn root(&self) -> Arc<dyn Inode> {
        Arc::new(Anonymous { file: self.file.clone() })
    }

    fn statfs(&self) -> Result<Statfs> {
        Ok(Statfs { f_bsize: 4096, f_namelen: 255, f_frsize: 4096, ..Statfs::default() })
    }
}

impl Inode for Anonymous {
    fn filesystem(&self) -> Arc<dyn FileSystem> {
        Arc::new(Alone { file: self.file.clone() })
    }

    fn file_type(&self) -> FileType {
        self.file.attributes().map_or(FileType::Regular, |a| a.mode.file_type())
    }

    fn attributes(&self) -> Result<Attributes> {
        self.file.attributes()
    }

    fn set_attributes(&self, _: &SetAttributes) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        self.file.raw_operations().clone().reopen(flags)
    }
}
