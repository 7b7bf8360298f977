//! Options of sockets (getsockopt(2), setsockopt(2)).

use moat_abi::errno::Errno;
use moat_abi::socket as s;

use super::arguments::{Fd, UserOpaque};
use super::socket::{of, socket_file};
use crate::Result;
use crate::kernel::Current;
use crate::net::options;

/// No option's value is longer than this.
const VALUE_MAX: usize = 64 << 10;

/// getsockopt(2).
pub fn getsockopt(
    current: &mut Current,
    fd: Fd,
    level: i32,
    name: i32,
    value: UserOpaque,
    length: UserOpaque,
) -> Result<()> {
    let file = socket_file(current, fd)?;
    let socket = of(&file)?;
    let memory = current.memory();
    let room: i32 = memory.read(length.0)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let got = match level {
        s::SOL_SOCKET => match socket.protocol_operations().socket_option(name, room) {
            Some(got) => got?,
            None => options::get(socket, name)?,
        },
        _ => socket.protocol_operations().option(level, name, room)?,
    };
    if level == s::SOL_SOCKET {
        let whole = matches!(name, s::SO_PEERNAME | s::SO_COOKIE);
        if (whole && room < got.len()) || (name == s::SO_BINDTODEVICE && !got.is_empty() && room < s::IFNAMSIZ) {
            return Err(Errno::EINVAL);
        }
    }
    let n = got.len().min(room);
    memory.write_bytes(value.0, &got[..n])?;
    memory.write(length.0, &(n as u32))
}

/// setsockopt(2).
pub fn setsockopt(current: &mut Current, fd: Fd, level: i32, name: i32, value: UserOpaque, length: i32) -> Result<()> {
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
    let file = socket_file(current, fd)?;
    let socket = of(&file)?;
    let mut raw = vec![0; length.min(VALUE_MAX)];
    current.memory().read_bytes(value.0, &mut raw)?;
    match level {
        s::SOL_SOCKET => match socket.protocol_operations().set_socket_option(current, name, &raw) {
            Some(done) => done,
            None => options::set(current, socket, name, &raw),
        },
        _ => socket.protocol_operations().set_option(current, level, name, &raw),
    }
}
