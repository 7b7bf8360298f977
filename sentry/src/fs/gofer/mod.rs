//! The gofer filesystem: a tree of the host, reached through the gofer ([`moat_gofer`]).
//!
//! Names and attributes come from the gofer. Reads, writes and mappings go straight to host descriptors that it donated:
//! each [`node::Node`] keeps at most one for reading and one for both, for as long as that is cheap, so that opening a
//! file again costs no round trip.
//!
//! In a tree that the container *owns*, names and attributes are believed until the sentry changes them, or the gofer's
//! watch on their directory says that somebody else did ([`changes`]); attributes are then read again from a donated
//! descriptor if there is one, from the gofer if not. In a *volume*, and where watches have run out, they are asked for
//! each time, all names of a path together.
//!
//! No lock is held over a round trip.

mod ahead;
mod changes;
mod directory;
mod file;
mod inode;
mod node;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use moat_abi::stat::{FileType, Statfs};
use moat_gofer::Client;
use moat_gofer::client;
use moat_gofer::protocol::sync;

use ahead::Ahead;
use changes::Watch;
pub use inode::GoferInode;
use node::Node;

use super::inode::{FileSystem, Inode};
use super::kernfs::anonymous_device;
use crate::Result;
use crate::sync::{Mutex, Rank};

/// How many files may have donated descriptors that nobody has open.
const DESCRIPTORS: usize = if cfg!(test) { 64 } else { 4096 };
/// How many of them are asked to let go of theirs when there is one too many.
const TRIES: usize = 8;

/// One mounted tree.
pub struct GoferFs {
    client: Arc<Client>,
    source: String,
    owned: bool,
    read_only: bool,
    root: Arc<Node>,
    /// The host's device numbers in this tree, each with the one that the guest sees.
    devices: Mutex<Vec<(u64, u64)>>,
    /// All inodes, by the host's device and inode number: names of one file share an inode.
    inodes: Mutex<HashMap<(u64, u64), Weak<GoferInode>>>,
    /// Nodes with donated descriptors, oldest first.
    donated: Mutex<VecDeque<Weak<Node>>>,
    /// What others do, in an owned tree.
    watch: Option<Watch>,
    ahead: Ahead,
    this: Weak<GoferFs>,
}

impl GoferFs {
    /// Attaches a root of the gofer's. `owned`: nobody but this container changes it (the gofer must agree). `source` is
    /// what `/proc/mounts` names.
    pub fn attach(client: &Arc<Client>, root: u32, owned: bool, source: &str) -> Result<Arc<Self>> {
        let (node, changes) = client.attach(root)?;
        let device = anonymous_device();
        let (owned, read_only, host_device) = (owned && node.owned, node.read_only, node.attributes.device);
        let root = Arc::new(Node::new(node, device, owned));
        let watch = changes.filter(|_| owned).map(Watch::new);
        if let (Some(watch), Some(number)) = (&watch, root.watch()) {
            watch.enter(number, &root);
        }
        Ok(Arc::new_cyclic(|this| Self {
            client: client.clone(),
            source: source.to_owned(),
            owned,
            read_only,
            devices: Mutex::new(Rank::Leaf, vec![(host_device, device)]),
            root,
            watch,
            ahead: Ahead::new(),
            inodes: Mutex::new(Rank::Leaf, HashMap::new()),
            donated: Mutex::new(Rank::Leaf, VecDeque::new()),
            this: this.clone(),
        }))
    }

    /// Whether the gofer lets nothing in it be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn this(&self) -> Arc<Self> {
        match self.this.upgrade() {
            Some(this) => this,
            None => crate::fatal("a filesystem is used after its end"),
        }
    }

    /// The device number that the guest sees for one of the host's.
    fn guest_device(&self, host: u64) -> u64 {
        let mut devices = self.devices.lock();
        if let Some(&(_, guest)) = devices.iter().find(|(h, _)| *h == host) {
            return guest;
        }
        let guest = anonymous_device();
        devices.push((host, guest));
        guest
    }

    /// The inode of what the gofer looked up: the one that is there, or a new one.
    fn inode(&self, found: client::Node) -> Arc<GoferInode> {
        let key = (found.attributes.device, found.attributes.inode);
        let file_type = FileType::from_bits(found.attributes.mode);
        let device = self.guest_device(key.0);
        // A known inode's handle keeps its number from being used again, so that it is the same file; what a gofer that
        // lies says counts as a new one.
        if let Some(known) = self.known(key).filter(|known| known.file_type() == file_type) {
            known.node().seen(&found.attributes);
            return known;
        }
        self.enter(key, Arc::new(Node::new(found, device, self.owned)))
    }

    fn known(&self, key: (u64, u64)) -> Option<Arc<GoferInode>> {
        self.inodes.lock().get(&key).and_then(Weak::upgrade)
    }

    /// The same for what was looked up under `name` in a directory.
    fn child(&self, directory: &Arc<Node>, name: &[u8], found: client::Node) -> Arc<GoferInode> {
        let inode = self.inode(found);
        directory.has_child(name, inode.node());
        inode
    }

    /// What others do, if that is told.
    fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// Changes with each event that a lookup under way may not know of.
    fn epoch(&self) -> u64 {
        self.watch().map_or(0, Watch::epoch)
    }

    /// Nothing that is known of any file is believed any more.
    fn all_changed(&self) {
        let all: Vec<_> = self.inodes.lock().values().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|inode| inode.node().changed());
    }

    /// Makes the inode of a node, unless somebody else was faster.
    fn enter(&self, key: (u64, u64), node: Arc<Node>) -> Arc<GoferInode> {
        let file_type = node.file_type;
        let made = Arc::new(GoferInode::new(self.this(), node));
        let mut inodes = self.inodes.lock();
        let there = inodes.get(&key).and_then(Weak::upgrade);
        let chosen = match &there {
            Some(there) if there.file_type() == file_type => there.clone(),
            _ => {
                inodes.insert(key, Arc::downgrade(&made));
                made.clone()
            }
        };
        // An inode's end takes the lock: none may end before.
        drop(inodes);
        if let (Some(watch), Some(number)) = (self.watch(), chosen.node().watch()) {
            watch.enter(number, chosen.node());
        }
        chosen
    }

    /// Forgets an inode that has ended.
    fn forget(&self, key: (u64, u64)) {
        let mut inodes = self.inodes.lock();
        if inodes.get(&key).is_some_and(|i| i.strong_count() == 0) {
            inodes.remove(&key);
        }
    }

    /// The file of this number was given `name` in a directory by a rename.
    fn moved(&self, number: [u64; 2], directory: &Arc<Node>, name: &[u8]) {
        if let Some(inode) = self.known((number[0], number[1])) {
            directory.has_child(name, inode.node());
            inode.node().moved_to(directory);
        }
    }

    /// The file of this number lost a name to a rename.
    fn unlinked(&self, number: [u64; 2]) {
        if let Some(inode) = self.known((number[0], number[1])) {
            inode.node().unlinked();
        }
    }

    /// A node has got a donated descriptor: makes one that was not used for long let go of its own.
    fn donated_to(&self, node: &Arc<Node>) {
        self.donated.lock().push_back(Arc::downgrade(node));
        // The oldest may be in use.
        for _ in 0..TRIES {
            let oldest = {
                let mut donated = self.donated.lock();
                if donated.len() <= DESCRIPTORS {
                    return;
                }
                donated.pop_front()
            };
            if let Some(oldest) = oldest.and_then(|w| w.upgrade())
                && oldest.let_go()
            {
                self.donated.lock().push_back(Arc::downgrade(&oldest));
            }
        }
    }
}

impl FileSystem for GoferFs {
    fn kind(&self) -> &'static str {
        "gofer"
    }

    fn device(&self) -> u64 {
        self.root.guest_device
    }

    fn root(&self) -> Arc<dyn Inode> {
        let key = self.root.key;
        self.known(key).unwrap_or_else(|| self.enter(key, self.root.clone()))
    }

    fn statfs(&self) -> Result<Statfs> {
        self.client.statfs(&self.root.handle)
    }

    fn catch_up(&self) {
        if let Some(watch) = self.watch() {
            watch.catch_up(self);
        }
    }

    fn source(&self) -> String {
        self.source.clone()
    }

    fn sync(&self) -> Result<()> {
        if matches!(self.root.file_type, FileType::Regular | FileType::Directory) {
            self.client.sync(&self.root.handle, sync::FILESYSTEM)?;
        }
        Ok(())
    }
}
