//! The sentry process: births the lead, confines itself, runs the kernel, and ends with the container.
//!
//! Standard input is the socket to its maker. Until the lead is born there is one thread, which has the maker's
//! capabilities; afterwards there is nothing left to be had by them.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use moat_platform::stub::{Interception, birth};
use moat_platform::{Platform, ptrace, trap};
use moat_sentry::control::config::{Network, Stdio};
use moat_sentry::sandbox::{Sandbox, Start};
use nix::errno::Errno;
use nix::sched::CloneFlags;

use super::boot::{Boot, Go, Report};
use super::platform::{find_layout, interception};
use super::server::Unanswered;
use super::socket::Socket;
use super::{confine, lead, network, privilege, server, users};

/// How long answers may take when the container has ended.
const PATIENCE: Duration = Duration::from_secs(2);

struct Failure {
    errno: i32,
    what: String,
}

fn failure<E: Into<i32>>(what: &str) -> impl FnOnce(E) -> Failure {
    move |e| {
        let errno = e.into();
        Failure { errno, what: format!("{what}: {}", Errno::from_raw(errno).desc()) }
    }
}

fn host(what: &str) -> impl FnOnce(Errno) -> Failure {
    move |e| failure(what)(e as i32)
}

fn platform(what: &str) -> impl FnOnce(moat_platform::PlatformError) -> Failure {
    move |e| match e {
        moat_platform::PlatformError::Host(errno) => failure(what)(errno),
        moat_platform::PlatformError::Dead => Failure { errno: libc::ESRCH, what: format!("{what}: it died") },
    }
}

/// The role's main function. `tries` counts how often it was executed again.
pub fn main(tries: u32) -> u8 {
    find_layout(super::SENTRY_ROLE, "moat-sentry", tries);
    privilege::close_inherited_files();
    let _ = nix::sys::prctl::set_name(c"moat-sentry");
    let maker = match take_standard_input() {
        Ok(fd) => Socket::new(fd),
        Err(e) => {
            eprintln!("moat: sentry: {e}");
            return 1;
        }
    };
    match boot(&maker) {
        Ok(running) => {
            // The maker may have gone without waiting for the answer; the container goes on.
            let _ = maker.send(&Report::Ready, &[]);
            drop(maker);
            live(&running);
            0
        }
        Err(Failure { errno, what }) => {
            let _ = maker.send(&Report::Failed { errno, what }, &[]);
            1
        }
    }
}

/// The socket, of which standard input becomes /dev/null.
fn take_standard_input() -> Result<OwnedFd, Errno> {
    let null = std::fs::File::open("/dev/null").map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
    let socket = nix::unistd::dup(std::io::stdin().as_fd())?;
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(socket)
}

struct Running {
    sandbox: Arc<Sandbox>,
    platform: Arc<dyn Platform>,
    unanswered: Arc<Unanswered>,
}

fn boot(maker: &Socket) -> Result<Running, Failure> {
    let (boot, mut files) =
        maker.receive::<Boot>().map_err(|e| Failure { errno: libc::EPROTO, what: e.to_string() })?;
    let counted = 1 + boot.gofer + boot.stdio + boot.join.len() + usize::from(boot.trace);
    if files.len() != counted {
        return Err(Failure { errno: libc::EPROTO, what: format!("{} descriptors for {counted}", files.len()) });
    }
    let trace = if boot.trace { files.pop() } else { None };
    let join = files.split_off(1 + boot.gofer + boot.stdio);
    let stdio = files.split_off(1 + boot.gofer);
    let gofer = files.split_off(1);
    let listener = files.remove(0);

    let _ = nix::unistd::setsid();
    prepare_limits(boot.config.process.oom_score_adj);
    for (fd, kind) in join.iter().zip(&boot.join) {
        nix::sched::setns(fd, CloneFlags::from_bits_truncate(*kind)).map_err(host("join a namespace"))?;
    }
    drop(join);
    let mut boot = boot;
    if boot.join.contains(&libc::CLONE_NEWUSER) {
        // The lead's is made within it, with the same users.
        boot.lead.maps = users::own_maps();
        boot.lead.sentry_user = users::spare_user().or(Some(0));
    }
    let (newborn, go) = bear_lead(maker, &boot, stdio.first())?;
    // The host's network is no business of a container that has its own.
    if boot.lead.namespaces & libc::CLONE_NEWNET != 0 {
        let path = format!("/proc/{}/ns/net", newborn.pid());
        let joined = std::fs::File::open(path)
            .map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))
            .and_then(|net| nix::sched::setns(net, CloneFlags::CLONE_NEWNET));
        joined.map_err(host("join the container's network namespace"))?;
    }
    let uses_network = boot.config.network == Network::Host;
    if uses_network && boot.lead.namespaces & libc::CLONE_NEWNET != 0 {
        network::raise_loopback().map_err(host("set up the loopback interface"))?;
    }
    let surroundings = uses_network.then(network::surroundings);
    moat_platform::stub::host_load::open();
    privilege::enter_nothing().map_err(host("empty root of the sentry"))?;
    let kept = if uses_network { network::capabilities(&boot.config) } else { 0 };
    privilege::drop_capabilities(kept).map_err(host("capabilities of the sentry"))?;
    let _ = nix::sys::prctl::set_dumpable(false);
    let lead = newborn.finish().map_err(platform("set up init's process"))?;
    drop(go);
    let lanes = boot
        .platform_options
        .parse()
        .map_err(|e| Failure { errno: libc::EINVAL, what: format!("--platform-option: {e}") })?;
    let platform: Arc<dyn Platform> = match interception(&boot.platform) {
        Interception::Ptrace => ptrace::start(lead).map_err(platform("start the ptrace platform"))?,
        Interception::Trap => {
            let ahead = moat_sentry::syscalls::table::ahead();
            trap::start(lead, &ahead, lanes).map_err(platform("start the trap platform"))?
        }
    };
    confine::sentry(boot.config.network, boot.unlisted)
        .map_err(|e| Failure { errno: libc::EINVAL, what: format!("seccomp list of the sentry: {e}") })?;
    let watched = platform.clone();
    let sandbox =
        Sandbox::create(Start { platform: watched, config: boot.config, gofer, stdio, trace, network: surroundings })
            .map_err(|e| {
            // Nothing else ends a lead that has no task.
            platform.end(1);
            Failure { errno: e.errno.raw(), what: e.what }
        })?;
    let unanswered = server::start(listener, sandbox.clone()).map_err(failure("control socket"))?;
    Ok(Running { sandbox, platform, unanswered })
}

/// Takes what the host's limits leave, which are not the guest's: a descriptor for each of its files, and the place in the
/// out-of-memory killer's order that the container has.
fn prepare_limits(oom_score_adj: Option<i32>) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const FILES: u64 = 1 << 20;
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && setrlimit(Resource::RLIMIT_NOFILE, hard.max(FILES), hard.max(FILES)).is_err()
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    if let Some(value) = oom_score_adj {
        // Below what it is now only by CAP_SYS_RESOURCE.
        let _ = std::fs::write("/proc/self/oom_score_adj", value.to_string());
    }
}

/// Births the lead, writes its maps, waits for the maker's word, and lets it set itself up. The descriptor by which that
/// is said stays open until the lead is ready: they still have one table.
fn bear_lead(
    maker: &Socket,
    boot: &Boot,
    first_stream: Option<&OwnedFd>,
) -> Result<(birth::Newborn, OwnedFd), Failure> {
    let plan = &boot.lead;
    let names = lead::Names { host: &boot.config.hostname, domain: &boot.config.domainname };
    let terminal = first_stream.filter(|_| matches!(boot.config.process.stdio, Stdio::Terminal { .. }));
    if let Some(user) = plan.sentry_user {
        privilege::become_user(user, user).map_err(host("become the sentry's user"))?;
    }
    // SAFETY: makes a new descriptor.
    let go = Errno::result(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }).map_err(host("eventfd"))?;
    // SAFETY: it was just made.
    let go = unsafe { OwnedFd::from_raw_fd(go) };
    let user = if plan.maps.is_some() { libc::CLONE_NEWUSER } else { 0 };
    let flags = plan.namespaces | user | libc::CLONE_PARENT;
    let newborn = birth::birth(flags, interception(&boot.platform), || lead::set_up(plan, names, &go, terminal))
        .map_err(platform("birth of init's process"))?;
    let pid = newborn.pid();
    let set_up = || -> Result<(), Failure> {
        if let Some((uids, gids)) = &plan.maps {
            write_map(pid, "uid_map", uids)?;
            write_map(pid, "gid_map", gids)?;
        }
        let lost = |e: super::socket::SocketError| Failure { errno: libc::EPIPE, what: e.to_string() };
        maker.send(&Report::Born { lead: pid }, &[]).map_err(lost)?;
        let (Go, _) = maker.receive().map_err(lost)?;
        nix::unistd::write(&go, &1u64.to_ne_bytes()).map_err(host("wake init's process"))?;
        Ok(())
    };
    set_up().inspect_err(|_| {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    })?;
    Ok((newborn, go))
}

fn write_map(pid: i32, name: &str, lines: &str) -> Result<(), Failure> {
    std::fs::write(format!("/proc/{pid}/{name}"), lines).map_err(|e| Failure {
        errno: e.raw_os_error().unwrap_or(libc::EIO),
        what: format!("write {name} of the container's user namespace ({}): {e}", lines.trim().replace('\n', ", ")),
    })
}

/// Passes signals on until init has ended, then ends the lead with init's status. When this returns nobody waits for an
/// answer any more.
fn live(Running { sandbox, platform, unanswered }: &Running) {
    let (signals, to, asked) = (platform.clone(), sandbox.clone(), unanswered.clone());
    let _ = std::thread::Builder::new().name("signals".into()).stack_size(256 << 10).spawn(move || {
        while let Some(signal) = signals.next_lead_signal() {
            let _ = to.kill(1, signal, false);
        }
        // The lead is gone, perhaps killed on the host. The kernel learns of that by the lead's task, unless that has not
        // started yet.
        std::thread::sleep(Duration::from_millis(50));
        asked.settle(PATIENCE);
        std::process::exit(0);
    });
    let status = sandbox.wait(1);
    platform.end(exit_status(status));
    unanswered.settle(PATIENCE);
}

/// The status with which the lead ends: the exit status, or 128 and the signal's number.
pub fn exit_status(status: u32) -> u8 {
    let signal = (status & 0x7f) as u8;
    if signal == 0 { (status >> 8) as u8 } else { 128 + signal }
}

#[cfg(test)]
mod tests {
    use super::exit_status;

    #[test]
    fn the_lead_ends_as_init_did() {
        assert_eq!(exit_status(7 << 8), 7);
        assert_eq!(exit_status(9), 137);
        assert_eq!(exit_status(11 | 0x80), 139);
    }
}
