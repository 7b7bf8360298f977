//! The requests, a method each.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::stat::{FileType, Statfs};

use super::{Changes, Client, Handle};
use crate::protocol::attributes::node_flags;
use crate::protocol::wire::{Malformed, Reader, is_name};
use crate::protocol::{self, Attributes, Change, NAME_MAX, OPEN_MAX, Opcode, PATH_MAX, WALK_MAX, XATTR_MAX, is_shown};

/// A file that the gofer holds for us.
#[derive(Debug)]
pub struct Node {
    /// Stands for it in requests.
    pub handle: Handle,
    /// Its attributes.
    pub attributes: Attributes,
    /// Nothing in it is shown.
    pub opaque: bool,
    /// The container alone changes it.
    pub owned: bool,
    /// It can't be changed.
    pub read_only: bool,
    /// Changes of its attributes by others are told ([`Changes`]).
    pub watched: bool,
    /// The number of the watch on it, if there is one.
    pub watch: Option<i32>,
}

/// Permissions and owner of something new.
#[derive(Clone, Copy, Debug)]
pub struct NewFile {
    /// Permission bits; for [`Client::make_node`] with the type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// An entry of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// Inode number.
    pub inode: u64,
    /// The position behind it.
    pub next: u64,
    /// `DT_*`.
    pub file_type: u8,
    /// Its name: `.`, `..` or a single component.
    pub name: Vec<u8>,
}

/// A part of a directory.
#[derive(Debug)]
pub struct Listing {
    /// With which the next part is asked for.
    pub stream: Option<Handle>,
    /// The entries.
    pub entries: Vec<DirectoryEntry>,
    /// Whether nothing comes behind them.
    pub end: bool,
}

/// A single component, or the error that Linux gives for it.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    match name.len() {
        0 => Err(Errno::ENOENT),
        n if n > NAME_MAX => Err(Errno::ENAMETOOLONG),
        _ if is_name(name) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

fn attributes(body: &mut Reader<'_>) -> Result<Attributes, Malformed> {
    let attributes: Attributes = body.take()?;
    if attributes.is_sound() { Ok(attributes) } else { Err(Malformed) }
}

fn descriptor(fd: Option<OwnedFd>) -> Result<OwnedFd, Malformed> {
    fd.ok_or(Malformed)
}

fn nothing(fd: Option<OwnedFd>) -> Result<(), Malformed> {
    if fd.is_none() { Ok(()) } else { Err(Malformed) }
}

impl Client {
    fn node(self: &Arc<Self>, body: &mut Reader<'_>) -> Result<Node, Malformed> {
        let node: protocol::Node = body.take()?;
        if node.handle == 0 || !node.attributes.is_sound() {
            return Err(Malformed);
        }
        Ok(Node {
            handle: Handle { client: self.clone(), id: node.handle },
            attributes: node.attributes,
            opaque: node.flags & node_flags::OPAQUE != 0,
            owned: node.flags & node_flags::OWNED != 0,
            read_only: node.flags & node_flags::READ_ONLY != 0,
            watched: node.flags & node_flags::WATCHED != 0,
            watch: (node.watch > 0).then_some(node.watch),
        })
    }

    /// The directory or file of a root, and where it is told what others change in it, if it is watched. `ENOENT` if there
    /// are fewer roots.
    pub fn attach(self: &Arc<Self>, root: u32) -> Result<(Node, Option<Changes>), Errno> {
        let attach = protocol::Attach { root, reserved: 0 };
        self.ask(Opcode::Attach, |w| w.put(&attach), |body, fd| Ok((self.node(body)?, fd.map(Changes::new))))
    }

    /// Looks up names one beneath the other. Stops behind a symbolic link, or at an error, which is given if it is not
    /// the first name's.
    pub fn walk(self: &Arc<Self>, from: &Handle, names: &[&[u8]]) -> Result<(Vec<Node>, Option<Errno>), Errno> {
        if names.is_empty() || names.len() > WALK_MAX {
            return Err(Errno::EINVAL);
        }
        names.iter().try_for_each(|n| check_name(n))?;
        let walk = protocol::Walk { handle: from.id, count: names.len() as u32, reserved: 0 };
        let (nodes, errno) = self.ask(
            Opcode::Walk,
            |w| {
                w.put(&walk);
                names.iter().for_each(|n| w.put_bytes(n));
            },
            |body, fd| {
                nothing(fd)?;
                let said: protocol::WalkReply = body.take()?;
                if said.count as usize > names.len() || (said.count == 0 && said.errno == 0) {
                    return Err(Malformed);
                }
                let mut nodes = Vec::with_capacity(said.count as usize);
                for _ in 0..said.count {
                    nodes.push(self.node(body)?);
                }
                let errno = match said.errno {
                    0 => None,
                    n @ 1..=133 => Some(Errno::from_raw(n as i32)),
                    _ => return Err(Malformed),
                };
                Ok((nodes, errno))
            },
        )?;
        match errno {
            Some(e) if nodes.is_empty() => Err(e),
            errno => Ok((nodes, errno)),
        }
    }

    /// Looks up one name.
    pub fn look_up(self: &Arc<Self>, directory: &Handle, name: &[u8]) -> Result<Node, Errno> {
        let (mut nodes, _) = self.walk(directory, &[name])?;
        nodes.pop().ok_or(Errno::EIO)
    }

    /// Looks up names of one directory; `None` for those that could not be.
    pub fn look_up_all(self: &Arc<Self>, directory: &Handle, names: &[&[u8]]) -> Result<Vec<Option<Node>>, Errno> {
        if names.is_empty() || names.len() > WALK_MAX {
            return Err(Errno::EINVAL);
        }
        names.iter().try_for_each(|n| check_name(n))?;
        let walk = protocol::Walk { handle: directory.id, count: names.len() as u32, reserved: 0 };
        self.ask(
            Opcode::LookUpAll,
            |w| {
                w.put(&walk);
                names.iter().for_each(|n| w.put_bytes(n));
            },
            |body, fd| {
                nothing(fd)?;
                let mut nodes = Vec::with_capacity(names.len());
                for _ in names {
                    let known: u64 = body.take()?;
                    nodes.push(if known == 0 { None } else { Some(self.node(body)?) });
                }
                Ok(nodes)
            },
        )
    }

    /// The attributes now.
    pub fn attributes(self: &Arc<Self>, file: &Handle) -> Result<Attributes, Errno> {
        let target = protocol::Target { handle: file.id };
        self.ask(
            Opcode::GetAttributes,
            |w| w.put(&target),
            |body, fd| {
                nothing(fd)?;
                attributes(body)
            },
        )
    }

    /// Changes attributes; returns them all.
    pub fn set_attributes(self: &Arc<Self>, file: &Handle, change: &Change) -> Result<Attributes, Errno> {
        if !change.is_sound() {
            return Err(Errno::EINVAL);
        }
        let set = protocol::SetAttributes { handle: file.id, change: *change };
        self.ask(
            Opcode::SetAttributes,
            |w| w.put(&set),
            |body, fd| {
                nothing(fd)?;
                attributes(body)
            },
        )
    }

    /// A host descriptor of a file, opened as the bits of [`protocol::access`] say.
    pub fn open(self: &Arc<Self>, file: &Handle, access: u32) -> Result<(OwnedFd, Attributes), Errno> {
        let open = protocol::Open { handle: file.id, access, reserved: 0 };
        self.ask(Opcode::Open, |w| w.put(&open), |body, fd| Ok((descriptor(fd)?, attributes(body)?)))
    }

    /// Host descriptors that read each of these files; `None` for those that could not be opened.
    pub fn open_all(self: &Arc<Self>, files: &[&Handle]) -> Result<Vec<Option<(OwnedFd, Attributes)>>, Errno> {
        if files.is_empty() || files.len() > OPEN_MAX {
            return Err(Errno::EINVAL);
        }
        let open = protocol::OpenAll { count: files.len() as u32, reserved: 0 };
        self.ask_for_many(
            Opcode::OpenAll,
            |w| {
                w.put(&open);
                files.iter().for_each(|file| w.put(&file.id));
            },
            |body, descriptors| {
                let mut descriptors = descriptors.into_iter();
                let mut opened = Vec::with_capacity(files.len());
                for _ in files {
                    let known: u64 = body.take()?;
                    let file = match known {
                        0 => None,
                        _ => Some((descriptors.next().ok_or(Malformed)?, attributes(body)?)),
                    };
                    opened.push(file);
                }
                if descriptors.next().is_some() { Err(Malformed) } else { Ok(opened) }
            },
        )
    }

    fn make(
        self: &Arc<Self>,
        opcode: Opcode,
        directory: &Handle,
        name: &[u8],
        new: &NewFile,
        (rdev, text): (u64, Option<&[u8]>),
    ) -> Result<(Node, Attributes, Option<OwnedFd>), Errno> {
        check_name(name)?;
        let make = request(directory, new, rdev)?;
        self.ask(
            opcode,
            |w| {
                w.put(&make);
                w.put_bytes(name);
                if let Some(text) = text {
                    w.put_bytes(text);
                }
            },
            |body, fd| Ok((self.node(body)?, attributes(body)?, fd)),
        )
    }

    /// Makes a regular file that does not exist yet; returns it, the directory's attributes and a descriptor that reads
    /// and writes.
    pub fn create(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        new: &NewFile,
    ) -> Result<(Node, Attributes, OwnedFd), Errno> {
        let (node, parent, fd) = self.make(Opcode::Create, directory, name, new, (0, None))?;
        Ok((node, parent, fd.ok_or(Errno::EIO)?))
    }

    /// Makes a regular file without a name.
    pub fn create_anonymous(self: &Arc<Self>, directory: &Handle, new: &NewFile) -> Result<(Node, OwnedFd), Errno> {
        let make = request(directory, new, 0)?;
        self.ask(Opcode::CreateAnonymous, |w| w.put(&make), |body, fd| Ok((self.node(body)?, descriptor(fd)?)))
    }

    /// Makes a directory; returns it and its parent's attributes.
    pub fn make_directory(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        new: &NewFile,
    ) -> Result<(Node, Attributes), Errno> {
        let (node, parent, _) = self.make(Opcode::MakeDirectory, directory, name, new, (0, None))?;
        Ok((node, parent))
    }

    /// Makes a symbolic link.
    pub fn symlink(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        text: &[u8],
        new: &NewFile,
    ) -> Result<(Node, Attributes), Errno> {
        match text.len() {
            0 => return Err(Errno::ENOENT),
            n if n >= PATH_MAX => return Err(Errno::ENAMETOOLONG),
            _ if text.contains(&0) => return Err(Errno::EINVAL),
            _ => {}
        }
        let (node, parent, _) = self.make(Opcode::Symlink, directory, name, new, (0, Some(text)))?;
        Ok((node, parent))
    }

    /// Makes a named pipe, the name of a socket, or a device node.
    pub fn make_node(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        new: &NewFile,
        rdev: u64,
    ) -> Result<(Node, Attributes), Errno> {
        match FileType::from_bits(new.mode) {
            FileType::Fifo | FileType::Socket | FileType::CharDevice | FileType::BlockDevice => {}
            _ => return Err(Errno::EINVAL),
        }
        let (node, parent, _) = self.make(Opcode::MakeNode, directory, name, new, (rdev, None))?;
        Ok((node, parent))
    }

    /// Makes a socket of the host, bound to a new name. `EPERM` where the root does not let it.
    pub fn bind(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        socket_type: u32,
        new: &NewFile,
    ) -> Result<(Node, Attributes, OwnedFd), Errno> {
        check_socket_type(socket_type)?;
        let (node, parent, fd) = self.make(Opcode::Bind, directory, name, new, (u64::from(socket_type), None))?;
        Ok((node, parent, fd.ok_or(Errno::EIO)?))
    }

    /// A non-blocking socket of the host that is connected to this one. `ECONNREFUSED` where the root does not let it;
    /// `EAGAIN` while its queue is full.
    pub fn connect(self: &Arc<Self>, socket: &Handle, socket_type: u32) -> Result<OwnedFd, Errno> {
        check_socket_type(socket_type)?;
        let connect = protocol::Connect { handle: socket.id, socket_type, reserved: 0 };
        self.ask(Opcode::Connect, |w| w.put(&connect), |_, fd| descriptor(fd))
    }

    /// Another name for `target`; returns its attributes and the directory's.
    pub fn link(
        self: &Arc<Self>,
        directory: &Handle,
        name: &[u8],
        target: &Handle,
    ) -> Result<(Attributes, Attributes), Errno> {
        check_name(name)?;
        let link = protocol::Link { handle: directory.id, target: target.id };
        self.ask(
            Opcode::Link,
            |w| {
                w.put(&link);
                w.put_bytes(name);
            },
            |body, fd| {
                nothing(fd)?;
                Ok((attributes(body)?, attributes(body)?))
            },
        )
    }

    /// Removes the name of an empty directory (`is_directory`) or of anything else; returns the attributes of the
    /// directory that it was in.
    pub fn remove(self: &Arc<Self>, directory: &Handle, name: &[u8], is_directory: bool) -> Result<Attributes, Errno> {
        check_name(name)?;
        let remove = protocol::Remove { handle: directory.id, directory: u32::from(is_directory), reserved: 0 };
        self.ask(
            Opcode::Remove,
            |w| {
                w.put(&remove);
                w.put_bytes(name);
            },
            |body, fd| {
                nothing(fd)?;
                attributes(body)
            },
        )
    }

    /// Moves a name (`flags`: `RENAME_NOREPLACE`, `RENAME_EXCHANGE`).
    pub fn rename(
        self: &Arc<Self>,
        (from, old): (&Handle, &[u8]),
        (to, new): (&Handle, &[u8]),
        flags: u32,
    ) -> Result<protocol::Renamed, Errno> {
        check_name(old)?;
        check_name(new)?;
        let rename = protocol::Rename { from: from.id, to: to.id, flags, reserved: 0 };
        self.ask(
            Opcode::Rename,
            |w| {
                w.put(&rename);
                w.put_bytes(old);
                w.put_bytes(new);
            },
            |body, fd| {
                nothing(fd)?;
                let said: protocol::Renamed = body.take()?;
                if said.from.is_sound() && said.to.is_sound() { Ok(said) } else { Err(Malformed) }
            },
        )
    }

    /// The text of a symbolic link.
    pub fn read_link(self: &Arc<Self>, link: &Handle) -> Result<Vec<u8>, Errno> {
        let target = protocol::Target { handle: link.id };
        self.ask(
            Opcode::ReadLink,
            |w| w.put(&target),
            |body, fd| {
                nothing(fd)?;
                let text = body.bytes()?;
                if text.len() < PATH_MAX && !text.contains(&0) { Ok(text.to_vec()) } else { Err(Malformed) }
            },
        )
    }

    /// Entries of a directory from `position` on, some 16 to 64 KiB of them at a time.
    pub fn read_directory(
        self: &Arc<Self>,
        directory: &Handle,
        stream: Option<Handle>,
        position: u64,
    ) -> Result<Listing, Errno> {
        let given = stream.as_ref().map_or(0, |s| s.id);
        let request =
            protocol::ReadDirectory { handle: directory.id, stream: given, position, limit: u32::MAX, reserved: 0 };
        self.ask(
            Opcode::ReadDirectory,
            |w| w.put(&request),
            |body, fd| {
                nothing(fd)?;
                let said: protocol::ReadDirectoryReply = body.take()?;
                let stream = match stream {
                    Some(stream) if said.stream == given => Some(stream),
                    None if said.stream != 0 => Some(Handle { client: self.clone(), id: said.stream }),
                    None if said.end == 1 => None,
                    _ => return Err(Malformed),
                };
                let mut entries = Vec::new();
                for _ in 0..said.count {
                    entries.push(entry(body)?);
                }
                Ok(Listing { stream, entries, end: said.end != 0 })
            },
        )
    }

    /// The value of an extended attribute.
    pub fn xattr(self: &Arc<Self>, file: &Handle, name: &[u8]) -> Result<Vec<u8>, Errno> {
        check_xattr(name)?;
        if !is_shown(name) {
            return Err(Errno::EOPNOTSUPP);
        }
        let target = protocol::Target { handle: file.id };
        self.ask(
            Opcode::GetXattr,
            |w| {
                w.put(&target);
                w.put_bytes(name);
            },
            |body, fd| {
                nothing(fd)?;
                let value = body.bytes()?;
                if value.len() <= XATTR_MAX { Ok(value.to_vec()) } else { Err(Malformed) }
            },
        )
    }

    /// Sets an extended attribute (`flags`: `XATTR_CREATE`, `XATTR_REPLACE`).
    pub fn set_xattr(self: &Arc<Self>, file: &Handle, name: &[u8], value: &[u8], flags: u32) -> Result<(), Errno> {
        check_xattr(name)?;
        if value.len() > XATTR_MAX {
            return Err(Errno::E2BIG);
        }
        let set = protocol::SetXattr { handle: file.id, flags, reserved: 0 };
        self.ask(
            Opcode::SetXattr,
            |w| {
                w.put(&set);
                w.put_bytes(name);
                w.put_bytes(value);
            },
            |_, fd| nothing(fd),
        )
    }

    /// The names of all extended attributes.
    pub fn list_xattrs(self: &Arc<Self>, file: &Handle) -> Result<Vec<Vec<u8>>, Errno> {
        let target = protocol::Target { handle: file.id };
        self.ask(
            Opcode::ListXattrs,
            |w| w.put(&target),
            |body, fd| {
                nothing(fd)?;
                let names = body.bytes()?;
                Ok(names.split(|&b| b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect())
            },
        )
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(self: &Arc<Self>, file: &Handle, name: &[u8]) -> Result<(), Errno> {
        check_xattr(name)?;
        let target = protocol::Target { handle: file.id };
        self.ask(
            Opcode::RemoveXattr,
            |w| {
                w.put(&target);
                w.put_bytes(name);
            },
            |_, fd| nothing(fd),
        )
    }

    /// The filesystem's numbers.
    pub fn statfs(self: &Arc<Self>, file: &Handle) -> Result<Statfs, Errno> {
        let target = protocol::Target { handle: file.id };
        self.ask(
            Opcode::StatFs,
            |w| w.put(&target),
            |body, fd| {
                nothing(fd)?;
                body.take()
            },
        )
    }

    /// Writes to the disk what [`protocol::sync`] says.
    pub fn sync(self: &Arc<Self>, file: &Handle, what: u32) -> Result<(), Errno> {
        let sync = protocol::Sync { handle: file.id, what, reserved: 0 };
        self.ask(Opcode::Sync, |w| w.put(&sync), |_, fd| nothing(fd))
    }
}

fn request(directory: &Handle, new: &NewFile, rdev: u64) -> Result<protocol::Make, Errno> {
    if new.uid == u32::MAX || new.gid == u32::MAX {
        return Err(Errno::EINVAL);
    }
    Ok(protocol::Make { handle: directory.id, mode: new.mode, uid: new.uid, gid: new.gid, reserved: 0, rdev })
}

fn check_socket_type(socket_type: u32) -> Result<(), Errno> {
    if matches!(socket_type, 1 | 2 | 5) { Ok(()) } else { Err(Errno::ESOCKTNOSUPPORT) }
}

fn check_xattr(name: &[u8]) -> Result<(), Errno> {
    match name.len() {
        0 => Err(Errno::ERANGE),
        n if n > NAME_MAX => Err(Errno::ERANGE),
        _ if name.contains(&0) => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

fn entry(body: &mut Reader<'_>) -> Result<DirectoryEntry, Malformed> {
    let entry: protocol::Entry = body.take()?;
    let name = body.bytes()?;
    if !is_name(name) && name != b"." && name != b".." {
        return Err(Malformed);
    }
    let file_type = u8::try_from(entry.file_type).map_err(|_| Malformed)?;
    Ok(DirectoryEntry { inode: entry.inode, next: entry.next, file_type, name: name.to_vec() })
}
