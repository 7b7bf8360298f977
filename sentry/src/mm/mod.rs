//! Memory management: the VMAs of each address space and their policy. The pages are the platform's.
//!
//! A change is made in three steps under the map lock: check it against the VMAs, let the platform make it, record it.
//! If the platform refuses (`ENOMEM`), nothing is recorded.

pub mod brk;
pub mod call;
pub mod map;
pub mod map_lock;
pub mod remap;
mod text;
pub mod user;
pub mod vma;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use moat_abi::errno::Errno;
use moat_platform::{APPLICATION_END, AddressSpace, Change, PAGE_SIZE, PlatformError, Protection, Source};

use crate::Result;
use crate::sync::{Mutex, MutexGuard, Rank};
use map_lock::{MapGuard, MapLock};
use user::UserMemory;
use vma::{Backing, Vma, VmaMap};

/// The most VMAs of one address space (`vm.max_map_count`).
pub const MAX_MAP_COUNT: usize = 65_530;

/// Below this mmap searches until the stack is there: its random offset and the least gap stay free.
const MMAP_TOP: u64 = APPLICATION_END - (512 << 20);

/// Addresses that /proc and prctl(PR_SET_MM) know by name.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the names of `struct prctl_mm_map`")]
pub struct Layout {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    pub vdso: u64,
    /// Below this mmap searches.
    pub mmap_top: u64,
}

/// The memory of a process, shared by tasks made with CLONE_VM.
pub struct MemoryManager {
    space: Arc<dyn AddressSpace>,
    map_lock: MapLock,
    vmas: Mutex<VmaMap>,
    layout: Mutex<Layout>,
    auxv: Mutex<Vec<u8>>,
    /// Identity for private futexes and for KCMP_VM.
    pub id: u64,
    /// Processes that use it; a vfork child counts.
    users: AtomicUsize,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl MemoryManager {
    /// The memory of `space`, with nothing mapped.
    pub fn new(space: Arc<dyn AddressSpace>) -> Arc<Self> {
        let layout = Layout { mmap_top: MMAP_TOP, ..Layout::default() };
        Arc::new(Self::with(space, VmaMap::default(), layout, Vec::new()))
    }

    fn with(space: Arc<dyn AddressSpace>, vmas: VmaMap, layout: Layout, auxv: Vec<u8>) -> Self {
        Self {
            space,
            map_lock: MapLock::default(),
            vmas: Mutex::new(Rank::Vmas, vmas),
            layout: Mutex::new(Rank::Leaf, layout),
            auxv: Mutex::new(Rank::Leaf, auxv),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            users: AtomicUsize::new(1),
        }
    }

    /// Counts one process more.
    pub fn join(&self) {
        self.users.fetch_add(1, Ordering::AcqRel);
    }

    /// One process less. The last leaves nothing mapped, whoever still looks at this: what its mappings kept open is free
    /// when others learn that the process has ended.
    pub fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            let vmas = std::mem::take(&mut *self.vmas.lock());
            drop(vmas);
        }
    }

    /// Whether a process uses it.
    pub fn in_use(&self) -> bool {
        self.users.load(Ordering::Acquire) > 0
    }

    /// The platform's side.
    pub fn space(&self) -> &Arc<dyn AddressSpace> {
        &self.space
    }

    /// For copies.
    pub fn user(&self) -> UserMemory {
        UserMemory::new(self.space.clone())
    }

    /// Waits for the right to change mappings.
    pub async fn lock_map(&self) -> MapGuard<'_> {
        self.map_lock.lock().await
    }

    /// The VMAs, for a look.
    pub fn vmas(&self) -> MutexGuard<'_, VmaMap> {
        self.vmas.lock()
    }

    /// The named addresses.
    pub fn layout(&self) -> Layout {
        *self.layout.lock()
    }

    /// Changes the named addresses.
    pub fn update_layout(&self, change: impl FnOnce(&mut Layout)) {
        change(&mut self.layout.lock());
    }

    /// The auxiliary vector, for /proc/PID/auxv.
    pub fn auxv(&self) -> Vec<u8> {
        self.auxv.lock().clone()
    }

    /// Records the auxiliary vector.
    pub fn set_auxv(&self, auxv: Vec<u8>) {
        *self.auxv.lock() = auxv;
    }

    /// Lets the platform make changes. `ENOMEM` and friends are the host's.
    pub async fn apply(&self, changes: &[Change]) -> Result<()> {
        poll_fn(|cx| self.space.poll_apply(cx, changes)).await.map_err(|(_, e)| errno_of(e))
    }

    /// A copy for a forked child: the platform copies the pages, the VMAs come along but for MADV_DONTFORK.
    pub async fn fork(&self) -> Result<(Arc<Self>, Arc<dyn AddressSpace>)> {
        let _guard = self.lock_map().await;
        let space = poll_fn(|cx| self.space.poll_fork(cx)).await.map_err(errno_of)?;
        let mut vmas = self.vmas.lock().clone();
        let mut changes = Vec::new();
        for vma in self.vmas.lock().iter() {
            if vma.dont_fork {
                changes.push(Change::Unmap { at: vma.start, len: vma.len() });
            } else if vma.wipe_on_fork {
                changes.push(Change::Map {
                    at: vma.start,
                    len: vma.len(),
                    protection: vma.protection,
                    source: Source::Anonymous,
                    populate: false,
                });
            }
        }
        for change in &changes {
            if let Change::Unmap { at, len } = change {
                vmas.remove(*at, at + len);
            }
        }
        let copy = Arc::new(Self::with(space.clone(), vmas, self.layout(), self.auxv()));
        copy.apply(&changes).await?;
        Ok((copy, space))
    }

    /// Whether every byte of the range may be accessed so, as far as the VMAs tell.
    pub fn allows(&self, start: u64, len: u64, protection: Protection) -> bool {
        let Some(end) = start.checked_add(len) else { return false };
        let vmas = self.vmas.lock();
        let mut at = start;
        while at < end {
            match vmas.find(at) {
                Some(vma) if vma.protection.contains(protection) => at = vma.end,
                _ => return false,
            }
        }
        true
    }

    /// What a futex in shared memory is known by: the host file and the offset in it. `None` for private memory, `EFAULT`
    /// where nothing is mapped.
    pub fn shared_key(&self, address: u64) -> Result<Option<(u64, u64)>> {
        let vmas = self.vmas.lock();
        let vma = vmas.find(address).ok_or(Errno::EFAULT)?;
        if !vma.shared {
            return Ok(None);
        }
        Ok(match &vma.backing {
            Backing::Anonymous => None,
            Backing::File { host, offset, .. } | Backing::SharedAnonymous { host, offset, .. } => {
                Some((host.file.id(), offset + (address - vma.start)))
            }
        })
    }

    /// Grows a MAP_GROWSDOWN mapping to take in `address`, in steps of 128 KiB. False if there is none to grow.
    pub async fn grow_stack(&self, address: u64, limit: u64) -> bool {
        const STEP: u64 = 128 << 10;
        let _guard = self.lock_map().await;
        let page = address & !(PAGE_SIZE - 1);
        let (vma, floor) = {
            let vmas = self.vmas.lock();
            if vmas.find(page).is_some() {
                return false;
            }
            let Some(vma) = vmas.find_above(page).filter(|v| v.grows_down && !v.shared).cloned() else { return false };
            let floor = vmas.iter().rev().find(|v| v.end <= page).map_or(0, |v| v.end + 256 * PAGE_SIZE);
            (vma, floor)
        };
        let start = (page.saturating_sub(STEP) & !(STEP - 1)).max(floor);
        if page < start || vma.end - page > limit {
            return false;
        }
        let start = start.max(vma.end.saturating_sub(limit) & !(PAGE_SIZE - 1)).min(page);
        let change = Change::Map {
            at: start,
            len: vma.start - start,
            protection: vma.protection,
            source: Source::Anonymous,
            populate: false,
        };
        if self.apply(&[change]).await.is_err() {
            return false;
        }
        let mut grown = vma.clone();
        grown.start = start;
        let mut vmas = self.vmas.lock();
        vmas.remove(vma.start, vma.end);
        vmas.insert(grown);
        true
    }
}

/// What a refusal of the platform is to the application.
pub fn errno_of(error: PlatformError) -> Errno {
    match error {
        PlatformError::Host(errno) => Errno::from_raw(errno),
        PlatformError::Dead => Errno::ESRCH,
    }
}

/// A length rounded up to pages. `None` if it overflows.
pub fn page_round_up(len: u64) -> Option<u64> {
    len.checked_add(PAGE_SIZE - 1).map(|l| l & !(PAGE_SIZE - 1))
}

/// Whether a range lies in what an application may map.
pub fn is_application_range(start: u64, len: u64) -> bool {
    start.checked_add(len).is_some_and(|end| end <= APPLICATION_END)
}

/// What the platform is to map for a VMA.
pub fn source_of(vma: &Vma) -> Source {
    match &vma.backing {
        Backing::Anonymous => Source::Anonymous,
        Backing::File { host, offset, .. } | Backing::SharedAnonymous { host, offset, .. } => {
            if vma.shared {
                Source::Shared { file: host.file.clone(), offset: *offset }
            } else {
                Source::Private { file: host.file.clone(), offset: *offset }
            }
        }
    }
}
