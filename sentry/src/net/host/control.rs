//! The control messages that pass between guest and host.

use moat_abi::errno::Errno;
use moat_abi::socket as s;
use moat_abi::socket::CMsgHdr;
use zerocopy::IntoBytes;

use crate::Result;
use crate::net::control::{ControlMessage, split};

/// Room for the control messages of one receive: all that pass fit.
pub const ROOM: usize = 512;

/// The most of one message to the host.
const DATA_MAX: usize = 20;

/// Which go to the host: level, type and the sizes that it may have.
const SENT: &[(i32, i32, &[usize])] = &[
    (s::IPPROTO_IP, s::IP_PKTINFO, &[12]),
    (s::IPPROTO_IP, s::IP_TTL, &[4]),
    (s::IPPROTO_IP, s::IP_TOS, &[1, 4]),
    (s::IPPROTO_IPV6, s::IPV6_PKTINFO, &[20]),
    (s::IPPROTO_IPV6, s::IPV6_HOPLIMIT, &[4]),
    (s::IPPROTO_IPV6, s::IPV6_TCLASS, &[4]),
    (s::IPPROTO_UDP, s::UDP_SEGMENT, &[2]),
];

/// Which come from it.
const RECEIVED: &[(i32, i32)] = &[
    (s::SOL_SOCKET, s::SO_TIMESTAMP),
    (s::SOL_SOCKET, s::SO_TIMESTAMPNS),
    (s::SOL_SOCKET, s::SO_RXQ_OVFL),
    (s::IPPROTO_IP, s::IP_PKTINFO),
    (s::IPPROTO_IP, s::IP_TTL),
    (s::IPPROTO_IP, s::IP_TOS),
    (s::IPPROTO_IP, s::IP_RECVERR),
    (s::IPPROTO_IP, s::IP_RECVORIGDSTADDR),
    (s::IPPROTO_IPV6, s::IPV6_PKTINFO),
    (s::IPPROTO_IPV6, s::IPV6_HOPLIMIT),
    (s::IPPROTO_IPV6, s::IPV6_TCLASS),
    (s::IPPROTO_IPV6, s::IPV6_RECVERR),
    (s::IPPROTO_UDP, s::UDP_GRO),
];

/// The guest's messages as the host gets them.
///
/// # Errors
/// `EINVAL` for one that does not pass.
pub fn to_host(messages: &[(i32, i32, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (level, kind, data) in messages {
        let known = SENT.iter().find(|(l, k, _)| l == level && k == kind).ok_or(Errno::EINVAL)?;
        if !known.2.contains(&data.len()) || out.len() > ROOM {
            return Err(Errno::EINVAL);
        }
        debug_assert!(data.len() <= DATA_MAX, "no message that passes is longer");
        let len = size_of::<CMsgHdr>() + data.len();
        out.extend_from_slice(CMsgHdr { len: len as u64, level: *level, kind: *kind }.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    Ok(out)
}

/// The host's messages as the guest gets them.
pub fn from_host(raw: &[u8]) -> Vec<ControlMessage> {
    let messages = split(raw).unwrap_or_default().into_iter();
    messages
        .filter(|(level, kind, _)| RECEIVED.contains(&(*level, *kind)))
        .map(|(level, kind, data)| ControlMessage::Other { level, kind, data: data.to_vec() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_comes_out_as_it_went_in() {
        let ttl = (s::IPPROTO_IP, s::IP_TTL, 7i32.to_ne_bytes().to_vec());
        let tos = (s::IPPROTO_IP, s::IP_TOS, vec![8]);
        let raw = to_host(&[tos.clone(), ttl.clone()]).unwrap();
        let back: Vec<_> = from_host(&raw)
            .into_iter()
            .map(|m| match m {
                ControlMessage::Other { level, kind, data } => (level, kind, data),
                _ => unreachable!("only others come from the host"),
            })
            .collect();
        assert_eq!(back, vec![tos, ttl]);
    }

    #[test]
    fn rights_options_and_wrong_sizes_do_not_pass() {
        for message in [
            (s::SOL_SOCKET, s::SCM_RIGHTS, vec![0; 4]),
            (s::IPPROTO_IP, s::IP_RETOPTS, vec![0; 4]),
            (s::IPPROTO_IP, s::IP_PKTINFO, vec![0; 11]),
        ] {
            assert_eq!(to_host(std::slice::from_ref(&message)), Err(Errno::EINVAL), "{message:?}");
        }
        let rights = [CMsgHdr { len: 20, level: s::SOL_SOCKET, kind: s::SCM_RIGHTS }.as_bytes(), &[0; 8]].concat();
        assert!(from_host(&rights).is_empty());
    }
}
