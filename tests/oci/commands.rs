//! `moat do`: a command of this machine in a sandbox.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use moat_tests::bundle::wait;
use moat_tests::run::moat_binary;
use moat_tests::said::Said;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A directory that sandboxes see as a volume, with their state.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(moat_binary().unwrap());
        command.arg("--root").arg(self.0.path().join("state")).args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments), self.0.path())
    }

    /// Starts a shell's script and waits until it has said a line.
    fn start(&self, script: &str) -> Child {
        let mut command = self.command(&["do", "--no-tty", "--", "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"begun\n");
        child
    }

    #[track_caller]
    fn assert_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.0.path().join("state")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_a_command_changes_stays_in_memory() {
    let place = Place::new();
    let file = format!("/var/tmp/moat-do-{}", std::process::id());
    std::fs::write(&file, "before\n").unwrap();
    let script = format!("echo after > {file}; echo new > {file}.new; rm /etc/passwd; cat {file} {file}.new");
    let said = place.run(&["do", "--no-tty", "--", "sh", "-c", &script]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "after\nnew\n", ""));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "before\n");
    assert!(!Path::new(&format!("{file}.new")).exists() && Path::new("/etc/passwd").exists());
    std::fs::remove_file(file).unwrap();
    place.assert_empty();
}

#[test]
fn with_rw_the_host_is_changed() {
    let place = Place::new();
    let file = format!("/var/tmp/moat-rw-{}", std::process::id());
    let script = format!("echo written > {file}");
    let said = place.run(&["do", "--no-tty", "--rw", "--", "sh", "-c", &script]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "written\n");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn volumes_are_the_hosts() {
    let place = Place::new();
    std::fs::write(place.0.path().join("in"), "in\n").unwrap();
    let volume = format!("{}:/mnt", place.path());
    let said = place.run(&["do", "--no-tty", "--volume", &volume, "--", "sh", "-c", "cat /mnt/in; echo x > /mnt/out"]);
    assert_eq!((said.code, said.out.as_str()), (0, "in\n"), "{said:?}");
    assert_eq!(std::fs::read_to_string(place.0.path().join("out")).unwrap(), "x\n");
    let said = place.run(&["do", "--no-tty", "-v", &format!("{volume}:ro"), "--", "touch", "/mnt/no"]);
    assert!(said.code != 0 && said.err.contains("Read-only file system"), "{said:?}");
    let said = place.run(&["do", "-v", "/nonexistent:/mnt", "--", "true"]);
    assert!(said.code == 125 && said.err.contains("--volume /nonexistent:/mnt"), "{said:?}");
}

#[test]
fn environment_and_directory_are_the_callers_to_choose() {
    let place = Place::new();
    let mut command = place.command(&["do", "--no-tty", "--env", "A=1 2", "-e", "B", "-e", "C", "--cwd", "/usr"]);
    command.args(["--", "sh", "-c", "echo $A; echo $B; echo ${C-unset}; echo ${SECRET-unset}; pwd"]);
    command.env("B", "b").env("SECRET", "s").env_remove("C");
    let said = Said::of(command, place.0.path());
    assert_eq!(said.out, "1 2\nb\nunset\nunset\n/usr\n", "{said:?}");
}

#[test]
fn exit_codes_are_a_shells() {
    let place = Place::new();
    for (command, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["nosuchcommand"], 127),
        (&["/nosuch/command"], 127),
        (&["/etc"], 126),
        (&["/etc/passwd"], 126),
        (&["sh", "-c", "kill -TERM $$; sleep 10"], 128 + 15),
        (&["sh", "-c", "kill -SEGV $$; sleep 10"], 128 + 11),
    ] {
        let said = place.run(&[&["do", "--no-tty", "--"], command].concat());
        assert_eq!(said.code, code, "{command:?}: {said:?}");
        assert!(said.err.lines().count() <= 1, "{said:?}");
    }
    assert_eq!(place.run(&["--platform=nosuch", "do", "--", "true"]).code, 1);
    place.assert_empty();
}

#[test]
fn the_network_is_loopback_only() {
    let place = Place::new();
    let said = place.run(&["do", "--no-tty", "--network=none", "--", "cat", "/proc/net/dev"]);
    let names: Vec<&str> = said.out.lines().skip(2).filter_map(|l| l.split(':').next()).map(str::trim).collect();
    assert_eq!(names, ["lo"], "{said:?}");
}

#[test]
fn calls_are_printed_on_standard_error_or_to_a_file() {
    let place = Place::new();
    let said = place.run(&["--strace", "do", "--no-tty", "--", "true"]);
    assert!(said.code == 0 && said.err.contains("execve(") && said.err.contains("exit_group(0)"), "{said:?}");
    let file = place.0.path().join("trace");
    let said = place.run(&[&format!("--strace={}", file.display()), "do", "--no-tty", "--", "true"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(std::fs::read_to_string(file).unwrap().contains("exit_group(0)"));
    let said = place.run(&["--strace=/nonexistent/trace", "do", "--", "true"]);
    assert!(said.code == 125 && said.err.contains("--strace=/nonexistent/trace"), "{said:?}");
}

#[test]
fn messages_of_the_sandbox_go_where_they_are_wanted() {
    let place = Place::new();
    let file = place.0.path().join("messages");
    let said = place.run(&["--debug-log", file.to_str().unwrap(), "do", "--no-tty", "--", "true"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(file.exists());
    let said = place.run(&["--debug-log=/nonexistent/log", "do", "--no-tty", "--", "true"]);
    assert!(said.code == 125 && said.err.contains("--debug-log /nonexistent/log"), "{said:?}");
    place.assert_empty();
}

/// By script(1): whether standard input and output are terminals decides.
#[test]
fn a_terminal_is_given_where_there_is_one() {
    let place = Place::new();
    for (flags, command, text) in [("", "tty", "/dev/pts/"), ("--no-tty", "true", ""), ("", "sh", "42")] {
        let line =
            format!("exec {} --root {}/state do {flags} -- {command}", moat_binary().unwrap().display(), place.path());
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b"echo $((6*7)); exit\n").unwrap();
        let status = wait(&mut child, Duration::from_secs(20)).expect("it ends");
        let mut out = String::new();
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        assert!(status.success() && out.contains(text), "{command}: {out}");
    }
    let said = place.run(&["do", "--", "tty"]);
    assert_eq!((said.code, said.out.as_str()), (1, "not a tty\n"), "{said:?}");
}

#[test]
fn signals_go_to_the_command() {
    let place = Place::new();
    for (signal, script, code) in [
        (Signal::SIGTERM, "echo begun; exec sleep 100", 128 + 15),
        (Signal::SIGINT, "echo begun; exec sleep 100", 128 + 2),
        (Signal::SIGHUP, "echo begun; exec sleep 100", 128 + 1),
        (Signal::SIGTERM, "trap 'exit 3' TERM; echo begun; while :; do sleep 0.1; done", 3),
    ] {
        let mut child = place.start(script);
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let status = wait(&mut child, Duration::from_secs(20));
        assert_eq!(status.and_then(|s| s.code()), Some(code), "{signal}: {script}");
        place.assert_empty();
    }
}

#[test]
fn a_signal_that_is_ignored_is_not_passed_on() {
    let place = Place::new();
    let line =
        format!("trap '' HUP; exec {} --root {}/state do --no-tty -- ", moat_binary().unwrap().display(), place.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{line} sh -c 'echo begun; sleep 1; exit 4'")]).stdin(Stdio::null());
    let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).unwrap();
    assert_eq!(wait(&mut child, Duration::from_secs(20)).and_then(|s| s.code()), Some(4));
}

#[test]
fn a_sandbox_ends_with_its_killed_caller() {
    let place = Place::new();
    let mut child = place.start("echo begun; exec sleep 100");
    let id = format!("do-{}", child.id());
    assert_eq!(place.run(&["ps", "-f", "json", &id]).code, 0);
    child.kill().unwrap();
    child.wait().unwrap();
    // The end of its output tells of the end of the sandbox.
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    let state = place.0.path().join("state").join(&id);
    for _ in 0..500 {
        if !state.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    place.assert_empty();
    let left: Vec<_> = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().collect();
    assert!(left.iter().all(|hierarchy| !hierarchy.path().join(&id).exists()));
}
