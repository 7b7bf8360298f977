//! Processes of ours that are stopped.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::scene::{ID, Scene};

#[test]
fn a_container_with_a_stopped_sentry_can_be_killed() {
    let scene = Scene::running();
    kill(scene.processes().sentry, Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    assert_eq!(scene.bundle.state(ID)["status"], "running");
    scene.ok(&["list"]);
    scene.ok(&["kill", ID, "KILL"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    // The lead has ended; the sentry, which is stopped, is ended too.
    scene.delete();
}

#[test]
fn a_container_with_a_stopped_gofer_can_be_killed() {
    let scene = Scene::running();
    kill(scene.processes().gofer, Signal::SIGSTOP).unwrap();
    let mut exec = scene.spawn(&["exec", ID, "ls", "/etc"]);
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    scene.ok(&["kill", ID, "KILL"]);
    scene.bundle.await_status(ID, "stopped");
    assert!(began.elapsed() < Duration::from_secs(5));
    scene.delete();
    exec.wait().unwrap();
}

#[test]
fn a_stopped_gofer_gives_errors_after_a_while() {
    // It has all that it needs before: what a name needs that was not asked for yet, the gofer must be asked.
    let script = "echo begun; read line < /tmp/fifo; cat /etc/new; echo status $?; sleep 1000";
    let scene = Scene::new(&["sh", "-c", script]);
    std::fs::write(scene.bundle.file("rootfs/etc/new"), "contents\n").unwrap();
    nix::unistd::mkfifo(&scene.bundle.file("rootfs/tmp/fifo"), nix::sys::stat::Mode::from_bits_truncate(0o666))
        .unwrap();
    let output = scene.bundle.file("output");
    let mut create = scene.bundle.command(&["create", "--bundle", scene.bundle.path(), ID]);
    let stream = std::fs::File::create(&output).unwrap();
    create.stdout(stream.try_clone().unwrap()).stderr(stream);
    assert!(create.status().unwrap().success());
    scene.ok(&["start", ID]);
    let read = || std::fs::read_to_string(&output).unwrap();
    let wait = |text: &str, patience: u64| {
        let began = Instant::now();
        while !read().contains(text) {
            assert!(began.elapsed() < Duration::from_secs(patience), "{text:?} is not said: {:?}", read());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait("begun", 10);
    scene.ok(&["exec", "-d", ID, "sh", "-c", "sleep 1; echo go > /tmp/fifo"]);
    std::thread::sleep(Duration::from_millis(500));
    kill(scene.processes().gofer, Signal::SIGSTOP).unwrap();
    // The client's patience is half a minute.
    wait("status", 60);
    assert!(!read().contains("contents") && !read().contains("status 0"), "{}", read());
    scene.ok(&["kill", ID, "KILL"]);
    scene.bundle.await_status(ID, "stopped");
    scene.delete();
}
