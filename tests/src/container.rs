//! A container with the root of a Debian that several share: what one changes lies in an overlay of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use crate::bundle::Bundle;

/// Where the program lies, in the container.
pub const PROGRAM: &str = "/case/program";

/// The working directory.
const DIRECTORY: &str = "/case";

/// What engines let a container do.
const CAPABILITIES: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// What runs a container.
#[derive(Clone, Copy, Debug)]
pub enum Runtime<'a> {
    /// runc: on Linux itself.
    Runc,
    /// The runtime under test.
    Moat {
        /// Its binary.
        moat: &'a Path,
        /// Its platform.
        platform: &'a str,
    },
}

impl Runtime<'_> {
    fn command(self, state: &Path) -> Command {
        let mut command = match self {
            Runtime::Runc => Command::new("runc"),
            Runtime::Moat { moat, platform } => {
                let mut command = Command::new(moat);
                command.args(["--platform", platform]);
                command
            }
        };
        command.arg("--root").arg(state);
        command
    }
}

/// The bundle. It is mounted in a mount namespace that the calling thread gets, and that goes with it.
#[derive(Debug)]
pub struct Container {
    bundle: Bundle,
    /// Also the name of its cgroup, which must be nobody else's.
    id: String,
    delete: Command,
}

impl Container {
    /// Makes a bundle over this root.
    ///
    /// # Errors
    /// What cannot be mounted or made.
    pub fn new(debian: &Path, runtime: Runtime<'_>) -> Result<Self> {
        let bundle = Bundle::with_empty_root(&[]);
        let mut delete = runtime.command(&bundle.file("states"));
        let id = format!("case-{}", bundle.path().rsplit('.').next().unwrap_or_default());
        delete.args(["delete", "--force", &id]).stdin(Stdio::null());
        // From here on its end removes what there is.
        let container = Self { bundle, id, delete };
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).context("get a mount namespace")?;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("keep mounts to it")?;
        let layers = container.bundle.file("layers");
        std::fs::create_dir(&layers).context("create a directory")?;
        // Directories of an overlay cannot lie in an overlay, where /tmp may.
        mount(Some("layers"), &layers, Some("tmpfs"), MsFlags::empty(), none).context("mount a tmpfs")?;
        let [upper, work] = ["upper", "work"].map(|name| layers.join(name));
        for directory in [&upper, &work] {
            std::fs::create_dir(directory).context("create a directory")?;
        }
        let [lower, upper, work] = [debian, &upper, &work].map(Path::display);
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        mount(Some("case"), &container.rootfs(), Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .context("mount an overlay")?;
        std::fs::create_dir(container.directory()).context("create the working directory")?;
        // Of an engine's making in other containers.
        std::fs::write(container.rootfs().join("etc/hosts"), "127.0.0.1 localhost\n").context("write /etc/hosts")?;
        Ok(container)
    }

    fn rootfs(&self) -> PathBuf {
        self.bundle.file("rootfs")
    }

    /// The container's working directory, as the host sees it.
    pub fn directory(&self) -> PathBuf {
        self.rootfs().join(&DIRECTORY[1..])
    }

    /// The command that runs these arguments in the container.
    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)], terminal: bool) -> Command {
        self.bundle.edit(|config| {
            let process = &mut config["process"];
            process["args"] = json!(arguments);
            process["cwd"] = DIRECTORY.into();
            process["env"] = environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            process["terminal"] = terminal.into();
            for set in ["bounding", "effective", "permitted"] {
                process["capabilities"][set] = json!(CAPABILITIES);
            }
        });
        let mut command = Command::new(self.delete.get_program());
        // All but the last words, which delete.
        let words: Vec<_> = self.delete.get_args().collect();
        command.args(&words[..words.len() - 3]).args(["run", "--bundle", self.bundle.path(), &self.id]);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.delete.output();
        for mounted in ["rootfs", "layers"] {
            let _ = umount2(&self.bundle.file(mounted), MntFlags::MNT_DETACH);
        }
    }
}
