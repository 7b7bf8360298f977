//! Files on their way through SCM_RIGHTS: how many there may be, how they end when nobody receives them, and the search
//! for sockets that are kept alive by nothing but messages in each other (net/unix/garbage.c).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::socket::AF_UNIX;

use super::Core;
use crate::Result;
use crate::fs::OpenFile;
use crate::kernel::Task;
use crate::net::{NetNamespace, Socket};

/// However privileged: what is in flight is the sentry's memory.
const MOST: usize = 1 << 16;

static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
/// Those of them that are unix sockets: only they can form cycles.
static SOCKETS_IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);
/// Counts files that left or entered flight, so that a search notices that it saw two states.
static MOVES: AtomicU64 = AtomicU64::new(0);

/// Files in flight.
pub struct Rights {
    files: Vec<Arc<OpenFile>>,
}

fn sockets(files: &[Arc<OpenFile>]) -> usize {
    files.iter().filter(|f| f.downcast::<Socket>().is_some_and(|s| s.family == AF_UNIX)).count()
}

impl Rights {
    /// Puts `files` into flight.
    pub fn new(files: Vec<Arc<OpenFile>>) -> Self {
        IN_FLIGHT.fetch_add(files.len(), Ordering::Relaxed);
        SOCKETS_IN_FLIGHT.fetch_add(sockets(&files), Ordering::Relaxed);
        MOVES.fetch_add(1, Ordering::SeqCst);
        Self { files }
    }

    /// The files, out of flight.
    pub fn land(mut self) -> Vec<Arc<OpenFile>> {
        self.take()
    }

    /// The same files, for MSG_PEEK.
    pub fn duplicate(&self) -> Vec<Arc<OpenFile>> {
        MOVES.fetch_add(1, Ordering::SeqCst);
        self.files.clone()
    }

    /// The same files, for the search for garbage.
    pub(super) fn duplicate_quietly(&self) -> Vec<Arc<OpenFile>> {
        self.files.clone()
    }

    fn take(&mut self) -> Vec<Arc<OpenFile>> {
        let files = std::mem::take(&mut self.files);
        IN_FLIGHT.fetch_sub(files.len(), Ordering::Relaxed);
        SOCKETS_IN_FLIGHT.fetch_sub(sockets(&files), Ordering::Relaxed);
        MOVES.fetch_add(1, Ordering::SeqCst);
        files
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        let files = self.take();
        end_all(files);
    }
}

/// Whether `task` may put `more` files into flight. `ETOOMANYREFS`.
pub fn admit(task: &Task, more: usize) -> Result<()> {
    let there = IN_FLIGHT.load(Ordering::Relaxed);
    let credentials = task.credentials();
    let limited = !credentials.has(CapabilitySet::SYS_RESOURCE) && !credentials.has(CapabilitySet::SYS_ADMIN);
    if there + more > MOST || (limited && there as u64 > task.group_ref().limit(Resource::Files)) {
        return Err(Errno::ETOOMANYREFS);
    }
    Ok(())
}

thread_local! {
    /// Files whose references are being given up on this thread; `None` while nobody does.
    static ENDING: RefCell<Option<Vec<Arc<OpenFile>>>> = const { RefCell::new(None) };
}

/// Gives up references. A socket may end whose messages hold other sockets, and so on, without end: they are queued
/// here rather than ended from within each other, which would need as much stack as an application pleases.
pub fn end_all(files: impl IntoIterator<Item = Arc<OpenFile>>) {
    let mut files = files.into_iter().peekable();
    if files.peek().is_none() {
        return;
    }
    let nested = ENDING.with_borrow_mut(|ending| match ending {
        Some(ending) => {
            ending.extend(files.by_ref());
            true
        }
        None => {
            *ending = Some(files.by_ref().collect());
            false
        }
    });
    if nested {
        return;
    }
    while let Some(file) = ENDING.with_borrow_mut(|ending| ending.as_mut().and_then(Vec::pop)) {
        drop(file);
    }
    ENDING.with_borrow_mut(|ending| *ending = None);
}

/// Ends the sockets of `net` that only messages in such sockets keep alive. Called when a unix socket is closed.
pub fn collect(net: &Arc<NetNamespace>) {
    if SOCKETS_IN_FLIGHT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let moves = MOVES.load(Ordering::SeqCst);
    let all = net.sockets.of_family(AF_UNIX);
    let mut holders: Vec<(Arc<Core>, Option<Arc<OpenFile>>)> = Vec::new();
    for socket in &all {
        if let Some(unix) = socket.downcast::<super::UnixSocket>() {
            holders.push((unix.core.clone(), socket.file()));
        }
    }
    // The references that messages hold, by file.
    let carried: Vec<Vec<Arc<OpenFile>>> = holders.iter().map(|(core, _)| core.carried()).collect();
    let mut in_flight: HashMap<*const OpenFile, usize> = HashMap::new();
    for file in carried.iter().flatten() {
        *in_flight.entry(Arc::as_ptr(file)).or_default() += 1;
    }
    let mut place: HashMap<*const OpenFile, usize> = HashMap::new();
    let mut alive: Vec<bool> = Vec::with_capacity(holders.len());
    for (at, (_, file)) in holders.iter().enumerate() {
        let Some(file) = file else {
            alive.push(true);
            continue;
        };
        place.insert(Arc::as_ptr(file), at);
        let messages = in_flight.get(&Arc::as_ptr(file)).copied().unwrap_or_default();
        // Ours: `file` itself, and a clone in `carried` for each message.
        alive.push(Arc::strong_count(file) > 1 + 2 * messages);
    }
    let mut reached: Vec<usize> = (0..holders.len()).filter(|&at| alive[at]).collect();
    while let Some(at) = reached.pop() {
        for file in &carried[at] {
            if let Some(&next) = place.get(&Arc::as_ptr(file))
                && !alive[next]
            {
                alive[next] = true;
                reached.push(next);
            }
        }
    }
    if MOVES.load(Ordering::SeqCst) != moves {
        return;
    }
    drop(carried);
    for (at, (core, _)) in holders.iter().enumerate() {
        if !alive[at] {
            core.discard_rights();
        }
    }
}
