//! Path resolution (path_resolution(7)): from bytes to a [`Path`].

use std::collections::VecDeque;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::ResolveFlags;
use moat_abi::stat::FileType;

use super::permission::{self, Access};
use super::{Dentry, Path};
use crate::Result;
use crate::kernel::Task;

/// The longest path, with its NUL.
pub const PATH_MAX: usize = 4096;
/// The longest component.
pub const NAME_MAX: usize = 255;
/// How many components a filesystem is asked for at a time.
const AHEAD: usize = 64;
/// How many symbolic links one resolution may follow.
const LINKS_MAX: u32 = 40;

/// A directory and a name in it, which may not exist: where something is to be made, removed or renamed.
pub struct Last {
    /// The directory.
    pub directory: Path,
    /// The last component; never empty, `.` or `..` (see [`LastKind`]).
    pub name: Vec<u8>,
    /// Whether the path ended in a slash, so that only a directory will do.
    pub slash: bool,
}

/// What the last component of a path was.
pub enum LastKind {
    /// A name.
    Name(Last),
    /// `.`, `..` or the root: the directory that it led to.
    Special(Path),
}

/// One resolution under way.
struct Walk<'a> {
    task: &'a Task,
    root: Path,
    base: Path,
    at: Path,
    links: u32,
    restrict: ResolveFlags,
    /// Components still to walk, last first.
    rest: Vec<Vec<u8>>,
    /// What the filesystem told of them ahead of time, nearest first.
    ahead: VecDeque<Arc<Dentry>>,
    /// The mount whose filesystem has caught up with what others changed.
    caught_up: Option<u64>,
    slash: bool,
}

/// Resolves `path` from `base` to something that exists. `follow`: whether a symbolic link at the end is followed.
pub fn resolve(task: &Task, base: &Path, path: &[u8], follow: bool) -> Result<Path> {
    resolve_restricted(task, base, path, follow, ResolveFlags::empty())
}

/// The same with the restrictions of `openat2`.
pub fn resolve_restricted(task: &Task, base: &Path, path: &[u8], follow: bool, restrict: ResolveFlags) -> Result<Path> {
    let mut walk = Walk::new(task, base, path, restrict)?;
    while let Some(name) = walk.rest.pop() {
        let last = walk.rest.is_empty();
        walk.step(&name, !last || follow || walk.slash)?;
    }
    if walk.slash && walk.at.inode()?.file_type() != FileType::Directory {
        return Err(Errno::ENOTDIR);
    }
    Ok(walk.at)
}

/// Resolves all but the last component.
pub fn resolve_parent(task: &Task, base: &Path, path: &[u8]) -> Result<LastKind> {
    resolve_parent_restricted(task, base, path, ResolveFlags::empty())
}

/// The same with the restrictions of `openat2`.
pub fn resolve_parent_restricted(task: &Task, base: &Path, path: &[u8], restrict: ResolveFlags) -> Result<LastKind> {
    let mut walk = Walk::new(task, base, path, restrict)?;
    loop {
        let Some(name) = walk.rest.pop() else { return Ok(LastKind::Special(walk.at)) };
        if !walk.rest.is_empty() {
            walk.step(&name, true)?;
            continue;
        }
        if name == b"." || name == b".." {
            walk.step(&name, true)?;
            return Ok(LastKind::Special(walk.at));
        }
        walk.check_search()?;
        return Ok(LastKind::Name(Last { directory: walk.at, name, slash: walk.slash }));
    }
}

/// Resolves `path` as `open(O_CREAT)` does: through a symbolic link at the end to where the file would be made.
pub fn resolve_for_create(
    task: &Task,
    base: &Path,
    path: &[u8],
    follow: bool,
    restrict: ResolveFlags,
) -> Result<(LastKind, Option<Path>)> {
    let mut walk = Walk::new(task, base, path, restrict)?;
    loop {
        let Some(name) = walk.rest.pop() else {
            let at = walk.at;
            return Ok((LastKind::Special(at.clone()), Some(at)));
        };
        if !walk.rest.is_empty() || name == b"." || name == b".." {
            walk.step(&name, true)?;
            continue;
        }
        walk.check_search()?;
        let directory = walk.at.clone();
        let child = walk.child(&name)?;
        let slash = walk.slash;
        let last = Last { directory, name: name.clone(), slash };
        if child.dentry.is_negative() {
            return Ok((LastKind::Name(last), None));
        }
        if child.inode()?.file_type() == FileType::Symlink && follow {
            walk.follow(child)?;
            continue;
        }
        return Ok((LastKind::Name(last), Some(child)));
    }
}

impl<'a> Walk<'a> {
    fn new(task: &'a Task, base: &Path, path: &[u8], restrict: ResolveFlags) -> Result<Self> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let scoped = restrict.intersects(ResolveFlags::IN_ROOT | ResolveFlags::BENEATH);
        let root = if scoped { base.clone() } else { task.fs().root() };
        let mut walk = Self {
            task,
            root,
            base: base.clone(),
            at: base.clone(),
            links: 0,
            restrict,
            rest: Vec::new(),
            ahead: VecDeque::new(),
            caught_up: None,
            slash: false,
        };
        walk.push(path)?;
        Ok(walk)
    }

    /// Puts the components of `path` before those that are left, and jumps to the root if it is absolute.
    fn push(&mut self, path: &[u8]) -> Result<()> {
        if path.first() == Some(&b'/') {
            if self.restrict.contains(ResolveFlags::BENEATH) {
                return Err(Errno::EXDEV);
            }
            self.jump(self.root.clone())?;
        }
        if self.rest.is_empty() && path.last() == Some(&b'/') {
            self.slash = true;
        }
        for component in path.split(|&b| b == b'/').rev().filter(|c| !c.is_empty()) {
            self.rest.push(component.to_vec());
        }
        Ok(())
    }

    fn jump(&mut self, to: Path) -> Result<()> {
        if self.restrict.contains(ResolveFlags::NO_XDEV) && !Arc::ptr_eq(&to.mount, &self.at.mount) {
            return Err(Errno::EXDEV);
        }
        self.at = to;
        Ok(())
    }

    fn check_search(&self) -> Result<()> {
        let inode = self.at.inode()?;
        if inode.file_type() != FileType::Directory {
            return Err(Errno::ENOTDIR);
        }
        permission::check(inode, &self.task.credentials(), Access::EXECUTE)
    }

    fn child(&mut self, name: &[u8]) -> Result<Path> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let dentry = self.look_up(name)?;
        let path = Path { mount: self.at.mount.clone(), dentry };
        let seen = self.task.kernel().mounts().topmost(path);
        if self.restrict.contains(ResolveFlags::NO_XDEV) && !Arc::ptr_eq(&seen.mount, &self.at.mount) {
            return Err(Errno::EXDEV);
        }
        Ok(seen)
    }

    /// The dentry of a name: one that was told ahead, a cached one, or what the filesystem says, which is then asked for
    /// as many of the next components as it cares to tell.
    fn look_up(&mut self, name: &[u8]) -> Result<Arc<Dentry>> {
        if let Some(told) = self.ahead.pop_front() {
            let here = told.parent().is_some_and(|parent| Arc::ptr_eq(&parent, &self.at.dentry));
            if here && *told.name() == *name && !told.is_gone() {
                return Ok(told);
            }
            self.ahead.clear();
        }
        if self.caught_up != Some(self.at.mount.id) {
            self.at.mount.filesystem.catch_up();
            self.caught_up = Some(self.at.mount.id);
        }
        if let Some(cached) = self.at.dentry.cached(name) {
            return Ok(cached);
        }
        let next = self.rest.iter().rev().map(Vec::as_slice);
        let next = next.take_while(|&n| n.len() <= NAME_MAX && n != b"." && n != b"..").take(AHEAD - 1);
        let names: Vec<&[u8]> = std::iter::once(name).chain(next).collect();
        let (dentry, ahead) = self.at.dentry.look_up_ahead(&names)?;
        self.ahead = ahead.into();
        Ok(dentry)
    }

    fn step(&mut self, name: &[u8], follow: bool) -> Result<()> {
        self.check_search()?;
        match name {
            b"." => Ok(()),
            b".." => self.up(),
            _ => {
                let child = self.child(name)?;
                if child.inode()?.file_type() == FileType::Symlink && follow {
                    return self.follow(child);
                }
                self.at = child;
                Ok(())
            }
        }
    }

    fn up(&mut self) -> Result<()> {
        if self.at.is(&self.root) {
            if self.restrict.contains(ResolveFlags::BENEATH) {
                return Err(Errno::EXDEV);
            }
            return Ok(());
        }
        if self.restrict.contains(ResolveFlags::BENEATH) && self.at.is(&self.base) {
            return Err(Errno::EXDEV);
        }
        let parent = self.at.parent();
        let parent = self.task.kernel().mounts().topmost(parent);
        self.jump(parent)
    }

    fn follow(&mut self, link: Path) -> Result<()> {
        self.links += 1;
        if self.links > LINKS_MAX || self.restrict.contains(ResolveFlags::NO_SYMLINKS) {
            return Err(Errno::ELOOP);
        }
        let inode = link.inode()?.clone();
        if let Some(target) = inode.magic_link(self.task) {
            if self.restrict.contains(ResolveFlags::NO_MAGICLINKS) {
                return Err(Errno::ELOOP);
            }
            if self.restrict.intersects(ResolveFlags::BENEATH | ResolveFlags::IN_ROOT) {
                return Err(Errno::EXDEV);
            }
            self.at = target?;
            return Ok(());
        }
        let text = inode.readlink_for(self.task)?;
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        if text.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        self.push(&text)
    }
}
