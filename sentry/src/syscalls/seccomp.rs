//! seccomp(2), and what prctl(2) has of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::seccomp::*;

use super::arguments::UserOpaque;
use crate::Result;
use crate::kernel::Current;
use crate::kernel::seccomp::{self, Filter, bpf};

/// seccomp(2). There are no listeners for notifications, as on kernels before 5.0: SECCOMP_FILTER_FLAG_NEW_LISTENER and
/// SECCOMP_GET_NOTIF_SIZES give EINVAL.
pub fn seccomp(current: &mut Current, operation: u32, flags: u32, argument: UserOpaque) -> Result<u64> {
    match operation {
        SECCOMP_SET_MODE_STRICT if flags == 0 && argument.0 == 0 => {
            current.filters.set_strict()?;
            current.constants_changed();
            Ok(0)
        }
        SECCOMP_SET_MODE_FILTER => set_filter(current, flags, argument.0),
        SECCOMP_GET_ACTION_AVAIL if flags == 0 => {
            let action: u32 = current.memory().read(argument.0)?;
            match action {
                SECCOMP_RET_KILL_PROCESS
                | SECCOMP_RET_KILL_THREAD
                | SECCOMP_RET_TRAP
                | SECCOMP_RET_ERRNO
                | SECCOMP_RET_TRACE
                | SECCOMP_RET_LOG
                | SECCOMP_RET_ALLOW => Ok(0),
                _ => Err(Errno::EOPNOTSUPP),
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// PR_SET_SECCOMP.
pub(super) fn set_mode(current: &mut Current, mode: u64, argument: u64) -> Result<u64> {
    match mode {
        SECCOMP_MODE_STRICT => seccomp(current, SECCOMP_SET_MODE_STRICT, 0, UserOpaque(0)),
        SECCOMP_MODE_FILTER => set_filter(current, 0, argument),
        _ => Err(Errno::EINVAL),
    }
}

fn set_filter(current: &mut Current, flags: u32, address: u64) -> Result<u64> {
    if flags
        & !(SECCOMP_FILTER_FLAG_TSYNC
            | SECCOMP_FILTER_FLAG_LOG
            | SECCOMP_FILTER_FLAG_SPEC_ALLOW
            | SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
        != 0
    {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory();
    let header: SockFprog = memory.read(address)?;
    let len = usize::from(header.len);
    if len == 0 || len > bpf::PROGRAM_MAX {
        return Err(Errno::EINVAL);
    }
    if !current.no_new_privileges.load(Ordering::Relaxed) && !current.credentials().has(CapabilitySet::SYS_ADMIN) {
        return Err(Errno::EACCES);
    }
    // Not EFAULT, like any other address where there is no program.
    if header.filter == 0 {
        return Err(Errno::EINVAL);
    }
    let program = bpf::Program::check(memory.read_array(header.filter, len)?)?;
    let filter: Arc<Filter> = Filter::classic(program, flags & SECCOMP_FILTER_FLAG_LOG != 0);
    match seccomp::install(&current.task, filter, flags & SECCOMP_FILTER_FLAG_TSYNC != 0)? {
        Ok(()) => Ok(0),
        Err(_) if flags & SECCOMP_FILTER_FLAG_TSYNC_ESRCH != 0 => Err(Errno::ESRCH),
        Err(thread) => Ok(u64::from(thread)),
    }
}
