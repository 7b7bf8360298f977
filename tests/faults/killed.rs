//! kill -9, of everybody, at each step.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use moat_tests::bundle::Bundle;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::engine::as_root;
use crate::scene::{ID, Scene, murder};

/// When a verb is killed, in milliseconds from its start: on an idle machine they end after some 20.
const MOMENTS: [u64; 12] = [0, 1, 2, 3, 5, 7, 9, 12, 16, 22, 35, 60];

fn verb_killed(before: &[&[&str]], verb: &[&str]) {
    for moment in MOMENTS {
        let scene = Scene::new(&["sleep", "1000"]);
        let with_bundle = |arguments: &[&str]| -> Vec<String> {
            arguments.iter().map(|a| if *a == "BUNDLE" { scene.bundle.path() } else { a }.to_owned()).collect()
        };
        let words = |arguments: &'_ [String]| -> Vec<&'static str> {
            arguments.iter().map(|a| &*Box::leak(a.clone().into_boxed_str())).collect()
        };
        for arguments in before {
            scene.ok(&words(&with_bundle(arguments)));
        }
        let mut child = scene.spawn(&words(&with_bundle(verb)));
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever it was at, others get an answer in time.
        scene.bundle.run(&["state", ID]);
        scene.bundle.run(&["kill", ID, "TERM"]);
        scene.delete();
    }
}

#[test]
fn a_killed_create_leaves_nothing() {
    verb_killed(&[], &["create", "--bundle", "BUNDLE", ID]);
}

#[test]
fn a_killed_run_leaves_nothing() {
    verb_killed(&[], &["run", "--bundle", "BUNDLE", ID]);
}

#[test]
fn a_killed_start_leaves_nothing() {
    verb_killed(&[&["create", "--bundle", "BUNDLE", ID]], &["start", ID]);
}

#[test]
fn a_killed_exec_leaves_nothing() {
    let before: &[&[&str]] = &[&["create", "--bundle", "BUNDLE", ID], &["start", ID]];
    verb_killed(before, &["exec", ID, "sleep", "1000"]);
}

#[test]
fn a_killed_delete_can_be_repeated() {
    let before: &[&[&str]] = &[&["create", "--bundle", "BUNDLE", ID], &["start", ID]];
    verb_killed(before, &["delete", "--force", ID]);
}

fn assert_stopped(scene: &Scene) {
    scene.bundle.await_status(ID, "stopped");
    assert!(scene.refused(&["kill", ID, "TERM"]).contains("container not running"));
    assert!(scene.refused(&["exec", ID, "true"]).contains("cannot exec in a stopped container"));
    assert!(scene.refused(&["start", ID]).contains("cannot start a container that has stopped"));
    assert!(scene.refused(&["pause", ID]).contains("container not running"));
    assert_eq!(scene.ok(&["ps", "-f", "json", ID]).out, "[]\n");
}

/// A container that was created, one that runs, one that is paused.
fn at_each_step(check: impl Fn(&Scene)) {
    for step in ["created", "running", "paused"] {
        let scene = Scene::new(&["sh", "-c", "sleep 1000 & wait"]);
        scene.ok(&["create", "--bundle", scene.bundle.path(), ID]);
        if step != "created" {
            scene.ok(&["start", ID]);
        }
        if step == "paused" {
            scene.ok(&["pause", ID]);
        }
        assert_eq!(scene.bundle.state(ID)["status"], step);
        check(&scene);
        scene.delete();
    }
}

#[test]
fn a_container_ends_with_its_lead() {
    at_each_step(|scene| {
        murder(scene.processes().lead);
        assert_stopped(scene);
    });
}

#[test]
fn a_container_ends_with_its_sentry() {
    at_each_step(|scene| {
        murder(scene.processes().sentry);
        assert_stopped(scene);
    });
}

#[test]
fn a_killed_lead_and_sentry_are_deleted_without_force() {
    for who in [0, 1] {
        let scene = Scene::running();
        let processes = scene.processes();
        murder(if who == 0 { processes.lead } else { processes.sentry });
        scene.bundle.await_status(ID, "stopped");
        scene.ok(&["delete", ID]);
        scene.assert_nothing_left();
    }
}

#[test]
fn without_its_gofer_a_container_has_no_files() {
    at_each_step(|scene| {
        murder(scene.processes().gofer);
        // It may or may not go on, but it can be asked and ended.
        if scene.bundle.state(ID)["status"] == "running" {
            let error = scene.refused(&["exec", ID, "ls", "/etc"]);
            assert!(error.contains("exec"), "{error}");
        }
        scene.bundle.run(&["kill", ID, "KILL"]);
        scene.bundle.await_status(ID, "stopped");
    });
}

/// `script` is what init's only child does.
fn stub_killed(script: &str) {
    let scene = Scene::new(&["sh", "-c", &format!("sh -c '{script}'; exit $?")]);
    let mut run = scene.spawn(&["run", "--bundle", scene.bundle.path(), ID]);
    let began = Instant::now();
    let child = loop {
        assert!(began.elapsed() < Duration::from_secs(20), "init has no child");
        std::thread::sleep(Duration::from_millis(50));
        let said = scene.bundle.run(&["ps", "-f", "json", ID]);
        let pids: Vec<i32> = serde_json::from_str(&said.out).unwrap_or_default();
        if let Some(child) = pids.iter().find(|pid| pids.contains(&parent(**pid))) {
            break *child;
        }
    };
    murder(Pid::from_raw(child));
    // Its parent has reaped it.
    let status = moat_tests::bundle::wait(&mut run, Duration::from_secs(20));
    assert_eq!(status.and_then(|s| s.code()), Some(137));
    scene.assert_nothing_left();
}

#[test]
fn a_killed_stub_is_a_killed_process() {
    stub_killed("while :; do :; done");
}

#[test]
fn a_stub_that_is_killed_in_its_sleep_is_a_killed_process() {
    stub_killed("exec sleep 1000");
}

fn parent(pid: i32) -> i32 {
    moat_tests::process::number(pid as u64, "PPid:") as i32
}

#[test]
fn without_conmon_podman_can_still_remove_a_container() {
    as_root(|podman| {
        podman.start("c", "while :; do echo tick; sleep 0.05; done");
        let monitor: i32 = podman.inspect("c", ".State.ConmonPid").parse().unwrap();
        let lead: i32 = podman.inspect("c", ".State.Pid").parse().unwrap();
        murder(Pid::from_raw(monitor));
        podman.ok(&["rm", "-f", "-t", "0", "c"]);
        podman.delete_forgotten();
        for _ in 0..500 {
            if !std::path::Path::new(&format!("/proc/{lead}/exe")).exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let state = std::fs::read_to_string(format!("/proc/{lead}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
        assert_eq!(podman.ok(&["ps", "-a", "-q"]), "");
    });
}

#[test]
fn a_killed_podman_leaves_the_container_to_the_next() {
    as_root(|podman| {
        for moment in [0, 50, 100, 200, 400] {
            let mut child = podman.spawn(&["run", "--name", "c", "--network=none", "busybox", "sleep", "1000"]);
            std::thread::sleep(Duration::from_millis(moment));
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            child.wait().unwrap();
            podman.run(&["rm", "-f", "-t", "0", "c"]);
            podman.delete_forgotten();
        }
        assert_eq!(podman.ok(&["ps", "-a", "-q"]), "");
    });
}

/// Kills `moat do`, and first the process that would clean up behind it.
fn murder_with_keeper(child: &mut Child) {
    let pid = child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let is_keeper = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "moat-keeper")
    };
    let keeper = children.split_ascii_whitespace().find(is_keeper).expect("there is a keeper");
    murder(Pid::from_raw(keeper.parse().unwrap()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_sandbox_that_nobody_could_clean_up_is_taken_away_by_the_next() {
    let bundle = Bundle::with_empty_root(&[]);
    let start = || {
        let mut command = bundle.command(&["do", "--no-tty", "--", "sh", "-c", "echo begun; sleep 1000"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        let id = format!("do-{}", child.id());
        (child, id)
    };
    let ((mut one, killed), (mut other, lives)) = (start(), start());
    murder_with_keeper(&mut one);
    let sweep = bundle.run(&["do", "--no-tty", "--", "true"]);
    assert_eq!((sweep.code, sweep.err.as_str()), (0, ""));
    let state = bundle.file("state");
    assert!(!state.join(&killed).exists());
    let groups = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
    let left: Vec<_> = groups.map(|group| group.join(&killed)).filter(|group| group.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    // The end of its output tells of the end of its processes.
    let mut rest = String::new();
    one.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    // The other one goes on.
    assert_eq!(bundle.run(&["ps", "-f", "json", &lives]).code, 0);
    kill(Pid::from_raw(other.id() as i32), Signal::SIGTERM).unwrap();
    let status = moat_tests::bundle::wait(&mut other, Duration::from_secs(20));
    assert_eq!(status.and_then(|s| s.code()), Some(128 + 15));
    bundle.assert_empty();
}

#[test]
fn several_that_start_at_once_take_one_away_together() {
    let bundle = Bundle::with_empty_root(&[]);
    for moment in [0, 2, 5, 9, 16] {
        let mut child = bundle.command(&["do", "--no-tty", "--", "sleep", "1000"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let start = |_| bundle.command(&["do", "--no-tty", "--", "true"]).stderr(Stdio::piped()).spawn().unwrap();
    let said = (0..4).map(start).collect::<Vec<_>>().into_iter().map(|child| child.wait_with_output().unwrap());
    for said in said {
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    }
    // One that was killed before it made its directory is followed by nothing, the others by keeper or sweep.
    let began = Instant::now();
    while std::fs::read_dir(bundle.file("state")).unwrap().next().is_some() {
        assert!(began.elapsed() < Duration::from_secs(10), "something is left behind");
        assert_eq!(bundle.run(&["do", "--no-tty", "--", "true"]).code, 0);
    }
}
