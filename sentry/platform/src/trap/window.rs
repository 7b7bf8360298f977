//! A thread's window: the part of its slot by which memory of the application gets to the sentry with a call, and back with
//! its answer, copied by the thread itself. Only calls without a signal have one.
//!
//! What a call's arguments point to is copied before the call is handed over, as its number's [`Ahead`] says. What the
//! call writes is kept here until the thread goes on, and copied by it then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::places::Places;
use super::slots::{self, Slot, offset};
use crate::stub::process::Stub;
use crate::{Ahead, MemoryFault, Window};

/// The most pieces that an answer brings.
const PIECES: usize = 4;

/// A thread's window.
pub struct SlotWindow {
    slot: Arc<Slot>,
    stub: Arc<Stub>,
    places: Arc<Places>,
    call: Call,
    pieces: Mutex<Pieces>,
    /// There are some.
    has_pieces: AtomicBool,
}

/// The call that the thread stands in. Only the sentry's thread that polls it is concerned with it, at every call: a lock
/// would cost time and order nothing.
#[derive(Default)]
struct Call {
    is_open: AtomicBool,
    arguments: [AtomicU64; 6],
    /// What was copied of what they point to, an [`Ahead`].
    ahead: AtomicU8,
}

/// What the thread will write.
#[derive(Default)]
struct Pieces {
    /// Where, and how much; the bytes lie behind each other.
    pending: Vec<(u64, u32)>,
    used: usize,
}

impl SlotWindow {
    /// The window of the thread that has this slot, in this stub with these places.
    pub fn new(slot: Arc<Slot>, stub: Arc<Stub>, places: Arc<Places>) -> Arc<Self> {
        let (call, pieces, has_pieces) = (Call::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { slot, stub, places, call, pieces, has_pieces })
    }

    /// The thread has made a call with these arguments, of which so much was copied ahead; what it was to write before is
    /// written.
    pub fn open(&self, arguments: [u64; 6], ahead: Ahead) {
        self.clear();
        for (kept, argument) in self.call.arguments.iter().zip(arguments) {
            kept.store(argument, Ordering::Relaxed);
        }
        self.call.ahead.store(ahead.0, Ordering::Relaxed);
        self.call.is_open.store(true, Ordering::Release);
    }

    /// The thread goes on, and may write what it was given. True if there is something.
    pub fn close(&self) -> bool {
        self.call.is_open.store(false, Ordering::Release);
        if !self.has_pieces.load(Ordering::Acquire) {
            return false;
        }
        let pieces = self.pieces.lock();
        let mut at = offset::PIECES;
        let mut from = offset::DATA as u32;
        for &(to, len) in &pieces.pending {
            self.slot.put_u64(at, to);
            self.slot.put_u64(at + 8, u64::from(len) | u64::from(from) << 32);
            (at, from) = (at + 16, from + len);
        }
        self.slot.word(offset::PIECE_COUNT).store(pieces.pending.len() as u32, Ordering::Relaxed);
        !pieces.pending.is_empty()
    }

    /// The thread has written it, or it need not be written any more.
    pub fn clear(&self) {
        if self.has_pieces.load(Ordering::Acquire) {
            let mut pieces = self.pieces.lock();
            pieces.pending.clear();
            pieces.used = 0;
            self.has_pieces.store(false, Ordering::Release);
        }
    }

    /// Writes what the thread has not written.
    ///
    /// # Errors
    /// Where the application's memory does not take it; the rest is lost.
    pub fn settle(&self) -> Result<(), MemoryFault> {
        if !self.has_pieces.load(Ordering::Acquire) {
            return Ok(());
        }
        let Pieces { pending, used } = {
            let mut pieces = self.pieces.lock();
            self.has_pieces.store(false, Ordering::Release);
            std::mem::take(&mut *pieces)
        };
        let mut bytes = vec![0; used];
        self.slot.get(offset::DATA, &mut bytes);
        let mut done = 0;
        for (to, len) in pending {
            let len = len as usize;
            self.stub.write(to, &bytes[done..done + len])?;
            done += len;
        }
        Ok(())
    }
}

impl Window for SlotWindow {
    fn read(&self, from: u64, to: &mut [u8]) -> bool {
        if !self.call.is_open.load(Ordering::Acquire) {
            return false;
        }
        let ahead = Ahead(self.call.ahead.load(Ordering::Relaxed));
        let argument = |i: usize| self.call.arguments[i].load(Ordering::Relaxed);
        let within = |start: u64, len: u64| {
            let skipped = from.checked_sub(start)?;
            (skipped.checked_add(to.len() as u64)? <= len).then_some(skipped as usize)
        };
        let small = || {
            (0..6).filter(|&i| ahead.has_argument(i)).find_map(|i| {
                let start = argument(i);
                let len = (slots::AHEAD as u64).min(4096 - start % 4096);
                Some(offset::ARGUMENT_DATA + i * slots::AHEAD + within(start, len)?)
            })
        };
        let buffer = || {
            let len = argument(2).min(slots::DATA as u64);
            ahead.has_buffer().then(|| within(argument(1), len)).flatten().map(|skipped| offset::DATA + skipped)
        };
        let at = small().or_else(buffer);
        let Some(at) = at else { return false };
        self.slot.get(at, to);
        // The thread has read what it could see of patched text.
        self.places.patches().disguise(from, to, Ok(())).is_ok()
    }

    fn write(&self, to: u64, from: &[u8]) -> bool {
        // Whoever reads again must see what is written.
        let ahead = Ahead(self.call.ahead.swap(0, Ordering::Relaxed));
        if !self.call.is_open.load(Ordering::Acquire) || ahead.has_buffer() {
            return false;
        }
        let mut pieces = self.pieces.lock();
        if pieces.pending.len() == PIECES || from.len() > slots::DATA - pieces.used {
            return false;
        }
        self.slot.put(offset::DATA + pieces.used, from);
        pieces.used += from.len();
        pieces.pending.push((to, from.len() as u32));
        self.has_pieces.store(true, Ordering::Release);
        true
    }

    fn settle(&self) -> bool {
        self.settle().is_ok()
    }
}
