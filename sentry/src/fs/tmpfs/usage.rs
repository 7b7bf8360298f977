//! What the files of one tmpfs occupy, against what they may.

use std::sync::atomic::{AtomicU64, Ordering};

use moat_abi::errno::Errno;

use super::PAGE;
use crate::Result;

/// Counters of one filesystem, in pages and inodes. A limit of 0 is none.
#[derive(Debug, Default)]
pub struct Usage {
    pages: AtomicU64,
    inodes: AtomicU64,
    max_pages: u64,
    max_inodes: u64,
}

impl Usage {
    /// Nothing used yet.
    pub fn new(max_bytes: u64, max_inodes: u64) -> Self {
        Self { max_pages: max_bytes.div_ceil(PAGE), max_inodes, ..Self::default() }
    }

    /// Takes an inode. `ENOSPC`.
    pub fn take_inode(&self) -> Result<()> {
        let before = self.inodes.fetch_add(1, Ordering::Relaxed);
        if self.max_inodes != 0 && before >= self.max_inodes {
            self.inodes.fetch_sub(1, Ordering::Relaxed);
            return Err(Errno::ENOSPC);
        }
        Ok(())
    }

    /// Gives an inode back.
    pub fn put_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Records that a file occupies `now` pages, of which `before` were recorded.
    pub fn recharge(&self, before: u64, now: u64) {
        match now >= before {
            true => self.pages.fetch_add(now - before, Ordering::Relaxed),
            false => self.pages.fetch_sub(before - now, Ordering::Relaxed),
        };
    }

    /// How many further pages may be taken.
    pub fn free_pages(&self) -> u64 {
        match self.max_pages {
            0 => u64::MAX,
            max => max.saturating_sub(self.pages.load(Ordering::Relaxed)),
        }
    }

    /// Pages in all and free, for `statfs`.
    pub fn pages(&self) -> (u64, u64) {
        match self.max_pages {
            0 => (0, 0),
            max => (max, self.free_pages()),
        }
    }

    /// Inodes in all and free, for `statfs`.
    pub fn inodes(&self) -> (u64, u64) {
        match self.max_inodes {
            0 => (0, 0),
            max => (max, max.saturating_sub(self.inodes.load(Ordering::Relaxed))),
        }
    }
}
