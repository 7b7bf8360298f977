//! Who a process is (getpid(2), getsid(2), setpgid(2), setsid(2)).

use moat_abi::errno::Errno;

use super::arguments::Pid;
use crate::Result;
use crate::kernel::Current;

/// getpid(2).
pub fn getpid(current: &mut Current) -> Result<u32> {
    Ok(current.pid())
}

/// gettid(2).
pub fn gettid(current: &mut Current) -> Result<u32> {
    Ok(current.tid())
}

/// getppid(2).
pub fn getppid(current: &mut Current) -> Result<u32> {
    Ok(current.kernel().tree().process(current.pid()).map_or(0, |p| p.parent))
}

/// The process that a call means: the caller's own, or that of a process or thread number.
fn resolve(current: &Current, pid: Pid) -> Result<u32> {
    match pid.0 {
        0 => Ok(current.pid()),
        id if id > 0 => current.kernel().tree().process_of(id as u32).ok_or(Errno::ESRCH),
        _ => Err(Errno::ESRCH),
    }
}

/// getpgid(2).
pub fn getpgid(current: &mut Current, pid: Pid) -> Result<u32> {
    let pid = resolve(current, pid)?;
    current.kernel().tree().process(pid).map(|p| p.process_group).ok_or(Errno::ESRCH)
}

/// getpgrp(2).
pub fn getpgrp(current: &mut Current) -> Result<u32> {
    getpgid(current, Pid(0))
}

/// getsid(2).
pub fn getsid(current: &mut Current, pid: Pid) -> Result<u32> {
    let pid = resolve(current, pid)?;
    current.kernel().tree().process(pid).map(|p| p.session).ok_or(Errno::ESRCH)
}

/// setpgid(2).
pub fn setpgid(current: &mut Current, pid: Pid, group: Pid) -> Result<()> {
    if group.0 < 0 || (group.0 == 0 && pid.0 < 0) {
        return Err(Errno::EINVAL);
    }
    let own = current.pid();
    let named = pid.0;
    let pid = resolve(current, pid)?;
    if named != 0 && named as u32 != pid {
        // A thread that is not the first of its process.
        return Err(Errno::EINVAL);
    }
    let group = if group.0 == 0 { pid } else { group.0 as u32 };
    let mut tree = current.kernel().tree();
    let session = tree.process(own).map(|p| p.session).ok_or(Errno::ESRCH)?;
    let process = tree.process(pid).ok_or(Errno::ESRCH)?;
    if pid != own {
        if process.parent != own {
            return Err(Errno::ESRCH);
        }
        if process.session != session {
            return Err(Errno::EPERM);
        }
        if process.has_execed {
            return Err(Errno::EACCES);
        }
    }
    if process.session == pid || (group != pid && tree.session_of_group(group) != Some(session)) {
        return Err(Errno::EPERM);
    }
    let leader = tree.process(group).and_then(|leader| leader.group.stub().pid_hint()).unwrap_or(group);
    let Some(process) = tree.process_mut(pid) else { return Err(Errno::ESRCH) };
    process.process_group = group;
    let moved = process.group.clone();
    drop(tree);
    moved.stub().set_process_group(leader);
    Ok(())
}

/// setsid(2).
pub fn setsid(current: &mut Current) -> Result<u32> {
    let pid = current.pid();
    let mut tree = current.kernel().tree();
    if tree.session_of_group(pid).is_some() {
        return Err(Errno::EPERM);
    }
    let process = tree.process_mut(pid).ok_or(Errno::ESRCH)?;
    process.process_group = pid;
    process.session = pid;
    drop(tree);
    current.group_ref().stub().leave_session();
    Ok(pid)
}
