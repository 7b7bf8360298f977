//! The namespace's interfaces, as its kernel lists them.

use std::net::IpAddr;

use moat_abi::netlink::{self as n, IfAddrMsg, IfInfoMsg, NlMsgHdr};
use zerocopy::{FromBytes, IntoBytes};

use super::queries::exchange;
use crate::Result;
use crate::net::netlink::message::{Request, requests};
use crate::net::stack::{Interface, InterfaceAddress};

fn dump(kind: u16, header: usize) -> Result<Vec<Vec<u8>>> {
    let mut request = vec![0; size_of::<NlMsgHdr>() + header];
    let flags = n::NLM_F_REQUEST | n::NLM_F_DUMP;
    let header = NlMsgHdr { len: request.len() as u32, kind, flags, seq: 1, pid: 0 };
    request[..size_of::<NlMsgHdr>()].copy_from_slice(header.as_bytes());
    exchange(n::NETLINK_ROUTE, &request, true)
}

/// Lists them, by index.
pub fn list() -> Result<Vec<Interface>> {
    let links = dump(n::RTM_GETLINK, size_of::<IfInfoMsg>())?;
    let addresses = dump(n::RTM_GETADDR, size_of::<IfAddrMsg>())?;
    let mut found: Vec<Interface> = links.iter().flat_map(|d| requests(d)).filter_map(|m| link(&m)).collect();
    for message in addresses.iter().flat_map(|d| requests(d)) {
        if let Some((index, address)) = address(&message)
            && let Some(interface) = found.iter_mut().find(|i| i.index == index)
        {
            interface.addresses.push(address);
        }
    }
    found.sort_by_key(|i| i.index);
    Ok(found)
}

fn link(message: &Request<'_>) -> Option<Interface> {
    if message.header.kind != n::RTM_NEWLINK {
        return None;
    }
    let (info, _) = IfInfoMsg::read_from_prefix(message.body).ok()?;
    let attribute = |kind| message.attribute(size_of::<IfInfoMsg>(), kind);
    let number = |kind| attribute(kind).and_then(|v| u32::read_from_bytes(v).ok());
    let name = attribute(n::IFLA_IFNAME)?.split(|&b| b == 0).next()?;
    let mut hardware = [0; 6];
    let given = attribute(n::IFLA_ADDRESS).unwrap_or_default();
    let n = given.len().min(hardware.len());
    hardware[..n].copy_from_slice(&given[..n]);
    Some(Interface {
        index: u32::try_from(info.index).ok()?,
        name: String::from_utf8_lossy(name).into_owned(),
        flags: info.flags,
        mtu: number(n::IFLA_MTU).unwrap_or_default(),
        queue_length: number(n::IFLA_TXQLEN).unwrap_or_default(),
        hardware,
        hardware_type: info.kind,
        addresses: Vec::new(),
    })
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn address(message: &Request<'_>) -> Option<(u32, InterfaceAddress)> {
    if message.header.kind != n::RTM_NEWADDR {
        return None;
    }
    let (info, _) = IfAddrMsg::read_from_prefix(message.body).ok()?;
    let attribute = |kind| message.attribute(size_of::<IfAddrMsg>(), kind).and_then(ip);
    let (local, address) = (attribute(n::IFA_LOCAL), attribute(n::IFA_ADDRESS));
    let own = local.or(address)?;
    let peer = address.filter(|&a| a != own);
    Some((
        info.index,
        InterfaceAddress { ip: own, prefix: info.prefixlen, peer, broadcast: attribute(n::IFA_BROADCAST) },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_listed() {
        let all = list().unwrap();
        let lo = all.iter().find(|i| i.name == "lo").unwrap();
        assert_eq!((lo.index, lo.hardware_type), (1, moat_abi::socket::ARPHRD_LOOPBACK));
    }
}
