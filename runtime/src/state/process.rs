//! Processes that outlive the verb that made them.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

/// A process, told from a later one of the same number by when it started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since boot; 0 is a process that was gone already.
    pub started: u64,
}

/// State letter and start time.
fn stat(pid: i32) -> Option<(u8, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain blanks and parentheses.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let letter = *fields.next()?.as_bytes().first()?;
    Some((letter, fields.nth(18)?.parse().ok()?))
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Self {
        Self { pid, started: stat(pid).map_or(0, |(_, started)| started) }
    }

    /// Whether it runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        matches!(stat(self.pid), Some((letter, started)) if started == self.started && !b"ZX".contains(&letter))
    }

    /// A handle that stays with the process, if it is there.
    fn handle(&self) -> Option<OwnedFd> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        if fd < 0 {
            return None;
        }
        // SAFETY: a descriptor that the kernel has just made.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        self.is_alive().then_some(fd)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` if it has ended.
    pub fn signal(&self, signal: i32) -> Result<(), Errno> {
        let handle = self.handle().ok_or(Errno::ESRCH)?;
        // SAFETY: no memory is passed.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, 0_usize, 0) };
        Errno::result(sent).map(drop)
    }

    /// Waits until it has ended; whether it has.
    pub fn wait(&self, patience: Duration) -> bool {
        let Some(handle) = self.handle() else { return true };
        let mut polled = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut polled, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX));
        !self.is_alive()
    }

    /// Kills it and waits for its end.
    pub fn kill(&self) {
        let _ = self.signal(libc::SIGKILL);
        self.wait(Duration::from_secs(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let own = ProcessId::of(std::process::id() as i32);
        assert!(own.is_alive());
        let other = ProcessId { started: own.started + 1, ..own };
        assert!(!other.is_alive());
        assert_eq!(other.signal(0), Err(Errno::ESRCH));
        assert!(other.wait(Duration::from_secs(5)));
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = ProcessId::of(child.id() as i32);
        assert!(id.wait(Duration::from_secs(5)));
        child.wait().unwrap();
        assert!(!id.is_alive());
    }
}
