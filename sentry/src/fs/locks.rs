//! File locks: POSIX (fcntl(2)), open file description and flock(2) locks.

use std::sync::Arc;

use moat_abi::errno::Errno;

use super::OpenFile;
use crate::Result;
use crate::kernel::Current;

/// Releases the POSIX locks of a process on a file that it closes.
pub fn release_posix(file: &Arc<OpenFile>, pid: u32) {
    let _ = (file, pid);
}

/// The lock commands of fcntl.
pub async fn fcntl(current: &mut Current, file: &Arc<OpenFile>, command: i32, argument: u64) -> Result<u64> {
    let _ = (current, file, command, argument);
    Err(Errno::ENOLCK)
}
