//! What a socket is to the rest of the kernel, whatever its family.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::time::Duration;

use moat_abi::errno::Errno;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{self as s, MsgFlags, UCred};
use moat_abi::stat::{FileType, Mode};

use super::control::ControlMessage;
use super::options::Options;
use super::{NetNamespace, interface};
use crate::Result;
use crate::executor::wait::Waiter;
use crate::fs::file::{FileOperations, OpenFile};
use crate::fs::inode::Attributes;
use crate::kernel::{Current, Task};
use crate::sync::{Mutex, Rank};

/// The device number of sockfs.
const SOCKFS: u64 = 8;

/// Who made a socket, or does something with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

impl Owner {
    /// The process of `task`, with its effective ids.
    pub fn of(task: &Task) -> Self {
        let credentials = task.credentials();
        Self { pid: task.pid(), uid: credentials.euid, gid: credentials.egid }
    }

    /// The same with real ids, as SCM_CREDENTIALS fills them in.
    pub fn real(task: &Task) -> Self {
        let credentials = task.credentials();
        Self { pid: task.pid(), uid: credentials.uid, gid: credentials.gid }
    }

    /// As `struct ucred`.
    pub fn ucred(self) -> UCred {
        UCred { pid: self.pid as i32, uid: self.uid, gid: self.gid }
    }
}

/// A message to send, or a piece of a stream.
pub struct Outgoing<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// Where to (a `sockaddr`), if not to the peer.
    pub to: Option<&'a [u8]>,
    /// Descriptors that go along; taken by the send that succeeds.
    pub rights: &'a mut Vec<Arc<OpenFile>>,
    /// Credentials that the sender states, already checked.
    pub stated: Option<UCred>,
    /// Control messages of the protocol: level, type and data.
    pub control: &'a [(i32, i32, Vec<u8>)],
    /// Who sends, with real ids.
    pub sender: Owner,
    /// The caller, to walk paths; none for writes that come from another file (splice, sendfile).
    pub task: Option<&'a Task>,
    /// MSG_*.
    pub flags: MsgFlags,
    /// To listen with to whatever could make room.
    pub waiter: Option<&'a mut Waiter>,
}

/// What a receive gave.
#[derive(Default)]
pub struct Received {
    /// Bytes put into the buffer.
    pub copied: usize,
    /// The length of the message, which may be more.
    pub full: usize,
    /// The sender's `sockaddr`.
    pub from: Option<Vec<u8>>,
    /// Control messages, in Linux's order.
    pub control: Vec<ControlMessage>,
    /// MSG_TRUNC, MSG_EOR and their like.
    pub flags: MsgFlags,
}

/// What a family does behind the socket calls. As with files nothing blocks: `EAGAIN` makes the call wait.
pub trait Protocol: Send + Sync + Any {
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// bind(2).
    fn bind(&self, task: &Task, address: &[u8]) -> Result<()>;
    /// listen(2).
    fn listen(&self, task: &Task, backlog: u32) -> Result<()> {
        let _ = (task, backlog);
        Err(Errno::EOPNOTSUPP)
    }
    /// accept(2): a connection, and the peer's `sockaddr`. `EAGAIN` if none is there.
    fn accept(&self) -> Result<(Arc<Socket>, Vec<u8>)> {
        Err(Errno::EOPNOTSUPP)
    }
    /// connect(2). `EAGAIN` to be called again once the waiter is woken.
    fn connect(&self, task: &Task, address: &[u8], nonblocking: bool, waiter: Option<&mut Waiter>) -> Result<()>;
    /// getsockname(2).
    fn local_name(&self) -> Result<Vec<u8>>;
    /// getpeername(2). `ENOTCONN`.
    fn peer_name(&self) -> Result<Vec<u8>>;
    /// Sends; how many bytes went.
    fn send(&self, message: &mut Outgoing<'_>) -> Result<usize>;
    /// Receives into `buf`.
    fn receive(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received>;
    /// The longest message; none for streams.
    fn message_limit(&self) -> Option<usize>;
    /// shutdown(2) of the sides given.
    fn shutdown(&self, read: bool, write: bool) -> Result<()>;
    /// What is ready.
    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents;
    /// Takes the pending error (SO_ERROR).
    fn take_error(&self) -> Option<Errno> {
        None
    }
    /// Whether it listens (SO_ACCEPTCONN).
    fn is_listening(&self) -> bool {
        false
    }
    /// SO_PEERCRED.
    fn peer_credentials(&self) -> UCred {
        UCred { pid: 0, uid: u32::MAX, gid: u32::MAX }
    }
    /// getsockopt(2) below SOL_SOCKET; `room` is what the caller has room for.
    fn option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>> {
        let _ = (level, name, room);
        Err(Errno::EOPNOTSUPP)
    }
    /// setsockopt(2) below SOL_SOCKET.
    fn set_option(&self, task: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
        let _ = (task, level, name, value);
        Err(Errno::ENOPROTOOPT)
    }
    /// getsockopt(2) of SOL_SOCKET, where the protocol knows better than [`Options`].
    fn socket_option(&self, name: i32, room: usize) -> Option<Result<Vec<u8>>> {
        let _ = (name, room);
        None
    }
    /// setsockopt(2) of SOL_SOCKET, where it is the protocol that must know.
    fn set_socket_option(&self, task: &Task, name: i32, value: &[u8]) -> Option<Result<()>> {
        let _ = (task, name, value);
        None
    }
    /// Whether what is read next follows the urgent mark (SIOCATMARK).
    fn at_mark(&self) -> Result<bool> {
        Ok(false)
    }
    /// Whether an EPIPE comes with SIGPIPE.
    fn signals_broken_pipe(&self) -> bool;
    /// Bytes that could be read (SIOCINQ).
    fn readable_bytes(&self) -> Result<usize>;
    /// Bytes that the peer has not read yet (SIOCOUTQ).
    fn unsent_bytes(&self) -> Result<usize>;
    /// The socket is closed.
    fn close(&self, options: &Options);
}

/// A socket: the operations of its open file description.
pub struct Socket {
    /// AF_*.
    pub family: u16,
    /// SOCK_*.
    pub kind: u32,
    /// IPPROTO_* or NETLINK_*.
    pub protocol: i32,
    /// Its inode number.
    pub id: u64,
    /// Who made it.
    pub owner: Owner,
    /// Options of SOL_SOCKET, shared with its protocol.
    pub options: Arc<Options>,
    /// Its namespace.
    pub net: Arc<NetNamespace>,
    operations: Box<dyn Protocol>,
    /// Its open file description, once it has one: for the search for sockets that only they themselves keep alive.
    file: Mutex<Option<Weak<OpenFile>>>,
}

/// What is told of a new socket.
pub struct NewSocket {
    /// AF_*.
    pub family: u16,
    /// SOCK_*.
    pub kind: u32,
    /// IPPROTO_* or NETLINK_*.
    pub protocol: i32,
    /// Its inode number.
    pub id: u64,
    /// Who made it.
    pub owner: Owner,
}

impl Socket {
    /// A socket that its namespace knows of.
    pub fn new(
        net: &Arc<NetNamespace>,
        new: NewSocket,
        options: Arc<Options>,
        operations: Box<dyn Protocol>,
    ) -> Arc<Self> {
        let socket = Arc::new(Self {
            family: new.family,
            kind: new.kind,
            protocol: new.protocol,
            id: new.id,
            owner: new.owner,
            options,
            net: net.clone(),
            operations,
            file: Mutex::new(Rank::Leaf, None),
        });
        net.sockets.insert(&socket);
        socket
    }

    /// What its family does.
    pub fn protocol_operations(&self) -> &dyn Protocol {
        self.operations.as_ref()
    }

    /// The protocol as the type that a caller knows it to be.
    pub fn downcast<T: 'static>(&self) -> Option<&T> {
        self.operations.as_any().downcast_ref()
    }

    /// Remembers the open file description.
    pub fn opened(&self, file: &Arc<OpenFile>) {
        *self.file.lock() = Some(Arc::downgrade(file));
    }

    /// The open file description, while it lives.
    pub fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.lock().as_ref().and_then(Weak::upgrade)
    }

    /// How long a receive or accept waits; none for ever.
    pub fn receive_timeout(&self) -> Option<Duration> {
        self.options.get(|o| o.receive_timeout)
    }

    /// How long a send or connect waits; none for ever.
    pub fn send_timeout(&self) -> Option<Duration> {
        self.options.get(|o| o.send_timeout)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.net.sockets.remove(self.id);
        self.operations.close(&self.options);
    }
}

impl FileOperations for Socket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_fasync(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        self.operations.receive(buf, MsgFlags::empty()).map(|r| r.copied)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        self.operations.send(&mut Outgoing {
            data: buf,
            to: None,
            rights: &mut Vec::new(),
            stated: None,
            control: &[],
            sender: self.owner,
            task: None,
            flags: MsgFlags::empty(),
            waiter: None,
        })
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        self.operations.poll(waiter)
    }

    fn ioctl(&self, current: &mut Current, _: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        let bytes = match command {
            s::SIOCINQ => self.operations.readable_bytes()?,
            s::SIOCOUTQ => self.operations.unsent_bytes()?,
            s::SIOCATMARK if self.family != s::AF_NETLINK => usize::from(self.operations.at_mark()?),
            _ => return interface::ioctl(current, &self.net, command, argument),
        };
        current.memory().write(argument, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
        Ok(0)
    }

    fn anonymous_attributes(&self) -> Result<Attributes> {
        Ok(Attributes {
            device: SOCKFS,
            inode: self.id,
            mode: Mode::new(FileType::Socket, 0o777),
            links: 1,
            uid: self.owner.uid,
            gid: self.owner.gid,
            block_size: 4096,
            ..Attributes::default()
        })
    }

    fn anonymous_name(&self) -> String {
        format!("socket:[{}]", self.id)
    }
}
