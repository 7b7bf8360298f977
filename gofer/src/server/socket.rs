//! Unix sockets of the host, in trees that may be reached so.

use std::os::fd::OwnedFd;

use moat_abi::stat::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Answer, Failure, Server, number};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self};

fn socket(socket_type: u64) -> Result<OwnedFd, Failure> {
    let socket_type = match socket_type {
        1 => SocketType::STREAM,
        2 => SocketType::DGRAM,
        5 => SocketType::SEQPACKET,
        _ => return Err(Failure::Malformed),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, socket_type, flags, None)?)
}

impl Server {
    pub(super) fn connect(&self, mut body: Reader<'_>) -> Answer {
        let connect: protocol::Connect = body.take()?;
        body.finish()?;
        let node = self.shown(connect.handle)?;
        if !self.root(&node).allow_unix_connect || node.kind != FileType::Socket {
            return Err(Errno::CONNREFUSED.into());
        }
        let socket = socket(u64::from(connect.socket_type))?;
        // The working directory is the one of descriptors.
        let address = SocketAddrUnix::new(number(&node.fd).as_bytes())?;
        rustix::net::connect(&socket, &address)?;
        Ok(Some(socket))
    }

    pub(super) fn bind(&self, body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let (make, name) = super::names::parse_make(body, 0)?;
        let parent = self.changeable_directory(make.handle)?;
        let socket = socket(make.rdev)?;
        if !self.root(&parent).allow_unix_connect {
            return Err(Errno::PERM.into());
        }
        let mut path = number(&parent.fd).as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(name);
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
        reply.put(&self.adopt(&parent, name, &make, FileType::Socket)?);
        Ok(Some(socket))
    }
}
