//! A Podman with storage and state of its own, whose runtime is the one under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use moat_tests::busybox;
use moat_tests::person::Person;
use moat_tests::run::{moat_binary, platform};
use moat_tests::said::Said;

/// An engine with an image `busybox`. With it goes all that it has made.
pub struct Podman {
    directory: tempfile::TempDir,
    person: Option<Person>,
}

/// Keeps a promise as root.
pub fn as_root(promise: fn(&Podman)) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    if let Some(podman) = Podman::new(None) {
        promise(&podman);
    }
}

/// Keeps a promise as an ordinary user with subordinate ids.
pub fn as_ordinary_user(promise: fn(&Podman)) {
    match Person::new() {
        Err(why) => eprintln!("skipped: {why:#}"),
        Ok(person) => {
            if let Some(podman) = Podman::new(Some(person)) {
                promise(&podman);
            }
        }
    }
}

impl Podman {
    /// `None`, and a word why, where Podman cannot run.
    fn new(person: Option<Person>) -> Option<Self> {
        if !["/usr/bin/podman", "/usr/bin/conmon", busybox::PROGRAM].iter().all(|p| Path::new(p).exists()) {
            eprintln!("skipped: needs packages podman and busybox-static");
            return None;
        }
        let podman = Self { directory: tempfile::tempdir().unwrap(), person };
        let limits = match podman.person {
            None => "default_ulimits = [\"nofile=1024:4096\", \"nproc=4096:4096\"]\n",
            Some(_) => "",
        };
        let text = format!("[containers]\n{limits}[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n");
        std::fs::write(podman.file("containers.conf"), text).unwrap();
        // An ordinary user may not reach the directory in which it was built.
        std::fs::create_dir(podman.file("bin")).unwrap();
        std::fs::copy(moat_binary().unwrap(), podman.file("bin/moat")).unwrap();
        if let Some(person) = &podman.person {
            person.own(podman.directory.path()).unwrap();
        }
        let rootfs = podman.file("rootfs");
        busybox::make_root(&rootfs).unwrap();
        let archive = podman.file("rootfs.tar");
        let made = Command::new("tar").arg("-C").arg(&rootfs).arg("-cf").arg(&archive).arg(".").status().unwrap();
        assert!(made.success());
        podman.ok(&["import", archive.to_str().unwrap(), "busybox"]);
        Some(podman)
    }

    /// Whether it is an ordinary user's.
    pub fn is_rootless(&self) -> bool {
        self.person.is_some()
    }

    /// A command of who runs Podman.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some(person) = &self.person {
            person.runs(&mut command, self.directory.path());
        }
        command.env("CONTAINERS_CONF", self.file("containers.conf"));
        command
    }

    /// A directory of who runs Podman, for a volume.
    pub fn make_directory(&self, name: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::create_dir(&path).unwrap();
        if let Some(person) = &self.person {
            person.own(&path).unwrap();
        }
        path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command line before the verb; a command that hangs is ended. It stays in the foreground of its terminal.
    fn words(&self) -> Vec<String> {
        let path = |name: &str| self.file(name).to_str().unwrap().to_owned();
        let mut words = ["timeout", "--foreground", "-k", "1", "30", "podman"].map(str::to_owned).to_vec();
        for (flag, value) in [("--root", path("root")), ("--runroot", path("run")), ("--tmpdir", path("tmp"))] {
            words.extend([flag.to_owned(), value]);
        }
        words.extend(["--storage-driver".into(), "vfs".into()]);
        words.extend(["--runtime".into(), path("bin/moat")]);
        if let Some(platform) = platform() {
            words.extend(["--runtime-flag".into(), format!("platform={platform}")]);
        }
        words
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let words = self.words();
        let mut command = self.command(&words[0]);
        command.args(&words[1..]).args(arguments);
        command.stdin(Stdio::null()).output().unwrap().into()
    }

    /// Starts a verb, and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> std::process::Child {
        let words = self.words();
        // Not by timeout(1): it is the engine itself that is to be had.
        let engine = words.iter().position(|w| w == "podman").unwrap();
        let mut command = self.command(&words[engine]);
        command.args(&words[engine + 1..]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Deletes what a killed engine or monitor has left of containers that the engine no longer knows, with any runtime;
    /// nobody of theirs is left then.
    #[track_caller]
    pub fn delete_forgotten(&self) {
        let directory = self.directory.path().to_str().unwrap();
        let names = |file: PathBuf| std::fs::read(file).is_ok_and(|t| String::from_utf8_lossy(&t).contains(directory));
        let listed = |at: &str| std::fs::read_dir(at).into_iter().flatten().flatten().map(|e| e.path());
        let began = std::time::Instant::now();
        loop {
            let states: Vec<PathBuf> = listed("/run/moat").filter(|c| names(c.join("state.json"))).collect();
            for id in states.iter().filter_map(|container| container.file_name()) {
                let deleted =
                    self.command(self.file("bin/moat").to_str().unwrap()).args(["delete", "--force"]).arg(id).status();
                assert!(deleted.unwrap().success(), "{id:?}");
            }
            let people: Vec<PathBuf> = listed("/proc").filter(|process| names(process.join("cmdline"))).collect();
            if states.is_empty() && people.is_empty() {
                return;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "{states:?} {people:?}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// Runs a verb that must succeed; its output without the last line's end.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out.trim_end().to_owned()
    }

    /// Runs a verb on a terminal, by script(1). The arguments must need no quotes but `'`.
    pub fn on_terminal(&self, arguments: &str, input: &str) -> Said {
        let line = format!("{} {arguments}", self.words().join(" "));
        let mut command = self.command("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
        let said = child.wait_with_output().unwrap().into();
        drop(stdin);
        said
    }

    /// Starts a container of this name in the background.
    #[track_caller]
    pub fn start(&self, name: &str, script: &str) {
        self.ok(&["run", "-d", "--name", name, "--network=none", "busybox", "sh", "-c", script]);
    }

    /// One field of a container.
    #[track_caller]
    pub fn inspect(&self, name: &str, field: &str) -> String {
        self.ok(&["inspect", "--format", &format!("{{{{{field}}}}}"), name])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let said = self.run(&["rm", "-a", "-f", "-t", "0"]);
        if said.code != 0 {
            eprintln!("{said:?}");
        }
        // What keeps an ordinary user's namespaces alive between the verbs.
        let keeper = std::fs::read_to_string(self.file("tmp/pause.pid")).ok().and_then(|pid| pid.trim().parse().ok());
        if let Some(pid) = keeper {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        for mount in ["root/vfs", "root/overlay", "root"] {
            let _ = nix::mount::umount2(&self.file(mount), nix::mount::MntFlags::MNT_DETACH);
        }
    }
}
