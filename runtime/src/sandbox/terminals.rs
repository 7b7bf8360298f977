//! Terminals of processes that `exec` started, in the container's mount namespace, where `podman top` looks for the name of
//! a terminal that the host's kernel tells by its device number. What the container sees at its /dev/pts is the sentry's.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use super::privilege;
use crate::state::ProcessId;

/// One that is shown until this is dropped.
#[derive(Debug)]
pub struct ShownTerminal {
    lead: ProcessId,
    number: u32,
}

impl ShownTerminal {
    /// Shows this terminal of the host under the number that the container knows it by.
    ///
    /// # Errors
    /// The host's: an ordinary user may not enter every namespace.
    pub fn new(lead: &ProcessId, terminal: BorrowedFd<'_>, number: u32) -> Result<Self, Errno> {
        let tree = privilege::clone_tree(&format!("/proc/self/fd/{}", terminal.as_raw_fd()), false)?;
        let path = path_of(number);
        in_namespace_of(lead, || {
            // That of a process whose shepherd was killed.
            remove(&path);
            File::create_new(&path).map_err(errno)?;
            privilege::move_mount(&tree, &path)
        })?;
        Ok(Self { lead: lead.clone(), number })
    }
}

impl Drop for ShownTerminal {
    fn drop(&mut self) {
        let path = path_of(self.number);
        let _ = in_namespace_of(&self.lead, || {
            remove(&path);
            Ok(())
        });
    }
}

fn path_of(number: u32) -> String {
    format!("/dev/pts/{number}")
}

fn remove(path: &str) {
    let _ = umount2(path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
    let _ = std::fs::remove_file(path);
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Does something, by a thread of its own, in the lead's mount namespace and as the user to whom its /dev/pts belongs: no
/// other may be known to that filesystem.
fn in_namespace_of(lead: &ProcessId, work: impl FnOnce() -> Result<(), Errno> + Send) -> Result<(), Errno> {
    let namespace = File::open(format!("/proc/{}/ns/mnt", lead.pid)).map_err(errno)?;
    if !lead.is_alive() {
        return Err(Errno::ESRCH);
    }
    let enter = || {
        unshare(CloneFlags::CLONE_FS)?;
        setns(&namespace, CloneFlags::CLONE_NEWNS)?;
        let owner = std::fs::symlink_metadata("/dev/pts").map_err(errno)?;
        setfsgid(Gid::from_raw(owner.gid()));
        setfsuid(Uid::from_raw(owner.uid()));
        work()
    };
    std::thread::scope(|scope| scope.spawn(enter).join().unwrap_or(Err(Errno::EIO)))
}
