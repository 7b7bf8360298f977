//! Open directories: the gofer reads them, a part at a time.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;
use moat_gofer::client::{DirectoryEntry as Told, Handle, Listing};
use moat_gofer::protocol::sync;

use super::inode::GoferInode;
use crate::Result;
use crate::fs::file::{DirectoryEntry, FileOperations, OpenFile, Seeking};
use crate::fs::tmpfs::dots;
use crate::sync::{Mutex, Rank};

/// See the module.
pub(super) struct DirectoryFile {
    inode: Arc<GoferInode>,
    /// The part that was read last; taken out by who reads.
    part: Mutex<Option<Part>>,
}

struct Part {
    /// The position of the first entry.
    start: u64,
    entries: Vec<Told>,
    stream: Option<Handle>,
    end: bool,
}

impl Part {
    /// Which entry comes at this position; `None` if that is not in this part.
    fn find(&self, position: u64) -> Option<usize> {
        if position == self.start {
            return Some(0);
        }
        self.entries.iter().position(|e| e.next == position).map(|at| at + 1)
    }
}

impl DirectoryFile {
    pub fn new(inode: Arc<GoferInode>) -> Self {
        Self { inode, part: Mutex::new(Rank::File, None) }
    }

    fn next_part(&self, stream: Option<Handle>, start: u64) -> Result<Part> {
        let node = self.inode.node();
        let Listing { stream, entries, end } = node.client().read_directory(&node.handle, stream, start)?;
        // An answer without entries that is not the end would be asked for forever.
        if entries.is_empty() && !end {
            return Err(Errno::EIO);
        }
        self.inode.ahead().listed(node, start == 0, entries.iter().map(|entry| &entry.name[..]));
        Ok(Part { start, entries, stream, end })
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
        let node = self.inode.node();
        let own = dots(file, node.key.1);
        let parent = own[1].inode;
        if node.opaque {
            own.into_iter().skip(usize::try_from(from).unwrap_or(2).min(2)).all(sink);
            return Ok(());
        }
        let mut position = from;
        let kept = self.part.lock().take();
        // The beginning is always read anew, so that rewinddir shows what has changed.
        let (mut part, mut at) = match kept {
            Some(part) if from != 0 => match part.find(from) {
                Some(at) => (part, at),
                None => (self.next_part(part.stream, from)?, 0),
            },
            kept => (self.next_part(kept.and_then(|p| p.stream), from)?, 0),
        };
        loop {
            while let Some(entry) = part.entries.get(at) {
                let inode = match &entry.name[..] {
                    b"." => node.key.1,
                    b".." => parent,
                    _ => entry.inode,
                };
                let shown = DirectoryEntry {
                    inode,
                    next: entry.next,
                    file_type: file_type(entry.file_type),
                    name: entry.name.clone(),
                };
                if !sink(shown) {
                    *self.part.lock() = Some(part);
                    return Ok(());
                }
                position = entry.next;
                at += 1;
            }
            if part.end {
                *self.part.lock() = Some(part);
                return Ok(());
            }
            part = self.next_part(part.stream, position)?;
            at = 0;
        }
    }

    fn sync(&self, _: &OpenFile, data_only: bool) -> Result<()> {
        let node = self.inode.node();
        node.client().sync(&node.handle, if data_only { sync::DATA } else { sync::FILE })
    }
}

/// From `DT_*`; `None` for DT_UNKNOWN and what does not exist.
fn file_type(dt: u8) -> Option<FileType> {
    matches!(dt, 1 | 2 | 4 | 6 | 8 | 10 | 12).then(|| FileType::from_bits(u32::from(dt) << 12))
}
