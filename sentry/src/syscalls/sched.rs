//! Scheduling (sched(7), getpriority(2)). Tasks are scheduled by the host; policies are recorded as far as a container
//! without real-time privilege can set them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::sched::SchedParam;
use moat_abi::time::Timespec;

use super::arguments::{In, Out, OutBytes, Pid, UserOpaque};
use crate::Result;
use crate::kernel::task::{Affinity, SCHED_RESET_ON_FORK};
use crate::kernel::{Current, Task};

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;

fn find(current: &Current, pid: Pid) -> Result<Arc<Task>> {
    match pid.0 {
        0 => Ok(current.task.clone()),
        tid if tid > 0 => current.kernel().tree().task(tid as u32).ok_or(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_yield(2).
pub fn sched_yield(_: &mut Current) -> Result<()> {
    std::thread::yield_now();
    Ok(())
}

/// `EPERM` unless the caller may change how `task` is scheduled.
fn may_schedule(current: &Current, task: &Task) -> Result<()> {
    let (own, theirs) = (current.credentials(), task.credentials());
    let same = own.euid == theirs.euid || own.euid == theirs.uid;
    if same || own.has(CapabilitySet::SYS_NICE) { Ok(()) } else { Err(Errno::EPERM) }
}

/// The processors that the guest sees.
fn present(current: &Current) -> Affinity {
    let mut all = Affinity::default();
    for cpu in 0..(current.kernel().cpus.max(1) as usize).min(all.len() * 64) {
        all[cpu / 64] |= 1 << (cpu % 64);
    }
    all
}

/// sched_getaffinity(2).
pub fn sched_getaffinity(current: &mut Current, pid: Pid, size: usize, mask: OutBytes<1>) -> Result<usize> {
    let task = find(current, pid)?;
    let cpus = current.kernel().cpus.max(1) as usize;
    if !size.is_multiple_of(8) || size * 8 < cpus {
        return Err(Errno::EINVAL);
    }
    let allowed = *task.affinity.lock();
    let bytes: Vec<u8> = allowed.iter().zip(present(current)).flat_map(|(a, p)| (a & p).to_ne_bytes()).collect();
    let shown = (cpus.div_ceil(64) * 8).min(size).min(bytes.len());
    current.memory().write_bytes(mask.0, &bytes[..shown])?;
    Ok(shown)
}

/// sched_setaffinity(2): recorded; where tasks really run is the host's affair.
pub fn sched_setaffinity(current: &mut Current, pid: Pid, size: usize, mask: UserOpaque) -> Result<()> {
    let mut bytes = [0u8; size_of::<Affinity>()];
    let given = size.min(bytes.len());
    current.memory().read_bytes(mask.0, &mut bytes[..given])?;
    let task = find(current, pid)?;
    may_schedule(current, &task)?;
    let mut wanted = present(current);
    for (word, given) in wanted.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word &= u64::from_ne_bytes(*given);
    }
    if wanted.iter().all(|&w| w == 0) {
        return Err(Errno::EINVAL);
    }
    *task.affinity.lock() = wanted;
    Ok(())
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(current: &mut Current, pid: Pid) -> Result<i32> {
    Ok(find(current, pid)?.policy.load(Ordering::Relaxed) as i32)
}

/// sched_setscheduler(2).
pub fn sched_setscheduler(current: &mut Current, pid: Pid, policy: i32, param: In<SchedParam>) -> Result<()> {
    if policy < 0 {
        return Err(Errno::EINVAL);
    }
    set_policy(current, pid, Some(policy as u32), param)
}

/// Sets the policy (the one that it has if `None`) and the priority.
fn set_policy(current: &Current, pid: Pid, policy: Option<u32>, param: In<SchedParam>) -> Result<()> {
    if param.is_null() || pid.0 < 0 {
        return Err(Errno::EINVAL);
    }
    let priority = param.read(&current.memory())?.sched_priority;
    let task = find(current, pid)?;
    let policy = policy.unwrap_or_else(|| task.policy.load(Ordering::Relaxed));
    match policy & !SCHED_RESET_ON_FORK {
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE if priority == 0 => {}
        SCHED_FIFO | SCHED_RR if (1..=99).contains(&priority) => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    }
    may_schedule(current, &task)?;
    task.policy.store(policy, Ordering::Relaxed);
    Ok(())
}

/// sched_getparam(2).
pub fn sched_getparam(current: &mut Current, pid: Pid, param: Out<SchedParam>) -> Result<()> {
    if param.is_null() {
        return Err(Errno::EINVAL);
    }
    find(current, pid)?;
    param.write(&current.memory(), &SchedParam { sched_priority: 0 })
}

/// sched_setparam(2).
pub fn sched_setparam(current: &mut Current, pid: Pid, param: In<SchedParam>) -> Result<()> {
    set_policy(current, pid, None, param)
}

/// sched_get_priority_max(2).
pub fn sched_get_priority_max(_: &mut Current, policy: i32) -> Result<i32> {
    match policy {
        1 | 2 => Ok(99),
        0 | 3 | 5 | 6 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_get_priority_min(2).
pub fn sched_get_priority_min(_: &mut Current, policy: i32) -> Result<i32> {
    match policy {
        1 | 2 => Ok(1),
        0 | 3 | 5 | 6 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(current: &mut Current, pid: Pid, out: Out<Timespec>) -> Result<()> {
    find(current, pid)?;
    out.write(&current.memory(), &Timespec { tv_sec: 0, tv_nsec: 2_800_000 })
}

fn targets(current: &Current, which: i32, who: i32) -> Result<Vec<Arc<Task>>> {
    let own = current.pid();
    let all = current.kernel().all_tasks();
    let found: Vec<_> = match which {
        0 if who == 0 => vec![current.task.clone()],
        0 => all.into_iter().filter(|t| t.tid() as i32 == who).collect(),
        1 => {
            let tree = current.kernel().tree();
            let group = if who == 0 { tree.process(own).map_or(0, |p| p.process_group) } else { who as u32 };
            tree.processes()
                .filter(|(_, p)| p.process_group == group)
                .flat_map(|(_, p)| p.tasks.values().cloned())
                .collect()
        }
        2 => {
            let uid = if who == 0 { current.credentials().uid } else { who as u32 };
            all.into_iter().filter(|t| t.credentials().uid == uid).collect()
        }
        _ => return Err(Errno::EINVAL),
    };
    if found.is_empty() { Err(Errno::ESRCH) } else { Ok(found) }
}

/// getpriority(2), as the kernel has it: 20 minus the nice value.
pub fn getpriority(current: &mut Current, which: i32, who: i32) -> Result<i32> {
    let tasks = targets(current, which, who)?;
    Ok(tasks.iter().map(|t| 20 - t.nice.load(Ordering::Relaxed)).max().unwrap_or(20))
}

/// setpriority(2).
pub fn setpriority(current: &mut Current, which: i32, who: i32, nice: i32) -> Result<()> {
    let nice = nice.clamp(-20, 19);
    let own = current.credentials();
    let privileged = own.has(CapabilitySet::SYS_NICE);
    let mut done = Ok(());
    // Whom it may not be done to does not keep it from the others.
    for task in targets(current, which, who)? {
        let theirs = task.credentials();
        if !privileged && own.euid != theirs.uid && own.euid != theirs.euid {
            done = Err(Errno::EPERM);
            continue;
        }
        let limit = task.group_ref().limit(Resource::Nice).min(40) as i32;
        if !privileged && nice < task.nice.load(Ordering::Relaxed) && 20 - nice > limit {
            done = Err(Errno::EACCES);
            continue;
        }
        task.nice.store(nice, Ordering::Relaxed);
        // The host's tools know a process by its first thread.
        if task.tid() == task.group_ref().pid() {
            task.group_ref().stub().set_nice(nice);
        }
    }
    done
}
