//! Messages with descriptors over a stream socket: between the runtime and the processes that it starts, and on the
//! control socket of a running sandbox.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use moat_sentry::control::protocol::{HEADER_SIZE, Header, HeaderError};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv, recvmsg, send, sendmsg,
    setsockopt, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The host takes at most 253 descriptors at once.
const FILES_AT_ONCE: usize = 250;

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The other side is gone.
    #[error("the other side has closed the connection")]
    Closed,
    /// The other side takes too long.
    #[error("no answer in time")]
    Timeout,
    /// The host refused.
    #[error(transparent)]
    Host(Errno),
    /// Not a message of ours.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The text is not what was expected.
    #[error("malformed message: {0}")]
    Text(#[from] serde_json::Error),
    /// Fewer descriptors than were announced.
    #[error("descriptors were lost on the way")]
    Files,
}

impl From<Errno> for SocketError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EPIPE | Errno::ECONNRESET => Self::Closed,
            Errno::EAGAIN => Self::Timeout,
            _ => Self::Host(errno),
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Takes over a connected stream socket.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// This end, and the other one to give away.
    ///
    /// # Errors
    /// `EMFILE` and its like.
    pub fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self(ours), theirs))
    }

    /// How long [`Self::receive`] waits; for ever if `None`.
    ///
    /// # Errors
    /// The host's.
    pub fn set_patience(&self, patience: Option<Duration>) -> Result<(), Errno> {
        let time = TimeVal::milliseconds(patience.map_or(0, |p| p.as_millis().max(1) as i64));
        setsockopt(&self.0, sockopt::ReceiveTimeout, &time)
    }

    /// Sends a message and descriptors, which stay the caller's.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn send<T: Serialize>(&self, message: &T, files: &[BorrowedFd<'_>]) -> Result<(), SocketError> {
        let text = serde_json::to_vec(message)?;
        let header = Header { text: text.len() as u32, files: files.len() as u32 };
        self.send_all(&header.encode())?;
        for some in files.chunks(FILES_AT_ONCE) {
            let numbers: Vec<RawFd> = some.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&numbers)];
            retry(|| {
                let fd = self.0.as_raw_fd();
                sendmsg::<()>(fd, &[IoSlice::new(&[0])], &rights, MsgFlags::MSG_NOSIGNAL, None)
            })?;
        }
        self.send_all(&text)
    }

    /// Ends the connection for every holder of this end; what was sent still arrives.
    pub fn shut(&self) {
        let _ = nix::sys::socket::shutdown(self.0.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }

    fn send_all(&self, mut bytes: &[u8]) -> Result<(), SocketError> {
        while !bytes.is_empty() {
            let sent = retry(|| send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL))?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// The next message and its descriptors.
    ///
    /// # Errors
    /// See [`SocketError`]; after any of them the connection is of no more use.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<(T, Vec<OwnedFd>), SocketError> {
        let mut header = [0; HEADER_SIZE];
        self.receive_all(&mut header)?;
        let header = Header::decode(&header)?;
        let mut files = Vec::new();
        while files.len() < header.files as usize {
            let before = files.len();
            self.receive_files(&mut files)?;
            if files.len() == before {
                return Err(SocketError::Files);
            }
        }
        let mut text = vec![0; header.text as usize];
        self.receive_all(&mut text)?;
        Ok((serde_json::from_slice(&text)?, files))
    }

    fn receive_all(&self, bytes: &mut [u8]) -> Result<(), SocketError> {
        let mut got = 0;
        while got < bytes.len() {
            match retry(|| recv(self.0.as_raw_fd(), &mut bytes[got..], MsgFlags::empty()))? {
                0 => return Err(SocketError::Closed),
                n => got += n,
            }
        }
        Ok(())
    }

    fn receive_files(&self, files: &mut Vec<OwnedFd>) -> Result<(), SocketError> {
        let mut byte = [0];
        let mut space = nix::cmsg_space!([RawFd; FILES_AT_ONCE]);
        let mut buffers = [IoSliceMut::new(&mut byte)];
        let received = loop {
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.0.as_raw_fd(), &mut buffers, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        for message in received.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                // SAFETY: the kernel has just made these descriptors for this process, and nobody else knows them.
                files.extend(numbers.into_iter().map(|n| unsafe { OwnedFd::from_raw_fd(n) }));
            }
        }
        if received.bytes == 0 { Err(SocketError::Closed) } else { Ok(()) }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_travel_with_the_text() {
        let (ours, theirs) = Socket::pair().unwrap();
        let theirs = Socket::new(theirs);
        let null = std::fs::File::open("/dev/null").unwrap();
        let many = vec![null.as_fd(); 300];
        let sender = std::thread::spawn(move || {
            let (text, files) = theirs.receive::<String>().unwrap();
            (text, files.len())
        });
        ours.send(&"hello", &many).unwrap();
        assert_eq!(sender.join().unwrap(), ("hello".to_owned(), 300));
    }

    #[test]
    fn garbage_is_refused_and_silence_ends() {
        let (ours, theirs) = Socket::pair().unwrap();
        let theirs = Socket::new(theirs);
        ours.send_all(&[7; 64]).unwrap();
        assert!(matches!(theirs.receive::<String>(), Err(SocketError::Header(_))));
        ours.set_patience(Some(Duration::from_millis(10))).unwrap();
        assert!(matches!(ours.receive::<String>(), Err(SocketError::Timeout)));
        drop(theirs);
        assert!(matches!(ours.receive::<String>(), Err(SocketError::Closed)));
    }
}
