//! mremap(2).

use moat_abi::errno::Errno;
use moat_abi::mman::MremapFlags;
use moat_platform::{APPLICATION_START, Change, PAGE_SIZE};

use super::map::MapLimits;
use super::vma::{Backing, Vma};
use super::{MAX_MAP_COUNT, MemoryManager, is_application_range, page_round_up, source_of};
use crate::Result;

/// A part of a mapping that is on its way.
struct Piece {
    from: u64,
    len: u64,
    to: u64,
    new_len: u64,
}

impl MemoryManager {
    /// `mremap`. Returns the new address.
    pub async fn remap(
        &self,
        old: u64,
        old_len: u64,
        new_len: u64,
        flags: MremapFlags,
        to: u64,
        limits: MapLimits,
    ) -> Result<u64> {
        let fixed = flags.contains(MremapFlags::FIXED);
        let may_move = flags.contains(MremapFlags::MAYMOVE);
        let keep_old = flags.contains(MremapFlags::DONTUNMAP);
        if !old.is_multiple_of(PAGE_SIZE)
            || flags.bits() & !MremapFlags::all().bits() != 0
            || ((fixed || keep_old) && !may_move)
            || (keep_old && old_len != new_len)
        {
            return Err(Errno::EINVAL);
        }
        let old_len = page_round_up(old_len).ok_or(Errno::EINVAL)?;
        let new_len = page_round_up(new_len).filter(|&l| l > 0).ok_or(Errno::EINVAL)?;
        if fixed {
            if !to.is_multiple_of(PAGE_SIZE) || !is_application_range(to, new_len) || to < APPLICATION_START {
                return Err(Errno::EINVAL);
            }
            if old < to + new_len && to < old.saturating_add(old_len) {
                return Err(Errno::EINVAL);
            }
        }
        let _guard = self.lock_map().await;
        let vma = {
            let vmas = self.vmas().within(old, old.saturating_add(old_len.max(1)));
            let whole = self.vmas().find(old).cloned().ok_or(Errno::EFAULT)?;
            if old_len == 0 {
                // A second view of a shared mapping.
                if !whole.shared || !may_move {
                    return Err(Errno::EINVAL);
                }
                return self.duplicate_shared(whole, old, new_len, fixed.then_some(to)).await;
            }
            match vmas.first() {
                Some(first) if vmas.len() == 1 && first.len() == old_len => first.clone(),
                _ => return Err(Errno::EFAULT),
            }
        };
        if new_len > old_len && self.vmas().total() + (new_len - old_len) > limits.address_space {
            return Err(Errno::ENOMEM);
        }
        if self.vmas().count() >= MAX_MAP_COUNT - 2 {
            return Err(Errno::ENOMEM);
        }
        if !fixed && !keep_old {
            if new_len <= old_len {
                if new_len < old_len {
                    self.apply(&[Change::Unmap { at: old + new_len, len: old_len - new_len }]).await?;
                    let removed = self.vmas().remove(old + new_len, old + old_len);
                    drop(removed);
                }
                return Ok(old);
            }
            if self.grow_in_place(&vma, new_len).await? {
                return Ok(old);
            }
            if !may_move {
                return Err(Errno::ENOMEM);
            }
        }
        let at = match fixed {
            true => to,
            false => {
                let top = self.layout().mmap_top;
                self.vmas().find_gap(new_len, APPLICATION_START, top).ok_or(Errno::ENOMEM)?
            }
        };
        self.relocate(old, old_len, at, new_len, keep_old).await?;
        let dropped = {
            let mut vmas = self.vmas();
            let mut dropped = vmas.remove(at, at + new_len);
            if !keep_old {
                dropped.extend(vmas.remove(old, old + old_len));
            }
            let mut moved = vma;
            moved.start = at;
            moved.end = at + new_len;
            vmas.insert(moved);
            dropped
        };
        drop(dropped);
        Ok(at)
    }

    /// Moves a mapping with its pages. The host may keep in several parts what is one VMA here (a mapping that grew after a
    /// fork), and refuses to move it as one (`EFAULT`): it is halved until each piece lies within one part.
    async fn relocate(&self, from: u64, len: u64, to: u64, new_len: u64, keep_old: bool) -> Result<()> {
        let mut pieces = vec![Piece { from, len, to, new_len }];
        while let Some(Piece { from, len, to, new_len }) = pieces.pop() {
            match self.apply(&[Change::Move { from, len, to, new_len, keep_old }]).await {
                Err(Errno::EFAULT) if new_len < len => {
                    self.apply(&[Change::Unmap { at: from + new_len, len: len - new_len }]).await?;
                    pieces.push(Piece { from, len: new_len, to, new_len });
                }
                Err(Errno::EFAULT) if len > PAGE_SIZE => {
                    let half = len / 2 / PAGE_SIZE * PAGE_SIZE;
                    pieces.push(Piece { from: from + half, len: len - half, to: to + half, new_len: new_len - half });
                    pieces.push(Piece { from, len: half, to, new_len: half });
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn grow_in_place(&self, vma: &Vma, new_len: u64) -> Result<bool> {
        let end = vma.start + new_len;
        if !is_application_range(vma.start, new_len) || self.vmas().find_above(vma.end).is_some_and(|v| v.start < end) {
            return Ok(false);
        }
        let mut tail = vma.clone();
        let grown = vma.end - vma.start;
        match &mut tail.backing {
            Backing::Anonymous => {}
            Backing::File { offset, .. } => *offset += grown,
            // Linux would extend the shared object; ours has a fixed size, so the mapping moves instead and faults
            // beyond it give SIGBUS just as there.
            Backing::SharedAnonymous { offset, .. } => *offset += grown,
        }
        tail.start = vma.end;
        tail.end = end;
        let change = Change::Map {
            at: tail.start,
            len: tail.len(),
            protection: tail.protection,
            source: source_of(&tail),
            populate: tail.locked,
        };
        self.apply(&[change]).await?;
        self.vmas().insert(tail);
        Ok(true)
    }

    async fn duplicate_shared(&self, vma: Vma, old: u64, new_len: u64, to: Option<u64>) -> Result<u64> {
        let top = self.layout().mmap_top;
        let at = match to {
            Some(at) => at,
            None => self.vmas().find_gap(new_len, APPLICATION_START, top).ok_or(Errno::ENOMEM)?,
        };
        let mut copy = vma.clone();
        match &mut copy.backing {
            Backing::Anonymous => return Err(Errno::EINVAL),
            Backing::File { offset, .. } | Backing::SharedAnonymous { offset, .. } => *offset += old - vma.start,
        }
        copy.start = at;
        copy.end = at + new_len;
        let change =
            Change::Map { at, len: new_len, protection: copy.protection, source: source_of(&copy), populate: false };
        self.apply(&[change]).await?;
        let dropped = {
            let mut vmas = self.vmas();
            let dropped = vmas.remove(at, at + new_len);
            vmas.insert(copy);
            dropped
        };
        drop(dropped);
        Ok(at)
    }
}
