//! Open regular files: all they do goes straight to a host descriptor.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags};
use moat_host::HostFile;

use super::inode::GoferInode;
use crate::Result;
use crate::fs::file::{FileOperations, Mappable, OpenFile, Seeking};

/// See the module.
pub(super) struct RegularFile {
    inode: Arc<GoferInode>,
    file: Arc<HostFile>,
    writable: bool,
    /// Whether it was read from, which changes the access time.
    read: AtomicBool,
}

impl RegularFile {
    pub fn new(inode: Arc<GoferInode>, file: Arc<HostFile>, writable: bool) -> Self {
        Self { inode, file, writable, read: AtomicBool::new(false) }
    }

    fn reader(&self) -> Arc<HostFile> {
        if self.writable { self.file.clone() } else { self.inode.node().reader(&self.file) }
    }

    /// Behind a write, successful or not.
    fn written(&self, file: &OpenFile) -> Result<()> {
        self.inode.node().changed();
        let flags = file.flags();
        if flags.intersects(OpenFlags::DSYNC) {
            self.file.sync(!flags.contains(OpenFlags::SYNC)).map_err(Errno::from_raw)?;
        }
        Ok(())
    }
}

impl FileOperations for RegularFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Positions
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let n = self.reader().read_at(buf, offset).map_err(Errno::from_raw)?;
        // The host notes an access at most once between two changes, mostly.
        if !self.read.load(Ordering::Relaxed) {
            self.read.store(true, Ordering::Relaxed);
            self.inode.node().changed();
        }
        Ok(n)
    }

    fn write_at(&self, file: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let done = self.file.write_at(buf, offset).map_err(Errno::from_raw);
        self.written(file)?;
        done
    }

    fn append(&self, file: &OpenFile, buf: &[u8]) -> Result<(usize, u64)> {
        let done = {
            let _one_at_a_time = self.inode.node().append.lock();
            let n = self.file.append(buf).map_err(Errno::from_raw);
            n.and_then(|n| Ok((n, self.file.stat().map_err(Errno::from_raw)?.st_size as u64)))
        };
        self.written(file)?;
        done
    }

    fn seek_data(&self, _: &OpenFile, offset: u64, hole: bool) -> Result<u64> {
        self.reader().seek_data(offset, hole).map_err(Errno::from_raw)
    }

    fn mappable(&self, _: &OpenFile) -> Result<Mappable> {
        Ok(Mappable { file: self.reader(), writable: self.writable, writer: None })
    }

    fn sync(&self, _: &OpenFile, data_only: bool) -> Result<()> {
        self.reader().sync(data_only).map_err(Errno::from_raw)
    }

    fn allocate(&self, _: &OpenFile, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        let done = self.file.allocate(flags.bits(), offset, length).map_err(Errno::from_raw);
        self.inode.node().changed();
        done
    }
}
