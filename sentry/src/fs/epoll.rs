//! epoll(7).
//!
//! Each watched file has an [`Item`], which listens to the file's wait queues for as long as both exist. A wake puts the
//! item on the ready list; `epoll_wait` takes items from there, asks their files what is true now, and puts
//! level-triggered ones back. So its cost depends on what is ready, not on what is watched.
//!
//! An item holds its file weakly: the last close of the description ends the watch. No lock is held while a file is
//! asked, since a file may be another epoll, or a signalfd, whose locks come first in the order.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use moat_abi::epoll::{EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT, EPOLLWAKEUP, EpollEvent};
use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;

use super::file::{FileOperations, OpenFile};
use crate::Result;
use crate::executor::wait::{Notify, Registration, WaitQueue, Waiter};
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};

/// How deep epolls may watch each other (`EP_MAX_NESTS`).
const NESTS_MAX: usize = 4;
/// Bits of an event mask that are no events (`EP_PRIVATE_BITS`).
const PRIVATE: u32 = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE;
/// What may stand beside EPOLLEXCLUSIVE.
const WITH_EXCLUSIVE: u32 = 0x1 | 0x4 | 0x8 | 0x10 | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/// What is always reported.
const ALWAYS: u32 = PollEvents::ERR.bits() | PollEvents::HUP.bits();

/// An epoll instance.
pub struct Epoll {
    myself: Weak<Epoll>,
    items: Mutex<Items>,
    ready: Mutex<VecDeque<Arc<Item>>>,
    /// Tasks in `epoll_wait`.
    waiters: WaitQueue,
    /// Those who poll the epoll itself; woken by news only, not when a level-triggered item goes back on the list.
    pollers: WaitQueue,
    /// The epolls that watch this one.
    outer: Mutex<Vec<Weak<Epoll>>>,
}

#[derive(Default)]
struct Items {
    /// By descriptor number and description.
    by_key: BTreeMap<(i32, u64), Arc<Item>>,
    /// How many there may be before closed files are looked for again.
    sweep_at: usize,
}

/// What an item was asked to report.
#[derive(Clone, Copy)]
struct Interest {
    events: u32,
    data: u64,
}

/// One watched file.
struct Item {
    myself: Weak<Item>,
    epoll: Weak<Epoll>,
    file: Weak<OpenFile>,
    key: (i32, u64),
    /// Whose signals a signalfd is watched for: the task that added it.
    task: Weak<Task>,
    interest: Mutex<Interest>,
    /// On the ready list.
    queued: AtomicBool,
    /// Taken out: never to be reported again.
    removed: AtomicBool,
    registrations: Mutex<Vec<Registration>>,
}

impl Item {
    /// What is true of its file now, of what it is to report; `None` if the file is closed.
    fn look(&self) -> Option<PollEvents> {
        let file = self.file.upgrade()?;
        let events = self.poll(&file, None);
        Some(events & PollEvents::from_bits_retain(self.interest.lock().events & !PRIVATE))
    }

    fn poll(&self, file: &Arc<OpenFile>, waiter: Option<&mut Waiter>) -> PollEvents {
        match self.task.upgrade() {
            Some(task) => file.poll_by(&task, waiter),
            None => file.poll(waiter),
        }
    }
}

impl Notify for Item {
    fn notify(&self) {
        self.notify_of(PollEvents::all());
    }

    fn notify_of(&self, events: PollEvents) {
        if self.removed.load(Ordering::Acquire) || self.interest.lock().events & !PRIVATE & events.bits() == 0 {
            return;
        }
        if let Some(epoll) = self.epoll.upgrade() {
            epoll.enqueue(self);
        }
    }
}

impl Epoll {
    /// An instance that watches nothing.
    pub fn new() -> Arc<Self> {
        Arc::new_cyclic(|myself| Self {
            myself: myself.clone(),
            items: Mutex::new(Rank::Epoll, Items { by_key: BTreeMap::new(), sweep_at: 64 }),
            ready: Mutex::new(Rank::Leaf, VecDeque::new()),
            waiters: WaitQueue::new(),
            pollers: WaitQueue::new(),
            outer: Mutex::new(Rank::Leaf, Vec::new()),
        })
    }

    /// The queue that `epoll_wait` listens to.
    pub fn waiters(&self) -> &WaitQueue {
        &self.waiters
    }

    /// EPOLL_CTL_ADD.
    ///
    /// # Errors
    /// `EEXIST`, `ELOOP`, `EINVAL`.
    pub fn add(&self, task: &Arc<Task>, fd: i32, file: &Arc<OpenFile>, event: EpollEvent) -> Result<()> {
        self.watch(Arc::downgrade(task), fd, file, event)
    }

    fn watch(&self, task: Weak<Task>, fd: i32, file: &Arc<OpenFile>, event: EpollEvent) -> Result<()> {
        let EpollEvent { events, data } = event;
        let inner = file.downcast::<Epoll>();
        if events & EPOLLEXCLUSIVE != 0 && (inner.is_some() || events & !WITH_EXCLUSIVE != 0) {
            return Err(Errno::EINVAL);
        }
        if let Some(inner) = inner {
            self.check_nesting(inner)?;
        }
        let key = (fd, file.id);
        let item = Arc::new_cyclic(|myself| Item {
            myself: myself.clone(),
            epoll: self.myself.clone(),
            file: Arc::downgrade(file),
            key,
            task,
            interest: Mutex::new(Rank::Leaf, Interest { events: events | ALWAYS, data }),
            queued: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            registrations: Mutex::new(Rank::Leaf, Vec::new()),
        });
        let swept = {
            let mut items = self.items.lock();
            if items.by_key.contains_key(&key) {
                return Err(Errno::EEXIST);
            }
            let mut swept = Vec::new();
            if items.by_key.len() >= items.sweep_at {
                swept.extend(items.by_key.extract_if(.., |_, item| item.file.strong_count() == 0));
                items.sweep_at = (items.by_key.len() * 2).max(64);
            }
            items.by_key.insert(key, item.clone());
            swept
        };
        for (_, closed) in swept {
            self.dismiss(&closed);
        }
        if let Some(inner) = inner {
            inner.outer.lock().push(self.myself.clone());
        }
        let mut waiter = Waiter::new(item.clone());
        let found = item.poll(file, Some(&mut waiter));
        *item.registrations.lock() = waiter.into_registrations();
        if item.removed.load(Ordering::Acquire) {
            // Taken out meanwhile, when there was nothing yet to let go of.
            let registrations = std::mem::take(&mut *item.registrations.lock());
            drop(registrations);
        }
        self.report_if_ready(&item, found);
        Ok(())
    }

    /// EPOLL_CTL_MOD.
    ///
    /// # Errors
    /// `ENOENT`, `EINVAL`.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, event: EpollEvent) -> Result<()> {
        let EpollEvent { events, data } = event;
        let item = self.items.lock().by_key.get(&(fd, file.id)).cloned().ok_or(Errno::ENOENT)?;
        {
            let mut interest = item.interest.lock();
            if (events | interest.events) & EPOLLEXCLUSIVE != 0 {
                return Err(Errno::EINVAL);
            }
            *interest = Interest { events: events | ALWAYS, data };
        }
        let found = item.poll(file, None);
        self.report_if_ready(&item, found);
        Ok(())
    }

    /// EPOLL_CTL_DEL.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<()> {
        let item = self.items.lock().by_key.remove(&(fd, file.id)).ok_or(Errno::ENOENT)?;
        self.dismiss(&item);
        Ok(())
    }

    fn dismiss(&self, item: &Arc<Item>) {
        item.removed.store(true, Ordering::Release);
        self.ready.lock().retain(|i| !Arc::ptr_eq(i, item));
        let registrations = std::mem::take(&mut *item.registrations.lock());
        drop(registrations);
        if let Some(file) = item.file.upgrade()
            && let Some(inner) = file.downcast::<Epoll>()
        {
            let mut outer = inner.outer.lock();
            if let Some(at) = outer.iter().position(|epoll| epoll.ptr_eq(&self.myself)) {
                outer.swap_remove(at);
            }
        }
    }

    fn report_if_ready(&self, item: &Arc<Item>, found: PollEvents) {
        let wanted = item.interest.lock().events & !PRIVATE;
        if found.bits() & wanted != 0 {
            self.enqueue(item);
        }
    }

    /// Puts an item on the ready list, if it is not there, and tells.
    fn enqueue(&self, item: &Item) {
        if !item.queued.swap(true, Ordering::AcqRel) {
            let Some(item) = item.myself.upgrade() else { return };
            self.ready.lock().push_back(item);
        }
        self.waiters.wake_all();
        self.pollers.wake(PollEvents::IN | PollEvents::RDNORM);
    }

    /// Forgets an item whose file is closed.
    fn forget(&self, item: &Arc<Item>) {
        let removed = self.items.lock().by_key.remove(&item.key);
        drop(removed);
        self.dismiss(item);
    }

    /// Up to `limit` events that are true now. Level-triggered items stay on the list.
    pub fn collect(&self, limit: usize) -> Vec<Taken> {
        let mut taken = Vec::new();
        let mut again = Vec::new();
        // What is put on the list meanwhile is for the next call, so that this one ends.
        let mut left = self.ready.lock().len();
        while left > 0 && taken.len() < limit {
            left -= 1;
            let Some(item) = self.ready.lock().pop_front() else { break };
            // From here on a wake puts it on the list again.
            item.queued.store(false, Ordering::Release);
            let Some(found) = item.look() else {
                self.forget(&item);
                continue;
            };
            if found.is_empty() || item.removed.load(Ordering::Acquire) {
                continue;
            }
            let interest = {
                let mut interest = item.interest.lock();
                let was = *interest;
                if was.events & EPOLLONESHOT != 0 {
                    interest.events &= PRIVATE;
                }
                was
            };
            if interest.events & (EPOLLONESHOT | EPOLLET) == 0 {
                again.push(item.clone());
            }
            taken.push(Taken { event: EpollEvent { events: found.bits(), data: interest.data }, item });
        }
        let rest = {
            let mut ready = self.ready.lock();
            for item in again {
                if !item.queued.swap(true, Ordering::AcqRel) {
                    ready.push_back(item);
                }
            }
            !ready.is_empty()
        };
        // Others may have found the list empty while it was being gone through.
        if rest {
            self.waiters.wake_all();
        }
        taken
    }

    /// Takes events back that could not be handed over.
    pub fn put_back(&self, taken: &[Taken]) {
        for Taken { event, item } in taken {
            let mut interest = item.interest.lock();
            if interest.events & EPOLLONESHOT != 0 && interest.events & !PRIVATE == 0 {
                interest.events |= event.events | ALWAYS;
            }
            drop(interest);
            self.enqueue(item);
        }
    }

    /// Whether an item on the list is truly ready. Those that are not leave it.
    fn has_ready(&self) -> bool {
        loop {
            let Some(item) = self.ready.lock().front().cloned() else { return false };
            match item.look() {
                Some(found) if !found.is_empty() => return true,
                None => self.forget(&item),
                Some(_) => {
                    {
                        let mut ready = self.ready.lock();
                        if !ready.front().is_some_and(|front| Arc::ptr_eq(front, &item)) {
                            continue;
                        }
                        ready.pop_front();
                        item.queued.store(false, Ordering::Release);
                    }
                    // A wake since the look found it still on the list.
                    if item.look().is_some_and(|found| !found.is_empty()) {
                        self.enqueue(&item);
                    }
                }
            }
        }
    }

    /// `ELOOP` if watching `inner` would close a ring or make a chain that is too long.
    fn check_nesting(&self, inner: &Epoll) -> Result<()> {
        let below = inner.depth_without(self, 1).ok_or(Errno::ELOOP)?;
        let above = self.height(1).ok_or(Errno::ELOOP)?;
        if below + above > NESTS_MAX + 1 { Err(Errno::ELOOP) } else { Ok(()) }
    }

    /// How many epolls deep it goes from here; `None` if that leads to `other` or is too deep.
    fn depth_without(&self, other: &Epoll, level: usize) -> Option<usize> {
        if std::ptr::eq(self, other) || level > NESTS_MAX {
            return None;
        }
        let files: Vec<_> = self.items.lock().by_key.values().filter_map(|item| item.file.upgrade()).collect();
        let mut deepest = level;
        for file in files {
            if let Some(inner) = file.downcast::<Epoll>() {
                deepest = deepest.max(inner.depth_without(other, level + 1)?);
            }
        }
        Some(deepest)
    }

    /// How many epolls watch each other up from here, this one included; `None` if too many do.
    fn height(&self, level: usize) -> Option<usize> {
        if level > NESTS_MAX {
            return None;
        }
        let mut highest = level;
        for outer in self.watched_by() {
            highest = highest.max(outer.height(level + 1)?);
        }
        Some(highest)
    }

    /// The epolls that watch this one.
    fn watched_by(&self) -> Vec<Arc<Epoll>> {
        let mut outer = self.outer.lock();
        outer.retain(|epoll| epoll.strong_count() > 0);
        outer.iter().filter_map(Weak::upgrade).collect()
    }
}

/// An event on its way to the application.
pub struct Taken {
    /// What `epoll_wait` shows.
    pub event: EpollEvent,
    item: Arc<Item>,
}

impl Drop for Epoll {
    fn drop(&mut self) {
        // Items and the queues that they listen to hold each other.
        for item in self.items.get_mut().by_key.values() {
            item.removed.store(true, Ordering::Release);
            let registrations = std::mem::take(&mut *item.registrations.lock());
            drop(registrations);
        }
    }
}

impl FileOperations for Epoll {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.pollers);
        }
        if self.has_ready() { PollEvents::IN | PollEvents::RDNORM } else { PollEvents::empty() }
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:[eventpoll]".to_owned()
    }

    fn fdinfo(&self) -> String {
        let items: Vec<Arc<Item>> = self.items.lock().by_key.values().cloned().collect();
        let mut text = String::new();
        for item in items {
            let Some(file) = item.file.upgrade() else { continue };
            let Interest { events, data } = *item.interest.lock();
            let attributes = file.attributes().unwrap_or_default();
            let position = *file.position().lock();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "tfd: {:8} events: {events:8x} data: {data:16x}  pos:{position} ino:{:x} sdev:{:x}",
                item.key.0, attributes.inode, attributes.device
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::pipe;
    use moat_abi::fcntl::OpenFlags;

    const IN: u32 = PollEvents::IN.bits();

    fn epoll_file() -> (Arc<Epoll>, Arc<OpenFile>) {
        let epoll = Epoll::new();
        let file = OpenFile::new(epoll.clone(), None, OpenFlags::RDWR);
        (epoll, file)
    }

    fn add(epoll: &Epoll, fd: i32, file: &Arc<OpenFile>, events: u32) -> Result<()> {
        epoll.watch(Weak::new(), fd, file, EpollEvent { events, data: fd as u64 })
    }

    fn seen(epoll: &Epoll) -> Vec<u64> {
        epoll.collect(16).iter().map(|t| t.event.data).collect()
    }

    fn write(file: &Arc<OpenFile>, bytes: &[u8]) {
        file.operations().unwrap().write_at(file, bytes, 0).unwrap();
    }

    fn read(file: &Arc<OpenFile>, n: usize) {
        file.operations().unwrap().read_at(file, &mut vec![0; n], 0).unwrap();
    }

    #[test]
    fn level_triggered_items_are_reported_until_they_are_read() {
        let (epoll, _file) = epoll_file();
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&epoll, 3, &reader, IN).unwrap();
        assert!(seen(&epoll).is_empty());
        write(&writer, b"ab");
        assert_eq!(seen(&epoll), [3]);
        assert_eq!(seen(&epoll), [3]);
        read(&reader, 2);
        assert!(seen(&epoll).is_empty());
    }

    #[test]
    fn edge_triggered_items_are_reported_once_a_write_and_not_for_reads() {
        let (epoll, _file) = epoll_file();
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&epoll, 3, &reader, IN | EPOLLET).unwrap();
        write(&writer, b"ab");
        assert_eq!(seen(&epoll), [3]);
        read(&reader, 1);
        assert!(seen(&epoll).is_empty());
        write(&writer, b"c");
        assert_eq!(seen(&epoll), [3]);
    }

    #[test]
    fn a_one_shot_item_sleeps_until_it_is_modified() {
        let (epoll, _file) = epoll_file();
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&epoll, 3, &reader, IN | EPOLLONESHOT).unwrap();
        write(&writer, b"a");
        assert_eq!(seen(&epoll), [3]);
        write(&writer, b"b");
        assert!(seen(&epoll).is_empty());
        epoll.modify(3, &reader, EpollEvent { events: IN, data: 9 }).unwrap();
        assert_eq!(seen(&epoll), [9]);
    }

    #[test]
    fn the_last_close_ends_the_watch() {
        let (epoll, _file) = epoll_file();
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&epoll, 3, &reader, IN).unwrap();
        write(&writer, b"a");
        drop(reader);
        assert!(seen(&epoll).is_empty());
        assert!(epoll.items.lock().by_key.is_empty());
    }

    #[test]
    fn epolls_nest_but_not_in_a_ring_and_not_too_deep() {
        let all: Vec<_> = (0..6).map(|_| epoll_file()).collect();
        add(&all[0].0, 1, &all[1].1, IN).unwrap();
        assert_eq!(add(&all[1].0, 0, &all[0].1, IN), Err(Errno::ELOOP));
        add(&all[1].0, 2, &all[2].1, IN).unwrap();
        add(&all[2].0, 3, &all[3].1, IN).unwrap();
        add(&all[3].0, 4, &all[4].1, IN).unwrap();
        assert_eq!(add(&all[4].0, 5, &all[5].1, IN), Err(Errno::ELOOP));
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&all[2].0, 9, &reader, IN).unwrap();
        write(&writer, b"x");
        assert_eq!(seen(&all[0].0), [1]);
        read(&reader, 1);
        assert!(seen(&all[0].0).is_empty());
        all[3].0.remove(4, &all[4].1).unwrap();
        add(&all[4].0, 5, &all[5].1, IN).unwrap();
    }

    #[test]
    fn a_wake_from_another_thread_ends_a_wait() {
        let (epoll, _file) = epoll_file();
        let (reader, writer) = pipe::pair(OpenFlags::empty());
        add(&epoll, 3, &reader, IN).unwrap();
        let writing = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(10));
            write(&writer, b"x");
            writer
        });
        let by = std::time::Instant::now() + std::time::Duration::from_secs(5);
        let got = crate::executor::block_on(crate::executor::wait::wait_for(Some(by), |waiter| {
            waiter.listen(epoll.waiters());
            Some(seen(&epoll)).filter(|s| !s.is_empty())
        }));
        assert_eq!(got, Some(vec![3]));
        writing.join().unwrap();
    }
}
