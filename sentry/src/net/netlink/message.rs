//! How netlink messages are laid out (netlink(3)).

use moat_abi::errno::Errno;
use moat_abi::netlink::{self as n, NlMsgHdr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const HEADER: usize = size_of::<NlMsgHdr>();

/// A request: its header, and what is behind it.
pub struct Request<'a> {
    /// The header.
    pub header: NlMsgHdr,
    /// The rest.
    pub body: &'a [u8],
    whole: &'a [u8],
}

impl Request<'_> {
    /// Whether everything is wanted, not one thing.
    pub fn is_dump(&self) -> bool {
        self.header.flags & n::NLM_F_DUMP == n::NLM_F_DUMP
    }

    /// The attribute of this type behind a family header of `skip` bytes.
    pub fn attribute(&self, skip: usize, kind: u16) -> Option<&[u8]> {
        let mut rest = self.body.get(skip.next_multiple_of(4)..)?;
        while let (Some(len), Some(this)) = (word(rest, 0), word(rest, 2)) {
            let len = usize::from(len);
            if len < 4 || len > rest.len() {
                return None;
            }
            if this & 0x3fff == kind {
                return Some(&rest[4..len]);
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|b| u16::read_from_bytes(b).ok())
}

/// The requests in a datagram; what follows a malformed one is not looked at.
pub fn requests(datagram: &[u8]) -> Vec<Request<'_>> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let Ok((header, _)) = NlMsgHdr::read_from_prefix(rest) {
        let len = header.len as usize;
        if len < HEADER || len > rest.len() {
            break;
        }
        found.push(Request { header, body: &rest[HEADER..len], whole: &rest[..len] });
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The longest datagram of more than one message (`NLMSG_GOODSIZE`): who asks has room for a page.
const GOOD_SIZE: usize = 3776;

/// The same messages in datagrams that a page has room for.
pub fn regroup(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    for message in datagrams.iter().flat_map(|d| requests(d)) {
        let len = message.whole.len().next_multiple_of(4);
        match out.last_mut() {
            Some(last) if last.len() + len <= GOOD_SIZE => last.extend_from_slice(message.whole),
            _ => out.push(message.whole.to_vec()),
        }
        // The last one is never empty here.
        if let Some(last) = out.last_mut() {
            last.resize(last.len().next_multiple_of(4), 0);
        }
    }
    out
}

/// Answers, back to back in one datagram.
pub struct Answer {
    out: Vec<u8>,
    sequence: u32,
    port: u32,
    /// Where the message under way begins.
    start: usize,
}

impl Answer {
    /// Answers to a request from the socket with number `port`.
    pub fn new(sequence: u32, port: u32) -> Self {
        Self { out: Vec::new(), sequence, port, start: 0 }
    }

    /// Begins a message with its family header.
    pub fn begin<T: IntoBytes + Immutable>(&mut self, kind: u16, flags: u16, body: &T) {
        self.start = self.out.len();
        let header = NlMsgHdr { len: 0, kind, flags, seq: self.sequence, pid: self.port };
        self.out.extend_from_slice(header.as_bytes());
        self.out.extend_from_slice(body.as_bytes());
        self.end();
    }

    /// Adds an attribute to it.
    pub fn attribute(&mut self, kind: u16, data: &[u8]) {
        self.out.extend_from_slice(&((4 + data.len()) as u16).to_ne_bytes());
        self.out.extend_from_slice(&kind.to_ne_bytes());
        self.out.extend_from_slice(data);
        self.end();
    }

    /// Adds an attribute that is a number.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    fn end(&mut self) {
        // The kernel counts the padding of attributes into the message.
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        let len = (self.out.len() - self.start) as u32;
        self.out[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// NLMSG_DONE: the dump is over.
    pub fn done(&mut self) {
        self.begin(n::NLMSG_DONE, n::NLM_F_MULTI, &0i32);
    }

    /// NLMSG_ERROR; without an errno it acknowledges. The request comes back with it, an acknowledged one only by its
    /// header.
    pub fn error(&mut self, request: &Request<'_>, errno: Option<Errno>) {
        let code = errno.map_or(0, |e| -e.raw());
        let flags = if errno.is_none() { n::NLM_F_CAPPED } else { 0 };
        self.begin(n::NLMSG_ERROR, flags, &code);
        let back = if errno.is_some() { request.whole } else { &request.whole[..HEADER] };
        self.out.extend_from_slice(back);
        self.end();
    }

    /// The datagram; none if there is nothing in it.
    pub fn into_datagram(self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then_some(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_padded() {
        let mut answer = Answer::new(7, 9);
        answer.begin(16, 2, &1u32);
        answer.attribute(3, b"lo\0");
        answer.number(4, 65_536);
        answer.done();
        let datagram = answer.into_datagram().unwrap();
        let all = requests(&datagram);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].header.len, all[0].header.seq, all[0].header.pid), (16 + 4 + 8 + 8, 7, 9));
        assert_eq!(all[0].attribute(4, 3), Some(&b"lo\0"[..]));
        assert_eq!(all[0].attribute(4, 4), Some(&65_536u32.to_ne_bytes()[..]));
        assert_eq!(all[1].header.kind, n::NLMSG_DONE);
    }

    #[test]
    fn long_answers_come_in_pieces_that_a_page_has_room_for() {
        let mut answer = Answer::new(7, 9);
        for number in 0..1000u32 {
            answer.begin(16, n::NLM_F_MULTI, &[number; 8]);
        }
        answer.done();
        let pieces = regroup(&[answer.into_datagram().unwrap()]);
        assert!(pieces.len() > 10 && pieces.iter().all(|p| p.len() <= GOOD_SIZE));
        let all: Vec<_> = pieces.iter().flat_map(|p| requests(p)).collect();
        assert_eq!(all.len(), 1001);
        assert!(all[..1000].iter().enumerate().all(|(at, m)| m.body == [at as u32; 8].as_bytes()));
    }

    #[test]
    fn malformed_requests_end_the_datagram() {
        let header = NlMsgHdr { len: 100, kind: 18, flags: 1, seq: 1, pid: 0 };
        assert!(requests(header.as_bytes()).is_empty());
        assert!(requests(&[0; 15]).is_empty());
        let short = NlMsgHdr { len: 8, ..header };
        assert!(requests(short.as_bytes()).is_empty());
    }

    #[test]
    fn attributes_of_wrong_length_are_not_found() {
        let mut raw = NlMsgHdr { len: 24, kind: 18, flags: 1, seq: 1, pid: 0 }.as_bytes().to_vec();
        raw.extend_from_slice(&[200, 0, 3, 0, 1, 2, 3, 4]);
        let all = requests(&raw);
        assert_eq!(all[0].attribute(0, 3), None);
        assert_eq!(all[0].attribute(100, 3), None);
    }
}
