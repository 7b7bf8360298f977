//! What lies in /dev (the devices that the runtime specification asks for, and its links).

use std::sync::Arc;

use moat_abi::stat::makedev;

use super::{FULL, NULL, RANDOM, URANDOM, ZERO};
use crate::Result;
use crate::fs::inode::{FileSystem, Inode, NewNode, NodeKind};
use crate::fs::tmpfs::{TmpFs, TmpfsOptions};

/// `/dev/tty`.
const TTY: u64 = makedev(5, 0);
/// `/dev/console`.
const CONSOLE: u64 = makedev(5, 1);

const DEVICES: [(&str, u64); 6] =
    [("null", NULL), ("zero", ZERO), ("full", FULL), ("random", RANDOM), ("urandom", URANDOM), ("tty", TTY)];

const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Directories that other filesystems are mounted on.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];

/// A new /dev: a tmpfs with the usual nodes. `console`: whether the container has a terminal.
pub fn new(options: &TmpfsOptions, memory: u64, console: bool) -> Result<Arc<TmpFs>> {
    let filesystem = TmpFs::new("tmpfs", "tmpfs", options, memory)?;
    let root = filesystem.root();
    let make = |name: &str, kind: NodeKind, permissions: u32| -> Result<Arc<dyn Inode>> {
        root.create(name.as_bytes(), &NewNode { kind, permissions, uid: options.uid, gid: options.gid })
    };
    for (name, device) in DEVICES {
        make(name, NodeKind::CharDevice(device), 0o666)?;
    }
    if console {
        make("console", NodeKind::CharDevice(CONSOLE), 0o620)?;
    }
    for (name, target) in LINKS {
        make(name, NodeKind::Symlink(target.into()), 0o777)?;
    }
    for name in DIRECTORIES {
        make(name, NodeKind::Directory, 0o755)?;
    }
    Ok(filesystem)
}
