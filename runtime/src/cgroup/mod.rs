//! Control groups.

use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

/// A container's control groups.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cgroup {}

impl Cgroup {
    /// Makes them.
    pub fn create(path: Option<&Path>, id: &str, resources: Option<&LinuxResources>) -> (Self, Vec<String>) {
        let _ = (path, id, resources);
        (Self {}, Vec::new())
    }

    /// Adds a process; a warning if that is not possible.
    pub fn add(&self, pid: i32) -> Option<String> {
        let _ = pid;
        None
    }

    /// Lets frozen processes go on.
    pub fn thaw(&self) {}

    /// Removes them.
    pub fn remove(&mut self) -> Option<String> {
        None
    }
}
