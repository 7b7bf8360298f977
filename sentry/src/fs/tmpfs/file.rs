//! Open regular files and directories.

use std::any::Any;
use std::sync::Arc;

use moat_abi::fcntl::{FallocateFlags, OpenFlags};
use moat_abi::mount::MountFlags;
use moat_abi::stat::FileType;

use super::node::Node;
use crate::Result;
use crate::fs::file::{DirectoryEntry, FileOperations, Mappable, OpenFile, Seeking};

/// An open regular file.
pub struct RegularFile(pub Arc<Node>);

/// An open directory.
pub struct DirectoryFile(pub Arc<Node>);

/// Notes a read through `file`, unless its flags or its mount's say not to.
fn accessed(node: &Node, file: &OpenFile) {
    let quiet = file.flags().contains(OpenFlags::NOATIME)
        || file.path().is_some_and(|p| p.mount.flags().intersects(MountFlags::NOATIME | MountFlags::RDONLY));
    if !quiet {
        node.accessed();
    }
}

impl FileOperations for RegularFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Positions
    }

    fn read_at(&self, file: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let n = self.0.content()?.lock().read(buf, offset)?;
        accessed(&self.0, file);
        Ok(n)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let n = self.0.content()?.lock().write(self.0.usage(), buf, offset)?;
        self.0.modified();
        Ok(n)
    }

    fn append(&self, _: &OpenFile, buf: &[u8]) -> Result<(usize, u64)> {
        let done = {
            let mut content = self.0.content()?.lock();
            let end = content.size();
            let n = content.write(self.0.usage(), buf, end)?;
            (n, end + n as u64)
        };
        self.0.modified();
        Ok(done)
    }

    fn seek_data(&self, _: &OpenFile, offset: u64, hole: bool) -> Result<u64> {
        self.0.content()?.lock().seek_data(offset, hole)
    }

    fn mappable(&self, _: &OpenFile) -> Result<Mappable> {
        let mut content = self.0.content()?.lock();
        Ok(Mappable { file: content.memory()?, writable: content.writable(), writer: Some(content.writer()) })
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        Ok(())
    }

    fn allocate(&self, _: &OpenFile, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        self.0.content()?.lock().allocate(self.0.usage(), flags, offset, length)
    }

    fn seals(&self, _: &OpenFile, add: bool, seals: u32) -> Result<u64> {
        let mut content = self.0.content()?.lock();
        if add {
            content.add_seals(seals)?;
            return Ok(0);
        }
        Ok(u64::from(content.seals()))
    }
}

impl FileOperations for DirectoryFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Directory
    }

    fn read_directory(&self, file: &OpenFile, from: u64, sink: &mut dyn FnMut(DirectoryEntry) -> bool) -> Result<()> {
        for entry in dots(file, self.0.number).into_iter().skip(usize::try_from(from).unwrap_or(2).min(2)) {
            if !sink(entry) {
                return Ok(());
            }
        }
        {
            let entries = self.0.entries()?.lock();
            for (cookie, name, node) in entries.after(from) {
                let entry = DirectoryEntry {
                    inode: node.number,
                    next: cookie,
                    file_type: Some(node.file_type()),
                    name: name.to_vec(),
                };
                if !sink(entry) {
                    break;
                }
            }
        }
        accessed(&self.0, file);
        Ok(())
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        Ok(())
    }
}

/// `.` and `..`, at the positions 0 and 1. At the root of a filesystem `..` is the directory itself.
pub fn dots(file: &OpenFile, own: u64) -> [DirectoryEntry; 2] {
    let parent = file
        .path()
        .and_then(|path| path.dentry.parent())
        .and_then(|parent| parent.inode().ok()?.attributes().ok())
        .map_or(own, |attributes| attributes.inode);
    let entry = |name: &[u8], inode, next| DirectoryEntry {
        inode,
        next,
        file_type: Some(FileType::Directory),
        name: name.to_vec(),
    };
    [entry(b".", own, 1), entry(b"..", parent, 2)]
}
