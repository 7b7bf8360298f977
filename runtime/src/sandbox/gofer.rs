//! The gofer process: takes its roots from its maker and serves them.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::{Gid, Uid};

use super::boot::GoferBoot;
use super::privilege;
use super::socket::Socket;

/// The role's main function.
pub fn main() -> u8 {
    privilege::close_inherited_files();
    let _ = nix::sys::prctl::set_name(c"moat-gofer");
    let _ = nix::unistd::setsid();
    match run() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("moat: gofer: {error}");
            1
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let maker = Socket::new(nix::unistd::dup(std::io::stdin().as_fd())?);
    let received = maker.receive::<GoferBoot>();
    drop(maker);
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let (boot, mut files) = match received {
        Ok(received) => received,
        // The maker has given up before there was anything to serve.
        Err(super::socket::SocketError::Closed) => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    if files.len() != boot.connections + boot.roots.len() + usize::from(boot.user_namespace) {
        return Err("wrong number of descriptors".into());
    }
    let user_namespace = if boot.user_namespace { files.pop() } else { None };
    let roots = files.split_off(boot.connections);
    if let Some(namespace) = user_namespace {
        join(namespace)?;
    }
    // A second arena would be shrunk at times, for which the C library reads a file by a call that is not on the list.
    // SAFETY: there is one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    let roots = roots.into_iter().zip(boot.roots).map(|(fd, root)| moat_gofer::Root {
        fd,
        read_only: root.read_only,
        owned: root.owned,
        allow_devices: root.allow_devices,
        allow_unix_connect: root.allow_unix_connect,
    });
    Ok(moat_gofer::serve(files, roots.collect())?)
}

/// Sees owners as the container does, and has no more say over the host's files than its root.
fn join(namespace: OwnedFd) -> Result<(), Errno> {
    nix::sched::setns(namespace, CloneFlags::CLONE_NEWUSER)?;
    let _ = nix::unistd::setgroups(&[]);
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)
}
