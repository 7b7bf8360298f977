//! flock(2). The locks of fcntl(2) are in `descriptors`.

use moat_abi::errno::Errno;
use moat_abi::fcntl::{LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN};

use super::arguments::Fd;
use crate::Result;
use crate::fs::locks;
use crate::kernel::Current;

/// flock(2).
pub async fn flock(current: &mut Current, fd: Fd, operation: i32) -> Result<()> {
    let exclusive = match operation & !LOCK_NB {
        LOCK_SH => Some(false),
        LOCK_EX => Some(true),
        LOCK_UN => None,
        _ => return Err(Errno::EINVAL),
    };
    let file = current.files().get(fd.0)?;
    file.operations()?;
    locks::flock(current, &file, exclusive, operation & LOCK_NB == 0).await
}
