//! A container whose every trace can be found.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use moat_tests::bundle::Bundle;
use moat_tests::process;
use moat_tests::said::Said;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long traces may take to go.
const PATIENCE: Duration = Duration::from_secs(15);

/// A bundle with a control group of its own, and the name of its container.
pub struct Scene {
    pub bundle: Bundle,
    group: String,
}

/// The container's name.
pub const ID: &str = "c1";

impl Scene {
    pub fn new(arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = format!("moat-faults-{}-{number}", std::process::id());
        let bundle = Bundle::new(arguments);
        bundle.edit(|config| config["linux"]["cgroupsPath"] = format!("/{group}").into());
        Self { bundle, group }
    }

    /// A container that has been started, with a child.
    pub fn running() -> Self {
        let scene = Self::new(&["sh", "-c", "sleep 1000 & echo begun; wait; echo ended; sleep 1000"]);
        scene.ok(&["create", "--bundle", scene.bundle.path(), ID]);
        scene.ok(&["start", ID]);
        scene
    }

    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.bundle.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said
    }

    /// A verb that fails with one line.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let said = self.bundle.run(arguments);
        assert!(said.code != 0, "{arguments:?}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{arguments:?}: {said:?}");
        said.err
    }

    /// Starts a verb and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.bundle.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn directory(&self) -> PathBuf {
        self.bundle.file("state").join(ID)
    }

    /// The pids that its state knows: of the lead, the gofer and the sentry.
    pub fn processes(&self) -> Processes {
        let state: Value =
            serde_json::from_slice(&std::fs::read(self.directory().join("state.json")).unwrap()).unwrap();
        let pid = |value: &Value| Pid::from_raw(value["pid"].as_i64().unwrap() as i32);
        Processes { lead: pid(&state["lead"]), gofer: pid(&state["helpers"][0]), sentry: pid(&state["helpers"][1]) }
    }

    /// Deletes the container by force; nothing of it is left then.
    #[track_caller]
    pub fn delete(&self) {
        let said = self.bundle.run(&["delete", "--force", ID]);
        assert_eq!(said.code, 0, "{said:?}");
        self.assert_nothing_left();
    }

    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.bundle.assert_empty();
        let began = Instant::now();
        loop {
            let left = [process::holding(self.bundle.path()), self.groups_left()].concat();
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{left:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn groups_left(&self) -> Vec<String> {
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|e| e.path());
        hierarchies
            .chain([PathBuf::from("/sys/fs/cgroup")])
            .map(|hierarchy| hierarchy.join(&self.group))
            .filter(|group| group.exists())
            .map(|group| group.display().to_string())
            .collect()
    }
}

impl Drop for Scene {
    /// What a failed test leaves.
    fn drop(&mut self) {
        if self.directory().exists() {
            let _ = self.bundle.command(&["delete", "--force", ID]).output();
        }
    }
}

/// Who is there beside the guest's other processes.
#[derive(Clone, Copy, Debug)]
pub struct Processes {
    pub lead: Pid,
    pub gofer: Pid,
    pub sentry: Pid,
}

/// Kills a process without a word.
pub fn murder(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
}
