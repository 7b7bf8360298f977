//! A bundle, a state directory of its own, and the runtime that is driven with them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::busybox;
use crate::run::moat_binary;
use crate::said::Said;

/// A bundle of a static BusyBox. With it go all containers of its state directory.
#[derive(Debug)]
pub struct Bundle {
    directory: tempfile::TempDir,
}

impl Bundle {
    /// A bundle whose process has these arguments.
    pub fn new(arguments: &[&str]) -> Self {
        let bundle = Self::with_empty_root(arguments);
        busybox::make_root(&bundle.file("rootfs")).unwrap();
        bundle
    }

    /// A bundle in whose root filesystem there is nothing.
    pub fn with_empty_root(arguments: &[&str]) -> Self {
        let bundle = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(bundle.file("rootfs")).unwrap();
        assert_eq!(bundle.run(&["spec", "--bundle", bundle.path()]).code, 0);
        bundle.edit(|config| {
            config["process"]["terminal"] = false.into();
            config["process"]["args"] = json!(arguments);
            config["root"]["readonly"] = false.into();
        });
        bundle
    }

    /// Where it lies.
    pub fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Changes config.json.
    pub fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.file("config.json");
        let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut config);
        std::fs::write(path, serde_json::to_vec_pretty(&config).unwrap()).unwrap();
    }

    /// A verb that is yet to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(moat_binary().unwrap());
        command.arg("--root").arg(self.file("state")).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end. The streams are files: a container holds them for longer than its verb.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let stream = |name: &str| std::fs::File::create(self.file(name)).unwrap();
        let mut command = self.command(arguments);
        command.stdout(stream("stdout")).stderr(stream("stderr"));
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("{arguments:?} does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |name: &str| String::from_utf8_lossy(&std::fs::read(self.file(name)).unwrap()).into_owned();
        Said { code: status.code().unwrap_or(-1), out: read("stdout"), err: read("stderr") }
    }

    /// Creates a container.
    pub fn create(&self, id: &str) -> Said {
        self.run(&["create", "--bundle", self.path(), id])
    }

    /// What `state` says of a container that exists.
    pub fn state(&self, id: &str) -> Value {
        let said = self.run(&["state", id]);
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    }

    /// Waits until the container has this status.
    pub fn await_status(&self, id: &str, status: &str) {
        let began = Instant::now();
        while self.state(id)["status"] != status {
            assert!(began.elapsed() < Duration::from_secs(10), "{id} does not become {status}: {}", self.state(id));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Nothing of the container is left.
    pub fn assert_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.file("state")).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.file("state")).into_iter().flatten().flatten() {
            let id = entry.file_name();
            let _: std::io::Result<Output> = self.command(&["delete", "--force", id.to_str().unwrap()]).output();
        }
    }
}
