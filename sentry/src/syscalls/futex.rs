//! futex(2), set_robust_list(2).

use std::sync::atomic::Ordering;
use std::time::Instant;

use moat_abi::errno::Errno;
use moat_abi::futex as f;
use moat_abi::time::{CLOCK_MONOTONIC, CLOCK_REALTIME, Timespec};

use super::arguments::{Address, Out, Pid};
use crate::Result;
use crate::kernel::current::RestartBlock;
use crate::kernel::futex::{self, Key};
use crate::kernel::{Current, timers};

/// FUTEX_WAIT until an instant; sets up the restart after a signal.
pub async fn wait_until(
    current: &mut Current,
    address: u64,
    value: u32,
    bitset: u32,
    private: bool,
    until: Option<Instant>,
) -> Result<u64> {
    let result = futex::wait(current, address, value, bitset, private, until).await;
    if let (Err(Errno::ERESTART_RESTARTBLOCK), Some(until)) = (&result, until) {
        current.restart = Some(RestartBlock::Futex { address, value, bitset, private, until });
    }
    result.map(|()| 0)
}

/// futex(2).
pub async fn futex(
    current: &mut Current,
    address: Address,
    operation: u32,
    value: u32,
    timeout: u64,
    second: Address,
    value3: u32,
) -> Result<u64> {
    let private = operation & f::PRIVATE_FLAG != 0;
    let command = operation & !(f::PRIVATE_FLAG | f::CLOCK_REALTIME);
    let realtime = operation & f::CLOCK_REALTIME != 0;
    if realtime && !matches!(command, f::WAIT | f::WAIT_BITSET | f::WAIT_REQUEUE_PI | f::LOCK_PI2) {
        return Err(Errno::ENOSYS);
    }
    let at = address.0;
    match command {
        f::WAIT | f::WAIT_BITSET => {
            let until = limit(current, timeout, command == f::WAIT, realtime)?;
            let bitset = if command == f::WAIT { u32::MAX } else { value3 };
            wait_until(current, at, value, bitset, private, until).await
        }
        f::WAKE | f::WAKE_BITSET => {
            let bitset = if command == f::WAKE { u32::MAX } else { value3 };
            if bitset == 0 {
                return Err(Errno::EINVAL);
            }
            let key = Key::of(&current.memory_manager(), at, private)?;
            let count = (value as i32).max(1) as usize;
            Ok(current.kernel().futexes().wake(key, count, bitset) as u64)
        }
        f::REQUEUE | f::CMP_REQUEUE => {
            let memory = current.memory_manager();
            let (from, to) = (Key::of(&memory, at, private)?, Key::of(&memory, second.0, private)?);
            if (value as i32) < 0 || (timeout as i32) < 0 {
                return Err(Errno::EINVAL);
            }
            if command == f::CMP_REQUEUE && current.memory().read::<u32>(at)? != value3 {
                return Err(Errno::EAGAIN);
            }
            let (woken, moved) = current.kernel().futexes().requeue(from, to, value as usize, timeout as u32 as usize);
            Ok(if command == f::REQUEUE { woken as u64 } else { (woken + moved) as u64 })
        }
        f::WAKE_OP => {
            let memory = current.memory_manager();
            let (first, other) = (Key::of(&memory, at, private)?, Key::of(&memory, second.0, private)?);
            let old = futex::change_word(current, second.0, value3)?;
            let table = current.kernel().futexes();
            let mut woken = table.wake(first, (value as i32).max(1) as usize, u32::MAX);
            if futex::compare_word(old, value3)? {
                woken += table.wake(other, (timeout as i32).max(1) as usize, u32::MAX);
            }
            Ok(woken as u64)
        }
        f::LOCK_PI | f::LOCK_PI2 => {
            let until = limit(current, timeout, false, command == f::LOCK_PI || realtime)?;
            futex::lock_pi(current, at, private, until, true).await.map(|()| 0)
        }
        f::TRYLOCK_PI => futex::lock_pi(current, at, private, None, false).await.map(|()| 0),
        f::UNLOCK_PI => futex::unlock_pi(current, at, private).map(|()| 0),
        _ => Err(Errno::ENOSYS),
    }
}

fn limit(current: &Current, timeout: u64, relative: bool, realtime: bool) -> Result<Option<Instant>> {
    if timeout == 0 {
        return Ok(None);
    }
    let time = current.memory().read::<Timespec>(timeout)?.duration().ok_or(Errno::EINVAL)?;
    Ok(Some(match (relative, realtime) {
        (true, _) => timers::far(time),
        (false, true) => current.kernel().clocks().instant(CLOCK_REALTIME, time),
        (false, false) => current.kernel().clocks().instant(CLOCK_MONOTONIC, time),
    }))
}

/// set_robust_list(2).
pub fn set_robust_list(current: &mut Current, head: Address, size: usize) -> Result<()> {
    if size != size_of::<f::RobustListHead>() {
        return Err(Errno::EINVAL);
    }
    current.robust_list.store(head.0, Ordering::Relaxed);
    Ok(())
}

/// get_robust_list(2).
pub fn get_robust_list(current: &mut Current, pid: Pid, head: Out<u64>, size: Out<u64>) -> Result<()> {
    let task = match pid.0 {
        0 => current.task.clone(),
        tid => current.kernel().tree().task(tid as u32).ok_or(Errno::ESRCH)?,
    };
    super::process::may_trace(current, &task)?;
    let memory = current.memory();
    size.write(&memory, &(size_of::<f::RobustListHead>() as u64))?;
    head.write(&memory, &task.robust_list.load(Ordering::Relaxed))
}
