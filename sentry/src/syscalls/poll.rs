//! Waiting for several files: poll(2), select(2) and their kin with a signal mask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::poll::{PollEvents, PollFd};
use moat_abi::resource::Resource;
use moat_abi::signal::SigSet;
use moat_abi::time::{Timespec, Timeval};
use zerocopy::IntoBytes;

use super::arguments::{In, InOut, UserOpaque};
use super::signals::check_set_size;
use crate::Result;
use crate::executor::wait::Waiter;
use crate::fs::OpenFile;
use crate::fs::fd_table::NR_OPEN;
use crate::kernel::current::RestartBlock;
use crate::kernel::signal::mask;
use crate::kernel::task::WaitEnd;
use crate::kernel::{Current, timers};

/// What select's three sets ask for (fs/select.c).
const READABLE: PollEvents =
    PollEvents::RDNORM.union(PollEvents::RDBAND).union(PollEvents::IN).union(PollEvents::HUP).union(PollEvents::ERR);
const WRITABLE: PollEvents = PollEvents::WRBAND.union(PollEvents::WRNORM).union(PollEvents::OUT).union(PollEvents::ERR);
const EXCEPTIONAL: PollEvents = PollEvents::PRI;

/// How long a call waits at the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
    /// For ever.
    Endless,
}

impl Patience {
    /// For this long.
    pub fn lasting(time: Duration) -> Self {
        if time.is_zero() { Self::None } else { Self::Until(timers::far(time)) }
    }

    /// For so many milliseconds; for ever if that is negative.
    pub fn milliseconds(time: i32) -> Self {
        u64::try_from(time).map_or(Self::Endless, |ms| Self::lasting(Duration::from_millis(ms)))
    }

    /// By a `timespec`; for ever without one. `EINVAL` if it is no valid time.
    pub fn by(time: Option<Timespec>) -> Result<Self> {
        match time {
            None => Ok(Self::Endless),
            Some(time) => time.duration().map(Self::lasting).ok_or(Errno::EINVAL),
        }
    }

    /// The end of the wait.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::None => Some(Instant::now()),
            Self::Until(at) => Some(at),
            Self::Endless => None,
        }
    }
}

/// Looks until `attempt` finds something. `None` if time ran out.
///
/// # Errors
/// [`Interrupted`], also if nothing was to be waited for, as in Linux.
pub(super) async fn look<T>(
    current: &Current,
    patience: Patience,
    mut attempt: impl FnMut(Option<&mut Waiter>) -> Option<T>,
) -> std::result::Result<Option<T>, Interrupted> {
    if let Some(found) = attempt(None) {
        return Ok(Some(found));
    }
    if patience == Patience::None {
        return if current.signal_pending() { Err(Interrupted) } else { Ok(None) };
    }
    match current.wait_for(patience.deadline(), |waiter| attempt(Some(waiter))).await {
        Ok(found) => Ok(Some(found)),
        Err(WaitEnd::TimedOut) => Ok(None),
        Err(WaitEnd::Interrupted) => Err(Interrupted),
    }
}

/// A signal (or a stop, a pause, the end) came first.
pub(super) struct Interrupted;

/// Takes a mask of [`mask::set_temporary`] back at the end of a call, unless a signal ended it: then delivery does, since
/// the handler is chosen by the mask of the call.
pub(super) fn unmask_after_call(current: &Current, interrupted: bool) {
    // What interrupted may be gone again, taken by another thread; then nothing will be delivered.
    if !interrupted || !current.recalculate_pending() {
        mask::restore(current);
    }
}

/// The mask that a call was given. `EINVAL` unless its size is that of the kernel's `sigset_t`.
pub(super) fn read_mask(current: &Current, mask: In<SigSet>, size: usize) -> Result<Option<SigSet>> {
    if mask.is_null() {
        return Ok(None);
    }
    check_set_size(size)?;
    mask.read(&current.memory()).map(Some)
}

/// One entry of poll's array.
struct Entry {
    file: Option<Arc<OpenFile>>,
    wanted: PollEvents,
    found: PollEvents,
}

fn read_entries(current: &Current, fds: u64, count: u32) -> Result<(Vec<PollFd>, Vec<Entry>)> {
    if u64::from(count) > current.group_ref().limit(Resource::Files) {
        return Err(Errno::EINVAL);
    }
    let array: Vec<PollFd> = current.memory().read_array(fds, count as usize)?;
    let table = current.files();
    let always = PollEvents::ERR | PollEvents::HUP;
    let entries = array
        .iter()
        .map(|entry| match table.get(entry.fd) {
            _ if entry.fd < 0 => Entry { file: None, wanted: always, found: PollEvents::empty() },
            Ok(file) => {
                let wanted = PollEvents::from_bits_retain(u32::from(entry.events)) | always;
                Entry { file: Some(file), wanted, found: PollEvents::empty() }
            }
            Err(_) => Entry { file: None, wanted: always, found: PollEvents::NVAL },
        })
        .collect();
    Ok((array, entries))
}

/// The answer of a poll: how many entries have something.
async fn poll_entries(
    current: &mut Current,
    fds: u64,
    count: u32,
    patience: Patience,
) -> Result<std::result::Result<u64, Interrupted>> {
    let (mut array, mut entries) = read_entries(current, fds, count)?;
    let found = look(current, patience, |mut waiter| {
        let mut ready = 0;
        for entry in &mut entries {
            if let Some(file) = &entry.file {
                // Once something is found nobody will sleep, and nobody need listen any more.
                let listening = if ready == 0 { waiter.as_deref_mut() } else { None };
                entry.found = file.poll_by(&current.task, listening) & entry.wanted;
            }
            ready += u64::from(!entry.found.is_empty());
        }
        (ready > 0).then_some(ready)
    })
    .await;
    let found = match found {
        Ok(found) => found.unwrap_or(0),
        Err(interrupted) => return Ok(Err(interrupted)),
    };
    for (raw, entry) in array.iter_mut().zip(&entries) {
        raw.revents = entry.found.bits() as u16;
    }
    // Only `revents` is the kernel's to write: another thread may be changing the rest.
    let memory = current.memory();
    for (i, raw) in array.iter().enumerate() {
        memory.write(fds + (i * size_of::<PollFd>()) as u64 + 6, &raw.revents)?;
    }
    Ok(Ok(found))
}

async fn poll_restartable(current: &mut Current, fds: u64, count: u32, patience: Patience) -> Result<u64> {
    match poll_entries(current, fds, count, patience).await? {
        Ok(ready) => Ok(ready),
        Err(Interrupted) => {
            let until = patience.deadline();
            current.restart = Some(RestartBlock::Poll { fds, count, until });
            Err(Errno::ERESTART_RESTARTBLOCK)
        }
    }
}

/// poll(2).
pub async fn poll(current: &mut Current, fds: UserOpaque, count: u32, timeout: i32) -> Result<u64> {
    poll_restartable(current, fds.0, count, Patience::milliseconds(timeout)).await
}

/// What `restart_syscall` does for an interrupted poll(2).
pub async fn restart(current: &mut Current, fds: u64, count: u32, until: Option<Instant>) -> Result<u64> {
    poll_restartable(current, fds, count, until.map_or(Patience::Endless, Patience::Until)).await
}

/// The rest of a time limit, as the calls that update it write it.
fn rest(patience: Patience) -> Option<Duration> {
    match patience {
        Patience::Until(at) => Some(at.saturating_duration_since(Instant::now())),
        Patience::None | Patience::Endless => None,
    }
}

/// ppoll(2).
pub async fn ppoll(
    current: &mut Current,
    fds: UserOpaque,
    count: u32,
    timeout: InOut<Timespec>,
    mask: In<SigSet>,
    size: usize,
) -> Result<u64> {
    let memory = current.memory();
    let time = if timeout.is_null() { None } else { Some(timeout.read(&memory)?) };
    let patience = Patience::by(time)?;
    if let Some(mask) = read_mask(current, mask, size)? {
        mask::set_temporary(current, mask);
    }
    let result = poll_entries(current, fds.0, count, patience).await;
    unmask_after_call(current, matches!(result, Ok(Err(_))));
    let written = rest(patience).map_or(Ok(()), |rest| timeout.write(&memory, &rest.into()));
    match result? {
        Ok(ready) => Ok(ready),
        // Without the rest of the time the call cannot be started again.
        Err(Interrupted) => Err(if written.is_ok() { Errno::ERESTARTNOHAND } else { Errno::EINTR }),
    }
}

/// A set of descriptors as select takes it: a bit each, in words of 64.
struct FdSet {
    address: u64,
    bits: Vec<u64>,
    found: Vec<u64>,
}

impl FdSet {
    fn read(current: &Current, address: u64, count: usize) -> Result<Self> {
        let words = count.div_ceil(64);
        let mut bits = match address {
            0 => vec![0; words],
            _ => current.memory().read_array(address, words)?,
        };
        if let Some(last) = bits.last_mut()
            && !count.is_multiple_of(64)
        {
            *last &= (1 << (count % 64)) - 1;
        }
        Ok(Self { address, bits, found: vec![0; words] })
    }

    fn has(&self, fd: usize) -> bool {
        self.bits[fd / 64] & 1 << (fd % 64) != 0
    }

    fn set(&mut self, fd: usize, on: bool) {
        let bit = 1 << (fd % 64);
        match on {
            true => self.found[fd / 64] |= bit,
            false => self.found[fd / 64] &= !bit,
        }
    }

    fn write(&self, current: &Current) -> Result<()> {
        if self.address == 0 { Ok(()) } else { current.memory().write_bytes(self.address, self.found.as_bytes()) }
    }
}

async fn select_sets(
    current: &mut Current,
    count: i32,
    sets: [u64; 3],
    patience: Patience,
) -> Result<std::result::Result<u64, Interrupted>> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?.min(NR_OPEN as usize);
    // Numbers that the descriptor table has no place for are not looked at (core_sys_select); the table grows in words.
    let table = current.files();
    let places = table.numbers().last().map_or(0, |&n| n as usize + 1).next_multiple_of(64).max(256);
    let count = count.min(places);
    let [mut input, mut output, mut other] = [
        FdSet::read(current, sets[0], count)?,
        FdSet::read(current, sets[1], count)?,
        FdSet::read(current, sets[2], count)?,
    ];
    let mut files = Vec::new();
    for fd in (0..count).filter(|&fd| input.has(fd) || output.has(fd) || other.has(fd)) {
        files.push((fd, table.get(fd as i32)?));
    }
    let found = look(current, patience, |mut waiter| {
        let mut ready = 0;
        for (fd, file) in &files {
            let listening = if ready == 0 { waiter.as_deref_mut() } else { None };
            let events = file.poll_by(&current.task, listening);
            for (set, wanted) in [(&mut input, READABLE), (&mut output, WRITABLE), (&mut other, EXCEPTIONAL)] {
                let is_ready = set.has(*fd) && events.intersects(wanted);
                set.set(*fd, is_ready);
                ready += u64::from(is_ready);
            }
        }
        (ready > 0).then_some(ready)
    })
    .await;
    let found = match found {
        Ok(found) => found.unwrap_or(0),
        Err(interrupted) => return Ok(Err(interrupted)),
    };
    for set in [&input, &output, &other] {
        set.write(current)?;
    }
    Ok(Ok(found))
}

/// select(2).
pub async fn select(
    current: &mut Current,
    count: i32,
    input: UserOpaque,
    output: UserOpaque,
    other: UserOpaque,
    timeout: InOut<Timeval>,
) -> Result<u64> {
    let memory = current.memory();
    let patience = match timeout.is_null() {
        true => Patience::Endless,
        false => {
            // Microseconds beyond a second are carried over.
            let time = timeout.read(&memory)?;
            let seconds = time.tv_sec.checked_add(time.tv_usec / 1_000_000).ok_or(Errno::EINVAL)?;
            Patience::by(Some(Timespec { tv_sec: seconds, tv_nsec: time.tv_usec % 1_000_000 * 1000 }))?
        }
    };
    let result = select_sets(current, count, [input.0, output.0, other.0], patience).await;
    let written = rest(patience).map_or(Ok(()), |rest| timeout.write(&memory, &rest.into()));
    match result? {
        Ok(ready) => Ok(ready),
        Err(Interrupted) => Err(if written.is_ok() { Errno::ERESTARTNOHAND } else { Errno::EINTR }),
    }
}

/// pselect6(2). The last argument points to the mask and its size.
pub async fn pselect6(
    current: &mut Current,
    count: i32,
    input: UserOpaque,
    output: UserOpaque,
    other: UserOpaque,
    timeout: InOut<Timespec>,
    mask: In<[u64; 2]>,
) -> Result<u64> {
    let memory = current.memory();
    let mask = match mask.read_if(&memory)? {
        Some([address, size]) => read_mask(current, super::arguments::Argument::decode(address), size as usize)?,
        None => None,
    };
    let time = if timeout.is_null() { None } else { Some(timeout.read(&memory)?) };
    let patience = Patience::by(time)?;
    if let Some(mask) = mask {
        mask::set_temporary(current, mask);
    }
    let result = select_sets(current, count, [input.0, output.0, other.0], patience).await;
    unmask_after_call(current, matches!(result, Ok(Err(_))));
    let written = rest(patience).map_or(Ok(()), |rest| timeout.write(&memory, &rest.into()));
    match result? {
        Ok(ready) => Ok(ready),
        Err(Interrupted) => Err(if written.is_ok() { Errno::ERESTARTNOHAND } else { Errno::EINTR }),
    }
}
