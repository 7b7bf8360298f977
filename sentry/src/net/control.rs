//! Control messages (cmsg(3)): what goes along with the bytes of a message.

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::socket::{self as s, CMsgHdr, MsgFlags, UCred};
use zerocopy::{FromBytes, IntoBytes};

use crate::Result;
use crate::fs::OpenFile;
use crate::kernel::Task;

/// The most bytes of control messages of one send (`net.core.optmem_max`).
pub const CONTROL_MAX: usize = 131_072;

const HEADER: usize = size_of::<CMsgHdr>();

/// A control message on its way to the receiver.
pub enum ControlMessage {
    /// SCM_CREDENTIALS.
    Credentials(UCred),
    /// SCM_RIGHTS.
    Rights(Vec<Arc<OpenFile>>),
    /// Any other, as bytes.
    Other {
        /// Its level.
        level: i32,
        /// Its type.
        kind: i32,
        /// Its data.
        data: Vec<u8>,
    },
}

/// What the control messages of a send say.
#[derive(Default)]
pub struct Sent {
    /// Files of SCM_RIGHTS.
    pub rights: Vec<Arc<OpenFile>>,
    /// SCM_CREDENTIALS, checked.
    pub credentials: Option<UCred>,
    /// Those of an inet protocol: level, type and data.
    pub others: Vec<(i32, i32, Vec<u8>)>,
}

fn align(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// The messages in `raw`: level, type and data. `EINVAL` where a length is wrong.
pub(super) fn split(raw: &[u8]) -> Result<Vec<(i32, i32, &[u8])>> {
    let mut messages = Vec::new();
    let mut rest = raw;
    while let Ok((header, _)) = CMsgHdr::read_from_prefix(rest) {
        let len = usize::try_from(header.len).map_err(|_| Errno::EINVAL)?;
        if len < HEADER || len > rest.len() {
            return Err(Errno::EINVAL);
        }
        messages.push((header.level, header.kind, &rest[HEADER..len]));
        rest = rest.get(align(len)..).unwrap_or_default();
    }
    Ok(messages)
}

/// Reads the control messages that `task` sends over a socket of `family`.
pub fn parse(task: &Task, family: u16, raw: &[u8]) -> Result<Sent> {
    let mut sent = Sent::default();
    for (level, kind, data) in split(raw)? {
        if level != s::SOL_SOCKET && matches!(family, s::AF_INET | s::AF_INET6) {
            sent.others.push((level, kind, data.to_vec()));
            continue;
        }
        if level != s::SOL_SOCKET || !matches!(family, s::AF_UNIX | s::AF_NETLINK) {
            continue;
        }
        match kind {
            s::SCM_RIGHTS if family == s::AF_UNIX => {
                let count = data.len() / 4;
                if sent.rights.len() + count > s::SCM_MAX_FD {
                    return Err(Errno::EINVAL);
                }
                let files = task.files();
                for fd in data.chunks_exact(4) {
                    let fd = i32::read_from_bytes(fd).map_err(|_| Errno::EINVAL)?;
                    sent.rights.push(files.get(fd)?);
                }
            }
            s::SCM_CREDENTIALS => {
                let stated = UCred::read_from_bytes(data).map_err(|_| Errno::EINVAL)?;
                check_credentials(task, stated)?;
                sent.credentials = Some(stated);
            }
            _ => return Err(Errno::EINVAL),
        }
    }
    Ok(sent)
}

/// Whether `task` may say that it is this (unix(7), SCM_CREDENTIALS).
fn check_credentials(task: &Task, stated: UCred) -> Result<()> {
    let own = task.credentials();
    let pid = stated.pid as u32 == task.pid() || own.has(CapabilitySet::SYS_ADMIN);
    let uid = [own.uid, own.euid, own.suid].contains(&stated.uid) || own.has(CapabilitySet::SETUID);
    let gid = [own.gid, own.egid, own.sgid].contains(&stated.gid) || own.has(CapabilitySet::SETGID);
    if !(pid && uid && gid) {
        return Err(Errno::EPERM);
    }
    if stated.uid == u32::MAX || stated.gid == u32::MAX {
        return Err(Errno::EINVAL);
    }
    if stated.pid as u32 != task.pid() && task.kernel().tree().task(stated.pid as u32).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(())
}

/// Fills a control buffer of `room` bytes.
pub struct Writer {
    out: Vec<u8>,
    room: usize,
    /// MSG_CTRUNC, once something did not fit.
    pub flags: MsgFlags,
}

impl Writer {
    /// For a buffer of `room` bytes.
    pub fn new(room: usize) -> Self {
        Self { out: Vec::new(), room, flags: MsgFlags::empty() }
    }

    /// The bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Appends a message, cut if it does not fit (put_cmsg).
    pub fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let left = self.room - self.out.len();
        if left < HEADER {
            self.flags |= MsgFlags::CTRUNC;
            return;
        }
        let mut len = HEADER + data.len();
        if len > left {
            self.flags |= MsgFlags::CTRUNC;
            len = left;
        }
        self.out.extend_from_slice(CMsgHdr { len: len as u64, level, kind }.as_bytes());
        self.out.extend_from_slice(&data[..len - HEADER]);
        // The padding counts only as far as there is room.
        let padding = (align(len) - len).min(self.room - self.out.len());
        self.out.resize(self.out.len() + padding, 0);
    }

    /// Gives `task` descriptors for as many of `files` as there is room for (scm_detach_fds); the others are closed.
    pub fn put_rights(&mut self, task: &Task, files: Vec<Arc<OpenFile>>, close_on_exec: bool) {
        let left = self.room - self.out.len();
        let most = left.saturating_sub(HEADER) / 4;
        let wanted = files.len();
        let limit = task.group_ref().limit(Resource::Files);
        let mut numbers = Vec::new();
        let mut rest = files.into_iter();
        for file in rest.by_ref().take(most) {
            match task.files().insert(file, close_on_exec, 0, limit) {
                Ok(fd) => numbers.extend_from_slice(&fd.to_ne_bytes()),
                Err(_) => break,
            }
        }
        if numbers.len() / 4 < wanted {
            self.flags |= MsgFlags::CTRUNC;
        }
        if !numbers.is_empty() {
            self.put(s::SOL_SOCKET, s::SCM_RIGHTS, &numbers);
        }
        super::unix::inflight::end_all(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_padded_to_eight_bytes_as_far_as_there_is_room() {
        let mut writer = Writer::new(64);
        writer.put(1, 2, &[7; 12]);
        assert_eq!(writer.out.len(), 32);
        writer.put(1, 1, &[1; 4]);
        assert!(writer.flags.is_empty());
        let bytes = writer.into_bytes();
        let messages = split(&bytes).unwrap();
        assert_eq!(messages, vec![(1, 2, &[7u8; 12][..]), (1, 1, &[1u8; 4][..])]);
        let mut tight = Writer::new(20);
        tight.put(1, 1, &[1; 4]);
        assert_eq!((tight.out.len(), tight.flags), (20, MsgFlags::empty()));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_said_so() {
        let mut writer = Writer::new(20);
        writer.put(1, 2, &[7; 12]);
        assert_eq!(writer.flags, MsgFlags::CTRUNC);
        assert_eq!(writer.out.len(), 20);
        let mut none = Writer::new(8);
        none.put(1, 2, &[7; 12]);
        assert!(none.flags.contains(MsgFlags::CTRUNC) && none.out.is_empty());
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let short = CMsgHdr { len: 8, level: 1, kind: 1 };
        assert!(split(short.as_bytes()).is_err());
        let long = CMsgHdr { len: 100, level: 1, kind: 1 };
        assert!(split(long.as_bytes()).is_err());
        assert!(split(&[0; 15]).unwrap().is_empty());
    }
}
