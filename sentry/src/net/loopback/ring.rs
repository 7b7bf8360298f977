//! One direction of a connection: a bounded ring of bytes.

use std::collections::VecDeque;

use crate::executor::wait::WaitQueue;
use crate::sync::{Mutex, MutexGuard, Rank};

/// A ring that has grown beyond this gives its memory back once it is empty.
const KEPT: usize = 256 << 10;

/// See the module.
pub struct Ring {
    state: Mutex<RingState>,
    /// Bytes or the end came.
    pub readable: WaitQueue,
    /// There is room again, or nobody reads any more.
    pub writable: WaitQueue,
}

/// What is in a [`Ring`].
pub struct RingState {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has ended its side (FIN).
    pub ended: bool,
    /// The reader is closed: what comes now is answered with a reset.
    pub abandoned: bool,
    /// The connection was reset.
    pub reset: bool,
    starved: bool,
}

impl Ring {
    /// An empty ring of so many bytes; memory is taken as they come.
    pub fn new(capacity: usize) -> Self {
        let state = RingState {
            bytes: VecDeque::new(),
            capacity,
            ended: false,
            abandoned: false,
            reset: false,
            starved: false,
        };
        Self { state: Mutex::new(Rank::Pipe, state), readable: WaitQueue::new(), writable: WaitQueue::new() }
    }

    /// The state.
    pub fn lock(&self) -> MutexGuard<'_, RingState> {
        self.state.lock()
    }

    /// Tells both sides to look again.
    pub fn wake(&self) {
        self.readable.wake_all();
        self.writable.wake_all();
    }
}

impl RingState {
    /// Bytes to be read.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes as much of `data` as there is room for.
    pub fn write(&mut self, data: &[u8]) -> usize {
        let n = data.len().min(self.capacity.saturating_sub(self.bytes.len()));
        self.bytes.extend(&data[..n]);
        if n == 0 {
            self.starved = true;
        }
        n
    }

    /// Fills `buf` as far as it goes; with `peek` the bytes stay. The second value says whether a writer waits for
    /// room that is there now.
    pub fn read(&mut self, buf: &mut [u8], peek: bool) -> (usize, bool) {
        let n = buf.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let head = n.min(front.len());
        buf[..head].copy_from_slice(&front[..head]);
        buf[head..n].copy_from_slice(&back[..n - head]);
        if peek {
            return (n, false);
        }
        self.bytes.drain(..n);
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = VecDeque::new();
        }
        let relieved = self.starved && self.roomy();
        if relieved {
            self.starved = false;
        }
        (n, relieved)
    }

    fn roomy(&self) -> bool {
        self.bytes.len() <= self.capacity / 3 * 2
    }

    /// What poll says of a writer: a third is free. If not, the writer is to be woken later.
    pub fn has_room(&mut self) -> bool {
        let roomy = self.roomy();
        self.starved |= !roomy;
        roomy
    }

    /// Throws everything away.
    pub fn discard(&mut self) {
        self.bytes = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_across_the_seam() {
        let ring = Ring::new(8);
        let mut state = ring.lock();
        assert_eq!(state.write(b"abcdef"), 6);
        let mut buf = [0; 4];
        assert_eq!(state.read(&mut buf, false), (4, false));
        assert_eq!(state.write(b"ghijkl"), 6);
        assert_eq!(state.write(b"m"), 0);
        let mut rest = [0; 16];
        let (n, relieved) = state.read(&mut rest, false);
        assert_eq!((&rest[..n], relieved), (&b"efghijkl"[..], true));
    }

    #[test]
    fn peeking_takes_nothing() {
        let ring = Ring::new(8);
        let mut state = ring.lock();
        state.write(b"xy");
        let mut buf = [0; 8];
        assert_eq!(state.read(&mut buf, true).0, 2);
        assert_eq!(state.read(&mut buf, false).0, 2);
        assert!(state.is_empty());
    }
}
