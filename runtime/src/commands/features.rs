//! `moat features`.

use moat_abi::capability::CapabilitySet;
use serde_json::json;

use super::{Outcome, print};
use crate::state::OCI_VERSION;

/// Print what this runtime can do, as JSON
#[derive(Debug, clap::Args)]
pub struct Features {}

impl Features {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let capabilities: Vec<String> =
            CapabilitySet::all().iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
        let features = json!({
            "ociVersionMin": "1.0.0",
            "ociVersionMax": OCI_VERSION,
            "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
            "mountOptions": [
                "async", "atime", "bind", "defaults", "dev", "diratime", "dirsync", "exec", "lazytime", "loud", "mand",
                "noatime", "nodev", "nodiratime", "noexec", "nolazytime", "nomand", "norelatime", "nostrictatime",
                "nosuid", "nosymfollow", "private", "rbind", "relatime", "ro", "rprivate", "rslave", "runbindable", "rw",
                "silent", "slave", "strictatime", "suid", "symfollow", "sync", "tmpcopyup", "unbindable",
            ],
            "linux": {
                "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
                "capabilities": capabilities,
                "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
                "seccomp": {
                    "enabled": true,
                    "actions": [
                        "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                        "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRAP",
                    ],
                    "operators": [
                        "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                        "SCMP_CMP_NE",
                    ],
                    "archs": ["SCMP_ARCH_X86_64"],
                },
                "apparmor": { "enabled": false },
                "selinux": { "enabled": false },
                "intelRdt": { "enabled": false },
                "mountExtensions": { "idmap": { "enabled": false } },
            },
            "annotations": { "io.moat.version": env!("CARGO_PKG_VERSION") },
        });
        print(&format!("{features:#}\n"));
        Ok(0)
    }
}
