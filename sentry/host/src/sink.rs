//! A host descriptor that text is only ever written to, such as a trace.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// See the module.
#[derive(Debug)]
pub struct Sink {
    fd: OwnedFd,
}

impl Sink {
    /// Takes over a descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Writes all of `bytes`, by one call where the host takes them in one; waits where it must.
    ///
    /// # Errors
    /// The host's errno.
    pub fn write_all(&self, mut bytes: &[u8]) -> Result<(), i32> {
        while !bytes.is_empty() {
            match nix::unistd::write(&self.fd, bytes) {
                Ok(0) => return Err(libc::EIO),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut fds, PollTimeout::NONE);
                }
                Err(e) => return Err(e as i32),
            }
        }
        Ok(())
    }
}
