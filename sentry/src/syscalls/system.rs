//! The machine as a whole (uname(2), sysinfo(2), getrandom(2), getrlimit(2), getrusage(2), sethostname(2)).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::resource::{Resource, Rlimit, Rusage};
use moat_abi::system::{self as s, SysInfo, UtsName};
use moat_abi::time::CLOCK_BOOTTIME;

use super::arguments::{In, InBytes, Out, OutBytes, Pid};
use super::wait::rusage_of;
use crate::Result;
use crate::kernel::Current;
use crate::kernel::rlimits::Limit;
use crate::kernel::usage::Usage;
use crate::kernel::uts::{RELEASE, VERSION};

/// uname(2).
pub fn uname(current: &mut Current, out: Out<UtsName>) -> Result<()> {
    let field = |text: &[u8]| {
        let mut field = [0u8; 65];
        let n = text.len().min(64);
        field[..n].copy_from_slice(&text[..n]);
        field
    };
    let uts = current.kernel().uts().clone();
    let name = UtsName {
        sysname: field(b"Linux"),
        nodename: field(&uts.nodename),
        release: field(RELEASE.as_bytes()),
        version: field(VERSION.as_bytes()),
        machine: field(b"x86_64"),
        domainname: field(&uts.domainname),
    };
    out.write(&current.memory(), &name)
}

fn read_name(current: &Current, name: u64, len: i32) -> Result<Vec<u8>> {
    current.credentials().require(CapabilitySet::SYS_ADMIN)?;
    let len = usize::try_from(len).ok().filter(|&l| l <= 64).ok_or(Errno::EINVAL)?;
    let mut bytes = vec![0u8; len];
    current.memory().read_bytes(name, &mut bytes)?;
    Ok(bytes)
}

/// sethostname(2).
pub fn sethostname(current: &mut Current, name: InBytes<1>, len: i32) -> Result<()> {
    let name = read_name(current, name.0, len)?;
    current.kernel().uts().nodename = name;
    Ok(())
}

/// setdomainname(2).
pub fn setdomainname(current: &mut Current, name: InBytes<1>, len: i32) -> Result<()> {
    let name = read_name(current, name.0, len)?;
    current.kernel().uts().domainname = name;
    Ok(())
}

/// sysinfo(2).
pub fn sysinfo(current: &mut Current, out: Out<SysInfo>) -> Result<()> {
    let kernel = current.kernel();
    let (used, procs) = (kernel.resident_bytes(), kernel.tree().task_count());
    let info = SysInfo {
        uptime: kernel.clocks().now(CLOCK_BOOTTIME).as_secs() as i64,
        totalram: kernel.memory,
        freeram: kernel.memory.saturating_sub(used),
        procs: u16::try_from(procs).unwrap_or(u16::MAX),
        mem_unit: 1,
        ..SysInfo::default()
    };
    out.write(&current.memory(), &info)
}

/// getrandom(2).
pub fn getrandom(current: &mut Current, buffer: OutBytes<1>, size: usize, flags: u32) -> Result<usize> {
    let both = s::GRND_INSECURE | s::GRND_RANDOM;
    if flags & !(s::GRND_NONBLOCK | both) != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let size = size.min(crate::mm::user::RW_MAX);
    let memory = current.memory();
    let mut done = 0;
    let mut bytes = vec![0u8; size.min(64 << 10)];
    while done < size {
        let piece = &mut bytes[..(size - done).min(64 << 10)];
        moat_host::random::fill(piece).map_err(Errno::from_raw)?;
        match memory.write_bytes(buffer.0 + done as u64, piece) {
            Ok(()) => done += piece.len(),
            Err(_) if done > 0 => break,
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

fn rlimit_of(limit: Limit) -> Rlimit {
    Rlimit { rlim_cur: limit.soft, rlim_max: limit.hard }
}

/// getrlimit(2).
pub fn getrlimit(current: &mut Current, resource: u32, out: Out<Rlimit>) -> Result<()> {
    let resource = Resource::from_raw(resource).ok_or(Errno::EINVAL)?;
    let limit = current.group_ref().state().lock().limits.get(resource);
    out.write(&current.memory(), &rlimit_of(limit))
}

/// setrlimit(2).
pub fn setrlimit(current: &mut Current, resource: u32, new: In<Rlimit>) -> Result<()> {
    let resource = Resource::from_raw(resource).ok_or(Errno::EINVAL)?;
    let new = new.read(&current.memory())?;
    let group = current.group();
    set_limit(current, &group, resource, new)
}

fn set_limit(
    current: &Current,
    group: &Arc<crate::kernel::ThreadGroup>,
    resource: Resource,
    new: Rlimit,
) -> Result<()> {
    if new.rlim_cur > new.rlim_max {
        return Err(Errno::EINVAL);
    }
    let privileged = current.credentials().has(CapabilitySet::SYS_RESOURCE);
    if resource == Resource::Files && new.rlim_max > crate::fs::fd_table::NR_OPEN {
        return Err(Errno::EPERM);
    }
    {
        let mut state = group.state().lock();
        let old = state.limits.get(resource);
        if new.rlim_max > old.hard && !privileged {
            return Err(Errno::EPERM);
        }
        state.limits.set(resource, Limit { soft: new.rlim_cur, hard: new.rlim_max });
    }
    if resource == Resource::Cpu {
        crate::kernel::timers::watch_cpu(group);
    }
    Ok(())
}

/// prlimit64(2).
pub fn prlimit64(current: &mut Current, pid: Pid, resource: u32, new: In<Rlimit>, old: Out<Rlimit>) -> Result<()> {
    let resource = Resource::from_raw(resource).ok_or(Errno::EINVAL)?;
    let memory = current.memory();
    let new = new.read_if(&memory)?;
    let group = match pid.0 {
        0 => current.group(),
        pid => {
            let task = current.kernel().tree().task(pid as u32).ok_or(Errno::ESRCH)?;
            super::process::may_trace(current, &task)?;
            task.group()
        }
    };
    let previous = group.state().lock().limits.get(resource);
    if let Some(new) = new {
        set_limit(current, &group, resource, new)?;
    }
    old.write_if(&memory, &rlimit_of(previous))
}

/// getrusage(2).
pub fn getrusage(current: &mut Current, who: i32, out: Out<Rusage>) -> Result<()> {
    if who == 0 || who == 1 {
        current.context.update_use();
    }
    let usage = match who {
        0 => current.group_ref().usage(),
        -1 => current.kernel().tree().process(current.pid()).map(|p| p.children_usage).unwrap_or_default(),
        1 => {
            let (user, system) = current.times();
            let max_resident = current.group_ref().usage().max_resident;
            Usage { user, system, max_resident, ..Usage::default() }
        }
        _ => return Err(Errno::EINVAL),
    };
    out.write(&current.memory(), &rusage_of(&usage))
}
