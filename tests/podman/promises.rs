//! What must hold whoever runs Podman.

use std::time::{Duration, Instant};

use crate::engine::Podman;

const FOREVER: &str = "echo begun; trap 'exit 143' TERM; while :; do sleep 0.1; done";

/// Until the container has said `text`.
#[track_caller]
fn await_log(podman: &Podman, name: &str, text: &str) {
    let began = Instant::now();
    while !podman.ok(&["logs", name]).contains(text) {
        assert!(began.elapsed() < Duration::from_secs(10), "{name} does not say {text:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn run_passes_output_and_status_on(podman: &Podman) {
    let script = "echo out; echo err >&2; exit 7";
    let said = podman.run(&["run", "--rm", "--network=none", "busybox", "sh", "-c", script]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    let said = podman.run(&["run", "--rm", "--network=none", "busybox", "nosuch"]);
    assert_eq!(said.code, 127, "{said:?}");
    assert_eq!(podman.ok(&["ps", "-a", "-q"]), "");
}

pub fn run_takes_user_environment_directory_and_hostname(podman: &Podman) {
    let flags = ["run", "--rm", "--network=none", "-u", "5:6", "-e", "X=y z", "-w", "/tmp", "-h", "moat"];
    let command = ["busybox", "sh", "-c", "id -u; id -g; echo $X; pwd; hostname"];
    assert_eq!(podman.ok(&[&flags[..], &command].concat()), "5\n6\ny z\n/tmp\nmoat");
}

pub fn volumes_are_shared_with_the_host(podman: &Podman) {
    let shared = podman.make_directory("shared");
    std::fs::write(shared.join("in"), "from the host\n").unwrap();
    let volume = format!("{}:/shared", shared.display());
    let script = "cat /shared/in; echo back > /shared/out";
    let out = podman.ok(&["run", "--rm", "--network=none", "-v", &volume, "busybox", "sh", "-c", script]);
    assert_eq!(out, "from the host");
    assert_eq!(std::fs::read_to_string(shared.join("out")).unwrap(), "back\n");
    let read_only = format!("{volume}:ro");
    let script = "echo no > /shared/out";
    let said = podman.run(&["run", "--rm", "--network=none", "-v", &read_only, "busybox", "sh", "-c", script]);
    assert!(said.code != 0 && said.err.contains("Read-only file system"), "{said:?}");
}

pub fn exec_runs_in_the_container(podman: &Podman) {
    podman.start("c", FOREVER);
    let said = podman.run(&["exec", "-e", "X=1", "c", "sh", "-c", "echo $X; echo err >&2; exit 3"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (3, "1\n", "err\n"));
    assert_eq!(podman.run(&["exec", "c", "nosuch"]).code, 127);
}

pub fn stop_asks_by_sigterm(podman: &Podman) {
    podman.start("c", FOREVER);
    await_log(podman, "c", "begun");
    let began = Instant::now();
    podman.ok(&["stop", "-t", "10", "c"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "143");
}

pub fn stop_kills_who_does_not_hear(podman: &Podman) {
    podman.start("c", "echo begun; exec sleep 1000");
    let began = Instant::now();
    podman.ok(&["stop", "-t", "1", "c"]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(podman.inspect("c", ".State.ExitCode"), "137");
}

pub fn kill_sends_the_signal_that_is_named(podman: &Podman) {
    podman.start("c", "trap 'echo usr1; exit 9' USR1; echo begun; while :; do sleep 0.1; done");
    await_log(podman, "c", "begun");
    podman.ok(&["kill", "-s", "USR1", "c"]);
    assert_eq!(podman.ok(&["wait", "c"]), "9");
    assert!(podman.ok(&["logs", "c"]).contains("usr1"));
    podman.start("d", "while :; do :; done");
    podman.ok(&["kill", "d"]);
    assert_eq!(podman.ok(&["wait", "d"]), "137");
}

pub fn logs_ps_top_and_inspect_tell_of_it(podman: &Podman) {
    podman.start("c", "echo begun; echo err >&2; exec sleep 1000");
    await_log(podman, "c", "begun");
    assert_eq!(podman.ok(&["ps", "--format", "{{.Names}} {{.Image}}"]), "c localhost/busybox:latest");
    let top = podman.ok(&["top", "c"]);
    assert!(top.contains("sleep 1000"), "{top}");
    assert_eq!(podman.inspect("c", ".State.Status"), "running");
    assert!(podman.inspect("c", ".OCIRuntime").ends_with("moat"));
    assert!(podman.inspect("c", ".State.Pid").parse::<i32>().unwrap() > 0);
}

pub fn files_are_copied_in_and_out(podman: &Podman) {
    podman.start("c", FOREVER);
    std::fs::write(podman.file("in"), "in\n").unwrap();
    podman.ok(&["cp", podman.file("in").to_str().unwrap(), "c:/tmp/in"]);
    assert_eq!(podman.ok(&["exec", "c", "cat", "/tmp/in"]), "in");
    podman.ok(&["exec", "c", "sh", "-c", "echo out > /tmp/out"]);
    podman.ok(&["cp", "c:/tmp/out", podman.file("out").to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(podman.file("out")).unwrap(), "out\n");
}

pub fn a_copy_is_seen_by_who_has_looked_before(podman: &Podman) {
    // The shell itself looks names up, before and after.
    let script = "echo old > /etc/there; test -e /etc/missing || read old < /etc/there; echo looked $old; \
                  until test -e /etc/go; do sleep 0.1; done; read new < /etc/there; read made < /etc/missing; \
                  echo saw $new $made; exec sleep 1000";
    podman.start("c", script);
    await_log(podman, "c", "looked old");
    for (name, text) in [("there", "new\n"), ("missing", "made\n"), ("go", "\n")] {
        std::fs::write(podman.file("in"), text).unwrap();
        podman.ok(&["cp", podman.file("in").to_str().unwrap(), &format!("c:/etc/{name}")]);
    }
    await_log(podman, "c", "saw new made");
}

pub fn commit_makes_an_image_of_what_was_written(podman: &Podman) {
    podman.start("c", "echo kept > /kept; echo begun; exec sleep 1000");
    await_log(podman, "c", "begun");
    podman.ok(&["commit", "-q", "c", "image"]);
    assert_eq!(podman.ok(&["run", "--rm", "--network=none", "image", "cat", "/kept"]), "kept");
}

pub fn pause_halts_it_and_unpause_lets_it_go_on(podman: &Podman) {
    if podman.is_rootless() && !std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        eprintln!("skipped: Podman itself refuses an ordinary user's pause under control groups of version 1");
        return;
    }
    podman.start("c", "while :; do echo tick; sleep 0.05; done");
    await_log(podman, "c", "tick");
    podman.ok(&["pause", "c"]);
    assert_eq!(podman.inspect("c", ".State.Status"), "paused");
    std::thread::sleep(Duration::from_millis(100));
    let before = podman.ok(&["logs", "c"]).len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(podman.ok(&["logs", "c"]).len(), before);
    podman.ok(&["unpause", "c"]);
    assert_eq!(podman.inspect("c", ".State.Status"), "running");
    podman.ok(&["exec", "c", "true"]);
}

pub fn a_terminal_is_one(podman: &Podman) {
    let said = podman.on_terminal("run --rm -it --network=none busybox sh", "tty; echo $((6*7)); exit 5\n");
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.out.contains("/dev/") && said.out.contains("42"), "{said:?}");
    podman.start("c", FOREVER);
    let said = podman.on_terminal("exec -it c sh", "tty; echo $((6*7)); exit 6\n");
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.out.contains("/dev/") && said.out.contains("42"), "{said:?}");
}

pub fn restart_runs_it_again(podman: &Podman) {
    podman.start("c", FOREVER);
    podman.ok(&["restart", "-t", "5", "c"]);
    assert_eq!(podman.inspect("c", ".State.Status"), "running");
    podman.ok(&["rm", "-f", "-t", "0", "c"]);
    assert_eq!(podman.ok(&["ps", "-a", "-q"]), "");
}

pub fn top_tells_of_every_process(podman: &Podman) {
    let script = "sleep 1001 & sh -c 'sleep 1002; true' & echo begun; while :; do :; done";
    podman.ok(&["run", "-dt", "--name", "c", "--network=none", "-u", "7:8", "busybox", "sh", "-c", script]);
    await_log(podman, "c", "begun");
    podman.ok(&["exec", "-d", "-u", "9", "c", "sleep", "1003"]);
    // Which is another user by a call of its own.
    let daemon = "echo daemon:x:11:12:::/bin/sh >> /etc/passwd
        exec busybox start-stop-daemon -S -p /none -c daemon -x /bin/sleep -- 1004";
    podman.ok(&["exec", "-d", "-u", "0", "c", "sh", "-c", daemon]);
    let columns = "huser user hpid pid %C etime tty time args";
    let tell = || podman.ok(&[&["top", "c"], &columns.split(' ').collect::<Vec<_>>()[..]].concat());
    let busy = |top: &str| {
        let used = top.lines().find(|line| line.contains("sh -c sleep 1001"));
        used.and_then(|line| line.split_whitespace().nth(4)?.parse::<f64>().ok()).is_some_and(|percent| percent > 1.0)
    };
    // What psgo says of processor time is in whole seconds.
    let began = Instant::now();
    let top = loop {
        let top = tell();
        if busy(&top) {
            break top;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the shell is busy: {top}");
        std::thread::sleep(Duration::from_millis(500));
    };
    let rows: Vec<Vec<&str>> = top.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let row = |arguments: &str| {
        let found = rows.iter().find(|row| row[8..].join(" ").starts_with(arguments));
        found.unwrap_or_else(|| panic!("{arguments} is not there: {top}"))
    };
    assert_eq!(rows.len(), 6, "{top}");
    for (arguments, user, tty) in [
        ("sh -c sleep", "7", "pts/0"),
        ("sleep 1001", "7", "pts/0"),
        ("sleep 1002", "7", "pts/0"),
        ("sleep 1003", "9", "?"),
        ("/bin/sleep 1004", "daemon", "?"),
    ] {
        let row = row(arguments);
        assert_eq!((row[1], row[6]), (user, tty), "{arguments}: {top}");
        // The same process on the host.
        let status = std::fs::read_to_string(format!("/proc/{}/status", row[2])).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("NSpid:").last().map(String::as_str), Some(row[3]), "{arguments}");
        let uid = nix::unistd::Uid::from_raw(field("Uid:")[2].parse().unwrap());
        let name = moat_tests::person::name_of(uid);
        assert!(row[0] == name || row[0] == uid.to_string(), "{name} ({uid}): {top}");
        let command = std::fs::read(format!("/proc/{}/cmdline", row[2])).unwrap();
        assert!(String::from_utf8_lossy(&command).replace('\0', " ").starts_with(arguments));
    }
    assert_eq!(row("sh -c sleep")[3], "1");
}

pub fn top_tells_groups_process_groups_priorities_and_terminals(podman: &Podman) {
    let script = "set -m; sleep 1001 & sh -c 'renice -n 5 -p $$; sleep 1002; true' & setsid sleep 1003 & \
                  echo begun; exec sleep 1000";
    let flags = ["run", "-dt", "--name", "c", "--network=none", "-u", "7:8", "--group-add", "30"];
    podman.ok(&[&flags[..], &["busybox", "sh", "-c", script]].concat());
    await_log(podman, "c", "begun");
    podman.ok(&["exec", "-dt", "-u", "9:10", "c", "sh", "-c", "sleep 1004; true"]);
    // Which is another user, in another group, by calls of its own.
    let daemon = "echo daemon:x:11:12:::/bin/sh >> /etc/passwd
        exec busybox start-stop-daemon -S -p /none -c daemon -x /bin/sleep -- 1005";
    podman.ok(&["exec", "-d", "-u", "0", "c", "sh", "-c", daemon]);
    let columns = "user group rgroup pid pgid nice tty hpid args";
    let tell = || podman.ok(&[&["top", "c"], &columns.split(' ').collect::<Vec<_>>()[..]].concat());
    let began = Instant::now();
    // Until all have been executed.
    let top = loop {
        let top = tell();
        if (1000..=1005).all(|n| top.lines().any(|line| line.trim_end().ends_with(&format!("sleep {n}")))) {
            break top;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{top}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let rows: Vec<Vec<&str>> = top.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let row = |arguments: &str| {
        let found = rows.iter().find(|row| row[8..].join(" ").ends_with(arguments));
        found.unwrap_or_else(|| panic!("{arguments} is not there: {top}"))
    };
    for (arguments, user, group, nice, tty, leads) in [
        ("sleep 1000", "7", "8", "0", "pts/0", true),
        ("sleep 1001", "7", "8", "0", "pts/0", true),
        ("sleep 1002", "7", "8", "5", "pts/0", false),
        ("sleep 1003", "7", "8", "0", "?", true),
        ("sleep 1004", "9", "10", "0", "pts/1", false),
        ("sleep 1005", "daemon", "12", "0", "?", true),
    ] {
        let row = row(arguments);
        assert_eq!(row[..3], [user, group, group], "{arguments}: {top}");
        assert_eq!((row[5], row[6]), (nice, tty), "{arguments}: {top}");
        assert_eq!(row[3] == row[4], leads, "{arguments}: {top}");
        // The same process on the host: its group and terminal are behind state and parent, its nice value later.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", row[7])).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        assert_eq!(
            (fields[2] == row[7], fields[4] != "0", fields[16]),
            (leads, tty != "?", nice),
            "{arguments}: {stat}"
        );
    }
    // Who has the shell of the same job as its parent is in its group.
    let nice = rows.iter().find(|row| row[8] == "sh" && row[5] == "5").unwrap();
    assert_eq!((row("sleep 1002")[4], nice[3]), (nice[4], nice[4]), "{top}");
    let groups = podman.ok(&["top", "c", "pid", "groups"]);
    assert!(groups.lines().any(|line| line.split_whitespace().eq(["1", "8,30"])), "{groups}");
}

pub fn the_hosts_network_is_reached_where_that_is_asked_for(podman: &Podman) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = std::io::Read::read(&mut client, &mut [0; 1024]);
        std::io::Write::write_all(&mut client, b"HTTP/1.0 200 OK\r\n\r\nfrom the host\n").unwrap();
    });
    let get = ["run", "--rm", "--network=host", "busybox", "/bin/busybox", "wget", "-qO-", url.as_str()];
    assert_ne!(podman.run(&get).code, 0);
    assert_eq!(podman.ok(&[&["--runtime-flag", "network=host"], &get[..]].concat()), "from the host");
    server.join().unwrap();
}
