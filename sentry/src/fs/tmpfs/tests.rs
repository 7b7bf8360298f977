//! What tmpfs promises.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{FallocateFlags, OpenFlags, RenameFlags};

use super::*;
use crate::fs::OpenFile;
use crate::fs::inode::SetAttributes;

fn filesystem(options: &str) -> Arc<TmpFs> {
    TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::parse(options, 1 << 30).unwrap(), 1 << 30).unwrap()
}

fn new(kind: NodeKind) -> NewNode {
    NewNode { kind, permissions: 0o644, uid: 1, gid: 2 }
}

fn make(directory: &Arc<dyn Inode>, name: &str, kind: NodeKind) -> Arc<dyn Inode> {
    directory.create(name.as_bytes(), &new(kind)).unwrap()
}

fn open(inode: &Arc<dyn Inode>) -> Arc<OpenFile> {
    let operations = inode.clone().open(OpenFlags::RDWR).unwrap();
    OpenFile::new(operations, None, OpenFlags::RDWR)
}

fn write(file: &Arc<OpenFile>, bytes: &[u8], offset: u64) -> crate::Result<usize> {
    file.operations().unwrap().write_at(file, bytes, offset)
}

fn read(file: &Arc<OpenFile>, len: usize, offset: u64) -> Vec<u8> {
    let mut buf = vec![0; len];
    let n = file.operations().unwrap().read_at(file, &mut buf, offset).unwrap();
    buf.truncate(n);
    buf
}

fn names(file: &Arc<OpenFile>, from: u64, most: usize) -> (Vec<String>, u64) {
    let mut names = Vec::new();
    let mut next = from;
    file.operations()
        .unwrap()
        .read_directory(file, from, &mut |entry| {
            if names.len() == most {
                return false;
            }
            next = entry.next;
            names.push(String::from_utf8(entry.name).unwrap());
            true
        })
        .unwrap();
    (names, next)
}

#[test]
fn bytes_survive_the_move_to_a_memory_file() {
    let root = filesystem("").root();
    let inode = make(&root, "f", NodeKind::Regular);
    let file = open(&inode);
    write(&file, b"hello", 3).unwrap();
    assert_eq!(read(&file, 10, 0), b"\0\0\0hello");
    let mapped = file.operations().unwrap().mappable(&file).unwrap();
    let mut seen = [0; 8];
    assert_eq!(mapped.file.read_at(&mut seen, 0).unwrap(), 8);
    assert_eq!(&seen, b"\0\0\0hello");
    write(&file, b"far", 100_000).unwrap();
    assert_eq!(inode.attributes().unwrap().size, 100_003);
    assert!(inode.attributes().unwrap().blocks < 200);
    assert_eq!(read(&file, 10, 100_000), b"far");
    inode.set_attributes(&SetAttributes { size: Some(4), ..SetAttributes::default() }).unwrap();
    assert_eq!(read(&file, 10, 0), b"\0\0\0h");
}

#[test]
fn a_full_filesystem_gives_enospc_after_a_short_write() {
    let filesystem = filesystem("size=16k");
    let root = filesystem.root();
    let file = open(&make(&root, "f", NodeKind::Regular));
    assert_eq!(write(&file, &[1; 20_000], 0).unwrap(), 16_384);
    assert_eq!(write(&file, &[1; 10], 16_384).unwrap_err(), Errno::ENOSPC);
    assert_eq!(filesystem.statfs().unwrap().f_bfree, 0);
    let inode = root.lookup(b"f").unwrap();
    root.unlink(b"f", &inode).unwrap();
    drop((inode, file));
    assert_eq!(filesystem.statfs().unwrap().f_bfree, 4);
}

#[test]
fn inodes_are_limited() {
    let root = filesystem("nr_inodes=2").root();
    make(&root, "a", NodeKind::Directory);
    assert_eq!(root.create(b"b", &new(NodeKind::Regular)).err(), Some(Errno::ENOSPC));
}

#[test]
fn a_listing_goes_on_where_it_was_though_entries_vanish() {
    let root = filesystem("").root();
    for i in 0..10 {
        make(&root, &format!("f{i}"), NodeKind::Regular);
    }
    let directory = OpenFile::new(root.clone().open(OpenFlags::empty()).unwrap(), None, OpenFlags::empty());
    let (first, next) = names(&directory, 0, 5);
    assert_eq!(first, [".", "..", "f0", "f1", "f2"]);
    for i in 0..4 {
        let name = format!("f{i}");
        let inode = root.lookup(name.as_bytes()).unwrap();
        root.unlink(name.as_bytes(), &inode).unwrap();
    }
    assert_eq!(names(&directory, next, 3).0, ["f4", "f5", "f6"]);
}

#[test]
fn links_are_counted() {
    let root = filesystem("").root();
    let a = make(&root, "a", NodeKind::Directory);
    assert_eq!(root.attributes().unwrap().links, 3);
    let f = make(&a, "f", NodeKind::Regular);
    root.link(b"g", &f).unwrap();
    assert_eq!(f.attributes().unwrap().links, 2);
    assert_eq!(root.rmdir(b"a", &a).unwrap_err(), Errno::ENOTEMPTY);
    a.unlink(b"f", &f).unwrap();
    root.rmdir(b"a", &a).unwrap();
    assert_eq!(root.attributes().unwrap().links, 2);
    assert_eq!(a.create(b"late", &new(NodeKind::Regular)).err(), Some(Errno::ENOENT));
}

#[test]
fn renames_replace_and_exchange() {
    let root = filesystem("").root();
    let a = make(&root, "a", NodeKind::Directory);
    let f = make(&a, "f", NodeKind::Regular);
    let g = make(&root, "g", NodeKind::Regular);
    assert_eq!(a.rename(b"f", &root, b"g", RenameFlags::NOREPLACE).unwrap_err(), Errno::EEXIST);
    a.rename(b"f", &root, b"g", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(root.lookup(b"g").unwrap().attributes().unwrap().inode, f.attributes().unwrap().inode);
    root.rename(b"g", &a, b"f", RenameFlags::empty()).unwrap();
    assert_eq!(g.attributes().unwrap().links, 0);
    assert_eq!(root.lookup(b"g").err(), Some(Errno::ENOENT));
    root.rename(b"a", &root, b"b", RenameFlags::empty()).unwrap();
    assert_eq!(root.attributes().unwrap().links, 3);
}

#[test]
fn holes_are_punched_and_found() {
    let root = filesystem("").root();
    let inode = make(&root, "f", NodeKind::Regular);
    let file = open(&inode);
    write(&file, &[7; 65_536], 0).unwrap();
    let operations = file.operations().unwrap();
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    operations.allocate(&file, punch, 8192, 4096).unwrap();
    assert_eq!(operations.seek_data(&file, 0, true).unwrap(), 8192);
    assert_eq!(operations.seek_data(&file, 8192, false).unwrap(), 12_288);
    assert_eq!(operations.seek_data(&file, 65_536, false).unwrap_err(), Errno::ENXIO);
    assert_eq!(inode.attributes().unwrap().blocks, 15 * 8);
}

#[test]
fn xattrs_obey_their_flags() {
    let root = filesystem("").root();
    root.set_xattr(b"user.a", b"1", node::XATTR_CREATE).unwrap();
    assert_eq!(root.set_xattr(b"user.a", b"2", node::XATTR_CREATE).unwrap_err(), Errno::EEXIST);
    assert_eq!(root.set_xattr(b"user.b", b"2", node::XATTR_REPLACE).unwrap_err(), Errno::ENODATA);
    assert_eq!(root.xattr(b"user.a").unwrap(), b"1");
    root.remove_xattr(b"user.a").unwrap();
    assert_eq!(root.xattr(b"user.a").unwrap_err(), Errno::ENODATA);
}

#[test]
fn a_tree_deeper_than_the_stack_can_be_dropped() {
    let filesystem = filesystem("");
    let mut at = filesystem.root();
    for _ in 0..50_000 {
        at = at.create(b"d", &new(NodeKind::Directory)).unwrap();
    }
    drop(at);
    drop(filesystem);
}
