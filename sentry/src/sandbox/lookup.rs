//! Which program a command names, and what to say if it cannot be run: runc's words, which engines turn into 126 and 127.

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::StartError;
use crate::control::config::ProcessConfig;
use crate::fs::permission::{self, Access};
use crate::fs::{Path, walk};
use crate::kernel::Task;

/// A command that was found.
pub(super) struct Found {
    /// Where.
    pub path: Path,
    /// The path that execve would have been given.
    pub name: Vec<u8>,
}

fn text(errno: Errno) -> String {
    errno.description().to_lowercase()
}

/// Finds the command: by its path if it has a slash, otherwise in PATH.
pub(super) fn command(task: &Task, config: &ProcessConfig) -> Result<Found, StartError> {
    let Some(command) = config.arguments.first() else {
        return Err(StartError::new(Errno::EINVAL, "process.args must not be empty"));
    };
    if command.contains('/') {
        return at(task, command).map_err(|e| match e {
            Errno::EACCES => StartError::new(e, format!("exec: {command:?}: permission denied")),
            e => StartError::new(e, format!("exec: {command:?}: stat {command}: {}", text(e))),
        });
    }
    let path = config
        .environment
        .iter()
        .rev()
        .find_map(|e| e.strip_prefix("PATH="))
        .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut denied = false;
    for directory in path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        match at(task, &format!("{directory}/{command}")) {
            Ok(found) => return Ok(found),
            Err(Errno::EACCES) => denied = true,
            Err(_) => {}
        }
    }
    match denied {
        true => Err(StartError::new(Errno::EACCES, format!("exec: {command:?}: permission denied"))),
        false => Err(StartError::new(Errno::ENOENT, format!("exec: {command:?}: executable file not found in $PATH"))),
    }
}

fn at(task: &Task, name: &str) -> Result<Found, Errno> {
    let fs = task.fs();
    let base = if name.starts_with('/') { fs.root() } else { fs.directory() };
    let path = walk::resolve(task, &base, name.as_bytes(), true)?;
    let inode = path.inode()?;
    if inode.file_type() != FileType::Regular {
        return Err(Errno::EACCES);
    }
    permission::check(inode, &task.credentials(), Access::EXECUTE)?;
    Ok(Found { path, name: name.as_bytes().to_vec() })
}

/// What execve itself refused.
pub(super) fn refused(config: &ProcessConfig, errno: Errno) -> StartError {
    let command = config.arguments.first().map_or("", String::as_str);
    StartError::new(errno, format!("exec {command}: {}", text(errno)))
}
