//! Slots: what a thread of the trap platform shares with the sentry. The first page is its mailbox, the second the largest
//! part of its window, the others are the stack of its signal handler, on which the host leaves all registers of the application.
//!
//! The application can write all of a slot at any time. What the sentry needs of it is copied once and then checked.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::PlatformError;

/// Size of a slot in bytes, to which it is also aligned.
pub const SLOT: usize = 0x8000;
/// Where the handler's stack begins.
pub const STACK: usize = 0x2000;
/// The most bytes that an argument's memory has in the window.
pub const AHEAD: usize = crate::Ahead::ARGUMENT;
/// The most bytes that a buffer has in the window.
pub const DATA: usize = crate::Ahead::BUFFER;
/// The most slots of a sandbox.
const SLOTS: usize = 16_384;

/// Offsets in a mailbox, known to the stub's code. What one side writes and the other reads at each call is in the first 64
/// bytes, one line of the cache; the next line is read by both at each call, and seldom written by either.
pub mod offset {
    /// How often the thread has stopped, a futex word: u32.
    pub const POSTED: usize = 0;
    /// How often it was answered, a futex word: u32.
    pub const ANSWERED: usize = 4;
    /// The signal that stopped it, or a call without one, in the lower half; in the upper one what of such a call's arguments
    /// the thread has copied: u32.
    pub const STOP: usize = 8;
    /// In an answer, what it asks for: u32.
    pub const ACTION: usize = STOP;
    /// The number of a call without a signal: u32.
    pub const NUMBER: usize = 12;
    /// Its arguments: six u64.
    pub const ARGUMENTS: usize = 16;
    /// In its answer, the result: u64.
    pub const RESULT: usize = ARGUMENTS;
    /// The sentry sleeps on `POSTED`: u32.
    pub const SENTRY_WAITS: usize = 64;
    /// The thread sleeps on `ANSWERED`: u32.
    pub const STUB_WAITS: usize = 68;
    /// A signal that came during a call without one, to be told of at its end: u32.
    pub const MISSED: usize = 72;
    /// The sentry spins on `POSTED` on another core, so that it is worth while to spin on `ANSWERED`: u32.
    pub const SPINS: usize = 76;
    /// Address of the ucontext: u64.
    pub const CONTEXT: usize = 80;
    /// The word to be exchanged: u64.
    pub const WORD: usize = 104;
    /// What it must be: u32.
    pub const EXPECTED: usize = 112;
    /// What it shall become: u32.
    pub const NEW: usize = 116;
    /// What it was: u32.
    pub const FOUND: usize = 120;
    /// It could not be accessed: u32.
    pub const FAULTED: usize = 124;
    /// The handler's stack (`stack_t`): 24 bytes.
    pub const ALTSTACK: usize = 128;
    /// The signals that the thread blocks on the host: u64.
    pub const MASK: usize = 160;
    /// The registers of such a call, as a `sigcontext` begins: 18 u64.
    pub const SAVED: usize = 192;
    /// Base of %fs: u64.
    pub const FS: usize = SAVED + 8 * 18;
    /// Base of %gs: u64.
    pub const GS: usize = FS + 8;
    /// Values that calls always answer, each a u32; the first is not one of them, but whether the others hold.
    pub const CONSTANTS: usize = 384;
    /// By the number of a call, which of them it answers: a u8 each, 0 for none.
    pub const CONSTANT_OF: usize = 2560;
    /// What the thread's process uses (`struct rusage`): 144 bytes.
    pub const USAGE: usize = 512;
    /// How many pieces the thread is to write: u32.
    pub const PIECE_COUNT: usize = 708;
    /// Where to, how much (u32), and where it lies in the slot (u32), of each.
    pub const PIECES: usize = 720;
    /// What the arguments point to, 256 bytes each.
    pub const ARGUMENT_DATA: usize = 1024;
    /// A buffer that the call reads, or what it writes.
    pub const DATA: usize = 0x1000;
}

/// The memory file with all slots of a sandbox.
pub struct SlotFile {
    file: OwnedFd,
    base: *mut u8,
    free: Mutex<Vec<usize>>,
}

// SAFETY: `base` is a shared mapping that lives as long as this; its words are accessed as atomics or copied.
unsafe impl Send for SlotFile {}
// SAFETY: as above.
unsafe impl Sync for SlotFile {}

fn last() -> PlatformError {
    PlatformError::Host(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

impl SlotFile {
    /// Makes and maps the file.
    ///
    /// # Errors
    /// The host's errno.
    pub fn new() -> Result<Arc<Self>, PlatformError> {
        let host = |e: nix::Error| PlatformError::Host(e as i32);
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC | nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING;
        let file = nix::sys::memfd::memfd_create(c"slots", flags).map_err(host)?;
        nix::unistd::ftruncate(&file, (SLOTS * SLOT) as i64).map_err(host)?;
        // SAFETY: fcntl with an integer argument.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW) } < 0 {
            return Err(last());
        }
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOTS * SLOT,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(last());
        }
        Ok(Arc::new(Self { file, base: base.cast(), free: Mutex::new((0..SLOTS).rev().collect()) }))
    }

    /// The memory file.
    pub fn file(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd;
        self.file.as_fd()
    }

    /// Takes a slot, which will lie at `address` in its stub, and whose thread blocks these signals on the host. `EAGAIN`
    /// when all are in use.
    ///
    /// # Errors
    /// `Host(EAGAIN)`.
    pub fn take(self: &Arc<Self>, address: u64, blocked: u64) -> Result<Slot, PlatformError> {
        let index = self.free.lock().pop().ok_or(PlatformError::Host(libc::EAGAIN))?;
        Ok(Slot { file: self.clone(), index, address, blocked })
    }
}

impl Drop for SlotFile {
    fn drop(&mut self) {
        // SAFETY: the mapping made by `new`, which no slot refers to any more.
        unsafe { libc::munmap(self.base.cast(), SLOTS * SLOT) };
    }
}

/// A slot; free for another stub when dropped, which must be after the end of this one.
pub struct Slot {
    file: Arc<SlotFile>,
    index: usize,
    address: u64,
    blocked: u64,
}

impl Slot {
    /// Makes its mailbox that of a thread which is yet to be born.
    pub fn reset(&self) {
        self.put(0, &[0; offset::DATA]);
        super::constants::prepare(self);
        // struct stack_t: ss_sp, ss_flags, ss_size.
        self.put_u64(offset::ALTSTACK, self.address + STACK as u64);
        self.put_u64(offset::ALTSTACK + 16, (SLOT - STACK) as u64);
        self.put_u64(offset::MASK, self.blocked);
    }

    /// Its number among the slots of the sandbox.
    pub fn number(&self) -> u32 {
        self.index as u32
    }

    /// The signals that its thread blocks on the host.
    pub fn blocked(&self) -> u64 {
        self.blocked
    }

    /// Where it lies in the memory file.
    pub fn offset(&self) -> u64 {
        (self.index * SLOT) as u64
    }

    /// Where it lies in the stub.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// One of the mailbox's words.
    pub fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= STACK, "a word of the mailbox");
        // SAFETY: aligned, within this slot's part of the mapping, which lives as long as `self.file`. The stub writes it
        // concurrently, by atomic or plain aligned stores of the processor.
        unsafe { AtomicU32::from_ptr(self.file.base.add(self.index * SLOT + at).cast()) }
    }

    /// Copies bytes out of it.
    pub fn get(&self, at: usize, bytes: &mut [u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= SLOT), "a slot has {SLOT} bytes");
        // SAFETY: within this slot's part of the mapping. That the stub may write at the same time can only make the copy
        // a mixture of old and new bytes, which are untrusted in any case.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.file.base.add(self.index * SLOT + at).cast_const(),
                bytes.as_mut_ptr(),
                bytes.len(),
            );
        }
    }

    /// Copies bytes into it.
    pub fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= SLOT), "a slot has {SLOT} bytes");
        // SAFETY: as for `get`.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.file.base.add(self.index * SLOT + at), bytes.len());
        }
    }

    /// A u64 of it.
    pub fn get_u64(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.get(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Sets a u64 of it.
    pub fn put_u64(&self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // What it holds is no business of another process.
        // SAFETY: zeroes this slot's part of the mapping, to which nobody refers any more.
        let removed = unsafe { libc::madvise(self.file.base.add(self.index * SLOT).cast(), SLOT, libc::MADV_REMOVE) };
        if removed < 0 {
            self.put(0, &[0; SLOT]);
        }
        self.file.free.lock().push(self.index);
    }
}

/// Sleeps while `word` is `value`, at most this long. It may also return early.
pub fn sleep_while(word: &AtomicU32, value: u32, at_most: Duration) {
    let timeout = libc::timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
    // SAFETY: FUTEX_WAIT on a word that lives through the call, with a time limit on this stack.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const timeout, 0, 0) };
}

/// Wakes everybody who sleeps on `word`.
pub fn wake(word: &AtomicU32) {
    // SAFETY: FUTEX_WAKE on a word that lives through the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX, 0, 0, 0) };
}

/// Adds one, so that nobody falls asleep on the old value, and wakes.
pub fn bump(word: &AtomicU32) {
    word.fetch_add(1, Ordering::SeqCst);
    wake(word);
}
