//! Socket addresses, between the bytes of a `sockaddr` and what families work with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, SockAddrIn, SockAddrIn6};
use zerocopy::{FromBytes, IntoBytes};

use crate::Result;

/// The family of a `sockaddr`; none if it is too short to have one.
pub fn family(address: &[u8]) -> Option<u16> {
    u16::read_from_prefix(address).ok().map(|(f, _)| f)
}

/// The name of a unix socket (unix(7)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixAddress {
    /// A path, without its NUL.
    Path(Vec<u8>),
    /// A name that starts with a NUL, which is not kept here.
    Abstract(Vec<u8>),
}

impl UnixAddress {
    /// Reads one; none for the bare family, which asks bind for a name of the kernel's choice.
    ///
    /// # Errors
    /// `EINVAL` for another family or a length that no unix address has.
    pub fn parse(address: &[u8]) -> Result<Option<Self>> {
        if address.len() < 2 || address.len() > 2 + s::UNIX_PATH_MAX || family(address) != Some(s::AF_UNIX) {
            return Err(Errno::EINVAL);
        }
        let name = &address[2..];
        match name.first() {
            None => Ok(None),
            Some(0) => Ok(Some(Self::Abstract(name[1..].to_vec()))),
            Some(_) => Ok(Some(Self::Path(name.split(|&b| b == 0).next().unwrap_or_default().to_vec()))),
        }
    }

    /// As a `sockaddr_un`; the bare family for no address.
    pub fn encode(address: Option<&Self>) -> Vec<u8> {
        let mut out = s::AF_UNIX.to_ne_bytes().to_vec();
        match address {
            None => {}
            Some(Self::Path(path)) => {
                out.extend_from_slice(path);
                out.push(0);
            }
            Some(Self::Abstract(name)) => {
                out.push(0);
                out.extend_from_slice(name);
            }
        }
        out
    }

    /// As /proc/net/unix shows it.
    pub fn display(&self) -> String {
        match self {
            Self::Path(path) => String::from_utf8_lossy(path).into_owned(),
            Self::Abstract(name) => {
                format!("@{}", String::from_utf8_lossy(name).replace('\0', "@"))
            }
        }
    }
}

/// Reads an address for an inet socket of family `of`.
///
/// # Errors
/// `EINVAL` if it is too short, `EAFNOSUPPORT` for another family.
pub fn parse_inet(of: u16, address: &[u8]) -> Result<SocketAddr> {
    let family = family(address).ok_or(Errno::EINVAL)?;
    match of {
        s::AF_INET => {
            let (raw, _) = SockAddrIn::read_from_prefix(address).map_err(|_| Errno::EINVAL)?;
            if family != s::AF_INET {
                return Err(Errno::EAFNOSUPPORT);
            }
            Ok(SocketAddrV4::new(raw.addr.into(), u16::from_be_bytes(raw.port)).into())
        }
        _ => {
            // The scope id at the end may be missing (RFC 2133).
            if address.len() < 24 {
                return Err(Errno::EINVAL);
            }
            if family != s::AF_INET6 {
                return Err(Errno::EAFNOSUPPORT);
            }
            let mut whole = [0u8; 28];
            let n = address.len().min(28);
            whole[..n].copy_from_slice(&address[..n]);
            let raw = SockAddrIn6::read_from_bytes(&whole).map_err(|_| Errno::EINVAL)?;
            let port = u16::from_be_bytes(raw.port);
            Ok(SocketAddrV6::new(raw.addr.into(), port, u32::from_be(raw.flowinfo), raw.scope_id).into())
        }
    }
}

/// As a `sockaddr` for a socket of family `of`: v4 addresses are shown mapped by a v6 socket.
pub fn encode_inet(of: u16, address: SocketAddr) -> Vec<u8> {
    if of == s::AF_INET {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
        };
        let raw =
            SockAddrIn { family: s::AF_INET, port: address.port().to_be_bytes(), addr: ip.octets(), zero: [0; 8] };
        return raw.as_bytes().to_vec();
    }
    let (ip, scope_id) = match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    let raw = SockAddrIn6 {
        family: s::AF_INET6,
        port: address.port().to_be_bytes(),
        flowinfo: 0,
        addr: ip.octets(),
        scope_id,
    };
    raw.as_bytes().to_vec()
}

/// The address with v4-mapped v6 turned into v4.
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

/// The wildcard of a family.
pub fn unspecified(v6: bool) -> IpAddr {
    if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_addresses_come_back_as_they_went() {
        for raw in [&b"\x01\0/tmp/s\0"[..], b"\x01\0\0name\0with nul", b"\x01\0\0"] {
            let parsed = UnixAddress::parse(raw).unwrap();
            assert_eq!(UnixAddress::encode(parsed.as_ref()), raw);
        }
        assert_eq!(UnixAddress::parse(b"\x01\0").unwrap(), None);
        assert_eq!(UnixAddress::parse(b"\x02\0/x"), Err(Errno::EINVAL));
        assert_eq!(UnixAddress::parse(&[1; 111]), Err(Errno::EINVAL));
    }

    #[test]
    fn a_path_ends_at_its_first_nul_or_with_the_address() {
        let long = [b"\x01\0".as_slice(), &[b'a'; 108]].concat();
        assert_eq!(UnixAddress::parse(&long).unwrap(), Some(UnixAddress::Path(vec![b'a'; 108])));
        let padded = b"\x01\0/s\0garbage";
        assert_eq!(UnixAddress::parse(padded).unwrap(), Some(UnixAddress::Path(b"/s".to_vec())));
    }

    #[test]
    fn a_v6_socket_shows_v4_peers_mapped() {
        let v4: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let raw = encode_inet(s::AF_INET6, v4);
        let back = parse_inet(s::AF_INET6, &raw).unwrap();
        assert_eq!(back.to_string(), "[::ffff:127.0.0.1]:80");
        assert_eq!(unmapped(back), v4);
    }

    #[test]
    fn short_and_foreign_inet_addresses_are_told_apart() {
        let v4 = encode_inet(s::AF_INET, "1.2.3.4:5".parse().unwrap());
        assert_eq!(parse_inet(s::AF_INET, &v4[..15]), Err(Errno::EINVAL));
        assert_eq!(parse_inet(s::AF_INET6, &[&v4[..], &[0; 12]].concat()), Err(Errno::EAFNOSUPPORT));
    }
}
