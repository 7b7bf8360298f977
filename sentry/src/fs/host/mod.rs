//! Files that are host descriptors, handed in at the start: standard streams, and what `--preserve-fds` adds.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::ioctl as i;
use moat_abi::poll::PollEvents;
use moat_abi::stat::{FileType, Mode, makedev};
use moat_abi::termios::{Termios, Winsize};
use moat_host::Descriptor;
use moat_host::descriptor::Kind;

use super::file::{FileOperations, Mappable, OpenFile, Seeking};
use super::inode::Attributes;
use crate::Result;
use crate::executor::reactor::{Reactor, Watched};
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::Current;

/// The number of the filesystem that these files seem to be in.
const DEVICE: u64 = 14;

/// The operations of a host descriptor.
pub struct HostOperations {
    descriptor: Arc<Descriptor>,
    ready: Arc<WaitQueue>,
    _watched: Watched,
}

/// Takes over `fds` as open files, with the access modes that they have. Descriptors of one regular file's description
/// (`>log 2>&1`) become one description again, so that they go on sharing their position.
///
/// # Errors
/// `EISDIR` for a directory; what the host gives if it cannot watch a descriptor.
pub fn host_files(fds: Vec<OwnedFd>) -> Result<Vec<Arc<OpenFile>>> {
    let mut files: Vec<Arc<OpenFile>> = Vec::with_capacity(fds.len());
    for fd in fds {
        let descriptor = Descriptor::new(fd).map_err(Errno::from_raw)?;
        let shared = match descriptor.kind() {
            Kind::File => files.iter().find(|file| {
                file.downcast::<HostOperations>().is_some_and(|o| {
                    o.descriptor.kind() == Kind::File && o.descriptor.shares_position_with(&descriptor)
                })
            }),
            _ => None,
        };
        files.push(match shared {
            Some(file) => file.clone(),
            None => open(descriptor)?,
        });
    }
    Ok(files)
}

/// Takes over one descriptor; see [`host_files`].
///
/// # Errors
/// The same.
pub fn host_file(fd: OwnedFd) -> Result<Arc<OpenFile>> {
    open(Descriptor::new(fd).map_err(Errno::from_raw)?)
}

fn open(descriptor: Descriptor) -> Result<Arc<OpenFile>> {
    let kept = OpenFlags::from_bits_retain(3) | OpenFlags::APPEND | OpenFlags::NONBLOCK;
    let flags = OpenFlags::from_bits_retain(descriptor.flags().map_err(Errno::from_raw)?) & kept;
    let position = if descriptor.kind() == Kind::File { descriptor.position().unwrap_or(0) } else { 0 };
    let descriptor = Arc::new(descriptor);
    let ready = Arc::new(WaitQueue::new());
    let watched = Reactor::global().watch(descriptor.clone(), ready.clone())?;
    let file = OpenFile::new(Arc::new(HostOperations { descriptor, ready, _watched: watched }), None, flags);
    *file.position().lock() = position;
    Ok(file)
}

impl HostOperations {
    /// Moves the host's position along: what shares the descriptor goes on where the guest stopped.
    fn moved(&self, to: u64) {
        if self.descriptor.kind() == Kind::File {
            // A file that cannot be positioned has nothing to move.
            let _ = self.descriptor.set_position(to);
        }
    }
}

impl FileOperations for HostOperations {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        match self.descriptor.kind() {
            Kind::File => Seeking::Positions,
            Kind::Device => Seeking::Ignored,
            Kind::Pipe | Kind::Socket | Kind::Terminal => Seeking::Stream,
        }
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let n = self.descriptor.read(buf, offset).map_err(Errno::from_raw)?;
        self.moved(offset + n as u64);
        Ok(n)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], offset: u64) -> Result<usize> {
        let n = self.descriptor.write(buf, offset).map_err(Errno::from_raw)?;
        self.moved(offset + n as u64);
        Ok(n)
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.ready);
        }
        self.descriptor.ready()
    }

    fn pollable(&self) -> bool {
        self.descriptor.kind() != Kind::File
    }

    fn ioctl(&self, current: &mut Current, _: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        let memory = current.memory();
        let host = &self.descriptor;
        if command == i::FIONREAD {
            memory.write(argument, &host.available().map_err(Errno::from_raw)?)?;
            return Ok(0);
        }
        if host.kind() != Kind::Terminal {
            return Err(Errno::ENOTTY);
        }
        match command {
            i::TCGETS => memory.write(argument, &host.termios().map_err(Errno::from_raw)?)?,
            i::TCSETS | i::TCSETSW | i::TCSETSF => {
                let termios: Termios = memory.read(argument)?;
                host.set_termios(&termios, command == i::TCSETSF).map_err(Errno::from_raw)?;
            }
            i::TIOCGWINSZ => memory.write(argument, &host.window_size().map_err(Errno::from_raw)?)?,
            i::TIOCSWINSZ => {
                let size: Winsize = memory.read(argument)?;
                host.set_window_size(&size).map_err(Errno::from_raw)?;
            }
            // It is nobody's controlling terminal in here, so it has no process groups either (ENOTTY), and nothing
            // else of the host's terminal is the guest's to change.
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    fn seek_data(&self, _: &OpenFile, offset: u64, hole: bool) -> Result<u64> {
        let found = self.descriptor.seek_data(offset, hole).map_err(Errno::from_raw)?;
        Ok(found)
    }

    fn mappable(&self, file: &OpenFile) -> Result<Mappable> {
        match self.descriptor.kind() {
            Kind::File => {
                Ok(Mappable { file: self.descriptor.file().clone(), writable: file.writable(), writer: None })
            }
            _ => Err(Errno::ENODEV),
        }
    }

    fn sync(&self, _: &OpenFile, data_only: bool) -> Result<()> {
        self.descriptor.sync(data_only).map_err(Errno::from_raw)
    }

    fn truncate(&self, _: &OpenFile, length: u64) -> Result<()> {
        match self.descriptor.kind() {
            Kind::File => self.descriptor.file().set_len(length).map_err(Errno::from_raw),
            _ => Err(Errno::EINVAL),
        }
    }

    fn anonymous_attributes(&self) -> Result<Attributes> {
        let status = self.descriptor.status().map_err(Errno::from_raw)?;
        let [atime, mtime, ctime] = status.times.map(Into::into);
        let mode = Mode::from_raw(status.mode);
        Ok(Attributes {
            device: DEVICE,
            inode: self.descriptor.file().id(),
            mode,
            links: 1,
            // The host's terminal numbers mean nothing in here.
            rdev: match (self.descriptor.kind(), mode.file_type()) {
                (Kind::Terminal, _) => makedev(4, 64),
                (_, FileType::CharDevice | FileType::BlockDevice) => status.rdev,
                _ => 0,
            },
            size: status.size,
            blocks: status.blocks,
            block_size: 4096,
            atime,
            mtime,
            ctime,
            ..Attributes::default()
        })
    }

    fn reopen(self: Arc<Self>, _: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        // The very same descriptor: what it was opened for outside stays what can be done with it.
        Ok(self)
    }

    fn anonymous_name(&self) -> String {
        let id = self.descriptor.file().id();
        match self.descriptor.kind() {
            Kind::Pipe => format!("pipe:[{id}]"),
            Kind::Socket => format!("socket:[{id}]"),
            Kind::Device if self.descriptor.status().is_ok_and(|s| s.rdev == super::dev::NULL) => {
                "/dev/null".to_owned()
            }
            Kind::File | Kind::Terminal | Kind::Device => format!("host:[{id}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn output_to_a_shared_file_goes_behind_what_is_there() {
        let path = std::env::temp_dir().join(format!("host-file-{}", std::process::id()));
        let mut outer =
            std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        outer.write_all(b"before ").unwrap();
        let fds = vec![outer.try_clone().unwrap().into(), outer.try_clone().unwrap().into()];
        let files = host_files(fds).unwrap();
        assert!(Arc::ptr_eq(&files[0], &files[1]));
        let at = *files[0].position().lock();
        files[0].operations().unwrap().write_at(&files[0], b"inside ", at).unwrap();
        outer.write_all(b"after").unwrap();
        let mut all = String::new();
        outer.rewind().unwrap();
        outer.read_to_string(&mut all).unwrap();
        assert_eq!(all, "before inside after");
    }

    #[test]
    fn a_pipe_has_its_access_mode_and_no_positions() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let file = host_file(reader.into()).unwrap();
        assert!(file.readable() && !file.writable());
        assert_eq!(file.seeking(), Seeking::Stream);
        assert_eq!(file.poll(None), PollEvents::empty());
        let mut buf = [0; 4];
        assert_eq!(file.operations().unwrap().read_at(&file, &mut buf, 0), Err(Errno::EAGAIN));
    }

    #[test]
    fn dev_null_keeps_its_number() {
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").unwrap();
        let file = host_file(null.into()).unwrap();
        assert_eq!(file.attributes().unwrap().rdev, super::super::dev::NULL);
        assert_eq!(file.operations().unwrap().read_at(&file, &mut [0; 4], 0), Ok(0));
    }
}
