//! What the processes of a sandbox tell each other while it is born.

use moat_sentry::control::config::ContainerConfig;
use serde::{Deserialize, Serialize};

use super::confine::Unlisted;

/// To the sentry process: everything it is ever told by its maker. The descriptors that come along, in this order: the
/// listening control socket, the connections to the gofer, those of init, the namespaces to join, the trace file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Boot {
    /// The container.
    pub config: ContainerConfig,
    /// `--platform`.
    pub platform: String,
    /// `--platform-option`.
    pub platform_options: String,
    /// The lead, and where it lives.
    pub lead: LeadPlan,
    /// How many connections to the gofer come along.
    pub gofer: usize,
    /// How many descriptors of init come along.
    pub stdio: usize,
    /// The namespaces to join before the lead is born, by their `CLONE_NEW*` flags.
    pub join: Vec<i32>,
    /// Whether a descriptor for trace text comes along.
    pub trace: bool,
    /// What happens to a host call of the sentry that is not on its list.
    pub unlisted: Unlisted,
}

/// How the lead is born.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeadPlan {
    /// `CLONE_NEW*` flags of the namespaces that are new.
    pub namespaces: i32,
    /// The lines of its uid map and its gid map, if it has a user namespace of its own.
    pub maps: Option<(String, String)>,
    /// A user of the runtime's user namespace that the sentry becomes, if one can be spared.
    pub sentry_user: Option<u32>,
    /// The container's root on the host, which becomes the root of the lead's mount namespace.
    pub rootfs: String,
    /// Host trees that the lead's mount namespace shows as the container sees them: source and destination.
    pub binds: Vec<(String, String)>,
    /// Whether a procfs of the container's pid namespace is mounted there.
    pub procfs: bool,
    /// The user and group that the host sees in the lead, as the container numbers them.
    pub user: (u32, u32),
}

/// From the sentry process.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
pub enum Report {
    /// The lead is born and has its maps; it waits for [`Go`].
    Born {
        /// Its process number, in the maker's pid namespace.
        lead: i32,
    },
    /// Init is loaded, and the control socket is served.
    Ready,
    /// It is over.
    Failed {
        /// Linux's number of the error.
        errno: i32,
        /// What failed.
        what: String,
    },
}

/// To the sentry process: hooks have run and the gofer is served; go on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Go;

/// To the gofer process: what it serves. The descriptors that come along, in this order: the connections, the roots, the
/// user namespace to join.
#[derive(Debug, Serialize, Deserialize)]
pub struct GoferBoot {
    /// How many connections come along.
    pub connections: usize,
    /// The roots.
    pub roots: Vec<GoferRoot>,
    /// Whether a user namespace to join comes along.
    pub user_namespace: bool,
}

/// A root of the gofer, without its descriptor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GoferRoot {
    /// See [`moat_gofer::Root`].
    pub read_only: bool,
    /// See [`moat_gofer::Root`].
    pub owned: bool,
    /// See [`moat_gofer::Root`].
    pub allow_devices: bool,
    /// See [`moat_gofer::Root`].
    pub allow_unix_connect: bool,
}
