//! The entries of a directory. Each has a cookie that it keeps for life, so that positions stay good while others come
//! and go.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::node::Node;

/// The cookies of `.` and `..` are 1 and 2; a position is the cookie that was passed last.
const FIRST: u64 = 3;

/// See the module.
pub struct Entries {
    names: HashMap<Arc<[u8]>, (u64, Arc<Node>)>,
    order: BTreeMap<u64, Arc<[u8]>>,
    next: u64,
    /// The directory was removed: nothing can be made in it any more.
    pub dead: bool,
}

impl Default for Entries {
    fn default() -> Self {
        Self { names: HashMap::new(), order: BTreeMap::new(), next: FIRST, dead: false }
    }
}

impl Entries {
    /// The child of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Node>> {
        self.names.get(name).map(|(_, node)| node)
    }

    /// Puts a child under a name; what was there is returned.
    pub fn insert(&mut self, name: &[u8], node: Arc<Node>) -> Option<Arc<Node>> {
        let old = self.remove(name);
        let name: Arc<[u8]> = name.into();
        let cookie = self.next;
        self.next += 1;
        self.order.insert(cookie, name.clone());
        self.names.insert(name, (cookie, node));
        old
    }

    /// Takes a child out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let (cookie, node) = self.names.remove(name)?;
        self.order.remove(&cookie);
        Some(node)
    }

    /// Takes all children out.
    pub fn take_all(&mut self) -> Vec<Arc<Node>> {
        self.order.clear();
        self.names.drain().map(|(_, (_, node))| node).collect()
    }

    /// How many there are, `.` and `..` not counted.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Those whose cookie is above `position`, in order.
    pub fn after(&self, position: u64) -> impl Iterator<Item = (u64, &Arc<[u8]>, &Arc<Node>)> {
        self.order
            .range(position.saturating_add(1)..)
            .filter_map(|(&cookie, name)| self.names.get(name).map(|(_, node)| (cookie, name, node)))
    }
}
