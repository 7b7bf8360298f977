//! The gofer: the process that opens a sandbox's files, and the protocol that the sentry speaks with it.
//!
//! The starter (`moat` in its gofer role) gives [`serve`] the server's ends of [`CONNECTIONS`] socket pairs and the trees
//! to serve. The sentry gets the other ends. From then on everything that the sentry names is looked up beneath those
//! trees and nowhere else.

use std::os::fd::OwnedFd;

/// How many connections the starter makes between the gofer and the sentry: pairs of `AF_UNIX`, `SOCK_SEQPACKET`,
/// close-on-exec sockets. Each is served by a thread, so this many requests can be under way at once.
pub const CONNECTIONS: usize = 4;

/// A tree, or a single file, that the gofer serves. The sentry knows it by its index.
#[derive(Debug)]
pub struct Root {
    /// The directory or file, opened with `O_PATH`. Best a detached clone of the mount (`open_tree` with
    /// `OPEN_TREE_CLONE`), which nothing that is mounted later lies over.
    pub fd: OwnedFd,
    /// Nothing in it may be changed: `EROFS`.
    pub read_only: bool,
    /// The container alone changes it, so that the sentry may cache names and attributes.
    pub owned: bool,
    /// Device nodes in it may be made and opened. Opening one gives the sentry the host's device.
    pub allow_devices: bool,
    /// Unix sockets in it may be connected to, and bound.
    pub allow_unix_connect: bool,
}

/// Confines the process, then serves until every connection is closed.
///
/// The process must have one thread, no descriptors that it can do without, and a `/proc` of its own pid namespace (or
/// `CAP_SYS_ADMIN`, to make one that nobody else sees). Its capabilities are reduced to those that file access needs; what
/// is not in the published list of system calls kills it afterwards.
///
/// # Errors
/// What the host refuses while the process is set up. A connection that breaks is no error.
pub fn serve(connections: Vec<OwnedFd>, roots: Vec<Root>) -> Result<(), std::io::Error> {
    let _ = (connections, roots);
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}
