//! File locks: POSIX (fcntl(2)), open file description and flock(2) locks.

use super::OpenFile;
use std::sync::Arc;

/// Releases the POSIX locks of a process on a file that it closes.
pub fn release_posix(file: &Arc<OpenFile>, pid: u32) {
    let _ = (file, pid);
}
