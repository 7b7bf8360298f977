//! What is known of one file: its handle, its attributes, its donated descriptors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::stat::{FileType, Mode, Stat};
use moat_abi::time::Timespec;
use moat_gofer::Client;
use moat_gofer::client::{self, Handle};
use moat_gofer::protocol::attributes::NO_BTIME;
use moat_gofer::protocol::{self, access};
use moat_host::HostFile;

use super::GoferFs;
use crate::Result;
use crate::fs::inode::Attributes;
use crate::sync::{Mutex, Rank};

/// How long attributes that came with a lookup are believed in a volume: for the checks of the same system call.
const FRESH: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Node {
    pub handle: Handle,
    /// Acts when the handle was let go of, hence behind it.
    end: End,
    pub file_type: FileType,
    /// The host's device and inode number.
    pub key: (u64, u64),
    pub guest_device: u64,
    /// Nothing in it is shown.
    pub opaque: bool,
    owned: bool,
    /// Whether what others do to its attributes is told.
    watched: AtomicBool,
    /// Of a directory, the number of the watch on it.
    watch: Option<i32>,
    /// Counts how often others may have changed names in this directory.
    generation: AtomicU64,
    /// What was looked up in this directory, since events name only names. One that is not true any more makes for a
    /// question too many.
    children: Mutex<HashMap<Arc<[u8]>, Weak<Node>>>,
    /// The directory that it was looked up in last, and its name there.
    place: Mutex<Option<Place>>,
    state: Mutex<State>,
    /// Held over a write that appends, as Linux holds the inode's lock: what is written behind the end must know where
    /// that is.
    pub append: Mutex<()>,
}

/// A directory, and a name in it.
#[derive(Clone)]
struct Place {
    directory: Weak<Node>,
    name: Arc<[u8]>,
}

struct State {
    attributes: Attributes,
    /// Whether the host knows better.
    stale: bool,
    /// Counts changes, so that an answer from before one is not taken for one from after.
    changes: u64,
    /// Until when a volume's attributes are believed.
    fresh: Option<Instant>,
    read: Option<Arc<HostFile>>,
    write: Option<Arc<HostFile>>,
    /// The count of changes at which it had no file capabilities, which `ls` asks for each time.
    incapable: Option<u64>,
}

/// Tells the gofer at once when a deleted file is no longer used, since it takes space until then.
struct End {
    client: Arc<Client>,
    deleted: AtomicBool,
}

impl Drop for End {
    fn drop(&mut self) {
        if *self.deleted.get_mut() {
            self.client.release_unused();
        }
    }
}

impl Node {
    pub fn new(found: client::Node, guest_device: u64, owned: bool) -> Self {
        let client = found.handle.client().clone();
        let attributes = translate(&found.attributes, guest_device);
        Self {
            end: End { client, deleted: AtomicBool::new(attributes.links == 0) },
            handle: found.handle,
            file_type: attributes.mode.file_type(),
            key: (found.attributes.device, found.attributes.inode),
            guest_device,
            opaque: found.opaque,
            owned: owned && found.owned,
            watched: AtomicBool::new(found.watched),
            watch: found.watch,
            generation: AtomicU64::new(0),
            children: Mutex::new(Rank::Leaf, HashMap::new()),
            place: Mutex::new(Rank::Leaf, None),
            state: Mutex::new(
                Rank::Inode,
                State {
                    attributes,
                    stale: false,
                    changes: 0,
                    fresh: Some(Instant::now() + FRESH),
                    read: None,
                    write: None,
                    incapable: None,
                },
            ),
            append: Mutex::new(Rank::Append, ()),
        }
    }

    pub fn client(&self) -> &Arc<Client> {
        &self.end.client
    }

    /// The attributes now.
    pub fn attributes(&self) -> Result<Attributes> {
        let (changes, file) = {
            let mut state = self.state.lock();
            let file = state.write.clone().or_else(|| state.read.clone());
            let believed = if self.owned {
                // What is written through a descriptor, or a mapping of it, is not noted here.
                !state.stale && state.write.is_none() && self.watched.load(Ordering::Acquire)
            } else {
                // Once for a file, so that a stat that waits for a change sees it; for as long as a walk takes for a
                // directory, which each step of it asks for.
                let fresh = if self.file_type == FileType::Directory { state.fresh } else { state.fresh.take() };
                !state.stale && fresh.is_some_and(|until| Instant::now() < until)
            };
            if believed {
                return Ok(state.attributes);
            }
            (state.changes, file)
        };
        let new = match file {
            Some(file) => {
                let stat = file.stat().map_err(Errno::from_raw)?;
                self.attributes_of(&stat)
            }
            None => translate(&self.client().attributes(&self.handle)?, self.guest_device),
        };
        let mut state = self.state.lock();
        let btime = new.btime.or(state.attributes.btime);
        state.attributes = Attributes { btime, ..new };
        state.stale = state.changes != changes;
        Ok(state.attributes)
    }

    fn attributes_of(&self, stat: &Stat) -> Attributes {
        Attributes {
            device: self.guest_device,
            inode: stat.st_ino,
            mode: Mode::new(self.file_type, stat.st_mode),
            links: stat.st_nlink as u32,
            uid: stat.st_uid,
            gid: stat.st_gid,
            rdev: stat.st_rdev,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            block_size: stat.st_blksize as u32,
            atime: stat.st_atim,
            mtime: stat.st_mtim,
            ctime: stat.st_ctim,
            btime: None,
        }
    }

    /// A change is about to be asked for; [`Node::told`] takes the answer.
    pub fn begin(&self) -> u64 {
        let mut state = self.state.lock();
        state.changes += 1;
        state.changes
    }

    /// The gofer said what the attributes are, in the answer to the change that `began`.
    pub fn told(&self, began: u64, attributes: &protocol::Attributes) {
        let new = translate(attributes, self.guest_device);
        let mut state = self.state.lock();
        // If another change was under way, either answer can be the newer one.
        if state.changes != began {
            state.stale = true;
            state.changes += 1;
            return;
        }
        state.attributes = new;
        state.stale = false;
        state.fresh = Some(Instant::now() + FRESH);
    }

    /// A lookup found it again.
    pub fn seen(&self, attributes: &protocol::Attributes) {
        if !self.owned {
            let mut state = self.state.lock();
            state.attributes = translate(attributes, self.guest_device);
            state.stale = false;
            state.fresh = Some(Instant::now() + FRESH);
        }
    }

    /// Its contents or attributes were changed, or are about to be.
    pub fn changed(&self) {
        let mut state = self.state.lock();
        state.stale = true;
        state.changes += 1;
    }

    /// It was moved to another directory, which may not be watched.
    pub fn moved_to(&self, directory: &Node) {
        if self.watch.is_none() && directory.watch().is_none() {
            self.unwatched();
        }
        self.changed();
    }

    /// A name of it was removed.
    pub fn unlinked(&self) {
        let mut state = self.state.lock();
        let last = state.attributes.links <= 1 || self.file_type == FileType::Directory;
        state.stale = true;
        state.changes += 1;
        drop(state);
        if last {
            self.unwatched();
            self.end.deleted.store(true, Ordering::Relaxed);
        }
    }

    /// An extended attribute.
    pub fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let capabilities = name == b"security.capability" && self.owned && self.watched.load(Ordering::Acquire);
        let changes = {
            let state = self.state.lock();
            if capabilities && state.incapable == Some(state.changes) {
                return Err(Errno::ENODATA);
            }
            state.changes
        };
        let value = self.client().xattr(&self.handle, name);
        if capabilities && value.as_ref().err() == Some(&Errno::ENODATA) {
            self.state.lock().incapable = Some(changes);
        }
        value
    }

    /// The number of the watch that names in this directory are told of by, if what is cached of them may be relied on.
    pub fn watch(&self) -> Option<i32> {
        self.watch.filter(|_| self.owned && self.watched.load(Ordering::Acquire))
    }

    /// See [`Inode::names_valid`](crate::fs::Inode::names_valid).
    pub fn names_valid(&self) -> Option<u64> {
        self.watch().map(|_| self.generation.load(Ordering::Acquire))
    }

    /// Others have changed names in this directory.
    pub fn names_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// What others do to it is not told any more.
    pub fn unwatched(&self) {
        self.watched.store(false, Ordering::Release);
    }

    /// `child` was found under this name.
    pub fn has_child(self: &Arc<Self>, name: &[u8], child: &Arc<Node>) {
        if self.watch.is_none() {
            return;
        }
        let name: Arc<[u8]> = name.into();
        {
            let mut children = self.children.lock();
            children.insert(name.clone(), Arc::downgrade(child));
            if children.len() > 64 && children.len().is_power_of_two() {
                children.retain(|_, child| child.strong_count() > 0);
            }
        }
        if child.file_type == FileType::Regular {
            *child.place.lock() = Some(Place { directory: Arc::downgrade(self), name });
        }
    }

    /// What has this name here, as far as is known.
    pub fn child(&self, name: &[u8]) -> Option<Arc<Node>> {
        self.children.lock_nested().get(name).and_then(Weak::upgrade)
    }

    /// Others have removed what had this name here, or moved it, perhaps to where no watch tells what becomes of it.
    pub fn child_left(&self, name: &[u8]) {
        let child = self.children.lock().remove(name).and_then(|child| child.upgrade());
        let Some(child) = child else { return };
        if child.watch.is_none() {
            child.unwatched();
        }
        // Else what has no name any more takes space until then.
        child.let_go();
    }

    /// Whether what has this name here is known, as far as is known.
    pub fn knows_child(&self, name: &[u8]) -> bool {
        self.children.lock_nested().get(name).is_some_and(|child| child.strong_count() > 0)
    }

    /// Others have changed the contents or attributes of what has this name here. Whether that is known.
    pub fn child_changed(&self, name: &[u8]) -> bool {
        let child = self.children.lock().get(name).and_then(Weak::upgrade);
        match child {
            Some(child) => {
                child.let_go_of_reader();
                child.changed();
                true
            }
            None => false,
        }
    }

    /// A host descriptor that reads, or that reads and writes.
    pub fn file(self: &Arc<Self>, filesystem: &GoferFs, write: bool) -> Result<Arc<HostFile>> {
        if let Some(file) = self.donated(write) {
            return Ok(file);
        }
        if !write && let Some(file) = self.file_of_many(filesystem)? {
            return Ok(file);
        }
        let wanted = if write { access::BOTH } else { access::READ };
        let fd = match self.client().open(&self.handle, wanted) {
            Ok((fd, _)) => fd,
            // A host that lets us write but not read: good enough for who only writes, and for nobody else.
            Err(Errno::EACCES) if write => {
                let (fd, _) = self.client().open(&self.handle, access::WRITE)?;
                return self.checked(fd);
            }
            Err(e) => return Err(e),
        };
        let file = self.checked(fd)?;
        self.keep(filesystem, file, write)
    }

    /// A descriptor that reads, asked for together with those of files that are likely to be opened next; `None` if there
    /// are none, or if it was not given.
    fn file_of_many(self: &Arc<Self>, filesystem: &GoferFs) -> Result<Option<Arc<HostFile>>> {
        let Some(Place { directory, name }) = self.place.lock().clone() else { return Ok(None) };
        let Some(directory) = directory.upgrade() else { return Ok(None) };
        let along = filesystem.ahead.open_along(&directory, &name).into_iter();
        let along: Vec<_> = along.filter_map(|node| node.to_be_opened().map(|changes| (node, changes))).collect();
        if along.is_empty() {
            return Ok(None);
        }
        let others = along.iter().map(|(node, _)| &node.handle);
        let handles: Vec<&Handle> = std::iter::once(&self.handle).chain(others).collect();
        let Ok(mut opened) = self.client().open_all(&handles) else { return Ok(None) };
        let others = opened.split_off(1);
        for ((node, changes), opened) in along.iter().zip(others) {
            // What one of them is refused for is no matter of the one that is opened.
            if let Some((fd, _)) = opened
                && let Ok(file) = node.checked(fd)
                && node.changes() == *changes
            {
                let _ = node.keep(filesystem, file, false);
            }
        }
        match opened.pop().flatten() {
            Some((fd, _)) => self.checked(fd).and_then(|file| self.keep(filesystem, file, false)).map(Some),
            None => Ok(None),
        }
    }

    /// The count of changes, if a descriptor may be asked for before it is opened.
    fn to_be_opened(&self) -> Option<u64> {
        let state = self.state.lock();
        let unknown = state.read.is_none() && state.write.is_none();
        let told = self.watched.load(Ordering::Acquire);
        (unknown && told && self.file_type == FileType::Regular && !self.opaque).then_some(state.changes)
    }

    fn changes(&self) -> u64 {
        self.state.lock().changes
    }

    /// Whether it has a descriptor.
    #[cfg(test)]
    pub fn has_descriptor(&self) -> bool {
        self.donated(false).is_some()
    }

    fn donated(&self, write: bool) -> Option<Arc<HostFile>> {
        let state = self.state.lock();
        state.write.clone().or_else(|| if write { None } else { state.read.clone() })
    }

    /// Takes a donated descriptor in.
    pub fn accept(self: &Arc<Self>, filesystem: &GoferFs, fd: std::os::fd::OwnedFd) -> Result<()> {
        let file = self.checked(fd)?;
        self.keep(filesystem, file, true).map(drop)
    }

    /// A descriptor of anything but this very file could block us, or be somebody else's.
    fn checked(&self, fd: std::os::fd::OwnedFd) -> Result<Arc<HostFile>> {
        let file = HostFile::new(fd);
        let stat = file.stat().map_err(Errno::from_raw)?;
        if FileType::from_bits(stat.st_mode) != FileType::Regular || stat.st_ino != self.key.1 {
            tracing::error!("the gofer gave a descriptor of another file");
            return Err(Errno::EIO);
        }
        Ok(Arc::new(file))
    }

    fn keep(self: &Arc<Self>, filesystem: &GoferFs, file: Arc<HostFile>, write: bool) -> Result<Arc<HostFile>> {
        let (kept, first, dropped) = {
            let mut state = self.state.lock();
            let first = state.read.is_none() && state.write.is_none();
            // One that writes has come meanwhile.
            let reads = !write && state.write.is_none();
            let slot = if reads { &mut state.read } else { &mut state.write };
            let kept = slot.get_or_insert(file).clone();
            // On an overlay of the host's, a descriptor from before the first write can show the file as it was.
            let dropped = if write { state.read.take() } else { None };
            (kept, first, dropped)
        };
        drop(dropped);
        if first {
            filesystem.donated_to(self);
        }
        Ok(kept)
    }

    /// The best descriptor to read with: `opened`, unless one that writes has come since.
    pub fn reader(&self, opened: &Arc<HostFile>) -> Arc<HostFile> {
        self.state.lock().write.clone().unwrap_or_else(|| opened.clone())
    }

    /// Lets go of a descriptor that only reads, unless somebody has it open: on an overlay of the host's it shows the file as
    /// it was before the first write.
    fn let_go_of_reader(&self) {
        let mut state = self.state.lock();
        let unused = state.read.take_if(|file| Arc::strong_count(file) == 1);
        drop(state);
        drop(unused);
    }

    /// Lets go of donated descriptors that nobody has open. Whether some are left.
    pub fn let_go(&self) -> bool {
        let mut state = self.state.lock();
        let unused = |file: &Option<Arc<HostFile>>| file.as_ref().is_some_and(|f| Arc::strong_count(f) == 1);
        let read = if unused(&state.read) { state.read.take() } else { None };
        let write = if unused(&state.write) { state.write.take() } else { None };
        // The descriptor knew them best, and a mapping can have changed them to the last.
        state.stale = true;
        state.changes += 1;
        let left = state.read.is_some() || state.write.is_some();
        drop(state);
        drop((read, write));
        left
    }
}

/// Attributes as the sentry has them.
fn translate(a: &protocol::Attributes, device: u64) -> Attributes {
    let time = |tv_sec, nanoseconds: u32| Timespec { tv_sec, tv_nsec: i64::from(nanoseconds) };
    Attributes {
        device,
        inode: a.inode,
        mode: Mode::from_raw(a.mode),
        links: a.links,
        uid: a.uid,
        gid: a.gid,
        rdev: a.rdev,
        size: a.size,
        blocks: a.blocks,
        block_size: a.block_size,
        atime: time(a.atime_seconds, a.atime_nanoseconds),
        mtime: time(a.mtime_seconds, a.mtime_nanoseconds),
        ctime: time(a.ctime_seconds, a.ctime_nanoseconds),
        btime: (a.btime_seconds != NO_BTIME).then(|| time(a.btime_seconds, a.btime_nanoseconds)),
    }
}
