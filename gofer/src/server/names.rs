//! Names: looking them up, making, removing and moving them. Symbolic links are never followed here: the sentry walks
//! them.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::stat::{FileType, S_IFMT};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Uid};
use rustix::io::Errno;

use super::handles::Node;
use super::{Answer, Failure, ITSELF, Server, attributes, directory, number};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, Attributes, Made, PATH_MAX, WALK_MAX};

/// How each component is opened. A component has no slash and is not `..`, so that none of this should ever be needed.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_SYMLINKS);

/// `f_type` of filesystems that show or steer the host's kernel. In a tree that is served with what is mounted in it, they
/// appear as empty directories.
const KERNEL_FILESYSTEMS: [u64; 20] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x1cd1,      // devpts
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6265_6570, // configfs
    0x6573_5543, // fusectl
    0x1980_0202, // mqueue
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x9584_58f6, // hugetlbfs
    0x0765_5821, // resctrl
];

impl Server {
    /// A directory, and names to look up from there.
    fn parse_walk<'a>(&self, mut body: Reader<'a>) -> Result<(Arc<Node>, Vec<&'a [u8]>), Failure> {
        let walk: protocol::Walk = body.take()?;
        if walk.count == 0 || walk.count as usize > WALK_MAX {
            return Err(Failure::Malformed);
        }
        let mut names = Vec::with_capacity(walk.count as usize);
        for _ in 0..walk.count {
            names.push(body.name()?);
        }
        body.finish()?;
        let start = self.shown(walk.handle)?;
        if start.kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        Ok((start, names))
    }

    pub(super) fn look_up_all(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (directory, names) = self.parse_walk(body)?;
        for name in names {
            match self.look_up(&directory, name) {
                Ok(node) => {
                    reply.put(&1_u64);
                    reply.put(&node);
                }
                Err(_) => reply.put(&0_u64),
            }
        }
        Ok(None)
    }

    pub(super) fn walk(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (start, names) = self.parse_walk(body)?;
        let at = reply.len();
        let mut said = protocol::WalkReply::default();
        reply.put(&said);
        let mut parent = start;
        for name in names {
            let step = self.look_up(&parent, name).and_then(|node| Ok((node, self.node(node.handle)?)));
            match step {
                Ok((node, held)) => {
                    reply.put(&node);
                    said.count += 1;
                    if held.kind == FileType::Symlink {
                        break;
                    }
                    parent = held;
                }
                Err(e) => {
                    said.errno = e.raw_os_error().unsigned_abs();
                    break;
                }
            }
        }
        reply.patch(at, &said);
        Ok(None)
    }

    /// Opens and takes in one component.
    fn look_up(&self, parent: &Node, name: &[u8]) -> Result<protocol::Node, Errno> {
        if parent.opaque {
            return Err(Errno::ACCESS);
        }
        if parent.kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let (fd, opaque) = self.component(parent, name)?;
        self.hold(fd, parent.root, Some(parent), opaque)
    }

    /// Opens one component with `O_PATH`; says also whether what is mounted there is not shown.
    fn component(&self, parent: &Node, name: &[u8]) -> Result<(OwnedFd, bool), Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |resolve| rustix::fs::openat2(&parent.fd, name, flags, Mode::empty(), resolve);
        match open(RESOLVE | ResolveFlags::NO_XDEV) {
            Err(Errno::XDEV) => {
                let fd = open(RESOLVE)?;
                let kind = rustix::fs::fstatfs(&fd)?.f_type as u64;
                Ok((fd, KERNEL_FILESYSTEMS.contains(&(kind & 0xffff_ffff))))
            }
            other => Ok((other?, false)),
        }
    }

    pub(super) fn create(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (make, name) = parse_make(body, 0)?;
        let parent = self.changeable_directory(make.handle)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(make.mode & 0o777);
        let file = rustix::fs::openat2(&parent.fd, name, flags, mode, RESOLVE | ResolveFlags::NO_XDEV)?;
        let made = self
            .settle(&file, &make)
            .and_then(|()| self.reopen(&file, OFlags::PATH))
            .and_then(|fd| self.made(&parent, fd))
            .inspect_err(|_| self.undo(&parent, name, AtFlags::empty()))?;
        reply.put(&made);
        Ok(Some(file))
    }

    pub(super) fn create_anonymous(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let make: protocol::Make = body.take()?;
        body.finish()?;
        check_make(&make, 0)?;
        let parent = self.changeable_directory(make.handle)?;
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(make.mode & 0o777);
        let file = rustix::fs::openat(&parent.fd, c".", flags, mode)?;
        self.settle(&file, &make)?;
        let fd = self.reopen(&file, OFlags::PATH)?;
        reply.put(&self.hold(fd, parent.root, None, false)?);
        Ok(Some(file))
    }

    pub(super) fn make_directory(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (make, name) = parse_make(body, 0)?;
        let parent = self.changeable_directory(make.handle)?;
        rustix::fs::mkdirat(&parent.fd, name, Mode::from_raw_mode(make.mode & 0o777))?;
        self.finish_making(&parent, name, &make, FileType::Directory, reply)
    }

    pub(super) fn symlink(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let make: protocol::Make = body.take()?;
        let name = body.name()?;
        let text = body.bytes()?;
        body.finish()?;
        check_make(&make, 0)?;
        if text.is_empty() || text.len() >= PATH_MAX || text.contains(&0) {
            return Err(Failure::Malformed);
        }
        let parent = self.changeable_directory(make.handle)?;
        rustix::fs::symlinkat(text, &parent.fd, name)?;
        self.finish_making(&parent, name, &make, FileType::Symlink, reply)
    }

    pub(super) fn make_node(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (make, name) = parse_make(body, S_IFMT)?;
        let parent = self.changeable_directory(make.handle)?;
        let kind = FileType::from_bits(make.mode);
        match kind {
            FileType::Fifo | FileType::Socket => {}
            FileType::CharDevice | FileType::BlockDevice if self.root(&parent).allow_devices => {}
            FileType::CharDevice | FileType::BlockDevice => return Err(Errno::PERM.into()),
            _ => return Err(Failure::Malformed),
        }
        let device = if matches!(kind, FileType::Fifo | FileType::Socket) { 0 } else { make.rdev };
        let host_kind = rustix::fs::FileType::from_raw_mode(make.mode & S_IFMT);
        rustix::fs::mknodat(&parent.fd, name, host_kind, Mode::from_raw_mode(make.mode & 0o777), device)?;
        self.finish_making(&parent, name, &make, kind, reply)
    }

    fn finish_making(
        &self,
        parent: &Node,
        name: &[u8],
        make: &protocol::Make,
        kind: FileType,
        reply: &mut Writer<'_>,
    ) -> Answer {
        let made = self.adopt(parent, name, make, kind);
        let removal = if kind == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let made = made.inspect_err(|_| self.undo(parent, name, removal))?;
        reply.put(&made);
        Ok(None)
    }

    /// Opens what was just made under `name` and gives it its owner and permissions.
    pub(super) fn adopt(
        &self,
        parent: &Node,
        name: &[u8],
        make: &protocol::Make,
        kind: FileType,
    ) -> Result<Made, Errno> {
        let (fd, opaque) = self.component(parent, name)?;
        let now = attributes::of(&fd)?;
        // Somebody else who may write to this directory can have put another file in the place of the new one, and giving
        // that away would hand him somebody's file.
        let fresh = !opaque
            && FileType::from_bits(now.mode) == kind
            && now.uid == self.uid
            && (kind == FileType::Directory || now.links == 1);
        if !fresh {
            return Err(Errno::STALE);
        }
        if kind == FileType::Directory && now.uid != make.uid && !self.root(parent).owned && !directory::is_empty(&fd)?
        {
            return Err(Errno::STALE);
        }
        self.settle(&fd, make)?;
        self.made(parent, fd)
    }

    fn made(&self, parent: &Node, fd: OwnedFd) -> Result<Made, Errno> {
        Ok(Made { node: self.hold(fd, parent.root, Some(parent), false)?, directory: attributes::of(&parent.fd)? })
    }

    /// Gives a new file its owner and permissions, as far as it has not got them from the host.
    fn settle(&self, fd: &OwnedFd, make: &protocol::Make) -> Result<(), Errno> {
        let now = attributes::of(fd)?;
        if now.uid != make.uid || now.gid != make.gid {
            rustix::fs::chownat(fd, c"", Some(Uid::from_raw(make.uid)), Some(Gid::from_raw(make.gid)), ITSELF)?;
        }
        let permissions = make.mode & 0o7777;
        if now.mode & 0o7777 != permissions && FileType::from_bits(now.mode) != FileType::Symlink {
            self.change_permissions(fd, permissions)?;
        }
        Ok(())
    }

    /// Takes back what could not be finished. It is the first error that counts.
    fn undo(&self, parent: &Node, name: &[u8], flags: AtFlags) {
        if let Err(e) = rustix::fs::unlinkat(&parent.fd, name, flags) {
            tracing::warn!("a half-made file stays behind: {e}");
        }
    }

    pub(super) fn link(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let link: protocol::Link = body.take()?;
        let name = body.name()?;
        body.finish()?;
        let parent = self.changeable_directory(link.handle)?;
        let target = self.changeable(link.target)?;
        if target.root != parent.root {
            return Err(Errno::XDEV.into());
        }
        if target.kind == FileType::Directory {
            return Err(Errno::PERM.into());
        }
        // The magic link leads to the file itself, a symbolic link too: nothing of the tree is followed.
        rustix::fs::linkat(&self.descriptors, number(&target.fd), &parent.fd, name, AtFlags::SYMLINK_FOLLOW)?;
        reply.put(&protocol::Linked { target: attributes::of(&target.fd)?, directory: attributes::of(&parent.fd)? });
        Ok(None)
    }

    pub(super) fn remove(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let remove: protocol::Remove = body.take()?;
        let name = body.name()?;
        body.finish()?;
        if remove.directory > 1 {
            return Err(Failure::Malformed);
        }
        let parent = self.changeable_directory(remove.handle)?;
        let flags = if remove.directory == 1 { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&parent.fd, name, flags)?;
        let directory: Attributes = attributes::of(&parent.fd)?;
        reply.put(&directory);
        Ok(None)
    }

    pub(super) fn rename(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let rename: protocol::Rename = body.take()?;
        let (old, new) = (body.name()?, body.name()?);
        body.finish()?;
        let flags = RenameFlags::from_bits_retain(rename.flags);
        // A whiteout would be a device node.
        if !(RenameFlags::NOREPLACE | RenameFlags::EXCHANGE).contains(flags) {
            return Err(Errno::INVAL.into());
        }
        let (from, to) = (self.changeable_directory(rename.from)?, self.changeable_directory(rename.to)?);
        if from.root != to.root {
            return Err(Errno::XDEV.into());
        }
        // Hints: what the sentry knows of these is out of date afterwards.
        let (moved, replaced) = (attributes::number_of(&from.fd, old), attributes::number_of(&to.fd, new));
        rustix::fs::renameat_with(&from.fd, old, &to.fd, new, flags)?;
        reply.put(&protocol::Renamed { from: attributes::of(&from.fd)?, to: attributes::of(&to.fd)?, moved, replaced });
        Ok(None)
    }

    pub(super) fn read_link(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        body.finish()?;
        let node = self.shown(target.handle)?;
        if node.kind != FileType::Symlink {
            return Err(Errno::INVAL.into());
        }
        let text = rustix::fs::readlinkat(&node.fd, c"", Vec::with_capacity(PATH_MAX))?;
        reply.put_bytes(text.as_bytes());
        Ok(None)
    }
}

/// A request to make something, and its name.
pub(super) fn parse_make<'a>(mut body: Reader<'a>, types: u32) -> Result<(protocol::Make, &'a [u8]), Failure> {
    let make: protocol::Make = body.take()?;
    let name = body.name()?;
    body.finish()?;
    check_make(&make, types)?;
    Ok((make, name))
}

/// `types`: which bits beside the permissions the mode may have.
fn check_make(make: &protocol::Make, types: u32) -> Result<(), Failure> {
    if make.mode & !(0o7777 | types) != 0 || make.uid == u32::MAX || make.gid == u32::MAX {
        return Err(Failure::Malformed);
    }
    Ok(())
}
