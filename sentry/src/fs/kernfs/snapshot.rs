//! Directory listings that are taken once and walked by position: what an open directory shows is what there was when
//! it was opened or rewound, whatever comes and goes meanwhile (readdir(3) leaves open whether changes show).

use std::any::Any;

use moat_abi::errno::Errno;

use crate::Result;
use crate::fs::file::{DirectoryEntry, FileOperations, OpenFile, Seeking};
use crate::fs::tmpfs::dots;
use crate::sync::{Mutex, Rank};

/// An open directory. `L` lists its children, without `.` and `..`, whenever it is read from its start.
pub struct ListedDirectory<L> {
    number: u64,
    /// Whether fsync succeeds.
    syncs: bool,
    list: L,
    entries: Mutex<Option<Vec<DirectoryEntry>>>,
}

impl<L: Fn() -> Result<Vec<DirectoryEntry>>> ListedDirectory<L> {
    /// The directory of this inode number.
    pub fn new(number: u64, syncs: bool, list: L) -> Self {
        Self { number, syncs, list, entries: Mutex::new(Rank::File, None) }
    }
}

impl<L: Fn() -> Result<Vec<DirectoryEntry>> + Send + Sync + 'static> FileOperations for ListedDirectory<L> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Directory
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        if self.syncs { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn read_directory(&self, file: &OpenFile, from: u64, sink: &mut dyn FnMut(DirectoryEntry) -> bool) -> Result<()> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let taken = self.entries.lock().is_some();
        if from == 0 || !taken {
            let mut all: Vec<_> = dots(file, self.number).into();
            all.extend((self.list)()?);
            for (at, entry) in all.iter_mut().enumerate() {
                entry.next = at as u64 + 1;
            }
            *self.entries.lock() = Some(all);
        }
        let entries = self.entries.lock();
        for entry in entries.iter().flatten().skip(from) {
            if !sink(entry.clone()) {
                break;
            }
        }
        Ok(())
    }
}
