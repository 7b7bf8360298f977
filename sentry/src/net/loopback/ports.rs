//! Who holds which local address: one table a transport.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;

use crate::Result;
use crate::net::stack::Rules;

/// `net.ipv4.ip_local_port_range`.
pub const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// One hold on a port.
struct Binding<T> {
    id: u64,
    ip: IpAddr,
    rules: Rules,
    /// It listens, or is a datagram endpoint, which always hears.
    hears: bool,
    holder: Weak<T>,
}

/// See the module.
pub struct Ports<T> {
    bindings: BTreeMap<u16, Vec<Binding<T>>>,
    next_id: u64,
    next_port: u16,
}

/// A hold, to be given up with [`Ports::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The port.
    pub port: u16,
    id: u64,
}

impl<T> Default for Ports<T> {
    fn default() -> Self {
        Self { bindings: BTreeMap::new(), next_id: 1, next_port: *EPHEMERAL.start() }
    }
}

/// Whether a packet for one of the addresses could reach the other.
fn overlap(a: IpAddr, a_only: bool, b: IpAddr, b_only: bool) -> bool {
    match (a.is_ipv6(), b.is_ipv6()) {
        (true, true) | (false, false) => a == b || a.is_unspecified() || b.is_unspecified(),
        (true, false) => a.is_unspecified() && !a_only,
        (false, true) => b.is_unspecified() && !b_only,
    }
}

impl<T> Binding<T> {
    fn conflicts(&self, ip: IpAddr, rules: Rules, hears: bool, stream: bool) -> bool {
        if !overlap(self.ip, self.rules.v6_only, ip, rules.v6_only) || self.holder.strong_count() == 0 {
            return false;
        }
        if self.rules.reuse_port && rules.reuse_port && self.rules.uid == rules.uid {
            return false;
        }
        let shared = self.rules.reuse_address && rules.reuse_address;
        // SO_REUSEADDR lets no two streams listen at one address; datagram endpoints may share it.
        !shared || (stream && (self.hears || hears))
    }
}

impl<T> Ports<T> {
    /// Takes `address`, or with port 0 any free port. `EADDRINUSE`.
    pub fn take(&mut self, address: SocketAddr, rules: Rules, holder: &Arc<T>, stream: bool) -> Result<Hold> {
        let ip = address.ip();
        let hears = !stream;
        let port = match address.port() {
            0 => self.free_port(ip, rules, stream).ok_or(Errno::EADDRINUSE)?,
            port => port,
        };
        let there = self.bindings.entry(port).or_default();
        there.retain(|b| b.holder.strong_count() > 0);
        if there.iter().any(|b| b.conflicts(ip, rules, hears, stream)) {
            return Err(Errno::EADDRINUSE);
        }
        let id = self.next_id;
        self.next_id += 1;
        there.push(Binding { id, ip, rules, hears, holder: Arc::downgrade(holder) });
        Ok(Hold { port, id })
    }

    /// Shares the port of a listener with a connection that it made.
    pub fn share(&mut self, address: SocketAddr, rules: Rules, holder: &Arc<T>) -> Hold {
        let id = self.next_id;
        self.next_id += 1;
        let binding = Binding { id, ip: address.ip(), rules, hears: false, holder: Arc::downgrade(holder) };
        self.bindings.entry(address.port()).or_default().push(binding);
        Hold { port: address.port(), id }
    }

    fn free_port(&mut self, ip: IpAddr, rules: Rules, stream: bool) -> Option<u16> {
        let all = EPHEMERAL.len();
        // Ports that are handed out are never shared, whatever SO_REUSEADDR says.
        let alone = Rules { reuse_address: false, reuse_port: false, ..rules };
        for _ in 0..all {
            let port = self.next_port;
            self.next_port = if port == *EPHEMERAL.end() { *EPHEMERAL.start() } else { port + 1 };
            let there = self.bindings.get(&port);
            if there.is_none_or(|b| !b.iter().any(|b| b.conflicts(ip, alone, !stream, stream))) {
                return Some(port);
            }
        }
        None
    }

    /// The holder starts to listen. `EADDRINUSE` if somebody else listens where SO_REUSEADDR let both bind.
    pub fn hear(&mut self, hold: Hold, rules: Rules) -> Result<()> {
        let there = self.bindings.get_mut(&hold.port).ok_or(Errno::EINVAL)?;
        let at = there.iter().position(|b| b.id == hold.id).ok_or(Errno::EINVAL)?;
        let ip = there[at].ip;
        let taken = there.iter().any(|b| b.id != hold.id && b.hears && b.conflicts(ip, rules, true, true));
        if taken {
            return Err(Errno::EADDRINUSE);
        }
        there[at].hears = true;
        there[at].rules = rules;
        Ok(())
    }

    /// The local address of a hold becomes more precise (connect of a wildcard).
    pub fn settle(&mut self, hold: Hold, ip: IpAddr) {
        if let Some(binding) = self.bindings.get_mut(&hold.port).and_then(|b| b.iter_mut().find(|b| b.id == hold.id)) {
            binding.ip = ip;
        }
    }

    /// Everybody who holds a port.
    pub fn holders(&self, port: u16) -> Vec<Arc<T>> {
        self.bindings.get(&port).into_iter().flatten().filter_map(|b| b.holder.upgrade()).collect()
    }

    /// Gives a hold up.
    pub fn release(&mut self, hold: Hold) {
        if let Some(there) = self.bindings.get_mut(&hold.port) {
            there.retain(|b| b.id != hold.id);
            if there.is_empty() {
                self.bindings.remove(&hold.port);
            }
        }
    }

    /// Those who hear what is sent to `to`, best match first: exact addresses, then wildcards, then v6 wildcards that
    /// take v4 too; of equals the one who came last.
    pub fn hearers(&self, to: SocketAddr) -> Vec<Arc<T>> {
        let mut found: Vec<(u8, u64, Arc<T>)> = Vec::new();
        for binding in self.bindings.get(&to.port()).into_iter().flatten().filter(|b| b.hears) {
            let rank = match (binding.ip, to.ip()) {
                (a, b) if a == b => 0,
                (a, b) if a.is_unspecified() && a.is_ipv6() == b.is_ipv6() => 1,
                (a, b) if a.is_unspecified() && a.is_ipv6() && b.is_ipv4() && !binding.rules.v6_only => 2,
                _ => continue,
            };
            if let Some(holder) = binding.holder.upgrade() {
                found.push((rank, binding.id, holder));
            }
        }
        found.sort_by_key(|(rank, id, _)| (*rank, std::cmp::Reverse(*id)));
        found.into_iter().map(|(_, _, holder)| holder).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stack::Marks;

    fn rules(reuse_address: bool, reuse_port: bool) -> Rules {
        Rules {
            reuse_address,
            reuse_port,
            v6_only: false,
            broadcast: false,
            uid: 0,
            send_buffer: 1,
            receive_buffer: 1,
            marks: Marks::default(),
            receive_errors: false,
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_taken_once() {
        let (mut ports, a, b) = (Ports::default(), Arc::new(1), Arc::new(2));
        let hold = ports.take(at("127.0.0.1:80"), rules(false, false), &a, true).unwrap();
        assert_eq!(ports.take(at("0.0.0.0:80"), rules(true, false), &b, true), Err(Errno::EADDRINUSE));
        assert!(ports.take(at("127.0.0.2:80"), rules(false, false), &b, true).is_ok());
        ports.release(hold);
        assert!(ports.take(at("127.0.0.1:80"), rules(false, false), &b, true).is_ok());
    }

    #[test]
    fn a_dual_stack_wildcard_covers_v4() {
        let (mut ports, a, b) = (Ports::default(), Arc::new(1), Arc::new(2));
        ports.take(at("[::]:80"), rules(false, false), &a, true).unwrap();
        assert_eq!(ports.take(at("127.0.0.1:80"), rules(false, false), &b, true), Err(Errno::EADDRINUSE));
        let only = Rules { v6_only: true, ..rules(false, false) };
        ports.take(at("[::]:81"), only, &a, true).unwrap();
        assert!(ports.take(at("0.0.0.0:81"), rules(false, false), &b, true).is_ok());
    }

    #[test]
    fn reuse_address_lets_streams_bind_but_only_one_listen() {
        let (mut ports, a, b) = (Ports::default(), Arc::new(1), Arc::new(2));
        let reuse = rules(true, false);
        let one = ports.take(at("127.0.0.1:80"), reuse, &a, true).unwrap();
        let two = ports.take(at("127.0.0.1:80"), reuse, &b, true).unwrap();
        ports.hear(one, reuse).unwrap();
        assert_eq!(ports.hear(two, reuse), Err(Errno::EADDRINUSE));
        let both = rules(false, true);
        let three = ports.take(at("127.0.0.1:90"), both, &a, true).unwrap();
        let four = ports.take(at("127.0.0.1:90"), both, &b, true).unwrap();
        ports.hear(three, both).unwrap();
        ports.hear(four, both).unwrap();
        assert_eq!(ports.hearers(at("127.0.0.1:90")).len(), 2);
    }

    #[test]
    fn ephemeral_ports_differ_and_run_out() {
        let (mut ports, a) = (Ports::default(), Arc::new(1));
        for _ in EPHEMERAL {
            ports.take(at("127.0.0.1:0"), rules(true, false), &a, true).unwrap();
        }
        assert_eq!(ports.take(at("127.0.0.1:0"), rules(true, false), &a, true), Err(Errno::EADDRINUSE));
    }

    #[test]
    fn the_most_precise_hearer_comes_first() {
        let (mut ports, a, b) = (Ports::default(), Arc::new(1), Arc::new(2));
        let reuse = rules(true, false);
        ports.take(at("0.0.0.0:53"), reuse, &a, false).unwrap();
        ports.take(at("127.0.0.1:53"), reuse, &b, false).unwrap();
        assert_eq!(ports.hearers(at("127.0.0.1:53")).first(), Some(&b));
        assert_eq!(ports.hearers(at("127.0.0.9:53")), vec![a]);
    }
}
