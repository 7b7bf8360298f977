//! Watches: what others do to the files of a root that the container owns, told to the sentry by inotify.
//!
//! The gofer adds watches, the sentry reads what they tell, from a descriptor that it gets when it attaches the root. A
//! directory is watched before anything in it is looked up, and a file with several names itself too, since a change
//! through another name is not told to this one's directory. So whatever the sentry learns of them is either true or is
//! about to be told otherwise. There are only so many watches; what has none is not [`node_flags::WATCHED`], and the
//! sentry asks for it each time.
//!
//! [`node_flags::WATCHED`]: crate::protocol::attributes::node_flags::WATCHED

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::stat::FileType;
use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use super::number;

/// The most watches for a root: some 1 KiB of kernel memory each, of a number that all processes of a user share.
const WATCHES_MAX: usize = 8192;

/// The watches of a root.
pub(super) struct Watches {
    /// Never blocks, which the gofer cannot change once it is confined.
    inotify: OwnedFd,
    /// How many nodes rely on each watch.
    users: Mutex<HashMap<i32, u32>>,
}

/// A watch on a file, for as long as a node stands for it.
pub(super) struct Watch {
    watches: Arc<Watches>,
    number: i32,
}

impl Watch {
    /// Its number in what is told.
    pub fn number(&self) -> i32 {
        self.number
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut users = self.watches.users.lock();
        if let Some(count) = users.get_mut(&self.number) {
            *count -= 1;
            if *count == 0 {
                users.remove(&self.number);
                // It fails if the file is gone, and the watch with it.
                let _ = inotify::remove_watch(&self.watches.inotify, self.number);
            }
        }
    }
}

impl Watches {
    /// Watches for one root. `None` if the host has no more inotify instances for this user.
    pub fn new() -> Option<Arc<Self>> {
        match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => Some(Arc::new(Self { inotify, users: Mutex::default() })),
            Err(e) => {
                tracing::warn!("a root cannot be watched, and nothing of it is cached: {e}");
                None
            }
        }
    }

    /// Another descriptor for reading what the watches tell.
    pub fn descriptor(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.inotify, 0)
    }

    /// Watches the file that a descriptor stands for; the working directory is the one of descriptors. `None` if there are
    /// too many watches, or the host refuses one.
    pub fn add(self: &Arc<Self>, fd: &OwnedFd, kind: FileType) -> Option<Watch> {
        let mut events = WatchFlags::ATTRIB | WatchFlags::MODIFY;
        if kind == FileType::Directory {
            events |= WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::EXCL_UNLINK;
        }
        let mut users = self.users.lock();
        if users.len() >= WATCHES_MAX {
            return None;
        }
        let number = inotify::add_watch(&self.inotify, number(fd), events).ok()?;
        *users.entry(number).or_default() += 1;
        Some(Watch { watches: self.clone(), number })
    }
}
