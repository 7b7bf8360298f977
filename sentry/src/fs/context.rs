//! A task's view of the tree: root, working directory and umask, shared by tasks made with CLONE_FS.

use super::Path;
use crate::sync::{Mutex, Rank};

/// See the module.
pub struct FsContext {
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    root: Path,
    directory: Path,
    umask: u32,
}

impl FsContext {
    /// A context at these places.
    pub fn new(root: Path, directory: Path, umask: u32) -> Self {
        Self { state: Mutex::new(Rank::FsContext, State { root, directory, umask }) }
    }

    /// The root directory (`chroot`).
    pub fn root(&self) -> Path {
        self.state.lock().root.clone()
    }

    /// The working directory.
    pub fn directory(&self) -> Path {
        self.state.lock().directory.clone()
    }

    /// The umask.
    pub fn umask(&self) -> u32 {
        self.state.lock().umask
    }

    /// Sets the root.
    pub fn set_root(&self, path: Path) {
        let old = std::mem::replace(&mut self.state.lock().root, path);
        drop(old);
    }

    /// Sets the working directory.
    pub fn set_directory(&self, path: Path) {
        let old = std::mem::replace(&mut self.state.lock().directory, path);
        drop(old);
    }

    /// Sets the umask; returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        std::mem::replace(&mut self.state.lock().umask, umask & 0o777)
    }

    /// A copy for a child without CLONE_FS.
    pub fn duplicate(&self) -> Self {
        let state = self.state.lock().clone();
        Self { state: Mutex::new(Rank::FsContext, state) }
    }
}
