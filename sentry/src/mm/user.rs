//! Copies from and to application memory: the only way the kernel touches it.
//!
//! Every copy can fail and can sleep, so none is made under a lock. What was copied is the kernel's own: it is checked
//! after the copy and never read a second time.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_platform::{APPLICATION_END, AddressSpace};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::call::CallMemory;
use crate::Result;
use crate::sync::assert_no_locks;

/// The memory of the calling process, for copies.
#[derive(Clone)]
pub struct UserMemory {
    space: Arc<dyn AddressSpace>,
    call: Option<Arc<CallMemory>>,
}

/// The most segments of an iovec (`UIO_MAXIOV`).
pub const IOV_MAX: usize = 1024;

/// The most bytes that one read or write moves (`MAX_RW_COUNT`).
pub const RW_MAX: usize = 0x7fff_f000;

impl UserMemory {
    /// The memory of `space`.
    pub fn new(space: Arc<dyn AddressSpace>) -> Self {
        Self { space, call: None }
    }

    /// The same, by what goes with the calls of the task that it is made for.
    #[must_use]
    pub fn with(mut self, call: Option<Arc<CallMemory>>) -> Self {
        self.call = call;
        self
    }

    /// Fills `to` from `from`. `EFAULT` if any of it cannot be read.
    pub fn read_bytes(&self, from: u64, to: &mut [u8]) -> Result<()> {
        if to.is_empty() || self.read_partial(from, to) == to.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Writes `from` to `to`. `EFAULT` if any of it cannot be written.
    pub fn write_bytes(&self, to: u64, from: &[u8]) -> Result<()> {
        if from.is_empty() || self.write_partial(to, from) == from.len() { Ok(()) } else { Err(Errno::EFAULT) }
    }

    /// Fills as much of `to` as can be read; how much that was.
    pub fn read_partial(&self, from: u64, to: &mut [u8]) -> usize {
        assert_no_locks();
        if to.is_empty() || check(from, to.len()).is_err() {
            return 0;
        }
        if self.call.as_ref().is_some_and(|call| call.read(from, to)) {
            return to.len();
        }
        match self.space.read(from, to) {
            Ok(()) => to.len(),
            Err(fault) => fault.done,
        }
    }

    /// Writes as much of `from` as `to` takes; how much that was.
    pub fn write_partial(&self, to: u64, from: &[u8]) -> usize {
        assert_no_locks();
        if from.is_empty() || check(to, from.len()).is_err() {
            return 0;
        }
        if self.call.as_ref().is_some_and(|call| call.write(to, from)) {
            return from.len();
        }
        match self.space.write(to, from) {
            Ok(()) => from.len(),
            Err(fault) => fault.done,
        }
    }

    /// Reads a structure.
    pub fn read<T: FromBytes + IntoBytes>(&self, from: u64) -> Result<T> {
        let mut value = T::new_zeroed();
        self.read_bytes(from, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a structure.
    pub fn write<T: IntoBytes + Immutable>(&self, to: u64, value: &T) -> Result<()> {
        self.write_bytes(to, value.as_bytes())
    }

    /// Reads `count` structures that lie behind each other.
    pub fn read_array<T: FromBytes + IntoBytes + Clone>(&self, from: u64, count: usize) -> Result<Vec<T>> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(Errno::EFAULT)?;
        check(from, bytes)?;
        let mut raw = vec![0u8; bytes];
        self.read_bytes(from, &mut raw)?;
        raw.chunks_exact(size_of::<T>()).map(|c| T::read_from_bytes(c).map_err(|_| Errno::EFAULT)).collect()
    }

    /// Reads a NUL-terminated string of fewer than `limit` bytes; `too_long` if it has no NUL before that.
    pub fn read_string(&self, from: u64, limit: usize, too_long: Errno) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut at = from;
        let mut chunk = [0u8; 256];
        while out.len() < limit {
            // Never across a page: the string may end right before an unmapped one.
            let room = (4096 - (at & 4095)) as usize;
            let n = chunk.len().min(room).min(limit - out.len());
            self.read_bytes(at, &mut chunk[..n])?;
            if let Some(end) = chunk[..n].iter().position(|&b| b == 0) {
                out.extend_from_slice(&chunk[..end]);
                return Ok(out);
            }
            out.extend_from_slice(&chunk[..n]);
            at = at.checked_add(n as u64).ok_or(Errno::EFAULT)?;
        }
        Err(too_long)
    }

    /// Reads a path: `ENAMETOOLONG` from 4096 bytes on.
    pub fn read_path(&self, from: u64) -> Result<Vec<u8>> {
        self.read_string(from, crate::fs::walk::PATH_MAX, Errno::ENAMETOOLONG)
    }
}

/// `EFAULT` unless the range lies wholly in the application's part of the address space.
fn check(at: u64, len: usize) -> Result<()> {
    match at.checked_add(len as u64) {
        Some(end) if end <= APPLICATION_END => Ok(()),
        _ => Err(Errno::EFAULT),
    }
}
