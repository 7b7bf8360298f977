//! Memory that goes with a system call: what the platform's thread copied ahead of it, and what it is to write when it goes
//! on. Both spare a copy through the host.

use std::sync::Arc;

use moat_platform::{Protection, Window};

use super::MemoryManager;
use crate::sync::{Mutex, Rank};
use crate::syscalls::table;

/// The memory of the calls that a task makes.
pub struct CallMemory {
    memory: Arc<MemoryManager>,
    window: Arc<dyn Window>,
    /// Number and arguments of the call under way.
    call: Mutex<Option<(u64, [u64; 6])>>,
}

impl CallMemory {
    /// For calls of a task with this memory, by its thread's window.
    pub fn new(memory: Arc<MemoryManager>, window: Arc<dyn Window>) -> Arc<Self> {
        Arc::new(Self { memory, window, call: Mutex::new(Rank::Leaf, None) })
    }

    /// A call begins.
    pub fn begin(&self, number: u64, arguments: [u64; 6]) {
        *self.call.lock() = Some((number, arguments));
    }

    /// It ends.
    pub fn end(&self) {
        *self.call.lock() = None;
    }

    /// Fills `to` from what came with the call under way; false if it did not.
    pub fn read(&self, from: u64, to: &mut [u8]) -> bool {
        let under_way = self.call.lock().is_some();
        if under_way && self.window.read(from, to) {
            return true;
        }
        self.window.settle();
        false
    }

    /// Leaves a result of the call under way to its thread; false if it can't be.
    pub fn write(&self, to: u64, from: &[u8]) -> bool {
        let call = *self.call.lock();
        let is_result = call.is_some_and(|(number, arguments)| table::writes(number, &arguments, to, from.len()));
        // What faults has to fault now, while it can still be undone.
        if is_result && self.memory.allows(to, from.len() as u64, Protection::WRITE) && self.window.write(to, from) {
            return true;
        }
        self.window.settle();
        false
    }
}
