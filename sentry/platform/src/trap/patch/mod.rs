//! Patched call sites: program text whose system calls jump to the code of the stub instead of trapping.
//!
//! A text is patched as a whole, once for all processes of a sandbox ([`image`]), and put in place by one mapping over the
//! original. Only private mappings of host files are, that the application may execute and has never been able to write. A
//! patched text gives way to whatever the application does with its addresses, and so do the addresses that its thunks
//! have: they are taken from those that are free, and nobody else knows of them. Copies of application memory show what
//! the file has; only a program that loads its own text by instructions sees the jumps.

mod image;
mod scan;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use moat_abi::time::Timespec;
use moat_host::HostFile;
use parking_lot::{Mutex, RwLock};

use crate::{Change, MemoryFault, PlatformError, Protection, Source, Text};
use image::Image;

/// A call site traps so often before its text is patched, and again before that is tried anew.
const TRAPS: u8 = 32;
/// Counters of trapped calls, each for many addresses.
const COUNTERS: usize = 256;
/// The most texts of which a sandbox keeps an image, or knows that there is none.
const TEXTS: usize = 256;
/// The most images of one text, which differ in where their thunks are.
const IMAGES: usize = 4;
/// The most texts of a process that are remembered after they gave way: a thread may still stand in a thunk.
const REMEMBERED: usize = 16;
/// A file that changed so lately may do so again within the resolution of its times,
const SETTLED: Duration = Duration::from_millis(200);
/// which is low on some filesystems.
const SETTLED_WITHOUT_FRACTION: Duration = Duration::from_secs(2);

/// The images of a sandbox.
#[derive(Default)]
pub struct Images {
    known: Mutex<HashMap<Key, Vec<Arc<Image>>>>,
    /// How many were made.
    made: AtomicU64,
}

/// A text: the file's identity and version, and the part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    device: u64,
    inode: u64,
    size: i64,
    changed: (i64, i64),
    modified: (i64, i64),
    offset: u64,
    len: u64,
}

impl Key {
    fn new(text: &Text) -> Option<Self> {
        let stat = text.file.stat().ok()?;
        let time = |t: Timespec| (t.tv_sec, t.tv_nsec);
        let changed = Duration::new(stat.st_ctim.tv_sec.try_into().ok()?, stat.st_ctim.tv_nsec.try_into().ok()?);
        let age = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(changed)?;
        let settled = if stat.st_ctim.tv_nsec == 0 { SETTLED_WITHOUT_FRACTION } else { SETTLED };
        (age > settled).then_some(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            changed: time(stat.st_ctim),
            modified: time(stat.st_mtim),
            offset: text.offset,
            len: text.len,
        })
    }
}

impl Images {
    /// An image whose thunks have room beside those that are there, and where; made if there is none and the text is hot.
    fn get(&self, text: &Text, taken: &[Range<u64>]) -> Option<(Arc<Image>, Range<u64>)> {
        let place = |image: &Image| image.place(text).filter(|place| !taken.iter().any(|t| overlap(t, place)));
        let fitting = |images: &[Arc<Image>]| images.iter().find_map(|image| Some((image.clone(), place(image)?)));
        let key = Key::new(text)?;
        {
            let known = self.known.lock();
            if let Some(images) = known.get(&key) {
                let found = fitting(images);
                if found.is_some() || images.is_empty() || images.len() >= IMAGES {
                    return found;
                }
            }
        }
        if !text.hot {
            return None;
        }
        let made = Image::new(text, self.made.fetch_add(1, Ordering::Relaxed)).map(Arc::new);
        // Changed while it was read?
        if Key::new(text)? != key {
            return None;
        }
        let mut known = self.known.lock();
        if known.len() >= TEXTS {
            known.clear();
        }
        known.entry(key).or_default().extend(made.clone());
        let made = made?;
        let place = place(&made)?;
        Some((made, place))
    }
}

/// The patched texts of an address space.
pub struct Patches {
    images: Arc<Images>,
    /// Whether there is one, or was.
    any: AtomicBool,
    texts: RwLock<Texts>,
    counts: [AtomicU8; COUNTERS],
}

#[derive(Clone, Default)]
struct Texts {
    patched: Vec<Patched>,
    former: Vec<Patched>,
}

#[derive(Clone)]
struct Patched {
    text: Range<u64>,
    thunks: Range<u64>,
    file: Arc<HostFile>,
    offset: u64,
    image: Arc<Image>,
}

/// Where the application stands whose instruction pointer is in a thunk or an island.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The site.
    pub start: u64,
    /// Its call.
    pub call: u64,
    /// The instruction between them has been made.
    pub moved: bool,
}

impl Patches {
    /// Of an address space with no text.
    pub fn new(images: Arc<Images>) -> Self {
        Self {
            images,
            any: AtomicBool::new(false),
            texts: RwLock::default(),
            counts: std::array::from_fn(|_| AtomicU8::new(0)),
        }
    }

    /// Those of a copy of the address space.
    pub fn copy(&self) -> Self {
        let copy = Self::new(self.images.clone());
        copy.any.store(self.any.load(Ordering::Relaxed), Ordering::Relaxed);
        *copy.texts.write() = self.texts.read().clone();
        copy
    }

    /// Forgets all, in an address space that is empty now.
    pub fn clear(&self) {
        *self.texts.write() = Texts::default();
        self.any.store(false, Ordering::Relaxed);
    }

    /// Counts a call that trapped, which ends at `end`; whether that makes its text hot.
    pub fn count(&self, end: u64) -> bool {
        let hash = (end ^ end >> 8 ^ end >> 16) as usize % COUNTERS;
        self.counts[hash].fetch_add(1, Ordering::Relaxed) % TRAPS == TRAPS - 1
    }

    /// Puts the image of a text in place, if there is one or the text is hot. `apply` makes the changes.
    ///
    /// # Errors
    /// As `apply`.
    pub fn patch(
        &self,
        text: &Text,
        apply: impl Fn(&[Change]) -> Result<(), (usize, PlatformError)>,
    ) -> Result<(), PlatformError> {
        let range = text.at..text.at + text.len;
        let known = self.texts.read().patched.iter().any(|p| overlap(&p.text, &range));
        if known || text.protection != Protection::READ | Protection::EXEC || text.file.is_memory() {
            return Ok(());
        }
        let taken: Vec<_> = self.texts.read().patched.iter().map(|p| p.thunks.clone()).collect();
        let Some((image, thunks)) = self.images.get(text, &taken) else { return Ok(()) };
        let of_image = |place: &Range<u64>, offset| Change::Map {
            at: place.start,
            len: place.end - place.start,
            protection: text.protection,
            source: Source::Private { file: image.file.clone(), offset },
            populate: false,
        };
        let changes = [of_image(&thunks, image.len), of_image(&range, 0)];
        let (file, offset) = (text.file.clone(), text.offset);
        // Before threads can stand there.
        self.any.store(true, Ordering::SeqCst);
        self.texts.write().patched.push(Patched { text: range, thunks: thunks.clone(), file, offset, image });
        apply(&changes).map_err(|(_, error)| {
            // Best effort: the host has no memory even for a mapping.
            let _ = apply(&self.give_way(&[Change::Unmap { at: thunks.start, len: thunks.end - thunks.start }]));
            error
        })
    }

    /// What has to be done before these changes: originals put back in place, thunks taken away.
    pub fn give_way(&self, changes: &[Change]) -> Vec<Change> {
        let mut before = Vec::new();
        if !self.any.load(Ordering::SeqCst) {
            return before;
        }
        let mut texts = self.texts.write();
        for change in changes {
            for touched in touched(change) {
                let concerned = |p: &Patched| overlap(&p.text, &touched) || overlap(&p.thunks, &touched);
                let (concerned, left) =
                    std::mem::take(&mut texts.patched).into_iter().partition::<Vec<_>, _>(concerned);
                texts.patched = left;
                for patched in concerned {
                    // Nothing is left of a text that is replaced or unmapped as a whole.
                    let replaced = matches!(change, Change::Map { .. } | Change::Unmap { .. })
                        && touched.start <= patched.text.start
                        && patched.text.end <= touched.end;
                    if !replaced {
                        before.push(Change::Map {
                            at: patched.text.start,
                            len: patched.text.end - patched.text.start,
                            protection: Protection::READ | Protection::EXEC,
                            source: Source::Private { file: patched.file.clone(), offset: patched.offset },
                            populate: false,
                        });
                    }
                    let (at, len) = (patched.thunks.start, patched.thunks.end - patched.thunks.start);
                    before.push(Change::Unmap { at, len });
                    texts.former.push(patched);
                }
            }
        }
        let many = texts.former.len().saturating_sub(REMEMBERED);
        texts.former.drain(..many);
        before
    }

    /// Where the application stands, if its instruction pointer is in a thunk or an island.
    pub fn standing(&self, at: u64) -> Option<Standing> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let texts = self.texts.read();
        texts.patched.iter().chain(texts.former.iter().rev()).find_map(|p| {
            let (site, moved) = match (p.thunks.contains(&at), p.text.contains(&at)) {
                (true, _) => p.image.site_of_thunk(at - p.thunks.start)?,
                (_, true) => (p.image.site_of_island(at - p.text.start)?, false),
                _ => return None,
            };
            Some(Standing { start: p.text.start + site.start as u64, call: p.text.start + site.call as u64, moved })
        })
    }

    /// Makes of what was read at `from` what the application would know: of `result` bytes, of which those of thunks are
    /// not there, and those of texts are the file's.
    pub fn disguise(&self, from: u64, bytes: &mut [u8], result: Result<(), MemoryFault>) -> Result<(), MemoryFault> {
        if !self.any.load(Ordering::Relaxed) {
            return result;
        }
        let got = result.map_or_else(|fault| fault.done, |()| bytes.len());
        let range = from..from + got as u64;
        let texts = self.texts.read();
        for p in texts.patched.iter().filter(|p| overlap(&p.text, &range)) {
            let start = range.start.max(p.text.start);
            let end = range.end.min(p.text.end);
            p.image.restore(start - p.text.start, &mut bytes[(start - from) as usize..(end - from) as usize]);
        }
        match texts.patched.iter().filter(|p| overlap(&p.thunks, &range)).map(|p| p.thunks.start).min() {
            Some(hole) => Err(MemoryFault { done: hole.saturating_sub(from) as usize }),
            None => result,
        }
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// The addresses that a change concerns.
fn touched(change: &Change) -> Vec<Range<u64>> {
    let range = |at: u64, len: u64| at..at.saturating_add(len);
    match change {
        Change::Map { at, len, .. } | Change::Unmap { at, len } | Change::Protect { at, len, .. } => {
            vec![range(*at, *len)]
        }
        Change::Move { from, len, to, new_len, .. } => vec![range(*from, *len), range(*to, *new_len)],
        // What is dropped comes back from the same file.
        Change::Advise { .. } => Vec::new(),
    }
}
