//! proc(5): what there is to know of processes and of the machine.

mod cpuinfo;
mod fd;
mod links;
mod maps;
mod mounts;
mod net;
mod process;
mod stat;
mod status;
mod subject;
mod sysctl;
mod system;

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

pub use sysctl::Sysctl;
pub use system::memory_in_use;

use super::inode::FileSystem;
use super::kernfs::{Directory, Fixed, KernFs, KernelSlot, Link, Listed, Magic, Node};
use crate::Result;
use crate::kernel::Task;
use subject::Subject;

/// The /proc of the kernel in `kernel`.
pub fn new(kernel: &KernelSlot) -> Arc<dyn FileSystem> {
    let root = Root { kernel: kernel.clone(), files: system::files(kernel) };
    KernFs::new("proc", "proc", Magic::Proc, "", Node::directory(0o555, root))
}

/// The root: processes by number, and the files that are about no process.
struct Root {
    kernel: KernelSlot,
    files: Fixed,
}

/// A number without leading zeroes or signs.
pub(super) fn parse_number(name: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(name).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl Directory for Root {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        match name {
            b"self" => return Ok(Node::link(Own { thread: false })),
            b"thread-self" => return Ok(Node::link(Own { thread: true })),
            _ => {}
        }
        match parse_number(name) {
            Some(pid) => Ok(process::directory(Subject::process(&self.kernel, pid)?)),
            None => self.files.lookup(name),
        }
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let mut all = self.files.list()?;
        all.push(Listed::new("self", FileType::Symlink));
        all.push(Listed::new("thread-self", FileType::Symlink));
        let kernel = self.kernel.get()?;
        let tree = kernel.tree();
        all.extend(tree.processes().map(|(pid, _)| Listed::new(pid.to_string(), FileType::Directory)));
        Ok(all)
    }

    fn links(&self) -> u32 {
        let processes = self.kernel.get().map_or(0, |k| k.tree().processes().count());
        self.files.links() + u32::try_from(processes).unwrap_or(0)
    }
}

/// `/proc/self` and `/proc/thread-self`.
struct Own {
    thread: bool,
}

impl Link for Own {
    fn text(&self, task: &Task) -> Result<Vec<u8>> {
        Ok(match self.thread {
            false => task.pid().to_string(),
            true => format!("{}/task/{}", task.pid(), task.tid()),
        }
        .into_bytes())
    }
}

/// Reads a number that was written, with blanks around it. `EINVAL`.
fn written_number<T: std::str::FromStr>(bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0').parse().map_err(|_| Errno::EINVAL)
}
