//! How a mapper is commanded: orders go to it by a page, results come back by the position of a file, and an event counter
//! says when.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::descriptors::SharedTable;
use super::orders::{OrderFile, OrderPage, offset};
use crate::PlatformError;

/// How long a mapper may take for one batch before its stub counts as dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module. Its descriptors stand in the mappers' table, too, until it is closed.
pub struct Channel {
    page: OrderPage,
    results: OwnedFd,
    event: OwnedFd,
    /// Numbers of `results` and `event` in the mappers' table.
    numbers: [i32; 2],
}

fn host(e: nix::Error) -> PlatformError {
    PlatformError::Host(e as i32)
}

/// A file whose position carries results, and an event counter that says when.
pub(super) fn acknowledgement() -> Result<(OwnedFd, OwnedFd), PlatformError> {
    let results = nix::sys::memfd::memfd_create(c"ack", nix::sys::memfd::MFdFlags::MFD_CLOEXEC).map_err(host)?;
    let event = nix::sys::eventfd::EventFd::from_flags(
        nix::sys::eventfd::EfdFlags::EFD_CLOEXEC | nix::sys::eventfd::EfdFlags::EFD_NONBLOCK,
    )
    .map_err(host)?;
    Ok((results, event.into()))
}

impl Channel {
    /// One for a stub that is yet to be born.
    ///
    /// # Errors
    /// As the host refuses; `Host(EAGAIN)` if there are too many stubs.
    pub fn new(orders: &'static OrderFile, table: &SharedTable) -> Result<Self, PlatformError> {
        let page = orders.take()?;
        let (results, event) = acknowledgement()?;
        let first = table.add(results.as_fd())?;
        let second = table.add(event.as_fd()).inspect_err(|_| table.remove(first))?;
        let channel = Self { page, results, event, numbers: [first, second] };
        channel.announce();
        Ok(channel)
    }

    /// That of the lead, whose page says already what the numbers in its table are.
    pub(super) fn of_lead(page: OrderPage, results: OwnedFd, event: OwnedFd, numbers: [i32; 2]) -> Self {
        Self { page, results, event, numbers }
    }

    /// Makes it one for another stub, after the end of the one that had it.
    pub fn renew(&self) {
        // What the old mapper may have said last.
        let _ = nix::unistd::read(&self.event, &mut [0u8; 8]);
        self.page.clear();
        self.announce();
    }

    fn announce(&self) {
        self.page.put(offset::ACK, &self.numbers[0].to_le_bytes());
        self.page.put(offset::EVENT, &self.numbers[1].to_le_bytes());
    }

    /// Takes its descriptors out of the mappers' table.
    pub fn close(self, table: &SharedTable) {
        for number in self.numbers {
            table.remove(number);
        }
    }

    /// The page for orders.
    pub fn page(&self) -> &OrderPage {
        &self.page
    }

    /// The file for results, and its number in the mappers' table.
    pub fn results(&self) -> (&OwnedFd, i32) {
        (&self.results, self.numbers[0])
    }

    /// Waits for the result of a batch of `count` orders: that of the last.
    ///
    /// # Errors
    /// How many were done, and why the next was not: `Dead` if the stub with this pidfd ends, or does not answer.
    pub fn await_result(&self, count: usize, pidfd: &OwnedFd) -> Result<u32, (usize, PlatformError)> {
        let failed = |e: nix::Error| (0, host(e));
        loop {
            match nix::unistd::read(&self.event, &mut [0u8; 8]) {
                Ok(_) => break,
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(e) => return Err(failed(e)),
            }
            let mut polled =
                [PollFd::new(self.event.as_fd(), PollFlags::POLLIN), PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut polled, PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX)) {
                Ok(0) => return Err((0, PlatformError::Dead)),
                Err(nix::Error::EINTR) => continue,
                Err(e) => return Err(failed(e)),
                Ok(_) => {}
            }
            if polled[0].any() != Some(true) && polled[1].any() == Some(true) {
                return Err((0, PlatformError::Dead));
            }
        }
        let position =
            nix::unistd::lseek(self.results.as_fd(), 0, nix::unistd::Whence::SeekCur).map_err(failed)? as u64;
        match ((position >> 32) as usize, position as u32) {
            (0, result) => Ok(result),
            (left, errno) => Err((count.saturating_sub(left), PlatformError::Host((errno as i32).wrapping_neg()))),
        }
    }
}
