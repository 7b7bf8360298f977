//! Users, groups and capabilities (setuid(2), setgroups(2), capset(2)).

use moat_abi::capability::{self as c, CapUserData, CapUserHeader, CapabilitySet};
use moat_abi::errno::Errno;

use super::arguments::{InOut, Out, UserOpaque};
use crate::Result;
use crate::kernel::Current;
use crate::kernel::credentials::Credentials;

const KEEP: u32 = u32::MAX;
/// The most supplementary groups (`NGROUPS_MAX`).
const NGROUPS_MAX: usize = 65_536;

/// getuid(2).
pub fn getuid(current: &mut Current) -> Result<u32> {
    Ok(current.credentials().uid)
}

/// geteuid(2).
pub fn geteuid(current: &mut Current) -> Result<u32> {
    Ok(current.credentials().euid)
}

/// getgid(2).
pub fn getgid(current: &mut Current) -> Result<u32> {
    Ok(current.credentials().gid)
}

/// getegid(2).
pub fn getegid(current: &mut Current) -> Result<u32> {
    Ok(current.credentials().egid)
}

/// getresuid(2).
pub fn getresuid(current: &mut Current, real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> Result<()> {
    let (memory, own) = (current.memory(), current.credentials());
    real.write(&memory, &own.uid)?;
    effective.write(&memory, &own.euid)?;
    saved.write(&memory, &own.suid)
}

/// getresgid(2).
pub fn getresgid(current: &mut Current, real: Out<u32>, effective: Out<u32>, saved: Out<u32>) -> Result<()> {
    let (memory, own) = (current.memory(), current.credentials());
    real.write(&memory, &own.gid)?;
    effective.write(&memory, &own.egid)?;
    saved.write(&memory, &own.sgid)
}

/// Sets the user ids as `change` does, with what that does to capabilities.
fn change_user(current: &Current, change: impl FnOnce(&mut Credentials, bool) -> Result<()>) -> Result<()> {
    let old = current.credentials();
    let mut new = (*old).clone();
    change(&mut new, old.has(CapabilitySet::SETUID))?;
    new.fsuid = new.euid;
    new.fix_after_setuid(&old);
    commit(current, &old, new);
    Ok(())
}

fn change_group(current: &Current, change: impl FnOnce(&mut Credentials, bool) -> Result<()>) -> Result<()> {
    let old = current.credentials();
    let mut new = (*old).clone();
    change(&mut new, old.has(CapabilitySet::SETGID))?;
    new.fsgid = new.egid;
    commit(current, &old, new);
    Ok(())
}

/// Sets new credentials; who changed identity is not dumpable any more (commit_creds).
fn commit(current: &Current, old: &Credentials, new: Credentials) {
    if old.euid != new.euid || old.egid != new.egid || old.fsuid != new.fsuid || old.fsgid != new.fsgid {
        current.group_ref().state().lock().dumpable = 0;
        current.parent_death_signal.store(0, std::sync::atomic::Ordering::Relaxed);
    }
    tell_host(current, old, &new);
    current.set_credentials(new);
}

/// The host's tools know a process by its first thread.
fn tell_host(current: &Current, old: &Credentials, new: &Credentials) {
    let users = new.users();
    if users != old.users() && current.tid() == current.group_ref().pid() {
        current.group_ref().stub().set_users(&users);
    }
}

/// setuid(2).
pub fn setuid(current: &mut Current, uid: u32) -> Result<()> {
    if uid == KEEP {
        return Err(Errno::EINVAL);
    }
    change_user(current, |c, privileged| {
        if privileged {
            (c.uid, c.suid) = (uid, uid);
        } else if uid != c.uid && uid != c.suid {
            return Err(Errno::EPERM);
        }
        c.euid = uid;
        Ok(())
    })
}

/// setgid(2).
pub fn setgid(current: &mut Current, gid: u32) -> Result<()> {
    if gid == KEEP {
        return Err(Errno::EINVAL);
    }
    change_group(current, |c, privileged| {
        if privileged {
            (c.gid, c.sgid) = (gid, gid);
        } else if gid != c.gid && gid != c.sgid {
            return Err(Errno::EPERM);
        }
        c.egid = gid;
        Ok(())
    })
}

/// setreuid(2).
pub fn setreuid(current: &mut Current, real: u32, effective: u32) -> Result<()> {
    change_user(current, |c, privileged| {
        let old = (c.uid, c.euid, c.suid);
        if real != KEEP {
            if !privileged && real != old.0 && real != old.1 {
                return Err(Errno::EPERM);
            }
            c.uid = real;
        }
        if effective != KEEP {
            if !privileged && effective != old.0 && effective != old.1 && effective != old.2 {
                return Err(Errno::EPERM);
            }
            c.euid = effective;
        }
        if real != KEEP || (effective != KEEP && effective != old.0) {
            c.suid = c.euid;
        }
        Ok(())
    })
}

/// setregid(2).
pub fn setregid(current: &mut Current, real: u32, effective: u32) -> Result<()> {
    change_group(current, |c, privileged| {
        let old = (c.gid, c.egid, c.sgid);
        if real != KEEP {
            if !privileged && real != old.0 && real != old.1 {
                return Err(Errno::EPERM);
            }
            c.gid = real;
        }
        if effective != KEEP {
            if !privileged && effective != old.0 && effective != old.1 && effective != old.2 {
                return Err(Errno::EPERM);
            }
            c.egid = effective;
        }
        if real != KEEP || (effective != KEEP && effective != old.0) {
            c.sgid = c.egid;
        }
        Ok(())
    })
}

/// setresuid(2).
pub fn setresuid(current: &mut Current, real: u32, effective: u32, saved: u32) -> Result<()> {
    change_user(current, |c, privileged| {
        let old = [c.uid, c.euid, c.suid];
        for (new, slot) in [(real, &mut c.uid), (effective, &mut c.euid), (saved, &mut c.suid)] {
            if new != KEEP {
                if !privileged && !old.contains(&new) {
                    return Err(Errno::EPERM);
                }
                *slot = new;
            }
        }
        Ok(())
    })
}

/// setresgid(2).
pub fn setresgid(current: &mut Current, real: u32, effective: u32, saved: u32) -> Result<()> {
    change_group(current, |c, privileged| {
        let old = [c.gid, c.egid, c.sgid];
        for (new, slot) in [(real, &mut c.gid), (effective, &mut c.egid), (saved, &mut c.sgid)] {
            if new != KEEP {
                if !privileged && !old.contains(&new) {
                    return Err(Errno::EPERM);
                }
                *slot = new;
            }
        }
        Ok(())
    })
}

/// setfsuid(2): the old id, whatever happens.
pub fn setfsuid(current: &mut Current, uid: u32) -> Result<u32> {
    let old = current.credentials();
    if uid != KEEP && (old.has(CapabilitySet::SETUID) || [old.uid, old.euid, old.suid, old.fsuid].contains(&uid)) {
        let mut new = (*old).clone();
        new.fsuid = uid;
        new.fix_after_setfsuid(&old);
        commit(current, &old, new);
    }
    Ok(old.fsuid)
}

/// setfsgid(2): the old id, whatever happens.
pub fn setfsgid(current: &mut Current, gid: u32) -> Result<u32> {
    let old = current.credentials();
    if gid != KEEP && (old.has(CapabilitySet::SETGID) || [old.gid, old.egid, old.sgid, old.fsgid].contains(&gid)) {
        let mut new = (*old).clone();
        new.fsgid = gid;
        commit(current, &old, new);
    }
    Ok(old.fsgid)
}

/// getgroups(2).
pub fn getgroups(current: &mut Current, size: i32, list: UserOpaque) -> Result<usize> {
    let size = usize::try_from(size).map_err(|_| Errno::EINVAL)?;
    let groups = current.credentials().groups.clone();
    if size != 0 {
        if size < groups.len() {
            return Err(Errno::EINVAL);
        }
        let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
        current.memory().write_bytes(list.0, &bytes)?;
    }
    Ok(groups.len())
}

/// setgroups(2).
pub fn setgroups(current: &mut Current, size: usize, list: UserOpaque) -> Result<()> {
    let old = current.credentials();
    old.require(CapabilitySet::SETGID)?;
    if size > NGROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups: Vec<u32> = current.memory().read_array(list.0, size)?;
    groups.sort_unstable();
    let mut new = (*old).clone();
    new.groups = groups.into();
    tell_host(current, &old, &new);
    current.set_credentials(new);
    Ok(())
}

fn version_words(version: u32) -> Option<usize> {
    match version {
        c::VERSION_1 => Some(1),
        c::VERSION_2 | c::VERSION_3 => Some(2),
        _ => None,
    }
}

/// capget(2).
pub fn capget(current: &mut Current, header: InOut<CapUserHeader>, data: UserOpaque) -> Result<()> {
    let memory = current.memory();
    let mut head = header.read(&memory)?;
    let Some(words) = version_words(head.version) else {
        head.version = c::VERSION_3;
        header.write(&memory, &head)?;
        return if data.0 == 0 { Ok(()) } else { Err(Errno::EINVAL) };
    };
    if head.pid < 0 {
        return Err(Errno::EINVAL);
    }
    let of = match head.pid {
        0 => current.credentials(),
        pid => current.kernel().tree().task(pid as u32).ok_or(Errno::ESRCH)?.credentials(),
    };
    if data.0 == 0 {
        return Ok(());
    }
    for word in 0..words {
        let half = |set: CapabilitySet| (set.bits() >> (32 * word)) as u32;
        let entry = CapUserData {
            effective: half(of.effective),
            permitted: half(of.permitted),
            inheritable: half(of.inheritable),
        };
        memory.write(data.0 + 12 * word as u64, &entry)?;
    }
    Ok(())
}

/// capset(2).
pub fn capset(current: &mut Current, header: InOut<CapUserHeader>, data: UserOpaque) -> Result<()> {
    let memory = current.memory();
    let mut head = header.read(&memory)?;
    let Some(words) = version_words(head.version) else {
        head.version = c::VERSION_3;
        header.write(&memory, &head)?;
        return Err(Errno::EINVAL);
    };
    if head.pid != 0 && head.pid as u32 != current.tid() {
        return Err(Errno::EPERM);
    }
    let (mut effective, mut permitted, mut inheritable) = (0u64, 0u64, 0u64);
    for word in 0..words {
        let entry: CapUserData = memory.read(data.0 + 12 * word as u64)?;
        effective |= u64::from(entry.effective) << (32 * word);
        permitted |= u64::from(entry.permitted) << (32 * word);
        inheritable |= u64::from(entry.inheritable) << (32 * word);
    }
    let set = CapabilitySet::from_bits_truncate;
    let (effective, permitted, inheritable) = (set(effective), set(permitted), set(inheritable));
    let old = current.credentials();
    let may_add = if old.has(CapabilitySet::SETPCAP) { old.bounding | old.permitted } else { old.permitted };
    if !(old.inheritable | may_add).contains(inheritable)
        || !(old.inheritable | old.bounding).contains(inheritable)
        || !old.permitted.contains(permitted)
        || !permitted.contains(effective)
    {
        return Err(Errno::EPERM);
    }
    let mut new = (*old).clone();
    (new.effective, new.permitted, new.inheritable) = (effective, permitted, inheritable);
    new.ambient &= permitted & inheritable;
    current.set_credentials(new);
    Ok(())
}
