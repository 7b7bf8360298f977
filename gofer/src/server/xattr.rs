//! Extended attributes. The host takes paths for them, not `O_PATH` descriptors; the working directory is the one of the
//! process's descriptors, whose entries are such paths.

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::{Answer, Failure, Server, number};
use crate::protocol::wire::{Reader, Writer};
use crate::protocol::{self, NAME_MAX, XATTR_MAX, is_shown};

/// A name that is well formed.
fn name<'a>(body: &mut Reader<'a>) -> Result<&'a [u8], Failure> {
    let name = body.bytes()?;
    if name.is_empty() || name.len() > NAME_MAX || name.contains(&0) {
        return Err(Failure::Malformed);
    }
    Ok(name)
}

impl Server {
    pub(super) fn get_xattr(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        let name = name(&mut body)?;
        body.finish()?;
        let node = self.shown(target.handle)?;
        if !is_shown(name) {
            return Err(Errno::OPNOTSUPP.into());
        }
        let mut value = vec![0_u8; XATTR_MAX];
        let length = rustix::fs::getxattr(number(&node.fd), name, &mut value[..])?;
        reply.put_bytes(&value[..length]);
        Ok(None)
    }

    pub(super) fn set_xattr(&self, mut body: Reader<'_>) -> Answer {
        let set: protocol::SetXattr = body.take()?;
        let name = name(&mut body)?;
        let value = body.bytes()?;
        body.finish()?;
        if value.len() > XATTR_MAX {
            return Err(Failure::Malformed);
        }
        let flags = XattrFlags::from_bits(set.flags).ok_or(Errno::INVAL)?;
        let node = self.changeable(set.handle)?;
        if !is_shown(name) {
            return Err(Errno::OPNOTSUPP.into());
        }
        rustix::fs::setxattr(number(&node.fd), name, value, flags)?;
        Ok(None)
    }

    pub(super) fn list_xattrs(&self, mut body: Reader<'_>, reply: &mut Writer<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        body.finish()?;
        let node = self.shown(target.handle)?;
        let mut names = vec![0_u8; XATTR_MAX];
        let length = rustix::fs::listxattr(number(&node.fd), &mut names[..])?;
        let mut shown = Vec::new();
        for name in names[..length].split(|&b| b == 0).filter(|n| is_shown(n)) {
            shown.extend_from_slice(name);
            shown.push(0);
        }
        reply.put_bytes(&shown);
        Ok(None)
    }

    pub(super) fn remove_xattr(&self, mut body: Reader<'_>) -> Answer {
        let target: protocol::Target = body.take()?;
        let name = name(&mut body)?;
        body.finish()?;
        let node = self.changeable(target.handle)?;
        if !is_shown(name) {
            return Err(Errno::OPNOTSUPP.into());
        }
        rustix::fs::removexattr(number(&node.fd), name)?;
        Ok(None)
    }
}
