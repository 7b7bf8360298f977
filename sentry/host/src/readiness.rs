//! When host descriptors become ready (epoll(7)).

use std::os::fd::AsFd;

use moat_abi::poll::PollEvents;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Reports changes of the readiness of many descriptors.
pub struct Readiness {
    epoll: Epoll,
}

impl Readiness {
    /// One that watches nothing yet.
    ///
    /// # Errors
    /// The host's errno, `EMFILE` or `ENOMEM`.
    pub fn new() -> Result<Self, i32> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(|epoll| Self { epoll }).map_err(|e| e as i32)
    }

    /// Reports `token` at each change of the descriptor's readiness, the first time at once if it is ready now
    /// (edge-triggered).
    ///
    /// # Errors
    /// `EPERM` for a file that is always ready, `EEXIST` for one that is watched already.
    pub fn add(&self, fd: impl AsFd, token: u64) -> Result<(), i32> {
        let events = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLPRI
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        self.epoll.add(fd, EpollEvent::new(events, token)).map_err(|e| e as i32)
    }

    /// Watches a descriptor no longer.
    pub fn remove(&self, fd: impl AsFd) {
        // A descriptor that is not watched needs no removal.
        let _ = self.epoll.delete(fd);
    }

    /// Sleeps until something changes, and puts the tokens of what did, and what is
    /// ready of it, into `tokens`.
    ///
    /// # Errors
    /// The host's errno, never `EINTR`.
    pub fn wait(&self, tokens: &mut Vec<(u64, PollEvents)>) -> Result<(), i32> {
        let mut events = [EpollEvent::empty(); 64];
        tokens.clear();
        match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(n) => tokens.extend(events[..n].iter().map(|e| (e.data(), ready(e.events())))),
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e as i32),
        }
        Ok(())
    }
}

/// The same events as poll(2) names them, which have the same bits.
fn ready(flags: EpollFlags) -> PollEvents {
    let mut events = PollEvents::from_bits_retain(flags.bits() as u32);
    if events.contains(PollEvents::IN) {
        events |= PollEvents::RDNORM;
    }
    if events.contains(PollEvents::OUT) {
        events |= PollEvents::WRNORM;
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_change_is_reported_once() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let readiness = Readiness::new().unwrap();
        readiness.add(&reader, 7).unwrap();
        writer.write_all(b"x").unwrap();
        let mut tokens = Vec::new();
        readiness.wait(&mut tokens).unwrap();
        assert_eq!(tokens, [(7, PollEvents::IN | PollEvents::RDNORM)]);
    }
}
