//! Writing and reading messages. Nothing here trusts a length.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{MESSAGE_MAX, NAME_MAX, OPEN_MAX, Opcode, ReplyHeader, RequestHeader};

/// A message that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

/// Whether `name` can be a component that is looked up, made or removed: not empty, no slash, no NUL, neither `.` nor
/// `..`, not too long.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name != b"."
        && name != b".."
        && !name.iter().any(|&b| b == b'/' || b == 0)
}

/// A message under construction.
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A request. Uses `buffer`'s memory again.
    pub fn request(buffer: &'a mut Vec<u8>, opcode: Opcode, sequence: u32) -> Self {
        buffer.clear();
        let mut writer = Self { buffer };
        writer.put(&RequestHeader { length: 0, opcode: opcode as u32, sequence, reserved: 0 });
        writer
    }

    /// A reply without an error.
    pub fn reply(buffer: &'a mut Vec<u8>, sequence: u32) -> Self {
        buffer.clear();
        let mut writer = Self { buffer };
        writer.put(&ReplyHeader { length: 0, errno: 0, sequence, descriptors: 0 });
        writer
    }

    /// Adds a structure.
    pub fn put<T: IntoBytes + Immutable>(&mut self, value: &T) {
        self.buffer.extend_from_slice(value.as_bytes());
    }

    /// Adds bytes, with their length before them.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        // What is too long for the field is too long for a message, which `finish` refuses.
        self.put(&(bytes.len().min(u32::MAX as usize) as u32).to_le_bytes());
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was written; never true, since there is a header.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Overwrites what is at `offset`.
    pub fn patch<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) {
        let bytes = value.as_bytes();
        if let Some(place) = self.buffer.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Writes the length into the header.
    pub fn finish(self) -> Result<(), Malformed> {
        let length = self.buffer.len();
        if length > MESSAGE_MAX {
            return Err(Malformed);
        }
        self.buffer[..4].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(())
    }

    /// Turns a reply into this error.
    pub fn fail(buffer: &mut Vec<u8>, sequence: u32, errno: i32) {
        buffer.clear();
        let header = ReplyHeader { length: 16, errno: errno.unsigned_abs(), sequence, descriptors: 0 };
        buffer.extend_from_slice(header.as_bytes());
    }

    /// Says in a finished reply how many descriptors come along.
    pub fn with_descriptors(buffer: &mut [u8], count: usize) {
        if let Some(place) = buffer.get_mut(12..16) {
            place.copy_from_slice(&(count as u32).to_le_bytes());
        }
    }
}

/// A message that came.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A request and its header, whose length must be the packet's.
    pub fn request(packet: &'a [u8]) -> Result<(RequestHeader, Opcode, Self), Malformed> {
        let mut reader = Self { rest: packet };
        let header: RequestHeader = reader.take()?;
        let opcode = Opcode::from_raw(header.opcode).ok_or(Malformed)?;
        if header.length as usize != packet.len() || header.reserved != 0 {
            return Err(Malformed);
        }
        Ok((header, opcode, reader))
    }

    /// A reply and its header.
    pub fn reply(packet: &'a [u8]) -> Result<(ReplyHeader, Self), Malformed> {
        let mut reader = Self { rest: packet };
        let header: ReplyHeader = reader.take()?;
        if header.length as usize != packet.len() || header.descriptors as usize > OPEN_MAX || header.errno > 4095 {
            return Err(Malformed);
        }
        Ok((header, reader))
    }

    /// The next structure.
    pub fn take<T: FromBytes>(&mut self) -> Result<T, Malformed> {
        let (value, rest) = T::read_from_prefix(self.rest).map_err(|_| Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    /// The next bytes with a length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_le_bytes(self.take()?) as usize;
        if length > self.rest.len() {
            return Err(Malformed);
        }
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }

    /// The next bytes, which must be a name ([`is_name`]).
    pub fn name(&mut self) -> Result<&'a [u8], Malformed> {
        let name = self.bytes()?;
        if is_name(name) { Ok(name) } else { Err(Malformed) }
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Target, Walk};

    #[test]
    fn a_request_comes_back_as_it_was_written() {
        let mut buffer = Vec::new();
        let mut writer = Writer::request(&mut buffer, Opcode::Walk, 7);
        writer.put(&Walk { handle: 3, count: 2, reserved: 0 });
        writer.put_bytes(b"usr");
        writer.put_bytes(b"bin");
        writer.finish().unwrap();
        let (header, opcode, mut reader) = Reader::request(&buffer).unwrap();
        assert_eq!((header.sequence, opcode), (7, Opcode::Walk));
        assert_eq!(reader.take::<Walk>().unwrap().handle, 3);
        assert_eq!(reader.name().unwrap(), b"usr");
        assert_eq!(reader.name().unwrap(), b"bin");
        reader.finish().unwrap();
    }

    #[test]
    fn every_cut_of_a_request_is_malformed() {
        let mut buffer = Vec::new();
        let mut writer = Writer::request(&mut buffer, Opcode::GetXattr, 1);
        writer.put(&Target { handle: 1 });
        writer.put_bytes(b"user.test");
        writer.finish().unwrap();
        for length in 0..buffer.len() {
            let parse = || -> Result<(), Malformed> {
                let mut cut = buffer[..length].to_vec();
                if length >= 4 {
                    cut[..4].copy_from_slice(&(length as u32).to_le_bytes());
                }
                let (_, _, mut reader) = Reader::request(&cut)?;
                reader.take::<Target>()?;
                reader.bytes()?;
                reader.finish()
            };
            assert_eq!(parse(), Err(Malformed), "cut at {length}");
        }
    }

    #[test]
    fn a_length_that_is_not_the_packets_is_malformed() {
        let mut buffer = Vec::new();
        Writer::request(&mut buffer, Opcode::Hello, 1).finish().unwrap();
        buffer[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Reader::request(&buffer).is_err());
    }

    #[test]
    fn a_huge_inner_length_is_malformed() {
        let mut buffer = Vec::new();
        let mut writer = Writer::request(&mut buffer, Opcode::GetXattr, 1);
        writer.put(&Target { handle: 1 });
        writer.put(&u32::MAX.to_le_bytes());
        writer.finish().unwrap();
        let (_, _, mut reader) = Reader::request(&buffer).unwrap();
        reader.take::<Target>().unwrap();
        assert_eq!(reader.bytes(), Err(Malformed));
    }

    #[test]
    fn names_are_single_components() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'x'; 256]] {
            assert!(!is_name(bad), "{bad:?}");
        }
        for good in [&b"a"[..], b"...", b".hidden", b"\xff\xfe", &[b'x'; 255]] {
            assert!(is_name(good), "{good:?}");
        }
    }

    #[test]
    fn unknown_requests_are_malformed() {
        for raw in [0, 28, 1000, u32::MAX] {
            assert_eq!(Opcode::from_raw(raw), None);
        }
    }
}
