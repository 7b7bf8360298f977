//! Control groups: version 1, 2, and both at once. All processes of a sandbox are in its groups; where none can be made,
//! the container runs without limits, with a warning.

mod hierarchy;
mod limits;
mod stats;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use hierarchy::Hierarchy;

/// A container's control groups.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cgroup {
    groups: Vec<Group>,
}

/// A group in one hierarchy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    /// Whether the hierarchy is of version 2.
    unified: bool,
    /// Its controllers.
    controllers: Vec<String>,
    directory: PathBuf,
}

/// How long a group's last processes may take to leave it.
const PATIENCE: Duration = Duration::from_secs(3);

impl Cgroup {
    /// The groups at `path` (below this process's own if it is relative or none is given), which are not there yet: known
    /// before they are made, they can be removed whatever happens.
    pub fn plan(path: Option<&Path>, id: &str) -> Self {
        let path = path.unwrap_or(Path::new(id));
        let group =
            |h: Hierarchy| Group { directory: h.directory(path), unified: h.unified, controllers: h.controllers };
        Self { groups: hierarchy::mounted().into_iter().map(group).collect() }
    }

    /// Makes the groups at `path`, as far as that is possible, and sets the limits; and says what could not be done.
    pub fn create(path: Option<&Path>, id: &str, resources: Option<&LinuxResources>) -> (Self, Vec<String>) {
        Self::create_in(&hierarchy::mounted(), path.unwrap_or(Path::new(id)), resources)
    }

    fn create_in(hierarchies: &[Hierarchy], path: &Path, resources: Option<&LinuxResources>) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let mut failure = None;
        let mut groups = Vec::new();
        for hierarchy in hierarchies {
            let directory = hierarchy.directory(path);
            match hierarchy.make(&directory) {
                Ok(controllers) => groups.push(Group { unified: hierarchy.unified, controllers, directory }),
                Err(e) => failure = Some(format!("{}: {e}", directory.display())),
            }
        }
        if groups.is_empty() {
            let why = failure.unwrap_or_else(|| "none is mounted".into());
            warnings.push(format!("no control group can be made, limits do not apply: {why}"));
        }
        let cgroup = Self { groups };
        if let Some(resources) = resources
            && !cgroup.groups.is_empty()
        {
            warnings.extend(cgroup.limit(resources));
        }
        (cgroup, warnings)
    }

    /// Sets the limits; what could not be set.
    pub fn limit(&self, resources: &LinuxResources) -> Vec<String> {
        limits::apply(self, resources)
    }

    /// Adds a process; a warning if that is not possible.
    pub fn add(&self, pid: i32) -> Option<String> {
        self.groups.iter().find_map(|group| {
            let file = group.directory.join("cgroup.procs");
            std::fs::write(&file, pid.to_string()).err().map(|e| format!("{}: {e}", file.display()))
        })
    }

    /// Lets frozen processes go on: only then they can be killed.
    pub fn thaw(&self) {
        for group in &self.groups {
            let (name, frozen, thawed) =
                if group.unified { ("cgroup.freeze", "1", "0") } else { ("freezer.state", "FROZEN", "THAWED") };
            let file = group.directory.join(name);
            if std::fs::read_to_string(&file).is_ok_and(|state| state.trim() == frozen) {
                let _ = std::fs::write(&file, thawed);
            }
        }
    }

    /// The numbers that `events` shows, in runc's shape.
    pub fn stats(&self) -> serde_json::Value {
        stats::read(self)
    }

    /// Removes the groups; a warning if one is still in use.
    pub fn remove(&mut self) -> Option<String> {
        let began = Instant::now();
        std::mem::take(&mut self.groups).into_iter().find_map(|group| {
            loop {
                match std::fs::remove_dir(&group.directory) {
                    Ok(()) => return None,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
                    Err(e) if e.raw_os_error() == Some(libc::EBUSY) && began.elapsed() < PATIENCE => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Err(e) => return Some(format!("{}: {e}", group.directory.display())),
                }
            }
        })
    }

    /// The group that has this controller.
    fn group(&self, controller: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.controllers.iter().any(|c| c == controller))
    }
}

/// The hierarchies in words, and whether a group can be made in one.
pub fn describe() -> (String, bool) {
    let found = hierarchy::mounted();
    let writable = |h: &Hierarchy| {
        let directory = h.directory(Path::new(""));
        nix::unistd::access(&directory, nix::unistd::AccessFlags::W_OK).is_ok()
    };
    let kind = match (found.iter().any(|h| h.unified), found.is_empty()) {
        (_, true) => "none".to_owned(),
        (true, _) => "version 2".to_owned(),
        (false, _) => {
            let names: Vec<String> = found.iter().map(|h| h.controllers.join(",")).collect();
            format!("version 1: {}", names.join(" "))
        }
    };
    (kind, found.iter().any(writable))
}

/// systemd's `slice:prefix:name` as a path: that of the scope it would have made.
///
/// # Errors
/// It is not of that form.
pub fn path_of_slice(text: &Path) -> Result<PathBuf> {
    let text = text.to_string_lossy();
    let parts: Vec<&str> = text.split(':').collect();
    let [slice, prefix, name] = parts[..] else {
        bail!("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead");
    };
    let slice = if slice.is_empty() { "system.slice" } else { slice };
    let Some(stem) = slice.strip_suffix(".slice") else { bail!("linux.cgroupsPath: invalid slice name: {slice}") };
    if slice.contains('/') || stem.is_empty() || stem.starts_with('-') && stem != "-" || stem.contains("--") {
        bail!("linux.cgroupsPath: invalid slice name: {slice}");
    }
    let mut path = PathBuf::from("/");
    let mut so_far = String::new();
    for part in stem.split('-').filter(|p| !p.is_empty()) {
        if !so_far.is_empty() {
            so_far.push('-');
        }
        so_far.push_str(part);
        path.push(format!("{so_far}.slice"));
    }
    let scope = if name.ends_with(".slice") {
        name.to_owned()
    } else if prefix.is_empty() {
        format!("{name}.scope")
    } else {
        format!("{prefix}-{name}.scope")
    };
    Ok(path.join(scope))
}

#[cfg(test)]
mod tests;
