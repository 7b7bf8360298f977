//! Descriptors of processes (pidfd_open(2)).

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::poll::PollEvents;
use moat_abi::resource::Resource;

use super::file::{FileOperations, OpenFile};
use super::kernfs::KernInode;
use crate::Result;
use crate::executor::wait::Waiter;
use crate::kernel::{Task, ThreadGroup};

/// The operations of a pidfd.
pub struct PidFd {
    /// The process.
    pub group: Arc<ThreadGroup>,
}

impl FileOperations for PidFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.group.thread_ended);
        }
        match self.group.task_count() {
            0 => PollEvents::IN | PollEvents::RDNORM,
            _ => PollEvents::empty(),
        }
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:[pidfd]".to_owned()
    }

    fn fdinfo(&self) -> String {
        format!("Pid:\t{0}\nNSpid:\t{0}\n", self.group.pid())
    }
}

/// The process that a descriptor stands for when a signal is sent: a pidfd, or a directory of /proc, as it was before
/// there were any. `EBADF`.
pub fn addressee(file: &OpenFile) -> Result<Arc<ThreadGroup>> {
    file.operations()?;
    if let Some(pidfd) = file.downcast::<PidFd>() {
        return Ok(pidfd.group.clone());
    }
    let inode = file.inode().ok_or(Errno::EBADF)?;
    inode.as_any().downcast_ref::<KernInode>().and_then(KernInode::process).ok_or(Errno::EBADF)?
}

/// A new close-on-exec descriptor of `group` in the table of `task`.
pub fn open(task: &Task, group: &Arc<ThreadGroup>) -> Result<i32> {
    let file = OpenFile::new(Arc::new(PidFd { group: group.clone() }), None, OpenFlags::RDWR);
    task.files().insert(file, true, 0, task.group_ref().limit(Resource::Files))
}
