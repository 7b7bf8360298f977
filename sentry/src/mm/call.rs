//! Memory that goes with a system call: what the platform's thread copied ahead of it, and what it is to write when it goes
//! on. Both spare a copy through the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moat_platform::{Protection, Window};

use super::MemoryManager;
use crate::syscalls::table;

/// The memory of the calls that a task makes.
pub struct CallMemory {
    memory: Arc<MemoryManager>,
    window: Arc<dyn Window>,
    /// A call is under way.
    under_way: AtomicBool,
    /// Its number and arguments. Like the flag they are this task's alone: a lock would cost each call, and order nothing.
    number: AtomicU64,
    arguments: [AtomicU64; 6],
}

impl CallMemory {
    /// For calls of a task with this memory, by its thread's window.
    pub fn new(memory: Arc<MemoryManager>, window: Arc<dyn Window>) -> Arc<Self> {
        let (under_way, number) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { memory, window, under_way, number, arguments: Default::default() })
    }

    /// A call begins.
    pub fn begin(&self, number: u64, arguments: [u64; 6]) {
        self.number.store(number, Ordering::Relaxed);
        for (kept, argument) in self.arguments.iter().zip(arguments) {
            kept.store(argument, Ordering::Relaxed);
        }
        self.under_way.store(true, Ordering::Release);
    }

    /// It ends.
    pub fn end(&self) {
        self.under_way.store(false, Ordering::Release);
    }

    /// Fills `to` from what came with the call under way; false if it did not.
    pub fn read(&self, from: u64, to: &mut [u8]) -> bool {
        if self.under_way.load(Ordering::Acquire) && self.window.read(from, to) {
            return true;
        }
        self.window.settle();
        false
    }

    /// Leaves a result of the call under way to its thread; false if it can't be.
    pub fn write(&self, to: u64, from: &[u8]) -> bool {
        let is_result = self.under_way.load(Ordering::Acquire) && {
            let arguments = std::array::from_fn(|i| self.arguments[i].load(Ordering::Relaxed));
            table::writes(self.number.load(Ordering::Relaxed), &arguments, to, from.len())
        };
        // What faults has to fault now, while it can still be undone.
        if is_result && self.memory.allows(to, from.len() as u64, Protection::WRITE) && self.window.write(to, from) {
            return true;
        }
        self.window.settle();
        false
    }
}
