//! Names of the merged tree: lookup, listing, and changes of directories.

use std::collections::VecDeque;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;

use super::OverlayFs;
use super::node::Node;
use crate::Result;
use crate::fs::OpenFile;
use crate::fs::file::DirectoryEntry;
use crate::fs::inode::{Answer, Found, Inode};

impl OverlayFs {
    /// What `name` is in a directory. `ENOENT`.
    pub(super) fn find(&self, directory: &Node, name: &[u8]) -> Result<Arc<Node>> {
        if let Some(changed) = directory.names.lock().changed.get(name) {
            return changed.clone().ok_or(Errno::ENOENT);
        }
        // What lies below is nobody's here to change, so that this answer needs no lock.
        match directory.lower() {
            Some(lower) => self.node_over(lower.lookup(name)?),
            None => Err(Errno::ENOENT),
        }
    }

    /// What names are, each in the directory before it, as far as one question to what lies below tells.
    pub(super) fn find_ahead(&self, directory: &Arc<Node>, names: &[&[u8]]) -> Answer {
        let mut found = Vec::new();
        let mut below: Option<(VecDeque<Found>, Option<Errno>)> = None;
        let mut at = directory.clone();
        for (place, &name) in names.iter().enumerate() {
            if !at.is_directory() {
                return Answer { found, error: Some(Errno::ENOTDIR) };
            }
            let valid = at.names_valid();
            let changed = at.names.lock().changed.get(name).cloned();
            let (node, valid) = match (changed, at.lower()) {
                (Some(changed), _) => {
                    // What is told of names from below goes on beneath something else.
                    below = Some((VecDeque::new(), None));
                    (changed, valid)
                }
                (None, None) => (None, valid),
                (None, Some(lower)) => {
                    let (told, error) = below.get_or_insert_with(|| {
                        let answer = lower.look_up_ahead(&names[place..]);
                        (answer.found.into(), answer.error)
                    });
                    let Some(Found { inode, valid }) = told.pop_front() else {
                        return Answer { found, error: *error };
                    };
                    match inode.map(|lower| self.node_over(lower)).transpose() {
                        Ok(node) => (node, valid),
                        Err(errno) => return Answer { found, error: Some(errno) },
                    }
                }
            };
            found.push(Found { inode: node.clone().map(|node| self.inode(node) as Arc<dyn Inode>), valid });
            match node {
                Some(node) => at = node,
                None => break,
            }
        }
        Answer { found, error: None }
    }

    /// Gives a name that does not exist to `node`. `EEXIST`; `ENOENT` if the directory is gone.
    pub(super) fn add(&self, directory: &Arc<Node>, name: &[u8], node: Arc<Node>) -> Result<()> {
        match self.find(directory, name) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        {
            let mut names = directory.names.lock();
            if names.dead {
                return Err(Errno::ENOENT);
            }
            if names.changed.get(name).is_some_and(Option::is_some) {
                return Err(Errno::EEXIST);
            }
            names.changed.insert(name.to_vec(), Some(node));
        }
        self.keep(directory);
        Ok(())
    }

    /// Gives `name` to `node`, or (`None`) to nobody, whatever it was.
    pub(super) fn put(&self, directory: &Arc<Node>, name: &[u8], node: Option<Arc<Node>>) {
        let old = {
            let mut names = directory.names.lock();
            match (&node, directory.lower()) {
                // Nothing below has to be hidden.
                (None, None) => names.changed.remove(name),
                _ => names.changed.insert(name.to_vec(), node),
            }
        };
        drop(old);
        self.keep(directory);
    }

    /// What is below a directory, without `.` and `..`, in the order of below.
    fn list_below(directory: &Node) -> Result<Vec<DirectoryEntry>> {
        let mut all = Vec::new();
        let Some(lower) = directory.lower() else { return Ok(all) };
        let operations = lower.clone().open(OpenFlags::DIRECTORY)?;
        let file = OpenFile::new(operations.clone(), None, OpenFlags::DIRECTORY);
        let mut from = 0;
        loop {
            let before = from;
            operations.read_directory(&file, from, &mut |entry| {
                from = entry.next;
                if entry.name != b"." && entry.name != b".." {
                    all.push(entry);
                }
                true
            })?;
            if from == before {
                return Ok(all);
            }
        }
    }

    /// All children of a directory, without `.` and `..`.
    pub(super) fn list(&self, directory: &Arc<Node>) -> Result<Vec<DirectoryEntry>> {
        let mut all = Self::list_below(directory)?;
        let names = directory.names.lock();
        if !names.changed.is_empty() {
            all.retain(|entry| !names.changed.contains_key(&entry.name));
        }
        let added = names.changed.iter().filter_map(|(name, node)| Some((name, node.as_ref()?)));
        all.extend(added.map(|(name, node)| DirectoryEntry {
            inode: node.number(),
            next: 0,
            file_type: Some(node.file_type()),
            name: name.clone(),
        }));
        Ok(all)
    }

    /// Marks an empty directory as removed. `ENOTEMPTY`. The caller holds the tree lock.
    pub(super) fn bury(&self, directory: &Arc<Node>) -> Result<()> {
        if !directory.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        let below = Self::list_below(directory)?;
        let mut names = directory.names.lock();
        let hidden = below.iter().all(|entry| matches!(names.changed.get(&entry.name), Some(None)));
        if !hidden || names.changed.values().any(Option::is_some) {
            return Err(Errno::ENOTEMPTY);
        }
        names.dead = true;
        Ok(())
    }

    /// What happens to a node that loses a name.
    pub(super) fn drop_name(&self, node: &Arc<Node>) -> Result<()> {
        if node.is_directory() {
            self.forget(node);
            return Ok(());
        }
        node.adjust_links(-1);
        if node.attributes(0)?.links == 0 {
            self.forget(node)
        } else {
            self.keep(node)
        }
        Ok(())
    }
}
