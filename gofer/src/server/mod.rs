//! The server: answers what the sentry asks, and assumes that whoever asks is hostile.
//!
//! It holds each file that the sentry knows as an `O_PATH` descriptor ([`handles`]). A request names such a handle, and at
//! most single components beneath it, which are opened one by one and never followed ([`names`]). What a handle stands for
//! is opened through the process's own descriptor directory ([`Server::reopen`]), which leads to the very inode that was
//! looked up, whatever its names do meanwhile; only regular files, and device nodes where the root lets them, are opened
//! so. Each connection has a thread; they share the handles and nothing else.

mod attributes;
mod directory;
mod handles;
mod names;
mod open;
mod socket;
mod watch;
mod xattr;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use moat_abi::stat::FileType;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::DecInt;

use crate::protocol::wire::{Malformed, Reader, Writer};
use crate::protocol::{self, MESSAGE_MAX, OPEN_MAX, Opcode};
use crate::transport;
use crate::{CONNECTIONS, Root};
use handles::{Handles, Node};
use watch::Watches;

/// Why a request was not served.
enum Failure {
    /// It could not be done: the reply says why.
    Errno(Errno),
    /// It breaks the protocol: the connection ends.
    Malformed,
}

impl From<Errno> for Failure {
    fn from(e: Errno) -> Self {
        Self::Errno(e)
    }
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What a request answers: the body has been written; perhaps a descriptor goes along.
type Answer = Result<Option<OwnedFd>, Failure>;
/// The same, with any number of descriptors.
type Answers = Result<Vec<OwnedFd>, Failure>;

/// The roots and what the sentry holds of them.
pub struct Server {
    roots: Vec<Root>,
    /// For each root that is watched, its watches.
    watches: Vec<Option<Arc<Watches>>>,
    handles: Handles,
    /// The directory of this process's descriptors. It is the working directory too: extended attributes and sockets are
    /// only reached by paths.
    descriptors: OwnedFd,
    /// Who owns what this process makes.
    uid: u32,
}

/// f_type of procfs.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

impl Server {
    /// A server of these roots. Sets the process's working directory and umask.
    ///
    /// # Errors
    /// The host's, if there is no procfs.
    pub fn new(roots: Vec<Root>) -> io::Result<Self> {
        let descriptors = own_descriptors()?;
        rustix::process::fchdir(&descriptors)?;
        rustix::process::umask(Mode::empty());
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
        // Some are the program's own, and some are open for the time of a request.
        let others = 64 + roots.len() + CONNECTIONS * OPEN_MAX;
        let handles = Handles::new(limit.saturating_sub(others as u64));
        let uid = rustix::process::geteuid().as_raw();
        let watches = roots.iter().map(|root| root.owned.then(Watches::new).flatten()).collect();
        Ok(Self { roots, watches, handles, descriptors, uid })
    }

    /// Serves one connection until it ends or breaks the protocol.
    pub fn serve_connection(&self, socket: &OwnedFd) {
        let mut buffer = vec![0_u8; MESSAGE_MAX];
        let mut reply = Vec::with_capacity(MESSAGE_MAX);
        let mut greeted = false;
        loop {
            let received = match transport::receive(socket, &mut buffer, false) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(e) => {
                    tracing::warn!("a connection broke: {e}");
                    return;
                }
            };
            let Ok((header, opcode, body)) = Reader::request(&buffer[..received.length]) else {
                tracing::warn!("a malformed request ended a connection");
                return;
            };
            if (opcode == Opcode::Hello) == greeted {
                tracing::warn!("a connection began without a greeting or greeted twice");
                return;
            }
            greeted = true;
            if opcode == Opcode::Close {
                match self.close(body) {
                    Ok(()) => continue,
                    Err(Malformed) => return,
                }
            }
            let mut writer = Writer::reply(&mut reply, header.sequence);
            let answer = self.dispatch(opcode, body, &mut writer);
            let finished = writer.finish();
            let (descriptors, last) = match answer {
                Ok(descriptors) if finished.is_ok() => (descriptors, false),
                Ok(_) => {
                    Writer::fail(&mut reply, header.sequence, Errno::OVERFLOW.raw_os_error());
                    (Vec::new(), false)
                }
                Err(Failure::Errno(e)) => {
                    Writer::fail(&mut reply, header.sequence, e.raw_os_error());
                    // A greeting that fails is the last word.
                    (Vec::new(), opcode == Opcode::Hello)
                }
                Err(Failure::Malformed) => {
                    tracing::warn!("a malformed {opcode:?} ended a connection");
                    return;
                }
            };
            Writer::with_descriptors(&mut reply, descriptors.len());
            let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            if let Err(e) = transport::send(socket, &reply, &descriptors) {
                tracing::warn!("a reply could not be sent: {e}");
                return;
            }
            if last {
                return;
            }
        }
    }

    fn dispatch(&self, opcode: Opcode, body: Reader<'_>, reply: &mut Writer<'_>) -> Answers {
        match opcode {
            Opcode::OpenAll => self.open_all(body, reply),
            _ => self.dispatch_one(opcode, body, reply).map(|descriptor| descriptor.into_iter().collect()),
        }
    }

    fn dispatch_one(&self, opcode: Opcode, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        match opcode {
            Opcode::Hello => self.hello(body, reply),
            Opcode::Attach => self.attach(body, reply),
            Opcode::Walk => self.walk(body, reply),
            Opcode::LookUpAll => self.look_up_all(body, reply),
            Opcode::GetAttributes => self.get_attributes(body, reply),
            Opcode::SetAttributes => self.set_attributes(body, reply),
            Opcode::Open => self.open(body, reply),
            Opcode::Create => self.create(body, reply),
            Opcode::CreateAnonymous => self.create_anonymous(body, reply),
            Opcode::MakeDirectory => self.make_directory(body, reply),
            Opcode::Symlink => self.symlink(body, reply),
            Opcode::MakeNode => self.make_node(body, reply),
            Opcode::Link => self.link(body, reply),
            Opcode::Remove => self.remove(body, reply),
            Opcode::Rename => self.rename(body, reply),
            Opcode::ReadLink => self.read_link(body, reply),
            Opcode::ReadDirectory => self.read_directory(body, reply),
            Opcode::GetXattr => self.get_xattr(body, reply),
            Opcode::SetXattr => self.set_xattr(body),
            Opcode::ListXattrs => self.list_xattrs(body, reply),
            Opcode::RemoveXattr => self.remove_xattr(body),
            Opcode::StatFs => self.stat_fs(body, reply),
            Opcode::Sync => self.sync(body),
            Opcode::Connect => self.connect(body),
            Opcode::Bind => self.bind(body, reply),
            Opcode::Close | Opcode::OpenAll => Err(Failure::Malformed),
        }
    }

    fn hello(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let hello: protocol::Hello = body.take()?;
        body.finish()?;
        if hello.magic != protocol::MAGIC {
            return Err(Failure::Malformed);
        }
        if hello.version != protocol::VERSION {
            return Err(Errno::PROTO.into());
        }
        reply.put(&protocol::HelloReply {
            version: protocol::VERSION,
            roots: self.roots.len() as u32,
            handles: self.handles.limit(),
        });
        Ok(None)
    }

    fn attach(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let attach: protocol::Attach = body.take()?;
        body.finish()?;
        let root = self.roots.get(attach.root as usize).ok_or(Errno::NOENT)?;
        let fd = rustix::io::fcntl_dupfd_cloexec(&root.fd, 0)?;
        let node = self.hold(fd, attach.root, None, false)?;
        reply.put(&node);
        match &self.watches[attach.root as usize] {
            Some(watches) => Ok(Some(watches.descriptor()?)),
            None => Ok(None),
        }
    }

    fn close(&self, mut body: Reader<'_>) -> Result<(), Malformed> {
        for _ in 0..protocol::CLOSE_MAX {
            match body.take::<u64>() {
                Ok(handle) => self.handles.remove(handle),
                Err(Malformed) => break,
            }
        }
        body.finish()
    }

    /// The file behind a handle.
    fn node(&self, handle: u64) -> Result<Arc<Node>, Errno> {
        self.handles.node(handle)
    }

    /// The same, for a request that looks into the file.
    fn shown(&self, handle: u64) -> Result<Arc<Node>, Errno> {
        let node = self.node(handle)?;
        if node.opaque { Err(Errno::ACCESS) } else { Ok(node) }
    }

    /// The same, for a request that changes it.
    fn changeable(&self, handle: u64) -> Result<Arc<Node>, Errno> {
        let node = self.shown(handle)?;
        if self.root(&node).read_only { Err(Errno::ROFS) } else { Ok(node) }
    }

    /// The same, for a request that changes the names in a directory.
    fn changeable_directory(&self, handle: u64) -> Result<Arc<Node>, Errno> {
        let node = self.changeable(handle)?;
        if node.kind == FileType::Directory { Ok(node) } else { Err(Errno::NOTDIR) }
    }

    fn root(&self, node: &Node) -> &Root {
        &self.roots[node.root as usize]
    }

    /// Takes a new `O_PATH` descriptor into the table, of a file that was found in `parent`.
    fn hold(&self, fd: OwnedFd, root: u32, parent: Option<&Node>, opaque: bool) -> Result<protocol::Node, Errno> {
        let mut attributes = attributes::of(&fd)?;
        let kind = FileType::from_bits(attributes.mode);
        let options = &self.roots[root as usize];
        let own_watch = kind == FileType::Directory || (attributes.links > 1 && kind != FileType::Symlink);
        let mut watch = None;
        if own_watch && !opaque {
            watch = self.watches[root as usize].as_ref().and_then(|watches| watches.add(&fd, kind));
            // What was changed before is not told.
            attributes = attributes::of(&fd)?;
        }
        let watched = if own_watch { watch.is_some() } else { parent.is_some_and(|p| p.watch.is_some()) };
        let mut flags = 0;
        for (set, flag) in [
            (opaque, protocol::attributes::node_flags::OPAQUE),
            (options.owned, protocol::attributes::node_flags::OWNED),
            (options.read_only, protocol::attributes::node_flags::READ_ONLY),
            (watched, protocol::attributes::node_flags::WATCHED),
        ] {
            if set {
                flags |= flag;
            }
        }
        let number = watch.as_ref().map_or(0, watch::Watch::number);
        let handle = self.handles.insert_node(Node { fd, kind, root, opaque, watch })?;
        Ok(protocol::Node { handle, flags, watch: number, attributes })
    }

    /// Opens the very inode that a descriptor stands for. The caller has checked that opening a file of this type has no
    /// effect but that.
    fn reopen(&self, fd: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        rustix::fs::openat(&self.descriptors, number(fd), flags, Mode::empty())
    }
}

/// The name of a descriptor in the directory of descriptors.
fn number(fd: &OwnedFd) -> DecInt {
    DecInt::new(fd.as_raw_fd())
}

/// The directory of this process's descriptors: the one in /proc if that is procfs, or else one of a procfs that is
/// mounted nowhere.
fn own_descriptors() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(fd) = rustix::fs::openat(CWD, "/proc/self/fd", flags, Mode::empty())
        && is_procfs(&fd)?
    {
        return Ok(fd);
    }
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
    let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    Ok(rustix::fs::openat(mount, "self/fd", flags, Mode::empty())?)
}

fn is_procfs(fd: &OwnedFd) -> io::Result<bool> {
    // A container's image can have any directory of this name.
    Ok(rustix::fs::fstatfs(fd)?.f_type as u64 == PROC_SUPER_MAGIC)
}

/// For calls that act on the descriptor itself.
const ITSELF: AtFlags = AtFlags::EMPTY_PATH;
