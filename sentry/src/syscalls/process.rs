//! Processes and threads (clone(2), fork(2), exit(2), unshare(2), setns(2), pidfd_open(2)).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::sched::{CloneArgs, CloneFlags};
use moat_abi::signal::SIGCHLD;

use super::arguments::{Address, Fd, In, Out, Pid, UserOpaque};
use crate::Result;
use crate::fs::pidfd::{self, PidFd};
use crate::kernel::clone::{CloneRequest, NAMESPACES};
use crate::kernel::{Current, Task, clone as tasks, exit as ends};

/// clone(2).
pub async fn clone(
    current: &mut Current,
    flags: CloneFlags,
    stack: Address,
    parent_tid: UserOpaque,
    child_tid: UserOpaque,
    tls: Address,
) -> Result<u32> {
    // A number that is no signal is taken, and none is sent.
    let exit_signal = Some((flags.bits() & 0xff) as u32).filter(|&signal| signal <= 64).unwrap_or(0);
    let flags = CloneFlags::from_bits_retain(flags.bits() & 0xffff_ff00);
    if flags.contains(CloneFlags::PIDFD) && flags.contains(CloneFlags::PARENT_SETTID) {
        return Err(Errno::EINVAL);
    }
    let request = CloneRequest {
        flags,
        exit_signal,
        stack: stack.0,
        parent_tid: parent_tid.0,
        child_tid: child_tid.0,
        tls: tls.0,
        pidfd: parent_tid.0,
    };
    tasks::clone(current, request).await
}

/// clone3(2).
pub async fn clone3(current: &mut Current, args: In<CloneArgs>, size: usize) -> Result<u32> {
    const VERSION_0: usize = 64;
    let whole = size_of::<CloneArgs>();
    if size < VERSION_0 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let memory = current.memory();
    let mut bytes = vec![0u8; size.max(whole)];
    memory.read_bytes(args.address(), &mut bytes[..size])?;
    if bytes[whole..].iter().any(|&b| b != 0) {
        return Err(Errno::E2BIG);
    }
    let args = <CloneArgs as zerocopy::FromBytes>::read_from_bytes(&bytes[..whole]).map_err(|_| Errno::EINVAL)?;
    let flags = CloneFlags::from_bits_retain(args.flags);
    if args.flags & 0xff != 0
        || args.flags >> 34 != 0
        || flags.contains(CloneFlags::DETACHED)
        || args.exit_signal > 64
        || (args.stack == 0) != (args.stack_size == 0)
        || (flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) && args.exit_signal != 0)
        || (args.set_tid_size > 32 || (args.set_tid == 0) != (args.set_tid_size == 0))
    {
        return Err(Errno::EINVAL);
    }
    if args.set_tid_size != 0 || flags.contains(CloneFlags::INTO_CGROUP) {
        return Err(Errno::EPERM);
    }
    let request = CloneRequest {
        flags,
        exit_signal: args.exit_signal as u32,
        stack: args.stack.wrapping_add(args.stack_size),
        parent_tid: args.parent_tid,
        child_tid: args.child_tid,
        tls: args.tls,
        pidfd: args.pidfd,
    };
    tasks::clone(current, request).await
}

fn plain(flags: CloneFlags) -> CloneRequest {
    CloneRequest { flags, exit_signal: SIGCHLD.raw() as u32, stack: 0, parent_tid: 0, child_tid: 0, tls: 0, pidfd: 0 }
}

/// fork(2).
pub async fn fork(current: &mut Current) -> Result<u32> {
    tasks::clone(current, plain(CloneFlags::empty())).await
}

/// vfork(2).
pub async fn vfork(current: &mut Current) -> Result<u32> {
    tasks::clone(current, plain(CloneFlags::VM | CloneFlags::VFORK)).await
}

/// exit(2): ends the calling thread.
pub fn exit(current: &mut Current, status: u32) -> Result<()> {
    current.ending = Some(moat_abi::wait::exited(status));
    Ok(())
}

/// exit_group(2): ends the process.
pub fn exit_group(current: &mut Current, status: u32) -> Result<()> {
    let status = moat_abi::wait::exited(status);
    ends::group(current, status);
    current.ending = Some(status);
    Ok(())
}

/// unshare(2): what tasks share by clone can be unshared; new namespaces cannot be had here.
pub fn unshare(current: &mut Current, flags: CloneFlags) -> Result<()> {
    let sharing = CloneFlags::FILES | CloneFlags::FS | CloneFlags::SYSVSEM;
    let alone = CloneFlags::THREAD | CloneFlags::SIGHAND | CloneFlags::VM;
    if flags.bits() & !(sharing | alone | NAMESPACES).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(alone) && current.group_ref().task_count() > 1 {
        return Err(Errno::EINVAL);
    }
    if flags.bits() & !(sharing | alone).bits() != 0 {
        return Err(Errno::EPERM);
    }
    if flags.contains(CloneFlags::FILES) {
        let own = Arc::new(current.files().duplicate());
        current.update_shared(|shared| shared.files = own);
    }
    if flags.contains(CloneFlags::FS) {
        let own = Arc::new(current.fs().duplicate());
        current.update_shared(|shared| shared.fs = own);
    }
    Ok(())
}

/// set_tid_address(2).
pub fn set_tid_address(current: &mut Current, address: Address) -> Result<u32> {
    current.clear_child_tid.store(address.0, Ordering::Relaxed);
    Ok(current.tid())
}

/// pidfd_open(2).
pub fn pidfd_open(current: &mut Current, pid: Pid, flags: OpenFlags) -> Result<Fd> {
    if flags.bits() & !OpenFlags::NONBLOCK.bits() != 0 || pid.0 <= 0 {
        return Err(Errno::EINVAL);
    }
    let group = {
        let tree = current.kernel().tree();
        match tree.process(pid.0 as u32) {
            Some(process) => process.group.clone(),
            None if tree.task(pid.0 as u32).is_some() => return Err(Errno::EINVAL),
            None => return Err(Errno::ESRCH),
        }
    };
    pidfd::open(current, &group).map(Fd)
}

/// pidfd_getfd(2).
pub fn pidfd_getfd(current: &mut Current, pidfd: Fd, target: Fd, flags: u32) -> Result<Fd> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let file = current.files().get(pidfd.0)?;
    let group = &file.downcast::<PidFd>().ok_or(Errno::EBADF)?.group;
    let task = group.tasks().into_iter().next().ok_or(Errno::ESRCH)?;
    may_trace(current, &task)?;
    let taken = task.files().get(target.0)?;
    super::descriptors::install(current, taken, true)
}

/// Whether the caller may read and change another task (ptrace access mode check, ptrace(2)). `EPERM`.
pub fn may_trace(current: &Current, other: &Arc<Task>) -> Result<()> {
    if Arc::ptr_eq(current.group_ref(), other.group_ref()) {
        return Ok(());
    }
    let (own, others) = (current.credentials(), other.credentials());
    let same = [others.uid, others.euid, others.suid].iter().all(|&u| u == own.uid)
        && [others.gid, others.egid, others.sgid].iter().all(|&g| g == own.gid)
        && other.group_ref().state().lock().dumpable == 1
        && own.permitted.contains(others.permitted);
    if same || own.has(CapabilitySet::SYS_PTRACE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// kcmp(2).
pub fn kcmp(current: &mut Current, pid1: Pid, pid2: Pid, kind: i32, idx1: u64, idx2: u64) -> Result<u64> {
    let find = |pid: Pid| current.kernel().tree().task(pid.0 as u32).ok_or(Errno::ESRCH);
    let (a, b) = (find(pid1)?, find(pid2)?);
    may_trace(current, &a)?;
    may_trace(current, &b)?;
    let order = |x: usize, y: usize| match x.cmp(&y) {
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Greater => 2,
    };
    match kind {
        0 => {
            let file = |task: &Arc<Task>, fd: u64| task.files().get(fd as i32).map(|f| f.id as usize);
            Ok(order(file(&a, idx1)?, file(&b, idx2)?))
        }
        1 => Ok(order(a.memory_manager().id as usize, b.memory_manager().id as usize)),
        2 => Ok(order(Arc::as_ptr(&a.files()).addr(), Arc::as_ptr(&b.files()).addr())),
        3 => Ok(order(Arc::as_ptr(&a.fs()).addr(), Arc::as_ptr(&b.fs()).addr())),
        4 => Ok(order(Arc::as_ptr(&a.handlers()).addr(), Arc::as_ptr(&b.handlers()).addr())),
        5 | 6 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// getcpu(2).
pub fn getcpu(current: &mut Current, cpu: Out<u32>, node: Out<u32>) -> Result<()> {
    let memory = current.memory();
    cpu.write_if(&memory, &0)?;
    node.write_if(&memory, &0)
}
