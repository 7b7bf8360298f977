//! Descriptor tables.

use std::sync::Arc;

use moat_abi::errno::Errno;

use super::file::OpenFile;
use crate::Result;
use crate::sync::{Mutex, Rank};

/// The most descriptors that any process may have (`fs.nr_open`).
pub const NR_OPEN: u64 = 1 << 20;

#[derive(Clone)]
struct Slot {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

/// A descriptor table, shared by tasks that were made with CLONE_FILES.
pub struct FdTable {
    slots: Mutex<Vec<Option<Slot>>>,
}

impl Default for FdTable {
    fn default() -> Self {
        Self { slots: Mutex::new(Rank::FdTable, Vec::new()) }
    }
}

impl FdTable {
    /// The description behind `fd`. `EBADF`.
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        self.get_with_flag(fd).map(|(file, _)| file)
    }

    /// The description and the close-on-exec flag.
    pub fn get_with_flag(&self, fd: i32) -> Result<(Arc<OpenFile>, bool)> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let slots = self.slots.lock();
        let slot = slots.get(at).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        Ok((slot.file.clone(), slot.close_on_exec))
    }

    /// Puts `file` at the lowest free number from `least` on and below `limit` (RLIMIT_NOFILE). `EMFILE`.
    pub fn insert(&self, file: Arc<OpenFile>, close_on_exec: bool, least: i32, limit: u64) -> Result<i32> {
        let mut slots = self.slots.lock();
        let least = usize::try_from(least).map_err(|_| Errno::EINVAL)?;
        let at = (least..slots.len()).find(|&i| slots[i].is_none()).unwrap_or(least.max(slots.len()));
        if at as u64 >= limit.min(NR_OPEN) {
            return Err(Errno::EMFILE);
        }
        if at >= slots.len() {
            slots.resize(at + 1, None);
        }
        slots[at] = Some(Slot { file, close_on_exec });
        i32::try_from(at).map_err(|_| Errno::EMFILE)
    }

    /// Puts `file` at exactly `fd` (dup2); returns what was there.
    pub fn replace(
        &self,
        fd: i32,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<Option<Arc<OpenFile>>> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        if at as u64 >= limit.min(NR_OPEN) {
            return Err(Errno::EBADF);
        }
        let mut slots = self.slots.lock();
        if at >= slots.len() {
            slots.resize(at + 1, None);
        }
        Ok(slots[at].replace(Slot { file, close_on_exec }).map(|s| s.file))
    }

    /// Takes `fd` out of the table. `EBADF`.
    pub fn remove(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let mut slots = self.slots.lock();
        let slot = slots.get_mut(at).and_then(Option::take).ok_or(Errno::EBADF)?;
        Ok(slot.file)
    }

    /// Sets FD_CLOEXEC. `EBADF`.
    pub fn set_close_on_exec(&self, fd: i32, on: bool) -> Result<()> {
        let at = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let mut slots = self.slots.lock();
        slots.get_mut(at).and_then(Option::as_mut).ok_or(Errno::EBADF)?.close_on_exec = on;
        Ok(())
    }

    /// Takes out all descriptors in `first..=last`.
    pub fn remove_range(&self, first: u32, last: u32) -> Vec<Arc<OpenFile>> {
        let mut slots = self.slots.lock();
        let end = slots.len().min((last as usize).saturating_add(1));
        let start = (first as usize).min(end);
        slots[start..end].iter_mut().filter_map(Option::take).map(|s| s.file).collect()
    }

    /// Sets FD_CLOEXEC on all descriptors in `first..=last`.
    pub fn close_range_on_exec(&self, first: u32, last: u32) {
        let mut slots = self.slots.lock();
        let end = slots.len().min((last as usize).saturating_add(1));
        let start = (first as usize).min(end);
        for slot in slots[start..end].iter_mut().flatten() {
            slot.close_on_exec = true;
        }
    }

    /// Takes out what `execve` closes.
    pub fn remove_close_on_exec(&self) -> Vec<Arc<OpenFile>> {
        let mut slots = self.slots.lock();
        slots
            .iter_mut()
            .filter(|s| s.as_ref().is_some_and(|s| s.close_on_exec))
            .filter_map(Option::take)
            .map(|s| s.file)
            .collect()
    }

    /// A copy for a child without CLONE_FILES.
    pub fn duplicate(&self) -> Self {
        Self { slots: Mutex::new(Rank::FdTable, self.slots.lock().clone()) }
    }

    /// The numbers in use, in order.
    pub fn numbers(&self) -> Vec<i32> {
        let slots = self.slots.lock();
        slots.iter().enumerate().filter(|(_, s)| s.is_some()).map(|(i, _)| i as i32).collect()
    }
}
