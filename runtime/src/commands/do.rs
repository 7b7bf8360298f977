//! `moat do`: a command of this machine in a fresh sandbox.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use moat_sentry::control::config::{
    Capabilities, ContainerConfig, MountConfig, MountSource, ProcessConfig, Stdio, StraceConfig,
};

use super::{Failure, Global, NetworkChoice, Outcome};
use crate::bundle::hooks::Phases;
use crate::log::Log;
use crate::sandbox::boot::{GoferRoot, LeadPlan};
use crate::sandbox::foreground::{self, Foreground};
use crate::sandbox::launch::{Plan, RootPlan};
use crate::sandbox::make::sweep;
use crate::sandbox::users;
use crate::state::{Root, State};

/// How the names of these containers begin.
const PREFIX: &str = "do-";

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;

/// Run a command in a sandbox over this machine's files
///
/// The host's root is read-only; what the command changes stays in memory and is gone with it. /proc, /sys, /dev, /tmp and
/// /run are the sandbox's own. Signals to this process go to the command, on which they act as without a sandbox; if this
/// process is killed, the sandbox ends. The exit status is the command's, or 128 and the number of the signal that ended
/// it; 126 and 127 say that it could not be executed or was not found, 125 that there was no sandbox.
#[derive(Debug, clap::Args)]
pub struct Do {
    /// Let the command change the host's files
    #[arg(long)]
    rw: bool,
    /// Make a directory or file of the host visible and writable: HOST[:CONTAINER[:ro]]
    #[arg(long, short, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Set an environment variable, or pass one on: NAME[=VALUE]
    #[arg(long, short, value_name = "VARIABLE")]
    env: Vec<String>,
    /// Where the command runs
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    cwd: String,
    /// Never give the command a terminal
    #[arg(long)]
    no_tty: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Do {
    /// Runs the command.
    pub fn run(self, global: &Global, log: &Log) -> Outcome {
        self.try_run(global, log).map_err(|error| {
            let message = format!("{error:#}");
            let code = code_of(&message);
            Failure { message, code }
        })
    }

    fn try_run(self, global: &Global, log: &Log) -> Result<u8> {
        let root = global.state_root();
        let id = free_id(&root);
        crate::sandbox::rootless::enter()?;
        sweep(&root, PREFIX, log);
        let trace = global.trace()?;
        let plan = self.plan(&id, global)?;
        let state = State::new(&id, "/".into(), "/".into(), BTreeMap::new());
        foreground::run(Foreground {
            root: &root,
            state,
            plan,
            resources: None,
            cgroups_path: None,
            terminal: !self.no_tty,
            hooks: Phases::default(),
            extra: Vec::new(),
            pid_file: None,
            keep: false,
            tied: true,
            trace,
            debug_log: global.debug_log.clone(),
            log,
        })
    }

    fn plan(&self, id: &str, global: &Global) -> Result<Plan> {
        let network = global.network.unwrap_or(NetworkChoice::None);
        let mut roots = vec![RootPlan {
            path: "/".into(),
            recursive: true,
            root: GoferRoot { read_only: !self.rw, owned: !self.rw, allow_devices: false, allow_unix_connect: self.rw },
        }];
        let own = |destination: &str, fstype: &str, options: &str, flags| MountConfig {
            destination: destination.into(),
            source: MountSource::Own { fstype: fstype.into(), options: options.into() },
            flags,
        };
        let mut mounts = vec![
            MountConfig {
                destination: "/".into(),
                source: MountSource::Gofer { attach: 0, owned: !self.rw, overlay: !self.rw, name: "host".into() },
                flags: 0,
            },
            own("/proc", "proc", "", NOSUID | NODEV | NOEXEC),
            own("/sys", "sysfs", "", RDONLY | NOSUID | NODEV | NOEXEC),
            own("/dev", "devtmpfs", "mode=755", NOSUID),
            own("/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", NOSUID | NOEXEC),
            own("/dev/shm", "tmpfs", "mode=1777", NOSUID | NODEV),
            own("/dev/mqueue", "mqueue", "", NOSUID | NODEV | NOEXEC),
            own("/tmp", "tmpfs", "mode=1777", NOSUID | NODEV),
        ];
        if std::path::Path::new("/run").is_dir() {
            mounts.push(own("/run", "tmpfs", "mode=755", NOSUID | NODEV));
        }
        for volume in &self.volume {
            let (source, destination, read_only) = parse_volume(volume)?;
            let attach = roots.len() as u32;
            roots.push(RootPlan {
                path: source.clone(),
                recursive: true,
                root: GoferRoot { read_only, owned: false, allow_devices: false, allow_unix_connect: true },
            });
            mounts.push(MountConfig {
                destination,
                source: MountSource::Gofer { attach, owned: false, overlay: false, name: source.display().to_string() },
                flags: if read_only { RDONLY } else { 0 },
            });
        }
        let all = super::ALL_CAPABILITIES;
        let config = ContainerConfig {
            id: id.into(),
            hostname: "moat".into(),
            domainname: "(none)".into(),
            mounts,
            devices: Vec::new(),
            masked_paths: Vec::new(),
            readonly_paths: Vec::new(),
            sysctl: BTreeMap::new(),
            boottime_offset: 0,
            monotonic_offset: 0,
            pids_limit: None,
            memory_limit: None,
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            process: ProcessConfig {
                arguments: self.command.clone(),
                environment: self.environment(),
                cwd: self.cwd.clone(),
                uid: 0,
                gid: 0,
                additional_gids: Vec::new(),
                umask: None,
                capabilities: Capabilities {
                    bounding: all,
                    effective: all,
                    permitted: all,
                    inheritable: 0,
                    ambient: 0,
                },
                no_new_privileges: false,
                rlimits: Vec::new(),
                oom_score_adj: None,
                stdio: Stdio::Files,
                extra_files: 0,
            },
            // To whom runs it, it is a command like any other.
            ordinary_init: true,
            network: network.into(),
            seccomp: None,
            annotations: BTreeMap::new(),
            strace: global.strace.is_some().then_some(StraceConfig { string_limit: 32 }),
        };
        let new_network = if network == NetworkChoice::None { libc::CLONE_NEWNET } else { 0 };
        let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | new_network;
        let lead = LeadPlan {
            namespaces,
            maps: users::own_maps(),
            sentry_user: users::spare_user(),
            rootfs: "/".into(),
            binds: Vec::new(),
            procfs: true,
            user: (0, 0),
        };
        Ok(Plan {
            config,
            lead,
            roots,
            join: Vec::new(),
            user_namespace: None,
            platform: global.platform.clone(),
            platform_options: global.platform_options.join(","),
            unlisted: global.unlisted,
            mapped: false,
        })
    }

    /// PATH, HOME and TERM, and what `--env` says.
    fn environment(&self) -> Vec<String> {
        let mut variables: Vec<(String, String)> = ["PATH", "HOME", "TERM"]
            .into_iter()
            .filter_map(|name| std::env::var(name).ok().map(|value| (name.to_owned(), value)))
            .collect();
        for variable in &self.env {
            let (name, value) = match variable.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => match std::env::var(variable) {
                    Ok(value) => (variable.as_str(), value),
                    Err(_) => continue,
                },
            };
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_owned(), value));
        }
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// HOST[:CONTAINER[:ro]]
fn parse_volume(volume: &str) -> Result<(PathBuf, String, bool)> {
    let mut parts = volume.split(':');
    let source = parts.next().unwrap_or_default();
    let destination = parts.next().unwrap_or(source);
    let read_only = match parts.next() {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(other) => bail!("--volume {volume}: unknown option {other:?}"),
    };
    if parts.next().is_some() || !destination.starts_with('/') {
        bail!("--volume {volume}: not of the form HOST:/CONTAINER[:ro]");
    }
    let source = std::fs::canonicalize(source).with_context(|| format!("--volume {volume}: {source}"))?;
    Ok((source, destination.to_owned(), read_only))
}

/// A shell's codes for a command that is not there or cannot be executed; 125 for a sandbox that could not be made.
fn code_of(message: &str) -> u8 {
    let lower = message.to_lowercase();
    if !lower.contains("exec: ") {
        125
    } else if lower.contains("executable file not found") || lower.contains("no such file or directory") {
        127
    } else {
        126
    }
}

/// A name that no container has: one that was killed together with all who could have tidied up may have left that of its
/// process number behind.
fn free_id(root: &Root) -> String {
    let first = format!("{PREFIX}{}", std::process::id());
    let others = (2..).map(|n| format!("{first}-{n}"));
    std::iter::once(first.clone()).chain(others).find(|id| root.directory(id).is_err()).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_shells() {
        let prefix = "unable to start container process: ";
        assert_eq!(code_of(&format!("{prefix}exec: \"x\": executable file not found in $PATH")), 127);
        assert_eq!(code_of(&format!("{prefix}exec: \"/x\": stat /x: no such file or directory")), 127);
        assert_eq!(code_of(&format!("{prefix}exec: \"/etc\": permission denied")), 126);
        assert_eq!(code_of("open state directory: permission denied"), 125);
    }

    #[test]
    fn volumes_name_source_and_destination() {
        assert_eq!(parse_volume("/tmp").unwrap(), ("/tmp".into(), "/tmp".into(), false));
        assert_eq!(parse_volume("/tmp:/x:ro").unwrap(), ("/tmp".into(), "/x".into(), true));
        assert!(parse_volume("/tmp:x").is_err());
        assert!(parse_volume("/tmp:/x:zz").is_err());
        assert!(parse_volume("/nonexistent:/x").is_err());
    }

    #[test]
    fn a_name_that_is_left_behind_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::new(Some(place.path()));
        let first = free_id(&root);
        std::fs::create_dir(place.path().join(&first)).unwrap();
        assert_eq!(free_id(&root), format!("{first}-2"));
    }
}
