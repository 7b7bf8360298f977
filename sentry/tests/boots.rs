//! The kernel on its own: a static program of the host's, in a tree of tmpfs, on the ptrace platform. Not under the
//! usual harness, since a birth wants a process with one thread.
#![allow(missing_docs)]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mount::MountFlags;
use moat_platform::stub;
use moat_sentry::control::config::{Capabilities, ContainerConfig, Network, ProcessConfig, Stdio};
use moat_sentry::fs::inode::{FileSystem, Inode, NewNode, NodeKind};
use moat_sentry::fs::tmpfs::{TmpFs, TmpfsOptions};
use moat_sentry::fs::{Dentry, Mount, MountNamespace, OpenFile};
use moat_sentry::net::NetNamespace;
use moat_sentry::sandbox::Sandbox;

/// Copies a host directory into a tmpfs directory.
fn copy(from: &std::path::Path, to: &Arc<dyn Inode>) {
    let node = |kind, permissions| NewNode { kind, permissions, uid: 0, gid: 0 };
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
        let mode = entry.metadata().unwrap().mode() & 0o7777;
        let name = name.as_encoded_bytes();
        if kind.is_dir() {
            copy(&entry.path(), &to.create(name, &node(NodeKind::Directory, mode)).unwrap());
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes();
            to.create(name, &node(NodeKind::Symlink(target), 0o777)).unwrap();
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let file = to.create(name, &node(NodeKind::Regular, mode)).unwrap();
            let open = OpenFile::new(file.open(OpenFlags::RDWR).unwrap(), None, OpenFlags::RDWR);
            let mut done = 0;
            while done < bytes.len() {
                done += open.operations().unwrap().write_at(&open, &bytes[done..], done as u64).unwrap();
            }
        }
    }
}

/// A tree of tmpfs with what lies in `from`, and a /dev/null.
fn tree(from: &std::path::Path) -> Arc<MountNamespace> {
    let options = TmpfsOptions::parse("", 1 << 30).unwrap();
    let tmpfs = TmpFs::new("tmpfs", "root", &options, 1 << 30).unwrap();
    let root = tmpfs.root();
    let node = |kind, permissions| NewNode { kind, permissions, uid: 0, gid: 0 };
    copy(from, &root);
    let dev = root.create(b"dev", &node(NodeKind::Directory, 0o755)).unwrap();
    dev.create(b"null", &node(NodeKind::CharDevice(moat_abi::stat::makedev(1, 3)), 0o666)).unwrap();
    MountNamespace::new(Mount::new(tmpfs, Dentry::root(root, b"/"), MountFlags::empty()))
}

/// A directory with a static shell in it. `None` if the machine has none.
fn shell() -> Option<tempfile::TempDir> {
    let program = std::fs::read("/bin/busybox").ok()?;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("bin")).unwrap();
    let busybox = directory.path().join("bin/busybox");
    std::fs::write(&busybox, program).unwrap();
    std::fs::set_permissions(&busybox, std::fs::Permissions::from_mode(0o755)).unwrap();
    Some(directory)
}

/// Without arguments of its own it boots a shell; `boots DIRECTORY COMMAND…` boots any tree, to try things out.
fn main() {
    let all = CapabilitySet::all().bits();
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.iter().any(|a| a == "--list") {
        if !given.iter().any(|a| a == "--ignored") {
            println!("boots: test");
        }
        return;
    }
    let shell = shell();
    let (from, command) = match given.split_first() {
        Some((from, command)) if std::path::Path::new(from).is_dir() => (from.clone(), command.to_vec()),
        _ => {
            let Some(shell) = &shell else {
                println!("skipped: there is no static busybox on this machine");
                return;
            };
            let script = "echo booted | /bin/busybox cat; (exit 3); [ $? = 3 ] || exit 1; exit 7";
            let command = ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec();
            (shell.path().to_string_lossy().into_owned(), command)
        }
    };
    let tried = shell.as_ref().is_some_and(|s| s.path().as_os_str() == from.as_str());
    let lead = stub::birth::birth(0, stub::Interception::Ptrace, || Ok(())).unwrap().finish().unwrap();
    let platform = moat_platform::ptrace::start(lead).unwrap();
    let config = ContainerConfig {
        id: "test".into(),
        hostname: "moat".into(),
        domainname: "(none)".into(),
        mounts: Vec::new(),
        devices: Vec::new(),
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        sysctl: Default::default(),
        boottime_offset: 0,
        monotonic_offset: 0,
        pids_limit: None,
        memory_limit: None,
        cpus: 2,
        process: ProcessConfig {
            arguments: command,
            environment: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            uid: 0,
            gid: 0,
            additional_gids: Vec::new(),
            umask: None,
            capabilities: Capabilities { bounding: all, effective: all, permitted: all, inheritable: 0, ambient: 0 },
            no_new_privileges: false,
            rlimits: Vec::new(),
            oom_score_adj: None,
            stdio: Stdio::Files,
            extra_files: 0,
        },
        ordinary_init: false,
        network: Network::None,
        seccomp: None,
        annotations: Default::default(),
        strace: None,
    };
    let files: Vec<OwnedFd> = [
        std::io::stdin().as_fd().try_clone_to_owned().unwrap(),
        std::io::stdout().as_fd().try_clone_to_owned().unwrap(),
        std::io::stderr().as_fd().try_clone_to_owned().unwrap(),
    ]
    .into();
    let sandbox =
        Sandbox::in_tree(platform.clone(), &config, NetNamespace::loopback(), tree(from.as_ref()), None, files, None)
            .unwrap();
    sandbox.start();
    let status = sandbox.wait(1);
    println!("status {status:#x}");
    if tried {
        assert_eq!(status, 7 << 8);
        platform.end(0);
    } else {
        platform.end((status >> 8) as u8);
    }
}
