//! The links of a process: `cwd`, `root`, `exe`, and its namespaces.

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::subject::Subject;
use crate::Result;
use crate::fs::Path;
use crate::fs::kernfs::{Directory, Link, Listed, Node};
use crate::kernel::Task;

/// Which place of a process a link leads to.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `cwd`.
    Directory,
    /// `root`.
    Root,
    /// `exe`.
    Executable,
}

/// A magic link to a place of a process.
pub struct Place {
    /// Whose.
    pub subject: Subject,
    /// Which.
    pub kind: Kind,
}

impl Link for Place {
    fn text(&self, _: &Task) -> Result<Vec<u8>> {
        // Its text is the path that it leads to, as the reader sees it.
        Err(Errno::ENOENT)
    }

    fn follow(&self, viewer: &Task) -> Option<Result<Path>> {
        let place = || {
            self.subject.check_access(viewer)?;
            let task = self.subject.task()?.ok_or(Errno::ENOENT)?;
            Ok(match self.kind {
                Kind::Directory => task.fs().directory(),
                Kind::Root => task.fs().root(),
                Kind::Executable => {
                    let executable = task.group_ref().state().lock().executable.clone();
                    executable.ok_or(Errno::ENOENT)?.path.clone()
                }
            })
        };
        Some(place())
    }
}

/// The namespaces of a process, by link and by the name in their text.
const NAMESPACES: [(&str, &str); 10] = [
    ("cgroup", "cgroup"),
    ("ipc", "ipc"),
    ("mnt", "mnt"),
    ("net", "net"),
    ("pid", "pid"),
    ("pid_for_children", "pid"),
    ("time", "time"),
    ("time_for_children", "time"),
    ("user", "user"),
    ("uts", "uts"),
];

/// Linux numbers the first namespaces of each type from here on (`PROC_*_INIT_INO`).
const FIRST_NUMBER: u32 = 4_026_531_834;

/// `ns/`.
pub struct Namespaces(pub Subject);

impl Directory for Namespaces {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let (_, kind) = NAMESPACES.iter().find(|(n, _)| n.as_bytes() == name).ok_or(Errno::ENOENT)?;
        Ok(Node::link(Namespace { subject: self.0.clone(), kind }).owned_by(self.0.owner()))
    }

    fn list(&self) -> Result<Vec<Listed>> {
        Ok(NAMESPACES.iter().map(|(name, _)| Listed::new(*name, FileType::Symlink)).collect())
    }
}

struct Namespace {
    subject: Subject,
    kind: &'static str,
}

impl Link for Namespace {
    fn text(&self, viewer: &Task) -> Result<Vec<u8>> {
        self.subject.check_access(viewer)?;
        let place = match self.kind {
            "time" => 0,
            "cgroup" => 1,
            "pid" => 2,
            "user" => 3,
            "uts" => 4,
            "ipc" => 5,
            "mnt" => 6,
            _ => 7,
        };
        Ok(format!("{}:[{}]", self.kind, FIRST_NUMBER + place).into_bytes())
    }

    fn follow(&self, viewer: &Task) -> Option<Result<Path>> {
        // There is one namespace of each type, which cannot be opened: nothing could be done with it.
        Some(self.subject.check_access(viewer).and(Err(Errno::EACCES)))
    }
}
