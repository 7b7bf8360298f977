//! The lead's own part of its birth: what it does between its clone and its becoming a mapper.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{Gid, Uid};

use super::boot::LeadPlan;
use super::privilege;

/// What `uname` says.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Node name.
    pub host: &'a str,
    /// Domain name.
    pub domain: &'a str,
}

/// Waits until its maps are written and hooks have run, then sets up its namespaces and becomes the container's user.
/// `terminal` is the host's terminal that init's is copied from and to.
///
/// # Errors
/// The errno of what failed, with a line on standard error that says what (it goes to the debug log).
pub fn set_up(plan: &LeadPlan, names: Names<'_>, go: &OwnedFd, terminal: Option<&OwnedFd>) -> Result<(), i32> {
    try_set_up(plan, names, go, terminal).map_err(|(what, errno)| {
        eprintln!("moat: lead: {what}: {errno}");
        errno as i32
    })
}

fn try_set_up(
    plan: &LeadPlan,
    names: Names<'_>,
    go: &OwnedFd,
    terminal: Option<&OwnedFd>,
) -> Result<(), (&'static str, Errno)> {
    // What dies before it is a mapper must not stay behind.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(|e| ("parent's death", e))?;
    let mut word = [0; 8];
    nix::unistd::read(go.as_fd(), &mut word).map_err(|e| ("wait for the runtime", e))?;
    if plan.maps.is_some() {
        let root = (Uid::from_raw(0), Gid::from_raw(0));
        let _ = nix::unistd::setgroups(&[]);
        // A map without 0 leaves it the overflow user, with its capabilities.
        let _ = nix::unistd::setresgid(root.1, root.1, root.1);
        let _ = nix::unistd::setresuid(root.0, root.0, root.0);
    }
    nix::unistd::setsid().map_err(|e| ("new session", e))?;
    if let Some(terminal) = terminal {
        // For the host's tools. An engine that has gone has hung it up.
        // SAFETY: no memory is passed.
        unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    }
    prefer_for_oom();
    if plan.namespaces & libc::CLONE_NEWUTS != 0 {
        nix::unistd::sethostname(names.host).map_err(|e| ("hostname", e))?;
        // SAFETY: the pointer and the length are those of one string.
        let set = unsafe { libc::setdomainname(names.domain.as_ptr().cast(), names.domain.len()) };
        Errno::result(set).map_err(|e| ("domainname", e))?;
    }
    if plan.namespaces & libc::CLONE_NEWNS != 0 {
        show_the_container(plan, terminal)?;
    }
    privilege::chroot_to_nothing().map_err(|e| ("empty root", e))?;
    // The host's tools show this user; where it is not mapped they show the overflow user's number.
    let _ = privilege::become_user(plan.user.0, plan.user.1);
    Ok(())
}

/// If memory runs out, a stub is to go, which the guest sees as a killed process, and not the sentry.
fn prefer_for_oom() {
    const PREFERENCE: i32 = 100;
    let path = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if let Some(now) = now {
        let _ = std::fs::write(path, (now + PREFERENCE).min(1000).to_string());
    }
}

/// Makes the container's tree, as far as it lies on the host, the root of this mount namespace. It is there for those who
/// join the namespace (`nsenter`, `podman cp`, `podman top`); the container's own files come through the gofer.
fn show_the_container(plan: &LeadPlan, terminal: Option<&OwnedFd>) -> Result<(), (&'static str, Errno)> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(|e| ("mount propagation", e))?;
    let tree = privilege::clone_tree(&plan.rootfs, true).map_err(|e| ("clone of rootfs", e))?;
    privilege::move_mount(&tree, "/").map_err(|e| ("mount of rootfs", e))?;
    for (source, destination) in &plan.binds {
        bind_beneath(&tree, source, destination);
    }
    if plan.procfs
        && let Ok(at) = open_beneath(&tree, "proc")
    {
        // Not where the host's own procfs is covered in part (user namespaces may not uncover it).
        let target = format!("/proc/self/fd/{}", at.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let mounted = mount(Some("proc"), target.as_str(), Some("proc"), flags, none);
        if let Err(e) = mounted {
            eprintln!("moat: lead: no procfs in the container's mount namespace: {e}");
        }
    }
    if let Err(e) = show_terminals(&tree, terminal) {
        eprintln!("moat: lead: no terminals in the container's mount namespace: {e}");
    }
    nix::unistd::fchdir(&tree).map_err(|e| ("rootfs", e))?;
    nix::unistd::pivot_root(".", ".").map_err(|e| ("pivot_root", e))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(|e| ("old root", e))?;
    nix::unistd::chdir("/").map_err(|e| ("new root", e))
}

/// A /dev/pts in which `podman top` finds the terminal of the container: its own is the sentry's, and not on the host.
fn show_terminals(tree: &OwnedFd, terminal: Option<&OwnedFd>) -> Result<(), Errno> {
    let at = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let host = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
    let dev = open_beneath(tree, "dev")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), at(&dev).as_str(), Some("tmpfs"), flags, Some("mode=755"))?;
    let dev = open_beneath(tree, "dev")?;
    std::fs::create_dir(format!("{}/pts", at(&dev))).map_err(host)?;
    if let Some(terminal) = terminal {
        let source = std::fs::read_link(at(terminal)).map_err(host)?;
        let shown = format!("{}/pts/0", at(&dev));
        std::fs::File::create(&shown).map_err(host)?;
        mount(Some(&source), shown.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(())
}

/// Best effort: the sentry has the volume by the gofer, whatever becomes of this view of it.
fn bind_beneath(tree: &OwnedFd, source: &str, destination: &str) {
    let relative = destination.trim_start_matches('/');
    let bound = open_beneath(tree, relative).and_then(|at| {
        let target = format!("/proc/self/fd/{}", at.as_raw_fd());
        mount(Some(source), target.as_str(), None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
    });
    if let Err(e) = bound {
        eprintln!("moat: lead: {destination} is not shown in the container's mount namespace: {e}");
    }
}

/// A path of the container, resolved as the container would: symlinks never lead out.
fn open_beneath(tree: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(tree, path, how)
}
