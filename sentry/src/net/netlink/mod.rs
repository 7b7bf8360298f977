//! Netlink sockets (netlink(7)): requests to the kernel that are answered at once.

mod diag;
pub mod message;
mod route;

use std::any::Any;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::netlink as n;
use moat_abi::poll::PollEvents;
use moat_abi::socket::{self as s, MsgFlags, SockAddrNl, UCred};
use zerocopy::{FromBytes, IntoBytes};

use super::NetNamespace;
use super::control::ControlMessage;
use super::options::{self, Options};
use super::socket::{NewSocket, Outgoing, Owner, Protocol, Received, Socket};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};
use message::{Answer, Request};

/// Which protocols and numbers are taken.
pub struct PortIds {
    taken: Mutex<HashSet<(i32, u32)>>,
}

impl Default for PortIds {
    fn default() -> Self {
        Self { taken: Mutex::new(Rank::NetStack, HashSet::new()) }
    }
}

impl PortIds {
    /// Takes `wanted`, or for 0 the process's number, or if that is taken some other. `EADDRINUSE`.
    fn take(&self, protocol: i32, wanted: u32, pid: u32) -> Result<u32> {
        let mut taken = self.taken.lock();
        if wanted != 0 {
            return if taken.insert((protocol, wanted)) { Ok(wanted) } else { Err(Errno::EADDRINUSE) };
        }
        // Numbers that no process has, as netlink_autobind: from the top, -4097 and down.
        let others = (1..=u32::MAX - 4096).rev();
        std::iter::once(pid).chain(others).find(|&id| id != 0 && taken.insert((protocol, id))).ok_or(Errno::EADDRINUSE)
    }

    fn release(&self, protocol: i32, id: u32) {
        self.taken.lock().remove(&(protocol, id));
    }
}

/// The netlink side of a socket.
pub struct NetlinkSocket {
    protocol: i32,
    owner: Owner,
    options: Arc<Options>,
    net: Arc<NetNamespace>,
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    port: Option<u32>,
    groups: u32,
    peer: SockAddrNl,
    queue: VecDeque<Vec<u8>>,
    /// Options of SOL_NETLINK that are set.
    set: HashSet<i32>,
}

/// Answers that nobody has read yet.
const QUEUED_MAX: usize = 4096;
/// Their bytes.
const QUEUED_BYTES: usize = 16 << 20;

/// socket(2) for AF_NETLINK.
pub fn create(net: &Arc<NetNamespace>, owner: Owner, kind: u32, protocol: i32) -> Result<Arc<Socket>> {
    if !matches!(kind, s::SOCK_RAW | s::SOCK_DGRAM) {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if !matches!(protocol, n::NETLINK_ROUTE | n::NETLINK_SOCK_DIAG | n::NETLINK_KOBJECT_UEVENT) {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let options = Arc::new(Options::new(options::BUFFER_DEFAULT, options::BUFFER_DEFAULT));
    let new = NewSocket { family: s::AF_NETLINK, kind, protocol, id: net.next_id(), owner };
    let netlink = NetlinkSocket {
        protocol,
        owner,
        options: options.clone(),
        net: net.clone(),
        state: Mutex::new(Rank::Socket, State::default()),
        changed: WaitQueue::new(),
    };
    Ok(Socket::new(net, new, options, Box::new(netlink)))
}

fn parse(address: &[u8]) -> Result<SockAddrNl> {
    let (raw, _) = SockAddrNl::read_from_prefix(address).map_err(|_| Errno::EINVAL)?;
    if raw.family == s::AF_NETLINK { Ok(raw) } else { Err(Errno::EINVAL) }
}

impl NetlinkSocket {
    fn bind_any(&self) -> Result<u32> {
        if let Some(port) = self.state.lock().port {
            return Ok(port);
        }
        let port = self.net.port_ids.take(self.protocol, 0, self.owner.pid)?;
        self.state.lock().port = Some(port);
        Ok(port)
    }

    /// The datagrams that answer a request.
    fn answer(&self, request: &Request<'_>, port: u32, privileged: bool) -> Vec<Vec<u8>> {
        let flags = request.header.flags;
        if flags & n::NLM_F_REQUEST == 0 || request.header.kind < n::NLMSG_MIN_TYPE {
            return Vec::new();
        }
        let mut out = Answer::new(request.header.seq, port);
        if let Some(answered) = self.net.stack().query(&self.net, self.protocol, request, port) {
            let mut datagrams = match answered {
                Ok(datagrams) => datagrams,
                Err(e) => {
                    out.error(request, Some(e));
                    Vec::new()
                }
            };
            if !datagrams.is_empty() && !request.is_dump() && flags & n::NLM_F_ACK != 0 {
                out.error(request, None);
            }
            datagrams.extend(out.into_datagram());
            return datagrams;
        }
        let done = match self.protocol {
            n::NETLINK_ROUTE => route::answer(self.net.stack().as_ref(), request, privileged, &mut out),
            n::NETLINK_SOCK_DIAG => diag::answer(&self.net, request, &mut out),
            _ => return Vec::new(),
        };
        match done {
            Err(e) => out.error(request, Some(e)),
            Ok(()) if request.is_dump() => out.done(),
            Ok(()) if flags & n::NLM_F_ACK != 0 => out.error(request, None),
            Ok(()) => {}
        }
        out.into_datagram().into_iter().collect()
    }
}

impl Protocol for NetlinkSocket {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bind(&self, task: &Task, address: &[u8]) -> Result<()> {
        let address = parse(address)?;
        // Only routing and device news may be heard by anybody.
        let open = matches!(self.protocol, n::NETLINK_ROUTE | n::NETLINK_KOBJECT_UEVENT | n::NETLINK_SOCK_DIAG);
        if address.groups != 0 && !open {
            task.credentials().require(CapabilitySet::NET_ADMIN)?;
        }
        let bound = self.state.lock().port;
        match bound {
            Some(port) if port != address.pid => return Err(Errno::EINVAL),
            Some(_) => {}
            None => {
                let port = self.net.port_ids.take(self.protocol, address.pid, task.pid())?;
                self.state.lock().port = Some(port);
            }
        }
        self.state.lock().groups = address.groups;
        Ok(())
    }

    fn connect(&self, _: &Task, address: &[u8], _: bool, _: Option<&mut Waiter>) -> Result<()> {
        if super::address::family(address) == Some(s::AF_UNSPEC) {
            self.state.lock().peer = SockAddrNl::default();
            return Ok(());
        }
        let peer = parse(address)?;
        self.bind_any()?;
        self.state.lock().peer = peer;
        Ok(())
    }

    fn local_name(&self) -> Result<Vec<u8>> {
        let state = self.state.lock();
        let name =
            SockAddrNl { family: s::AF_NETLINK, pad: 0, pid: state.port.unwrap_or_default(), groups: state.groups };
        Ok(name.as_bytes().to_vec())
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        let peer = SockAddrNl { family: s::AF_NETLINK, ..self.state.lock().peer };
        Ok(peer.as_bytes().to_vec())
    }

    fn send(&self, message: &mut Outgoing<'_>) -> Result<usize> {
        if message.flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let to = match message.to {
            Some(to) => parse(to)?,
            None => self.state.lock().peer,
        };
        let privileged = message.task.is_some_and(|t| t.credentials().has(CapabilitySet::NET_ADMIN));
        if to.groups != 0 && !privileged {
            return Err(Errno::EPERM);
        }
        let port = self.bind_any()?;
        // There is only the kernel to talk to.
        if to.pid != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        let answers: Vec<_> = message::requests(message.data)
            .iter()
            .flat_map(|r| message::regroup(&self.answer(r, port, privileged)))
            .collect();
        {
            let mut state = self.state.lock();
            let bytes: usize = state.queue.iter().chain(&answers).map(Vec::len).sum();
            if state.queue.len() + answers.len() > QUEUED_MAX || bytes > QUEUED_BYTES {
                return Err(Errno::ENOBUFS);
            }
            state.queue.extend(answers);
        }
        self.changed.wake_all();
        Ok(message.data.len())
    }

    fn receive(&self, buf: &mut [u8], flags: MsgFlags) -> Result<Received> {
        if flags.contains(MsgFlags::OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let datagram = {
            let mut state = self.state.lock();
            match flags.contains(MsgFlags::PEEK) {
                true => state.queue.front().cloned(),
                false => state.queue.pop_front(),
            }
            .ok_or(Errno::EAGAIN)?
        };
        let copied = datagram.len().min(buf.len());
        buf[..copied].copy_from_slice(&datagram[..copied]);
        let mut received = Received {
            copied,
            full: datagram.len(),
            from: Some(SockAddrNl { family: s::AF_NETLINK, ..SockAddrNl::default() }.as_bytes().to_vec()),
            ..Received::default()
        };
        if datagram.len() > copied {
            received.flags |= MsgFlags::TRUNC;
        }
        if self.options.passes_credentials() {
            received.control.push(ControlMessage::Credentials(UCred::default()));
        }
        Ok(received)
    }

    fn message_limit(&self) -> Option<usize> {
        Some(self.options.get(|o| o.send_buffer) as usize - 32)
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn poll(&self, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.changed);
        }
        let mut events = PollEvents::OUT | PollEvents::WRNORM | PollEvents::WRBAND;
        if !self.state.lock().queue.is_empty() {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        events
    }

    fn option(&self, level: i32, name: i32, _: usize) -> Result<Vec<u8>> {
        if level != s::SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        match name {
            n::NETLINK_LIST_MEMBERSHIPS => Ok(self.state.lock().groups.to_ne_bytes().to_vec()),
            n::NETLINK_PKTINFO..=n::NETLINK_GET_STRICT_CHK => {
                Ok(options::int_value(i32::from(self.state.lock().set.contains(&name))))
            }
            _ => Err(Errno::ENOPROTOOPT),
        }
    }

    fn set_option(&self, _: &Task, level: i32, name: i32, value: &[u8]) -> Result<()> {
        if level != s::SOL_NETLINK {
            return Err(Errno::ENOPROTOOPT);
        }
        let number = options::integer(value)?;
        let mut state = self.state.lock();
        match name {
            n::NETLINK_ADD_MEMBERSHIP | n::NETLINK_DROP_MEMBERSHIP => {
                let group = u32::try_from(number).ok().filter(|&g| g > 0).ok_or(Errno::EINVAL)?;
                let bit = 1u32.checked_shl(group - 1).unwrap_or(0);
                match name {
                    n::NETLINK_ADD_MEMBERSHIP => state.groups |= bit,
                    _ => state.groups &= !bit,
                }
            }
            n::NETLINK_PKTINFO..=n::NETLINK_GET_STRICT_CHK => {
                match number {
                    0 => state.set.remove(&name),
                    _ => state.set.insert(name),
                };
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    fn signals_broken_pipe(&self) -> bool {
        false
    }

    fn readable_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY)
    }

    fn unsent_bytes(&self) -> Result<usize> {
        Err(Errno::ENOTTY)
    }

    fn close(&self, _: &Options) {
        let port = self.state.lock().port.take();
        if let Some(port) = port {
            self.net.port_ids.release(self.protocol, port);
        }
    }
}
