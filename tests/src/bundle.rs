//! A bundle, a state directory of its own, and the runtime that is driven with them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::busybox;
use crate::person::Person;
use crate::run::{moat_binary, platform};
use crate::said::Said;

/// A bundle of a static BusyBox. With it go all containers of its state directory.
#[derive(Debug)]
pub struct Bundle {
    directory: tempfile::TempDir,
    person: Option<Person>,
}

impl Said {
    /// Runs a command to its end. The streams are files in `directory`: a container holds them for longer than its verb.
    pub fn of(mut command: Command, directory: &Path) -> Self {
        let stream = |name: &str| std::fs::File::create(directory.join(name)).unwrap();
        command.stdout(stream("stdout")).stderr(stream("stderr"));
        let mut child = command.spawn().unwrap();
        let status = wait(&mut child, Duration::from_secs(60)).unwrap_or_else(|| panic!("{command:?} does not end"));
        let read = |name: &str| String::from_utf8_lossy(&std::fs::read(directory.join(name)).unwrap()).into_owned();
        Self { code: status.code().unwrap_or(-1), out: read("stdout"), err: read("stderr") }
    }
}

/// Waits for a child; if it does not end in time it is killed.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    None
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
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("rootfs")).unwrap();
        Self::of(directory, None, arguments)
    }

    /// The same for an ordinary user, with a user namespace; `None` where there can be none.
    pub fn rootless(arguments: &[&str]) -> Option<Self> {
        let person = Person::new().inspect_err(|why| eprintln!("skipped: {why:#}")).ok()?;
        let directory = tempfile::tempdir().unwrap();
        busybox::make_root(&directory.path().join("rootfs")).unwrap();
        let bundle = Self::of(directory, Some(person), arguments);
        bundle.edit(|config| {
            let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            namespaces.push(json!({ "type": "network" }));
        });
        Some(bundle)
    }

    fn of(directory: tempfile::TempDir, person: Option<Person>, arguments: &[&str]) -> Self {
        if let Some(person) = &person {
            // Who may not reach the directory in which it was built.
            std::fs::copy(moat_binary().unwrap(), directory.path().join("moat")).unwrap();
            person.own(directory.path()).unwrap();
        }
        let bundle = Self { directory, person };
        let rootless = bundle.person.as_ref().map(|_| "--rootless");
        let spec: Vec<&str> = ["spec", "--bundle", bundle.path()].into_iter().chain(rootless).collect();
        assert_eq!(bundle.run(&spec).code, 0);
        bundle.edit(|config| {
            config["process"]["terminal"] = false.into();
            config["process"]["args"] = json!(arguments);
            config["root"]["readonly"] = false.into();
            if bundle.person.is_none() {
                // Tests that run at the same time name their containers alike.
                let name = bundle.directory.path().file_name().unwrap_or_default().to_string_lossy();
                config["linux"]["cgroupsPath"] = format!("/moat-{}", name.trim_start_matches('.')).into();
            }
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
        let mut command = match &self.person {
            None => Command::new(moat_binary().unwrap()),
            Some(person) => {
                let mut command = Command::new(self.file("moat"));
                person.runs(&mut command, self.directory.path());
                command
            }
        };
        command.arg("--root").arg(self.file("state"));
        if let Some(platform) = platform().filter(|_| !arguments.iter().any(|a| a.starts_with("--platform"))) {
            command.args(["--platform", &platform]);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments), self.directory.path())
    }

    /// Runs a verb that must succeed.
    pub fn succeed(&self, arguments: &[&str]) {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    }

    /// Creates a container.
    pub fn create(&self, id: &str) -> Said {
        self.run(&["create", "--bundle", self.path(), id])
    }

    /// What `state` says of a container that exists.
    pub fn state(&self, id: &str) -> Value {
        let said = self.run(&["state", id]);
        assert_eq!(said.code, 0, "{said:?}");
        serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:?}"))
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
