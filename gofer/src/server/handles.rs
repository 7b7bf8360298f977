//! What the sentry holds: files and directory streams, by number.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::stat::FileType;
use parking_lot::{Mutex, RwLock};
use rustix::io::Errno;

use super::watch::Watch;

/// A file that was looked up.
pub(super) struct Node {
    /// Opened with `O_PATH`.
    pub fd: OwnedFd,
    /// Its type.
    pub kind: FileType,
    /// The root that it lies in.
    pub root: u32,
    /// Whether nothing in it is shown ([`crate::protocol::attributes::node_flags::OPAQUE`]).
    pub opaque: bool,
    /// The watch on it.
    pub watch: Option<Watch>,
}

/// A directory that is being read.
pub(super) struct Stream {
    /// The directory, and the position up to which it was read.
    pub state: Mutex<(OwnedFd, u64)>,
}

#[derive(Clone)]
enum Entry {
    Node(Arc<Node>),
    Stream(Arc<Stream>),
}

#[derive(Default)]
struct Slot {
    /// How often the slot was used: the upper half of its handles, so that a handle is never used twice.
    generation: u32,
    entry: Option<Entry>,
}

#[derive(Default)]
struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// See the module.
pub(super) struct Handles {
    table: RwLock<Table>,
    limit: u64,
}

impl Handles {
    /// An empty table for at most `limit` handles.
    pub fn new(limit: u64) -> Self {
        Self { table: RwLock::default(), limit: limit.min(u64::from(u32::MAX)) }
    }

    /// How many there may be.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes a file in; returns its handle. `EMFILE` if there are too many.
    pub fn insert_node(&self, node: Node) -> Result<u64, Errno> {
        self.insert(Entry::Node(Arc::new(node)))
    }

    /// Takes a stream in; returns its handle. `EMFILE` if there are too many.
    pub fn insert_stream(&self, stream: Stream) -> Result<u64, Errno> {
        self.insert(Entry::Stream(Arc::new(stream)))
    }

    fn insert(&self, entry: Entry) -> Result<u64, Errno> {
        let mut table = self.table.write();
        let at = match table.free.pop() {
            Some(at) => at,
            None if (table.slots.len() as u64) < self.limit => {
                table.slots.push(Slot::default());
                (table.slots.len() - 1) as u32
            }
            None => return Err(Errno::MFILE),
        };
        let slot = &mut table.slots[at as usize];
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.entry = Some(entry);
        Ok((u64::from(slot.generation) << 32) | u64::from(at))
    }

    fn get(&self, handle: u64) -> Result<Entry, Errno> {
        let table = self.table.read();
        let slot = table.slots.get((handle & 0xffff_ffff) as usize).ok_or(Errno::BADF)?;
        if u64::from(slot.generation) != handle >> 32 {
            return Err(Errno::BADF);
        }
        slot.entry.clone().ok_or(Errno::BADF)
    }

    /// The file of this handle. `EBADF`.
    pub fn node(&self, handle: u64) -> Result<Arc<Node>, Errno> {
        match self.get(handle)? {
            Entry::Node(node) => Ok(node),
            Entry::Stream(_) => Err(Errno::BADF),
        }
    }

    /// The stream of this handle. `EBADF`.
    pub fn stream(&self, handle: u64) -> Result<Arc<Stream>, Errno> {
        match self.get(handle)? {
            Entry::Stream(stream) => Ok(stream),
            Entry::Node(_) => Err(Errno::BADF),
        }
    }

    /// Lets go of a handle; an unknown one is ignored.
    pub fn remove(&self, handle: u64) {
        let mut table = self.table.write();
        let at = (handle & 0xffff_ffff) as u32;
        let Some(slot) = table.slots.get_mut(at as usize) else { return };
        if u64::from(slot.generation) != handle >> 32 {
            return;
        }
        let entry = slot.entry.take();
        if entry.is_some() {
            table.free.push(at);
        }
        drop(table);
        // Closing can take long (the last reference to a deleted file): not under the lock.
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let fd = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        Node { fd, kind: FileType::CharDevice, root: 0, opaque: false, watch: None }
    }

    #[test]
    fn a_closed_handle_never_comes_back() {
        let handles = Handles::new(8);
        let first = handles.insert_node(node()).unwrap();
        handles.remove(first);
        handles.remove(first);
        let second = handles.insert_node(node()).unwrap();
        assert_ne!(first, second);
        assert!(handles.node(first).is_err());
        assert!(handles.node(second).is_ok());
        assert!(handles.stream(second).is_err());
        for wild in [0, 1, u64::MAX, second ^ (1 << 32), second + 1] {
            assert_eq!(handles.node(wild).err(), Some(Errno::BADF));
        }
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        let handles = Handles::new(2);
        let first = handles.insert_node(node()).unwrap();
        handles.insert_node(node()).unwrap();
        assert_eq!(handles.insert_node(node()).err(), Some(Errno::MFILE));
        handles.remove(first);
        assert!(handles.insert_node(node()).is_ok());
    }
}
