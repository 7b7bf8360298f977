//! execve(2), execveat(2).

use moat_abi::errno::Errno;
use moat_abi::fcntl::AtFlags;

use super::arguments::{DirFd, Replaced, UserPath, UserStrings};
use super::open::{base, lookup_or_descriptor};
use crate::Result;
use crate::fs::walk;
use crate::kernel::{Current, exec};
use crate::loader::{self, ARGUMENTS_MAX, STRING_MAX};
use crate::mm::user::UserMemory;

/// Reads a NULL-terminated array of strings. `E2BIG` beyond what a program may get.
fn read_strings(memory: &UserMemory, strings: UserStrings) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    let mut total = 0;
    let mut at = strings.0;
    if at == 0 {
        return Ok(out);
    }
    loop {
        let pointer: u64 = memory.read(at)?;
        if pointer == 0 {
            return Ok(out);
        }
        let string = memory.read_string(pointer, STRING_MAX, Errno::E2BIG)?;
        total += string.len() + 9;
        if total > ARGUMENTS_MAX {
            return Err(Errno::E2BIG);
        }
        out.push(string);
        at = at.checked_add(8).ok_or(Errno::EFAULT)?;
    }
}

/// execve(2).
pub async fn execve(current: &mut Current, path: UserPath, argv: UserStrings, envp: UserStrings) -> Result<Replaced> {
    execveat(current, DirFd::CWD, path, argv, envp, AtFlags::empty()).await
}

/// execveat(2).
pub async fn execveat(
    current: &mut Current,
    dirfd: DirFd,
    path: UserPath,
    argv: UserStrings,
    envp: UserStrings,
    flags: AtFlags,
) -> Result<Replaced> {
    if flags.bits() & !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).bits() != 0 {
        return Err(Errno::EINVAL);
    }
    let memory = current.memory();
    let name = path.read(&memory)?;
    let (place, shown) = if name.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
        let place = lookup_or_descriptor(current, dirfd, path, true, true)?.path()?;
        (place, format!("/dev/fd/{}", dirfd.0).into_bytes())
    } else {
        let follow = !flags.contains(AtFlags::SYMLINK_NOFOLLOW);
        let place = walk::resolve(current, &base(current, dirfd, &name)?, &name, follow)?;
        let shown = match dirfd {
            DirFd::CWD => name,
            _ if name.starts_with(b"/") => name,
            _ => [format!("/dev/fd/{}/", dirfd.0).into_bytes(), name].concat(),
        };
        (place, shown)
    };
    let mut arguments = read_strings(&memory, argv)?;
    let environment = read_strings(&memory, envp)?;
    if arguments.is_empty() {
        // Linux gives a program without arguments an empty one.
        arguments.push(Vec::new());
    }
    let program = loader::prepare(current, place, shown, arguments, environment)?;
    exec::exec(current, program).await?;
    Ok(Replaced)
}
