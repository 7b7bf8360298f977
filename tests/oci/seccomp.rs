//! `linux.seccomp` of config.json: what a profile makes of a call, with runc as the oracle.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use moat_tests::run::moat_binary;
use serde_json::{Value, json};

use crate::bundle::Bundle;

/// Makes `sched_yield` with each of its arguments as first and second one, in a child, and prints what becomes of it.
const PROBE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void caught(int signal, siginfo_t *info, void *context)
{
	printf("SIGSYS code %d errno %d call %d\n", info->si_code, info->si_errno, info->si_syscall);
}
int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	for (int i = 1; i + 1 < argc; i += 2) {
		pid_t child = fork();
		int status;
		if (!child) {
			struct sigaction action = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
			sigaction(SIGSYS, &action, NULL);
			long result = syscall(SYS_sched_yield, strtoul(argv[i], NULL, 0), strtoul(argv[i + 1], NULL, 0));
			printf("%s %s: %s\n", argv[i], argv[i + 1], result == 0 ? "made" : result == -1 ? strerror(errno) : "?");
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (status)
			printf("%s %s: status %x\n", argv[i], argv[i + 1], status);
	}
	return 0;
}
"#;

fn probe(bundle: &Bundle) {
    let source = bundle.file("probe.c");
    std::fs::write(&source, PROBE).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-O1", "-o"]).arg(bundle.file("rootfs/bin/probe")).arg(source);
    assert!(gcc.status().expect("package gcc").success());
}

/// The profile has the same effect under runc and under the runtime that is tested.
#[track_caller]
fn same(bundle: &Bundle, seccomp: &Value) {
    bundle.edit(|c| c["linux"]["seccomp"] = seccomp.clone());
    let run = |runtime: PathBuf, state: &str| {
        let mut command = Command::new(runtime);
        command.arg("--root").arg(bundle.file(state)).args(["run", "--bundle", bundle.path(), "seccomp"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let linux = run("runc".into(), "runc");
    assert_eq!(linux.0, Some(0), "{seccomp}: {linux:?}");
    assert_eq!(linux, run(moat_binary().unwrap(), "state"), "{seccomp}");
}

#[test]
fn each_operator_compares_as_under_runc() {
    let big = "0x10000000000";
    let pairs = ["0", "0", "5", "0", "6", "0", "7", "6", big, "1", "0x10000000006", "2", "-1", "0"];
    let bundle = Bundle::new(&[&["probe"], &pairs[..]].concat());
    probe(&bundle);
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT"];
    let mut args: Vec<Value> = Vec::new();
    for operator in operators {
        for value in [6u64, 1 << 40] {
            args.push(json!([{ "index": 0, "value": value, "op": format!("SCMP_CMP_{operator}") }]));
        }
    }
    args.push(json!([{ "index": 0, "value": 6, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ" }]));
    args.push(json!([{ "index": 0, "value": 0xff_0000_0000_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }]));
    // Of two arguments both must hold, of one argument either.
    let first = json!({ "index": 0, "value": 7, "op": "SCMP_CMP_EQ" });
    args.push(json!([first, { "index": 1, "value": 6, "op": "SCMP_CMP_EQ" }]));
    args.push(json!([first, { "index": 1, "value": 5, "op": "SCMP_CMP_EQ" }]));
    args.push(json!([first, { "index": 0, "value": 5, "op": "SCMP_CMP_EQ" }]));
    for args in args {
        let rule = json!({ "names": ["sched_yield"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25, "args": args });
        same(&bundle, &json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
    }
}

#[test]
fn each_action_ends_a_call_as_under_runc() {
    let bundle = Bundle::new(&["probe", "1", "1"]);
    probe(&bundle);
    for action in ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "LOG", "ALLOW"] {
        let rule = json!({ "names": ["sched_yield", "no_such_call"], "action": format!("SCMP_ACT_{action}") });
        // A default that only watches leaves the rest alone.
        same(&bundle, &json!({ "defaultAction": "SCMP_ACT_LOG", "syscalls": [rule] }));
    }
}

#[test]
fn what_a_profile_does_not_name_gets_its_default() {
    let bundle = Bundle::new(&["probe", "1", "1"]);
    probe(&bundle);
    let needed = json!([
        "arch_prctl",
        "brk",
        "chdir",
        "clone",
        "close",
        "close_range",
        "execve",
        "exit",
        "exit_group",
        "fcntl",
        "fstat",
        "fstatfs",
        "futex",
        "getcwd",
        "getdents64",
        "getpid",
        "getppid",
        "getrandom",
        "gettid",
        "ioctl",
        "lseek",
        "mmap",
        "mprotect",
        "munmap",
        "newfstatat",
        "openat",
        "pread64",
        "prctl",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setgroups",
        "setuid",
        "sigaltstack",
        "tgkill",
        "uname",
        "wait4",
        "write",
        "writev",
        "capget",
        "capset",
        "epoll_ctl",
        "epoll_pwait",
        "nanosleep",
        "fchown",
        "umask",
        "faccessat2",
        "faccessat",
        "statx",
        "epoll_create1",
        "eventfd2",
        "pipe2",
        "madvise"
    ]);
    for errno in [Value::Null, json!(38), json!(13)] {
        let mut profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{ "names": needed, "action": "SCMP_ACT_ALLOW" }],
        });
        if !errno.is_null() {
            profile["defaultErrnoRet"] = errno;
        }
        same(&bundle, &profile);
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let bundle = Bundle::new(&["true"]);
    let refused = |seccomp: Value, field: &str| {
        bundle.edit(|c| c["linux"]["seccomp"] = seccomp);
        let said = bundle.create("c1");
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains(field), "{said:?}");
    };
    let rule = |action: &str| json!([{ "names": ["mount"], "action": action }]);
    let with_rules = |rules: Value| json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules });
    refused(with_rules(rule("SCMP_ACT_NOTIFY")), "linux.seccomp.syscalls[0].action");
    refused(with_rules(rule("SCMP_ACT_WHAT")), "linux.seccomp.syscalls[0].action");
    refused(json!({ "defaultAction": "SCMP_ACT_NOTIFY" }), "linux.seccomp.defaultAction");
    let index = json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] }]);
    refused(with_rules(index), "linux.seccomp.syscalls[0].args[0].index");
    let operator = json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_IS" }] }]);
    refused(with_rules(operator), "linux.seccomp.syscalls[0].args[0].op");
    bundle.assert_empty();
}
