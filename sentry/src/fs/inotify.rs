//! inotify(7): an instance, its watches and its queue. What happens to files comes from [`super::notify`].

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::inotify::{InotifyEvent, InotifyMask};
use moat_abi::ioctl::FIONREAD;
use moat_abi::poll::PollEvents;
use zerocopy::IntoBytes;

use super::file::{FileOperations, OpenFile};
use super::inode::Inode;
use super::notify::{self, Key};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::Current;
use crate::sync::{Mutex, Rank};

/// The most events that wait to be read (`fs.inotify.max_queued_events`).
const EVENTS_MAX: usize = 16_384;
/// The most watches of an instance.
const WATCHES_MAX: usize = 65_536;

/// An instance.
pub struct Inotify {
    myself: Weak<Inotify>,
    state: Mutex<State>,
    arrived: WaitQueue,
}

struct State {
    watches: BTreeMap<i32, Arc<Watch>>,
    by_inode: BTreeMap<Key, i32>,
    next: i32,
    queue: VecDeque<Event>,
}

#[derive(Clone, PartialEq, Eq)]
struct Event {
    wd: i32,
    mask: InotifyMask,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// The length of the name as it is read: with its NUL, padded to the size of an event.
    fn name_len(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(size_of::<InotifyEvent>()) }
    }

    fn len(&self) -> usize {
        size_of::<InotifyEvent>() + self.name_len()
    }
}

/// One watch.
pub struct Watch {
    inotify: Weak<Inotify>,
    wd: i32,
    key: Key,
    mask: Mutex<InotifyMask>,
    /// Keeps the number of the inode from being given to another one.
    _inode: Arc<dyn Inode>,
}

impl Watch {
    /// Whether it wants nothing of files whose name is gone.
    pub fn excludes_unlinked(&self) -> bool {
        self.mask.lock().contains(InotifyMask::EXCL_UNLINK)
    }

    /// Something happened to its inode, or to the child `name` of it.
    pub fn report(&self, what: InotifyMask, name: &[u8], cookie: u32) {
        let mask = *self.mask.lock();
        if !mask.intersects(what & InotifyMask::ALL_EVENTS) {
            return;
        }
        let Some(inotify) = self.inotify.upgrade() else { return };
        inotify.push(Event { wd: self.wd, mask: what, cookie, name: name.to_vec() });
        if mask.contains(InotifyMask::ONESHOT) {
            // It may have been removed meanwhile.
            let _ = inotify.remove(self.wd);
        }
    }

    /// Its inode is gone.
    pub fn end(&self) {
        if let Some(inotify) = self.inotify.upgrade() {
            // It may have been removed meanwhile.
            let _ = inotify.remove(self.wd);
        }
    }
}

impl Inotify {
    /// An instance without watches, as an open file.
    pub fn open(nonblocking: OpenFlags) -> Arc<OpenFile> {
        OpenFile::new(Self::new(), None, nonblocking)
    }

    fn new() -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            state: Mutex::new(
                Rank::Leaf,
                State { watches: BTreeMap::new(), by_inode: BTreeMap::new(), next: 1, queue: VecDeque::new() },
            ),
            arrived: WaitQueue::new(),
        })
    }

    fn push(&self, event: Event) {
        {
            let mut state = self.state.lock();
            // The same again, while the first one was not read, says nothing new.
            if state.queue.back() == Some(&event) {
                return;
            }
            match state.queue.len() {
                EVENTS_MAX.. => return,
                n if n == EVENTS_MAX - 1 => {
                    let overflow = Event { wd: -1, mask: InotifyMask::Q_OVERFLOW, cookie: 0, name: Vec::new() };
                    state.queue.push_back(overflow);
                }
                _ => state.queue.push_back(event),
            }
        }
        self.arrived.wake(PollEvents::IN | PollEvents::RDNORM);
    }

    /// Watches `inode`, or changes its watch; the watch descriptor.
    ///
    /// # Errors
    /// `EEXIST` with IN_MASK_CREATE, `ENOSPC` for too many.
    pub fn watch(&self, inode: &Arc<dyn Inode>, mask: InotifyMask) -> Result<i32> {
        let key = notify::key_of(inode)?;
        let kept = mask & (InotifyMask::ALL_EVENTS | InotifyMask::EXCL_UNLINK | InotifyMask::ONESHOT);
        let watch = {
            let mut state = self.state.lock();
            if let Some(&wd) = state.by_inode.get(&key) {
                if mask.contains(InotifyMask::MASK_CREATE) {
                    return Err(Errno::EEXIST);
                }
                let watch = state.watches.get(&wd).cloned();
                drop(state);
                if let Some(watch) = watch {
                    let mut old = watch.mask.lock();
                    *old = if mask.contains(InotifyMask::MASK_ADD) { *old | kept } else { kept };
                }
                return Ok(wd);
            }
            if state.watches.len() >= WATCHES_MAX {
                return Err(Errno::ENOSPC);
            }
            let wd = state.next;
            state.next = wd.checked_add(1).ok_or(Errno::ENOSPC)?;
            let watch = Arc::new(Watch {
                inotify: self.myself.clone(),
                wd,
                key,
                mask: Mutex::new(Rank::Leaf, kept),
                _inode: inode.clone(),
            });
            state.watches.insert(wd, watch.clone());
            state.by_inode.insert(key, wd);
            watch
        };
        notify::add(key, &watch);
        Ok(watch.wd)
    }

    /// Ends a watch, and says so. `EINVAL` if there is none of this number.
    pub fn remove(&self, wd: i32) -> Result<()> {
        let watch = {
            let mut state = self.state.lock();
            let watch = state.watches.remove(&wd).ok_or(Errno::EINVAL)?;
            state.by_inode.remove(&watch.key);
            watch
        };
        notify::remove(watch.key, &watch);
        self.push(Event { wd, mask: InotifyMask::IGNORED, cookie: 0, name: Vec::new() });
        Ok(())
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        for watch in std::mem::take(&mut self.state.get_mut().watches).into_values() {
            notify::remove(watch.key, &watch);
        }
    }
}

impl FileOperations for Inotify {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_fasync(&self) -> bool {
        true
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        let mut done = 0;
        let mut state = self.state.lock();
        while let Some(event) = state.queue.front() {
            let len = event.len();
            let Some(out) = buf.get_mut(done..done + len) else {
                return if done == 0 { Err(Errno::EINVAL) } else { Ok(done) };
            };
            let (mask, cookie) = (event.mask.bits(), event.cookie);
            let head = InotifyEvent { wd: event.wd, mask, cookie, len: event.name_len() as u32 };
            let (start, name) = out.split_at_mut(size_of::<InotifyEvent>());
            start.copy_from_slice(head.as_bytes());
            name.fill(0);
            name[..event.name.len()].copy_from_slice(&event.name);
            state.queue.pop_front();
            done += len;
        }
        if done == 0 { Err(Errno::EAGAIN) } else { Ok(done) }
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.arrived);
        }
        match self.state.lock().queue.is_empty() {
            true => PollEvents::empty(),
            false => PollEvents::IN | PollEvents::RDNORM,
        }
    }

    fn ioctl(&self, current: &mut Current, _: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        if command != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let waiting: usize = self.state.lock().queue.iter().map(Event::len).sum();
        current.memory().write(argument, &i32::try_from(waiting).unwrap_or(i32::MAX))?;
        Ok(0)
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:inotify".to_owned()
    }

    fn fdinfo(&self) -> String {
        let watches: Vec<Arc<Watch>> = self.state.lock().watches.values().cloned().collect();
        let line = |watch: Arc<Watch>| {
            let mask = watch.mask.lock().bits();
            format!(
                "inotify wd:{:x} ino:{:x} sdev:{:x} mask:{mask:x} ignored_mask:0\n",
                watch.wd, watch.key.1, watch.key.0
            )
        };
        watches.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dentry;
    use crate::fs::inode::{FileSystem, NewNode, NodeKind};
    use crate::fs::tmpfs::{TmpFs, TmpfsOptions};

    fn events(file: &OpenFile) -> Vec<(i32, InotifyMask, String)> {
        let mut buf = vec![0; 4096];
        let n = file.operations().unwrap().read_at(file, &mut buf, 0).unwrap_or(0);
        let mut out = Vec::new();
        let mut at = 0;
        while at < n {
            let word = |i: usize| u32::from_ne_bytes(buf[at + 4 * i..at + 4 * i + 4].try_into().unwrap());
            let name = &buf[at + 16..at + 16 + word(3) as usize];
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            out.push((word(0) as i32, InotifyMask::from_bits_retain(word(1)), name));
            at += 16 + word(3) as usize;
        }
        out
    }

    fn make(directory: &Arc<Dentry>, name: &[u8]) -> Arc<Dentry> {
        let node = NewNode { kind: NodeKind::Regular, permissions: 0o644, uid: 0, gid: 0 };
        let inode = directory.inode().unwrap().create(name, &node).unwrap();
        directory.instantiate(name, inode, Some(0))
    }

    #[test]
    fn a_directory_tells_of_its_children_and_a_file_of_itself() {
        let filesystem = TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::parse("", 1 << 20).unwrap(), 1 << 20).unwrap();
        let root = Dentry::root(filesystem.root(), b"/");
        let file = Inotify::open(OpenFlags::empty());
        let inotify = file.downcast::<Inotify>().unwrap();
        let on_root = inotify.watch(root.inode().unwrap(), InotifyMask::ALL_EVENTS).unwrap();
        let child = make(&root, b"a");
        notify::created(&root, &child, false);
        notify::created(&root, &child, false);
        let on_child = inotify.watch(child.inode().unwrap(), InotifyMask::ATTRIB | InotifyMask::DELETE_SELF).unwrap();
        notify::attributes_changed(&child);
        assert_eq!(
            events(&file),
            [
                (on_root, InotifyMask::CREATE, "a".to_owned()),
                (on_root, InotifyMask::ATTRIB, "a".to_owned()),
                (on_child, InotifyMask::ATTRIB, String::new()),
            ]
        );
        root.inode().unwrap().unlink(b"a", child.inode().unwrap()).unwrap();
        root.remove(b"a");
        notify::deleted(&root, &child, false);
        assert_eq!(
            events(&file),
            [
                (on_child, InotifyMask::ATTRIB, String::new()),
                (on_root, InotifyMask::DELETE, "a".to_owned()),
                (on_child, InotifyMask::DELETE_SELF, String::new()),
                (on_child, InotifyMask::IGNORED, String::new()),
            ]
        );
        assert_eq!(inotify.remove(on_child), Err(Errno::EINVAL));
        inotify.remove(on_root).unwrap();
        assert_eq!(events(&file), [(on_root, InotifyMask::IGNORED, String::new())]);
    }

    #[test]
    fn a_buffer_that_is_too_small_for_an_event_is_refused() {
        let inotify = Inotify::new();
        inotify.push(Event { wd: 1, mask: InotifyMask::CREATE, cookie: 0, name: b"name".to_vec() });
        let file = OpenFile::new(inotify, None, OpenFlags::empty());
        assert_eq!(file.operations().unwrap().read_at(&file, &mut [0; 16], 0), Err(Errno::EINVAL));
        assert_eq!(file.operations().unwrap().read_at(&file, &mut [0; 32], 0), Ok(32));
    }
}
