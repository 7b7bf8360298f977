//! Waiting for children (wait(2)), and telling parents.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::signal::{SIGCHLD, SigActionFlags, SigInfo, Signal};

use super::process_tree::ProcessTree;
use super::signal::SIG_IGN;
use super::signal::send::{self, Origin};
use super::thread_group::ThreadGroup;
use super::usage::Usage;
use crate::Result;

/// Something that happened to a child besides its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// It stopped by this signal.
    Stopped(Signal),
    /// It continued.
    Continued,
}

/// Which children are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Any.
    Any,
    /// The one of this number.
    Pid(u32),
    /// Those in this process group.
    ProcessGroup(u32),
}

/// What a wait asks for.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Of whom.
    pub which: Which,
    /// Ends.
    pub exited: bool,
    /// Stops.
    pub stopped: bool,
    /// Continues.
    pub continued: bool,
    /// Leave the child waitable (WNOWAIT).
    pub keep: bool,
    /// Children whose exit signal is not SIGCHLD: `Some(true)` only those (__WCLONE), `Some(false)` none, `None` all
    /// (__WALL).
    pub clones: Option<bool>,
}

/// What a wait found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The child.
    pub pid: u32,
    /// Its real user.
    pub uid: u32,
    /// The wait status.
    pub status: u32,
    /// What it and its reaped descendants used.
    pub usage: Usage,
}

/// Looks for a child of `parent` that has what is asked for, and takes it. `None` if there is none yet, `ECHILD` if
/// there never can be.
pub fn look(tree: &mut ProcessTree, parent: u32, query: &Query) -> Result<Option<Found>> {
    let Some(process) = tree.process(parent) else { return Err(Errno::ECHILD) };
    let mut any = false;
    let mut found = None;
    for &pid in &process.children {
        let Some(child) = tree.process(pid) else { continue };
        let wanted = match query.which {
            Which::Any => true,
            Which::Pid(p) => p == pid,
            Which::ProcessGroup(g) => child.process_group == g,
        };
        let is_clone = child.exit_signal != SIGCHLD.raw() as u32;
        if !wanted || query.clones.is_some_and(|c| c != is_clone) {
            continue;
        }
        any = true;
        let status = match (child.zombie, child.event) {
            (Some(status), _) if query.exited => Some(status),
            (None, Some(ChildEvent::Stopped(signal))) if query.stopped => Some(moat_abi::wait::stopped(signal)),
            (None, Some(ChildEvent::Continued)) if query.continued => Some(moat_abi::wait::CONTINUED),
            _ => None,
        };
        if let Some(status) = status {
            found = Some((pid, status));
            break;
        }
    }
    let Some((pid, status)) = found else {
        return if any { Ok(None) } else { Err(Errno::ECHILD) };
    };
    let ended = tree.process(pid).is_some_and(|c| c.zombie.is_some());
    let mut usage = Usage::default();
    let mut uid = 0;
    if let Some(child) = tree.process(pid) {
        usage = child.group.state().lock().ended_threads;
        usage.add(&child.children_usage);
        uid = child.group.uid_at_end();
    }
    if !query.keep {
        if ended {
            tree.remove(pid);
            if let Some(parent) = tree.process_mut(parent) {
                parent.children_usage.add(&usage);
            }
        } else if let Some(child) = tree.process_mut(pid) {
            child.event = None;
        }
    }
    Ok(Some(Found { pid, uid, status, usage }))
}

/// Tells the parent of `child` about a stop or continue: records it, sends SIGCHLD unless it does not want that, and
/// wakes waits.
pub fn notify_parent(child: &Arc<ThreadGroup>, event: ChildEvent) {
    let Some(task) = child.tasks().into_iter().next() else { return };
    let parent = {
        let mut tree = task.kernel().tree();
        let Some(process) = tree.process_mut(child.pid()) else { return };
        process.event = Some(event);
        let parent = process.parent;
        tree.process(parent).map(|p| p.group.clone())
    };
    let Some(parent) = parent else { return };
    if let Some(handlers) = parent.tasks().first().map(|t| t.handlers()) {
        let action = handlers.get(SIGCHLD);
        if action.handler != SIG_IGN && !action.flags.contains(SigActionFlags::NOCLDSTOP) {
            let (code, status) = match event {
                ChildEvent::Stopped(signal) => (SigInfo::CLD_STOPPED, signal.raw()),
                ChildEvent::Continued => (SigInfo::CLD_CONTINUED, moat_abi::signal::SIGCONT.raw()),
            };
            let info = SigInfo::child(SIGCHLD, code, child.pid() as i32, task.credentials().uid, status, 0, 0);
            // A full queue cannot refuse SIGCHLD: it is no real-time signal.
            let _ = send::to_process(&parent, SIGCHLD, info, Origin::Inside);
        }
    }
    parent.children_changed.wake_all();
}
