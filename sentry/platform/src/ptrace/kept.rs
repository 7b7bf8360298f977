//! Threads kept for the next one. An application thread that has ended while its process goes on stays where it is:
//! stopped, traced by the sentry thread that ran it. The next thread of that process goes on
//! in it and must be polled by that sentry thread ([`crate::Context::home`]), which spares both their birth.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread::{Thread, ThreadId};

use parking_lot::Mutex;

use super::context;
use super::raw::{self, Stop};
use crate::Tenure;
use crate::stub::placement::Placement;
use crate::stub::process::HostThread;

/// The most that one process keeps.
const MOST: usize = 8;

/// A thread that waits for the next use.
pub struct Kept {
    pub(super) thread: HostThread,
    tracer: Thread,
    number: u64,
}

impl Kept {
    /// The sentry thread that traces it.
    pub fn home(&self) -> ThreadId {
        self.tracer.id()
    }
}

/// The threads that one process keeps.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Vec<Kept>,
    next: u64,
    /// The process is dead: nothing is kept any more.
    closed: bool,
}

/// What a sentry thread keeps on its side.
struct Own {
    pool: Arc<Pool>,
    number: u64,
    thread: HostThread,
    placement: Option<Placement>,
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
    /// A tracee of this thread has died and was not reaped.
    static SPENT: Cell<bool> = const { Cell::new(false) };
}

impl Pool {
    /// Takes a thread out, whose home will be given a task.
    pub fn take(&self) -> Option<Kept> {
        self.state.lock().kept.pop()
    }

    /// Puts one back that was not used after all.
    pub fn put_back(&self, kept: Kept) {
        let mut state = self.state.lock();
        match state.closed {
            true => kept.tracer.unpark(),
            false => state.kept.push(kept),
        }
    }

    /// Keeps a stopped tracee of the calling thread. Gives the placement back if it is not kept.
    pub fn keep(self: &Arc<Self>, thread: HostThread, placement: Option<Placement>) -> Result<(), Option<Placement>> {
        let mut state = self.state.lock();
        if state.closed || state.kept.len() >= MOST || OWN.with_borrow(Option::is_some) {
            return Err(placement);
        }
        let number = state.next;
        state.next += 1;
        state.kept.push(Kept { thread, tracer: std::thread::current(), number });
        OWN.set(Some(Own { pool: self.clone(), number, thread, placement }));
        Ok(())
    }

    /// The process has been killed: who keeps a thread of it is to look after it.
    pub fn close(&self) {
        let kept = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.kept)
        };
        for kept in kept {
            kept.tracer.unpark();
        }
    }

    /// Takes a thread out that is to be given up, unless it has been taken already.
    fn forget(&self, number: u64) -> Fate {
        let mut state = self.state.lock();
        if state.closed {
            return Fate::Dead;
        }
        match state.kept.iter().position(|k| k.number == number) {
            Some(at) => {
                state.kept.remove(at);
                Fate::Free
            }
            None => Fate::Taken,
        }
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

enum Fate {
    Taken,
    Free,
    Dead,
}

/// The calling thread goes on with the tracee that it kept.
pub fn resume() -> Option<Placement> {
    OWN.take().and_then(|own| own.placement)
}

/// The calling thread must end, so that the host reaps what it traced.
pub fn spend() {
    SPENT.set(true);
}

/// See [`crate::tend_thread`].
pub fn tend(expired: bool) -> Tenure {
    if let Some(own) = OWN.take() {
        let fate = match expired || own.pool.is_closed() {
            true => own.pool.forget(own.number),
            false => Fate::Taken,
        };
        match fate {
            Fate::Taken => {
                OWN.set(Some(own));
                return Tenure::Bound;
            }
            Fate::Free if context::let_go(own.thread.outer).is_ok() => {}
            // Killed, by the sentry or by the host.
            Fate::Free | Fate::Dead => reap(own.thread.outer),
        }
    }
    if SPENT.get() { Tenure::Spent } else { Tenure::Free }
}

/// Waits for the end of a tracee that has been killed: as long as it is not reaped, neither is its process.
fn reap(tid: i32) {
    loop {
        match raw::wait(tid) {
            Ok(Stop::Ended) => return,
            Ok(_) | Err(libc::EINTR) => {}
            Err(_) => return,
        }
    }
}
