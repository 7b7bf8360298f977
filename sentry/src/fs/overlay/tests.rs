//! What the overlay promises.

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::{OpenFlags, RenameFlags};

use super::*;
use crate::fs::OpenFile;
use crate::fs::inode::{NewNode, NodeKind, SetAttributes};
use crate::fs::tmpfs::TmpfsOptions;

fn memory() -> Arc<TmpFs> {
    TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::default(), 1 << 30).unwrap()
}

fn make(directory: &Arc<dyn Inode>, name: &str, kind: NodeKind) -> Arc<dyn Inode> {
    directory.create(name.as_bytes(), &NewNode { kind, permissions: 0o644, uid: 1, gid: 2 }).unwrap()
}

fn write(inode: &Arc<dyn Inode>, bytes: &[u8]) {
    let operations = inode.clone().open(OpenFlags::RDWR).unwrap();
    let file = OpenFile::new(operations.clone(), None, OpenFlags::RDWR);
    operations.write_at(&file, bytes, 0).unwrap();
}

fn read(inode: &Arc<dyn Inode>) -> Vec<u8> {
    let operations = inode.clone().open(OpenFlags::empty()).unwrap();
    let file = OpenFile::new(operations.clone(), None, OpenFlags::empty());
    let mut buf = vec![0; 4096];
    let n = operations.read_at(&file, &mut buf, 0).unwrap();
    buf.truncate(n);
    buf
}

fn names(inode: &Arc<dyn Inode>) -> Vec<String> {
    let operations = inode.clone().open(OpenFlags::DIRECTORY).unwrap();
    let file = OpenFile::new(operations.clone(), None, OpenFlags::DIRECTORY);
    let mut names = Vec::new();
    operations
        .read_directory(&file, 0, &mut |entry| {
            names.push(String::from_utf8(entry.name).unwrap());
            true
        })
        .unwrap();
    names.sort();
    names
}

/// Below: `f` and its other name `g`, and `d/x`. Returns what is below and the overlay's root.
fn setup() -> (Arc<dyn Inode>, Arc<dyn Inode>) {
    let lower = memory();
    let below = lower.root();
    let f = make(&below, "f", NodeKind::Regular);
    write(&f, b"below");
    below.link(b"g", &f).unwrap();
    let d = make(&below, "d", NodeKind::Directory);
    write(&make(&d, "x", NodeKind::Regular), b"x");
    (below, OverlayFs::new(lower, memory()).root())
}

#[test]
fn writes_stay_above_and_show_through_every_name() {
    let (below, root) = setup();
    let f = root.lookup(b"f").unwrap();
    let number = f.attributes().unwrap().inode;
    let reader = f.clone().open(OpenFlags::empty()).unwrap();
    write(&f, b"above");
    assert_eq!(read(&below.lookup(b"f").unwrap()), b"below");
    drop(f);
    assert_eq!(read(&root.lookup(b"f").unwrap()), b"above");
    assert_eq!(read(&root.lookup(b"g").unwrap()), b"above");
    let attributes = root.lookup(b"g").unwrap().attributes().unwrap();
    assert_eq!((attributes.inode, attributes.links, attributes.uid), (number, 2, 1));
    let file = OpenFile::new(reader.clone(), None, OpenFlags::empty());
    let mut buf = [0; 5];
    reader.read_at(&file, &mut buf, 0).unwrap();
    assert_eq!(&buf, b"above");
}

#[test]
fn removed_names_are_hidden() {
    let (below, root) = setup();
    let f = root.lookup(b"f").unwrap();
    root.unlink(b"f", &f).unwrap();
    assert_eq!(root.lookup(b"f").err(), Some(Errno::ENOENT));
    assert_eq!(root.lookup(b"g").unwrap().attributes().unwrap().links, 1);
    assert_eq!(names(&root), [".", "..", "d", "g"]);
    assert_eq!(names(&below).len(), 5);
    make(&root, "f", NodeKind::Regular);
    assert_eq!(read(&root.lookup(b"f").unwrap()), b"");
    assert_eq!(
        root.create(b"f", &NewNode { kind: NodeKind::Regular, permissions: 0, uid: 0, gid: 0 }).err(),
        Some(Errno::EEXIST)
    );
}

#[test]
fn directories_from_below_move_and_go() {
    let (_, root) = setup();
    let d = root.lookup(b"d").unwrap();
    let number = d.attributes().unwrap().inode;
    assert_eq!(root.rmdir(b"d", &d).unwrap_err(), Errno::ENOTEMPTY);
    root.rename(b"d", &root, b"e", RenameFlags::empty()).unwrap();
    let e = root.lookup(b"e").unwrap();
    assert_eq!(e.attributes().unwrap().inode, number);
    assert_eq!(read(&e.lookup(b"x").unwrap()), b"x");
    let x = e.lookup(b"x").unwrap();
    e.rename(b"x", &root, b"x", RenameFlags::empty()).unwrap();
    assert_eq!(read(&root.lookup(b"x").unwrap()), b"x");
    root.rmdir(b"e", &e).unwrap();
    assert_eq!(
        e.create(b"late", &NewNode { kind: NodeKind::Regular, permissions: 0, uid: 0, gid: 0 }).err(),
        Some(Errno::ENOENT)
    );
    let again = make(&root, "d", NodeKind::Directory);
    assert_eq!(names(&again), [".", ".."]);
    drop(x);
}

#[test]
fn attributes_change_without_a_trace_below() {
    let (below, root) = setup();
    let f = root.lookup(b"f").unwrap();
    f.set_attributes(&SetAttributes { permissions: Some(0o600), size: Some(2), ..SetAttributes::default() }).unwrap();
    f.set_xattr(b"user.a", b"1", 0).unwrap();
    assert_eq!(read(&f), b"be");
    assert_eq!(f.attributes().unwrap().mode.permissions(), 0o600);
    let below = below.lookup(b"f").unwrap();
    assert_eq!(below.attributes().unwrap().mode.permissions(), 0o644);
    assert_eq!(below.xattr(b"user.a").unwrap_err(), Errno::ENODATA);
}
