//! A container with every capability, a secret beside its root, and what the host can see of its attempts.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use moat_tests::bundle::Bundle;
use moat_tests::run::moat_binary;
use moat_tests::said::Said;
use serde_json::json;

/// What must not be read.
const SECRET: &str = "SECRET\n";

const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
];

/// The container. `/volume` is a directory of the host's that is bound into it.
pub struct Attack {
    pub bundle: Bundle,
    binary: Vec<u8>,
    mounts: usize,
    settings: Vec<Option<String>>,
}

/// Of the host, readable and writable by root alone.
const SETTINGS: &[&str] = &[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/sys/kernel/uevent_helper",
    "/proc/sys/vm/overcommit_memory",
];

impl Attack {
    /// A container with this command.
    pub fn new(arguments: &[&str]) -> Self {
        let bundle = Bundle::new(arguments);
        let secret = bundle.file("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let root = bundle.file("rootfs");
        for name in ["volume", "loop"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let volume = bundle.file("volume");
        std::fs::create_dir(&volume).unwrap();
        std::fs::write(volume.join("file"), "file\n").unwrap();
        for place in [&root, &volume] {
            symlink("../secret", place.join("out")).unwrap();
            symlink(&secret, place.join("absolute")).unwrap();
        }
        bundle.edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(CAPABILITIES);
            }
            config["process"]["noNewPrivileges"] = false.into();
            let volume = json!({ "destination": "/volume", "type": "bind", "source": volume, "options": ["rbind"] });
            config["mounts"].as_array_mut().unwrap().push(volume);
        });
        let mounts = count_mounts();
        Self { bundle, binary: std::fs::read(moat_binary().unwrap()).unwrap(), mounts, settings: settings() }
    }

    /// Compiles one of `programs/` into the container's `/bin`.
    pub fn with_program(self, name: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("escapes/programs").join(name).with_extension("c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(self.bundle.file("rootfs/bin").join(name)).arg(source);
        assert!(gcc.status().expect("package gcc").success());
        self
    }

    /// Runs it.
    pub fn run(&self) -> Said {
        self.bundle.run(&["run", "--bundle", self.bundle.path(), "attack"])
    }

    /// Nothing of the host has changed.
    #[track_caller]
    pub fn assert_host_untouched(&self) {
        assert_eq!(std::fs::read_to_string(self.bundle.file("secret")).unwrap(), SECRET);
        assert!(std::fs::read(moat_binary().unwrap()).unwrap() == self.binary, "the runtime's own binary has changed");
        assert_eq!(settings(), self.settings);
        // Other tests mount, too, for a while.
        for _ in 0..50 {
            if count_mounts() <= self.mounts {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("there are mounts that were not there before");
    }
}

fn settings() -> Vec<Option<String>> {
    SETTINGS.iter().map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn count_mounts() -> usize {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
}

/// A process of the host's that somebody might kill.
pub fn bystander() -> std::process::Child {
    Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().unwrap()
}
