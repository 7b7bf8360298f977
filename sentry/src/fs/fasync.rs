//! Input and output announced by signals (O_ASYNC, F_SETOWN and F_SETSIG of fcntl(2); Linux's `fasync`).

use std::sync::{Arc, Weak};
use std::time::Instant;

use moat_abi::poll::PollEvents;
use moat_abi::signal::{SIGIO, SigInfo, Signal};

use super::OpenFile;
use super::file::SignalOwner;
use crate::executor::deferred;
use crate::executor::timer::{Armed, TimerQueue};
use crate::executor::wait::{Notify, Registration, Waiter};
use crate::kernel::signal::send::{self, Origin};
use crate::kernel::{Current, Kernel, Task};
use crate::sync::{Mutex, Rank};

/// The kinds of owner (`F_OWNER_*`): a thread.
pub const TID: u32 = 0;
/// A process.
pub const PID: u32 = 1;
/// A process group.
pub const PGRP: u32 = 2;

/// A description's announcements, from O_ASYNC until that is taken back.
pub struct Fasync {
    _registrations: Vec<Registration>,
    _listener: Arc<Listener>,
}

/// Listens to what the file waits for. Who wakes it may hold locks that a signal must not be sent under, and sends it when
/// it holds none any more; for a thread that runs no tasks the timer thread does.
struct Listener {
    announcer: Arc<Announcer>,
    soon: Mutex<Option<Armed>>,
}

struct Announcer {
    file: Weak<OpenFile>,
    /// The descriptor that O_ASYNC was set by, which siginfo names.
    fd: i32,
    kernel: Weak<Kernel>,
    /// Events that came since the last announcement.
    events: Mutex<PollEvents>,
}

impl Notify for Listener {
    fn notify(&self) {
        self.notify_of(PollEvents::all());
    }

    fn notify_of(&self, events: PollEvents) {
        *self.announcer.events.lock() |= events;
        if deferred::defer(self.announcer.clone()) {
            return;
        }
        let armed = TimerQueue::global().arm(Instant::now(), self.announcer.clone());
        let replaced = self.soon.lock().replace(armed);
        drop(replaced);
    }
}

impl Notify for Announcer {
    fn notify(&self) {
        let events = std::mem::replace(&mut *self.events.lock(), PollEvents::empty());
        let (Some(file), Some(kernel)) = (self.file.upgrade(), self.kernel.upgrade()) else { return };
        let ready = file.poll(None);
        let hung_up = PollEvents::HUP | PollEvents::ERR;
        // A pipe's end is input, a socket's its own news.
        let input = match file.downcast::<crate::net::Socket>() {
            Some(_) => PollEvents::IN,
            None => PollEvents::IN | hung_up,
        };
        let news = ready & (events | hung_up);
        let (code, band) = if news.intersects(input) {
            (SigInfo::POLL_IN, PollEvents::IN | PollEvents::RDNORM)
        } else if news.intersects(hung_up) {
            (SigInfo::POLL_HUP, hung_up)
        } else if news.intersects(PollEvents::OUT) {
            (SigInfo::POLL_OUT, PollEvents::OUT | PollEvents::WRNORM | PollEvents::WRBAND)
        } else {
            return;
        };
        let owner = file.owner().lock().clone();
        announce(&kernel, &owner, code, i64::from(band.bits()), self.fd);
    }
}

/// Sends the owner its signal: SIGIO without details, or the one of F_SETSIG with them.
fn announce(kernel: &Arc<Kernel>, owner: &SignalOwner, code: i32, band: i64, fd: i32) {
    let chosen = Signal::from_raw(owner.signal as i32);
    let signal = chosen.unwrap_or(SIGIO);
    let info = match chosen {
        Some(signal) => SigInfo::io(signal, code, band, fd),
        None => SigInfo::kernel(SIGIO),
    };
    // As sigio_perm of fs/fcntl.c.
    let may = |task: &Task| {
        owner.credentials.as_ref().is_some_and(|own| own.euid == 0 || own.shares_user_with(&task.credentials()))
    };
    // A queue that is full takes SIGIO instead, as on Linux.
    let overflow = SigInfo::kernel(SIGIO);
    let (task, groups) = {
        let tree = kernel.tree();
        let id = owner.id as u32;
        match owner.kind {
            TID => (tree.task(id), Vec::new()),
            PID => (None, tree.process(id).map(|p| p.group.clone()).into_iter().collect()),
            _ => (None, tree.group_members(id)),
        }
    };
    if let Some(task) = task.filter(|task| may(task))
        && send::to_task(&task, signal, info, Origin::Inside).is_err()
    {
        let _ = send::to_task(&task, SIGIO, overflow, Origin::Inside);
    }
    for group in groups {
        if group.tasks().first().is_some_and(|task| may(task))
            && send::to_process(&group, signal, info, Origin::Inside).is_err()
        {
            let _ = send::to_process(&group, SIGIO, overflow, Origin::Inside);
        }
    }
}

/// Begins or ends the announcements of a description whose O_ASYNC was changed by the descriptor `fd`.
pub fn update(current: &Current, file: &Arc<OpenFile>, fd: i32, on: bool) {
    let new = on.then(|| {
        let announcer = Arc::new(Announcer {
            file: Arc::downgrade(file),
            fd,
            kernel: Arc::downgrade(current.kernel()),
            events: Mutex::new(Rank::Timers, PollEvents::empty()),
        });
        let listener = Arc::new(Listener { announcer, soon: Mutex::new(Rank::Timers, None) });
        let mut waiter = Waiter::new(listener.clone());
        file.poll(Some(&mut waiter));
        Fasync { _registrations: waiter.into_registrations(), _listener: listener }
    });
    let replaced = std::mem::replace(&mut *file.fasync().lock(), new);
    drop(replaced);
}
