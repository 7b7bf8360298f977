//! Directory listings that are taken once and walked by position: what an open directory shows is what there was when
//! it was opened or rewound, whatever comes and goes meanwhile (readdir(3) leaves open whether changes show).

use crate::Result;
use crate::fs::file::{DirectoryEntry, OpenFile};
use crate::fs::tmpfs::dots;
use crate::sync::{Mutex, Rank};

/// See the module.
pub struct Snapshot {
    entries: Mutex<Option<Vec<DirectoryEntry>>>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { entries: Mutex::new(Rank::File, None) }
    }
}

impl Snapshot {
    /// Passes entries from position `from` on to `sink`. `list` gives the children, without `.` and `..`, whenever the
    /// directory is read from its start; `own` is the directory's inode number.
    pub fn read(
        &self,
        file: &OpenFile,
        own: u64,
        from: u64,
        sink: &mut dyn FnMut(DirectoryEntry) -> bool,
        list: impl FnOnce() -> Result<Vec<DirectoryEntry>>,
    ) -> Result<()> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let taken = self.entries.lock().is_some();
        if from == 0 || !taken {
            let mut all: Vec<_> = dots(file, own).into();
            all.extend(list()?);
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
