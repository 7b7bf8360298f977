//! Whom a /proc/PID directory is about, and who may look into it.

use std::sync::{Arc, Weak};

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;

use super::super::kernfs::Owner;
use crate::Result;
use crate::fs::kernfs::KernelSlot;
use crate::kernel::{Kernel, Task, ThreadGroup};
use crate::mm::MemoryManager;

/// A process (`/proc/PID`) or one of its threads (`/proc/PID/task/TID`). Keeps nothing alive: an open file of /proc does
/// not hold the memory of a process that has ended.
#[derive(Clone)]
pub struct Subject {
    kernel: KernelSlot,
    group: Weak<ThreadGroup>,
    task: Weak<Task>,
    /// Its number: of the thread, or of the process.
    pub id: u32,
    /// Whether it stands for one thread alone.
    pub thread: bool,
}

impl Subject {
    /// The process `pid`, zombies included; also any thread by its number, as Linux finds them. `ENOENT`.
    pub fn process(kernel: &KernelSlot, pid: u32) -> Result<Self> {
        let tree = kernel.get()?;
        let tree = tree.tree();
        let (group, task) = match tree.process(pid) {
            Some(process) => {
                let leader = process.tasks.get(&pid);
                (Arc::downgrade(&process.group), leader.map_or_else(Weak::new, Arc::downgrade))
            }
            None => {
                let task = tree.task(pid).ok_or(Errno::ENOENT)?;
                (Arc::downgrade(task.group_ref()), Arc::downgrade(&task))
            }
        };
        Ok(Self { kernel: kernel.clone(), group, task, id: pid, thread: false })
    }

    /// The thread `tid` of the same process. `ENOENT`.
    pub fn thread(&self, tid: u32) -> Result<Self> {
        let group = self.group()?;
        let task = group.tasks().into_iter().find(|t| t.tid() == tid).ok_or(Errno::ENOENT)?;
        Ok(Self {
            kernel: self.kernel.clone(),
            group: self.group.clone(),
            task: Arc::downgrade(&task),
            id: tid,
            thread: true,
        })
    }

    /// The kernel that it lives in.
    pub fn kernel(&self) -> Result<Arc<Kernel>> {
        self.kernel.get()
    }

    /// Its process. `ESRCH` once it was waited for.
    pub fn group(&self) -> Result<Arc<ThreadGroup>> {
        let group = self.group.upgrade().ok_or(Errno::ESRCH)?;
        let kernel = self.kernel()?;
        let there = kernel.tree().process(group.pid()).is_some_and(|p| Arc::ptr_eq(&p.group, &group));
        if there { Ok(group) } else { Err(Errno::ESRCH) }
    }

    /// Its task; of a process whose leader has ended, another thread's. `None` for a zombie.
    pub fn task(&self) -> Result<Option<Arc<Task>>> {
        let group = self.group()?;
        if let Some(task) = self.own_task(&group) {
            return Ok(Some(task));
        }
        if self.thread { Err(Errno::ESRCH) } else { Ok(group.tasks().into_iter().next()) }
    }

    /// Its own task, or its leader; `None` once that has ended, though others may live on.
    pub fn own_task(&self, group: &ThreadGroup) -> Option<Arc<Task>> {
        self.task.upgrade().filter(|t| group.tasks().iter().any(|o| Arc::ptr_eq(o, t)))
    }

    /// Its task, where a zombie has nothing to show. `ESRCH`.
    pub fn live(&self) -> Result<Arc<Task>> {
        self.task()?.ok_or(Errno::ESRCH)
    }

    /// Its memory; `None` for a zombie.
    pub fn memory(&self) -> Result<Option<Arc<MemoryManager>>> {
        Ok(self.task()?.map(|t| t.memory_manager()))
    }

    /// Owner of its files: its effective ids, or root if it may not be looked into.
    pub fn owner(&self) -> Owner {
        let subject = self.clone();
        Arc::new(move || {
            let Ok(Some(task)) = subject.task() else { return (0, 0) };
            if task.group_ref().state().lock().dumpable != 1 {
                return (0, 0);
            }
            let credentials = task.credentials();
            (credentials.euid, credentials.egid)
        })
    }

    /// Whether `viewer` may look into it, as PTRACE_MODE_READ with filesystem ids (ptrace(2)). `EACCES`.
    pub fn check_access(&self, viewer: &Task) -> Result<()> {
        let Some(task) = self.task()? else { return Ok(()) };
        if viewer.pid() == task.pid() {
            return Ok(());
        }
        let (own, other) = (viewer.credentials(), task.credentials());
        if own.has(CapabilitySet::SYS_PTRACE) {
            return Ok(());
        }
        let same_user = [other.euid, other.suid, other.uid].iter().all(|&id| id == own.fsuid)
            && [other.egid, other.sgid, other.gid].iter().all(|&id| id == own.fsgid);
        let dumpable = task.group_ref().state().lock().dumpable == 1;
        if same_user && dumpable && own.permitted.contains(other.permitted) { Ok(()) } else { Err(Errno::EACCES) }
    }
}
