//! The bytes of a regular file: a short vector while they are few and nobody maps them, a memory file from then on.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::FallocateFlags;
use moat_abi::mman::{F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE};
use moat_host::HostFile;

use super::PAGE;
use super::usage::Usage;
use crate::Result;

/// Up to this many bytes stay in the sentry's own memory, so that trees of small files need no host descriptors.
const INLINE_MAX: u64 = 16 << 10;

/// The largest file (MAX_LFS_FILESIZE).
const SIZE_MAX: u64 = i64::MAX as u64;

enum Bytes {
    Inline(Vec<u8>),
    Memory { file: Arc<HostFile>, size: u64 },
}

/// See the module.
pub struct Content {
    bytes: Bytes,
    /// Pages recorded in the filesystem's usage.
    charged: u64,
    seals: u32,
    /// Held by those who may write through a mapping.
    writers: Arc<()>,
}

/// A host error as the application sees it.
fn host(errno: i32) -> Errno {
    Errno::from_raw(errno)
}

impl Default for Content {
    fn default() -> Self {
        Self { bytes: Bytes::Inline(Vec::new()), charged: 0, seals: F_SEAL_SEAL, writers: Arc::default() }
    }
}

impl Content {
    /// Its length.
    pub fn size(&self) -> u64 {
        match &self.bytes {
            Bytes::Inline(bytes) => bytes.len() as u64,
            Bytes::Memory { size, .. } => *size,
        }
    }

    /// 512-byte blocks in use.
    pub fn blocks(&self) -> u64 {
        match &self.bytes {
            Bytes::Inline(bytes) => (bytes.len() as u64).div_ceil(PAGE) * (PAGE / 512),
            Bytes::Memory { file, .. } => file.blocks().unwrap_or(0),
        }
    }

    /// F_GET_SEALS.
    pub fn seals(&self) -> u32 {
        self.seals
    }

    /// Lets seals be added (`MFD_ALLOW_SEALING`).
    pub fn allow_sealing(&mut self) {
        self.seals = 0;
    }

    /// F_ADD_SEALS. `EPERM` once F_SEAL_SEAL is set, `EBUSY` for F_SEAL_WRITE while a mapping could write.
    pub fn add_seals(&mut self, seals: u32) -> Result<()> {
        const KNOWN: u32 = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_EXEC;
        const F_SEAL_EXEC: u32 = 0x20;
        if seals & !KNOWN != 0 {
            return Err(Errno::EINVAL);
        }
        if self.seals & F_SEAL_SEAL != 0 {
            return Err(Errno::EPERM);
        }
        if seals & F_SEAL_WRITE != 0 && Arc::strong_count(&self.writers) > 1 {
            return Err(Errno::EBUSY);
        }
        self.seals |= seals;
        Ok(())
    }

    /// What a mapping holds for as long as it could write.
    pub fn writer(&self) -> Arc<()> {
        self.writers.clone()
    }

    /// Whether shared writable mappings are allowed.
    pub fn writable(&self) -> bool {
        self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) == 0
    }

    fn recharge(&mut self, usage: &Usage) {
        let now = self.blocks().div_ceil(PAGE / 512);
        usage.recharge(self.charged, now);
        self.charged = now;
    }

    /// Gives everything back to the filesystem.
    pub fn discharge(&mut self, usage: &Usage) {
        usage.recharge(self.charged, 0);
        self.charged = 0;
    }

    /// Moves the bytes to a memory file, if they are not there yet.
    pub fn memory(&mut self) -> Result<Arc<HostFile>> {
        match &self.bytes {
            Bytes::Memory { file, .. } => Ok(file.clone()),
            Bytes::Inline(bytes) => {
                let file = Arc::new(HostFile::memory("tmpfs").map_err(host)?);
                let size = bytes.len() as u64;
                file.set_len(size).map_err(host)?;
                file.write_all_at(bytes, 0).map_err(host)?;
                self.bytes = Bytes::Memory { file: file.clone(), size };
                Ok(file)
            }
        }
    }

    /// Reads at `offset`; 0 at the end.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        match &self.bytes {
            Bytes::Inline(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let n = buf.len().min(bytes.len() - from);
                buf[..n].copy_from_slice(&bytes[from..from + n]);
                Ok(n)
            }
            Bytes::Memory { file, size } => {
                let n = buf.len().min(usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX));
                if n == 0 { Ok(0) } else { file.read_at(&mut buf[..n], offset).map_err(host) }
            }
        }
    }

    /// How many of `len` bytes at `offset` fit into the filesystem. `ENOSPC` if none.
    fn room(&mut self, usage: &Usage, offset: u64, len: u64) -> Result<u64> {
        let free = usage.free_pages();
        let pages = (offset + len).div_ceil(PAGE) - offset / PAGE;
        if pages <= free {
            return Ok(len);
        }
        self.recharge(usage);
        // What lies below the end counts as occupied: holes in a full filesystem are filled nevertheless.
        let occupied_end = self.size().div_ceil(PAGE) * PAGE;
        let free = usage.free_pages();
        let end = occupied_end.max(offset / PAGE * PAGE).saturating_add(free.saturating_mul(PAGE));
        match end.saturating_sub(offset).min(len) {
            0 => Err(Errno::ENOSPC),
            n => Ok(n),
        }
    }

    /// Writes at `offset`; may write less if the filesystem is full.
    pub fn write(&mut self, usage: &Usage, buf: &[u8], offset: u64) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM);
        }
        let len = (buf.len() as u64).min(SIZE_MAX.saturating_sub(offset));
        if len == 0 {
            return Err(Errno::EFBIG);
        }
        if self.seals & F_SEAL_GROW != 0 && offset + len > self.size() {
            return Err(Errno::EPERM);
        }
        let len = self.room(usage, offset, len)?;
        let buf = &buf[..usize::try_from(len).unwrap_or(buf.len())];
        let end = offset + len;
        if end > INLINE_MAX {
            self.memory()?;
        }
        match &mut self.bytes {
            Bytes::Inline(bytes) => {
                let (from, to) = (offset as usize, end as usize);
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(buf);
            }
            Bytes::Memory { file, size } => {
                file.write_all_at(buf, offset).map_err(host)?;
                *size = (*size).max(end);
            }
        }
        self.recharge(usage);
        Ok(buf.len())
    }

    /// Sets the length.
    pub fn truncate(&mut self, usage: &Usage, len: u64) -> Result<()> {
        let size = self.size();
        if (len < size && self.seals & F_SEAL_SHRINK != 0) || (len > size && self.seals & F_SEAL_GROW != 0) {
            return Err(Errno::EPERM);
        }
        if len > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        if len > INLINE_MAX {
            self.memory()?;
        }
        match &mut self.bytes {
            Bytes::Inline(bytes) => bytes.resize(len as usize, 0),
            Bytes::Memory { file, size } => {
                file.set_len(len).map_err(host)?;
                *size = len;
            }
        }
        self.recharge(usage);
        Ok(())
    }

    /// `fallocate`: plain, KEEP_SIZE and PUNCH_HOLE, as Linux's tmpfs.
    pub fn allocate(&mut self, usage: &Usage, flags: FallocateFlags, offset: u64, len: u64) -> Result<()> {
        let end = offset.checked_add(len).filter(|&e| e <= SIZE_MAX).ok_or(Errno::EFBIG)?;
        let punches = flags.contains(FallocateFlags::PUNCH_HOLE);
        if flags.bits() & !(FallocateFlags::KEEP_SIZE | FallocateFlags::PUNCH_HOLE).bits() != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if punches && !flags.contains(FallocateFlags::KEEP_SIZE) {
            return Err(Errno::EOPNOTSUPP);
        }
        if punches && self.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) != 0 {
            return Err(Errno::EPERM);
        }
        let keeps = flags.contains(FallocateFlags::KEEP_SIZE);
        if !punches {
            if !keeps && end > self.size() && self.seals & F_SEAL_GROW != 0 {
                return Err(Errno::EPERM);
            }
            if self.room(usage, offset, len)? < len {
                return Err(Errno::ENOSPC);
            }
        }
        let file = self.memory()?;
        file.allocate(flags.bits(), offset, len).map_err(host)?;
        if let Bytes::Memory { size, .. } = &mut self.bytes
            && !keeps
        {
            *size = (*size).max(end);
        }
        self.recharge(usage);
        Ok(())
    }

    /// SEEK_DATA and SEEK_HOLE. `ENXIO` behind the end.
    pub fn seek_data(&self, offset: u64, hole: bool) -> Result<u64> {
        if offset >= self.size() {
            return Err(Errno::ENXIO);
        }
        match &self.bytes {
            Bytes::Inline(_) => Ok(if hole { self.size() } else { offset }),
            Bytes::Memory { file, .. } => file.seek_data(offset, hole).map_err(host),
        }
    }
}
