//! The hierarchies that are mounted, and where this process is in each.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Whether it is of version 2.
    pub unified: bool,
    /// Its controllers (version 1; `name=…` for one without).
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Where this process is in it, relative to the mount.
    pub own: PathBuf,
}

/// All that a container is to have a group in.
pub fn mounted() -> Vec<Hierarchy> {
    let read = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

/// From the texts of mountinfo and cgroup of a process.
pub fn parse(mountinfo: &str, cgroup: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let mut after = after.split(' ');
        let (Some(fstype), Some(_), Some(options)) = (after.next(), after.next(), after.next()) else { continue };
        let mut before = before.split(' ').skip(3);
        let (Some(root), Some(mount)) = (before.next(), before.next()) else { continue };
        let own_of = |wanted: &dyn Fn(&str) -> bool| {
            let line = cgroup.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, path) = (parts.next()?, parts.next()?);
                wanted(controllers).then_some(path)
            });
            let path = line.unwrap_or("/");
            // What lies outside of what is mounted cannot be reached: then at the mount's top.
            let inside = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            if inside.components().all(|c| matches!(c, Component::Normal(_))) {
                inside.to_owned()
            } else {
                PathBuf::new()
            }
        };
        let hierarchy = match fstype {
            "cgroup2" => {
                Hierarchy { unified: true, controllers: Vec::new(), mount: mount.into(), own: own_of(&str::is_empty) }
            }
            "cgroup" => {
                let known = |o: &&str| !matches!(*o, "rw" | "ro" | "xattr" | "noprefix" | "clone_children");
                let controllers: Vec<String> = options.split(',').filter(known).map(str::to_owned).collect();
                let own = own_of(&|names| names.split(',').any(|name| controllers.iter().any(|c| c == name)));
                Hierarchy { unified: false, controllers, mount: mount.into(), own }
            }
            _ => continue,
        };
        if !found.iter().any(|h| h.unified == hierarchy.unified && h.controllers == hierarchy.controllers) {
            found.push(hierarchy);
        }
    }
    // Beside version 1 the unified hierarchy has nothing that is asked for here.
    if found.iter().any(|h| !h.unified) {
        found.retain(|h| !h.unified);
    }
    found
}

impl Hierarchy {
    /// The directory of a group: from the top if the path is absolute, from this process's own group if not. `..` stays
    /// within.
    pub fn directory(&self, path: &Path) -> PathBuf {
        let mut directory = self.mount.clone();
        if !path.is_absolute() {
            directory.push(&self.own);
        }
        directory.extend(path.components().filter(|c| matches!(c, Component::Normal(_))));
        directory
    }

    /// Makes a group; the controllers that it has.
    ///
    /// # Errors
    /// The host's.
    pub fn make(&self, directory: &Path) -> io::Result<Vec<String>> {
        std::fs::create_dir_all(directory)?;
        // A read-only mount says so only to a write.
        if !directory.join("cgroup.procs").exists() {
            return Err(io::Error::from_raw_os_error(libc::EROFS));
        }
        if self.unified {
            return Ok(self.enable(directory));
        }
        if self.controllers.iter().any(|c| c == "cpuset") {
            self.inherit_cpuset(directory);
        }
        Ok(self.controllers.clone())
    }

    /// Hands every controller down from the top, as far as that goes; those that have arrived.
    fn enable(&self, directory: &Path) -> Vec<String> {
        let words = |file: PathBuf| -> Vec<String> {
            std::fs::read_to_string(file).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
        };
        let mut at = self.mount.clone();
        let below = directory.strip_prefix(&self.mount).unwrap_or(Path::new(""));
        for component in below.components() {
            for controller in words(at.join("cgroup.controllers")) {
                // Refused one by one, where the parent has processes of its own.
                let _ = std::fs::write(at.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            at.push(component);
        }
        words(directory.join("cgroup.controllers"))
    }

    /// A new cpuset of version 1 is empty, and takes no process until it is filled.
    fn inherit_cpuset(&self, directory: &Path) {
        let mut at = self.mount.clone();
        let below = directory.strip_prefix(&self.mount).unwrap_or(Path::new(""));
        for component in below.components() {
            let parent = at.clone();
            at.push(component);
            for name in ["cpuset.cpus", "cpuset.mems"] {
                let own = std::fs::read_to_string(at.join(name)).unwrap_or_default();
                if own.trim().is_empty()
                    && let Ok(inherited) = std::fs::read_to_string(parent.join(name))
                {
                    let _ = std::fs::write(at.join(name), inherited.trim());
                }
            }
        }
    }
}
