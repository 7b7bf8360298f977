//! Sockets of the host that the sentry makes for the guest. None is ever waited for: all are non-blocking, and each
//! transfer says so once more.
//!
//! Addresses, options and control messages are bytes here; which of them may pass is decided above.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use moat_abi::poll::PollEvents;
use nix::errno::Errno;

/// Room for any `sockaddr`.
const NAME_ROOM: usize = 128;

/// What a receive gave besides the bytes in the buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The length of the message, which may be more than what was copied if `MSG_TRUNC` was given.
    pub length: usize,
    /// The sender's `sockaddr`, if there is one.
    pub from: Vec<u8>,
    /// The control messages, as the kernel lays them out.
    pub control: Vec<u8>,
    /// `MSG_*`.
    pub flags: u32,
}

/// A socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
}

fn result(r: libc::c_int) -> Result<libc::c_int, i32> {
    Errno::result(r).map_err(|e| e as i32)
}

fn length(bytes: &[u8]) -> Result<libc::socklen_t, i32> {
    libc::socklen_t::try_from(bytes.len()).map_err(|_| libc::EINVAL)
}

impl Socket {
    /// A new one, in the network namespace of this process.
    ///
    /// # Errors
    /// The host's errno.
    pub fn new(family: i32, kind: i32, protocol: i32) -> Result<Self, i32> {
        // SAFETY: no memory is passed.
        let fd = result(unsafe { libc::socket(family, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, protocol) })?;
        // SAFETY: the descriptor was just made and nobody else has it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Its inode number, by which /proc/net and sock_diag know it.
    ///
    /// # Errors
    /// The host's errno.
    pub fn inode(&self) -> Result<u64, i32> {
        nix::sys::stat::fstat(&self.fd).map(|s| s.st_ino).map_err(|e| e as i32)
    }

    /// `bind` to a `sockaddr`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn bind(&self, address: &[u8]) -> Result<(), i32> {
        // SAFETY: the kernel reads `address`, of which pointer and length are passed, and checks what it is.
        result(unsafe { libc::bind(self.raw(), address.as_ptr().cast(), length(address)?) }).map(drop)
    }

    /// `connect` to a `sockaddr`.
    ///
    /// # Errors
    /// `EINPROGRESS` and `EALREADY` while it is under way, otherwise the host's errno.
    pub fn connect(&self, address: &[u8]) -> Result<(), i32> {
        // SAFETY: as for bind.
        result(unsafe { libc::connect(self.raw(), address.as_ptr().cast(), length(address)?) }).map(drop)
    }

    /// `listen`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn listen(&self, backlog: i32) -> Result<(), i32> {
        // SAFETY: no memory is passed.
        result(unsafe { libc::listen(self.raw(), backlog) }).map(drop)
    }

    /// The next connection and the peer's `sockaddr`.
    ///
    /// # Errors
    /// `EAGAIN` if there is none, otherwise the host's errno.
    pub fn accept(&self) -> Result<(Self, Vec<u8>), i32> {
        let mut name = [0u8; NAME_ROOM];
        let mut size = NAME_ROOM as libc::socklen_t;
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the kernel writes at most `size` bytes, which `name` has, and the true length to `size`.
        let fd = unsafe { libc::accept4(self.raw(), name.as_mut_ptr().cast(), &raw mut size, flags) };
        let fd = result(fd)?;
        // SAFETY: the descriptor was just made and nobody else has it.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        Ok((socket, name[..(size as usize).min(NAME_ROOM)].to_vec()))
    }

    fn name(&self, peer: bool) -> Result<Vec<u8>, i32> {
        let mut name = [0u8; NAME_ROOM];
        let mut size = NAME_ROOM as libc::socklen_t;
        let ask = if peer { libc::getpeername } else { libc::getsockname };
        // SAFETY: the kernel writes at most `size` bytes, which `name` has, and the true length to `size`.
        result(unsafe { ask(self.raw(), name.as_mut_ptr().cast(), &raw mut size) })?;
        Ok(name[..(size as usize).min(NAME_ROOM)].to_vec())
    }

    /// Its own `sockaddr`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn local_name(&self) -> Result<Vec<u8>, i32> {
        self.name(false)
    }

    /// The peer's `sockaddr`.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn peer_name(&self) -> Result<Vec<u8>, i32> {
        self.name(true)
    }

    /// `shutdown`; `how` is `SHUT_*`.
    ///
    /// # Errors
    /// `ENOTCONN`.
    pub fn shutdown(&self, how: i32) -> Result<(), i32> {
        // SAFETY: no memory is passed.
        result(unsafe { libc::shutdown(self.raw(), how) }).map(drop)
    }

    /// `getsockopt`: fills `value` and says how much of it. What lies there goes to the kernel, too.
    ///
    /// # Errors
    /// The host's errno.
    pub fn option(&self, level: i32, name: i32, value: &mut [u8]) -> Result<usize, i32> {
        let mut size = length(value)?;
        // SAFETY: the kernel writes at most `size` bytes to `value`, which has as many.
        result(unsafe { libc::getsockopt(self.raw(), level, name, value.as_mut_ptr().cast(), &raw mut size) })?;
        Ok((size as usize).min(value.len()))
    }

    /// `setsockopt`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), i32> {
        // SAFETY: the kernel reads `value`, of which pointer and length are passed. No option whose value holds pointers
        // (filters) gets past the allow-list above; if one did, the kernel would read, not write, through them.
        result(unsafe { libc::setsockopt(self.raw(), level, name, value.as_ptr().cast(), length(value)?) }).map(drop)
    }

    /// Sends, with `MSG_DONTWAIT` and `MSG_NOSIGNAL` besides `flags`; how much went.
    ///
    /// # Errors
    /// `EAGAIN` if there is no room, otherwise the host's errno.
    pub fn send(&self, data: &[u8], to: Option<&[u8]>, control: &[u8], flags: u32) -> Result<usize, i32> {
        let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        // SAFETY: all zeroes is a message header with nothing in it.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        if let Some(to) = to {
            header.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_namelen = length(to)?;
        }
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        if !control.is_empty() {
            header.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_controllen = control.len();
        }
        let flags = flags as i32 | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header names buffers that outlive the call, with their lengths; a send only reads them.
        let n = unsafe { libc::sendmsg(self.raw(), &raw const header, flags) };
        Errno::result(n).map(|n| n as usize).map_err(|e| e as i32)
    }

    /// Receives into `buf`, with `MSG_DONTWAIT` besides `flags`.
    ///
    /// # Errors
    /// `EAGAIN` if nothing is there, otherwise the host's errno.
    pub fn receive(&self, buf: &mut [u8], control: &mut [u8], flags: u32) -> Result<Message, i32> {
        let mut name = [0u8; NAME_ROOM];
        let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: all zeroes is a message header with nothing in it.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = NAME_ROOM as libc::socklen_t;
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = control.len();
        let flags = flags as i32 | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: the header names buffers that outlive the call and are this function's alone, with their lengths.
        let n = unsafe { libc::recvmsg(self.raw(), &raw mut header, flags) };
        let length = Errno::result(n).map_err(|e| e as i32)? as usize;
        Ok(Message {
            length,
            from: name[..(header.msg_namelen as usize).min(NAME_ROOM)].to_vec(),
            control: control[..header.msg_controllen.min(control.len())].to_vec(),
            flags: header.msg_flags as u32,
        })
    }

    fn count(&self, command: libc::Ioctl) -> Result<i32, i32> {
        let mut n: libc::c_int = 0;
        // SAFETY: the commands below write one int, to a live one.
        result(unsafe { libc::ioctl(self.raw(), command, &raw mut n) }).map(|_| n)
    }

    /// How many bytes a read would give (SIOCINQ).
    ///
    /// # Errors
    /// `EINVAL` for one that listens.
    pub fn readable_bytes(&self) -> Result<i32, i32> {
        self.count(libc::FIONREAD)
    }

    /// How many bytes are not acknowledged (SIOCOUTQ).
    ///
    /// # Errors
    /// `EINVAL` for one that listens.
    pub fn unsent_bytes(&self) -> Result<i32, i32> {
        self.count(libc::TIOCOUTQ)
    }

    /// Whether the next byte to be read follows the urgent mark (SIOCATMARK).
    ///
    /// # Errors
    /// The host's errno.
    pub fn at_mark(&self) -> Result<bool, i32> {
        const SIOCATMARK: libc::Ioctl = 0x8905;
        self.count(SIOCATMARK).map(|n| n != 0)
    }

    /// What is ready now.
    pub fn ready(&self) -> PollEvents {
        const WANTED: i16 = libc::POLLIN
            | libc::POLLPRI
            | libc::POLLOUT
            | libc::POLLRDNORM
            | libc::POLLRDBAND
            | libc::POLLWRNORM
            | libc::POLLWRBAND
            | libc::POLLRDHUP;
        let mut one = libc::pollfd { fd: self.raw(), events: WANTED, revents: 0 };
        // SAFETY: one live `pollfd` is passed, and no time to wait.
        match unsafe { libc::poll(&raw mut one, 1, 0) } {
            -1 => PollEvents::ERR,
            _ => PollEvents::from_bits_retain(u32::from(one.revents as u16)),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> Vec<u8> {
        let mut name = vec![0u8; 16];
        name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        name[2..4].copy_from_slice(&port.to_be_bytes());
        name[4..8].copy_from_slice(&[127, 0, 0, 1]);
        name
    }

    #[test]
    fn a_datagram_keeps_its_length_and_its_sender() {
        let one = Socket::new(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        let two = Socket::new(libc::AF_INET, libc::SOCK_DGRAM, 0).unwrap();
        one.bind(&loopback(0)).unwrap();
        two.bind(&loopback(0)).unwrap();
        let mut buf = [0; 4];
        assert_eq!(one.receive(&mut buf, &mut [], 0), Err(libc::EAGAIN));
        assert_eq!(two.send(b"datagram", Some(&one.local_name().unwrap()), &[], 0), Ok(8));
        let got = one.receive(&mut buf, &mut [], libc::MSG_TRUNC as u32).unwrap();
        assert_eq!((got.length, &buf), (8, b"data"));
        assert_eq!(got.from, two.local_name().unwrap());
        assert_ne!(got.flags & libc::MSG_TRUNC as u32, 0);
    }

    #[test]
    fn a_connection_is_made_without_waiting() {
        let listener = Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        listener.bind(&loopback(0)).unwrap();
        listener.listen(1).unwrap();
        assert_eq!(listener.accept().map(drop), Err(libc::EAGAIN));
        let client = Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).unwrap();
        let to = listener.local_name().unwrap();
        let begun = client.connect(&to);
        assert!(matches!(begun, Ok(()) | Err(libc::EINPROGRESS)), "{begun:?}");
        while !client.ready().contains(PollEvents::OUT) {
            std::thread::yield_now();
        }
        while !listener.ready().contains(PollEvents::IN) {
            std::thread::yield_now();
        }
        let (server, from) = listener.accept().unwrap();
        assert_eq!(from, client.local_name().unwrap());
        client.send(b"x", None, &[], 0).unwrap();
        while !server.ready().contains(PollEvents::IN) {
            std::thread::yield_now();
        }
        assert_eq!(server.readable_bytes(), Ok(1));
    }
}
