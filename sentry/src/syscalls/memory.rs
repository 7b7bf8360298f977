//! Memory (mmap(2), mprotect(2), mremap(2), madvise(2), brk(2), mlock(2), msync(2), mincore(2)).

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mman::{MapFlags, MremapFlags, MsyncFlags, Prot};
use moat_abi::resource::Resource;
use moat_platform::PAGE_SIZE;

use super::arguments::{Address, Fd, OutBytes, Pid, UserOpaque};
use crate::Result;
use crate::kernel::Current;
use crate::mm::map::{MapLimits, MapRequest, protection_of};
use crate::mm::page_round_up;
use crate::mm::vma::Backing;

fn limits(current: &Current) -> MapLimits {
    let group = current.group_ref();
    MapLimits { address_space: group.limit(Resource::AddressSpace), data: group.limit(Resource::Data) }
}

/// mmap(2).
pub async fn mmap(
    current: &mut Current,
    address: Address,
    len: u64,
    prot: Prot,
    flags: MapFlags,
    fd: Fd,
    offset: u64,
) -> Result<Address> {
    if !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(MapFlags::HUGETLB) {
        // No huge pages are reserved here.
        return Err(Errno::ENOMEM);
    }
    let file = if flags.contains(MapFlags::ANONYMOUS) {
        None
    } else {
        let file = current.files().get(fd.0)?;
        if file.flags().contains(OpenFlags::PATH) {
            return Err(Errno::EBADF);
        }
        Some((file, offset))
    };
    let memory = current.memory_manager();
    let request = MapRequest { address: address.0, len, protection: protection_of(prot), flags, file, label: None };
    memory.map(request, limits(current)).await.map(Address)
}

/// munmap(2).
pub async fn munmap(current: &mut Current, address: Address, len: u64) -> Result<()> {
    current.memory_manager().unmap(address.0, len).await
}

/// mprotect(2).
pub async fn mprotect(current: &mut Current, address: Address, len: u64, prot: Prot) -> Result<()> {
    let known = Prot::READ | Prot::WRITE | Prot::EXEC | Prot::SEM | Prot::GROWSDOWN | Prot::GROWSUP;
    if prot.bits() & !known.bits() != 0 {
        return Err(Errno::EINVAL);
    }
    current.memory_manager().protect(address.0, len, prot).await
}

/// pkey_mprotect(2) without a key; there are none here.
pub async fn pkey_mprotect(current: &mut Current, address: Address, len: u64, prot: Prot, key: i32) -> Result<()> {
    if key != -1 {
        return Err(Errno::EINVAL);
    }
    mprotect(current, address, len, prot).await
}

/// mremap(2).
pub async fn mremap(
    current: &mut Current,
    old: Address,
    old_len: u64,
    new_len: u64,
    flags: MremapFlags,
    new: Address,
) -> Result<Address> {
    let memory = current.memory_manager();
    memory.remap(old.0, old_len, new_len, flags, new.0, limits(current)).await.map(Address)
}

/// madvise(2).
pub async fn madvise(current: &mut Current, address: Address, len: u64, advice: i32) -> Result<()> {
    current.memory_manager().advise(address.0, len, advice).await
}

/// brk(2): the new break, or the old one if it cannot be had.
pub async fn brk(current: &mut Current, address: Address) -> Result<Address> {
    let memory = current.memory_manager();
    Ok(Address(memory.set_brk(address.0, limits(current)).await))
}

fn lock_limit(current: &Current, more: u64) -> Result<()> {
    use moat_abi::capability::CapabilitySet;
    if current.credentials().has(CapabilitySet::IPC_LOCK) {
        return Ok(());
    }
    let limit = current.group_ref().limit(Resource::LockedMemory);
    match limit {
        0 => Err(Errno::EPERM),
        _ if current.memory_manager().locked_bytes().saturating_add(more) > limit => Err(Errno::ENOMEM),
        _ => Ok(()),
    }
}

/// mlock(2).
pub async fn mlock(current: &mut Current, address: Address, len: u64) -> Result<()> {
    lock_limit(current, len)?;
    current.memory_manager().lock_range(address.0, len, true).await
}

/// mlock2(2).
pub async fn mlock2(current: &mut Current, address: Address, len: u64, flags: u32) -> Result<()> {
    if flags & !1 != 0 {
        return Err(Errno::EINVAL);
    }
    mlock(current, address, len).await
}

/// munlock(2).
pub async fn munlock(current: &mut Current, address: Address, len: u64) -> Result<()> {
    current.memory_manager().lock_range(address.0, len, false).await
}

/// mlockall(2).
pub fn mlockall(current: &mut Current, flags: u32) -> Result<()> {
    const CURRENT: u32 = 1;
    if flags == 0 || flags & !7 != 0 || flags == 4 {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory_manager();
    let total = memory.vmas().total();
    lock_limit(current, total)?;
    if flags & CURRENT != 0 {
        memory.lock_all(true);
    }
    Ok(())
}

/// munlockall(2).
pub fn munlockall(current: &mut Current) -> Result<()> {
    current.memory_manager().lock_all(false);
    Ok(())
}

/// msync(2): shared file mappings lie in the host's page cache, which writes them back; MS_SYNC does it now.
pub fn msync(current: &mut Current, address: Address, len: u64, flags: MsyncFlags) -> Result<()> {
    let both = MsyncFlags::ASYNC | MsyncFlags::SYNC;
    if !address.0.is_multiple_of(PAGE_SIZE) || flags.bits() & !7 != 0 || flags.contains(both) {
        return Err(Errno::EINVAL);
    }
    let end = page_round_up(len).and_then(|l| address.0.checked_add(l)).ok_or(Errno::ENOMEM)?;
    let (parts, whole) = {
        let memory = current.memory_manager();
        let vmas = memory.vmas();
        (vmas.within(address.0, end), vmas.covers(address.0, end))
    };
    for part in &parts {
        if flags.contains(MsyncFlags::INVALIDATE) && part.locked {
            return Err(Errno::EBUSY);
        }
        if let (true, true, Backing::File { file, .. }) = (flags.contains(MsyncFlags::SYNC), part.shared, &part.backing)
        {
            file.raw_operations().sync(file, true)?;
        }
    }
    if whole { Ok(()) } else { Err(Errno::ENOMEM) }
}

/// mincore(2): what is mapped counts as resident, since nothing here is swapped.
pub fn mincore(current: &mut Current, address: Address, len: u64, vector: OutBytes<1>) -> Result<()> {
    if !address.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let pages = page_round_up(len).ok_or(Errno::ENOMEM)? / PAGE_SIZE;
    let end = pages.checked_mul(PAGE_SIZE).and_then(|l| address.0.checked_add(l)).ok_or(Errno::ENOMEM)?;
    if !current.memory_manager().vmas().covers(address.0, end) {
        return Err(Errno::ENOMEM);
    }
    let memory = current.memory();
    let ones = [1u8; 4096];
    let mut done = 0;
    while done < pages {
        let n = (pages - done).min(4096);
        memory.write_bytes(vector.0 + done, &ones[..n as usize])?;
        done += n;
    }
    Ok(())
}

/// process_vm_readv(2).
pub fn process_vm_readv(
    current: &mut Current,
    pid: Pid,
    local: UserOpaque,
    local_count: usize,
    remote: UserOpaque,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    process_vm(current, pid.0, local.0, local_count, remote.0, remote_count, false)
}

/// process_vm_writev(2).
pub fn process_vm_writev(
    current: &mut Current,
    pid: Pid,
    local: UserOpaque,
    local_count: usize,
    remote: UserOpaque,
    remote_count: usize,
    flags: u64,
) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    process_vm(current, pid.0, local.0, local_count, remote.0, remote_count, true)
}

fn process_vm(
    current: &mut Current,
    pid: i32,
    local: u64,
    local_count: usize,
    remote: u64,
    remote_count: usize,
    write: bool,
) -> Result<usize> {
    use super::file::{gather, read_iovec, scatter};
    let own = current.memory();
    let locals = read_iovec(&own, local, local_count)?;
    let remotes = read_iovec(&own, remote, remote_count)?;
    let task = current.kernel().tree().task(u32::try_from(pid).map_err(|_| Errno::ESRCH)?).ok_or(Errno::ESRCH)?;
    super::process::may_trace(current, &task)?;
    let other = task.memory_manager().user();
    let (from, to) = if write { ((&own, &locals), (&other, &remotes)) } else { ((&other, &remotes), (&own, &locals)) };
    let total = |segments: &[(u64, usize)]| segments.iter().map(|s| s.1).sum::<usize>();
    let total = total(from.1).min(total(to.1));
    let mut done = 0;
    while done < total {
        let bytes = match gather(from.0, from.1, done, (total - done).min(64 << 10)) {
            Ok(bytes) => bytes,
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        };
        match scatter(to.0, to.1, done, &bytes) {
            Ok(()) => done += bytes.len(),
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
