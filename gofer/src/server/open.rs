//! Opening files for reading, writing and mapping, which the sentry then does itself.

use moat_abi::stat::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Answer, Failure, Server, attributes};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, access};

impl Server {
    pub(super) fn open(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let open: protocol::Open = body.take()?;
        body.finish()?;
        let flags = match open.access {
            access::READ => OFlags::RDONLY,
            access::WRITE => OFlags::WRONLY,
            access::BOTH => OFlags::RDWR,
            _ => return Err(Failure::Malformed),
        };
        let node = self.shown(open.handle)?;
        let root = self.root(&node);
        match node.kind {
            FileType::Regular => {}
            FileType::CharDevice | FileType::BlockDevice if root.allow_devices => {}
            FileType::Directory => return Err(Errno::ISDIR.into()),
            FileType::Symlink => return Err(Errno::LOOP.into()),
            // Pipes, sockets and devices are the sentry's own affair: opening one here could block or act.
            _ => return Err(Errno::NXIO.into()),
        }
        if root.read_only && node.kind == FileType::Regular && open.access != access::READ {
            return Err(Errno::ROFS.into());
        }
        let file = self.reopen(&node.fd, flags)?;
        reply.put(&attributes::of(&file)?);
        Ok(Some(file))
    }
}
