//! Sockets: one [`Socket`] over a [`socket::Protocol`] for each family.
//!
//! [`unix`] and [`netlink`] are the sentry's own; inet ones come from a [`stack::NetStack`]: [`loopback`] is the one without
//! any network, for whose endpoints [`inet`] speaks Linux's options and addresses, [`host`] the one whose sockets are the
//! host's. What all sockets of a network namespace share is a [`NetNamespace`].

pub mod address;
pub mod control;
pub mod host;
pub mod inet;
pub mod interface;
pub mod loopback;
pub mod netlink;
pub mod options;
pub mod proc_net;
pub mod registry;
pub mod socket;
pub mod stack;
pub mod unix;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::socket as s;

pub use socket::Socket;

use crate::Result;
use crate::fs::OpenFile;
use crate::kernel::Task;
use netlink::PortIds;
use registry::Registry;
use socket::Owner;
use stack::NetStack;
use unix::names::Names;

/// What the sockets of one network namespace share.
pub struct NetNamespace {
    stack: Arc<dyn NetStack>,
    /// The names of unix sockets.
    pub unix: Names,
    /// Every socket, for /proc/net and sock_diag.
    pub sockets: Registry,
    /// Numbers of netlink sockets.
    pub port_ids: PortIds,
    next_socket: AtomicU64,
}

impl NetNamespace {
    /// A namespace without sockets over `stack`; the numbers of its own sockets begin with `first`.
    fn new(stack: Arc<dyn NetStack>, first: u64) -> Arc<Self> {
        Arc::new(Self {
            stack,
            unix: Names::default(),
            sockets: Registry::default(),
            port_ids: PortIds::default(),
            next_socket: AtomicU64::new(first),
        })
    }

    /// A namespace that has nothing but a loopback interface.
    pub fn loopback() -> Arc<Self> {
        // Socket numbers look like inode numbers of a machine that has been up for a while.
        Self::new(loopback::Loopback::new(), 20_000)
    }

    /// The network namespace that this process is in.
    pub fn host(surroundings: host::Surroundings) -> Arc<Self> {
        Self::new(host::HostStack::new(surroundings), host::OWN_SOCKETS)
    }

    /// What inet sockets run on.
    pub fn stack(&self) -> &Arc<dyn NetStack> {
        &self.stack
    }

    /// The number of the next socket: its inode in sockfs.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_socket.fetch_add(1, Ordering::Relaxed)
    }
}

/// socket(2), without the descriptor. `kind` without flags.
pub fn create(task: &Task, net: &Arc<NetNamespace>, family: i32, kind: u32, protocol: i32) -> Result<Arc<Socket>> {
    let owner = Owner::of(task);
    if kind > s::SOCK_PACKET {
        return Err(Errno::EINVAL);
    }
    match u16::try_from(family).map_err(|_| Errno::EAFNOSUPPORT)? {
        s::AF_UNIX => unix::create(net, owner, kind, protocol),
        s::AF_INET | s::AF_INET6 => inet::create(task, net, owner, family as u16, kind, protocol),
        s::AF_NETLINK => netlink::create(net, owner, kind, protocol),
        s::AF_PACKET if !task.credentials().has(CapabilitySet::NET_RAW) => Err(Errno::EPERM),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// An open file description of `socket`.
pub fn open(socket: Arc<Socket>, nonblocking: bool) -> Arc<OpenFile> {
    let mut flags = OpenFlags::RDWR;
    flags.set(OpenFlags::NONBLOCK, nonblocking);
    let file = OpenFile::new(socket.clone(), None, flags);
    socket.opened(&file);
    file
}
