//! prctl(2), arch_prctl(2), personality(2), rseq(2).

use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::signal::Signal;
use moat_abi::system as s;

use super::arguments::Address;
use crate::Result;
use crate::kernel::Current;
use crate::kernel::credentials::{SECBIT_KEEP_CAPS, SECBIT_NO_CAP_AMBIENT_RAISE};

/// arch_prctl(2).
pub fn arch_prctl(current: &mut Current, code: i32, address: Address) -> Result<()> {
    let canonical = address.0 < 1 << 47;
    match code {
        s::ARCH_SET_FS | s::ARCH_SET_GS if !canonical => Err(Errno::EPERM),
        s::ARCH_SET_FS => {
            current.context.registers_mut().fs_base = address.0;
            Ok(())
        }
        s::ARCH_SET_GS => {
            current.context.registers_mut().gs_base = address.0;
            Ok(())
        }
        s::ARCH_GET_FS => {
            let base = current.context.registers().fs_base;
            current.memory().write(address.0, &base)
        }
        s::ARCH_GET_GS => {
            let base = current.context.registers().gs_base;
            current.memory().write(address.0, &base)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// personality(2): only Linux's own, with the flags that change nothing here.
pub fn personality(current: &mut Current, persona: u32) -> Result<u64> {
    let group = current.group();
    let mut state = group.state().lock();
    let old = state.personality;
    if persona != u32::MAX {
        state.personality = persona;
    }
    Ok(u64::from(old))
}

/// prctl(2).
pub fn prctl(current: &mut Current, option: i32, a2: u64, a3: u64, a4: u64, a5: u64) -> Result<u64> {
    let memory = current.memory();
    let rest_is_zero = a3 == 0 && a4 == 0 && a5 == 0;
    match option {
        s::PR_SET_NAME => {
            let mut name = [0u8; 16];
            // A shorter string may end right before an unmapped page.
            let bytes = memory.read_string(a2, 16, Errno::E2BIG).or_else(|e| match e {
                Errno::E2BIG => memory.read_bytes(a2, &mut name).map(|()| name[..15].to_vec()),
                e => Err(e),
            })?;
            current.set_name(&bytes);
            if current.tid() == current.pid() {
                current.group_ref().stub().set_name(&bytes);
            }
            Ok(0)
        }
        s::PR_GET_NAME => memory.write(a2, &current.name()).map(|()| 0),
        s::PR_SET_PDEATHSIG => {
            if a2 != 0 && i32::try_from(a2).ok().and_then(Signal::from_raw).is_none() {
                return Err(Errno::EINVAL);
            }
            current.parent_death_signal.store(a2 as u32, Ordering::Relaxed);
            Ok(0)
        }
        s::PR_GET_PDEATHSIG => memory.write(a2, &current.parent_death_signal.load(Ordering::Relaxed)).map(|()| 0),
        s::PR_GET_DUMPABLE => Ok(u64::from(current.group_ref().state().lock().dumpable)),
        s::PR_SET_DUMPABLE => {
            if a2 > 1 {
                return Err(Errno::EINVAL);
            }
            current.group_ref().state().lock().dumpable = a2 as u32;
            Ok(0)
        }
        s::PR_SET_CHILD_SUBREAPER | s::PR_GET_CHILD_SUBREAPER => {
            let value = {
                let mut tree = current.kernel().tree();
                let process = tree.process_mut(current.pid()).ok_or(Errno::ESRCH)?;
                if option == s::PR_SET_CHILD_SUBREAPER {
                    process.subreaper = a2 != 0;
                    return Ok(0);
                }
                u32::from(process.subreaper)
            };
            memory.write(a2, &value).map(|()| 0)
        }
        s::PR_SET_NO_NEW_PRIVS => {
            if a2 != 1 || !rest_is_zero {
                return Err(Errno::EINVAL);
            }
            current.no_new_privileges.store(true, Ordering::Relaxed);
            Ok(0)
        }
        s::PR_GET_NO_NEW_PRIVS => {
            if a2 != 0 || !rest_is_zero {
                return Err(Errno::EINVAL);
            }
            Ok(u64::from(current.no_new_privileges.load(Ordering::Relaxed)))
        }
        s::PR_SET_TIMERSLACK => {
            current.timer_slack.store(if a2 == 0 { 50_000 } else { a2 }, Ordering::Relaxed);
            Ok(0)
        }
        s::PR_GET_TIMERSLACK => Ok(current.timer_slack.load(Ordering::Relaxed)),
        s::PR_SET_THP_DISABLE | s::PR_GET_THP_DISABLE => Ok(0),
        s::PR_GET_SECCOMP => Ok(u64::from(current.filters.mode().raw())),
        s::PR_SET_SECCOMP => super::seccomp::set_mode(current, a2, a3),
        s::PR_SET_MM => current.credentials().require(CapabilitySet::SYS_RESOURCE).and(Err(Errno::EINVAL)),
        // Names of anonymous mappings: as on kernels without CONFIG_ANON_VMA_NAME.
        s::PR_SET_VMA => Err(Errno::EINVAL),
        _ => capabilities(current, option, a2, a3, a4 == 0 && a5 == 0),
    }
}

fn capabilities(current: &mut Current, option: i32, a2: u64, a3: u64, rest_is_zero: bool) -> Result<u64> {
    let old = current.credentials();
    let number = |n: u64| u32::try_from(n).ok().and_then(CapabilitySet::from_number).ok_or(Errno::EINVAL);
    match option {
        s::PR_CAPBSET_READ => Ok(u64::from(old.bounding.contains(number(a2)?))),
        s::PR_CAPBSET_DROP => {
            old.require(CapabilitySet::SETPCAP)?;
            let mut new = (*old).clone();
            new.bounding -= number(a2)?;
            current.set_credentials(new);
            Ok(0)
        }
        s::PR_GET_KEEPCAPS => Ok(u64::from(old.securebits & SECBIT_KEEP_CAPS != 0)),
        s::PR_SET_KEEPCAPS => {
            if a2 > 1 {
                return Err(Errno::EINVAL);
            }
            if old.securebits & (SECBIT_KEEP_CAPS << 1) != 0 {
                return Err(Errno::EPERM);
            }
            let mut new = (*old).clone();
            new.securebits = new.securebits & !SECBIT_KEEP_CAPS | if a2 == 1 { SECBIT_KEEP_CAPS } else { 0 };
            current.set_credentials(new);
            Ok(0)
        }
        s::PR_GET_SECUREBITS => Ok(u64::from(old.securebits)),
        s::PR_SET_SECUREBITS => {
            let wanted = u32::try_from(a2).map_err(|_| Errno::EPERM)?;
            const LOCKS: u32 = 0xaa;
            let locked = old.securebits & LOCKS;
            if wanted & !0xff != 0
                || locked & !wanted != 0
                || (locked >> 1) & (old.securebits ^ wanted) != 0
                || !old.has(CapabilitySet::SETPCAP)
            {
                return Err(Errno::EPERM);
            }
            let mut new = (*old).clone();
            new.securebits = wanted;
            current.set_credentials(new);
            Ok(0)
        }
        s::PR_CAP_AMBIENT => {
            const IS_SET: u64 = 1;
            const RAISE: u64 = 2;
            const LOWER: u64 = 3;
            const CLEAR_ALL: u64 = 4;
            if !rest_is_zero {
                return Err(Errno::EINVAL);
            }
            let mut new = (*old).clone();
            match a2 {
                CLEAR_ALL if a3 == 0 => new.ambient = CapabilitySet::empty(),
                IS_SET => return Ok(u64::from(old.ambient.contains(number(a3)?))),
                RAISE => {
                    let capability = number(a3)?;
                    if !(old.permitted & old.inheritable).contains(capability)
                        || old.securebits & SECBIT_NO_CAP_AMBIENT_RAISE != 0
                    {
                        return Err(Errno::EPERM);
                    }
                    new.ambient |= capability;
                }
                LOWER => new.ambient -= number(a3)?,
                _ => return Err(Errno::EINVAL),
            }
            current.set_credentials(new);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
