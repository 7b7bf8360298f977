//! Who writes to a program and who runs it: one excludes the other (`ETXTBSY`), as Linux's `i_writecount` does.
//!
//! A description that was opened for writing counts as a writer until it ends, and mappings keep it from ending. A process
//! denies writers the file that it runs, and an execve the files that it reads.

use std::collections::HashMap;

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::inode::Attributes;
use crate::Result;
use crate::sync::{Mutex, Rank};

/// A file: its device and inode number.
type Key = (u64, u64);

/// The files that are written to or run: the number of writers, or less than 0 the number of those who deny them.
static COUNTS: Mutex<Option<HashMap<Key, i64>>> = Mutex::new(Rank::Leaf, None);

fn take(key: Key, by: i64) -> Result<()> {
    let mut counts = COUNTS.lock();
    let count = counts.get_or_insert_default().entry(key).or_default();
    if *count != 0 && count.signum() != by {
        return Err(Errno::ETXTBSY);
    }
    *count += by;
    Ok(())
}

fn give_back(key: Key, by: i64) {
    if let Some(counts) = COUNTS.lock().as_mut()
        && let Some(count) = counts.get_mut(&key)
    {
        *count -= by;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// Counts as a writer of a file while it lives.
#[derive(Debug)]
pub struct WriteAccess(Key);

impl WriteAccess {
    /// For a file with these attributes; `None` for one that is not regular. `ETXTBSY` if it is being run.
    pub fn get(attributes: &Attributes) -> Result<Option<Self>> {
        if attributes.mode.file_type() != FileType::Regular {
            return Ok(None);
        }
        let key = (attributes.device, attributes.inode);
        take(key, 1)?;
        Ok(Some(Self(key)))
    }
}

impl Drop for WriteAccess {
    fn drop(&mut self) {
        give_back(self.0, 1);
    }
}

/// Denies writers a file while it lives.
#[derive(Debug)]
pub struct DenyWrite(Key);

impl DenyWrite {
    /// For a file with these attributes. `ETXTBSY` if it is being written to.
    pub fn get(attributes: &Attributes) -> Result<Self> {
        let key = (attributes.device, attributes.inode);
        take(key, -1)?;
        Ok(Self(key))
    }
}

impl Drop for DenyWrite {
    fn drop(&mut self) {
        give_back(self.0, -1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moat_abi::stat::Mode;

    #[test]
    fn writers_and_runners_exclude_each_other() {
        let of =
            |inode, kind| Attributes { device: u64::MAX - 9, inode, mode: Mode::new(kind, 0), ..Attributes::default() };
        let file = of(1, FileType::Regular);
        let writers = [WriteAccess::get(&file).unwrap(), WriteAccess::get(&file).unwrap()];
        assert_eq!(DenyWrite::get(&file).err(), Some(Errno::ETXTBSY));
        assert!(DenyWrite::get(&of(2, FileType::Regular)).is_ok());
        drop(writers);
        let runners = [DenyWrite::get(&file).unwrap(), DenyWrite::get(&file).unwrap()];
        assert_eq!(WriteAccess::get(&file).err(), Some(Errno::ETXTBSY));
        assert!(WriteAccess::get(&of(1, FileType::Fifo)).unwrap().is_none());
        drop(runners);
        assert!(WriteAccess::get(&file).is_ok());
    }
}
