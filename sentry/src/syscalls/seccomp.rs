//! seccomp(2), and what prctl(2) has of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;

use super::arguments::UserOpaque;
use crate::Result;
use crate::kernel::Current;
use crate::kernel::seccomp::{
    self, Filter, RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, RET_KILL_THREAD, RET_LOG, RET_TRACE, RET_TRAP, bpf,
};

const SET_MODE_STRICT: u32 = 0;
const SET_MODE_FILTER: u32 = 1;
const GET_ACTION_AVAIL: u32 = 2;

const FLAG_TSYNC: u32 = 1;
const FLAG_LOG: u32 = 2;
const FLAG_SPEC_ALLOW: u32 = 4;
const FLAG_TSYNC_ESRCH: u32 = 0x10;

/// The modes of prctl.
const MODE_STRICT: u64 = 1;
const MODE_FILTER: u64 = 2;

moat_abi::plain! {
    /// `struct sock_fprog`.
    pub struct SockFprog [16] { len: u16, pad: [u16; 3], filter: u64, }
}

/// seccomp(2). There are no listeners for notifications, as on kernels before 5.0: SECCOMP_FILTER_FLAG_NEW_LISTENER and
/// SECCOMP_GET_NOTIF_SIZES give EINVAL.
pub fn seccomp(current: &mut Current, operation: u32, flags: u32, argument: UserOpaque) -> Result<u64> {
    match operation {
        SET_MODE_STRICT if flags == 0 && argument.0 == 0 => current.filters.set_strict().map(|()| 0),
        SET_MODE_FILTER => set_filter(current, flags, argument.0),
        GET_ACTION_AVAIL if flags == 0 => {
            let action: u32 = current.memory().read(argument.0)?;
            match action {
                RET_KILL_PROCESS | RET_KILL_THREAD | RET_TRAP | RET_ERRNO | RET_TRACE | RET_LOG | RET_ALLOW => Ok(0),
                _ => Err(Errno::EOPNOTSUPP),
            }
        }
        _ => Err(Errno::EINVAL),
    }
}

/// PR_SET_SECCOMP.
pub(super) fn set_mode(current: &mut Current, mode: u64, argument: u64) -> Result<u64> {
    match mode {
        MODE_STRICT => seccomp(current, SET_MODE_STRICT, 0, UserOpaque(0)),
        MODE_FILTER => set_filter(current, 0, argument),
        _ => Err(Errno::EINVAL),
    }
}

fn set_filter(current: &mut Current, flags: u32, address: u64) -> Result<u64> {
    if flags & !(FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW | FLAG_TSYNC_ESRCH) != 0 {
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
    let program = bpf::Program::check(memory.read_array(header.filter, len)?)?;
    let filter: Arc<Filter> = Filter::classic(program, flags & FLAG_LOG != 0);
    match seccomp::install(&current.task, filter, flags & FLAG_TSYNC != 0)? {
        Ok(()) => Ok(0),
        Err(_) if flags & FLAG_TSYNC_ESRCH != 0 => Err(Errno::ESRCH),
        Err(thread) => Ok(u64::from(thread)),
    }
}
