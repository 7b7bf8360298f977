//! `moat doctor`: what this host offers.

use std::path::Path;

use super::{Outcome, print};
use crate::cgroup;
use crate::sandbox::{platform, privilege, users};
use crate::state::in_user_namespace;

/// Say what this host offers, what is picked, and what is missing
#[derive(Debug, clap::Args)]
pub struct Doctor {}

enum Verdict {
    Good,
    /// It works without.
    Note(&'static str),
    /// It does not.
    Bad(&'static str),
}

struct Finding {
    what: &'static str,
    found: String,
    verdict: Verdict,
}

impl Doctor {
    /// Prints it; 1 if containers cannot run here.
    pub fn run(self) -> Outcome {
        let findings = examine();
        let mut failed = false;
        for Finding { what, found, verdict } in &findings {
            let (mark, advice) = match verdict {
                Verdict::Good => ("ok     ", ""),
                Verdict::Note(advice) => ("note   ", *advice),
                Verdict::Bad(advice) => ("missing", *advice),
            };
            failed |= matches!(verdict, Verdict::Bad(_));
            print(&format!("{mark}  {what:<18} {found}\n"));
            if !advice.is_empty() {
                print(&format!("{:29}{advice}\n", ""));
            }
        }
        Ok(u8::from(failed))
    }
}

fn examine() -> Vec<Finding> {
    vec![
        kernel(),
        user(),
        user_namespaces(),
        ptrace_scope(),
        empty_tree(),
        procfs(),
        control_groups(),
        sentry_user(),
        kvm(),
        platform(),
    ]
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let verdict = if version >= (5, 9) {
        Verdict::Good
    } else {
        Verdict::Bad("Linux 5.9 or later is needed (openat2, close_range, fsopen, pidfd)")
    };
    Finding { what: "kernel", found: release, verdict }
}

fn user() -> Finding {
    let capabilities = privilege::permitted_capabilities().unwrap_or(0);
    const SYS_ADMIN: u64 = 1 << 21;
    let namespace = if in_user_namespace() { "in a user namespace" } else { "in the host's user namespace" };
    let found = format!("uid {}, {namespace}", nix::unistd::geteuid());
    let verdict = if capabilities & SYS_ADMIN != 0 {
        Verdict::Good
    } else {
        Verdict::Note(
            "an ordinary user: a user namespace is made first, with the ranges of /etc/subuid if there are some",
        )
    };
    Finding { what: "user", found, verdict }
}

fn user_namespaces() -> Finding {
    let most = read("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    let allowed =
        read("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|v| v != "0") || nix::unistd::geteuid().is_root();
    let verdict = if most == "0" || !allowed {
        Verdict::Bad(
            "sysctl user.max_user_namespaces (and kernel.unprivileged_userns_clone, where it is known) must allow them",
        )
    } else {
        Verdict::Good
    };
    Finding { what: "user namespaces", found: format!("at most {most}"), verdict }
}

fn ptrace_scope() -> Finding {
    let scope = read("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_else(|| "no Yama".into());
    let verdict = if scope == "3" {
        Verdict::Bad(
            "sysctl kernel.yama.ptrace_scope=3 forbids tracing to everybody: a reboot with 0, 1 or 2 is needed",
        )
    } else {
        Verdict::Good
    };
    Finding { what: "ptrace", found: scope, verdict }
}

fn empty_tree() -> Finding {
    match privilege::empty_tree() {
        Ok(_) => Finding { what: "mounts", found: "detached mounts can be made".into(), verdict: Verdict::Good },
        Err(nix::errno::Errno::EPERM) => Finding {
            what: "mounts",
            found: "need a user namespace of one's own".into(),
            verdict: Verdict::Note("made as soon as a container is"),
        },
        Err(e) => {
            Finding { what: "mounts", found: e.to_string(), verdict: Verdict::Bad("Linux 5.2 or later is needed") }
        }
    }
}

fn procfs() -> Finding {
    let there = Path::new("/proc/self/ns/pid").exists();
    let verdict = if there { Verdict::Good } else { Verdict::Bad("mount -t proc proc /proc") };
    Finding { what: "/proc", found: if there { "mounted" } else { "not mounted" }.into(), verdict }
}

fn control_groups() -> Finding {
    let (found, writable) = cgroup::describe();
    let verdict = if writable { Verdict::Good } else { Verdict::Note("containers run without limits") };
    Finding { what: "control groups", found, verdict }
}

fn sentry_user() -> Finding {
    match users::spare_user() {
        Some(user) => Finding { what: "sentry's user", found: format!("uid {user}"), verdict: Verdict::Good },
        None => Finding {
            what: "sentry's user",
            found: "the caller's".into(),
            verdict: Verdict::Note(
                "with a range in /etc/subuid and /etc/subgid, the kernel would get a user of its own",
            ),
        },
    }
}

fn platform() -> Finding {
    let found = match platform::trap_is_missing() {
        None => "trap, which passes its self-test".into(),
        Some(missing) => format!("ptrace, which works on any Linux; trap, the faster one, is not possible: {missing}"),
    };
    Finding { what: "platform", found, verdict: Verdict::Good }
}

fn kvm() -> Finding {
    let found = match std::fs::File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => "usable, but this build has no use for it".into(),
        Err(e) => e.to_string(),
    };
    Finding { what: "/dev/kvm", found, verdict: Verdict::Note("not needed") }
}
