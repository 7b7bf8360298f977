//! What sockets of any family tell of interfaces by ioctl (netdevice(7)).

use std::net::IpAddr;
use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::socket::{self as s, IfConf, IfReq};
use zerocopy::IntoBytes;

use super::NetNamespace;
use super::address::encode_inet;
use super::stack::{Interface, InterfaceAddress};
use crate::Result;
use crate::kernel::Current;

fn v4(interface: &Interface) -> Option<(std::net::Ipv4Addr, &InterfaceAddress)> {
    interface.addresses.iter().find_map(|a| match a.ip {
        IpAddr::V4(ip) => Some((ip, a)),
        IpAddr::V6(_) => None,
    })
}

fn named(name: &[u8]) -> [u8; s::IFNAMSIZ] {
    let mut padded = [0; s::IFNAMSIZ];
    let n = name.len().min(s::IFNAMSIZ - 1);
    padded[..n].copy_from_slice(&name[..n]);
    padded
}

/// Does an interface ioctl. `ENOTTY` for commands that are none.
pub fn ioctl(current: &mut Current, net: &Arc<NetNamespace>, command: u32, argument: u64) -> Result<u64> {
    let memory = current.memory();
    match command {
        s::SIOCGIFCONF => {
            configuration(current, net, argument)?;
            Ok(0)
        }
        s::SIOCGIFNAME => {
            let mut request: IfReq = memory.read(argument)?;
            let index = u32::from_ne_bytes([request.data[0], request.data[1], request.data[2], request.data[3]]);
            let interfaces = net.stack().interfaces();
            let found = interfaces.iter().find(|i| i.index == index).ok_or(Errno::ENODEV)?;
            request.name = named(found.name.as_bytes());
            memory.write(argument, &request)?;
            Ok(0)
        }
        s::SIOCSIFFLAGS | s::SIOCSIFADDR => {
            current.credentials().require(CapabilitySet::NET_ADMIN)?;
            Err(Errno::EOPNOTSUPP)
        }
        s::SIOCETHTOOL => Err(Errno::EOPNOTSUPP),
        0x8900..=0x89ff => {
            let mut request: IfReq = memory.read(argument)?;
            let interfaces = net.stack().interfaces();
            let name = request.name.split(|&b| b == 0).next().unwrap_or_default();
            let found = interfaces.iter().find(|i| i.name.as_bytes() == name).ok_or(Errno::ENODEV)?;
            let answer = describe(found, command)?;
            let n = answer.len().min(request.data.len());
            request.data[..n].copy_from_slice(&answer[..n]);
            memory.write(argument, &request)?;
            Ok(0)
        }
        _ => Err(Errno::ENOTTY),
    }
}

/// What an `ifreq` holds behind the name. `ENOTTY` for what is not known.
fn describe(interface: &Interface, command: u32) -> Result<Vec<u8>> {
    let address = |ip: std::net::Ipv4Addr| encode_inet(s::AF_INET, (ip, 0).into());
    let int = |n: u32| n.to_ne_bytes().to_vec();
    match command {
        s::SIOCGIFFLAGS => Ok((interface.flags as u16).to_ne_bytes().to_vec()),
        s::SIOCGIFADDR => Ok(address(v4(interface).ok_or(Errno::EADDRNOTAVAIL)?.0)),
        s::SIOCGIFDSTADDR => match v4(interface).ok_or(Errno::EADDRNOTAVAIL)? {
            (_, InterfaceAddress { peer: Some(IpAddr::V4(peer)), .. }) => Ok(address(*peer)),
            (ip, _) => Ok(address(ip)),
        },
        s::SIOCGIFBRDADDR => match v4(interface).ok_or(Errno::EADDRNOTAVAIL)?.1.broadcast {
            Some(IpAddr::V4(broadcast)) => Ok(address(broadcast)),
            _ => Ok(address(std::net::Ipv4Addr::UNSPECIFIED)),
        },
        s::SIOCGIFNETMASK => {
            let (_, InterfaceAddress { prefix, .. }) = v4(interface).ok_or(Errno::EADDRNOTAVAIL)?;
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(*prefix))).unwrap_or(0);
            Ok(address(mask.into()))
        }
        s::SIOCGIFMETRIC => Ok(int(0)),
        s::SIOCGIFMTU => Ok(int(interface.mtu)),
        s::SIOCGIFINDEX => Ok(int(interface.index)),
        s::SIOCGIFTXQLEN => Ok(int(interface.queue_length)),
        s::SIOCGIFMAP => Ok(vec![0; 24]),
        s::SIOCGIFHWADDR => {
            let mut raw = interface.hardware_type.to_ne_bytes().to_vec();
            raw.extend_from_slice(&interface.hardware);
            raw.resize(16, 0);
            Ok(raw)
        }
        _ => Err(Errno::ENOTTY),
    }
}

/// SIOCGIFCONF: the interfaces with a v4 address, or only how much room they take.
fn configuration(current: &mut Current, net: &Arc<NetNamespace>, argument: u64) -> Result<()> {
    let memory = current.memory();
    let mut conf: IfConf = memory.read(argument)?;
    let room = usize::try_from(conf.len).map_err(|_| Errno::EINVAL)?;
    let mut out = Vec::new();
    for interface in net.stack().interfaces() {
        for address in &interface.addresses {
            let IpAddr::V4(ip) = address.ip else { continue };
            let mut request = IfReq { name: named(interface.name.as_bytes()), ..IfReq::default() };
            let address = encode_inet(s::AF_INET, (ip, 0).into());
            request.data[..address.len()].copy_from_slice(&address);
            if conf.buf == 0 || out.len() + size_of::<IfReq>() <= room {
                out.extend_from_slice(request.as_bytes());
            }
        }
    }
    if conf.buf != 0 {
        memory.write_bytes(conf.buf, &out)?;
    }
    conf.len = out.len() as i32;
    memory.write(argument, &conf)
}
