//! The kernel on its own: a static program of the host's, in a tree of tmpfs, on the ptrace platform. Not under the
//! usual harness, since a birth wants a process with one thread.
#![allow(missing_docs)]

use std::os::fd::{AsFd, OwnedFd};

use moat_abi::capability::CapabilitySet;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mount::MountFlags;
use moat_platform::ptrace::Ptrace;
use moat_platform::{Platform, stub};
use moat_sentry::control::config::{Capabilities, ContainerConfig, Network, ProcessConfig, Stdio};
use moat_sentry::fs::inode::{FileSystem, NewNode, NodeKind};
use moat_sentry::fs::tmpfs::{TmpFs, TmpfsOptions};
use moat_sentry::fs::{Dentry, Mount, MountNamespace, OpenFile};
use moat_sentry::sandbox::Sandbox;

fn tree(program: &[u8]) -> std::sync::Arc<MountNamespace> {
    let options = TmpfsOptions::parse("", 1 << 30).unwrap();
    let tmpfs = TmpFs::new("tmpfs", "root", &options, 1 << 30).unwrap();
    let root = tmpfs.root();
    let node = |kind, permissions| NewNode { kind, permissions, uid: 0, gid: 0 };
    let bin = root.create(b"bin", &node(NodeKind::Directory, 0o755)).unwrap();
    let file = bin.create(b"busybox", &node(NodeKind::Regular, 0o755)).unwrap();
    let open = OpenFile::new(file.open(OpenFlags::RDWR).unwrap(), None, OpenFlags::RDWR);
    let mut done = 0;
    while done < program.len() {
        done += open.operations().unwrap().write_at(&open, &program[done..], done as u64).unwrap();
    }
    root.create(b"tmp", &node(NodeKind::Directory, 0o1777)).unwrap();
    let dev = root.create(b"dev", &node(NodeKind::Directory, 0o755)).unwrap();
    dev.create(b"null", &node(NodeKind::CharDevice(moat_abi::stat::makedev(1, 3)), 0o666)).unwrap();
    let mount = Mount::new(tmpfs, Dentry::root(root, b"/"), MountFlags::empty());
    MountNamespace::new(mount)
}

fn main() {
    let all = CapabilitySet::all().bits();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = std::env::var("MOAT_TEST_PROGRAM").unwrap_or_else(|_| "/bin/busybox".into());
    let program = std::fs::read(path).unwrap();
    let lead = stub::birth::birth(0, || Ok(())).unwrap().finish().unwrap();
    let platform = Ptrace::new(lead).unwrap();
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
            arguments: [vec!["/bin/busybox".to_owned()], arguments].concat(),
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
    let sandbox = Sandbox::in_tree(platform.clone(), &config, tree(&program), files).unwrap();
    sandbox.start();
    let status = sandbox.wait(1);
    println!("status {status:#x}");
    platform.end((status >> 8) as u8);
}
