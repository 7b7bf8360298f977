//! Virtual memory areas and the map of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use moat_platform::{APPLICATION_END, PAGE_SIZE, Protection};

use crate::fs::OpenFile;
use crate::fs::file::Mappable;

/// What a VMA maps.
#[derive(Clone)]
pub enum Backing {
    /// Private zeroes.
    Anonymous,
    /// A file, from this offset.
    File {
        /// The description it was mapped through; kept open by the mapping.
        file: Arc<OpenFile>,
        /// What the platform maps.
        host: Mappable,
        /// Offset of the first byte.
        offset: u64,
    },
    /// Shared zeroes: a memory file of their own.
    SharedAnonymous {
        /// The memory file.
        host: Mappable,
        /// Offset of the first byte.
        offset: u64,
        /// The inode number that /proc shows.
        inode: u64,
    },
}

/// A range of addresses with the same properties.
#[derive(Clone)]
pub struct Vma {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// What the application may do.
    pub protection: Protection,
    /// MAP_SHARED.
    pub shared: bool,
    /// What is mapped.
    pub backing: Backing,
    /// A label that /proc/PID/maps shows (`[heap]`, `[stack]`, `[vdso]`).
    pub label: Option<&'static str>,
    /// MAP_GROWSDOWN.
    pub grows_down: bool,
    /// Locked by mlock.
    pub locked: bool,
    /// MADV_DONTFORK.
    pub dont_fork: bool,
    /// MADV_WIPEONFORK.
    pub wipe_on_fork: bool,
    /// A private mapping of a file that the application could write at some time: it may have pages of its own.
    pub was_writable: bool,
    /// A shared mapping of a file that was not opened for writing: mprotect may not make it writable.
    pub may_write: bool,
}

impl Vma {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Never true: a VMA has at least a page.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The part of it in `start..end`, which lies within.
    fn part(&self, start: u64, end: u64) -> Self {
        let mut part = self.clone();
        let skipped = start - self.start;
        match &mut part.backing {
            Backing::Anonymous => {}
            Backing::File { offset, .. } | Backing::SharedAnonymous { offset, .. } => *offset += skipped,
        }
        part.start = start;
        part.end = end;
        part
    }

    /// Whether `next`, which starts where this ends, continues it.
    fn continues_into(&self, next: &Vma) -> bool {
        self.end == next.start
            && self.protection == next.protection
            && self.shared == next.shared
            && self.label == next.label
            && self.grows_down == next.grows_down
            && self.locked == next.locked
            && self.dont_fork == next.dont_fork
            && self.wipe_on_fork == next.wipe_on_fork
            && self.may_write == next.may_write
            && match (&self.backing, &next.backing) {
                (Backing::Anonymous, Backing::Anonymous) => true,
                (Backing::File { file: a, offset: x, .. }, Backing::File { file: b, offset: y, .. }) => {
                    Arc::ptr_eq(a, b) && x + self.len() == *y
                }
                (
                    Backing::SharedAnonymous { inode: a, offset: x, .. },
                    Backing::SharedAnonymous { inode: b, offset: y, .. },
                ) => a == b && x + self.len() == *y,
                _ => false,
            }
    }
}

/// All VMAs of an address space, by start address; they never overlap.
#[derive(Clone, Default)]
pub struct VmaMap {
    areas: BTreeMap<u64, Vma>,
}

impl VmaMap {
    /// The VMA that holds `address`.
    pub fn find(&self, address: u64) -> Option<&Vma> {
        self.areas.range(..=address).next_back().map(|(_, v)| v).filter(|v| address < v.end)
    }

    /// The first VMA that ends above `address`.
    pub fn find_above(&self, address: u64) -> Option<&Vma> {
        self.find(address).or_else(|| self.areas.range(address..).next().map(|(_, v)| v))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Vma> {
        self.areas.values()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.areas.len()
    }

    /// Those that touch `start..end`, cut to it.
    pub fn within(&self, start: u64, end: u64) -> Vec<Vma> {
        let first = self.find(start).map_or(start, |v| v.start);
        self.areas
            .range(first..end)
            .map(|(_, v)| v)
            .filter(|v| v.end > start)
            .map(|v| v.part(v.start.max(start), v.end.min(end)))
            .collect()
    }

    /// Whether every address of `start..end` is mapped.
    pub fn covers(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.find(at) {
                Some(vma) => at = vma.end,
                None => return false,
            }
        }
        true
    }

    /// Takes everything in `start..end` out, splitting what reaches beyond.
    pub fn remove(&mut self, start: u64, end: u64) -> Vec<Vma> {
        let removed = self.within(start, end);
        for part in &removed {
            let Some(whole_start) = self.find(part.start).map(|v| v.start) else { continue };
            let Some(whole) = self.areas.remove(&whole_start) else { continue };
            if whole.start < part.start {
                self.areas.insert(whole.start, whole.part(whole.start, part.start));
            }
            if part.end < whole.end {
                self.areas.insert(part.end, whole.part(part.end, whole.end));
            }
        }
        removed
    }

    /// Puts a VMA in, replacing what was there, and merges it with its neighbours where they continue each other.
    pub fn insert(&mut self, mut vma: Vma) {
        self.remove(vma.start, vma.end);
        if let Some(before) = self.areas.range(..vma.start).next_back().map(|(_, v)| v.clone())
            && before.continues_into(&vma)
        {
            self.areas.remove(&before.start);
            let end = vma.end;
            let was_writable = vma.was_writable;
            vma = before;
            vma.end = end;
            vma.was_writable |= was_writable;
        }
        if let Some(after) = self.areas.get(&vma.end).cloned()
            && vma.continues_into(&after)
        {
            self.areas.remove(&after.start);
            vma.end = after.end;
            vma.was_writable |= after.was_writable;
        }
        self.areas.insert(vma.start, vma);
    }

    /// Changes the VMAs in `start..end`, splitting at the ends.
    pub fn update(&mut self, start: u64, end: u64, change: impl Fn(&mut Vma)) {
        for mut part in self.remove(start, end) {
            change(&mut part);
            self.insert(part);
        }
    }

    /// The highest gap of `len` bytes below `top` and above `bottom` (mmap's top-down search).
    pub fn find_gap(&self, len: u64, bottom: u64, top: u64) -> Option<u64> {
        let mut end = top.min(APPLICATION_END);
        for vma in self.areas.range(..end).rev().map(|(_, v)| v) {
            if vma.end <= end && end - vma.end >= len {
                break;
            }
            // A growing stack keeps its guard gap of 256 pages free (stack_guard_gap).
            let guard = if vma.grows_down { 256 * PAGE_SIZE } else { 0 };
            end = end.min(vma.start.saturating_sub(guard));
            if end < bottom.saturating_add(len) {
                return None;
            }
        }
        let start = end.checked_sub(len)?;
        (start >= bottom).then_some(start)
    }

    /// Bytes mapped.
    pub fn total(&self) -> u64 {
        self.areas.values().map(Vma::len).sum()
    }
}

#[cfg(test)]
impl Vma {
    /// A private anonymous mapping, for tests.
    pub(super) fn anonymous(start: u64, end: u64, protection: Protection) -> Self {
        Self {
            start,
            end,
            protection,
            shared: false,
            backing: Backing::Anonymous,
            label: None,
            grows_down: false,
            locked: false,
            dont_fork: false,
            wipe_on_fork: false,
            may_write: true,
            was_writable: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_merge_and_holes_split() {
        let mut map = VmaMap::default();
        map.insert(Vma::anonymous(0x1000, 0x3000, Protection::READ));
        map.insert(Vma::anonymous(0x3000, 0x5000, Protection::READ));
        assert_eq!(map.count(), 1);
        map.remove(0x2000, 0x3000);
        assert_eq!(map.count(), 2);
        assert!(map.find(0x2800).is_none());
        assert!(!map.covers(0x1000, 0x5000));
        assert!(map.covers(0x3000, 0x5000));
    }

    #[test]
    fn protection_changes_split() {
        let mut map = VmaMap::default();
        map.insert(Vma::anonymous(0x1000, 0x5000, Protection::READ));
        map.update(0x2000, 0x3000, |v| v.protection = Protection::empty());
        assert_eq!(map.count(), 3);
        map.update(0x2000, 0x3000, |v| v.protection = Protection::READ);
        assert_eq!(map.count(), 1);
    }

    #[test]
    fn gaps_are_found_from_the_top() {
        let mut map = VmaMap::default();
        map.insert(Vma::anonymous(0x8000, 0x9000, Protection::READ));
        assert_eq!(map.find_gap(0x1000, 0x1000, 0xa000), Some(0x9000));
        assert_eq!(map.find_gap(0x2000, 0x1000, 0xa000), Some(0x6000));
        assert_eq!(map.find_gap(0x9000, 0x1000, 0xa000), None);
    }
}
