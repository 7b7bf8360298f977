//! What the gofer filesystem promises, over a gofer that runs in threads of the test.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{OpenFlags, RenameFlags};
use moat_gofer::{Root, Server};

use super::*;
use crate::fs::inode::{NewNode, NodeKind, SetAttributes};
use crate::fs::overlay::OverlayFs;
use crate::fs::tmpfs::{TmpFs, TmpfsOptions};
use crate::fs::{Dentry, OpenFile};

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

fn of_gofer(inode: &Arc<dyn Inode>) -> &GoferInode {
    inode.as_any().downcast_ref().unwrap()
}

fn memory() -> Arc<TmpFs> {
    TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::default(), 1 << 30).unwrap()
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
fn an_owned_trees_attributes_are_believed_until_somebody_else_changes_them() {
    for owned in [true, false] {
        let mounted = Mounted::new(owned);
        fs::write(mounted.path("file"), "1").unwrap();
        let inode = mounted.root().lookup(b"file").unwrap();
        assert_eq!(inode.attributes().unwrap().size, 1);
        fs::write(mounted.path("file"), "1234").unwrap();
        assert_eq!(inode.attributes().unwrap().size, if owned { 1 } else { 4 });
        mounted.filesystem.catch_up();
        assert_eq!(inode.attributes().unwrap().size, 4);
    }
}

/// What a name of the root is, as a walk finds it.
fn seen(root: &Arc<Dentry>, name: &str) -> Option<u64> {
    root.inode().unwrap().filesystem().catch_up();
    root.lookup(name.as_bytes()).unwrap().inode().ok().map(|inode| inode.attributes().unwrap().size)
}

#[test]
fn names_that_others_make_remove_and_move_are_seen() {
    let mounted = Mounted::new(true);
    fs::create_dir(mounted.path("dir")).unwrap();
    fs::write(mounted.path("here"), "1").unwrap();
    let below = Dentry::root(mounted.root(), b"/");
    let overlay = OverlayFs::new(mounted.filesystem.clone(), memory());
    for root in [below, Dentry::root(overlay.root(), b"/")] {
        assert_eq!((seen(&root, "here"), seen(&root, "missing")), (Some(1), None));
        let kept = root.lookup(b"here").unwrap();
        assert!(Arc::ptr_eq(&kept, &root.cached(b"here").unwrap()));
        fs::write(mounted.path("missing"), "22").unwrap();
        assert_eq!(seen(&root, "missing"), Some(2));
        assert!(Arc::ptr_eq(&kept, &root.lookup(b"here").unwrap()));
        fs::write(mounted.path("new"), "333").unwrap();
        fs::rename(mounted.path("new"), mounted.path("here")).unwrap();
        assert_eq!(seen(&root, "here"), Some(3));
        assert!(kept.is_gone());
        fs::remove_file(mounted.path("missing")).unwrap();
        fs::rename(mounted.path("here"), mounted.path("dir/there")).unwrap();
        assert_eq!((seen(&root, "here"), seen(&root, "missing")), (None, None));
        assert_eq!(seen(&root.lookup(b"dir").unwrap(), "there"), Some(3));
        fs::rename(mounted.path("dir/there"), mounted.path("here")).unwrap();
        fs::write(mounted.path("here"), "1").unwrap();
    }
}

#[test]
fn a_file_that_others_moved_away_is_not_believed_any_more() {
    let mounted = Mounted::new(true);
    fs::create_dir(mounted.path("elsewhere")).unwrap();
    fs::write(mounted.path("file"), "1").unwrap();
    let inode = mounted.root().lookup(b"file").unwrap();
    let _open = open(&inode, OpenFlags::empty());
    fs::rename(mounted.path("file"), mounted.path("elsewhere/file")).unwrap();
    mounted.filesystem.catch_up();
    assert_eq!(inode.attributes().unwrap().size, 1);
    fs::write(mounted.path("elsewhere/file"), "22").unwrap();
    assert_eq!(inode.attributes().unwrap().size, 2);
}

#[test]
fn a_change_through_another_name_is_seen() {
    let mounted = Mounted::new(true);
    fs::create_dir(mounted.path("elsewhere")).unwrap();
    fs::write(mounted.path("file"), "1").unwrap();
    fs::hard_link(mounted.path("file"), mounted.path("elsewhere/other")).unwrap();
    let root = Dentry::root(mounted.root(), b"/");
    assert_eq!(seen(&root, "file"), Some(1));
    fs::write(mounted.path("elsewhere/other"), "22").unwrap();
    assert_eq!(seen(&root, "file"), Some(2));
}

#[test]
fn changes_of_our_own_leave_what_is_cached_alone() {
    let mounted = Mounted::new(true);
    fs::write(mounted.path("bystander"), "").unwrap();
    let root = mounted.root();
    mounted.filesystem.catch_up();
    let valid = root.names_valid();
    assert!(valid.is_some());
    let file = root.create(b"file", &new(NodeKind::Regular)).unwrap();
    let directory = root.create(b"dir", &new(NodeKind::Directory)).unwrap();
    root.create(b"link", &new(NodeKind::Symlink(b"file".to_vec()))).unwrap();
    root.link(b"other", &file).unwrap();
    root.rename(b"other", &root, b"file2", RenameFlags::empty()).unwrap();
    root.rename(b"file2", &root, b"link", RenameFlags::EXCHANGE).unwrap();
    root.rename(b"link", &directory, b"deep", RenameFlags::empty()).unwrap();
    root.unlink(b"file", &file).unwrap();
    write(&open(&file, OpenFlags::RDWR), b"x", 0);
    mounted.filesystem.catch_up();
    assert_eq!(root.names_valid(), valid);
    // One that fails may have been somebody else's doing.
    assert_eq!(root.unlink(b"file", &file), Err(Errno::ENOENT));
    assert_ne!(root.names_valid(), valid);
}

#[test]
fn the_lack_of_capabilities_is_remembered_until_somebody_sets_them() {
    let mounted = Mounted::new(true);
    fs::write(mounted.path("file"), "").unwrap();
    let file = mounted.root().lookup(b"file").unwrap();
    let name = b"security.capability";
    mounted.filesystem.catch_up();
    for _ in 0..2 {
        assert_eq!(file.xattr(name).err(), Some(Errno::ENODATA));
    }
    // CAP_NET_RAW, permitted.
    let mut value = [0; 20];
    (value[3], value[5]) = (2, 0x20);
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(mounted.path("file"), "security.capability", &value, flags).is_err() {
        // Not root's right everywhere.
        return;
    }
    mounted.filesystem.catch_up();
    assert_eq!(file.xattr(name).unwrap(), value);
    file.remove_xattr(name).unwrap();
    assert_eq!(file.xattr(name).err(), Some(Errno::ENODATA));
}

/// Lists the root; the names in their order.
fn list(root: &Arc<dyn Inode>) -> Vec<Vec<u8>> {
    let directory = open(root, OpenFlags::DIRECTORY);
    let mut names = Vec::new();
    let mut keep = |entry: crate::fs::file::DirectoryEntry| {
        names.push(entry.name);
        true
    };
    directory.operations().unwrap().read_directory(&directory, 0, &mut keep).unwrap();
    names.retain(|name| name != b"." && name != b"..");
    names
}

#[test]
fn names_that_were_listed_are_asked_for_together() {
    let mounted = Mounted::new(true);
    for n in 0..100 {
        fs::write(mounted.path(&format!("{n}")), "").unwrap();
    }
    mounted.filesystem.catch_up();
    let root = mounted.root();
    let of_root = of_gofer(&root);
    let names = list(&root);
    let mut asked = 0;
    let mut found = Vec::new();
    for name in &names {
        asked += u32::from(!mounted.filesystem.ahead.has_brought(of_root.node(), name));
        found.push(root.lookup(name).unwrap());
    }
    assert_eq!((found.len(), asked), (100, 5));
    // What was brought before somebody changed a name is not used.
    fs::write(mounted.path("new"), "").unwrap();
    found.clear();
    list(&root);
    root.lookup(&names[0]).unwrap();
    assert!(mounted.filesystem.ahead.has_brought(of_root.node(), &names[1]));
    mounted.filesystem.catch_up();
    assert!(mounted.filesystem.ahead.take(of_root.node(), &names[1]).is_none());
}

fn has_descriptor(inode: &Arc<dyn Inode>) -> bool {
    of_gofer(inode).node().has_descriptor()
}

#[test]
fn files_that_were_listed_are_opened_together() {
    let mounted = Mounted::new(true);
    for n in 0..100 {
        fs::write(mounted.path(&format!("{n}")), format!("text {n}")).unwrap();
    }
    mounted.filesystem.catch_up();
    let root = mounted.root();
    let names = list(&root);
    let mut asked = 0;
    let mut found = Vec::new();
    for name in &names {
        let inode = root.lookup(name).unwrap();
        asked += u32::from(!has_descriptor(&inode));
        let text = format!("text {}", String::from_utf8_lossy(name));
        assert_eq!(read(&open(&inode, OpenFlags::empty()), 0), text.as_bytes());
        found.push(inode);
    }
    assert!(asked <= 10, "{asked} of 100 were asked for");
}

#[test]
fn so_many_files_keep_descriptors_that_nobody_has_open() {
    let mounted = Mounted::new(true);
    for n in 0..2 * DESCRIPTORS {
        fs::write(mounted.path(&format!("{n}")), "").unwrap();
    }
    mounted.filesystem.catch_up();
    let root = mounted.root();
    let found: Vec<_> = list(&root).iter().map(|name| root.lookup(name).unwrap()).collect();
    let used = open(&found[0], OpenFlags::empty());
    for inode in &found[1..] {
        open(inode, OpenFlags::empty());
    }
    assert_eq!(found.iter().filter(|inode| has_descriptor(inode)).count(), DESCRIPTORS);
    assert!(has_descriptor(&found[0]) && !has_descriptor(&found[1]));
    assert_eq!(read(&used, 0), b"");
}

#[test]
fn only_known_regular_files_are_opened_along() {
    let mounted = Mounted::new(true);
    for n in 0..5 {
        fs::write(mounted.path(&format!("file{n}")), "").unwrap();
        std::os::unix::fs::symlink("file0", mounted.path(&format!("link{n}"))).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, mounted.path(&format!("pipe{n}")), rustix::fs::Mode::RUSR).unwrap();
        fs::create_dir(mounted.path(&format!("directory{n}"))).unwrap();
    }
    mounted.filesystem.catch_up();
    let root = mounted.root();
    let names = list(&root);
    let all: Vec<_> = names.iter().map(|name| root.lookup(name).unwrap()).collect();
    let files: Vec<_> = all.iter().filter(|inode| inode.file_type() == FileType::Regular).collect();
    for file in &files {
        open(file, OpenFlags::empty());
    }
    for inode in &all {
        assert_eq!(has_descriptor(inode), inode.file_type() == FileType::Regular);
    }
    // In a directory that was not listed each is opened alone.
    let mounted = Mounted::new(true);
    fs::write(mounted.path("one"), "").unwrap();
    fs::write(mounted.path("two"), "").unwrap();
    mounted.filesystem.catch_up();
    let (one, two) = (mounted.root().lookup(b"one").unwrap(), mounted.root().lookup(b"two").unwrap());
    open(&one, OpenFlags::empty());
    assert!(has_descriptor(&one) && !has_descriptor(&two));
}

#[test]
fn what_others_do_to_a_file_ends_a_descriptor_that_nobody_has_open() {
    let mounted = Mounted::new(true);
    for name in ["changed", "removed", "replaced", "kept"] {
        fs::write(mounted.path(name), name).unwrap();
    }
    fs::write(mounted.path("new"), "new").unwrap();
    mounted.filesystem.catch_up();
    let root = mounted.root();
    list(&root);
    let get = |name: &str| root.lookup(name.as_bytes()).unwrap();
    let all = ["changed", "removed", "replaced", "kept"].map(get);
    for inode in &all {
        open(inode, OpenFlags::empty());
    }
    fs::write(mounted.path("changed"), "otherwise").unwrap();
    fs::remove_file(mounted.path("removed")).unwrap();
    fs::rename(mounted.path("new"), mounted.path("replaced")).unwrap();
    mounted.filesystem.catch_up();
    assert_eq!(all.each_ref().map(has_descriptor), [false, false, false, true]);
    assert_eq!(read(&open(&all[0], OpenFlags::empty()), 0), b"otherwise");
    assert_eq!(read(&open(&get("replaced"), OpenFlags::empty()), 0), b"new");
    // Its name was given to another file: it is the old one's no more, whatever is kept of it.
    assert_eq!(read(&open(&all[2], OpenFlags::empty()), 0), b"replaced");
}

#[test]
fn one_question_is_enough_for_a_path() {
    let mounted = Mounted::new(true);
    fs::create_dir_all(mounted.path("a/b")).unwrap();
    fs::write(mounted.path("a/b/c"), "1").unwrap();
    let overlay = OverlayFs::new(mounted.filesystem.clone(), memory());
    for root in [mounted.root(), overlay.root()] {
        let root = Dentry::root(root, b"/");
        let (a, further) = root.look_up_ahead(&[b"a", b"b", b"missing", b"x"]).unwrap();
        assert_eq!((&*a.name(), further.len()), (&b"a"[..], 2));
        assert!(further[1].is_negative());
        let b = a.cached(b"b").unwrap();
        assert!(b.cached(b"missing").unwrap().is_negative());
        assert_eq!(root.look_up_ahead(&[b"a", b"b", b"c", b"x"]).unwrap().1.len(), 2);
        assert!(b.cached(b"c").is_some());
        assert!(root.lookup(b"nothing").unwrap().is_negative());
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
