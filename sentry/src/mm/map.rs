//! mmap, munmap, mprotect, madvise, mlock, msync, mincore.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::mman::{MapFlags, Prot};
use moat_abi::stat::FileType;
use moat_host::HostFile;
use moat_platform::{APPLICATION_START, Change, PAGE_SIZE, Protection};

use super::vma::{Backing, Vma};
use super::{MAX_MAP_COUNT, MemoryManager, is_application_range, page_round_up, source_of};
use crate::Result;
use crate::fs::OpenFile;
use crate::fs::file::Mappable;

/// The end of the addresses that Linux gives an application.
const TASK_SIZE: u64 = (1 << 47) - PAGE_SIZE;

/// Limits that apply to a change, read from the process beforehand.
#[derive(Clone, Copy, Debug)]
pub struct MapLimits {
    /// RLIMIT_AS in bytes.
    pub address_space: u64,
    /// RLIMIT_DATA in bytes.
    pub data: u64,
}

/// What to map and where.
pub struct MapRequest {
    /// The address, or a hint.
    pub address: u64,
    /// Length in bytes; rounded up to pages.
    pub len: u64,
    /// What the application may do.
    pub protection: Protection,
    /// MAP_*.
    pub flags: MapFlags,
    /// The file and the offset in it; `None` for anonymous memory.
    pub file: Option<(Arc<OpenFile>, u64)>,
    /// What /proc calls it.
    pub label: Option<&'static str>,
}

impl MemoryManager {
    /// `mmap`. Returns the address.
    pub async fn map(&self, request: MapRequest, limits: MapLimits) -> Result<u64> {
        let guard = self.lock_map().await;
        let at = self.map_locked(request, limits).await;
        drop(guard);
        at
    }

    /// The same, for a caller that holds the map lock.
    pub async fn map_locked(&self, request: MapRequest, limits: MapLimits) -> Result<u64> {
        let MapRequest { address, len, protection, flags, file, label } = request;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        let len = page_round_up(len).ok_or(Errno::ENOMEM)?;
        let at = self.place(address, len, flags)?;
        if let Some((file, offset)) = &file {
            let greatest = if is_endless(file) { u64::MAX } else { i64::MAX as u64 };
            offset.checked_add(len).filter(|&end| end <= greatest).ok_or(Errno::EOVERFLOW)?;
        }
        check_kind(flags, file.is_some())?;
        let shared = flags.is_shared();
        let backing = match file {
            Some((file, offset)) => file_backing(file, offset, protection, flags)?,
            None if shared => shared_anonymous(len)?,
            None => Backing::Anonymous,
        };
        let may_write = match &backing {
            Backing::File { host, .. } if shared => host.writable,
            _ => true,
        };
        let vma = Vma {
            start: at,
            end: at + len,
            protection,
            shared,
            backing,
            label,
            grows_down: flags.contains(MapFlags::GROWSDOWN),
            locked: flags.contains(MapFlags::LOCKED),
            dont_fork: false,
            wipe_on_fork: false,
            may_write,
            was_writable: protection.contains(Protection::WRITE),
        };
        {
            let vmas = self.vmas.lock();
            let replaced: u64 = vmas.within(at, at + len).iter().map(Vma::len).sum();
            if vmas.count() >= MAX_MAP_COUNT {
                return Err(Errno::ENOMEM);
            }
            let total = vmas.total() - replaced;
            if total.saturating_add(len) > limits.address_space {
                return Err(Errno::ENOMEM);
            }
        }
        let populate = flags.intersects(MapFlags::POPULATE | MapFlags::LOCKED) && !flags.contains(MapFlags::NONBLOCK);
        self.apply(&[Change::Map { at, len, protection, source: source_of(&vma), populate }]).await?;
        let replaced = {
            let mut vmas = self.vmas.lock();
            let replaced = vmas.remove(at, at + len);
            vmas.insert(vma.clone());
            replaced
        };
        // The last reference to a file may end here, which takes other locks.
        drop(replaced);
        self.offer(&vma, false).await;
        Ok(at)
    }

    fn place(&self, address: u64, len: u64, flags: MapFlags) -> Result<u64> {
        let fixed = flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE);
        let vmas = self.vmas.lock();
        if fixed {
            if !address.is_multiple_of(PAGE_SIZE) {
                return Err(Errno::EINVAL);
            }
            if !is_application_range(address, len) {
                return Err(Errno::ENOMEM);
            }
            if address < APPLICATION_START {
                return Err(Errno::EPERM);
            }
            if flags.contains(MapFlags::FIXED_NOREPLACE)
                && vmas.find_above(address).is_some_and(|v| v.start < address + len)
            {
                return Err(Errno::EEXIST);
            }
            return Ok(address);
        }
        let hint = page_round_up(address).unwrap_or(0);
        if hint >= APPLICATION_START
            && is_application_range(hint, len)
            && vmas.find_above(hint).is_none_or(|v| v.start >= hint + len)
        {
            return Ok(hint);
        }
        let top = self.layout().mmap_top;
        if flags.contains(MapFlags::BITS_32) {
            return vmas.find_gap(len, 0x4000_0000, 0x8000_0000).ok_or(Errno::ENOMEM);
        }
        vmas.find_gap(len, APPLICATION_START, top)
            .or_else(|| vmas.find_gap(len, APPLICATION_START, moat_platform::APPLICATION_END))
            .ok_or(Errno::ENOMEM)
    }

    /// `munmap`.
    pub async fn unmap(&self, start: u64, len: u64) -> Result<()> {
        if !start.is_multiple_of(PAGE_SIZE) || len == 0 {
            return Err(Errno::EINVAL);
        }
        let len = page_round_up(len).ok_or(Errno::EINVAL)?;
        // Behind the application's part there is nothing that it could take away, up to Linux's end of it all.
        start.checked_add(len).filter(|&end| end <= TASK_SIZE).ok_or(Errno::EINVAL)?;
        let len = len.min(moat_platform::APPLICATION_END.saturating_sub(start));
        let guard = self.lock_map().await;
        let nothing = {
            let vmas = self.vmas.lock();
            let parts = vmas.within(start, start + len);
            if vmas.count() >= MAX_MAP_COUNT
                && parts.iter().any(|p| vmas.find(p.start).is_some_and(|v| v.len() > p.len()))
            {
                return Err(Errno::ENOMEM);
            }
            parts.is_empty()
        };
        if nothing {
            return Ok(());
        }
        self.apply(&[Change::Unmap { at: start, len }]).await?;
        let removed = self.vmas.lock().remove(start, start + len);
        drop(guard);
        drop(removed);
        Ok(())
    }

    /// `mprotect`.
    pub async fn protect(&self, start: u64, len: u64, prot: Prot) -> Result<()> {
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let len = page_round_up(len).ok_or(Errno::ENOMEM)?;
        if len == 0 {
            return Ok(());
        }
        if !is_application_range(start, len) {
            return Err(Errno::ENOMEM);
        }
        let protection = protection_of(prot);
        let _guard = self.lock_map().await;
        let (mut from, mut to) = (start, start + len);
        {
            let vmas = self.vmas.lock();
            if prot.intersects(Prot::GROWSDOWN) {
                from = vmas.find(start).filter(|v| v.grows_down).ok_or(Errno::EINVAL)?.start;
            }
            if prot.intersects(Prot::GROWSUP) {
                return Err(Errno::EINVAL);
            }
            // Linux changes what it can up to the first hole or refusal; we change nothing, then report it.
            if !vmas.covers(from, to) {
                let hole = first_hole(&vmas.within(from, to), from);
                if hole == from {
                    return Err(Errno::ENOMEM);
                }
                to = hole;
            }
            if protection.contains(Protection::WRITE) && vmas.within(from, to).iter().any(|v| v.shared && !v.may_write)
            {
                return Err(Errno::EACCES);
            }
        }
        self.apply(&[Change::Protect { at: from, len: to - from, protection }]).await?;
        self.vmas.lock().update(from, to, |v| {
            v.protection = protection;
            v.was_writable |= protection.contains(Protection::WRITE);
        });
        if to < start + len { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// `madvise`. Advice that only hints is accepted and ignored.
    pub async fn advise(&self, start: u64, len: u64, advice: i32) -> Result<()> {
        use moat_abi::mman::advice as a;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let len = page_round_up(len).ok_or(Errno::EINVAL)?;
        if !is_application_range(start, len) {
            return Err(Errno::ENOMEM);
        }
        let known = matches!(
            advice,
            a::NORMAL
                | a::RANDOM
                | a::SEQUENTIAL
                | a::WILLNEED
                | a::DONTNEED
                | a::FREE
                | a::REMOVE
                | a::DONTFORK
                | a::DOFORK
                | a::MERGEABLE
                | a::UNMERGEABLE
                | a::HUGEPAGE
                | a::NOHUGEPAGE
                | a::DONTDUMP
                | a::DODUMP
                | a::WIPEONFORK
                | a::KEEPONFORK
                | a::COLD
                | a::PAGEOUT
                | a::POPULATE_READ
                | a::POPULATE_WRITE
                | a::DONTNEED_LOCKED
        );
        if !known {
            return Err(Errno::EINVAL);
        }
        if len == 0 {
            return Ok(());
        }
        let _guard = self.lock_map().await;
        let parts = self.vmas.lock().within(start, start + len);
        let hole = !self.vmas.lock().covers(start, start + len);
        let mut changes = Vec::new();
        for part in &parts {
            match advice {
                a::DONTNEED | a::FREE | a::DONTNEED_LOCKED => {
                    if part.locked && advice != a::DONTNEED_LOCKED {
                        return Err(Errno::EINVAL);
                    }
                    if advice == a::FREE && (part.shared || !matches!(part.backing, Backing::Anonymous)) {
                        return Err(Errno::EINVAL);
                    }
                    changes.push(Change::Advise { at: part.start, len: part.len(), advice: a::DONTNEED });
                }
                a::WIPEONFORK if part.shared || !matches!(part.backing, Backing::Anonymous) => {
                    return Err(Errno::EINVAL);
                }
                a::REMOVE => {
                    if !part.shared || !part.may_write {
                        return Err(if part.shared { Errno::EACCES } else { Errno::EINVAL });
                    }
                    changes.push(Change::Advise { at: part.start, len: part.len(), advice: a::REMOVE });
                }
                a::POPULATE_READ | a::POPULATE_WRITE => {
                    changes.push(Change::Advise { at: part.start, len: part.len(), advice });
                }
                _ => {}
            }
        }
        self.apply(&changes).await?;
        let mut vmas = self.vmas.lock();
        match advice {
            a::DONTFORK => vmas.update(start, start + len, |v| v.dont_fork = true),
            a::DOFORK => vmas.update(start, start + len, |v| v.dont_fork = false),
            a::WIPEONFORK => vmas.update(start, start + len, |v| v.wipe_on_fork = true),
            a::KEEPONFORK => vmas.update(start, start + len, |v| v.wipe_on_fork = false),
            _ => {}
        }
        if hole { Err(Errno::ENOMEM) } else { Ok(()) }
    }

    /// `mlock` and `munlock`: recorded for /proc and for what MADV_DONTNEED refuses. Nothing here is ever swapped by us.
    pub async fn lock_range(&self, start: u64, len: u64, locked: bool) -> Result<()> {
        let offset = start % PAGE_SIZE;
        let from = start - offset;
        let len = page_round_up(len.checked_add(offset).ok_or(Errno::EINVAL)?).ok_or(Errno::EINVAL)?;
        if len == 0 {
            return Ok(());
        }
        let _guard = self.lock_map().await;
        let mut vmas = self.vmas.lock();
        if !is_application_range(from, len) || !vmas.covers(from, from + len) {
            return Err(Errno::ENOMEM);
        }
        vmas.update(from, from + len, |v| v.locked = locked);
        Ok(())
    }

    /// `mlockall` and `munlockall` for what is mapped now.
    pub fn lock_all(&self, locked: bool) {
        self.vmas.lock().update(0, moat_platform::APPLICATION_END, |v| v.locked = locked);
    }

    /// Bytes locked.
    pub fn locked_bytes(&self) -> u64 {
        self.vmas.lock().iter().filter(|v| v.locked).map(Vma::len).sum()
    }
}

/// The platform's protection for mmap's.
pub fn protection_of(prot: Prot) -> Protection {
    Protection::from_bits_truncate(prot.bits())
}

fn first_hole(parts: &[Vma], start: u64) -> u64 {
    let mut at = start;
    for part in parts {
        if part.start > at {
            break;
        }
        at = part.end;
    }
    at
}

/// Only files have MAP_SHARED_VALIDATE, and only with flags that it knows; only private memory grows.
fn check_kind(flags: MapFlags, of_file: bool) -> Result<()> {
    // MAP_UNINITIALIZED is accepted and without effect, like the other flags that are older than MAP_SHARED_VALIDATE.
    const UNINITIALIZED: u32 = 0x400_0000;
    const LEGACY: u32 = 0xf | 0x10 | 0x20 | 0x40 | 0x80 | 0x100 | 0x1_f800 | 0x2_0000 | 0x10_0000 | UNINITIALIZED;
    match (flags.kind(), of_file) {
        (1, false) if flags.contains(MapFlags::GROWSDOWN) => Err(Errno::EINVAL),
        (3, true) if flags.bits() & !LEGACY != 0 => Err(Errno::EOPNOTSUPP),
        (1 | 2, _) | (3, true) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Files that are no regular ones have no greatest offset.
fn is_endless(file: &OpenFile) -> bool {
    let inode = file.path().and_then(|path| path.inode().ok());
    inode.is_some_and(|inode| inode.file_type() != FileType::Regular)
}

fn file_backing(file: Arc<OpenFile>, offset: u64, protection: Protection, flags: MapFlags) -> Result<Backing> {
    let shared = flags.is_shared();
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let operations = file.operations()?.clone();
    if !file.readable() || (shared && protection.contains(Protection::WRITE) && !file.writable()) {
        return Err(Errno::EACCES);
    }
    if protection.contains(Protection::EXEC)
        && file.path().is_some_and(|p| p.mount.flags().contains(moat_abi::mount::MountFlags::NOEXEC))
    {
        return Err(Errno::EPERM);
    }
    let mut host = operations.mappable(&file)?;
    if flags.contains(MapFlags::GROWSDOWN) {
        return Err(Errno::EINVAL);
    }
    if shared && protection.contains(Protection::WRITE) && host.writer.is_some() && !host.writable {
        // Sealed.
        return Err(Errno::EPERM);
    }
    host.writable &= file.writable();
    if !shared || !host.writable {
        host.writer = None;
    }
    if shared && protection.contains(Protection::WRITE) && !host.writable {
        return Err(Errno::EACCES);
    }
    Ok(Backing::File { file, host, offset })
}

fn shared_anonymous(len: u64) -> Result<Backing> {
    let file = HostFile::memory("shared").map_err(Errno::from_raw)?;
    file.set_len(len).map_err(Errno::from_raw)?;
    let inode = file.id();
    Ok(Backing::SharedAnonymous {
        host: Mappable { file: Arc::new(file), writable: true, writer: None },
        offset: 0,
        inode,
    })
}
