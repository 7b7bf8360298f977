//! What the gofer does not do for a sentry that has been taken over, and what the client does not take from a gofer that
//! has.
#![allow(missing_docs)]

mod fixture;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

use fixture::{Served, connect, new_file, pair};
use moat_abi::errno::Errno;
use moat_gofer::Client;
use moat_gofer::client::Node;
use moat_gofer::protocol::wire::{Reader, Writer};
use moat_gofer::protocol::{
    self, Attributes, Hello, MAGIC, MESSAGE_MAX, Opcode, ReplyHeader, Target, VERSION, Walk, access,
};
use rustix::net::{RecvFlags, SendFlags};
use zerocopy::IntoBytes;

/// Speaks the protocol without the client's checks.
struct Raw(OwnedFd);

impl Raw {
    fn greeted(socket: OwnedFd) -> Self {
        let raw = Self(socket);
        let reply = raw.ask(Opcode::Hello, |w| w.put(&Hello { magic: MAGIC, version: VERSION }));
        assert!(reply.is_some());
        raw
    }

    fn send(&self, packet: &[u8]) {
        rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL).unwrap();
    }

    /// The same with this descriptor, so many times.
    fn send_with(&self, packet: &[u8], fd: BorrowedFd<'_>, count: usize) {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(100))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        let fds = vec![fd; count];
        assert!(count == 0 || control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
        rustix::net::sendmsg(&self.0, &[std::io::IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    /// The next packet; `None` when the other side has hung up.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MESSAGE_MAX];
        let (n, _) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()).ok()?;
        buffer.truncate(n);
        (n > 0).then_some(buffer)
    }

    fn ask(&self, opcode: Opcode, write: impl FnOnce(&mut Writer<'_>)) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        let mut writer = Writer::request(&mut buffer, opcode, 1);
        write(&mut writer);
        writer.finish().unwrap();
        self.send(&buffer);
        self.receive()
    }

    fn errno(&self, opcode: Opcode, write: impl FnOnce(&mut Writer<'_>)) -> Option<u32> {
        let reply = self.ask(opcode, write)?;
        Some(Reader::reply(&reply).unwrap().0.errno)
    }

    fn attach(&self) -> u64 {
        let reply = self.ask(Opcode::Attach, |w| w.put(&protocol::Attach::default())).unwrap();
        let (_, mut body) = Reader::reply(&reply).unwrap();
        body.take::<protocol::Node>().unwrap().handle
    }
}

fn raw(served: &Served) -> Raw {
    Raw::greeted(connect(&served.server))
}

#[test]
fn names_that_are_no_single_component_end_the_connection() {
    let served = Served::new(|_| {});
    for name in [&b".."[..], b".", b"", b"/", b"/etc", b"../tree", b"a/../..", b"a\0b", &[b'x'; 300]] {
        let raw = raw(&served);
        let handle = raw.attach();
        let reply = raw.ask(Opcode::Walk, |w| {
            w.put(&Walk { handle, count: 1, reserved: 0 });
            w.put_bytes(name);
        });
        assert!(reply.is_none(), "{name:?}");
    }
    assert_eq!(served.client.look_up(&served.root.handle, b"..").unwrap_err(), Errno::EINVAL);
    assert_eq!(served.client.look_up(&served.root.handle, b"/etc").unwrap_err(), Errno::EINVAL);
    assert!(!served.client.is_dead());
}

#[test]
fn no_request_follows_a_symbolic_link() {
    let served = Served::new(|t| {
        let outside = t.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink(&outside, t.join("absolute")).unwrap();
        symlink("../outside", t.join("relative")).unwrap();
        symlink("../outside/secret", t.join("file")).unwrap();
    });
    let (client, root) = (&served.client, &served.root.handle);
    for name in [&b"absolute"[..], b"relative"] {
        let link = client.look_up(root, name).unwrap();
        assert_eq!(client.look_up(&link.handle, b"secret").unwrap_err(), Errno::ENOTDIR);
        assert_eq!(client.create(&link.handle, b"new", &new_file(0o600)).unwrap_err(), Errno::ENOTDIR);
        assert_eq!(client.read_directory(&link.handle, None, 0).unwrap_err(), Errno::ENOTDIR);
        let (nodes, _) = client.walk(root, &[name, b"secret"]).unwrap();
        assert_eq!(nodes.len(), 1);
    }
    let file = client.look_up(root, b"file").unwrap();
    assert_eq!(client.open(&file.handle, access::READ).unwrap_err(), Errno::ELOOP);
    // A name that is a link is not written through.
    assert_eq!(client.create(root, b"file", &new_file(0o600)).unwrap_err(), Errno::EEXIST);
    assert_eq!(fs::read(served.path("../outside/secret")).unwrap(), b"secret");
}

#[test]
fn magic_links_lead_nowhere() {
    let served = Served::with(|_| {}, |r| r.fd = fixture::path_fd(std::path::Path::new("/proc/self")));
    let client = &served.client;
    for name in [&b"exe"[..], b"cwd", b"root"] {
        let link = client.look_up(&served.root.handle, name).unwrap();
        assert!(client.open(&link.handle, access::READ).is_err());
        assert_eq!(client.look_up(&link.handle, b"etc").unwrap_err(), Errno::ENOTDIR);
    }
    let fd = client.look_up(&served.root.handle, b"fd").unwrap();
    let (nodes, _) = client.walk(&fd.handle, &[b"0", b"x"]).unwrap();
    assert_eq!(nodes.len(), 1);
    assert!(client.open(&nodes[0].handle, access::READ).is_err());
}

#[test]
fn a_directory_that_turns_into_a_link_while_it_is_walked_leads_nowhere() {
    let served = Served::new(|t| {
        fs::create_dir(t.join("swap")).unwrap();
        fs::write(t.join("swap/name"), "inside").unwrap();
        let outside = t.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("name"), "outside").unwrap();
        symlink("../outside", t.join("link")).unwrap();
    });
    let outside = fs::metadata(served.path("../outside/name")).unwrap().ino();
    let end = Instant::now() + Duration::from_millis(700);
    std::thread::scope(|scope| {
        let served = &served;
        scope.spawn(move || {
            let (a, b) = (served.path("swap"), served.path("link"));
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            while Instant::now() < end {
                rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, flags).unwrap();
            }
        });
        let client = &served.client;
        let mut reached = 0;
        while Instant::now() < end {
            let Ok((nodes, _)) = client.walk(&served.root.handle, &[b"swap", b"name"]) else { continue };
            if let [directory, name] = &nodes[..] {
                assert_ne!(name.attributes.inode, outside);
                reached += 1;
                let _ = client.create(&directory.handle, b"new", &new_file(0o600));
                let _ = client.remove(&directory.handle, b"new", false);
            }
        }
        assert!(reached > 0);
    });
    assert_eq!(fs::read_dir(served.path("../outside")).unwrap().count(), 1);
}

#[test]
fn pipes_sockets_and_devices_are_not_opened() {
    let served = Served::new(|t| {
        let make = |name: &str, kind, device| {
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            rustix::fs::mknodat(rustix::fs::CWD, t.join(name), kind, mode, device)
        };
        make("pipe", rustix::fs::FileType::Fifo, 0).unwrap();
        make("socket", rustix::fs::FileType::Socket, 0).unwrap();
        // Only root makes devices; the rest is tested for anybody.
        let _ = make("null", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
    });
    let (client, root) = (&served.client, &served.root.handle);
    for name in [&b"pipe"[..], b"socket", b"null"] {
        let Ok(node) = client.look_up(root, name) else { continue };
        assert_eq!(client.open(&node.handle, access::READ).unwrap_err(), Errno::ENXIO);
        assert_eq!(client.open(&node.handle, access::BOTH).unwrap_err(), Errno::ENXIO);
    }
    let socket = client.look_up(root, b"socket").unwrap();
    assert_eq!(client.connect(&socket.handle, 1).unwrap_err(), Errno::ECONNREFUSED);
    let device = client.make_node(root, b"device", &new_file(0o020_666), rustix::fs::makedev(1, 3));
    assert_eq!(device.unwrap_err(), Errno::EPERM);
    assert_eq!(client.bind(root, b"bound", 1, &new_file(0o600)).unwrap_err(), Errno::EPERM);
    assert!(!served.path("bound").exists());
}

#[test]
fn wrong_handles_are_refused_and_harm_nobody() {
    let served = Served::new(|_| {});
    let raw = raw(&served);
    let handle = raw.attach();
    for wild in [0, 1, handle + 1, handle ^ (1 << 40), u64::MAX] {
        for opcode in [Opcode::GetAttributes, Opcode::ReadLink, Opcode::StatFs, Opcode::ListXattrs] {
            assert_eq!(raw.errno(opcode, |w| w.put(&Target { handle: wild })), Some(9), "{opcode:?} {wild:#x}");
        }
    }
    // Closed twice, and wild ones: no reply, and the connection goes on.
    let mut buffer = Vec::new();
    let mut writer = Writer::request(&mut buffer, Opcode::Close, 1);
    [handle, handle, u64::MAX, 0].iter().for_each(|h| writer.put(h));
    writer.finish().unwrap();
    raw.send(&buffer);
    assert_eq!(raw.errno(Opcode::GetAttributes, |w| w.put(&Target { handle })), Some(9));
    assert_eq!(served.client.attach(7).unwrap_err(), Errno::ENOENT);
}

#[test]
fn malformed_requests_end_the_connection_and_no_more() {
    let served = Served::new(|_| {});
    let mut packets: Vec<Vec<u8>> = vec![vec![1], vec![0xff; 16], vec![0xff; 4096], vec![0; 16]];
    // A length that is not the packet's; a huge inner length; surplus bytes; an unknown request.
    let mut buffer = Vec::new();
    let mut writer = Writer::request(&mut buffer, Opcode::GetAttributes, 1);
    writer.put(&Target { handle: 1 });
    writer.finish().unwrap();
    let sound = buffer.clone();
    for (at, value) in [(0, u32::MAX), (0, 8), (4, 99), (4, 0), (12, 1)] {
        let mut wrong = sound.clone();
        wrong[at..at + 4].copy_from_slice(&value.to_le_bytes());
        packets.push(wrong);
    }
    let mut writer = Writer::request(&mut buffer, Opcode::GetXattr, 1);
    writer.put(&Target { handle: 1 });
    writer.put(&u32::MAX.to_le_bytes());
    writer.finish().unwrap();
    packets.push(buffer.clone());
    let mut writer = Writer::request(&mut buffer, Opcode::Walk, 1);
    writer.put(&Walk { handle: 1, count: u32::MAX, reserved: 0 });
    writer.finish().unwrap();
    packets.push(buffer.clone());
    packets.push(vec![0; MESSAGE_MAX + 4096]);
    for packet in packets {
        let raw = raw(&served);
        raw.send(&packet);
        assert!(raw.receive().is_none(), "{:?}", &packet[..packet.len().min(32)]);
    }
    assert!(served.client.attributes(&served.root.handle).is_ok());
}

#[test]
fn a_connection_without_a_greeting_is_ended() {
    let served = Served::new(|_| {});
    let raw = Raw(connect(&served.server));
    assert!(raw.ask(Opcode::Attach, |w| w.put(&protocol::Attach::default())).is_none());
    let raw = Raw(connect(&served.server));
    let errno = raw.errno(Opcode::Hello, |w| w.put(&Hello { magic: MAGIC, version: VERSION + 1 }));
    assert_eq!(errno, Some(Errno::EPROTO.raw() as u32));
    assert!(raw.receive().is_none());
}

#[test]
fn random_requests_never_end_the_server() {
    let served = Served::new(|t| fs::create_dir(t.join("a")).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut raw_connection = raw(&served);
    for _ in 0..3000 {
        let opcode = 2 + (next() % 26) as u32;
        let length = 16 + (next() % 12) as usize * 8;
        let mut packet = Vec::with_capacity(length);
        packet.extend_from_slice(&(length as u32).to_le_bytes());
        packet.extend_from_slice(&opcode.to_le_bytes());
        packet.extend_from_slice(&[0; 8]);
        while packet.len() < length {
            let word = if next() % 3 == 0 { next() } else { next() % 4 };
            packet.extend_from_slice(&word.to_le_bytes());
        }
        packet.truncate(length);
        raw_connection.send(&packet);
        if opcode == Opcode::Close as u32 || raw_connection.receive().is_none() {
            raw_connection = raw(&served);
        }
    }
    assert!(served.client.attributes(&served.root.handle).is_ok());
}

/// A gofer that answers the greeting and then each request with `answer`.
fn with_gofer(answer: impl Fn(u32) -> Option<Vec<u8>> + Send + 'static) -> std::sync::Arc<Client> {
    let (ours, theirs) = pair();
    std::thread::spawn(move || {
        let raw = Raw(theirs);
        let mut greeted = false;
        while let Some(request) = raw.receive() {
            let Ok((header, _, _)) = Reader::request(&request) else { return };
            if !greeted {
                greeted = true;
                let mut buffer = Vec::new();
                let mut writer = Writer::reply(&mut buffer, header.sequence);
                writer.put(&protocol::HelloReply { version: VERSION, roots: 1, handles: 10 });
                writer.finish().unwrap();
                raw.send(&buffer);
                continue;
            }
            match answer(header.sequence) {
                Some(packet) => raw.send(&packet),
                None => return,
            }
        }
    });
    Client::new(vec![ours]).unwrap()
}

#[test]
fn a_gofer_that_lies_is_not_listened_to_any_more() {
    let header =
        |sequence, errno, descriptors, length| ReplyHeader { length, errno, sequence, descriptors }.as_bytes().to_vec();
    type Answer = Box<dyn Fn(u32) -> Option<Vec<u8>> + Send>;
    let answers: Vec<Answer> = vec![
        Box::new(|_| None),
        Box::new(|_| Some(vec![1, 2, 3])),
        Box::new(move |s| Some(header(s + 1, 0, 0, 16))),
        Box::new(move |s| Some(header(s, 0, 1, 16))),
        Box::new(move |s| Some(header(s, 0, 7, 16))),
        Box::new(move |s| Some(header(s, 0, 0, 17))),
        Box::new(move |s| Some(header(s, 0, 0, 16))),
        Box::new(move |s| {
            let mut packet = header(s, 0, 0, 16 + 128);
            packet.extend_from_slice(protocol::Node { handle: 5, ..Default::default() }.as_bytes());
            Some(packet)
        }),
    ];
    for (n, answer) in answers.into_iter().enumerate() {
        let client = with_gofer(answer);
        assert_eq!(client.attach(0).unwrap_err(), Errno::EIO, "answer {n}");
        assert!(client.is_dead(), "answer {n}");
        assert_eq!(client.attach(0).unwrap_err(), Errno::EIO);
    }
}

#[test]
fn errors_that_linux_never_shows_become_eio() {
    for errno in [512, 516, 134, 4000] {
        let client = with_gofer(move |sequence| {
            Some(ReplyHeader { length: 16, errno, sequence, descriptors: 0 }.as_bytes().to_vec())
        });
        assert_eq!(client.attach(0).unwrap_err(), Errno::EIO);
        assert!(!client.is_dead());
    }
}

#[test]
fn a_descriptor_that_the_sentry_sends_is_dropped() {
    let served = Served::new(|_| {});
    let raw = raw(&served);
    let mut buffer = Vec::new();
    let mut writer = Writer::request(&mut buffer, Opcode::Attach, 1);
    writer.put(&protocol::Attach::default());
    writer.finish().unwrap();
    raw.send_with(&buffer, raw.0.as_fd(), 1);
    assert!(raw.receive().is_none());
}

#[test]
fn files_are_opened_together_by_rule_alone() {
    let served = Served::with(|t| fs::write(t.join("file"), "").unwrap(), |root| root.read_only = true);
    let ask = |count: u32, handles: usize| {
        let raw = raw(&served);
        let handle = raw.attach();
        raw.ask(Opcode::OpenAll, |w| {
            w.put(&protocol::OpenAll { count, reserved: 0 });
            (0..handles).for_each(|_| w.put(&handle));
        })
    };
    for (count, handles) in [(0, 0), (33, 33), (2, 1), (1, 2), (u32::MAX, 4)] {
        assert!(ask(count, handles).is_none(), "{count} for {handles}");
    }
    // A directory is not opened, and neither is what does not exist.
    let reply = ask(32, 32).unwrap();
    let (header, mut body) = Reader::reply(&reply).unwrap();
    assert_eq!((header.errno, header.descriptors), (0, 0));
    assert!((0..32).all(|_| body.take::<u64>() == Ok(0)) && body.finish().is_ok());
    let opened = raw(&served).ask(Opcode::OpenAll, |w| {
        w.put(&protocol::OpenAll { count: 1, reserved: 0 });
        w.put(&u64::MAX);
    });
    assert_eq!(Reader::reply(&opened.unwrap()).unwrap().0.descriptors, 0);
}

/// A client of a gofer that gives one file, and answers the request to open two with this body and so many descriptors.
fn with_opener(known: [u64; 2], sound: bool, told: u32, given: usize) -> (std::sync::Arc<Client>, Node) {
    let (ours, theirs) = pair();
    std::thread::spawn(move || {
        let raw = Raw(theirs);
        let null = fs::File::open("/dev/null").unwrap();
        let file = Attributes { mode: if sound { 0o100_644 } else { 0 }, ..Attributes::default() };
        while let Some(request) = raw.receive() {
            let (header, opcode, _) = Reader::request(&request).unwrap();
            let mut buffer = Vec::new();
            let mut writer = Writer::reply(&mut buffer, header.sequence);
            match opcode {
                Opcode::Hello => writer.put(&protocol::HelloReply { version: VERSION, roots: 1, handles: 10 }),
                Opcode::Attach => {
                    let attributes = Attributes { mode: 0o100_644, ..Attributes::default() };
                    writer.put(&protocol::Node { handle: 5, attributes, ..Default::default() });
                }
                _ => known.iter().for_each(|known| {
                    writer.put(known);
                    if *known != 0 {
                        writer.put(&file);
                    }
                }),
            }
            writer.finish().unwrap();
            let opens = opcode == Opcode::OpenAll;
            if opens {
                buffer[12..16].copy_from_slice(&told.to_le_bytes());
            }
            raw.send_with(&buffer, null.as_fd(), if opens { given } else { 0 });
        }
    });
    let client = Client::new(vec![ours]).unwrap();
    let node = client.attach(0).unwrap().0;
    (client, node)
}

#[test]
fn a_gofer_that_gives_too_few_or_too_many_descriptors_is_not_listened_to_any_more() {
    for (known, sound, told, given) in [
        ([1, 1], true, 1, 1),
        ([1, 1], true, 0, 0),
        ([1, 1], true, 2, 1),
        ([1, 1], true, 3, 3),
        ([1, 1], true, 2, 3),
        ([1, 1], true, 33, 33),
        ([1, 1], true, 2, 90),
        ([0, 0], true, 1, 1),
        ([1, 0], true, 2, 2),
        ([1, 1], false, 2, 2),
    ] {
        let (client, node) = with_opener(known, sound, told, given);
        let answer = format!("{known:?}, {told} told, {given} given");
        assert_eq!(client.open_all(&[&node.handle, &node.handle]).unwrap_err(), Errno::EIO, "{answer}");
        assert!(client.is_dead(), "{answer}");
    }
    let (client, node) = with_opener([0, 1], true, 1, 1);
    let opened = client.open_all(&[&node.handle, &node.handle]).unwrap();
    assert!(opened[0].is_none() && opened[1].is_some() && !client.is_dead());
}
