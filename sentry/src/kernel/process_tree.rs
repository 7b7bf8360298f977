//! Who is whose child, in which process group and session, and who has ended: everything that Linux guards by its
//! tasklist lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::task::Task;
use super::thread_group::ThreadGroup;
use super::usage::Usage;
use super::wait::ChildEvent;

/// The largest process number (`kernel.pid_max`).
pub const PID_MAX: u32 = 4_194_304;

/// A process as the tree sees it.
pub struct Process {
    /// What its threads share.
    pub group: Arc<ThreadGroup>,
    /// Its parent; 0 for init and for what `exec` brought in.
    pub parent: u32,
    /// Its children, zombies among them.
    pub children: BTreeSet<u32>,
    /// Its process group.
    pub process_group: u32,
    /// Its session.
    pub session: u32,
    /// Its live threads.
    pub tasks: BTreeMap<u32, Arc<Task>>,
    /// The wait status of a process that has ended and was not waited for.
    pub zombie: Option<u32>,
    /// The signal that its parent gets at its end (0 for none).
    pub exit_signal: u32,
    /// A stop or continue that was not waited for yet.
    pub event: Option<ChildEvent>,
    /// What ended and reaped children used.
    pub children_usage: Usage,
    /// Adopts orphaned descendants (PR_SET_CHILD_SUBREAPER).
    pub subreaper: bool,
    /// The child has called execve: setpgid by the parent gives EACCES.
    pub has_execed: bool,
}

/// See the module.
#[derive(Default)]
pub struct ProcessTree {
    processes: BTreeMap<u32, Process>,
    next: u32,
    last: u32,
}

impl ProcessTree {
    /// A number for a new task: the platform's hint if it is free, otherwise the next free one.
    pub fn allocate(&mut self, hint: Option<u32>) -> Option<u32> {
        let pid = match hint.filter(|&h| h > 0 && !self.in_use(h)) {
            Some(hint) => hint,
            None => {
                let mut candidate = self.next.max(300);
                let mut tries = 0;
                while self.in_use(candidate) {
                    candidate = if candidate >= PID_MAX - 1 { 300 } else { candidate + 1 };
                    tries += 1;
                    if tries > PID_MAX {
                        return None;
                    }
                }
                self.next = candidate + 1;
                candidate
            }
        };
        self.last = pid;
        Some(pid)
    }

    /// The number that was given last (`ns_last_pid`, `/proc/loadavg`).
    pub fn last_pid(&self) -> u32 {
        self.last
    }

    fn in_use(&self, id: u32) -> bool {
        self.processes.contains_key(&id)
            || self.processes.values().any(|p| p.tasks.contains_key(&id) || p.process_group == id || p.session == id)
    }

    /// Adds a process.
    pub fn insert(&mut self, pid: u32, process: Process) {
        if let Some(parent) = self.processes.get_mut(&process.parent) {
            parent.children.insert(pid);
        }
        self.processes.insert(pid, process);
    }

    /// Takes a reaped process out.
    pub fn remove(&mut self, pid: u32) -> Option<Process> {
        let process = self.processes.remove(&pid)?;
        if let Some(parent) = self.processes.get_mut(&process.parent) {
            parent.children.remove(&pid);
        }
        Some(process)
    }

    /// The process of this number, zombies included.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// The same, to be changed.
    pub fn process_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.processes.get_mut(&pid)
    }

    /// All processes, by number.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &Process)> {
        self.processes.iter().map(|(&pid, p)| (pid, p))
    }

    /// The number of the process that `id` names, be it its own or that of one of its threads.
    pub fn process_of(&self, id: u32) -> Option<u32> {
        if self.processes.contains_key(&id) {
            return Some(id);
        }
        self.processes.iter().find(|(_, p)| p.tasks.contains_key(&id)).map(|(&pid, _)| pid)
    }

    /// The live task of this number.
    pub fn task(&self, tid: u32) -> Option<Arc<Task>> {
        if let Some(task) = self.processes.get(&tid).and_then(|p| p.tasks.get(&tid)) {
            return Some(task.clone());
        }
        self.processes.values().find_map(|p| p.tasks.get(&tid)).cloned()
    }

    /// How many live tasks there are.
    pub fn task_count(&self) -> usize {
        self.processes.values().map(|p| p.tasks.len()).sum()
    }

    /// The members of a process group, without zombies.
    pub fn group_members(&self, process_group: u32) -> Vec<Arc<ThreadGroup>> {
        self.processes
            .values()
            .filter(|p| p.process_group == process_group && p.zombie.is_none())
            .map(|p| p.group.clone())
            .collect()
    }

    /// The session of a process group that has members.
    pub fn session_of_group(&self, process_group: u32) -> Option<u32> {
        self.processes.values().find(|p| p.process_group == process_group).map(|p| p.session)
    }

    /// Whether a process group is orphaned: no member has a parent in another group of the same session (setpgid(2)).
    pub fn is_orphaned(&self, process_group: u32, without: Option<u32>) -> bool {
        !self.processes.iter().any(|(&pid, p)| {
            p.process_group == process_group
                && p.zombie.is_none()
                && Some(pid) != without
                && self
                    .processes
                    .get(&p.parent)
                    .is_some_and(|parent| parent.process_group != process_group && parent.session == p.session)
        })
    }

    /// Who adopts the children of `pid`: the nearest living subreaper above it, or init.
    pub fn reaper_of(&self, pid: u32) -> u32 {
        let mut at = self.processes.get(&pid).map_or(0, |p| p.parent);
        while at > 1 {
            let Some(process) = self.processes.get(&at) else { break };
            if process.subreaper && !process.tasks.is_empty() {
                return at;
            }
            at = process.parent;
        }
        1
    }

    /// Moves every child of `pid` to `to`; returns those that are zombies already.
    pub fn reparent(&mut self, pid: u32, to: u32) -> Vec<u32> {
        let children = match self.processes.get_mut(&pid) {
            Some(process) => std::mem::take(&mut process.children),
            None => return Vec::new(),
        };
        let mut zombies = Vec::new();
        for &child in &children {
            if let Some(process) = self.processes.get_mut(&child) {
                process.parent = to;
                process.tasks.values().for_each(|task| task.constants_changed());
                process.exit_signal = moat_abi::signal::SIGCHLD.raw() as u32;
                if process.zombie.is_some() {
                    zombies.push(child);
                }
            }
        }
        if let Some(reaper) = self.processes.get_mut(&to) {
            reaper.children.extend(children);
        }
        zombies
    }
}
