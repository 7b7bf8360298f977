//! Host files that the sentry holds: donated by the gofer, or memory files of its own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use moat_abi::stat::Stat;
use moat_abi::time::Timespec;

/// A host file that can be read, written and mapped. Shared by `Arc`; closed with its last reference.
#[derive(Debug)]
pub struct HostFile {
    fd: OwnedFd,
    id: u64,
    memory: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl HostFile {
    /// Takes over a descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd, id: NEXT_ID.fetch_add(1, Ordering::Relaxed), memory: false }
    }

    /// A new, empty memory file (`memfd_create`) under this name, which only debuggers show.
    ///
    /// # Errors
    /// The host's errno, `EMFILE` or `ENOMEM`.
    pub fn memory(name: &str) -> Result<Self, i32> {
        let name = std::ffi::CString::new(name).map_err(|_| libc::EINVAL)?;
        nix::sys::memfd::memfd_create(name.as_c_str(), nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
            .map(|fd| Self { memory: true, ..Self::new(fd) })
            .map_err(|e| e as i32)
    }

    /// A memory file with these bytes, which nobody can change any more.
    ///
    /// # Errors
    /// The host's errno, `EMFILE` or `ENOMEM`.
    pub fn sealed(name: &str, parts: &[&[u8]]) -> Result<Self, i32> {
        use nix::fcntl::{FcntlArg, SealFlag, fcntl};
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let name = std::ffi::CString::new(name).map_err(|_| libc::EINVAL)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = memfd_create(name.as_c_str(), flags).map_err(|e| e as i32)?;
        let file = Self { memory: true, ..Self::new(file) };
        let mut offset = 0;
        for part in parts {
            file.write_all_at(part, offset)?;
            offset += part.len() as u64;
        }
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file.fd, FcntlArg::F_ADD_SEALS(seals)).map_err(|e| e as i32)?;
        Ok(file)
    }

    /// Whether it is a memory file that was made here.
    pub fn is_memory(&self) -> bool {
        self.memory
    }

    /// Sets the length (`ftruncate`).
    ///
    /// # Errors
    /// The host's errno.
    pub fn set_len(&self, len: u64) -> Result<(), i32> {
        nix::unistd::ftruncate(&self.fd, i64::try_from(len).map_err(|_| libc::EFBIG)?).map_err(|e| e as i32)
    }

    /// A number that no other `HostFile` of this process ever has: the key of caches that must not keep it open.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Reads at `offset`; returns the bytes read, 0 at the end.
    ///
    /// # Errors
    /// The host's errno.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, i32> {
        nix::sys::uio::pread(&self.fd, buf, offset as i64).map_err(|e| e as i32)
    }

    /// Writes at `offset`; returns the bytes written.
    ///
    /// # Errors
    /// The host's errno.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, i32> {
        nix::sys::uio::pwrite(&self.fd, buf, offset as i64).map_err(|e| e as i32)
    }

    /// Writes the whole of `buf` at `offset`. A write to a memory file is short only when the host runs out of memory.
    ///
    /// # Errors
    /// The host's errno, `ENOSPC` where it writes nothing.
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> Result<(), i32> {
        let mut done = 0;
        while done < buf.len() {
            match self.write_at(&buf[done..], offset + done as u64)? {
                0 => return Err(libc::ENOSPC),
                n => done += n,
            }
        }
        Ok(())
    }

    /// Flushes to disk: `fsync`, or with `data_only` `fdatasync`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn sync(&self, data_only: bool) -> Result<(), i32> {
        match data_only {
            true => nix::unistd::fdatasync(&self.fd),
            false => nix::unistd::fsync(&self.fd),
        }
        .map_err(|e| e as i32)
    }

    /// `fallocate` with these mode bits.
    ///
    /// # Errors
    /// The host's errno.
    pub fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), i32> {
        let flags = nix::fcntl::FallocateFlags::from_bits_retain(mode as i32);
        let offset = i64::try_from(offset).map_err(|_| libc::EFBIG)?;
        let len = i64::try_from(len).map_err(|_| libc::EFBIG)?;
        nix::fcntl::fallocate(&self.fd, flags, offset, len).map_err(|e| e as i32)
    }

    /// The next data (or with `hole` the next hole) from `offset` on: SEEK_DATA, SEEK_HOLE.
    ///
    /// # Errors
    /// The host's errno: `ENXIO` behind the end.
    pub fn seek_data(&self, offset: u64, hole: bool) -> Result<u64, i32> {
        let whence = if hole { nix::unistd::Whence::SeekHole } else { nix::unistd::Whence::SeekData };
        let offset = i64::try_from(offset).map_err(|_| libc::ENXIO)?;
        nix::unistd::lseek(&self.fd, offset, whence).map(|at| at as u64).map_err(|e| e as i32)
    }

    /// Writes at the end, wherever that is by then (`RWF_APPEND`); returns the bytes written.
    ///
    /// # Errors
    /// The host's errno.
    pub fn append(&self, buf: &[u8]) -> Result<usize, i32> {
        let part = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
        // SAFETY: the one part is `buf`, which outlives the call and is only read.
        let n = unsafe { libc::pwritev2(self.fd.as_raw_fd(), &raw const part, 1, 0, libc::RWF_APPEND) };
        nix::errno::Errno::result(n).map(|n| n as usize).map_err(|e| e as i32)
    }

    /// Its attributes (`fstat`).
    ///
    /// # Errors
    /// The host's errno.
    pub fn stat(&self) -> Result<Stat, i32> {
        let s = nix::sys::stat::fstat(&self.fd).map_err(|e| e as i32)?;
        let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
        Ok(Stat {
            st_dev: s.st_dev,
            st_ino: s.st_ino,
            st_nlink: s.st_nlink,
            st_mode: s.st_mode,
            st_uid: s.st_uid,
            st_gid: s.st_gid,
            st_rdev: s.st_rdev,
            st_size: s.st_size,
            st_blksize: s.st_blksize,
            st_blocks: s.st_blocks,
            st_atim: time(s.st_atime, s.st_atime_nsec),
            st_mtim: time(s.st_mtime, s.st_mtime_nsec),
            st_ctim: time(s.st_ctime, s.st_ctime_nsec),
            ..Stat::default()
        })
    }

    /// How many 512-byte blocks it occupies.
    ///
    /// # Errors
    /// The host's errno.
    pub fn blocks(&self) -> Result<u64, i32> {
        nix::sys::stat::fstat(&self.fd).map(|s| s.st_blocks as u64).map_err(|e| e as i32)
    }
}

impl AsFd for HostFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for HostFile {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}
