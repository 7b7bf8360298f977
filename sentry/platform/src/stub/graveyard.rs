//! Stubs that were killed and may not have ended yet. The host takes its time to end a process, and nobody waits for it:
//! what a stub had goes to another one when its end is seen.

use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use parking_lot::Mutex;

use super::channel::Channel;
use super::descriptors::SharedTable;

/// So many may be about to end, so that who forks and ends in a loop has no more host processes than it knows of.
const BURIED: usize = 4;
/// So many channels are kept for the next stubs.
const SPARE: usize = 2;
/// How long an end may take. A stub whose end was not seen by then leaves nothing to others.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a stub had that must not be another's before its end.
pub struct Remains {
    /// Its pidfd.
    pub pidfd: Arc<OwnedFd>,
    /// How it was commanded.
    pub channel: Option<Channel>,
    /// What else was given to it ([`super::process::Stub::keep_to_its_end`]).
    pub kept: Vec<Box<dyn Any + Send>>,
}

/// See the module.
#[derive(Default)]
pub struct Graveyard {
    buried: Mutex<VecDeque<Remains>>,
    spare: Mutex<Vec<Channel>>,
}

/// Whether the process with this pidfd has ended, which is waited for so long.
pub fn has_ended(pidfd: &OwnedFd, patience: Duration) -> bool {
    let mut polled = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    matches!(poll(&mut polled, timeout), Ok(n) if n > 0)
}

impl Graveyard {
    /// Takes in what is left of a stub that was killed.
    pub fn bury(&self, remains: Remains, table: &SharedTable) {
        self.buried.lock().push_back(remains);
        self.collect(BURIED, table);
    }

    /// A channel that nobody has any more.
    pub fn channel(&self, table: &SharedTable) -> Option<Channel> {
        self.collect(BURIED, table);
        let channel = self.spare.lock().pop()?;
        channel.renew();
        Some(channel)
    }

    /// Waits until all have ended; whether there were any.
    pub fn wait(&self, table: &SharedTable) -> bool {
        let any = !self.buried.lock().is_empty();
        self.collect(0, table);
        any
    }

    /// Lets those go that have ended, and waits for the oldest until no more than `most` are left.
    fn collect(&self, most: usize, table: &SharedTable) {
        loop {
            // Not under the lock: an end can be waited for.
            let (oldest, patience) = {
                let mut buried = self.buried.lock();
                let patience = if buried.len() > most { PATIENCE } else { Duration::ZERO };
                (buried.pop_front(), patience)
            };
            let Some(mut remains) = oldest else { return };
            if has_ended(&remains.pidfd, patience) {
                if let Some(channel) = remains.channel.take() {
                    self.spare_or_close(channel, table);
                }
            } else if patience.is_zero() {
                self.buried.lock().push_front(remains);
                return;
            } else {
                // Somebody may read or write it still.
                let _ = ManuallyDrop::new(remains);
            }
        }
    }

    fn spare_or_close(&self, channel: Channel, table: &SharedTable) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE {
            spare.push(channel);
        } else {
            drop(spare);
            channel.close(table);
        }
    }
}
