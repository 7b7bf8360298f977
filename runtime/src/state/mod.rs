//! What the runtime remembers of a container between its verbs: a directory a container, with one file that is replaced as
//! a whole and one that is locked.

mod id;
mod process;
mod tie;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use moat_sentry::control::config::ProcessConfig;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

pub use id::check as check_id;
pub use process::ProcessId;

use crate::cgroup::Cgroup;

/// The format of `state.json`; another one is refused.
const VERSION: u32 = 1;
const STATE_NAME: &str = "state.json";
/// What was in its place before: who deletes a container whose state is damaged learns from it what there is to end.
const OLD_STATE_NAME: &str = "state.json.old";
const LOCK_NAME: &str = "lock";

/// The version of the runtime specification that state and features name.
pub const OCI_VERSION: &str = "1.2.0";

/// Where a container is in its life, in runc's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work, or was killed at it.
    Creating,
    /// Init is loaded.
    Created,
    /// Init runs.
    Running,
    /// Every task is stopped.
    Paused,
    /// Init has ended.
    Stopped,
}

impl Status {
    /// runc's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A hook of the bundle that is still to be run.
pub type Hooks = Vec<oci_spec::runtime::Hook>;

/// The contents of `state.json`. A field that is added gets a default, for what older builds have written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The container.
    pub id: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The container's root on the host.
    pub rootfs: PathBuf,
    /// When it was created (RFC 3339).
    pub created: String,
    /// Who created it.
    pub owner: String,
    /// The bundle's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The process whose end is the container's.
    pub lead: Option<ProcessId>,
    /// The other processes of the sandbox.
    pub helpers: Vec<ProcessId>,
    /// How far it has come, as long as the lead lives.
    pub phase: Status,
    /// Its control groups.
    pub cgroup: Cgroup,
    /// Its first process, from which `exec` takes what it is not told.
    pub process: Option<ProcessConfig>,
    /// Hooks that `start` runs in the container before init.
    pub start_container: Hooks,
    /// Hooks that `start` runs after init.
    pub poststart: Hooks,
    /// Hooks that `delete` runs.
    pub poststop: Hooks,
}

impl State {
    /// A container that is being made.
    pub fn new(id: &str, bundle: PathBuf, rootfs: PathBuf, annotations: BTreeMap<String, String>) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            bundle,
            rootfs,
            created: jiff::Timestamp::now().to_string(),
            owner: crate::sandbox::rootless::caller(),
            annotations,
            lead: None,
            helpers: Vec::new(),
            phase: Status::Creating,
            cgroup: Cgroup::default(),
            process: None,
            start_container: Hooks::new(),
            poststart: Hooks::new(),
            poststop: Hooks::new(),
        }
    }

    /// Where it is now: a container whose lead is gone has stopped, whatever was written down.
    pub fn status(&self) -> Status {
        match &self.lead {
            Some(lead) if lead.is_alive() => self.phase,
            None if self.phase == Status::Creating && self.helpers.iter().any(ProcessId::is_alive) => Status::Creating,
            _ => Status::Stopped,
        }
    }

    /// The lead's pid, or 0 when it has stopped.
    pub fn pid(&self) -> i32 {
        self.lead.as_ref().filter(|lead| lead.is_alive()).map_or(0, |lead| lead.pid)
    }

    /// The state as the specification and runc's `state` have it.
    pub fn to_oci(&self) -> OciState {
        self.to_oci_as(self.status())
    }

    /// The same, for a hook that is to see this status.
    pub fn to_oci_as(&self, status: Status) -> OciState {
        OciState {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid() },
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: self.owner.clone(),
        }
    }
}

/// `runc state`'s JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the specification's names")]
pub struct OciState {
    #[serde(rename = "ociVersion")]
    pub oci_version: String,
    pub id: String,
    pub pid: i32,
    pub status: Status,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub owner: String,
}

/// The directory of all containers (`--root`).
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

/// A container's directory, locked as long as this lives.
#[derive(Debug)]
pub struct Container {
    directory: PathBuf,
    _lock: Flock<File>,
}

/// No container of this name.
#[derive(Debug, thiserror::Error)]
#[error("container does not exist")]
pub struct DoesNotExist;

impl Root {
    /// The directory that was named, or the usual one.
    pub fn new(named: Option<&Path>) -> Self {
        Self(named.map_or_else(default_root, Path::to_owned))
    }

    /// Makes the directory of a new container.
    ///
    /// # Errors
    /// An invalid id, a container of this name, or the host's.
    pub fn create(&self, id: &str) -> Result<Container> {
        self.begin(id).map(|(container, _making)| container)
    }

    /// The same; as long as the lock on the root lives nobody takes the new directory for one that was left behind.
    fn begin(&self, id: &str) -> Result<(Container, Flock<File>)> {
        check_id(id)?;
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o711);
        builder.create(&self.0).with_context(|| format!("make state directory {}", self.0.display()))?;
        let root = File::open(&self.0).with_context(|| format!("open {}", self.0.display()))?;
        let making = Flock::lock(root, FlockArg::LockShared);
        let making = making.map_err(|(_, e)| anyhow!("lock {}: {e}", self.0.display()))?;
        let directory = self.0.join(id);
        match DirBuilder::new().mode(0o711).create(&directory) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => bail!("container with given ID already exists"),
            made => made.with_context(|| format!("make state directory {}", directory.display()))?,
        }
        let locked = lock(&directory).inspect_err(|_| drop(std::fs::remove_dir_all(&directory)));
        locked.map(|lock| (Container { directory, _lock: lock }, making))
    }

    /// Opens the directory of a container. Waits for a verb that is at work there.
    ///
    /// # Errors
    /// [`DoesNotExist`], or the host's.
    pub fn open(&self, id: &str) -> Result<Container> {
        let directory = self.directory(id)?;
        let lock = lock(&directory)?;
        // A `delete` that we have waited for has taken the directory away.
        if !directory.join(LOCK_NAME).exists() {
            return Err(DoesNotExist.into());
        }
        Ok(Container { directory, _lock: lock })
    }

    /// What is known of a container, without waiting for verbs that are at work.
    ///
    /// # Errors
    /// [`DoesNotExist`], or what is wrong with the file.
    pub fn peek(&self, id: &str) -> Result<State> {
        read(&self.directory(id)?)
    }

    /// A container's directory.
    ///
    /// # Errors
    /// [`DoesNotExist`].
    pub fn directory(&self, id: &str) -> Result<PathBuf> {
        check_id(id)?;
        let directory = self.0.join(id);
        if directory.is_dir() { Ok(directory) } else { Err(DoesNotExist.into()) }
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// The host's; a root that does not exist has no containers.
    pub fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(anyhow!(e).context(format!("read {}", self.0.display()))),
        };
        let mut ids: Vec<String> = entries
            .flatten()
            .filter(|e| e.path().is_dir())
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|id| check_id(id).is_ok())
            .collect();
        ids.sort();
        Ok(ids)
    }
}

impl Container {
    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads its state.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn load(&self) -> Result<State> {
        read(&self.directory)
    }

    /// Reads its state as it was before the last change, for what is left to be cleaned up where that one is damaged.
    pub fn load_old(&self) -> Option<State> {
        parse(&self.directory.join(OLD_STATE_NAME)).ok()
    }

    /// Replaces its state; a reader sees the old one or the new one.
    ///
    /// # Errors
    /// The host's.
    pub fn save(&self, state: &State) -> Result<()> {
        let (new, path) = (self.directory.join("state.json.new"), self.directory.join(STATE_NAME));
        let old = self.directory.join(OLD_STATE_NAME);
        let write = || -> std::io::Result<()> {
            // A filesystem without links has to do without.
            let _ = std::fs::remove_file(&old);
            let _ = std::fs::hard_link(&path, &old);
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_data()?;
            std::fs::rename(&new, &path)
        };
        write().with_context(|| format!("write {}", path.display()))
    }

    /// Removes its directory.
    ///
    /// # Errors
    /// The host's.
    pub fn remove(self) -> Result<()> {
        match std::fs::remove_dir_all(&self.directory) {
            // Once it is empty, who looks for what is left behind may be the first to take it away.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("remove {}", self.directory.display())),
        }
    }
}

fn lock(directory: &Path) -> Result<Flock<File>> {
    let path = directory.join(LOCK_NAME);
    let file = match File::options().create(true).truncate(false).write(true).open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(DoesNotExist.into()),
        other => other.with_context(|| format!("open {}", path.display()))?,
    };
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| anyhow!("lock {}: {e}", path.display()))
}

fn read(directory: &Path) -> Result<State> {
    parse(&directory.join(STATE_NAME))
}

fn parse(path: &Path) -> Result<State> {
    let text = match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            bail!("{}: there is no state file, its creation was cut off; `delete --force` removes it", path.display())
        }
        other => other.with_context(|| format!("read {}", path.display()))?,
    };
    let state: State = serde_json::from_slice(&text)
        .map_err(|e| anyhow!("{}: {e}; `delete --force` removes the container", path.display()))?;
    if state.version != VERSION {
        bail!("{}: made by another version of moat (format {})", path.display(), state.version);
    }
    Ok(state)
}

/// /run/moat, or below XDG_RUNTIME_DIR for an ordinary user and for the root of one's user namespace, as runc has it; the
/// latter calls itself root at times, and is told by what it may write to.
pub fn default_root() -> PathBuf {
    let usual = PathBuf::from("/run/moat");
    let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()) else { return usual };
    let ordinary = !nix::unistd::geteuid().is_root();
    let another = || std::env::var("USER").is_ok_and(|user| user != "root");
    let powerless = || nix::unistd::access("/run", nix::unistd::AccessFlags::W_OK).is_err();
    if ordinary || in_user_namespace() && (another() || powerless()) { Path::new(&runtime).join("moat") } else { usual }
}

/// Whether this process is in another user namespace than the host's first.
pub fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests;
