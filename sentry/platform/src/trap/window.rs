//! A thread's window: the part of its slot by which memory of the application gets to the sentry with a call, and back with
//! its answer, copied by the thread itself. Only calls without a signal have one.
//!
//! What a call's arguments point to is copied before the call is handed over, as its number's [`Ahead`] says. What the
//! call writes is kept here until the thread goes on, and copied by it then.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The arguments of the call, if it is open.
    arguments: Option<[u64; 6]>,
    /// What was copied of what they point to, as in [`Ahead`].
    ahead: u8,
    /// Where the thread will write, and how much; the bytes lie behind each other.
    pending: Vec<(u64, u32)>,
    used: usize,
}

impl SlotWindow {
    /// The window of the thread that has this slot, in this stub with these places.
    pub fn new(slot: Arc<Slot>, stub: Arc<Stub>, places: Arc<Places>) -> Arc<Self> {
        Arc::new(Self { slot, stub, places, state: Mutex::default() })
    }

    /// The thread has made a call with these arguments.
    pub fn open(&self, arguments: [u64; 6]) {
        let ahead = self.slot.word(offset::AHEAD).load(Ordering::Acquire) as u8;
        let mut state = self.state.lock();
        state.arguments = Some(arguments);
        state.ahead = ahead;
    }

    /// The thread goes on, and may write what it was given. True if there is something.
    pub fn close(&self) -> bool {
        let mut state = self.state.lock();
        state.arguments = None;
        let mut at = offset::PIECES;
        let mut from = offset::DATA as u32;
        for &(to, len) in &state.pending {
            self.slot.put_u64(at, to);
            self.slot.put_u64(at + 8, u64::from(len) | u64::from(from) << 32);
            (at, from) = (at + 16, from + len);
        }
        self.slot.word(offset::PIECE_COUNT).store(state.pending.len() as u32, Ordering::Relaxed);
        !state.pending.is_empty()
    }

    /// The thread has written it, or it need not be written any more.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.pending.clear();
        state.used = 0;
    }

    /// Writes what the thread has not written.
    ///
    /// # Errors
    /// Where the application's memory does not take it; the rest is lost.
    pub fn settle(&self) -> Result<(), MemoryFault> {
        let (pending, used) = {
            let mut state = self.state.lock();
            if state.pending.is_empty() {
                return Ok(());
            }
            (std::mem::take(&mut state.pending), std::mem::take(&mut state.used))
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
        let at = {
            let state = self.state.lock();
            let Some(arguments) = state.arguments else { return false };
            let ahead = Ahead(state.ahead);
            let within = |start: u64, len: u64| {
                let skipped = from.checked_sub(start)?;
                (skipped.checked_add(to.len() as u64)? <= len).then_some(skipped as usize)
            };
            let small = || {
                (0..6).filter(|&i| ahead.has_argument(i)).find_map(|i| {
                    let start = arguments[i];
                    let len = (slots::AHEAD as u64).min(4096 - start % 4096);
                    Some(offset::ARGUMENT_DATA + i * slots::AHEAD + within(start, len)?)
                })
            };
            let buffer = || {
                let len = arguments[2].min(slots::DATA as u64);
                ahead.has_buffer().then(|| within(arguments[1], len)).flatten().map(|skipped| offset::DATA + skipped)
            };
            small().or_else(buffer)
        };
        let Some(at) = at else { return false };
        self.slot.get(at, to);
        // The thread has read what it could see of patched text.
        self.places.patches().disguise(from, to, Ok(())).is_ok()
    }

    fn write(&self, to: u64, from: &[u8]) -> bool {
        let mut state = self.state.lock();
        // Whoever reads again must see what is written.
        let ahead = Ahead(std::mem::take(&mut state.ahead));
        let room = slots::DATA - state.used;
        if state.arguments.is_none() || ahead.has_buffer() || state.pending.len() == PIECES || from.len() > room {
            return false;
        }
        self.slot.put(offset::DATA + state.used, from);
        state.used += from.len();
        state.pending.push((to, from.len() as u32));
        true
    }

    fn settle(&self) -> bool {
        self.settle().is_ok()
    }
}
