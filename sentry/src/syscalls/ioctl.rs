//! Commands to files (ioctl(2)).

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::ioctl as i;
use moat_abi::stat::FileType;

use super::arguments::Fd;
use super::descriptors;
use crate::Result;
use crate::kernel::Current;

/// ioctl(2): the commands that all files know, then the file's own.
pub fn ioctl(current: &mut Current, fd: Fd, command: u32, argument: u64) -> Result<u64> {
    let file = current.files().get(fd.0)?;
    let operations = file.operations()?.clone();
    match command {
        i::FIOCLEX => current.files().set_close_on_exec(fd.0, true)?,
        i::FIONCLEX => current.files().set_close_on_exec(fd.0, false)?,
        i::FIONBIO => {
            let on: i32 = current.memory().read(argument)?;
            let mut flags = file.flags();
            flags.set(OpenFlags::NONBLOCK, on != 0);
            file.set_flags(flags)?;
        }
        i::FIOASYNC => {
            let on: i32 = current.memory().read(argument)?;
            let mut flags = file.flags();
            if (on != 0) != flags.contains(OpenFlags::ASYNC) && !operations.has_fasync() {
                return Err(Errno::ENOTTY);
            }
            flags.set(OpenFlags::ASYNC, on != 0);
            descriptors::set_flags(current, &file, fd.0, flags)?;
        }
        i::FIONREAD if file.inode().is_some_and(|i| i.file_type() == FileType::Regular) => {
            let left = file.attributes()?.size.saturating_sub(*file.position().lock());
            current.memory().write(argument, &i32::try_from(left).unwrap_or(i32::MAX))?;
        }
        _ => return operations.ioctl(current, &file, command, argument),
    }
    Ok(0)
}
