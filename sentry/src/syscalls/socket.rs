//! Sockets: making, naming and connecting them (socket(2), bind(2), accept(2)…).

use std::sync::Arc;
use std::time::{Duration, Instant};

use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::socket as s;

use super::arguments::{Fd, UserOpaque};
use crate::Result;
use crate::executor::wait::Waiter;
use crate::fs::OpenFile;
use crate::kernel::Current;
use crate::kernel::task::WaitEnd;
use crate::mm::user::UserMemory;
use crate::net::socket::Owner;
use crate::net::{self, Socket, unix};

/// The open file description behind `fd`. `EBADF`; `ENOTSOCK` if it is no socket.
pub(super) fn socket_file(current: &Current, fd: Fd) -> Result<Arc<OpenFile>> {
    let file = current.files().get(fd.0)?;
    file.operations()?;
    of(&file)?;
    Ok(file)
}

/// The socket of a description. `ENOTSOCK`.
pub(super) fn of(file: &OpenFile) -> Result<&Socket> {
    file.downcast().ok_or(Errno::ENOTSOCK)
}

/// Reads a `sockaddr`. `EINVAL` if it is longer than any.
pub(super) fn read_address(memory: &UserMemory, address: u64, length: u32) -> Result<Vec<u8>> {
    let length = length as usize;
    if length > s::SOCKADDR_MAX {
        return Err(Errno::EINVAL);
    }
    let mut raw = vec![0; length];
    memory.read_bytes(address, &mut raw)?;
    Ok(raw)
}

/// Writes a `sockaddr` and its true length to where the caller has room for as much as the length word says.
pub(super) fn write_address(memory: &UserMemory, address: u64, length: u64, name: &[u8]) -> Result<()> {
    let room: i32 = memory.read(length)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    memory.write_bytes(address, &name[..name.len().min(room)])?;
    memory.write(length, &(name.len() as u32))
}

/// Waits until `attempt` gives something other than EAGAIN. A wait with a time limit of the socket's own is not
/// restarted after a signal (signal(7)).
pub(super) async fn until_done<T>(
    current: &Current,
    nonblocking: bool,
    limit: Option<Duration>,
    late: Errno,
    mut attempt: impl FnMut(Option<&mut Waiter>) -> Result<T>,
) -> Result<T> {
    match attempt(None) {
        Err(Errno::EAGAIN) if !nonblocking => {}
        other => return other,
    }
    let deadline = limit.and_then(|l| Instant::now().checked_add(l));
    let end = current
        .wait_for(deadline, |waiter| match attempt(Some(waiter)) {
            Err(Errno::EAGAIN) => None,
            other => Some(other),
        })
        .await;
    match end {
        Ok(done) => done,
        Err(WaitEnd::TimedOut) => Err(late),
        Err(WaitEnd::Interrupted) if limit.is_some() => Err(Errno::EINTR),
        Err(WaitEnd::Interrupted) => Err(Errno::ERESTARTSYS),
    }
}

/// The type without its flags, and whether it is to be non-blocking and closed on exec. `EINVAL` for other flags.
fn split_type(kind: u32) -> Result<(u32, bool, bool)> {
    let flags = kind & !s::SOCK_TYPE_MASK;
    if flags & !(s::SOCK_NONBLOCK | s::SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((kind & s::SOCK_TYPE_MASK, flags & s::SOCK_NONBLOCK != 0, flags & s::SOCK_CLOEXEC != 0))
}

fn install(current: &Current, socket: Arc<Socket>, nonblocking: bool, close_on_exec: bool) -> Result<Fd> {
    let file = net::open(socket, nonblocking);
    current.files().insert(file, close_on_exec, 0, current.group_ref().limit(Resource::Files)).map(Fd)
}

/// socket(2).
pub fn socket(current: &mut Current, family: i32, kind: u32, protocol: i32) -> Result<Fd> {
    let (kind, nonblocking, close_on_exec) = split_type(kind)?;
    let socket = net::create(current, current.kernel().net(), family, kind, protocol)?;
    install(current, socket, nonblocking, close_on_exec)
}

/// socketpair(2).
pub fn socketpair(current: &mut Current, family: i32, kind: u32, protocol: i32, fds: UserOpaque) -> Result<()> {
    let (kind, nonblocking, close_on_exec) = split_type(kind)?;
    let net = current.kernel().net().clone();
    let one = net::create(current, &net, family, kind, protocol)?;
    let two = net::create(current, &net, family, kind, protocol)?;
    unix::pair(&one, &two, Owner::of(current))?;
    let a = install(current, one, nonblocking, close_on_exec)?;
    let b = install(current, two, nonblocking, close_on_exec);
    let written = b.and_then(|b| current.memory().write(fds.0, &[a.0, b.0]));
    if let Err(e) = written {
        drop(current.files().remove(a.0));
        if let Ok(b) = b {
            drop(current.files().remove(b.0));
        }
        return Err(e);
    }
    Ok(())
}

/// bind(2).
pub fn bind(current: &mut Current, fd: Fd, address: UserOpaque, length: u32) -> Result<()> {
    let file = socket_file(current, fd)?;
    let address = read_address(&current.memory(), address.0, length)?;
    of(&file)?.protocol_operations().bind(current, &address)
}

/// listen(2).
pub fn listen(current: &mut Current, fd: Fd, backlog: u32) -> Result<()> {
    let file = socket_file(current, fd)?;
    // A negative backlog counts as a huge one.
    of(&file)?.protocol_operations().listen(current, backlog.min(s::SOMAXCONN))
}

/// accept(2).
pub async fn accept(current: &mut Current, fd: Fd, address: UserOpaque, length: UserOpaque) -> Result<Fd> {
    accept4(current, fd, address, length, 0).await
}

/// accept4(2).
pub async fn accept4(current: &mut Current, fd: Fd, address: UserOpaque, length: UserOpaque, flags: u32) -> Result<Fd> {
    if flags & !(s::SOCK_NONBLOCK | s::SOCK_CLOEXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = socket_file(current, fd)?;
    let socket = of(&file)?;
    let operations = socket.protocol_operations();
    let (accepted, name) = until_done(current, file.nonblocking(), socket.receive_timeout(), Errno::EAGAIN, |waiter| {
        if waiter.is_some() {
            operations.poll(waiter);
        }
        operations.accept()
    })
    .await?;
    let new = install(current, accepted, flags & s::SOCK_NONBLOCK != 0, flags & s::SOCK_CLOEXEC != 0)?;
    if address.0 != 0
        && let Err(e) = write_address(&current.memory(), address.0, length.0, &name)
    {
        drop(current.files().remove(new.0));
        return Err(e);
    }
    Ok(new)
}

/// connect(2).
pub async fn connect(current: &mut Current, fd: Fd, address: UserOpaque, length: u32) -> Result<()> {
    let file = socket_file(current, fd)?;
    let socket = of(&file)?;
    let address = read_address(&current.memory(), address.0, length)?;
    let nonblocking = file.nonblocking();
    // Unix sockets say EAGAIN where inet ones say that they are on their way.
    let late = if socket.family == s::AF_UNIX { Errno::EAGAIN } else { Errno::EINPROGRESS };
    let task = &current.task;
    until_done(current, nonblocking, socket.send_timeout(), late, |waiter| {
        socket.protocol_operations().connect(task, &address, nonblocking, waiter)
    })
    .await
}

/// getsockname(2).
pub fn getsockname(current: &mut Current, fd: Fd, address: UserOpaque, length: UserOpaque) -> Result<()> {
    let file = socket_file(current, fd)?;
    let name = of(&file)?.protocol_operations().local_name()?;
    write_address(&current.memory(), address.0, length.0, &name)
}

/// getpeername(2).
pub fn getpeername(current: &mut Current, fd: Fd, address: UserOpaque, length: UserOpaque) -> Result<()> {
    let file = socket_file(current, fd)?;
    let name = of(&file)?.protocol_operations().peer_name()?;
    write_address(&current.memory(), address.0, length.0, &name)
}

/// shutdown(2).
pub fn shutdown(current: &mut Current, fd: Fd, how: i32) -> Result<()> {
    let file = socket_file(current, fd)?;
    let (read, write) = match how {
        s::SHUT_RD => (true, false),
        s::SHUT_WR => (false, true),
        s::SHUT_RDWR => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    of(&file)?.protocol_operations().shutdown(read, write)
}
