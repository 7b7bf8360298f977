//! Character devices (null(4), random(4), full(4)).

pub mod tree;

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::{major, makedev};
use moat_host::HostFile;

use super::file::{FileOperations, Mappable, OpenFile, Seeking};
use super::{Path, devpts, tty};
use crate::Result;
use crate::kernel::Task;

/// `/dev/null`.
pub const NULL: u64 = makedev(1, 3);
/// `/dev/zero`.
pub const ZERO: u64 = makedev(1, 5);
/// `/dev/full`.
pub const FULL: u64 = makedev(1, 7);
/// `/dev/random`.
pub const RANDOM: u64 = makedev(1, 8);
/// `/dev/urandom`.
pub const URANDOM: u64 = makedev(1, 9);

/// Length of what a mapping of /dev/zero is made of: more than anybody can map, and nothing of it exists before it is
/// written.
const ZEROES: u64 = 1 << 46;

/// Opens the device `rdev` for `task` through the node at `path`. `ENXIO` if there is none of that number.
pub fn open_device(task: &Task, rdev: u64, path: Path, flags: OpenFlags) -> Result<Arc<OpenFile>> {
    let device = match rdev {
        tty::TTY => return tty::open_controlling(task, path, flags),
        tty::CONSOLE => return tty::open_console(task, path, flags),
        tty::PTMX => return devpts::open_master(task, path, flags),
        _ if major(rdev) == tty::SLAVE_MAJOR => return devpts::open_slave(task, path, flags),
        NULL => Memory::Null,
        ZERO => Memory::Zero,
        FULL => Memory::Full,
        RANDOM | URANDOM => Memory::Random,
        _ => return Err(Errno::ENXIO),
    };
    Ok(OpenFile::new(Arc::new(device), Some(path), flags))
}

/// The memory devices.
enum Memory {
    Null,
    Zero,
    Full,
    Random,
}

impl FileOperations for Memory {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Ignored
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        match self {
            Self::Null => Ok(0),
            Self::Zero | Self::Full => {
                buf.fill(0);
                Ok(buf.len())
            }
            Self::Random => {
                moat_host::random::fill(buf).map_err(Errno::from_raw)?;
                Ok(buf.len())
            }
        }
    }

    fn mappable(&self, _: &OpenFile) -> Result<Mappable> {
        match self {
            Self::Zero => {
                let file = HostFile::memory("zero").map_err(Errno::from_raw)?;
                file.set_len(ZEROES).map_err(Errno::from_raw)?;
                Ok(Mappable { file: Arc::new(file), writable: true, writer: None })
            }
            _ => Err(Errno::ENODEV),
        }
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        match self {
            Self::Full => Err(Errno::ENOSPC),
            _ => Ok(buf.len()),
        }
    }
}
