//! The gofer: the process that opens a sandbox's files, and the protocol that the sentry speaks with it.
//!
//! The starter (`moat` in its gofer role) gives [`serve`] the server's ends of [`CONNECTIONS`] socket pairs and the trees
//! to serve. The sentry gives the other ends to a [`Client`]. From then on everything that the sentry names is looked up
//! beneath those trees and nowhere else.
#![forbid(unsafe_code)]

pub mod client;
pub mod confine;
pub mod protocol;
pub mod server;
mod transport;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

pub use client::{Client, Handle};
pub use server::Server;

/// How many connections the starter makes between the gofer and the sentry: pairs of `AF_UNIX`, `SOCK_SEQPACKET`,
/// close-on-exec sockets. Each is served by a thread, so this many requests can be under way at once.
pub const CONNECTIONS: usize = 4;

/// A tree, or a single file, that the gofer serves. The sentry knows it by its index.
#[derive(Debug)]
pub struct Root {
    /// The directory or file, opened with `O_PATH`. Best a detached clone of the mount (`open_tree` with
    /// `OPEN_TREE_CLONE`), which nothing that is mounted later lies over. What is mounted within it is served too, but for
    /// the kernel's own filesystems (procfs, sysfs, cgroups…), which appear as empty directories.
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
/// is not in the published list of system calls kills it afterwards. As many files as its limit of open files allows can
/// be known to the sentry at a time; the limit is raised as far as it goes.
///
/// # Errors
/// What the host refuses while the process is set up. A connection that breaks is no error.
pub fn serve(connections: Vec<OwnedFd>, roots: Vec<Root>) -> Result<(), io::Error> {
    let devices = roots.iter().any(|r| r.allow_devices);
    raise_file_limit()?;
    let server = Server::new(roots)?;
    let filter = confine::filter()?;
    // Threads are made first, so that the list needs no call that makes one. None of them reads a request before all are
    // confined.
    let gate = Barrier::new(connections.len() + 1);
    let reduced = AtomicBool::new(true);
    let confined = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for connection in &connections {
            let (gate, reduced, confined, server) = (&gate, &reduced, &confined, &server);
            scope.spawn(move || {
                if confine::reduce_capabilities(devices).is_err() {
                    reduced.store(false, Ordering::Release);
                }
                gate.wait();
                gate.wait();
                if confined.load(Ordering::Acquire) {
                    server.serve_connection(connection);
                }
            });
        }
        gate.wait();
        let locked = match reduced.load(Ordering::Acquire) {
            true => confine::reduce_capabilities(devices).and_then(|()| confine::lock(&filter)),
            false => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        };
        confined.store(locked.is_ok(), Ordering::Release);
        gate.wait();
        locked
    })
}

/// Each file that the sentry knows is a descriptor here.
fn raise_file_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}
