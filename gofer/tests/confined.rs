//! The gofer as it runs in a sandbox: a confined process. Not under the usual harness, since confinement wants a process
//! with one thread: this program executes itself, with its roots and connections as descriptors.
#![allow(missing_docs)]

mod fixture;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixture::{new_file, pair, path_fd};
use moat_abi::errno::Errno;
use moat_gofer::protocol::attributes::change;
use moat_gofer::protocol::{Change, access};
use moat_gofer::{CONNECTIONS, Client, Root};

/// Tells the program that it is the gofer: the numbers of its root and of its connections.
const ROLE: &str = "MOAT_TEST_GOFER";

/// Killed at its end, however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Gofer {
    process: Process,
    client: Arc<Client>,
    tree: tempfile::TempDir,
}

impl Gofer {
    fn start() -> Self {
        Self::start_with(Duration::from_secs(30))
    }

    fn start_with(patience: Duration) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let root = path_fd(tree.path());
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..CONNECTIONS).map(|_| pair()).unzip();
        let mut numbers = Vec::new();
        for fd in std::iter::once(&root).chain(&theirs) {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).unwrap();
            numbers.push(fd.as_raw_fd().to_string());
        }
        let process = Command::new(std::env::current_exe().unwrap()).env(ROLE, numbers.join(",")).spawn().unwrap();
        drop((root, theirs));
        Self { process: Process(process), client: Client::with_patience(ours, patience).unwrap(), tree }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.tree.path().join(name)
    }

    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    }
}

/// In the gofer's process.
fn serve(numbers: &str) {
    let mut fds = numbers.split(',').map(|n| {
        // SAFETY: the starter left these descriptors open for this process, which names each once.
        unsafe { OwnedFd::from_raw_fd(n.parse().unwrap()) }
    });
    let fd = fds.next().unwrap();
    let root = Root { fd, read_only: false, owned: true, allow_devices: false, allow_unix_connect: true };
    moat_gofer::serve(fds.collect(), vec![root]).unwrap();
}

/// Each kind of request once, so that a call that the list lacks shows.
fn all_requests_pass_the_filter() {
    let gofer = Gofer::start();
    let client = &gofer.client;
    let root = client.attach(0).unwrap().0;
    let root = &root.handle;
    let (file, _, fd) = client.create(root, b"file", &new_file(0o4755)).unwrap();
    fs::File::from(fd).write_all(b"hello").unwrap();
    let (fd, attributes) = client.open(&file.handle, access::READ).unwrap();
    assert_eq!(attributes.size, 5);
    let mut text = String::new();
    fs::File::from(fd).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    client.make_directory(root, b"dir", &new_file(0o1777)).unwrap();
    client.symlink(root, b"link", b"file", &new_file(0o777)).unwrap();
    let link = client.look_up(root, b"link").unwrap();
    assert_eq!(client.read_link(&link.handle).unwrap(), b"file");
    client.make_node(root, b"pipe", &new_file(0o010_644), 0).unwrap();
    client.link(root, b"again", &file.handle).unwrap();
    client.rename((root, b"again"), (root, b"moved"), 0).unwrap();
    client.remove(root, b"moved", false).unwrap();
    client.remove(root, b"dir", true).unwrap();
    match client.create_anonymous(root, &new_file(0o600)) {
        Ok(_) | Err(Errno::EOPNOTSUPP) => {}
        Err(e) => panic!("{e}"),
    }
    let to = Change {
        mask: change::ALL,
        permissions: 0o600,
        uid: new_file(0).uid,
        gid: new_file(0).gid,
        size: 2,
        mtime_seconds: 5,
        ..Change::default()
    };
    assert_eq!(client.set_attributes(&file.handle, &to).unwrap().size, 2);
    client.attributes(&file.handle).unwrap();
    for n in 0..1000 {
        fs::write(gofer.path(&format!("entry-with-a-name-that-is-not-short-{n}")), "").unwrap();
    }
    let listing = client.read_directory(root, None, 0).unwrap();
    let next = listing.entries[10].next;
    client.read_directory(root, listing.stream, next).unwrap();
    if client.set_xattr(&file.handle, b"user.a", &[7; 2000], 0).is_ok() {
        assert_eq!(client.xattr(&file.handle, b"user.a").unwrap(), [7; 2000]);
        assert_eq!(client.list_xattrs(&file.handle).unwrap().len(), 1);
        client.remove_xattr(&file.handle, b"user.a").unwrap();
    }
    client.statfs(root).unwrap();
    for what in 0..3 {
        client.sync(root, what).unwrap();
    }
    let (socket, _, listener) = client.bind(root, b"socket", 1, &new_file(0o600)).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    client.connect(&socket.handle, 1).unwrap();
    drop((file, link, socket));
    client.release_unused();
    client.statfs(root).unwrap();
}

fn it_has_no_more_than_it_needs() {
    let gofer = Gofer::start();
    gofer.client.attach(0).unwrap();
    assert_eq!(gofer.status("NoNewPrivs:"), "1");
    assert_eq!(gofer.status("Seccomp:"), "2");
    // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETFCAP: of these it has what its starter had.
    let allowed: u64 = 0b1_1111 | 1 << 31;
    let effective = u64::from_str_radix(&gofer.status("CapEff:"), 16).unwrap();
    let permitted = u64::from_str_radix(&gofer.status("CapPrm:"), 16).unwrap();
    assert_eq!((effective & !allowed, permitted & !allowed), (0, 0));
    for task in fs::read_dir(format!("/proc/{}/task", gofer.process.0.id())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2"));
    }
}

fn a_killed_gofer_gives_eio() {
    let mut gofer = Gofer::start();
    let root = gofer.client.attach(0).unwrap().0;
    gofer.process.0.kill().unwrap();
    gofer.process.0.wait().unwrap();
    assert_eq!(gofer.client.attributes(&root.handle).unwrap_err(), Errno::EIO);
    assert_eq!(gofer.client.look_up(&root.handle, b"x").unwrap_err(), Errno::EIO);
    assert!(gofer.client.is_dead());
}

fn a_gofer_that_is_killed_while_asked_gives_eio_to_all() {
    let mut gofer = Gofer::start();
    let root = gofer.client.attach(0).unwrap().0;
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..6)
            .map(|_| {
                let (client, handle) = (&gofer.client, &root.handle);
                scope.spawn(move || {
                    loop {
                        if let Err(e) = client.attributes(handle) {
                            return e;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        gofer.process.0.kill().unwrap();
        for asker in askers {
            assert_eq!(asker.join().unwrap(), Errno::EIO);
        }
    });
}

fn a_gofer_that_hangs_gives_eio() {
    let mut gofer = Gofer::start_with(Duration::from_millis(500));
    let root = gofer.client.attach(0).unwrap().0;
    let pid = rustix::process::Pid::from_child(&gofer.process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while gofer.status("State:") != "T" && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    assert_eq!(gofer.client.attributes(&root.handle).unwrap_err(), Errno::EIO);
    assert!(start.elapsed() < Duration::from_secs(5));
    // The next one does not wait.
    let start = Instant::now();
    assert_eq!(gofer.client.attributes(&root.handle).unwrap_err(), Errno::EIO);
    assert!(start.elapsed() < Duration::from_millis(400));
    gofer.process.0.kill().unwrap();
    gofer.process.0.wait().unwrap();
}

fn it_ends_when_the_sentry_does() {
    let gofer = Gofer::start();
    gofer.client.attach(0).unwrap();
    let Gofer { mut process, client, tree } = gofer;
    // The last reference to the client closes its connections.
    drop(client);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if let Some(status) = process.0.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            drop(tree);
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the gofer outlives the sentry");
}

/// Prints what a round trip costs, for who works on it.
fn a_round_trip_is_quick() {
    let gofer = Gofer::start();
    let root = gofer.client.attach(0).unwrap().0;
    fs::write(gofer.path("file"), "").unwrap();
    let start = Instant::now();
    for _ in 0..2000 {
        gofer.client.attributes(&root.handle).unwrap();
    }
    let attributes = start.elapsed() / 2000;
    let start = Instant::now();
    for _ in 0..2000 {
        gofer.client.look_up(&root.handle, b"file").unwrap();
    }
    let look_up = start.elapsed() / 2000;
    println!("    getattr {attributes:?}, walk of one name {look_up:?}");
    assert!(attributes < Duration::from_millis(5));
}

fn main() {
    if let Ok(numbers) = std::env::var(ROLE) {
        return serve(&numbers);
    }
    let tests: [(&str, fn()); 7] = [
        ("all_requests_pass_the_filter", all_requests_pass_the_filter),
        ("it_has_no_more_than_it_needs", it_has_no_more_than_it_needs),
        ("a_killed_gofer_gives_eio", a_killed_gofer_gives_eio),
        ("a_gofer_that_is_killed_while_asked_gives_eio_to_all", a_gofer_that_is_killed_while_asked_gives_eio_to_all),
        ("a_gofer_that_hangs_gives_eio", a_gofer_that_hangs_gives_eio),
        ("it_ends_when_the_sentry_does", it_ends_when_the_sentry_does),
        ("a_round_trip_is_quick", a_round_trip_is_quick),
    ];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // nextest lists the tests of a binary, then runs the binary for each.
    if arguments.iter().any(|a| a == "--list") {
        if !arguments.iter().any(|a| a == "--ignored") {
            tests.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return;
    }
    let wanted = arguments.into_iter().find(|a| !a.starts_with('-')).unwrap_or_default();
    for (name, test) in tests.iter().filter(|(name, _)| name.contains(&wanted)) {
        test();
        println!("test {name} ... ok");
    }
}
