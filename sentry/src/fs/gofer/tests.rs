//! What the gofer filesystem promises, over a gofer that runs in threads of the test.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{OpenFlags, RenameFlags};
use moat_gofer::{Root, Server};

use super::*;
use crate::fs::OpenFile;
use crate::fs::inode::{NewNode, NodeKind, SetAttributes};

struct Mounted {
    scratch: tempfile::TempDir,
    filesystem: Arc<GoferFs>,
}

impl Mounted {
    fn new(owned: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let fd = rustix::fs::open(scratch.path(), flags, rustix::fs::Mode::empty()).unwrap();
        let root = Root { fd, read_only: false, owned, allow_devices: false, allow_unix_connect: false };
        let server = Arc::new(Server::new(vec![root]).unwrap());
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        std::thread::spawn(move || server.serve_connection(&theirs));
        let client = Client::new(vec![ours]).unwrap();
        let filesystem = GoferFs::attach(&client, 0, owned, "/").unwrap();
        Self { scratch, filesystem }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.filesystem.root()
    }
}

fn new(kind: NodeKind) -> NewNode {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    NewNode { kind, permissions: 0o644, uid, gid }
}

fn open(inode: &Arc<dyn Inode>, flags: OpenFlags) -> Arc<OpenFile> {
    OpenFile::new(inode.clone().open(flags).unwrap(), None, flags)
}

fn write(file: &Arc<OpenFile>, bytes: &[u8], offset: u64) -> usize {
    file.operations().unwrap().write_at(file, bytes, offset).unwrap()
}

fn read(file: &Arc<OpenFile>, offset: u64) -> Vec<u8> {
    let mut buf = vec![0; 64];
    let n = file.operations().unwrap().read_at(file, &mut buf, offset).unwrap();
    buf.truncate(n);
    buf
}

#[test]
fn what_is_written_is_on_the_host_and_in_the_attributes() {
    let mounted = Mounted::new(true);
    let inode = mounted.root().create(b"file", &new(NodeKind::Regular)).unwrap();
    let file = open(&inode, OpenFlags::RDWR);
    assert_eq!(write(&file, b"hello", 0), 5);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), b"hello");
    assert_eq!(inode.attributes().unwrap().size, 5);
    assert_eq!(file.operations().unwrap().append(&file, b" you").unwrap(), (4, 9));
    assert_eq!(read(&file, 0), b"hello you");
    inode.set_attributes(&SetAttributes { size: Some(2), ..Default::default() }).unwrap();
    assert_eq!(inode.attributes().unwrap().size, 2);
    assert_eq!(fs::read(mounted.path("file")).unwrap(), b"he");
}

#[test]
fn names_of_one_file_share_an_inode() {
    let mounted = Mounted::new(true);
    let root = mounted.root();
    let one = root.create(b"one", &new(NodeKind::Regular)).unwrap();
    root.link(b"two", &one).unwrap();
    let two = root.lookup(b"two").unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(two.attributes().unwrap().links, 2);
    root.unlink(b"one", &one).unwrap();
    assert_eq!(two.attributes().unwrap().links, 1);
    assert!(Arc::ptr_eq(&mounted.root(), &root));
}

#[test]
fn an_owned_trees_attributes_are_believed_and_a_volumes_are_asked_for() {
    for owned in [true, false] {
        let mounted = Mounted::new(owned);
        fs::write(mounted.path("file"), "1").unwrap();
        let inode = mounted.root().lookup(b"file").unwrap();
        assert_eq!(inode.attributes().unwrap().size, 1);
        fs::write(mounted.path("file"), "1234").unwrap();
        assert_eq!(inode.attributes().unwrap().size, if owned { 1 } else { 4 });
    }
}

#[test]
fn opening_again_asks_nobody() {
    let mounted = Mounted::new(true);
    fs::write(mounted.path("file"), "text").unwrap();
    let inode = mounted.root().lookup(b"file").unwrap();
    let first = open(&inode, OpenFlags::empty());
    let second = open(&inode, OpenFlags::empty());
    let id = |file: &Arc<OpenFile>| file.operations().unwrap().mappable(file).unwrap().file.id();
    assert_eq!(id(&first), id(&second));
    // Who reads sees what is written through the descriptor that came later.
    let third = open(&inode, OpenFlags::RDWR);
    assert_eq!(id(&first), id(&third));
    write(&third, b"TEXT", 0);
    assert_eq!(read(&first, 0), b"TEXT");
}

#[test]
fn a_rename_is_seen_by_what_it_replaces() {
    let mounted = Mounted::new(true);
    let root = mounted.root();
    let old = root.create(b"old", &new(NodeKind::Regular)).unwrap();
    let victim = root.create(b"new", &new(NodeKind::Regular)).unwrap();
    let subdirectory = root.create(b"dir", &new(NodeKind::Directory)).unwrap();
    assert_eq!(root.attributes().unwrap().links, fs::metadata(mounted.path("")).unwrap().nlink() as u32);
    assert_eq!(root.rename(b"old", &root, b"new", RenameFlags::NOREPLACE), Err(Errno::EEXIST));
    root.rename(b"old", &root, b"new", RenameFlags::empty()).unwrap();
    assert_eq!(victim.attributes().unwrap().links, 0);
    assert!(Arc::ptr_eq(&root.lookup(b"new").unwrap(), &old));
    root.rename(b"new", &subdirectory, b"deep", RenameFlags::empty()).unwrap();
    assert!(mounted.path("dir/deep").exists());
    assert_eq!(root.rmdir(b"dir", &subdirectory), Err(Errno::ENOTEMPTY));
}

#[test]
fn directories_are_read_in_parts_that_fit_together() {
    let mounted = Mounted::new(true);
    for n in 0..1500 {
        fs::write(mounted.path(&format!("a-name-that-is-long-enough-to-need-parts-{n}")), "").unwrap();
    }
    let directory = open(&mounted.root(), OpenFlags::DIRECTORY);
    let mut names = Vec::new();
    let mut position = 0;
    loop {
        let mut room = 100;
        let before = names.len();
        directory
            .operations()
            .unwrap()
            .read_directory(&directory, position, &mut |entry| {
                if room == 0 {
                    return false;
                }
                room -= 1;
                position = entry.next;
                names.push(entry.name);
                true
            })
            .unwrap();
        if names.len() == before {
            break;
        }
    }
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), all), (1502, 1502));
}

#[test]
fn links_pipes_and_nameless_files() {
    let mounted = Mounted::new(true);
    let root = mounted.root();
    let link = root.create(b"link", &new(NodeKind::Symlink(b"to/there".to_vec()))).unwrap();
    assert_eq!(link.readlink().unwrap(), b"to/there");
    let pipe = root.create(b"pipe", &new(NodeKind::Fifo)).unwrap();
    assert_eq!(pipe.file_type(), FileType::Fifo);
    assert_eq!(pipe.open(OpenFlags::RDWR).err(), Some(Errno::ENXIO));
    let nameless = root.create_anonymous(&new(NodeKind::Regular)).unwrap();
    assert_eq!(nameless.attributes().unwrap().links, 0);
    write(&open(&nameless, OpenFlags::RDWR), b"x", 0);
    root.link(b"named", &nameless).unwrap();
    assert_eq!(fs::read(mounted.path("named")).unwrap(), b"x");
    assert_eq!(root.lookup(b"nothing").err(), Some(Errno::ENOENT));
}

#[test]
fn a_deleted_file_takes_no_space_once_nobody_uses_it() {
    let mounted = Mounted::new(true);
    let root = mounted.root();
    let inode = root.create(b"big", &new(NodeKind::Regular)).unwrap();
    write(&open(&inode, OpenFlags::RDWR), &[1; 4096], 0);
    root.unlink(b"big", &inode).unwrap();
    assert_eq!(inode.attributes().unwrap().links, 0);
    let deleted = || {
        fs::read_dir("/proc/self/fd")
            .unwrap()
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|to| to.to_string_lossy().starts_with(&*mounted.path("big").to_string_lossy()))
    };
    assert!(deleted());
    drop(inode);
    // A round trip behind the release, so that it has been served.
    mounted.filesystem.statfs().unwrap();
    assert!(!deleted());
}
