//! The descriptor table that all mappers share with one thread of the sentry, and nothing else.
//!
//! The thread takes descriptors in over a socket, which makes them appear in the shared table under a number that orders
//! can name.

use std::collections::HashMap;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};

use moat_host::HostFile;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use parking_lot::Mutex;

use crate::PlatformError;

/// The sentry's end.
pub struct SharedTable {
    socket: Mutex<OwnedFd>,
    files: Mutex<HashMap<u64, (i32, Weak<HostFile>)>>,
}

const ADD: u8 = 1;
const CLOSE: u8 = 2;

fn host(e: nix::Error) -> PlatformError {
    PlatformError::Host(e as i32)
}

impl SharedTable {
    /// Starts the thread that stays in the shared table with `keep` (which keep their numbers) and closes everything
    /// else there, then moves the calling thread, and all that it starts from now on, out into a table of its own.
    ///
    /// # Errors
    /// The host's errno.
    pub fn start(keep: &[RawFd]) -> Result<Self, PlatformError> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).map_err(host)?;
        let theirs = theirs.into_raw_fd();
        let mut kept: Vec<RawFd> = keep.to_vec();
        kept.push(theirs);
        kept.sort_unstable();
        let (left, has_left) = std::sync::mpsc::channel::<()>();
        std::thread::Builder::new()
            .name("descriptors".into())
            .stack_size(128 << 10)
            .spawn(move || {
                // A handler that ran here would take a number of this table for one of the sentry's.
                let _ = nix::sys::signal::SigSet::all().thread_block();
                // The other side must be out of this table before it is emptied.
                if has_left.recv().is_ok() {
                    close_all_but(&kept);
                    serve(theirs);
                }
            })
            .map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).map_err(host)?;
        // SAFETY: the copy of the other end in this table, which nothing here owns.
        drop(unsafe { OwnedFd::from_raw_fd(theirs) });
        let _ = left.send(());
        Ok(Self { socket: Mutex::new(ours), files: Mutex::new(HashMap::new()) })
    }

    /// Puts a descriptor into the shared table; its number there.
    ///
    /// # Errors
    /// `EMFILE` when the table is full, `EIO` when the thread is gone.
    pub fn add(&self, fd: BorrowedFd<'_>) -> Result<i32, PlatformError> {
        let fds = [fd.as_raw_fd()];
        let reply = self.request(&[ADD], &[ControlMessage::ScmRights(&fds)])?;
        if reply < 0 { Err(PlatformError::Host(-reply)) } else { Ok(reply) }
    }

    /// Takes a number out of it.
    pub fn remove(&self, number: i32) {
        let mut message = [CLOSE, 0, 0, 0, 0];
        message[1..].copy_from_slice(&number.to_le_bytes());
        // Only a dead sandbox refuses, and then the table is gone too.
        let _ = self.request(&message, &[]);
    }

    /// The number of a host file, which is added at its first use and removed some time after its end.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn number_of(&self, file: &Arc<HostFile>) -> Result<i32, PlatformError> {
        let mut files = self.files.lock();
        if let Some((number, _)) = files.get(&file.id()) {
            return Ok(*number);
        }
        let number = self.add(file.as_fd())?;
        files.insert(file.id(), (number, Arc::downgrade(file)));
        if files.len().is_multiple_of(64) {
            files.retain(|_, (number, file)| {
                let alive = file.strong_count() > 0;
                if !alive {
                    self.remove(*number);
                }
                alive
            });
        }
        Ok(number)
    }

    fn request(&self, message: &[u8], control: &[ControlMessage<'_>]) -> Result<i32, PlatformError> {
        let socket = self.socket.lock();
        sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(message)], control, MsgFlags::MSG_NOSIGNAL, None)
            .map_err(host)?;
        let mut reply = [0u8; 4];
        loop {
            match nix::sys::socket::recv(socket.as_raw_fd(), &mut reply, MsgFlags::empty()) {
                Ok(4) => return Ok(i32::from_le_bytes(reply)),
                Err(nix::Error::EINTR) => {}
                Ok(_) | Err(_) => return Err(PlatformError::Host(libc::EIO)),
            }
        }
    }
}

fn close_all_but(kept: &[RawFd]) {
    let mut from = 0u32;
    for &fd in kept {
        let fd = fd as u32;
        if fd > from {
            close_range(from, fd - 1);
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: closes numbers of the shared table, in which no object of this process lives any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

fn serve(socket: RawFd) {
    let mut message = [0u8; 8];
    loop {
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let mut buffers = [IoSliceMut::new(&mut message)];
        let received = match recvmsg::<()>(socket, &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(received) => received,
            Err(nix::Error::EINTR) => continue,
            Err(_) => return,
        };
        let length = received.bytes;
        let number = received.cmsgs().ok().and_then(|mut c| {
            c.find_map(|c| match c {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            })
        });
        if length == 0 {
            return;
        }
        let reply = match message[0] {
            ADD => number.unwrap_or(-libc::EMFILE),
            _ => {
                let number = i32::from_le_bytes([message[1], message[2], message[3], message[4]]);
                // SAFETY: the number was given out by ADD and is closed once.
                unsafe { libc::close(number) };
                0
            }
        };
        if nix::sys::socket::send(socket, &reply.to_le_bytes(), MsgFlags::MSG_NOSIGNAL).is_err() {
            return;
        }
    }
}
