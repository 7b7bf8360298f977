//! The host signals that a lead gets, as its thread hands them on.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;

/// See the module.
pub struct LeadSignals {
    signals: Mutex<std::fs::File>,
    ended: OwnedFd,
}

impl LeadSignals {
    /// Signals come by the pipe `signals`, a byte each, until `ended` says something.
    pub fn new(signals: OwnedFd, ended: OwnedFd) -> Self {
        Self { signals: Mutex::new(signals.into()), ended }
    }

    /// The next one. Blocks the calling thread; `None` when the lead is gone.
    pub fn next(&self) -> Option<i32> {
        let mut signals = self.signals.lock();
        loop {
            let mut polled =
                [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(nix::Error::EINTR) => continue,
                Err(_) => return None,
                Ok(_) if polled[0].any() == Some(true) => break,
                Ok(_) => return None,
            }
        }
        let mut signal = [0u8; 1];
        match signals.read(&mut signal) {
            Ok(1) => Some(i32::from(signal[0])),
            _ => None,
        }
    }
}
