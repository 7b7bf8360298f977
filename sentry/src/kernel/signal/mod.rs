//! Signals (signal(7)): queues, actions, sending and delivery.
//!
//! A task's signal state and its thread group's are two locks, always taken in this order: group, task. Whether a task
//! has something to do before it may go on in application code is cached in [`super::Task::signal_pending`], which every
//! change below recomputes.

pub mod deliver;
pub mod frame;
pub mod mask;
pub mod queue;
pub mod send;

use std::sync::Arc;

use moat_abi::signal::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
use moat_abi::signal::{SigAction, SigAltStack, SigSet, Signal};

pub use queue::SignalQueue;

use crate::sync::{Mutex, Rank};

/// What happens to a process that takes a signal without a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// It ends.
    Terminate,
    /// It ends, and would dump core.
    Core,
    /// Nothing.
    Ignore,
    /// It stops.
    Stop,
    /// It continues, if it is stopped.
    Continue,
}

/// The table of signal(7).
pub fn default_action(signal: Signal) -> DefaultAction {
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGCONT => DefaultAction::Continue,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        s if s.dumps_core() => DefaultAction::Core,
        _ => DefaultAction::Terminate,
    }
}

/// `SIG_DFL` and `SIG_IGN`.
pub const SIG_DFL: u64 = 0;
/// See [`SIG_DFL`].
pub const SIG_IGN: u64 = 1;

/// What a process does on each signal; shared by tasks made with CLONE_SIGHAND.
pub struct SignalHandlers {
    actions: Mutex<[SigAction; 64]>,
}

impl Default for SignalHandlers {
    fn default() -> Self {
        Self { actions: Mutex::new(Rank::Leaf, [SigAction::default(); 64]) }
    }
}

impl SignalHandlers {
    /// The action for `signal`.
    pub fn get(&self, signal: Signal) -> SigAction {
        self.actions.lock()[signal.index()]
    }

    /// Replaces it; returns the old one.
    pub fn set(&self, signal: Signal, action: SigAction) -> SigAction {
        std::mem::replace(&mut self.actions.lock()[signal.index()], action)
    }

    /// A copy for a child without CLONE_SIGHAND.
    pub fn duplicate(&self) -> Arc<Self> {
        Arc::new(Self { actions: Mutex::new(Rank::Leaf, *self.actions.lock()) })
    }

    /// What `execve` leaves: handlers are reset, ignored signals stay ignored.
    pub fn after_exec(&self) -> Arc<Self> {
        let mut actions = *self.actions.lock();
        for action in &mut actions {
            *action = SigAction {
                handler: if action.handler == SIG_IGN { SIG_IGN } else { SIG_DFL },
                ..SigAction::default()
            };
        }
        Arc::new(Self { actions: Mutex::new(Rank::Leaf, actions) })
    }

    /// The signals that are ignored and those that are caught, for /proc.
    pub fn sets(&self) -> (SigSet, SigSet) {
        let actions = self.actions.lock();
        let (mut ignored, mut caught) = (SigSet::EMPTY, SigSet::EMPTY);
        for (i, action) in actions.iter().enumerate() {
            let Some(signal) = Signal::from_raw(i as i32 + 1) else { continue };
            match action.handler {
                SIG_DFL => {}
                SIG_IGN => ignored.insert(signal),
                _ => caught.insert(signal),
            }
        }
        (ignored, caught)
    }

    /// Whether `signal` would be thrown away: ignored, or ignored by default.
    pub fn ignores(&self, signal: Signal) -> bool {
        match self.get(signal).handler {
            SIG_IGN => signal != SIGKILL && signal != SIGSTOP,
            SIG_DFL => default_action(signal) == DefaultAction::Ignore,
            _ => false,
        }
    }
}

/// A task's own signal state.
pub struct TaskSignals {
    /// Signals sent to this task.
    pub pending: SignalQueue,
    /// The mask.
    pub blocked: SigSet,
    /// The mask to restore when `sigsuspend`, `ppoll`… return (before a handler runs).
    pub restore: Option<SigSet>,
    /// The alternate stack.
    pub altstack: SigAltStack,
}

impl TaskSignals {
    /// With this mask and nothing pending.
    pub fn new(blocked: SigSet) -> Self {
        Self { pending: SignalQueue::default(), blocked, restore: None, altstack: SigAltStack::disabled() }
    }
}

/// What the threads of a process share of signals.
#[derive(Default)]
pub struct GroupSignals {
    /// Signals sent to the process.
    pub pending: SignalQueue,
    /// Job control: the threads are to stop (or have).
    pub stop: Option<Stop>,
    /// How many stops there have been.
    pub stops: u64,
    /// The process is ending with this wait status; every thread exits.
    pub exiting: Option<u32>,
    /// A thread is replacing the program: the others exit.
    pub exec_by: Option<u32>,
}

/// A group stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Which of the process's stops it is.
    pub number: u64,
    /// The signal that stopped it.
    pub signal: Signal,
    /// How many threads have come to a halt.
    pub halted: usize,
    /// The parent has been told that all have.
    pub told: bool,
}
