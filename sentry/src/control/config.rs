//! What a sandbox is told before its first task runs. The runtime has checked all of it against the bundle; it travels
//! as JSON over the start-up socket, with the descriptors that it counts beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A container: its tree, its first process, its limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// The container's id.
    pub id: String,
    /// `uname`'s node name.
    pub hostname: String,
    /// `uname`'s domain name.
    pub domainname: String,
    /// The mounts, in order; the first is the root at `/`.
    pub mounts: Vec<MountConfig>,
    /// Device nodes to make in /dev besides the usual ones.
    pub devices: Vec<DeviceConfig>,
    /// Paths that are hidden: files read as /dev/null, directories as empty and read-only.
    pub masked_paths: Vec<String>,
    /// Paths that are mounted read-only.
    pub readonly_paths: Vec<String>,
    /// Values for /proc/sys, by name with dots.
    pub sysctl: BTreeMap<String, String>,
    /// Offsets of the boot-time and monotonic clocks, in nanoseconds.
    pub boottime_offset: i64,
    /// See `boottime_offset`.
    pub monotonic_offset: i64,
    /// The most tasks; `None` is bounded by the sentry alone.
    pub pids_limit: Option<u64>,
    /// The memory limit that the guest sees, in bytes.
    pub memory_limit: Option<u64>,
    /// How many processors the guest sees.
    pub cpus: u32,
    /// The first process.
    pub process: ProcessConfig,
    /// Whether signals act on the first process as on any other: without, those that it has no handler for don't act on it,
    /// as on the first process of a pid namespace.
    pub ordinary_init: bool,
    /// Which network the sockets of the guest reach.
    pub network: Network,
    /// config.json's `linux.seccomp`, as the sentry applies it to the guest's calls; its JSON text.
    pub seccomp: Option<String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// What is traced.
    pub strace: Option<StraceConfig>,
}

/// Where trace text goes and how it looks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StraceConfig {
    /// Longest string shown, in bytes (strace's `-s`).
    pub string_limit: usize,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Loopback only, inside the sentry.
    None,
    /// The network namespace's own sockets, through a narrow list of host calls.
    Host,
}

/// One mount.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountConfig {
    /// Where, as an absolute path in the container. Missing directories (or the file, for a single-file bind) are made.
    pub destination: String,
    /// What.
    pub source: MountSource,
    /// `MS_*` flags (`moat_abi::mount::MountFlags` bits), without propagation.
    pub flags: u64,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum MountSource {
    /// A tree (or a single file) that the gofer serves.
    Gofer {
        /// Which of the gofer's roots.
        attach: u32,
        /// Whether the container alone changes the tree, so that names and attributes may be cached.
        owned: bool,
        /// Changes stay in memory and never reach the host.
        overlay: bool,
        /// What `/proc/mounts` names as the source.
        name: String,
    },
    /// A filesystem of the sentry's own: `tmpfs`, `proc`, `sysfs`, `devtmpfs` (/dev), `devpts`, `mqueue`, `cgroup`,
    /// `cgroup2`.
    Own {
        /// Its type.
        fstype: String,
        /// `size=…`, `mode=…`, `uid=…` and their like, comma separated.
        options: String,
    },
}

/// A device node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceConfig {
    /// Where.
    pub path: String,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A process to start: the container's first, or one of `exec`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessConfig {
    /// Command and arguments; the command is searched in `PATH` of `environment`.
    pub arguments: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Working directory; made if it is missing.
    pub cwd: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Additional groups.
    pub additional_gids: Vec<u32>,
    /// umask, if it is not to be 022.
    pub umask: Option<u32>,
    /// The five capability sets, bit n for capability n.
    pub capabilities: Capabilities,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// Limits: name (`RLIMIT_NOFILE`), soft, hard.
    pub rlimits: Vec<(String, u64, u64)>,
    /// `oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// What standard input, output and error are.
    pub stdio: Stdio,
    /// How many further descriptors (3, 4, …: `--preserve-fds`) come behind the standard ones.
    pub extra_files: u32,
}

/// Capability sets (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of capabilities(7)")]
pub struct Capabilities {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// Standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdio {
    /// Three host descriptors come along: pipes, files, /dev/null or a terminal of the caller's.
    Files,
    /// One host descriptor comes along: the raw slave of a host pty, which the sentry's own terminal is copied from and
    /// to. `columns` and `rows` are its size at the start.
    Terminal {
        /// Columns; 0 if unknown.
        columns: u16,
        /// Rows; 0 if unknown.
        rows: u16,
    },
}
