//! brk(2).

use moat_abi::mman::MapFlags;
use moat_platform::{Change, Protection};

use super::map::{MapLimits, MapRequest};
use super::{MemoryManager, page_round_up};

impl MemoryManager {
    /// `brk`: moves the end of the heap to `to` if it can, and returns where it is then.
    pub async fn set_brk(&self, to: u64, limits: MapLimits) -> u64 {
        let _guard = self.lock_map().await;
        let layout = self.layout();
        if to < layout.start_brk || to - layout.start_brk > limits.data {
            return layout.brk;
        }
        let (Some(old), Some(new)) = (page_round_up(layout.brk), page_round_up(to)) else { return layout.brk };
        if new < old {
            if self.apply(&[Change::Unmap { at: new, len: old - new }]).await.is_err() {
                return layout.brk;
            }
            let removed = self.vmas.lock().remove(new, old);
            drop(removed);
        } else if new > old {
            // A gap of a guard stays free above the heap.
            if self.vmas.lock().find_above(old).is_some_and(|v| v.start < new.saturating_add(moat_platform::PAGE_SIZE))
            {
                return layout.brk;
            }
            let request = MapRequest {
                address: old,
                len: new - old,
                protection: Protection::READ | Protection::WRITE,
                flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED,
                file: None,
                label: Some("[heap]"),
            };
            if self.map_locked(request, limits).await.is_err() {
                return layout.brk;
            }
        }
        self.update_layout(|l| l.brk = to);
        to
    }
}
