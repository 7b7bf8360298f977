//! Opening files for reading, writing and mapping, which the sentry then does itself.

use std::os::fd::OwnedFd;

use moat_abi::stat::FileType;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Answer, Answers, Failure, Server, attributes};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, Attributes, OPEN_MAX, access};

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
        let (file, attributes) = self.open_file(open.handle, open.access, flags)?;
        reply.put(&attributes);
        Ok(Some(file))
    }

    pub(super) fn open_all(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answers {
        let all: protocol::OpenAll = body.take()?;
        if all.count == 0 || all.count as usize > OPEN_MAX {
            return Err(Failure::Malformed);
        }
        let mut handles = Vec::with_capacity(all.count as usize);
        for _ in 0..all.count {
            handles.push(body.take::<u64>()?);
        }
        body.finish()?;
        let mut files = Vec::with_capacity(handles.len());
        for handle in handles {
            match self.open_file(handle, access::READ, OFlags::RDONLY) {
                Ok((file, attributes)) => {
                    reply.put(&1_u64);
                    reply.put(&attributes);
                    files.push(file);
                }
                // Who really wants it asks for it alone, and is told why not.
                Err(_) => reply.put(&0_u64),
            }
        }
        Ok(files)
    }

    /// Opens what a handle stands for, if it is of a type that may be.
    fn open_file(&self, handle: u64, access: u32, flags: OFlags) -> Result<(OwnedFd, Attributes), Errno> {
        let node = self.shown(handle)?;
        let root = self.root(&node);
        match node.kind {
            FileType::Regular => {}
            FileType::CharDevice | FileType::BlockDevice if root.allow_devices => {}
            FileType::Directory => return Err(Errno::ISDIR),
            FileType::Symlink => return Err(Errno::LOOP),
            // Pipes, sockets and devices are the sentry's own affair: opening one here could block or act.
            _ => return Err(Errno::NXIO),
        }
        if root.read_only && node.kind == FileType::Regular && access != access::READ {
            return Err(Errno::ROFS);
        }
        let file = self.reopen(&node.fd, flags)?;
        let attributes = attributes::of(&file)?;
        Ok((file, attributes))
    }
}
