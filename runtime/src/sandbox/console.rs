//! Terminals: the host's pty pair between an engine, or a person, and the sandbox.
//!
//! The line discipline that counts is the sentry's: the host's is out of the way (raw) before anybody has the master.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// A pty pair whose slave is raw.
#[derive(Debug)]
pub struct Pty {
    /// The engine's end.
    pub master: OwnedFd,
    /// The sandbox's end.
    pub slave: OwnedFd,
}

impl Pty {
    /// Makes one of this size (columns, rows).
    ///
    /// # Errors
    /// The host's.
    pub fn new(size: (u16, u16)) -> Result<Self> {
        let size = Winsize { ws_col: size.0, ws_row: size.1, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).context("make a terminal")?;
        for fd in [&master, &slave] {
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
                .context("make a terminal")?;
        }
        make_raw(slave.as_fd()).context("make the terminal raw")?;
        Ok(Self { master, slave })
    }

    /// Sends the master to whoever serves the console socket.
    ///
    /// # Errors
    /// Nobody serves it.
    pub fn send_master(&self, socket: &Path) -> Result<()> {
        let stream = UnixStream::connect(socket).with_context(|| format!("console socket {}", socket.display()))?;
        let numbers = [self.master.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&numbers)];
        // As runc does, the message is the terminal's name.
        let text = [std::io::IoSlice::new(b"/dev/ptmx")];
        sendmsg::<()>(stream.as_raw_fd(), &text, &rights, MsgFlags::MSG_NOSIGNAL, None)
            .with_context(|| format!("console socket {}", socket.display()))?;
        Ok(())
    }
}

/// Makes a terminal raw; how it was before.
///
/// # Errors
/// `ENOTTY`.
pub fn make_raw(fd: BorrowedFd<'_>) -> Result<Termios, Errno> {
    let before = tcgetattr(fd)?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    tcsetattr(fd, SetArg::TCSANOW, &raw)?;
    Ok(before)
}

/// A terminal's columns and rows; zeroes if it is none.
pub fn size(fd: BorrowedFd<'_>) -> (u16, u16) {
    let mut size = Winsize { ws_col: 0, ws_row: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills the structure above.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (size.ws_col, size.ws_row)
}

/// Sets a terminal's size.
pub fn set_size(fd: BorrowedFd<'_>, (columns, rows): (u16, u16)) {
    let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads the structure above.
    unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
}

/// A person's terminal, raw until this is dropped.
#[derive(Debug)]
pub struct RawTerminal(Termios);

impl RawTerminal {
    /// Makes standard input raw.
    ///
    /// # Errors
    /// `ENOTTY`.
    pub fn new() -> Result<Self, Errno> {
        make_raw(std::io::stdin().as_fd()).map(Self)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin().as_fd(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Copies until end of file or error.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) {
    let mut buffer = [0u8; 16 << 10];
    loop {
        let n = match nix::unistd::read(from, &mut buffer) {
            Ok(0) => return,
            Ok(n) => n,
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        };
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            match nix::unistd::write(to, rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }
}
