//! NETLINK_ROUTE (rtnetlink(7)): what `ip` and getaddrinfo ask about interfaces, addresses and routes.

use std::net::IpAddr;

use moat_abi::errno::Errno;
use moat_abi::netlink::{self as n, IfAddrMsg, IfInfoMsg, RtMsg};
use moat_abi::socket::{AF_INET, AF_INET6, AF_UNSPEC};
use zerocopy::FromBytes;

use super::message::{Answer, Request};
use crate::Result;
use crate::net::stack::{Interface, NetStack};

/// `IF_OPER_UNKNOWN`: what the loopback shows.
const OPERATION_UNKNOWN: u8 = 0;

/// Answers a request. An error becomes NLMSG_ERROR.
pub fn answer(stack: &dyn NetStack, request: &Request<'_>, privileged: bool, out: &mut Answer) -> Result<()> {
    let family = u16::from(request.body.first().copied().unwrap_or_default());
    let dump = request.is_dump();
    match request.header.kind {
        n::RTM_GETLINK if dump => stack.interfaces().iter().for_each(|i| link(out, i, n::NLM_F_MULTI)),
        n::RTM_GETLINK => link(out, &named(stack, request)?, 0),
        n::RTM_GETADDR if dump => stack.interfaces().iter().for_each(|i| addresses(out, i, family)),
        n::RTM_GETROUTE if dump => stack.interfaces().iter().for_each(|i| routes(out, i, family)),
        n::RTM_GETROUTE => route_to(stack, request, family, out)?,
        n::RTM_GETRULE if dump => rules(out, family),
        n::RTM_GETNEIGH if dump => {}
        // Types come in fours: new, delete, get, set. All but get change something.
        kind if kind % 4 != 2 && !privileged => return Err(Errno::EPERM),
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// The interface that RTM_GETLINK asks for, by index or name.
fn named(stack: &dyn NetStack, request: &Request<'_>) -> Result<Interface> {
    let (info, _) = IfInfoMsg::read_from_prefix(request.body).map_err(|_| Errno::EINVAL)?;
    let name = request.attribute(size_of::<IfInfoMsg>(), n::IFLA_IFNAME);
    let name = name.map(|n| n.split(|&b| b == 0).next().unwrap_or_default());
    if info.index <= 0 && name.is_none() {
        return Err(Errno::EINVAL);
    }
    let mut all = stack.interfaces().into_iter();
    all.find(|i| if info.index > 0 { i.index as i32 == info.index } else { name == Some(i.name.as_bytes()) })
        .ok_or(Errno::ENODEV)
}

fn link(out: &mut Answer, interface: &Interface, flags: u16) {
    let info = IfInfoMsg {
        family: AF_UNSPEC as u8,
        pad: 0,
        kind: interface.hardware_type,
        index: interface.index as i32,
        flags: interface.flags,
        change: 0,
    };
    out.begin(n::RTM_NEWLINK, flags, &info);
    out.attribute(n::IFLA_IFNAME, &terminated(&interface.name));
    out.number(n::IFLA_TXQLEN, 1000);
    out.attribute(n::IFLA_OPERSTATE, &[OPERATION_UNKNOWN]);
    out.attribute(n::IFLA_LINKMODE, &[0]);
    out.number(n::IFLA_MTU, interface.mtu);
    out.number(n::IFLA_GROUP, 0);
    out.number(n::IFLA_NUM_TX_QUEUES, 1);
    out.number(n::IFLA_NUM_RX_QUEUES, 1);
    out.attribute(n::IFLA_CARRIER, &[1]);
    out.attribute(n::IFLA_QDISC, b"noqueue\0");
    out.attribute(n::IFLA_ADDRESS, &interface.hardware);
    out.attribute(n::IFLA_BROADCAST, &[0; 6]);
    out.attribute(n::IFLA_STATS64, &[0; 200]);
}

fn terminated(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn family_of(ip: IpAddr) -> u16 {
    if ip.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn addresses(out: &mut Answer, interface: &Interface, family: u16) {
    for address in &interface.addresses {
        let own = family_of(address.ip);
        if family != AF_UNSPEC && family != own {
            continue;
        }
        let info = IfAddrMsg {
            family: own as u8,
            prefixlen: address.prefix,
            flags: n::IFA_F_PERMANENT,
            scope: n::RT_SCOPE_HOST,
            index: interface.index,
        };
        out.begin(n::RTM_NEWADDR, n::NLM_F_MULTI, &info);
        out.attribute(n::IFA_ADDRESS, &octets(address.ip));
        if own == AF_INET {
            out.attribute(n::IFA_LOCAL, &octets(address.ip));
            out.attribute(n::IFA_LABEL, &terminated(&interface.name));
        }
        out.number(n::IFA_FLAGS, u32::from(n::IFA_F_PERMANENT));
        // Preferred and valid for ever; created and changed at boot.
        let mut cache = [0u8; 16];
        cache[..8].fill(0xff);
        out.attribute(n::IFA_CACHEINFO, &cache);
    }
}

struct Route {
    to: IpAddr,
    prefix: u8,
    table: u8,
    scope: u8,
    kind: u8,
    source: Option<IpAddr>,
    priority: Option<u32>,
}

fn route(out: &mut Answer, interface: &Interface, route: &Route, flags: u16) {
    let message = RtMsg {
        family: family_of(route.to) as u8,
        dst_len: route.prefix,
        table: route.table,
        protocol: n::RTPROT_KERNEL,
        scope: route.scope,
        kind: route.kind,
        ..RtMsg::default()
    };
    out.begin(n::RTM_NEWROUTE, flags, &message);
    out.number(n::RTA_TABLE, u32::from(route.table));
    out.attribute(n::RTA_DST, &octets(route.to));
    if let Some(priority) = route.priority {
        out.number(n::RTA_PRIORITY, priority);
    }
    if let Some(source) = route.source {
        out.attribute(n::RTA_PREFSRC, &octets(source));
    }
    out.number(n::RTA_OIF, interface.index);
}

/// The routes that Linux makes for a loopback interface by itself.
fn routes(out: &mut Answer, interface: &Interface, family: u16) {
    for address in &interface.addresses {
        if family != AF_UNSPEC && family != family_of(address.ip) {
            continue;
        }
        match address.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(address.prefix)).unwrap_or(0);
                let network = IpAddr::V4((u32::from(ip) & mask).into());
                let last = IpAddr::V4((u32::from(ip) | !mask).into());
                let local = Route {
                    to: network,
                    prefix: address.prefix,
                    table: n::RT_TABLE_LOCAL,
                    scope: n::RT_SCOPE_HOST,
                    kind: n::RTN_LOCAL,
                    source: Some(address.ip),
                    priority: None,
                };
                route(out, interface, &local, n::NLM_F_MULTI);
                route(out, interface, &Route { to: address.ip, prefix: 32, ..local }, n::NLM_F_MULTI);
                let broadcast =
                    Route { to: last, prefix: 32, scope: n::RT_SCOPE_LINK, kind: n::RTN_BROADCAST, ..local };
                route(out, interface, &broadcast, n::NLM_F_MULTI);
            }
            IpAddr::V6(_) => {
                let main = Route {
                    to: address.ip,
                    prefix: address.prefix,
                    table: n::RT_TABLE_MAIN,
                    scope: n::RT_SCOPE_UNIVERSE,
                    kind: n::RTN_UNICAST,
                    source: None,
                    priority: Some(256),
                };
                route(out, interface, &main, n::NLM_F_MULTI);
                let local = Route { table: n::RT_TABLE_LOCAL, kind: n::RTN_LOCAL, priority: Some(0), ..main };
                route(out, interface, &local, n::NLM_F_MULTI);
            }
        }
    }
}

/// `ip route get`: this machine, or nothing.
fn route_to(stack: &dyn NetStack, request: &Request<'_>, family: u16, out: &mut Answer) -> Result<()> {
    let to = request.attribute(size_of::<RtMsg>(), n::RTA_DST).ok_or(Errno::EINVAL)?;
    let to: IpAddr = match family {
        AF_INET => <[u8; 4]>::try_from(to).map_err(|_| Errno::EINVAL)?.into(),
        AF_INET6 => <[u8; 16]>::try_from(to).map_err(|_| Errno::EINVAL)?.into(),
        _ => return Err(Errno::EOPNOTSUPP),
    };
    if !to.is_loopback() {
        return Err(Errno::ENETUNREACH);
    }
    let interfaces = stack.interfaces();
    let interface = interfaces.first().ok_or(Errno::ENETUNREACH)?;
    if to.is_ipv4() {
        // What v4 answers with is a cached route, which belongs to no table.
        let message = RtMsg {
            family: AF_INET as u8,
            dst_len: 32,
            table: n::RT_TABLE_MAIN,
            protocol: n::RTPROT_UNSPEC,
            scope: n::RT_SCOPE_UNIVERSE,
            kind: n::RTN_LOCAL,
            flags: n::RTCF_LOCAL | n::RTM_F_CLONED,
            ..RtMsg::default()
        };
        out.begin(n::RTM_NEWROUTE, 0, &message);
        out.number(n::RTA_TABLE, u32::from(n::RT_TABLE_MAIN));
        out.attribute(n::RTA_DST, &octets(to));
        out.number(n::RTA_OIF, interface.index);
        out.attribute(n::RTA_PREFSRC, &octets(to));
        out.attribute(n::RTA_CACHEINFO, &[0; 32]);
        return Ok(());
    }
    let found = Route {
        to,
        prefix: 128,
        table: n::RT_TABLE_LOCAL,
        scope: n::RT_SCOPE_UNIVERSE,
        kind: n::RTN_LOCAL,
        source: Some(to),
        priority: None,
    };
    route(out, interface, &found, 0);
    Ok(())
}

/// The rules of a fresh network namespace.
fn rules(out: &mut Answer, family: u16) {
    let all: &[(u16, u32, u8)] = &[
        (AF_INET, 0, n::RT_TABLE_LOCAL),
        (AF_INET, 32_766, n::RT_TABLE_MAIN),
        (AF_INET, 32_767, n::RT_TABLE_DEFAULT),
        (AF_INET6, 0, n::RT_TABLE_LOCAL),
        (AF_INET6, 32_766, n::RT_TABLE_MAIN),
    ];
    for &(own, priority, table) in all.iter().filter(|r| family == AF_UNSPEC || family == r.0) {
        // struct fib_rule_hdr has the shape of rtmsg, with the action where the type is.
        let message = RtMsg { family: own as u8, table, kind: n::FR_ACT_TO_TBL, ..RtMsg::default() };
        out.begin(n::RTM_NEWRULE, n::NLM_F_MULTI, &message);
        out.number(n::FRA_TABLE, u32::from(table));
        out.attribute(n::FRA_PROTOCOL, &[n::RTPROT_KERNEL]);
        if priority != 0 {
            out.number(n::FRA_PRIORITY, priority);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::requests;
    use super::*;
    use crate::net::loopback::Loopback;
    use moat_abi::netlink::NlMsgHdr;
    use zerocopy::IntoBytes;

    fn ask(kind: u16, flags: u16, body: &[u8], privileged: bool) -> Result<Vec<u8>> {
        let len = (size_of::<NlMsgHdr>() + body.len()) as u32;
        let mut raw = NlMsgHdr { len, kind, flags, seq: 5, pid: 0 }.as_bytes().to_vec();
        raw.extend_from_slice(body);
        let mut out = Answer::new(5, 42);
        answer(&*Loopback::new(), &requests(&raw)[0], privileged, &mut out)?;
        Ok(out.into_datagram().unwrap_or_default())
    }

    #[test]
    fn the_loopback_is_up_and_has_its_two_addresses() {
        let links = ask(n::RTM_GETLINK, n::NLM_F_DUMP | 1, &[0; 16], false).unwrap();
        let links = requests(&links);
        assert_eq!(links.len(), 1);
        assert_eq!(links[0].attribute(16, n::IFLA_IFNAME), Some(&b"lo\0"[..]));
        let (info, _) = IfInfoMsg::read_from_prefix(links[0].body).unwrap();
        assert_eq!((info.index, info.flags & 1), (1, 1));
        let addresses = ask(n::RTM_GETADDR, n::NLM_F_DUMP | 1, &[0; 8], false).unwrap();
        assert_eq!(requests(&addresses).len(), 2);
        let v4 = ask(n::RTM_GETADDR, n::NLM_F_DUMP | 1, &[AF_INET as u8, 0, 0, 0, 0, 0, 0, 0], false).unwrap();
        assert_eq!(requests(&v4)[0].attribute(8, n::IFA_LOCAL), Some(&[127, 0, 0, 1][..]));
    }

    #[test]
    fn changes_are_refused_by_privilege_first() {
        assert_eq!(ask(n::RTM_NEWADDR, 1, &[0; 8], false), Err(Errno::EPERM));
        assert_eq!(ask(n::RTM_NEWADDR, 1, &[0; 8], true), Err(Errno::EOPNOTSUPP));
    }

    #[test]
    fn an_interface_that_is_not_there_is_no_device() {
        let info = IfInfoMsg { index: 7, ..IfInfoMsg::default() };
        assert_eq!(ask(n::RTM_GETLINK, 1, info.as_bytes(), false), Err(Errno::ENODEV));
    }
}
