//! The order pages: one page a stub of a memory file which the sentry writes and stubs can only read.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::PlatformError;

/// Offsets in an order page, known to the stub's code.
pub mod offset {
    /// Number of the batch, a futex word: u32.
    pub const SEQUENCE: usize = 0;
    /// How many orders it has: u32.
    pub const COUNT: usize = 4;
    /// Descriptor of the file whose position carries results: u32.
    pub const ACK: usize = 8;
    /// Descriptor of the event counter that says when: u32.
    pub const EVENT: usize = 12;
    /// Where a cloned child begins: u64.
    pub const CHILD_TARGET: usize = 16;
    /// Descriptor of the file with a forked child's order page: u32.
    pub const CHILD_FILE: usize = 24;
    /// Descriptor that the lead's signals are written to: u32.
    pub const SIGNAL_PIPE: usize = 28;
    /// Offset of the child's page in its file: u64.
    pub const CHILD_OFFSET: usize = 32;
    /// The number one, for the event counter: u64.
    pub const ONE: usize = 40;
    /// The signals that the lead takes: u64.
    pub const SIGNAL_SET: usize = 48;
    /// Descriptor of the pipe whose end tells the lead of the sentry's end: u32.
    pub const WATCH_PIPE: usize = 56;
    /// The orders, 64 bytes each.
    pub const ENTRIES: usize = 64;
    /// Data that orders point to.
    pub const DATA: usize = 3072;
}

/// The most orders of one batch.
pub const BATCH: usize = 40;
/// Bytes of data that orders can point to.
pub const DATA_SIZE: usize = 4096 - offset::DATA;
const PAGE: usize = 4096;
/// The most stubs of one sandbox.
const SLOTS: usize = 16_384;

/// One system call that a mapper is to make.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Its number.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

impl Order {
    /// A call of up to six arguments.
    pub fn new(number: i64, arguments: &[u64]) -> Self {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Self { number, arguments: all }
    }
}

/// The memory file with all order pages.
pub struct OrderFile {
    file: OwnedFd,
    base: *mut u8,
    free: Mutex<Vec<usize>>,
}

// SAFETY: `base` is a shared mapping that lives as long as the process; pages are written only by who holds their slot.
unsafe impl Send for OrderFile {}
// SAFETY: as above.
unsafe impl Sync for OrderFile {}

impl OrderFile {
    /// Makes and seals the file: after this only the mapping made here can write it.
    ///
    /// # Errors
    /// The host's errno.
    pub fn new() -> Result<Self, PlatformError> {
        let host = |_| PlatformError::Host(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO));
        let file = nix::sys::memfd::memfd_create(
            c"orders",
            nix::sys::memfd::MFdFlags::MFD_CLOEXEC | nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING,
        )
        .map_err(|e| PlatformError::Host(e as i32))?;
        nix::unistd::ftruncate(&file, (SLOTS * PAGE) as i64).map_err(|e| PlatformError::Host(e as i32))?;
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOTS * PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(host(()));
        }
        let seals = libc::F_SEAL_FUTURE_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        // SAFETY: fcntl with an integer argument.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
            return Err(host(()));
        }
        Ok(Self { file, base: base.cast(), free: Mutex::new((0..SLOTS).rev().collect()) })
    }

    /// The memory file.
    pub fn file(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.file.as_fd()
    }

    /// Takes a zeroed page. `EAGAIN` when all are in use.
    pub fn take(&'static self) -> Result<OrderPage, PlatformError> {
        let slot = self.free.lock().pop().ok_or(PlatformError::Host(libc::EAGAIN))?;
        let page = OrderPage { file: self, slot };
        page.clear();
        Ok(page)
    }
}

/// A stub's order page; free again when dropped.
pub struct OrderPage {
    file: &'static OrderFile,
    slot: usize,
}

impl OrderPage {
    /// Where it lies in the memory file.
    pub fn offset(&self) -> u64 {
        (self.slot * PAGE) as u64
    }

    /// Makes it a new one.
    pub fn clear(&self) {
        self.put(0, &[0; PAGE]);
        self.put(offset::ONE, &1u64.to_le_bytes());
    }

    /// Writes into the page.
    pub fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= PAGE, "an order page has {PAGE} bytes");
        // SAFETY: within this slot's page of the mapping, which nobody else in this process writes; the stub only reads,
        // and reads entries only after the sequence number has changed.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.file.base.add(self.slot * PAGE + at), bytes.len())
        };
    }

    /// Publishes a batch and wakes the mapper.
    pub fn publish(&self, orders: &[Order], child: u64) {
        assert!(orders.len() <= BATCH, "a batch has at most {BATCH} orders");
        for (i, order) in orders.iter().enumerate() {
            let mut entry = [0u8; 56];
            entry[..8].copy_from_slice(&order.number.to_le_bytes());
            for (j, argument) in order.arguments.iter().enumerate() {
                entry[8 + 8 * j..16 + 8 * j].copy_from_slice(&argument.to_le_bytes());
            }
            self.put(offset::ENTRIES + 64 * i, &entry);
        }
        self.put(offset::COUNT, &(orders.len() as u32).to_le_bytes());
        self.put(offset::CHILD_TARGET, &child.to_le_bytes());
        // SAFETY: the sequence word is aligned, inside the mapping, and only ever accessed as an atomic.
        let sequence = unsafe { AtomicU32::from_ptr(self.file.base.add(self.slot * PAGE + offset::SEQUENCE).cast()) };
        sequence.fetch_add(1, Ordering::Release);
        // SAFETY: FUTEX_WAKE on a word of our mapping.
        unsafe { libc::syscall(libc::SYS_futex, sequence.as_ptr(), libc::FUTEX_WAKE, i32::MAX, 0, 0, 0) };
    }
}

impl Drop for OrderPage {
    fn drop(&mut self) {
        self.file.free.lock().push(self.slot);
    }
}
