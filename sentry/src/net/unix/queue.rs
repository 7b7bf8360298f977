//! What waits to be received: messages, or the pieces of a stream.

use std::collections::VecDeque;
use std::sync::Arc;

use moat_abi::socket::UCred;

use super::Core;
use super::inflight::Rights;

/// What the kernel's own bookkeeping of a message counts against the sender's buffer.
const OVERHEAD: usize = 768;
/// Up to this length, pieces of a stream are put together.
const PIECE: usize = 32 << 10;

/// A message, or a piece of a stream.
pub struct Segment {
    data: Vec<u8>,
    /// How much of `data` was read.
    done: usize,
    /// Who sent it, where that is recorded.
    pub credentials: Option<UCred>,
    /// Files that go along.
    pub rights: Option<Rights>,
    /// The sender of a message: the receiver is told the name that it has by then.
    pub from: Option<Arc<Core>>,
}

impl Segment {
    /// A segment that nobody has read yet.
    pub fn new(data: Vec<u8>, credentials: Option<UCred>, rights: Option<Rights>, from: Option<Arc<Core>>) -> Self {
        Self { data, done: 0, credentials, rights, from }
    }

    /// What is left of it.
    pub fn rest(&self) -> &[u8] {
        &self.data[self.done..]
    }
}

/// See the module.
#[derive(Default)]
pub struct Queue {
    segments: VecDeque<Segment>,
    charge: usize,
}

impl Queue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// How many segments wait.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// What counts against the sender's buffer.
    pub fn charge(&self) -> usize {
        self.charge
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|s| s.rest().len()).sum()
    }

    /// The segments, first come first.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// The same, to take rights away.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.segments.iter_mut()
    }

    /// The next segment.
    pub fn front_mut(&mut self) -> Option<&mut Segment> {
        self.segments.front_mut()
    }

    /// Appends a message.
    pub fn push(&mut self, segment: Segment) {
        self.charge += OVERHEAD + segment.data.len();
        self.segments.push_back(segment);
    }

    /// Appends to a stream: to the last piece, if it has the same sender and no rights.
    pub fn extend(&mut self, data: &[u8], credentials: Option<UCred>, rights: Option<Rights>) {
        if rights.is_none()
            && let Some(last) = self.segments.back_mut()
            && last.rights.is_none()
            && last.credentials == credentials
            && last.data.len() + data.len() <= PIECE
        {
            last.data.extend_from_slice(data);
            self.charge += data.len();
            return;
        }
        self.push(Segment::new(data.to_vec(), credentials, rights, None));
    }

    /// Takes `n` bytes of the first segment, and the segment itself once nothing is left of it.
    pub fn consume(&mut self, n: usize) {
        let Some(first) = self.segments.front_mut() else { return };
        first.done += n;
        self.charge -= n;
        if first.rest().is_empty() {
            self.pop();
        }
    }

    /// Takes the first segment.
    pub fn pop(&mut self) -> Option<Segment> {
        let first = self.segments.pop_front()?;
        self.charge -= OVERHEAD + first.rest().len();
        Some(first)
    }

    /// Takes everything.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(pid: i32) -> Option<UCred> {
        Some(UCred { pid, uid: 0, gid: 0 })
    }

    #[test]
    fn pieces_of_one_sender_are_put_together() {
        let mut queue = Queue::default();
        queue.extend(b"ab", None, None);
        queue.extend(b"cd", None, None);
        queue.extend(b"ef", sender(1), None);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.iter().next().unwrap().rest(), b"abcd");
        queue.consume(3);
        assert_eq!(queue.iter().next().unwrap().rest(), b"d");
        queue.consume(1);
        assert_eq!(queue.iter().next().unwrap().rest(), b"ef");
    }

    #[test]
    fn an_emptied_queue_charges_nothing() {
        let mut queue = Queue::default();
        queue.extend(&[1; 40_000], None, None);
        queue.extend(&[2; 10], sender(2), None);
        queue.consume(39_999);
        queue.consume(1);
        queue.pop();
        assert!(queue.is_empty());
        assert_eq!(queue.charge(), 0);
    }
}
