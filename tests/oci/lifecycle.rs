//! A container's life.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bundle::Bundle;

#[test]
fn a_container_is_created_started_killed_and_deleted() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let pid_file = bundle.file("pid");
    let said = bundle.run(&["create", "--bundle", bundle.path(), "--pid-file", pid_file.to_str().unwrap(), "c1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let state = bundle.state("c1");
    assert_eq!(state["status"], "created");
    assert_eq!(std::fs::read_to_string(pid_file).unwrap(), state["pid"].to_string());
    assert!(bundle.create("c1").err.contains("container with given ID already exists"));
    bundle.succeed(&["start", "c1"]);
    assert_eq!(bundle.state("c1")["status"], "running");
    assert!(bundle.run(&["start", "c1"]).err.contains("cannot start an already running container"));
    let said = bundle.run(&["delete", "c1"]);
    assert!(said.err.contains("cannot delete container c1 that is not stopped: running"), "{}", said.err);
    assert_eq!(bundle.run(&["ps", "-f", "json", "c1"]).out, format!("[{}]\n", state["pid"]));
    bundle.succeed(&["kill", "c1", "KILL"]);
    bundle.await_status("c1", "stopped");
    assert_eq!(bundle.state("c1")["pid"], 0);
    assert!(bundle.run(&["kill", "c1"]).err.contains("container not running"));
    assert!(bundle.run(&["start", "c1"]).err.contains("cannot start a container that has stopped"));
    assert!(bundle.run(&["pause", "c1"]).err.contains("container not running"));
    let said = bundle.run(&["exec", "c1", "true"]);
    assert_eq!(said.code, 255);
    assert!(said.err.contains("exec failed: cannot exec in a stopped container"), "{}", said.err);
    bundle.succeed(&["delete", "c1"]);
    bundle.assert_empty();
}

#[test]
fn a_created_container_is_deleted_without_force() {
    let bundle = Bundle::new(&["sleep", "100"]);
    assert_eq!(bundle.create("c1").code, 0);
    bundle.succeed(&["delete", "c1"]);
    bundle.assert_empty();
}

#[test]
fn run_passes_output_and_status_on() {
    let bundle = Bundle::new(&["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    bundle.assert_empty();
}

#[test]
fn a_signal_ends_a_container_with_its_number() {
    let bundle = Bundle::new(&["sh", "-c", "kill -TERM $$; sleep 1; exec kill -KILL $$"]);
    // Init has no handler for TERM: as pid 1 it does not get it from itself.
    bundle.edit(|c| c["process"]["args"] = json!(["sh", "-c", "sh -c 'kill -KILL $$'; exit $?"]));
    assert_eq!(bundle.run(&["run", "--bundle", bundle.path(), "c1"]).code, 137);
}

#[test]
fn the_process_has_what_the_bundle_says() {
    let bundle = Bundle::new(&["sh", "-c", "pwd; id -u; id -g; id -G; echo $HOME $X"]);
    bundle.edit(|c| {
        c["process"]["cwd"] = "/made/for/it".into();
        c["process"]["user"] = json!({ "uid": 7, "gid": 8, "additionalGids": [9] });
        c["process"]["env"] = json!(["PATH=/bin", "X=y z"]);
    });
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.out, "/made/for/it\n7\n8\n8 9\n/ y z\n", "{said:?}");
}

#[test]
fn exec_runs_in_the_container() {
    let bundle = Bundle::new(&["sleep", "100"]);
    assert_eq!(bundle.create("c1").code, 0);
    // Also before it is started.
    assert_eq!(bundle.run(&["exec", "c1", "sh", "-c", "echo $X; exit 3"]).code, 3);
    bundle.succeed(&["start", "c1"]);
    let said = bundle.run(&[
        "exec",
        "--env",
        "X=1",
        "--user",
        "5:6",
        "--cwd",
        "/tmp",
        "c1",
        "sh",
        "-c",
        "echo $X; id -u; pwd",
    ]);
    assert_eq!((said.code, said.out.as_str()), (0, "1\n5\n/tmp\n"));
    let said = bundle.run(&["exec", "c1", "nosuch"]);
    assert_eq!(said.code, 255);
    assert!(said.err.contains("exec failed: unable to start container process: exec:"), "{}", said.err);
    let process = json!({ "user": { "uid": 0, "gid": 0 }, "args": ["echo", "hi"], "cwd": "/", "env": ["PATH=/bin"] });
    std::fs::write(bundle.file("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.run(&["exec", "--process", bundle.file("process.json").to_str().unwrap(), "c1"]).out, "hi\n");
}

#[test]
fn the_shepherd_of_an_exec_stands_for_its_process() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    let pid_file = bundle.file("pid");
    let said = bundle.run(&["exec", "-d", "--pid-file", pid_file.to_str().unwrap(), "c1", "sleep", "77"]);
    assert_eq!(said.code, 0, "{said:?}");
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(count(&bundle), 2);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    for _ in 0..200 {
        if count(&bundle) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the process outlives its shepherd");
}

fn count(bundle: &Bundle) -> usize {
    serde_json::from_str::<Vec<u32>>(&bundle.run(&["ps", "-f", "json", "c1"]).out).unwrap().len()
}

#[test]
fn pause_and_resume() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    assert!(bundle.run(&["resume", "c1"]).err.contains("container not paused"));
    bundle.succeed(&["pause", "c1"]);
    assert_eq!(bundle.state("c1")["status"], "paused");
    let said = bundle.run(&["exec", "c1", "true"]);
    assert!(said.err.contains("cannot exec in a paused container (use --ignore-paused to override)"), "{}", said.err);
    bundle.succeed(&["resume", "c1"]);
    bundle.succeed(&["exec", "c1", "true"]);
    bundle.succeed(&["pause", "c1"]);
    bundle.succeed(&["kill", "c1", "KILL"]);
    bundle.await_status("c1", "stopped");
}

#[test]
fn events_tell_what_is_used() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    let event: Value = serde_json::from_str(&bundle.run(&["events", "--stats", "c1"]).out).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!("c1")));
    assert!(event["data"]["memory"].is_object());
}

#[test]
fn hooks_run_at_their_turn_with_the_state() {
    let bundle = Bundle::new(&["true"]);
    let log = bundle.file("hooks");
    let hook = |name: &str| json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("(echo {name}; cat; echo) >> {}", log.display())] }]);
    bundle.edit(|c| {
        c["hooks"] = json!({ "prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "createContainer": hook("createContainer"), "poststart": hook("poststart"), "poststop": hook("poststop") });
    });
    bundle.succeed(&["run", "--bundle", bundle.path(), "c1"]);
    let text = std::fs::read_to_string(log).unwrap();
    let (names, states): (Vec<&str>, Vec<&str>) = text.lines().partition(|l| !l.starts_with('{'));
    assert_eq!(names, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
    let statuses: Vec<Value> =
        states.iter().map(|s| serde_json::from_str::<Value>(s).unwrap()["status"].clone()).collect();
    assert_eq!(statuses, ["creating", "creating", "creating", "running", "stopped"]);
}

#[test]
fn a_hook_that_fails_stops_the_creation() {
    let bundle = Bundle::new(&["true"]);
    bundle.edit(|c| {
        c["hooks"] = json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", "echo no >&2; exit 1"] }] });
    });
    let said = bundle.create("c1");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("createRuntime hook /bin/sh") && said.err.contains("no"), "{}", said.err);
    bundle.assert_empty();
}

#[test]
fn the_end_of_the_sentry_is_the_containers() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    let state: Value = serde_json::from_slice(&std::fs::read(bundle.file("state/c1/state.json")).unwrap()).unwrap();
    for helper in state["helpers"].as_array().unwrap() {
        let pid = helper["pid"].as_i64().unwrap() as i32;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    bundle.await_status("c1", "stopped");
    bundle.succeed(&["delete", "--force", "c1"]);
    bundle.assert_empty();
}

#[test]
fn signals_of_the_host_reach_init_after_a_stop() {
    use nix::sys::signal::{Signal, kill};
    let bundle = Bundle::new(&["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    std::thread::sleep(Duration::from_millis(300));
    let lead = nix::unistd::Pid::from_raw(bundle.state("c1")["pid"].as_i64().unwrap() as i32);
    // The thread that hands signals on takes none while it is stopped.
    let stops = [Signal::SIGSTOP, Signal::SIGCONT].repeat(5);
    for signal in stops.into_iter().chain([Signal::SIGTERM]) {
        kill(lead, signal).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    bundle.await_status("c1", "stopped");
    bundle.succeed(&["delete", "c1"]);
}

#[test]
fn a_sleeping_container_that_is_killed_leaves_no_process() {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    let state: Value = serde_json::from_slice(&std::fs::read(bundle.file("state/c1/state.json")).unwrap()).unwrap();
    bundle.succeed(&["kill", "c1", "KILL"]);
    let alive = |helper: &Value| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", helper["pid"])).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    };
    let began = std::time::Instant::now();
    while state["helpers"].as_array().unwrap().iter().any(alive) {
        assert!(began.elapsed() < Duration::from_secs(5), "a helper outlives the container");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn update_changes_how_many_processes_there_can_be() {
    let bundle = Bundle::new(&["sleep", "1000"]);
    bundle.create("c1");
    bundle.run(&["start", "c1"]);
    let fork = ["exec", "c1", "sh", "-c", "sleep 0 & sleep 0 & sleep 0 & sleep 0 & wait; echo done"];
    assert_eq!(bundle.run(&fork).out, "done\n");
    let said = bundle.run(&["update", "--pids-limit", "3", "c1"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let said = bundle.run(&fork);
    assert!(said.err.contains("can't fork"), "{said:?}");
    bundle.succeed(&["update", "--pids-limit", "-1", "c1"]);
    assert_eq!(bundle.run(&fork).out, "done\n");
}
