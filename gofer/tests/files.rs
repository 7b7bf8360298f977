//! What the gofer does for a sentry that means well.
#![allow(missing_docs)]

mod fixture;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use fixture::{Served, new_file};
use moat_abi::errno::Errno;
use moat_gofer::protocol::attributes::change;
use moat_gofer::protocol::{Change, OPEN_MAX, access};

#[test]
fn a_walk_goes_many_components_in_one_round_trip() {
    let served = Served::new(|t| {
        fs::create_dir_all(t.join("a/b/c")).unwrap();
        fs::write(t.join("a/b/c/file"), "hello").unwrap();
    });
    let (nodes, errno) = served.client.walk(&served.root.handle, &[b"a", b"b", b"c", b"file"]).unwrap();
    assert_eq!((nodes.len(), errno), (4, None));
    assert_eq!(nodes[3].attributes.size, 5);
    assert_eq!(nodes[3].attributes.inode, fs::metadata(served.path("a/b/c/file")).unwrap().ino());
}

#[test]
fn a_walk_stops_at_what_is_missing() {
    let served = Served::new(|t| fs::create_dir(t.join("a")).unwrap());
    let (nodes, errno) = served.client.walk(&served.root.handle, &[b"a", b"missing", b"c"]).unwrap();
    assert_eq!((nodes.len(), errno), (1, Some(Errno::ENOENT)));
    assert_eq!(served.client.walk(&served.root.handle, &[b"missing"]).unwrap_err(), Errno::ENOENT);
}

#[test]
fn a_walk_stops_behind_a_symbolic_link() {
    let served = Served::new(|t| {
        fs::create_dir(t.join("real")).unwrap();
        fs::write(t.join("real/file"), "").unwrap();
        symlink("real", t.join("link")).unwrap();
    });
    let (nodes, errno) = served.client.walk(&served.root.handle, &[b"link", b"file"]).unwrap();
    assert_eq!((nodes.len(), errno), (1, None));
    assert_eq!(served.client.read_link(&nodes[0].handle).unwrap(), b"real");
}

#[test]
fn a_file_is_read_and_written_through_its_descriptor() {
    let served = Served::new(|t| fs::write(t.join("file"), "before").unwrap());
    let node = served.client.look_up(&served.root.handle, b"file").unwrap();
    let (fd, attributes) = served.client.open(&node.handle, access::BOTH).unwrap();
    assert_eq!(attributes.inode, node.attributes.inode);
    let mut file = fs::File::from(fd);
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    file.write_all(b" and after").unwrap();
    assert_eq!(text, "before");
    assert_eq!(fs::read_to_string(served.path("file")).unwrap(), "before and after");
}

#[test]
fn a_new_file_has_its_mode_and_owner_at_once() {
    let served = Served::new(|_| {});
    let mut new = new_file(0o4751);
    if new.uid == 0 {
        (new.uid, new.gid) = (1234, 4321);
    }
    let (node, directory, fd) = served.client.create(&served.root.handle, b"new", &new).unwrap();
    let metadata = fs::metadata(served.path("new")).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (new.uid, new.gid, 0o4751));
    assert_eq!(node.attributes.mode, 0o104_751);
    assert_eq!(directory.inode, served.root.attributes.inode);
    fs::File::from(fd).write_all(b"x").unwrap();
    assert_eq!(served.client.create(&served.root.handle, b"new", &new).unwrap_err(), Errno::EEXIST);
}

#[test]
fn directories_links_pipes_and_socket_names_are_made() {
    let served = Served::new(|_| {});
    let (client, root) = (&served.client, &served.root.handle);
    let (directory, _) = client.make_directory(root, b"dir", &new_file(0o1777)).unwrap();
    assert_eq!(fs::metadata(served.path("dir")).unwrap().mode() & 0o7777, 0o1777);
    client.symlink(&directory.handle, b"link", b"../some/where", &new_file(0o777)).unwrap();
    assert_eq!(fs::read_link(served.path("dir/link")).unwrap().to_str(), Some("../some/where"));
    client.make_node(root, b"pipe", &new_file(0o010_640), 0).unwrap();
    assert!(fs::metadata(served.path("pipe")).unwrap().file_type().is_fifo());
    client.make_node(root, b"socket", &new_file(0o140_600), 0).unwrap();
    assert!(fs::metadata(served.path("socket")).unwrap().file_type().is_socket());
}

#[test]
fn a_hard_link_is_the_same_file() {
    let served = Served::new(|t| fs::write(t.join("one"), "").unwrap());
    let one = served.client.look_up(&served.root.handle, b"one").unwrap();
    let (target, _) = served.client.link(&served.root.handle, b"two", &one.handle).unwrap();
    assert_eq!(target.links, 2);
    let two = served.client.look_up(&served.root.handle, b"two").unwrap();
    assert_eq!(two.attributes.inode, one.attributes.inode);
}

#[test]
fn an_anonymous_file_can_be_given_a_name() {
    let served = Served::new(|_| {});
    let (node, fd) = served.client.create_anonymous(&served.root.handle, &new_file(0o600)).unwrap();
    fs::File::from(fd).write_all(b"late").unwrap();
    served.client.link(&served.root.handle, b"named", &node.handle).unwrap();
    assert_eq!(fs::read(served.path("named")).unwrap(), b"late");
}

#[test]
fn names_are_removed_and_moved() {
    let served = Served::new(|t| {
        fs::create_dir(t.join("dir")).unwrap();
        fs::write(t.join("a"), "a").unwrap();
        fs::write(t.join("b"), "b").unwrap();
    });
    let (client, root) = (&served.client, &served.root.handle);
    assert_eq!(client.rename((root, b"a"), (root, b"b"), 1).unwrap_err(), Errno::EEXIST);
    client.rename((root, b"a"), (root, b"b"), 2).unwrap();
    assert_eq!(fs::read(served.path("a")).unwrap(), b"b");
    client.rename((root, b"a"), (root, b"b"), 0).unwrap();
    assert_eq!(client.rename((root, b"b"), (root, b"c"), 4).unwrap_err(), Errno::EINVAL);
    assert_eq!(client.remove(root, b"dir", false).unwrap_err(), Errno::EISDIR);
    assert_eq!(client.remove(root, b"b", true).unwrap_err(), Errno::ENOTDIR);
    client.remove(root, b"dir", true).unwrap();
    client.remove(root, b"b", false).unwrap();
    assert_eq!(fs::read_dir(served.path("")).unwrap().count(), 0);
}

#[test]
fn attributes_are_changed() {
    let served = Served::new(|t| fs::write(t.join("file"), "123456").unwrap());
    let node = served.client.look_up(&served.root.handle, b"file").unwrap();
    let to = Change {
        mask: change::PERMISSIONS | change::SIZE | change::MTIME,
        permissions: 0o4711,
        size: 3,
        mtime_seconds: 1_000_000,
        mtime_nanoseconds: 5,
        ..Change::default()
    };
    let attributes = served.client.set_attributes(&node.handle, &to).unwrap();
    assert_eq!((attributes.mode & 0o7777, attributes.size), (0o4711, 3));
    assert_eq!((attributes.mtime_seconds, attributes.mtime_nanoseconds), (1_000_000, 5));
    assert_eq!(fs::read(served.path("file")).unwrap(), b"123");
    assert_eq!(fs::metadata(served.path("file")).unwrap().permissions().mode() & 0o7777, 0o4711);
}

#[test]
fn a_symbolic_link_is_changed_and_not_what_it_leads_to() {
    let served = Served::new(|t| {
        fs::write(t.join("file"), "").unwrap();
        symlink("file", t.join("link")).unwrap();
    });
    let before = fs::metadata(served.path("file")).unwrap().mtime();
    let link = served.client.look_up(&served.root.handle, b"link").unwrap();
    let to = Change { mask: change::MTIME, mtime_seconds: 77, ..Change::default() };
    assert_eq!(served.client.set_attributes(&link.handle, &to).unwrap().mtime_seconds, 77);
    assert_eq!(fs::metadata(served.path("file")).unwrap().mtime(), before);
    served.client.link(&served.root.handle, b"again", &link.handle).unwrap();
    assert!(fs::symlink_metadata(served.path("again")).unwrap().is_symlink());
    let size = Change { mask: change::SIZE, ..Change::default() };
    assert!(served.client.set_attributes(&link.handle, &size).is_err());
}

#[test]
fn a_large_directory_comes_complete_and_can_be_gone_on_with_anywhere() {
    let served = Served::new(|t| {
        for n in 0..5000 {
            fs::write(t.join(format!("a-file-with-a-rather-long-name-{n}")), "").unwrap();
        }
    });
    let (client, root) = (&served.client, &served.root.handle);
    let mut entries = Vec::new();
    let mut stream = None;
    let mut position = 0;
    loop {
        let listing = client.read_directory(root, stream, position).unwrap();
        entries.extend(listing.entries);
        if listing.end {
            break;
        }
        stream = listing.stream;
        position = entries.last().unwrap().next;
    }
    let mut names: Vec<_> = entries.iter().map(|e| e.name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5002);
    let middle = entries[2500].next;
    let rest = client.read_directory(root, None, middle).unwrap();
    assert_eq!(rest.entries[0].name, entries[2501].name);
}

#[test]
fn extended_attributes_of_users_are_kept() {
    let served = Served::new(|t| fs::write(t.join("file"), "").unwrap());
    let node = served.client.look_up(&served.root.handle, b"file").unwrap();
    let client = &served.client;
    match client.set_xattr(&node.handle, b"user.colour", b"green", 0) {
        // Not every filesystem that scratch directories lie on has them.
        Err(Errno::EOPNOTSUPP) => return,
        other => other.unwrap(),
    }
    assert_eq!(client.xattr(&node.handle, b"user.colour").unwrap(), b"green");
    assert_eq!(client.set_xattr(&node.handle, b"user.colour", b"", 1).unwrap_err(), Errno::EEXIST);
    assert_eq!(client.list_xattrs(&node.handle).unwrap(), [b"user.colour".to_vec()]);
    client.remove_xattr(&node.handle, b"user.colour").unwrap();
    assert_eq!(client.xattr(&node.handle, b"user.colour").unwrap_err(), Errno::ENODATA);
    assert_eq!(client.set_xattr(&node.handle, b"trusted.overlay.opaque", b"y", 0).unwrap_err(), Errno::EOPNOTSUPP);
}

#[test]
fn statfs_and_sync_answer() {
    let served = Served::new(|_| {});
    assert!(served.client.statfs(&served.root.handle).unwrap().f_bsize > 0);
    for what in 0..3 {
        served.client.sync(&served.root.handle, what).unwrap();
    }
}

#[test]
fn a_single_file_can_be_a_root() {
    let served = Served::with(
        |t| fs::write(t.join("file"), "alone").unwrap(),
        |root| {
            // The fixture opened the directory; the file in it takes its place.
            let path = format!("/proc/self/fd/{}/file", std::os::fd::AsRawFd::as_raw_fd(&root.fd));
            root.fd = fixture::path_fd(std::path::Path::new(&path));
        },
    );
    assert_eq!(served.root.attributes.size, 5);
    let (fd, _) = served.client.open(&served.root.handle, access::READ).unwrap();
    let mut text = String::new();
    fs::File::from(fd).read_to_string(&mut text).unwrap();
    assert_eq!(text, "alone");
    assert_eq!(served.client.look_up(&served.root.handle, b"x").unwrap_err(), Errno::ENOTDIR);
}

#[test]
fn a_read_only_root_cannot_be_changed() {
    let served = Served::with(|t| fs::write(t.join("file"), "x").unwrap(), |r| r.read_only = true);
    let (client, root) = (&served.client, &served.root.handle);
    let file = client.look_up(root, b"file").unwrap();
    let change = Change { mask: change::SIZE, ..Change::default() };
    let refused = [
        client.create(root, b"n", &new_file(0o600)).map(|_| ()),
        client.create_anonymous(root, &new_file(0o600)).map(|_| ()),
        client.make_directory(root, b"n", &new_file(0o600)).map(|_| ()),
        client.symlink(root, b"n", b"x", &new_file(0o777)).map(|_| ()),
        client.make_node(root, b"n", &new_file(0o010_600), 0).map(|_| ()),
        client.link(root, b"n", &file.handle).map(|_| ()),
        client.remove(root, b"file", false).map(|_| ()),
        client.rename((root, b"file"), (root, b"n"), 0).map(|_| ()),
        client.set_attributes(&file.handle, &change).map(|_| ()),
        client.set_xattr(&file.handle, b"user.x", b"", 0),
        client.open(&file.handle, access::BOTH).map(|_| ()),
        client.open(&file.handle, access::WRITE).map(|_| ()),
    ];
    assert!(refused.iter().all(|r| *r == Err(Errno::EROFS)), "{refused:?}");
    client.open(&file.handle, access::READ).unwrap();
}

#[test]
fn a_socket_of_the_host_is_connected_to_where_that_is_allowed() {
    let served = Served::with(|_| {}, |r| r.allow_unix_connect = true);
    let listener = std::os::unix::net::UnixListener::bind(served.path("here")).unwrap();
    let node = served.client.look_up(&served.root.handle, b"here").unwrap();
    let stream = std::os::unix::net::UnixStream::from(served.client.connect(&node.handle, 1).unwrap());
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.write_all(b"hi").unwrap();
    stream.set_nonblocking(false).unwrap();
    let mut said = [0; 2];
    (&stream).read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hi");
    let (_, _, bound) = served.client.bind(&served.root.handle, b"there", 2, &new_file(0o600)).unwrap();
    assert!(fs::metadata(served.path("there")).unwrap().file_type().is_socket());
    drop(bound);
}

#[test]
fn many_threads_share_the_connections() {
    let served = Served::new(|t| {
        for n in 0..8 {
            fs::write(t.join(n.to_string()), vec![0; n]).unwrap();
        }
    });
    std::thread::scope(|scope| {
        for n in 0..8_usize {
            let served = &served;
            scope.spawn(move || {
                for _ in 0..500 {
                    let node = served.client.look_up(&served.root.handle, n.to_string().as_bytes()).unwrap();
                    assert_eq!(node.attributes.size, n as u64);
                }
            });
        }
    });
}

#[test]
fn files_are_opened_together() {
    let served = Served::new(|t| {
        fs::write(t.join("one"), "1").unwrap();
        fs::write(t.join("two"), "22").unwrap();
        fs::write(t.join("gone"), "").unwrap();
        fs::create_dir(t.join("directory")).unwrap();
        symlink("one", t.join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, t.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    });
    let names = ["one", "directory", "link", "pipe", "gone", "two"];
    let nodes = names.map(|name| served.client.look_up(&served.root.handle, name.as_bytes()).unwrap());
    fs::remove_file(served.path("gone")).unwrap();
    let handles = nodes.each_ref().map(|node| &node.handle);
    let opened = served.client.open_all(&handles).unwrap();
    // What lost its name is there as long as it is held.
    let known = opened.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(known, [true, false, false, false, true, true]);
    for ((file, node), size) in opened.into_iter().zip(&nodes).filter_map(|(o, n)| Some((o?, n))).zip([1, 0, 2]) {
        assert_eq!((file.1.inode, file.1.size), (node.attributes.inode, size));
        let mut text = Vec::new();
        let mut file = fs::File::from(file.0);
        file.read_to_end(&mut text).unwrap();
        assert_eq!((file.metadata().unwrap().ino(), text.len() as u64), (node.attributes.inode, size));
        assert!(file.write_all(b"x").is_err(), "it only reads");
    }
}

#[test]
fn at_most_so_many_files_are_opened_together() {
    let served = Served::new(|t| fs::write(t.join("file"), "").unwrap());
    let node = served.client.look_up(&served.root.handle, b"file").unwrap();
    assert_eq!(served.client.open_all(&[&node.handle; OPEN_MAX]).unwrap().into_iter().flatten().count(), OPEN_MAX);
    assert_eq!(served.client.open_all(&[&node.handle; OPEN_MAX + 1]).unwrap_err(), Errno::EINVAL);
    assert_eq!(served.client.open_all(&[]).unwrap_err(), Errno::EINVAL);
}
