//! What happens to files, for those who watch them (fsnotify of Linux). The VFS's system calls report here; who watches
//! is in [`super::inotify`].
//!
//! As long as nobody watches anything, a report costs the look at one counter.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use moat_abi::fcntl::OpenFlags;
use moat_abi::inotify::InotifyMask;
use moat_abi::stat::FileType;

use super::inode::Inode;
use super::inotify::Watch;
use super::{Dentry, OpenFile};
use crate::Result;
use crate::sync::{Mutex, Rank};

/// What tells inodes apart: device and number.
pub type Key = (u64, u64);

/// Who watches which inode. Instances that end take their watches out.
static WATCHES: Mutex<Option<HashMap<Key, Vec<Arc<Watch>>>>> = Mutex::new(Rank::Leaf, None);
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The key of an inode.
pub(super) fn key_of(inode: &Arc<dyn Inode>) -> Result<Key> {
    let attributes = inode.attributes()?;
    Ok((attributes.device, attributes.inode))
}

pub(super) fn add(key: Key, watch: &Arc<Watch>) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    WATCHES.lock().get_or_insert_default().entry(key).or_default().push(watch.clone());
}

pub(super) fn remove(key: Key, watch: &Arc<Watch>) {
    let removed = {
        let mut watches = WATCHES.lock();
        let Some(list) = watches.as_mut().and_then(|w| w.get_mut(&key)) else { return };
        let Some(at) = list.iter().position(|w| Arc::ptr_eq(w, watch)) else { return };
        let removed = list.swap_remove(at);
        if list.is_empty()
            && let Some(watches) = watches.as_mut()
        {
            watches.remove(&key);
        }
        removed
    };
    COUNT.fetch_sub(1, Ordering::Relaxed);
    // Perhaps the last reference to an inode.
    drop(removed);
}

fn is_idle() -> bool {
    COUNT.load(Ordering::Relaxed) == 0
}

fn watchers(dentry: &Dentry) -> Vec<Arc<Watch>> {
    // A file whose attributes cannot be had any more has no watch that could be found.
    let Some(key) = dentry.inode().ok().and_then(|inode| key_of(inode).ok()) else { return Vec::new() };
    WATCHES.lock().as_ref().and_then(|w| w.get(&key).cloned()).unwrap_or_default()
}

fn directory_bit(dentry: &Dentry) -> InotifyMask {
    match dentry.inode().is_ok_and(|inode| inode.file_type() == FileType::Directory) {
        true => InotifyMask::ISDIR,
        false => InotifyMask::empty(),
    }
}

/// Tells those who watch the directory that `dentry` is in, then those who watch itself.
fn report(dentry: &Arc<Dentry>, what: InotifyMask) {
    let what = what | directory_bit(dentry);
    if let Some(parent) = dentry.parent() {
        let (name, gone) = (dentry.name(), dentry.is_gone());
        for watch in watchers(&parent) {
            if !(gone && watch.excludes_unlinked()) {
                watch.report(what, &name, 0);
            }
        }
    }
    for watch in watchers(dentry) {
        watch.report(what, b"", 0);
    }
}

fn report_file(file: &OpenFile, what: InotifyMask) {
    if is_idle() || file.flags().contains(OpenFlags::PATH) {
        return;
    }
    if let Some(path) = file.path() {
        report(&path.dentry, what);
    }
}

/// A file was opened.
pub fn opened(file: &OpenFile) {
    report_file(file, InotifyMask::OPEN);
}

/// The last reference to an open file goes.
pub fn closed(file: &OpenFile) {
    report_file(file, if file.writable() { InotifyMask::CLOSE_WRITE } else { InotifyMask::CLOSE_NOWRITE });
}

/// A file was read.
pub fn accessed(file: &Arc<OpenFile>) {
    report_file(file, InotifyMask::ACCESS);
}

/// A file was written or truncated.
pub fn modified(file: &Arc<OpenFile>) {
    report_file(file, InotifyMask::MODIFY);
}

/// A file was truncated by its name.
pub fn truncated(dentry: &Arc<Dentry>) {
    if !is_idle() {
        report(dentry, InotifyMask::MODIFY);
    }
}

/// `child` was made in `directory`.
pub fn created(directory: &Arc<Dentry>, child: &Arc<Dentry>, is_directory: bool) {
    if is_idle() {
        return;
    }
    let kind = if is_directory { InotifyMask::ISDIR } else { InotifyMask::empty() };
    for watch in watchers(directory) {
        watch.report(InotifyMask::CREATE | kind, &child.name(), 0);
    }
}

/// `child` was removed from `directory`.
pub fn deleted(directory: &Arc<Dentry>, child: &Arc<Dentry>, is_directory: bool) {
    if is_idle() {
        return;
    }
    let kind = if is_directory { InotifyMask::ISDIR } else { InotifyMask::empty() };
    let own = watchers(child);
    if !is_directory {
        for watch in &own {
            watch.report(InotifyMask::ATTRIB, b"", 0);
        }
    }
    for watch in watchers(directory) {
        watch.report(InotifyMask::DELETE | kind, &child.name(), 0);
    }
    let is_last = is_directory || child.inode().is_ok_and(|inode| inode.attributes().is_ok_and(|a| a.links == 0));
    if is_last {
        for watch in own {
            watch.report(InotifyMask::DELETE_SELF, b"", 0);
            watch.end();
        }
    }
}

/// `child` was renamed.
pub fn moved(
    from: &Arc<Dentry>,
    name: &[u8],
    to: &Arc<Dentry>,
    to_name: &[u8],
    child: &Arc<Dentry>,
    is_directory: bool,
) {
    static COOKIE: AtomicU32 = AtomicU32::new(0);
    if is_idle() {
        return;
    }
    let kind = if is_directory { InotifyMask::ISDIR } else { InotifyMask::empty() };
    let cookie = COOKIE.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    for watch in watchers(from) {
        watch.report(InotifyMask::MOVED_FROM | kind, name, cookie);
    }
    for watch in watchers(to) {
        watch.report(InotifyMask::MOVED_TO | kind, to_name, cookie);
    }
    for watch in watchers(child) {
        watch.report(InotifyMask::MOVE_SELF, b"", 0);
    }
}

/// `dentry`'s name was given to another file by a rename.
pub fn displaced(dentry: &Arc<Dentry>) {
    if is_idle() {
        return;
    }
    let own = watchers(dentry);
    let is_last = dentry.inode().is_ok_and(|inode| inode.attributes().is_ok_and(|a| a.links == 0));
    for watch in own {
        watch.report(InotifyMask::ATTRIB, b"", 0);
        if is_last {
            watch.report(InotifyMask::DELETE_SELF, b"", 0);
            watch.end();
        }
    }
}

/// Attributes of `dentry` were changed.
pub fn attributes_changed(dentry: &Arc<Dentry>) {
    if !is_idle() {
        report(dentry, InotifyMask::ATTRIB);
    }
}
