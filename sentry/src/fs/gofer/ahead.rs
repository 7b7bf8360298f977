//! Who lists a directory looks its names up next (`find`, `ls -l`, `tar`): they are asked for many at a time.
//!
//! The names of the directories that were listed last are remembered in their order. The first of them that is looked up
//! brings those behind it along, more each time, for as long as what was brought is used. Who then reads the files one by
//! one (`grep -r`, `tar`) gets their descriptors in the same way: the first that is opened brings along those of the files
//! behind it that have been looked up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use moat_gofer::protocol::OPEN_MAX;

use super::inode::GoferInode;
use super::node::Node;
use crate::sync::{Mutex, Rank};

/// How many directories are remembered: as many as a search is deep.
const DIRECTORIES: usize = 16;
/// How many names of one.
const NAMES: usize = 16_384;
/// How many names are brought along at first, and at most.
const WINDOW: (usize, usize) = (4, 60);
/// How many descriptors are brought along at first, and at most.
const OPENED: (usize, usize) = (4, OPEN_MAX - 1);

/// See the module.
pub(super) struct Ahead {
    /// The one that was used last at the end.
    listed: Mutex<VecDeque<Listed>>,
}

/// A directory that was listed.
struct Listed {
    key: (u64, u64),
    names: Vec<Box<[u8]>>,
    /// Behind the last name that was asked for.
    next: usize,
    window: usize,
    /// Behind the last file that was opened.
    next_open: usize,
    /// How many are opened along with it.
    opened: usize,
    /// What was brought along and not used yet.
    brought: HashMap<Box<[u8]>, Brought>,
}

impl Listed {
    /// Where this name is: close to where the last one was, or anywhere.
    fn find(&self, name: &[u8], last: usize) -> Option<usize> {
        let from = last.min(self.names.len());
        let found = self.names[from..].iter().position(|n| **n == *name).map(|n| from + n);
        found.or_else(|| self.names[..from].iter().position(|n| **n == *name))
    }
}

/// What was found under a name, and what [`Node::names_valid`] was before it was asked for.
struct Brought {
    inode: Arc<GoferInode>,
    valid: Option<u64>,
}

impl Ahead {
    pub fn new() -> Self {
        Self { listed: Mutex::new(Rank::Leaf, VecDeque::new()) }
    }

    /// These names were listed in a directory, from its beginning or behind those before.
    pub fn listed<'a>(&self, directory: &Node, beginning: bool, names: impl Iterator<Item = &'a [u8]>) {
        if directory.names_valid().is_none() {
            return;
        }
        let names = names.filter(|&name| name != b"." && name != b"..").map(Box::from);
        let mut listed = self.listed.lock();
        let at = listed.iter().position(|l| l.key == directory.key);
        let old = match at.and_then(|at| listed.remove(at)) {
            Some(mut known) if !beginning => {
                let room = NAMES.saturating_sub(known.names.len());
                known.names.extend(names.take(room));
                listed.push_back(known);
                None
            }
            old => {
                let names = names.take(NAMES).collect();
                let new = Listed {
                    key: directory.key,
                    names,
                    next: 0,
                    window: WINDOW.0,
                    next_open: 0,
                    opened: OPENED.0,
                    brought: HashMap::new(),
                };
                listed.push_back(new);
                old
            }
        };
        let surplus = if listed.len() > DIRECTORIES { listed.pop_front() } else { None };
        // An inode's end takes a lock of this rank.
        drop(listed);
        drop((old, surplus));
    }

    /// What was brought along under this name, if it is still true.
    pub fn take(&self, directory: &Node, name: &[u8]) -> Option<Arc<GoferInode>> {
        let brought = {
            let mut listed = self.listed.lock();
            listed.iter_mut().find(|l| l.key == directory.key)?.brought.remove(name)
        };
        let Brought { inode, valid } = brought?;
        (valid.is_some() && valid == directory.names_valid()).then_some(inode)
    }

    /// Whether something was brought along under this name.
    #[cfg(test)]
    pub fn has_brought(&self, directory: &Node, name: &[u8]) -> bool {
        self.listed.lock().iter().any(|l| l.key == directory.key && l.brought.contains_key(name))
    }

    /// The names to be asked for along with this one.
    pub fn next(&self, directory: &Node, name: &[u8]) -> Vec<Box<[u8]>> {
        let mut listed = self.listed.lock();
        let Some(at) = listed.iter().position(|l| l.key == directory.key) else { return Vec::new() };
        let Some(mut here) = listed.remove(at) else { return Vec::new() };
        let mut next = Vec::new();
        if let Some(found) = here.find(name, here.next)
            && here.brought.len() <= here.window
        {
            next.reserve(here.window);
            here.next = found + 1;
            while next.len() < here.window
                && let Some(name) = here.names.get(here.next)
            {
                if !here.brought.contains_key(name) && !directory.knows_child(name) {
                    next.push(name.clone());
                }
                here.next += 1;
            }
            here.window = (here.window * 2).min(WINDOW.1);
        }
        listed.push_back(here);
        next
    }

    /// The files that may be opened along with the one of this name: known ones that come behind it.
    pub fn open_along(&self, directory: &Node, name: &[u8]) -> Vec<Arc<Node>> {
        let mut listed = self.listed.lock();
        let Some(here) = listed.iter_mut().find(|l| l.key == directory.key) else { return Vec::new() };
        let Some(found) = here.find(name, here.next_open) else { return Vec::new() };
        // Who reads here and there has no use for what lies between.
        let follows = found >= here.next_open && found - here.next_open <= OPENED.1;
        here.opened = if follows || here.next_open == 0 { here.opened } else { OPENED.0 };
        let behind = here.names[found + 1..].iter().enumerate().take(2 * here.opened);
        let known: Vec<_> =
            behind.filter_map(|(n, name)| Some((n, directory.child(name)?))).take(here.opened).collect();
        here.next_open = found + 1 + known.last().map_or(0, |(n, _)| n + 1);
        here.opened = (here.opened * 2).min(OPENED.1);
        known.into_iter().map(|(_, node)| node).collect()
    }

    /// What was asked for along with another name, when [`Node::names_valid`] was `valid`.
    pub fn bring(&self, directory: &Node, valid: Option<u64>, inodes: Vec<(Box<[u8]>, Arc<GoferInode>)>) {
        let mut replaced = Vec::new();
        {
            let mut listed = self.listed.lock();
            match listed.iter_mut().find(|l| l.key == directory.key) {
                Some(here) => {
                    for (name, inode) in inodes {
                        replaced.extend(here.brought.insert(name, Brought { inode, valid }));
                    }
                }
                None => replaced.extend(inodes.into_iter().map(|(_, inode)| Brought { inode, valid })),
            }
        }
        drop(replaced);
    }
}
