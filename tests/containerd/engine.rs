//! A containerd with directories and a socket of its own, whose runtime is the one under test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moat_tests::busybox;
use moat_tests::run::moat_binary;
use moat_tests::said::Said;

/// The daemon. With it goes all that it has made.
pub struct Containerd {
    directory: tempfile::TempDir,
    daemon: Child,
}

impl Containerd {
    /// `None`, and a word why, where containerd cannot run.
    pub fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        if !["/usr/bin/containerd", "/usr/bin/ctr", busybox::PROGRAM].iter().all(|p| Path::new(p).exists()) {
            eprintln!("skipped: needs packages containerd and busybox-static");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let rootfs = file("rootfs");
        busybox::make_root(&rootfs).unwrap();
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{0}/socket\"\n",
            directory.path().display()
        );
        std::fs::write(file("config.toml"), config).unwrap();
        let log = std::fs::File::create(file("log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("-c").arg(file("config.toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = command.spawn().unwrap();
        let containerd = Self { directory, daemon };
        let began = Instant::now();
        while containerd.run(&["version"]).code != 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "containerd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(containerd)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// containerd's namespace: also the name of the cgroup above those of its containers, which nobody removes.
    fn namespace(&self) -> String {
        let name = self.directory.path().file_name().unwrap().to_str().unwrap();
        format!("moat-{}", name.trim_start_matches(".tmp"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["-k", "1", "20", "ctr", "-a"])
            .arg(self.file("socket"))
            .args(["-n", &self.namespace()])
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command of ctr to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command of ctr that must succeed; its output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// `ctr run` with these flags of a shell's script.
    pub fn run_script(&self, flags: &[&str], id: &str, script: &str) -> Said {
        let (moat, state, rootfs) = (moat_binary().unwrap(), self.file("moat"), self.file("rootfs"));
        let [moat, state, rootfs] = [&moat, &state, &rootfs].map(|p| p.to_str().unwrap());
        let runtime = ["--runtime", "io.containerd.runc.v2", "--runc-binary", moat, "--runc-root", state];
        let command = ["--rootfs", rootfs, id, "/bin/sh", "-c", script];
        self.run(&[&["run"], flags, &runtime, &command].concat())
    }

    /// Starts a container of this name in the background.
    #[track_caller]
    pub fn start(&self, id: &str, script: &str) {
        let said = self.run_script(&["-d"], id, script);
        assert_eq!(said.code, 0, "{said:?}");
    }

    /// The state of a task as `tasks ls` shows it; empty if there is none.
    pub fn status(&self, id: &str) -> String {
        let list = self.ok(&["tasks", "ls"]);
        let line = list.lines().find(|l| l.split_whitespace().next() == Some(id));
        line.and_then(|l| l.split_whitespace().nth(2)).unwrap_or_default().to_owned()
    }

    /// Waits until the task has this state.
    #[track_caller]
    pub fn await_status(&self, id: &str, status: &str) {
        let began = Instant::now();
        while self.status(id) != status {
            assert!(began.elapsed() < Duration::from_secs(5), "{id} is {:?}, not {status}", self.status(id));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nothing that the runtime keeps is left.
    #[track_caller]
    pub fn assert_empty(&self) {
        let left: Vec<_> =
            std::fs::read_dir(self.file("moat").join(self.namespace())).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let list = self.run(&["containers", "ls", "-q"]).out;
        for id in list.split_whitespace() {
            let _ = self.run(&["tasks", "delete", "-f", id]);
            let _ = self.run(&["containers", "delete", id]);
        }
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.daemon.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.daemon.wait();
        for controller in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(controller.path().join(self.namespace()));
        }
    }
}
