//! epoll_create(2), epoll_ctl(2), epoll_wait(2).

use std::sync::Arc;

use moat_abi::epoll::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLEXCLUSIVE, EpollEvent};
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::signal::SigSet;
use moat_abi::time::Timespec;
use zerocopy::IntoBytes;

use super::arguments::{Fd, In, UserOpaque};
use super::descriptors::install;
use super::poll::{self, Interrupted, Patience};
use crate::Result;
use crate::fs::OpenFile;
use crate::fs::epoll::Epoll;
use crate::kernel::Current;
use crate::kernel::signal::mask;

/// epoll_create(2): the size is a hint of old that must only be positive.
pub fn epoll_create(current: &mut Current, size: i32) -> Result<Fd> {
    if size <= 0 { Err(Errno::EINVAL) } else { epoll_create1(current, OpenFlags::empty()) }
}

/// epoll_create1(2).
pub fn epoll_create1(current: &mut Current, flags: OpenFlags) -> Result<Fd> {
    if !(flags - OpenFlags::CLOEXEC).is_empty() {
        return Err(Errno::EINVAL);
    }
    let file = OpenFile::new(Epoll::new(), None, OpenFlags::RDWR);
    install(current, file, flags.contains(OpenFlags::CLOEXEC))
}

/// epoll_ctl(2).
pub fn epoll_ctl(current: &mut Current, epfd: Fd, operation: i32, fd: Fd, event: In<EpollEvent>) -> Result<()> {
    let event = match operation {
        EPOLL_CTL_DEL => EpollEvent::default(),
        _ => event.read(&current.memory())?,
    };
    let files = current.files();
    let instance = files.get(epfd.0)?;
    let target = files.get(fd.0)?;
    if !target.operations()?.pollable() {
        return Err(Errno::EPERM);
    }
    let epoll = match instance.downcast::<Epoll>() {
        Some(epoll) if !Arc::ptr_eq(&instance, &target) => epoll,
        _ => return Err(Errno::EINVAL),
    };
    match operation {
        EPOLL_CTL_ADD => epoll.add(&current.task, fd.0, &target, event),
        EPOLL_CTL_DEL => epoll.remove(fd.0, &target),
        EPOLL_CTL_MOD if event.events & EPOLLEXCLUSIVE != 0 => Err(Errno::EINVAL),
        EPOLL_CTL_MOD => epoll.modify(fd.0, &target, event),
        _ => Err(Errno::EINVAL),
    }
}

async fn wait(current: &mut Current, epfd: Fd, events: u64, limit: i32, patience: Patience) -> Result<usize> {
    let limit = usize::try_from(limit).ok().filter(|&n| n > 0 && n <= i32::MAX as usize / size_of::<EpollEvent>());
    let limit = limit.ok_or(Errno::EINVAL)?;
    let file = current.files().get(epfd.0)?;
    let epoll = file.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    let found = poll::look(current, patience, |waiter| {
        if let Some(waiter) = waiter {
            waiter.listen(epoll.waiters());
        }
        Some(epoll.collect(limit)).filter(|taken| !taken.is_empty())
    })
    .await;
    let taken = match found {
        Ok(taken) => taken.unwrap_or_default(),
        // A pause from outside must not be seen; anything else ends the wait, handler or not (signal(7)).
        Err(Interrupted) if current.kernel().is_paused() => return Err(Errno::ERESTARTNOHAND),
        Err(Interrupted) => return Err(Errno::EINTR),
    };
    let out: Vec<EpollEvent> = taken.iter().map(|t| t.event).collect();
    if let Err(e) = current.memory().write_bytes(events, out.as_bytes()) {
        epoll.put_back(&taken);
        return Err(e);
    }
    Ok(taken.len())
}

/// epoll_wait(2).
pub async fn epoll_wait(
    current: &mut Current,
    epfd: Fd,
    events: UserOpaque,
    limit: i32,
    timeout: i32,
) -> Result<usize> {
    wait(current, epfd, events.0, limit, Patience::milliseconds(timeout)).await
}

async fn wait_masked(
    current: &mut Current,
    epfd: Fd,
    events: u64,
    limit: i32,
    patience: Patience,
    mask: Option<SigSet>,
) -> Result<usize> {
    if let Some(mask) = mask {
        mask::set_temporary(current, mask);
    }
    let result = wait(current, epfd, events, limit, patience).await;
    poll::unmask_after_call(current, matches!(result, Err(Errno::EINTR | Errno::ERESTARTNOHAND)));
    result
}

/// epoll_pwait(2).
pub async fn epoll_pwait(
    current: &mut Current,
    epfd: Fd,
    events: UserOpaque,
    limit: i32,
    timeout: i32,
    mask: In<SigSet>,
    size: usize,
) -> Result<usize> {
    let mask = poll::read_mask(current, mask, size)?;
    wait_masked(current, epfd, events.0, limit, Patience::milliseconds(timeout), mask).await
}

/// epoll_pwait2(2).
pub async fn epoll_pwait2(
    current: &mut Current,
    epfd: Fd,
    events: UserOpaque,
    limit: i32,
    timeout: In<Timespec>,
    mask: In<SigSet>,
    size: usize,
) -> Result<usize> {
    let patience = Patience::by(timeout.read_if(&current.memory())?)?;
    let mask = poll::read_mask(current, mask, size)?;
    wait_masked(current, epfd, events.0, limit, patience, mask).await
}
