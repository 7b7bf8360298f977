//! Every socket of a namespace, by number: what /proc/net and sock_diag list.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::Socket;
use crate::sync::{Mutex, Rank};

/// See the module.
pub struct Registry {
    sockets: Mutex<BTreeMap<u64, Weak<Socket>>>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { sockets: Mutex::new(Rank::Leaf, BTreeMap::new()) }
    }
}

impl Registry {
    pub(super) fn insert(&self, socket: &Arc<Socket>) {
        self.sockets.lock().insert(socket.id, Arc::downgrade(socket));
    }

    pub(super) fn remove(&self, id: u64) {
        self.sockets.lock().remove(&id);
    }

    /// The live sockets of a family, in the order in which they were made.
    pub fn of_family(&self, family: u16) -> Vec<Arc<Socket>> {
        // References that turn out to be the last ones end outside the lock.
        let all: Vec<Arc<Socket>> = self.sockets.lock().values().filter_map(Weak::upgrade).collect();
        all.into_iter().filter(|s| s.family == family).collect()
    }
}
