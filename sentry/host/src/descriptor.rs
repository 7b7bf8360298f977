//! Host descriptors of any kind that were handed in from outside: standard streams and their like.
//!
//! The open file description behind such a descriptor may be shared with processes that know nothing of the sandbox, so
//! its status flags are left alone: not to wait is asked of each call.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use moat_abi::poll::PollEvents;
use moat_abi::termios::{Termios, Winsize};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::unistd::{Whence, isatty, lseek};

use crate::HostFile;

/// Pieces of a write to a pipe or terminal that said it has room and cannot promise not to wait.
const PIECE: usize = 256;

/// What a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file or a block device: it has positions and is always ready.
    File,
    /// A pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A terminal.
    Terminal,
    /// Any other character device (/dev/null).
    Device,
}

/// What `fstat` says, as far as a guest may know it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// Type and permissions.
    pub mode: u32,
    /// Which device, for a device node.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Access, modification and change, since the epoch.
    pub times: [Duration; 3],
}

/// A host descriptor that is never waited for.
#[derive(Debug)]
pub struct Descriptor {
    file: Arc<HostFile>,
    kind: Kind,
}

impl Descriptor {
    /// Takes over a descriptor.
    ///
    /// # Errors
    /// The host's errno; `EISDIR` for a directory, which the gofer alone may reach.
    pub fn new(fd: OwnedFd) -> Result<Self, i32> {
        let status = nix::sys::stat::fstat(&fd).map_err(|e| e as i32)?;
        let kind = match status.st_mode & libc::S_IFMT {
            libc::S_IFDIR => return Err(libc::EISDIR),
            libc::S_IFIFO => Kind::Pipe,
            libc::S_IFSOCK => Kind::Socket,
            libc::S_IFCHR if isatty(&fd).unwrap_or(false) => Kind::Terminal,
            libc::S_IFCHR => Kind::Device,
            _ => Kind::File,
        };
        Ok(Self { file: Arc::new(HostFile::new(fd)), kind })
    }

    /// What it leads to.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file, for mappings.
    pub fn file(&self) -> &Arc<HostFile> {
        &self.file
    }

    /// Access mode and status flags (`O_*`).
    ///
    /// # Errors
    /// The host's errno.
    pub fn flags(&self) -> Result<u32, i32> {
        fcntl(&*self.file, FcntlArg::F_GETFL).map(|flags| flags as u32).map_err(|e| e as i32)
    }

    /// Its attributes.
    ///
    /// # Errors
    /// The host's errno.
    pub fn status(&self) -> Result<Status, i32> {
        let s = nix::sys::stat::fstat(&*self.file).map_err(|e| e as i32)?;
        let time = |seconds: i64, nanoseconds: i64| {
            Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
        };
        Ok(Status {
            mode: s.st_mode,
            rdev: s.st_rdev,
            size: u64::try_from(s.st_size).unwrap_or(0),
            blocks: u64::try_from(s.st_blocks).unwrap_or(0),
            times: [
                time(s.st_atime, s.st_atime_nsec),
                time(s.st_mtime, s.st_mtime_nsec),
                time(s.st_ctime, s.st_ctime_nsec),
            ],
        })
    }

    /// What is ready now.
    pub fn ready(&self) -> PollEvents {
        if self.kind == Kind::File {
            return PollEvents::IN | PollEvents::OUT | PollEvents::RDNORM | PollEvents::WRNORM;
        }
        let wanted =
            PollFlags::POLLIN | PollFlags::POLLPRI | PollFlags::POLLOUT | PollFlags::from_bits_retain(libc::POLLRDHUP);
        let mut fds = [PollFd::new(self.file.as_fd(), wanted)];
        match poll(&mut fds, PollTimeout::ZERO) {
            Ok(_) => {
                let bits = fds[0].revents().unwrap_or(PollFlags::empty()).bits();
                let mut events = PollEvents::from_bits_retain(u32::from(bits as u16));
                if events.contains(PollEvents::IN) {
                    events |= PollEvents::RDNORM;
                }
                if events.contains(PollEvents::OUT) {
                    events |= PollEvents::WRNORM;
                }
                events
            }
            Err(_) => PollEvents::ERR,
        }
    }

    /// Reads what is there: at `offset` from a file, where it stands from anything else. 0 at the end.
    ///
    /// # Errors
    /// `EAGAIN` where it would have to wait, otherwise the host's errno.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<usize, i32> {
        let result = match self.kind {
            Kind::File => return self.file.read_at(buf, offset),
            Kind::Socket => recv(self.file.as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT),
            Kind::Device => nix::unistd::read(&*self.file, buf),
            Kind::Pipe | Kind::Terminal => match read_nowait(self.file.as_fd(), buf) {
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS | Errno::ESPIPE) => {
                    if !self.ready().intersects(PollEvents::IN | PollEvents::HUP | PollEvents::ERR) {
                        return Err(libc::EAGAIN);
                    }
                    nix::unistd::read(&*self.file, buf)
                }
                other => other,
            },
        };
        result.map_err(again)
    }

    /// Writes as much as it takes now: at `offset` to a file, where it stands to anything else.
    ///
    /// # Errors
    /// `EAGAIN` where it would have to wait, `EPIPE` without a signal, otherwise the host's errno.
    pub fn write(&self, buf: &[u8], offset: u64) -> Result<usize, i32> {
        let result = match self.kind {
            Kind::File => return self.file.write_at(buf, offset),
            Kind::Socket => send(self.file.as_raw_fd(), buf, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Kind::Device => nix::unistd::write(&*self.file, buf),
            Kind::Pipe | Kind::Terminal => match write_nowait(self.file.as_fd(), buf) {
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS | Errno::ESPIPE) => {
                    if !self.ready().intersects(PollEvents::OUT | PollEvents::HUP | PollEvents::ERR) {
                        return Err(libc::EAGAIN);
                    }
                    nix::unistd::write(&*self.file, &buf[..buf.len().min(PIECE)])
                }
                other => other,
            },
        };
        result.map_err(again)
    }

    /// The position of a file's description.
    ///
    /// # Errors
    /// `ESPIPE` for what has none.
    pub fn position(&self) -> Result<u64, i32> {
        lseek(&*self.file, 0, Whence::SeekCur).map(|at| at as u64).map_err(|e| e as i32)
    }

    /// Moves the position of a file's description.
    ///
    /// # Errors
    /// The host's errno.
    pub fn set_position(&self, at: u64) -> Result<(), i32> {
        let at = i64::try_from(at).map_err(|_| libc::EINVAL)?;
        lseek(&*self.file, at, Whence::SeekSet).map(drop).map_err(|e| e as i32)
    }

    /// Where data (or a hole) begins at or behind `from`.
    ///
    /// # Errors
    /// `ENXIO` behind the end.
    pub fn seek_data(&self, from: u64, hole: bool) -> Result<u64, i32> {
        let from = i64::try_from(from).map_err(|_| libc::ENXIO)?;
        let whence = if hole { Whence::SeekHole } else { Whence::SeekData };
        lseek(&*self.file, from, whence).map(|at| at as u64).map_err(|e| e as i32)
    }

    /// Whether two descriptors of files share one description, and so its position.
    pub fn shares_position_with(&self, other: &Self) -> bool {
        let Ok(at) = self.position() else { return false };
        if other.position() != Ok(at) {
            return false;
        }
        if self.set_position(at + 1).is_err() {
            return false;
        }
        let shared = other.position() == Ok(at + 1);
        // It could be moved away, so it can be moved back.
        let _ = self.set_position(at);
        shared
    }

    /// `fsync`, or `fdatasync`.
    ///
    /// # Errors
    /// The host's errno.
    pub fn sync(&self, data_only: bool) -> Result<(), i32> {
        match data_only {
            true => nix::unistd::fdatasync(&*self.file),
            false => nix::unistd::fsync(&*self.file),
        }
        .map_err(|e| e as i32)
    }

    /// How many bytes a read would give now (FIONREAD).
    ///
    /// # Errors
    /// `ENOTTY` for what cannot tell.
    pub fn available(&self) -> Result<i32, i32> {
        let mut n: libc::c_int = 0;
        // SAFETY: FIONREAD writes one int, to a live one.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::FIONREAD, &raw mut n) };
        Errno::result(result).map(|_| n).map_err(|e| e as i32)
    }

    /// A terminal's settings (TCGETS).
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn termios(&self) -> Result<Termios, i32> {
        let mut termios = Termios::default();
        // SAFETY: TCGETS writes a `struct termios` of the kernel, whose layout and size `Termios` has.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TCGETS, &raw mut termios) };
        Errno::result(result).map(|_| termios).map_err(|e| e as i32)
    }

    /// Changes a terminal's settings (TCSETS). The drain of TCSETSW is not waited for.
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn set_termios(&self, termios: &Termios, flush: bool) -> Result<(), i32> {
        if flush {
            // SAFETY: TCFLSH takes a number.
            let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TCFLSH, libc::TCIFLUSH) };
            Errno::result(result).map_err(|e| e as i32)?;
        }
        // SAFETY: TCSETS reads a `struct termios` of the kernel, whose layout and size `Termios` has.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TCSETS, std::ptr::from_ref(termios)) };
        Errno::result(result).map(drop).map_err(|e| e as i32)
    }

    /// A terminal's size (TIOCGWINSZ).
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn window_size(&self) -> Result<Winsize, i32> {
        let mut size = Winsize::default();
        // SAFETY: TIOCGWINSZ writes a `struct winsize`, whose layout and size `Winsize` has.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
        Errno::result(result).map(|_| size).map_err(|e| e as i32)
    }

    /// Sets a terminal's size (TIOCSWINSZ).
    ///
    /// # Errors
    /// `ENOTTY` for what is no terminal.
    pub fn set_window_size(&self, size: &Winsize) -> Result<(), i32> {
        // SAFETY: TIOCSWINSZ reads a `struct winsize`, whose layout and size `Winsize` has.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
        Errno::result(result).map(drop).map_err(|e| e as i32)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// EINTR counts as not ready: the sentry's own signals are none of the guest's.
fn again(errno: Errno) -> i32 {
    match errno {
        Errno::EINTR => libc::EAGAIN,
        other => other as i32,
    }
}

fn read_nowait(fd: BorrowedFd<'_>, buf: &mut [u8]) -> nix::Result<usize> {
    let mut segment = [IoSliceMut::new(buf)];
    // SAFETY: an IoSliceMut has the layout of an iovec, and one live segment is given. Offset -1 means the position.
    let n = unsafe { libc::preadv2(fd.as_raw_fd(), segment.as_mut_ptr().cast(), 1, -1, libc::RWF_NOWAIT) };
    Errno::result(n).map(|n| n as usize)
}

fn write_nowait(fd: BorrowedFd<'_>, buf: &[u8]) -> nix::Result<usize> {
    let segment = [IoSlice::new(buf)];
    // SAFETY: an IoSlice has the layout of an iovec, and one live segment is given. Offset -1 means the position.
    let n = unsafe { libc::pwritev2(fd.as_raw_fd(), segment.as_ptr().cast(), 1, -1, libc::RWF_NOWAIT) };
    Errno::result(n).map(|n| n as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn an_empty_pipe_gives_eagain_and_an_ended_one_gives_0() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = Descriptor::new(reader.into()).unwrap();
        let mut buf = [0; 8];
        assert_eq!(reader.read(&mut buf, 0), Err(libc::EAGAIN));
        writer.write_all(b"abc").unwrap();
        assert_eq!(reader.read(&mut buf, 0), Ok(3));
        drop(writer);
        assert_eq!(reader.read(&mut buf, 0), Ok(0));
        assert!(reader.ready().contains(PollEvents::HUP));
    }

    #[test]
    fn a_full_pipe_gives_eagain() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = Descriptor::new(writer.into()).unwrap();
        let chunk = [0u8; 5000];
        let mut total = 0;
        loop {
            match writer.write(&chunk, 0) {
                Ok(n) => total += n,
                Err(e) => {
                    assert_eq!(e, libc::EAGAIN);
                    break;
                }
            }
        }
        assert!(total >= 30_000);
        let mut buf = vec![0; total];
        reader.read_exact(&mut buf).unwrap();
    }

    #[test]
    fn a_duplicate_shares_its_position_and_a_second_open_does_not() {
        let path = std::env::temp_dir().join(format!("descriptor-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        let again = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let copy = Descriptor::new(file.try_clone().unwrap().into()).unwrap();
        let file = Descriptor::new(file.into()).unwrap();
        let again = Descriptor::new(again.into()).unwrap();
        assert!(file.shares_position_with(&copy));
        assert!(!file.shares_position_with(&again));
        assert_eq!(file.position(), Ok(0));
    }
}
