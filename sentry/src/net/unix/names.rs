//! Which socket is bound to which name: abstract names, and inodes for paths.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::Core;
use crate::Result;
use crate::fs::inode::{Inode, NodeKind};
use crate::fs::permission::{self, Access};
use crate::fs::walk::{self, Last, LastKind};
use crate::fs::{Path, open};
use crate::kernel::Task;
use crate::net::address::UnixAddress;
use crate::sync::{Mutex, Rank};

/// What a socket is found by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// An abstract name.
    Abstract(Vec<u8>),
    /// Device and inode of the node that bind made.
    Node(u64, u64),
}

/// See the module.
pub struct Names {
    bound: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    sockets: HashMap<Key, Weak<Core>>,
    next_automatic: u32,
}

impl Default for Names {
    fn default() -> Self {
        Self { bound: Mutex::new(Rank::NetStack, Table::default()) }
    }
}

fn node_key(inode: &Arc<dyn Inode>) -> Result<Key> {
    let attributes = inode.attributes()?;
    Ok(Key::Node(attributes.device, attributes.inode))
}

/// Where a node is to be made. `EADDRINUSE` if something is there.
pub fn check_path(task: &Task, path: &[u8]) -> Result<Last> {
    let base = task.fs().directory();
    let last = match walk::resolve_parent(task, &base, path)? {
        LastKind::Name(last) => last,
        LastKind::Special(_) => return Err(Errno::EADDRINUSE),
    };
    if !last.directory.dentry.lookup(&last.name)?.is_negative() {
        return Err(Errno::EADDRINUSE);
    }
    if last.slash { Err(Errno::ENOENT) } else { Ok(last) }
}

impl Names {
    /// Takes an abstract name. `EADDRINUSE`.
    pub fn take_abstract(&self, name: &[u8], core: &Arc<Core>) -> Result<Key> {
        let key = Key::Abstract(name.to_vec());
        let mut table = self.bound.lock();
        if table.sockets.get(&key).is_some_and(|w| w.strong_count() > 0) {
            return Err(Errno::EADDRINUSE);
        }
        table.sockets.insert(key.clone(), Arc::downgrade(core));
        Ok(key)
    }

    /// Takes an abstract name of five hexadecimal digits. `ENOSPC` if all are taken.
    pub fn take_automatic(&self, core: &Arc<Core>) -> Result<(Key, UnixAddress)> {
        let mut table = self.bound.lock();
        for _ in 0..=0xf_ffff {
            let number = table.next_automatic;
            table.next_automatic = (number + 1) & 0xf_ffff;
            let name = format!("{number:05x}").into_bytes();
            let key = Key::Abstract(name.clone());
            if table.sockets.get(&key).is_none_or(|w| w.strong_count() == 0) {
                table.sockets.insert(key.clone(), Arc::downgrade(core));
                return Ok((key, UnixAddress::Abstract(name)));
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Makes the node at `path` and takes it. `EADDRINUSE` if something is there.
    pub fn take_path(&self, task: &Task, path: &[u8], core: &Arc<Core>) -> Result<(Key, Path)> {
        let last = check_path(task, path)?;
        let made = open::create(task, &last, NodeKind::Socket, 0o777)
            .map_err(|e| if e == Errno::EEXIST { Errno::EADDRINUSE } else { e })?;
        let key = node_key(made.inode()?)?;
        // An inode number may have been used before by a node that was unlinked since.
        let old = self.bound.lock().sockets.insert(key.clone(), Arc::downgrade(core));
        drop(old);
        Ok((key, made))
    }

    /// The socket that is bound to `address`. `ECONNREFUSED` if none is, and what the walk gives.
    pub fn find(&self, task: Option<&Task>, address: &UnixAddress) -> Result<Arc<Core>> {
        let key = match address {
            UnixAddress::Abstract(name) => Key::Abstract(name.clone()),
            UnixAddress::Path(path) => {
                let task = task.ok_or(Errno::ECONNREFUSED)?;
                let place = walk::resolve(task, &task.fs().directory(), path, true)?;
                let inode = place.inode()?;
                permission::check(inode, &task.credentials(), Access::WRITE)?;
                if inode.file_type() != FileType::Socket {
                    return Err(Errno::ECONNREFUSED);
                }
                node_key(inode)?
            }
        };
        let found = self.bound.lock().sockets.get(&key).and_then(Weak::upgrade);
        found.ok_or(Errno::ECONNREFUSED)
    }

    /// Gives a name up, unless somebody else has it by now.
    pub fn release(&self, key: &Key, core: &Arc<Core>) {
        let mut table = self.bound.lock();
        if table.sockets.get(key).is_some_and(|w| std::ptr::eq(w.as_ptr(), Arc::as_ptr(core))) {
            table.sockets.remove(key);
        }
    }
}
