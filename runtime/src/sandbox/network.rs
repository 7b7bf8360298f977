//! What the sentry must know and keep of its network namespace if the container uses that (`--network=host`). It is taken
//! while there is a tree to open it in.

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use moat_sentry::control::config::ContainerConfig;
use moat_sentry::net::host::{Surroundings, TEXTS};
use nix::errno::Errno;

/// CAP_NET_BIND_SERVICE.
const NET_BIND_SERVICE: u64 = 1 << 10;
/// `net.ipv4.ip_unprivileged_port_start`, where it can't be read.
const UNPRIVILEGED_PORT: u16 = 1024;

/// The capabilities that the sentry keeps: with the namespace's own sockets that of binding to ports of services, if the
/// container may have it.
pub fn capabilities(config: &ContainerConfig) -> u64 {
    config.process.capabilities.bounding & NET_BIND_SERVICE
}

/// What there is of the namespace that this process is in. A file that the host does not have is not there for the guest.
pub fn surroundings() -> Surroundings {
    let texts = TEXTS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), File::open(format!("/proc/self/net/{name}")).ok()?.into())))
        .collect();
    let port = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let port = port.ok().and_then(|text| text.trim().parse::<u32>().ok());
    let unprivileged_port = port.map_or(UNPRIVILEGED_PORT, |p| u16::try_from(p).unwrap_or(u16::MAX));
    Surroundings { texts, unprivileged_port }
}

/// Sets the loopback interface of a new namespace up, as runc does.
///
/// # Errors
/// The host's.
pub fn raise_loopback() -> Result<(), Errno> {
    // SAFETY: makes a new descriptor.
    let socket = Errno::result(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: it was just made.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all zeroes is a request with an empty name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: SIOCSIFFLAGS reads the structure above.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}
