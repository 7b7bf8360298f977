//! `fd/` and `fdinfo/`.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::FileType;

use super::parse_number;
use super::subject::Subject;
use crate::Result;
use crate::fs::kernfs::{Directory, Link, Listed, Node};
use crate::fs::{OpenFile, Path, anonymous, locks};
use crate::kernel::Task;

/// The descriptors of a process: as links, or (`info`) as files that describe them.
pub struct Descriptors {
    /// Whose.
    pub subject: Subject,
    /// `fdinfo`.
    pub info: bool,
}

impl Directory for Descriptors {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let fd = parse_number(name).and_then(|n| i32::try_from(n).ok()).ok_or(Errno::ENOENT)?;
        let task = self.subject.live().map_err(|_| Errno::ENOENT)?;
        let file = task.files().get(fd).map_err(|_| Errno::ENOENT)?;
        let subject = self.subject.clone();
        let node = match self.info {
            true => Node::file(0o444, move || describe(&subject, fd)),
            false => {
                let mut permissions = 0o100;
                permissions |= if file.readable() { 0o400 } else { 0 };
                permissions |= if file.writable() { 0o200 } else { 0 };
                Node::link(Descriptor { subject, fd }).with_permissions(permissions)
            }
        };
        Ok(node.owned_by(self.subject.owner()))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let Some(task) = self.subject.task()? else { return Ok(Vec::new()) };
        let kind = if self.info { FileType::Regular } else { FileType::Symlink };
        Ok(task.files().numbers().into_iter().map(|fd| Listed::new(fd.to_string(), kind)).collect())
    }
}

struct Descriptor {
    subject: Subject,
    fd: i32,
}

impl Descriptor {
    fn file(&self) -> Result<Arc<OpenFile>> {
        self.subject.live()?.files().get(self.fd).map_err(|_| Errno::ENOENT)
    }
}

impl Link for Descriptor {
    fn text(&self, viewer: &Task) -> Result<Vec<u8>> {
        self.subject.check_access(viewer)?;
        let file = self.file()?;
        match file.path() {
            Some(_) => Err(Errno::ENOENT),
            None => Ok(file.anonymous_name().into_bytes()),
        }
    }

    fn follow(&self, viewer: &Task) -> Option<Result<Path>> {
        let place = || {
            self.subject.check_access(viewer)?;
            let file = self.file()?;
            Ok(file.path().cloned().unwrap_or_else(|| anonymous::place(file)))
        };
        Some(place())
    }
}

fn describe(subject: &Subject, fd: i32) -> Result<Vec<u8>> {
    let task = subject.live()?;
    let (file, close_on_exec) = task.files().get_with_flag(fd).map_err(|_| Errno::ENOENT)?;
    let mut flags = file.flags();
    if file.path().is_some() && !flags.contains(OpenFlags::PATH) {
        flags |= OpenFlags::LARGEFILE;
    }
    flags.set(OpenFlags::CLOEXEC, close_on_exec);
    let position = *file.position().lock();
    let mount = file.path().map_or(0, |p| p.mount.id);
    let inode = file.attributes().map_or(0, |a| a.inode);
    let mut out = format!("pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t{mount}\nino:\t{inode}\n", flags.bits());
    out.push_str(&locks::fdinfo(&file));
    out.push_str(&file.raw_operations().fdinfo());
    Ok(out.into_bytes())
}
