//! What the confined processes ask of the host, beside the published lists: while the differential programs run, strace
//! counts the calls of sentry and gofer. A call that is not listed fails the test (outside of it, it ends the process, and
//! the host's log names it); a listed one that nothing made is reported.
#![allow(missing_docs)]

#[path = "../differential/compile.rs"]
mod compile;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moat_tests::run::moat_binary;
use serde_json::Value;

/// The lists' files, each with the lists of a process that has the default network.
const GOFER: (&str, &[&str]) = ("gofer/seccomp/gofer.json", &["gofer"]);
const SENTRY: (&str, &[&str]) = ("runtime/seccomp/sentry.json", &["sentry", "errno"]);

/// Names of calls.
type Calls = BTreeSet<String>;

fn listed((file, lists): (&str, &[&str])) -> Calls {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let entries = lists.iter().flat_map(|list| json[list]["filter"].as_array().unwrap());
    entries.map(|entry| entry["syscall"].as_str().unwrap().to_owned()).collect()
}

/// The child of `parent` with this name, not the container's, once it is there and confined.
fn confined_child(parent: u32, name: &str) -> u32 {
    let began = Instant::now();
    loop {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim();
            // The lead, in a pid namespace of its own, is called as the sentry until it has a program.
            let outside = field("NSpid:").split_whitespace().count() == 1;
            if field("PPid:") == parent.to_string() && field("Name:") == name && field("Seccomp:") == "2" && outside {
                return field("Pid:").parse().unwrap();
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no {name} that is confined");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Counts the calls of a process from now on.
fn count(pid: u32, to: &Path) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(to).stderr(Stdio::null());
    strace.spawn().unwrap()
}

/// The names in a summary of strace's. Before it there may be lines of calls that were under way when their thread ended.
fn made(summary: &Path) -> Calls {
    let text = fs::read_to_string(summary).unwrap_or_default();
    let rows = text.lines().skip_while(|line| !line.starts_with("------")).skip(1);
    let rows = rows.take_while(|line| !line.starts_with("------"));
    rows.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

/// The calls of gofer and sentry while the programs run on a platform.
fn run_all(platform: &str, programs: &[std::path::PathBuf]) -> (Calls, Calls) {
    let place = tempfile::tempdir().unwrap();
    // In a directory of the host's, so that the gofer has something to do.
    let shared = place.path().join("shared");
    fs::create_dir(&shared).unwrap();
    let mut script = format!("read go\ncd {}\n", shared.display());
    for program in programs {
        script += &format!(
            "mkdir d; cd d; timeout -s KILL 20 {} < /dev/null > /dev/null 2>&1; cd ..; rm -rf d\n",
            program.display()
        );
    }
    let mut moat = Command::new(moat_binary().unwrap());
    moat.arg("--root").arg(place.path()).args(["--platform", platform, "--unlisted=log", "do", "--no-tty"]);
    moat.arg("--volume").arg(&shared).arg("--");
    // Not what the last rm said: what a program has left behind may still write there.
    script += "exit 0\n";
    let errors = place.path().join("errors");
    moat.args(["sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut running = moat.stderr(fs::File::create(&errors).unwrap()).spawn().unwrap();
    let summaries = [place.path().join("gofer"), place.path().join("sentry")];
    let mut counting = [
        count(confined_child(running.id(), "moat-gofer"), &summaries[0]),
        count(confined_child(running.id(), "moat-sentry"), &summaries[1]),
    ];
    // strace attaches to one thread after the other, and says nothing.
    std::thread::sleep(Duration::from_secs(1));
    running.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let status = running.wait().unwrap();
    assert!(status.success(), "{platform}: {status}: {}", fs::read_to_string(&errors).unwrap_or_default());
    for strace in &mut counting {
        strace.wait().unwrap();
    }
    (made(&summaries[0]), made(&summaries[1]))
}

#[test]
fn what_is_asked_is_listed_and_what_is_listed_is_asked() {
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: needs root and package strace");
        return;
    }
    let sources = compile::programs().unwrap();
    let programs: Vec<_> = sources.iter().map(|source| compile::compile(source).unwrap()).collect();
    let (mut gofer, mut sentry) = (Calls::new(), Calls::new());
    for platform in ["ptrace", "trap"] {
        let (of_gofer, of_sentry) = run_all(platform, &programs);
        assert!(of_gofer.len() > 5 && of_sentry.len() > 20, "{platform}: {of_gofer:?} {of_sentry:?}");
        gofer.extend(of_gofer);
        sentry.extend(of_sentry);
    }
    let mut unlisted = Vec::new();
    for (name, list, made) in [("gofer", GOFER, &gofer), ("sentry", SENTRY, &sentry)] {
        let listed = listed(list);
        let unused: Vec<_> = listed.difference(made).map(String::as_str).collect();
        println!("{name}: listed, but made by nothing: {}", unused.join(" "));
        unlisted.extend(made.difference(&listed).map(|call| format!("{name}: {call}")));
    }
    assert!(unlisted.is_empty(), "made, but not listed: {unlisted:?}");
}
