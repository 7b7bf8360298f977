//! Open files of an overlay.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags};

use super::node::Node;
use crate::Result;
use crate::fs::file::{FileOperations, Mappable, OpenFile, Seeking};
use crate::fs::tmpfs::RegularFile;
use crate::sync::{Mutex, Rank};

/// An open regular file. Opened for writing it is copied up then; opened for reading it goes on with the file below
/// until somebody copies that up.
pub(super) struct OverlayFile {
    node: Arc<Node>,
    source: Mutex<Source>,
}

#[derive(Clone)]
enum Source {
    Lower(Arc<dyn FileOperations>),
    Upper(Arc<dyn FileOperations>),
}

impl OverlayFile {
    /// Opens `node`, whose upper part is there if it is opened for writing.
    pub(super) fn open(node: &Arc<Node>, flags: OpenFlags) -> Result<Self> {
        let source = match (node.upper(), node.lower()) {
            (Some(upper), _) => Source::Upper(Arc::new(RegularFile(upper))),
            (None, Some(lower)) => Source::Lower(lower.clone().open(flags)?),
            (None, None) => return Err(Errno::EIO),
        };
        Ok(Self { node: node.clone(), source: Mutex::new(Rank::Leaf, source) })
    }

    fn source(&self) -> Arc<dyn FileOperations> {
        let now = self.source.lock().clone();
        match now {
            Source::Upper(operations) => operations,
            Source::Lower(operations) => match self.node.upper() {
                None => operations,
                Some(upper) => {
                    let new: Arc<dyn FileOperations> = Arc::new(RegularFile(upper));
                    let old = std::mem::replace(&mut *self.source.lock(), Source::Upper(new.clone()));
                    drop(old);
                    new
                }
            },
        }
    }
}

impl FileOperations for OverlayFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Positions
    }

    fn read_at(&self, file: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.source().read_at(file, buf, offset)
    }

    fn write_at(&self, file: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        self.source().write_at(file, buf, offset)
    }

    fn append(&self, file: &OpenFile, buf: &[u8]) -> Result<(usize, u64)> {
        self.source().append(file, buf)
    }

    fn seek_data(&self, file: &OpenFile, offset: u64, hole: bool) -> Result<u64> {
        self.source().seek_data(file, offset, hole)
    }

    fn mappable(&self, file: &OpenFile) -> Result<Mappable> {
        let source = self.source();
        let lower = matches!(*self.source.lock(), Source::Lower(_));
        let mappable = source.mappable(file)?;
        // What lies below is never written, whoever maps it.
        Ok(Mappable { writable: mappable.writable && !lower, ..mappable })
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        Ok(())
    }

    fn allocate(&self, file: &OpenFile, flags: FallocateFlags, offset: u64, length: u64) -> Result<()> {
        self.source().allocate(file, flags, offset, length)
    }
}
