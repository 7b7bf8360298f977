//! containerd's shim for runc with this runtime: one test a promise. Skipped where there is no containerd.
#![allow(missing_docs)]

mod engine;

use engine::Containerd;

#[test]
fn run_passes_output_and_status_on() {
    let Some(containerd) = Containerd::new() else { return };
    let said = containerd.run_script(&["--rm"], "c", "echo out; echo err >&2; exit 7");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(containerd.ok(&["containers", "ls", "-q"]), "");
    containerd.assert_empty();
}

#[test]
fn exec_runs_in_the_container() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.start("c", "exec sleep 1000");
    let script = "echo out; echo err >&2; exit 3";
    let said = containerd.run(&["tasks", "exec", "--exec-id", "e", "c", "/bin/sh", "-c", script]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (3, "out\n", "err\n"));
    let said = containerd.run(&["tasks", "exec", "--exec-id", "f", "c", "/nosuch"]);
    assert!(said.code != 0 && said.err.contains("no such file or directory"), "{said:?}");
}

#[test]
fn a_task_is_killed_and_deleted() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.start("c", "exec sleep 1000");
    assert_eq!(containerd.status("c"), "RUNNING");
    containerd.ok(&["tasks", "kill", "-s", "SIGKILL", "c"]);
    containerd.await_status("c", "STOPPED");
    // ctr tells the status in a warning.
    let said = containerd.run(&["tasks", "delete", "c"]);
    assert!(said.err.contains("non-zero exit code 137"), "{said:?}");
    assert_eq!(containerd.status("c"), "");
    containerd.ok(&["containers", "delete", "c"]);
    containerd.assert_empty();
}

#[test]
fn a_task_hears_the_signal_that_is_named() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.start("c", "trap 'exit 9' TERM; : > /tmp/ready; while :; do sleep 0.1; done");
    let script = "until [ -e /tmp/ready ]; do sleep 0.05; done";
    containerd.ok(&["tasks", "exec", "--exec-id", "e", "c", "/bin/sh", "-c", script]);
    containerd.ok(&["tasks", "kill", "-s", "SIGTERM", "c"]);
    containerd.await_status("c", "STOPPED");
    let said = containerd.run(&["tasks", "delete", "c"]);
    assert!(said.err.contains("non-zero exit code 9"), "{said:?}");
}

#[test]
fn pause_halts_it_and_resume_lets_it_go_on() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.start("c", "exec sleep 1000");
    containerd.ok(&["tasks", "pause", "c"]);
    assert_eq!(containerd.status("c"), "PAUSED");
    containerd.ok(&["tasks", "resume", "c"]);
    assert_eq!(containerd.status("c"), "RUNNING");
    containerd.ok(&["tasks", "exec", "--exec-id", "e", "c", "/bin/true"]);
}

#[test]
fn processes_and_metrics_are_told() {
    let Some(containerd) = Containerd::new() else { return };
    containerd.start("c", "sleep 1000 & : > /tmp/ready; wait");
    let script = "until [ -e /tmp/ready ]; do sleep 0.05; done";
    containerd.ok(&["tasks", "exec", "--exec-id", "e", "c", "/bin/sh", "-c", script]);
    let processes = containerd.ok(&["tasks", "ps", "c"]);
    assert_eq!(processes.lines().count(), 3, "a heading, a shell and its child: {processes}");
    assert!(containerd.ok(&["tasks", "metrics", "c"]).contains("memory.usage_in_bytes"));
}
