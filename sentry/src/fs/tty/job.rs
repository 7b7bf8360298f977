//! Whose terminal it is: sessions, foreground process groups, and who may read and write (credentials(7), tty_ioctl(4),
//! drivers/tty/tty_jobctrl.c).

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::signal::{SIGCONT, SIGHUP, SIGTTIN, SigInfo, Signal};

use super::Terminal;
use crate::Result;
use crate::kernel::signal::send::{self, Origin};
use crate::kernel::{Kernel, Task};
use crate::sync::{Mutex, Rank};

/// The controlling terminals of a kernel's sessions.
pub struct Sessions {
    table: Mutex<HashMap<u32, Controlling>>,
    console: Mutex<Option<Weak<Terminal>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { table: Mutex::new(Rank::Leaf, HashMap::new()), console: Mutex::new(Rank::Leaf, None) }
    }
}

/// What a session has, or had.
#[derive(Clone)]
enum Controlling {
    Terminal(Weak<Terminal>),
    /// It was hung up; this was its foreground process group, which is told when the leader ends.
    HungUp(u32),
}

impl Sessions {
    /// The controlling terminal of a session.
    pub fn terminal(&self, session: u32) -> Option<Arc<Terminal>> {
        match self.table.lock().get(&session) {
            Some(Controlling::Terminal(terminal)) => terminal.upgrade(),
            _ => None,
        }
    }

    /// What /dev/console is.
    pub fn console(&self) -> Option<Arc<Terminal>> {
        self.console.lock().as_ref().and_then(Weak::upgrade)
    }

    /// Says what /dev/console is.
    pub fn set_console(&self, terminal: &Arc<Terminal>) {
        *self.console.lock() = Some(Arc::downgrade(terminal));
    }
}

/// Whom a terminal belongs to.
pub(super) struct Control {
    kernel: Weak<Kernel>,
    /// The session.
    pub session: u32,
    /// The foreground process group.
    pub foreground: u32,
}

/// How a terminal is to become the controlling one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acquisition {
    /// By opening it.
    Open,
    /// By TIOCSCTTY.
    Ask,
    /// By TIOCSCTTY with argument 1: taken from another session.
    Steal,
}

/// The controlling terminal of `task`.
pub fn controlling(task: &Task) -> Option<Arc<Terminal>> {
    let session = task.kernel().tree().process(task.pid()).map(|p| p.session)?;
    task.kernel().terminals.terminal(session)
}

fn send_to_group(kernel: &Kernel, process_group: u32, signal: Signal) {
    let members = kernel.tree().group_members(process_group);
    for member in members {
        // The signals of a terminal are no queued ones; they cannot be refused.
        let _ = send::to_process(&member, signal, SigInfo::kernel(signal), Origin::Inside);
    }
}

/// A session leader may have ended: its terminal is free again, and the foreground is told.
pub fn session_ended(kernel: &Arc<Kernel>, pid: u32) {
    let Some(had) = kernel.terminals.table.lock().remove(&pid) else { return };
    match had {
        Controlling::Terminal(terminal) => {
            let control = terminal.upgrade().and_then(|t| t.state.lock().control.take());
            if let Some(control) = control {
                send_to_group(kernel, control.foreground, SIGHUP);
            }
        }
        Controlling::HungUp(foreground) => {
            send_to_group(kernel, foreground, SIGHUP);
            send_to_group(kernel, foreground, SIGCONT);
        }
    }
}

/// The terminal of a session was hung up: its leader is told.
pub(super) fn hung_up(control: Control) {
    let Some(kernel) = control.kernel.upgrade() else { return };
    kernel.terminals.table.lock().insert(control.session, Controlling::HungUp(control.foreground));
    let leader = kernel.tree().process(control.session).filter(|p| p.zombie.is_none()).map(|p| p.group.clone());
    match leader {
        Some(leader) => {
            for signal in [SIGHUP, SIGCONT] {
                // Not queued signals; they cannot be refused.
                let _ = send::to_process(&leader, signal, SigInfo::kernel(signal), Origin::Inside);
            }
        }
        None => {
            let removed = kernel.terminals.table.lock().remove(&control.session);
            drop(removed);
        }
    }
}

impl Terminal {
    /// Sends a signal to the foreground process group.
    pub(super) fn signal_foreground(&self, signal: Signal) {
        let foreground = {
            let state = self.state.lock();
            state.control.as_ref().map(|c| (c.kernel.clone(), c.foreground))
        };
        if let Some((kernel, foreground)) = foreground
            && let Some(kernel) = kernel.upgrade()
        {
            send_to_group(&kernel, foreground, signal);
        }
    }

    /// The session and the foreground process group that it has.
    pub fn session(&self) -> Option<(u32, u32)> {
        self.state.lock().control.as_ref().map(|c| (c.session, c.foreground))
    }

    /// Makes it the controlling terminal of the caller's session.
    ///
    /// # Errors
    /// `EPERM` unless the caller is a session leader without one, and nobody else has it.
    pub(super) fn acquire(&self, task: &Task, how: Acquisition) -> Result<()> {
        let kernel = task.kernel();
        let (session, process_group) = {
            let tree = kernel.tree();
            tree.process(task.pid()).map(|p| (p.session, p.process_group)).ok_or(Errno::EPERM)?
        };
        let own = kernel.terminals.terminal(session);
        if own.as_ref().is_some_and(|t| std::ptr::eq(&**t, self)) && session == task.pid() {
            return Ok(());
        }
        if session != task.pid() || own.is_some() {
            return Err(Errno::EPERM);
        }
        let before = {
            let mut state = self.state.lock();
            if state.control.is_some()
                && !(how == Acquisition::Steal && task.credentials().has(CapabilitySet::SYS_ADMIN))
            {
                return Err(Errno::EPERM);
            }
            let control = Control { kernel: Arc::downgrade(kernel), session, foreground: process_group };
            state.control.replace(control)
        };
        let mut table = kernel.terminals.table.lock();
        if let Some(before) = before {
            table.remove(&before.session);
        }
        table.insert(session, Controlling::Terminal(self.myself.clone()));
        Ok(())
    }

    /// TIOCNOTTY: a leader gives it up for its whole session; for anybody else nothing changes that can be seen here.
    pub(super) fn give_up(&self, task: &Task) -> Result<()> {
        if !self.controls(task) {
            return Err(Errno::ENOTTY);
        }
        let kernel = task.kernel();
        let pid = task.pid();
        if kernel.tree().process(pid).is_none_or(|p| p.session != pid) {
            return Ok(());
        }
        let control = self.state.lock().control.take();
        let removed = kernel.terminals.table.lock().remove(&pid);
        drop(removed);
        if let Some(control) = control {
            send_to_group(kernel, control.foreground, SIGHUP);
            send_to_group(kernel, control.foreground, SIGCONT);
        }
        Ok(())
    }

    /// Whether it is the controlling terminal of `task`.
    pub(super) fn controls(&self, task: &Task) -> bool {
        controlling(task).is_some_and(|t| std::ptr::eq(&*t, self))
    }

    /// Lets `task` go on only if it is in the foreground, or if this is not its terminal: what __tty_check_change does.
    ///
    /// # Errors
    /// `ERESTARTSYS` if its process group was sent `signal`, which stops it; `EIO` if that would stop it for ever, or if
    /// it wants to read and ignores SIGTTIN.
    pub(super) fn check_background(&self, task: &Arc<Task>, signal: Signal) -> Result<()> {
        if !self.controls(task) {
            return Ok(());
        }
        let Some((_, foreground)) = self.session() else { return Ok(()) };
        let kernel = task.kernel();
        let (process_group, orphaned) = {
            let tree = kernel.tree();
            let group = tree.process(task.pid()).map_or(0, |p| p.process_group);
            (group, tree.is_orphaned(group, None))
        };
        if process_group == foreground {
            return Ok(());
        }
        let ignored = task.signals().lock().blocked.contains(signal)
            || task.handlers().get(signal).handler == crate::kernel::signal::SIG_IGN;
        if ignored {
            return if signal == SIGTTIN { Err(Errno::EIO) } else { Ok(()) };
        }
        if orphaned {
            return Err(Errno::EIO);
        }
        send_to_group(kernel, process_group, signal);
        Err(Errno::ERESTARTSYS)
    }

    /// TIOCSPGRP.
    pub(super) fn set_foreground(&self, task: &Task, process_group: i32) -> Result<()> {
        let process_group = u32::try_from(process_group).map_err(|_| Errno::EINVAL)?;
        let session = {
            let tree = task.kernel().tree();
            let own = tree.process(task.pid()).map(|p| p.session).ok_or(Errno::ESRCH)?;
            if tree.session_of_group(process_group).ok_or(Errno::ESRCH)? != own {
                return Err(Errno::EPERM);
            }
            own
        };
        let mut state = self.state.lock();
        match &mut state.control {
            Some(control) if control.session == session => {
                control.foreground = process_group;
                Ok(())
            }
            _ => Err(Errno::ENOTTY),
        }
    }
}
