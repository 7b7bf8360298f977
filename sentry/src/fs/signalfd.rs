//! signalfd(2): signals that are read. What it gives are the signals of the task that reads, not of the one that made it.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::poll::PollEvents;
use moat_abi::signal::{SigSet, SignalfdSiginfo};
use zerocopy::IntoBytes;

use super::file::{FileOperations, OpenFile};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::{Task, ThreadGroup};

/// The operations of a signalfd.
pub struct SignalFd {
    mask: AtomicU64,
    mask_changed: WaitQueue,
    /// Whose signals it shows to who asks without being a task.
    group: Weak<ThreadGroup>,
}

/// A new signalfd for these signals.
pub fn open(task: &Task, mask: SigSet, nonblocking: OpenFlags) -> Arc<OpenFile> {
    let operations = SignalFd {
        mask: AtomicU64::new(mask.blockable().bits()),
        mask_changed: WaitQueue::new(),
        group: Arc::downgrade(task.group_ref()),
    };
    OpenFile::new(Arc::new(operations), None, OpenFlags::RDWR | nonblocking)
}

impl SignalFd {
    /// The signals that it takes.
    pub fn mask(&self) -> SigSet {
        SigSet::from_bits(self.mask.load(Ordering::Relaxed))
    }

    /// Takes other signals from now on.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.store(mask.blockable().bits(), Ordering::Relaxed);
        self.mask_changed.wake_all();
    }

    fn events(&self, pending: SigSet) -> PollEvents {
        match pending.intersection(self.mask()).is_empty() {
            true => PollEvents::empty(),
            false => PollEvents::IN | PollEvents::RDNORM,
        }
    }
}

impl FileOperations for SignalFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn read_by(&self, task: &Arc<Task>, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        const SIZE: usize = size_of::<SignalfdSiginfo>();
        if buf.len() < SIZE {
            return Err(Errno::EINVAL);
        }
        let others = SigSet::from_bits(!self.mask().bits());
        let mut done = 0;
        for slot in buf.chunks_exact_mut(SIZE) {
            let taken = {
                let mut group = task.group_ref().signals().lock();
                let mut own = task.signals().lock();
                own.pending.pop(others).or_else(|| group.pending.pop(others))
            };
            let Some((_, info)) = taken else { break };
            slot.copy_from_slice(info.to_signalfd().as_bytes());
            done += SIZE;
        }
        if done == 0 {
            return Err(Errno::EAGAIN);
        }
        task.recalculate_pending();
        Ok(done)
    }

    fn poll_by(&self, task: &Arc<Task>, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&task.signal_arrived);
            waiter.listen(&task.group_ref().signal_arrived);
            waiter.listen(&self.mask_changed);
        }
        let group = task.group_ref().signals().lock().pending.set();
        let own = task.signals().lock().pending.set();
        self.events(group.union(own))
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        let Some(group) = self.group.upgrade() else { return PollEvents::empty() };
        if let Some(waiter) = waiter {
            waiter.listen(&group.signal_arrived);
            waiter.listen(&self.mask_changed);
        }
        let pending = group.signals().lock().pending.set();
        self.events(pending)
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:[signalfd]".to_owned()
    }

    fn fdinfo(&self) -> String {
        format!("sigmask:\t{:016x}\n", self.mask().bits())
    }
}
