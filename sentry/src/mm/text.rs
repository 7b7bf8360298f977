//! Program text, offered to the platform, which may make its system calls faster.

use std::future::poll_fn;
use std::ops::Range;

use moat_platform::{APPLICATION_END, APPLICATION_START, Protection, Text};

use super::MemoryManager;
use super::vma::{Backing, Vma, VmaMap};

/// Above where mmap searches there is room up to the stack, but for what that may grow to.
const BELOW_STACK: u64 = 32 << 20;
/// A stack that is yet to be made will be above this.
const LOWEST_STACK: u64 = APPLICATION_END - (272 << 20);
/// Little is lost if mmap's first gap is further down.
const ABOVE_MAPPINGS: u64 = 16 << 20;
/// How far from a text its room may be: what a 32-bit displacement reaches, with some to spare.
const REACH: u64 = 3 << 29;
/// How far above a program its room is, for its heap to grow.
const HEAP: u64 = 1 << 29;
/// Bytes of that room.
const ROOM: u64 = 64 << 20;

impl MemoryManager {
    /// Offers the text around a call that is made often.
    pub async fn hasten(&self, call: u64) {
        let _guard = self.lock_map().await;
        let vma = self.vmas().find(call).cloned();
        if let Some(vma) = vma {
            self.offer(&vma, true).await;
        }
    }

    /// Offers a mapping, if it is text. The caller holds the map lock.
    pub(super) async fn offer(&self, vma: &Vma, hot: bool) {
        let Some(text) = self.text(vma, hot) else { return };
        // The application goes on without it.
        let _ = poll_fn(|cx| self.space().poll_hasten(cx, &text)).await;
    }

    fn text(&self, vma: &Vma, hot: bool) -> Option<Text> {
        let executed = vma.protection.contains(Protection::EXEC) && !vma.protection.contains(Protection::WRITE);
        let Backing::File { host, offset, .. } = &vma.backing else { return None };
        if !executed || vma.shared || vma.was_writable {
            return None;
        }
        let room = room(&self.vmas(), vma, self.layout().mmap_top)?;
        Some(Text {
            at: vma.start,
            len: vma.len(),
            protection: vma.protection,
            file: host.file.clone(),
            offset: *offset,
            room,
            hot,
        })
    }
}

/// Free addresses near a text where mmap is not likely to come by: above all mappings for the libraries below them, above
/// its heap for a program.
fn room(vmas: &VmaMap, text: &Vma, mmap_top: u64) -> Option<Range<u64>> {
    if text.end <= mmap_top && mmap_top - text.start < REACH {
        let start = mmap_top + ABOVE_MAPPINGS;
        let stack = vmas.find_above(start).map_or(LOWEST_STACK, |v| v.start);
        let end = stack.saturating_sub(BELOW_STACK).min(text.start + REACH);
        return (start < end).then_some(start..end);
    }
    let bottom = text.end.checked_add(HEAP)?.max(APPLICATION_START);
    let start = vmas.find_gap(ROOM, bottom, text.start.checked_add(REACH)?)?;
    Some(start..start + ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(start: u64, end: u64) -> Vma {
        Vma::anonymous(start, end, Protection::READ | Protection::EXEC)
    }

    #[test]
    fn libraries_have_room_below_the_stack_and_programs_above_their_heap() {
        const TOP: u64 = 0x7fff_d000_0000;
        let mut vmas = VmaMap::default();
        vmas.insert(area(0x7fff_e800_0000, 0x7fff_e810_0000));
        let library = area(TOP - 0x20_0000, TOP - 0x10_0000);
        assert_eq!(room(&vmas, &library, TOP), Some(0x7fff_d100_0000..0x7fff_e600_0000));
        let program = area(0x40_1000, 0x50_0000);
        let found = room(&vmas, &program, TOP).unwrap();
        assert!(found.start > 0x2000_0000 && found.end < 0x8000_0000);
    }
}
