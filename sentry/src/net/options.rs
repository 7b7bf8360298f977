//! The options of SOL_SOCKET (socket(7)), the same for all families.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, Linger};
use moat_abi::time::Timeval;
use zerocopy::{FromBytes, IntoBytes};

use super::Socket;
use crate::Result;
use crate::kernel::Task;
use crate::sync::{Mutex, Rank};

/// `net.core.wmem_default` and `rmem_default`.
pub const BUFFER_DEFAULT: u32 = 212_992;
/// `net.core.wmem_max` and `rmem_max`.
const BUFFER_MAX: u32 = 212_992;
/// `SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`.
const SEND_MIN: u32 = 4608;
const RECEIVE_MIN: u32 = 2304;

/// See the module.
pub struct Options {
    values: Mutex<Values>,
    /// SO_PASSCRED, which senders of the other side look at.
    pub pass_credentials: AtomicBool,
}

/// The options that have no use for a lock of their own.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is the option of that name in socket(7)")]
pub struct Values {
    pub reuse_address: bool,
    pub reuse_port: bool,
    pub keep_alive: bool,
    pub broadcast: bool,
    pub out_of_band_inline: bool,
    pub linger: Option<Duration>,
    pub send_buffer: u32,
    pub receive_buffer: u32,
    pub receive_timeout: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub receive_low_water: i32,
    pub priority: i32,
    pub mark: u32,
    pub timestamp: bool,
    pub timestamp_ns: bool,
    pub bound_device: Vec<u8>,
    /// Options that are remembered and do nothing: number and value.
    pub inert: Vec<(i32, i32)>,
}

impl Options {
    /// Defaults, with these buffer sizes.
    pub fn new(send_buffer: u32, receive_buffer: u32) -> Self {
        let values = Values {
            reuse_address: false,
            reuse_port: false,
            keep_alive: false,
            broadcast: false,
            out_of_band_inline: false,
            linger: None,
            send_buffer,
            receive_buffer,
            receive_timeout: None,
            send_timeout: None,
            receive_low_water: 1,
            priority: 0,
            mark: 0,
            timestamp: false,
            timestamp_ns: false,
            bound_device: Vec::new(),
            inert: Vec::new(),
        };
        Self { values: Mutex::new(Rank::Leaf, values), pass_credentials: AtomicBool::new(false) }
    }

    /// What an accepted socket inherits of its listener.
    pub fn inherit(&self) -> Self {
        let values = self.values.lock().clone();
        Self { values: Mutex::new(Rank::Leaf, values), pass_credentials: AtomicBool::new(self.passes_credentials()) }
    }

    /// Sets SO_RCVLOWAT.
    pub fn set_receive_low_water(&self, bytes: i32) {
        self.values.lock().receive_low_water = bytes;
    }

    /// Sets SO_LINGER.
    pub fn set_linger(&self, time: Option<Duration>) {
        self.values.lock().linger = time;
    }

    /// Looks at the values.
    pub fn get<T>(&self, look: impl FnOnce(&Values) -> T) -> T {
        look(&self.values.lock())
    }

    /// Whether SO_PASSCRED is set.
    pub fn passes_credentials(&self) -> bool {
        self.pass_credentials.load(Ordering::Relaxed)
    }
}

/// The int at the start of an option's value. `EINVAL` if it is too short.
pub fn integer(value: &[u8]) -> Result<i32> {
    i32::read_from_prefix(value).map(|(v, _)| v).map_err(|_| Errno::EINVAL)
}

/// An int as an option's value.
pub fn int_value(value: i32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

fn timeout_value(timeout: Option<Duration>) -> Vec<u8> {
    timeout.map(Timeval::from).unwrap_or_default().as_bytes().to_vec()
}

fn timeout(value: &[u8]) -> Result<Option<Duration>> {
    let (time, _) = Timeval::read_from_prefix(value).map_err(|_| Errno::EINVAL)?;
    if !(0..1_000_000).contains(&time.tv_usec) {
        return Err(Errno::EDOM);
    }
    // A negative time means not to wait at all (sock_set_timeout).
    match time.duration() {
        None => Ok(Some(Duration::ZERO)),
        Some(Duration::ZERO) => Ok(None),
        some => Ok(some),
    }
}

/// getsockopt(2) of SOL_SOCKET.
pub fn get(socket: &Socket, name: i32) -> Result<Vec<u8>> {
    let protocol = socket.protocol_operations();
    let options = &socket.options;
    let number = |n: i32| Ok(int_value(n));
    let flag = |look: fn(&Values) -> bool| Ok(int_value(i32::from(options.get(look))));
    match name {
        s::SO_TYPE => number(socket.kind as i32),
        s::SO_DOMAIN => number(i32::from(socket.family)),
        s::SO_PROTOCOL => number(socket.protocol),
        s::SO_ERROR => number(protocol.take_error().map_or(0, Errno::raw)),
        s::SO_ACCEPTCONN => number(i32::from(protocol.is_listening())),
        s::SO_REUSEADDR => flag(|o| o.reuse_address),
        s::SO_REUSEPORT => flag(|o| o.reuse_port),
        s::SO_KEEPALIVE => flag(|o| o.keep_alive),
        s::SO_BROADCAST => flag(|o| o.broadcast),
        s::SO_OOBINLINE => flag(|o| o.out_of_band_inline),
        s::SO_TIMESTAMP => flag(|o| o.timestamp),
        s::SO_TIMESTAMPNS => flag(|o| o.timestamp_ns),
        s::SO_SNDBUF => number(options.get(|o| o.send_buffer) as i32),
        s::SO_RCVBUF => number(options.get(|o| o.receive_buffer) as i32),
        s::SO_RCVLOWAT => number(options.get(|o| o.receive_low_water)),
        s::SO_SNDLOWAT => number(1),
        s::SO_PRIORITY => number(options.get(|o| o.priority)),
        s::SO_MARK => number(options.get(|o| o.mark) as i32),
        s::SO_LINGER => {
            let linger = options.get(|o| o.linger);
            let seconds = linger.map_or(0, |l| i32::try_from(l.as_secs()).unwrap_or(i32::MAX));
            Ok(Linger { onoff: i32::from(linger.is_some()), linger: seconds }.as_bytes().to_vec())
        }
        s::SO_RCVTIMEO => Ok(timeout_value(options.get(|o| o.receive_timeout))),
        s::SO_SNDTIMEO => Ok(timeout_value(options.get(|o| o.send_timeout))),
        s::SO_PASSCRED if matches!(socket.family, s::AF_UNIX | s::AF_NETLINK) => {
            number(i32::from(options.passes_credentials()))
        }
        s::SO_PASSCRED => Err(Errno::EOPNOTSUPP),
        s::SO_PEERCRED => Ok(protocol.peer_credentials().as_bytes().to_vec()),
        s::SO_PEERNAME => protocol.peer_name(),
        s::SO_PEERGROUPS => Err(Errno::ENODATA),
        s::SO_PEERSEC => Err(Errno::ENOPROTOOPT),
        s::SO_BINDTODEVICE => {
            let mut name = options.get(|o| o.bound_device.clone());
            if !name.is_empty() {
                name.push(0);
            }
            Ok(name)
        }
        s::SO_ATTACH_FILTER => Ok(Vec::new()),
        s::SO_TIMESTAMPING => Ok(vec![0; 8]),
        s::SO_COOKIE => Ok(socket.id.to_ne_bytes().to_vec()),
        s::SO_MAX_PACING_RATE => Ok(u64::MAX.to_ne_bytes().to_vec()),
        s::SO_PEEK_OFF | s::SO_INCOMING_CPU => number(-1),
        s::SO_DEBUG | s::SO_BSDCOMPAT => number(0),
        _ if is_inert(name) => number(options.get(|o| o.inert.iter().find(|(n, _)| *n == name).map_or(0, |(_, v)| *v))),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// Options that are kept and have no effect here.
fn is_inert(name: i32) -> bool {
    matches!(
        name,
        s::SO_DONTROUTE
            | s::SO_NO_CHECK
            | s::SO_PASSSEC
            | s::SO_RXQ_OVFL
            | s::SO_NOFCS
            | s::SO_LOCK_FILTER
            | s::SO_BUSY_POLL
            | s::SO_INCOMING_NAPI_ID
            | s::SO_ZEROCOPY
    )
}

/// setsockopt(2) of SOL_SOCKET.
pub fn set(task: &Task, socket: &Socket, name: i32, value: &[u8]) -> Result<()> {
    let options = &socket.options;
    if name == s::SO_BINDTODEVICE {
        return bind_to_device(socket, value);
    }
    let number = integer(value)?;
    let on = number != 0;
    let change = |change: &dyn Fn(&mut Values)| {
        change(&mut options.values.lock());
        Ok(())
    };
    match name {
        s::SO_REUSEADDR => change(&|o| o.reuse_address = on),
        s::SO_REUSEPORT => {
            if on && !matches!(socket.family, s::AF_INET | s::AF_INET6) {
                return Err(Errno::EOPNOTSUPP);
            }
            change(&|o| o.reuse_port = on)
        }
        s::SO_KEEPALIVE => change(&|o| o.keep_alive = on),
        s::SO_BROADCAST => change(&|o| o.broadcast = on),
        s::SO_OOBINLINE => change(&|o| o.out_of_band_inline = on),
        s::SO_TIMESTAMP => change(&|o| (o.timestamp, o.timestamp_ns) = (on, false)),
        s::SO_TIMESTAMPNS => change(&|o| (o.timestamp, o.timestamp_ns) = (false, on)),
        s::SO_SNDBUF | s::SO_RCVBUF | s::SO_SNDBUFFORCE | s::SO_RCVBUFFORCE => set_buffer(task, options, name, number),
        s::SO_RCVLOWAT => change(&|o| o.receive_low_water = if number == 0 { 1 } else { number.max(1) }),
        s::SO_SNDLOWAT => Err(Errno::ENOPROTOOPT),
        s::SO_PRIORITY => {
            if !(0..=6).contains(&number) {
                task.credentials().require(CapabilitySet::NET_ADMIN)?;
            }
            change(&|o| o.priority = number)
        }
        s::SO_MARK => {
            task.credentials().require(CapabilitySet::NET_ADMIN)?;
            change(&|o| o.mark = number as u32)
        }
        s::SO_LINGER => {
            let (linger, _) = Linger::read_from_prefix(value).map_err(|_| Errno::EINVAL)?;
            let time = (linger.onoff != 0).then(|| Duration::from_secs(u64::from(linger.linger as u32)));
            change(&|o| o.linger = time)
        }
        s::SO_RCVTIMEO => {
            let time = timeout(value)?;
            change(&|o| o.receive_timeout = time)
        }
        s::SO_SNDTIMEO => {
            let time = timeout(value)?;
            change(&|o| o.send_timeout = time)
        }
        s::SO_PASSCRED if matches!(socket.family, s::AF_UNIX | s::AF_NETLINK) => {
            options.pass_credentials.store(on, Ordering::Relaxed);
            Ok(())
        }
        s::SO_PASSCRED => Err(Errno::EOPNOTSUPP),
        s::SO_DEBUG if on => task.credentials().require(CapabilitySet::NET_ADMIN),
        // Who asks for it waits to be told when its pages are free again.
        s::SO_ZEROCOPY if on => Err(Errno::EOPNOTSUPP),
        s::SO_DETACH_FILTER => Err(Errno::ENOENT),
        // Filters drop and cut packets; an application that installs one to be safe must not believe that it is there.
        s::SO_ATTACH_FILTER if socket.family == s::AF_NETLINK => Ok(()),
        s::SO_DEBUG | s::SO_BSDCOMPAT | s::SO_MAX_PACING_RATE | s::SO_INCOMING_CPU => Ok(()),
        s::SO_TYPE | s::SO_DOMAIN | s::SO_PROTOCOL | s::SO_ERROR | s::SO_ACCEPTCONN | s::SO_PEERCRED => {
            Err(Errno::ENOPROTOOPT)
        }
        _ if is_inert(name) => change(&|o| {
            o.inert.retain(|(n, _)| *n != name);
            o.inert.push((name, i32::from(on)));
        }),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// The kernel doubles what is asked for, to account for its own bookkeeping.
fn set_buffer(task: &Task, options: &Options, name: i32, number: i32) -> Result<()> {
    let force = matches!(name, s::SO_SNDBUFFORCE | s::SO_RCVBUFFORCE);
    if force {
        task.credentials().require(CapabilitySet::NET_ADMIN)?;
    }
    let send = matches!(name, s::SO_SNDBUF | s::SO_SNDBUFFORCE);
    // What is negative counts as huge without force, and as 0 with it.
    let wanted = if force { number.max(0) as u32 } else { (number as u32).min(BUFFER_MAX) };
    let doubled = wanted.min(i32::MAX as u32 / 2) * 2;
    let mut values = options.values.lock();
    match send {
        true => values.send_buffer = doubled.max(SEND_MIN),
        false => values.receive_buffer = doubled.max(RECEIVE_MIN),
    }
    Ok(())
}

fn bind_to_device(socket: &Socket, value: &[u8]) -> Result<()> {
    let name = value.split(|&b| b == 0).next().unwrap_or_default();
    let name = &name[..name.len().min(s::IFNAMSIZ - 1)];
    if !name.is_empty() && !socket.net.stack().interfaces().iter().any(|i| i.name.as_bytes() == name) {
        return Err(Errno::ENODEV);
    }
    socket.options.values.lock().bound_device = name.to_vec();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_waits_for_ever_and_a_negative_one_not_at_all() {
        let bytes = |sec, usec| Timeval { tv_sec: sec, tv_usec: usec }.as_bytes().to_vec();
        assert_eq!(timeout(&bytes(0, 0)), Ok(None));
        assert_eq!(timeout(&bytes(-1, 0)), Ok(Some(Duration::ZERO)));
        assert_eq!(timeout(&bytes(1, 500_000)), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(timeout(&bytes(0, 1_000_000)), Err(Errno::EDOM));
        assert_eq!(timeout(&[0; 8]), Err(Errno::EINVAL));
    }
}
