//! How the lead is born: the first stub of a container.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use seccompiler::BpfProgram;

use super::Interception;
use super::channel::{Channel, acknowledgement};
use super::code::{self, Entry};
use super::descriptors::SharedTable;
use super::filters::{self, Key};
use super::layout;
use super::orders::{OrderFile, OrderPage, offset};
use crate::PlatformError;

/// A lead that has become a mapper and waits for orders, and what the sentry needs to command it.
pub struct Lead {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) channel: Channel,
    pub(super) orders: &'static OrderFile,
    pub(super) table: SharedTable,
    pub(super) order_number: RawFd,
    pub(super) signals: OwnedFd,
    pub(super) vdso: Option<Vdso>,
    pub(super) namespace: Option<OwnedFd>,
    /// Held open for as long as the sentry lives.
    pub(super) life: OwnedFd,
}

/// The host's vDSO as it lies in every stub.
#[derive(Clone, Debug)]
pub struct Vdso {
    /// Address of its ELF header in a stub.
    pub address: u64,
    /// Its bytes.
    pub image: Vec<u8>,
}

impl Lead {
    /// Its process number in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }
}

/// A child that is being set up: it runs what was given to [`birth`], then becomes the lead.
pub struct Newborn {
    pid: i32,
    pidfd: OwnedFd,
    page: OrderPage,
    orders: &'static OrderFile,
    ack: OwnedFd,
    event: OwnedFd,
    signals: OwnedFd,
    keep: [RawFd; 5],
    life: OwnedFd,
    ready: OwnedFd,
    vdso: Option<Vdso>,
}

fn host(e: nix::Error) -> PlatformError {
    PlatformError::Host(e as i32)
}

fn last() -> PlatformError {
    PlatformError::Host(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Whether the stub's addresses are free in this process. The stack can lie there by chance; executing the program again
/// gives it another place.
pub fn layout_is_free() -> bool {
    maps().iter().all(|m| m.end <= layout::CODE || m.start >= layout::VDSO + layout::VDSO_SIZE)
}

/// Births the child: a clone of this process with `flags` (`CLONE_NEW*`, `CLONE_PARENT`), which runs `setup` and then
/// turns into the lead. `setup` may wait for the caller (for its id maps); the caller then calls [`Newborn::finish`].
///
/// This process must have one thread only, since its copy runs ordinary code.
///
/// # Errors
/// What the host refuses; `Host(EAGAIN)` if the stub's addresses are taken ([`layout_is_free`]).
pub fn birth(
    flags: i32,
    interception: Interception,
    setup: impl FnOnce() -> Result<(), i32>,
) -> Result<Newborn, PlatformError> {
    if !layout_is_free() {
        return Err(PlatformError::Host(libc::EAGAIN));
    }
    let orders: &'static OrderFile = Box::leak(Box::new(OrderFile::new()?));
    let page = orders.take()?;
    let (ack, event) = acknowledgement()?;
    let (signals, signal_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(host)?;
    let (ready, ready_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(host)?;
    let (life_reader, life) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(host)?;
    let key = Key::new()?;
    let filter = filters::compile(interception, key)?;
    // The child has no /proc to find it by.
    let vdso_maps = vdso_maps();
    let vdso = find_vdso(&vdso_maps);
    let set = signals_of_interest();
    page.put(offset::ACK, &ack.as_raw_fd().to_le_bytes());
    page.put(offset::EVENT, &event.as_raw_fd().to_le_bytes());
    page.put(offset::SIGNAL_SET, &set.to_le_bytes());
    page.put(offset::SIGNAL_PIPE, &signal_writer.as_raw_fd().to_le_bytes());
    page.put(offset::WATCH_PIPE, &life_reader.as_raw_fd().to_le_bytes());
    let keep = [
        orders.file().as_raw_fd(),
        ack.as_raw_fd(),
        event.as_raw_fd(),
        signal_writer.as_raw_fd(),
        life_reader.as_raw_fd(),
    ];
    let mut pidfd: RawFd = -1;
    // SAFETY: a clone without CLONE_VM: the child is a copy of this single-threaded process and may run ordinary code.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::c_long::from(flags | libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD),
            0_usize,
            &raw mut pidfd,
            0_usize,
            0_usize,
        )
    };
    if pid < 0 {
        return Err(last());
    }
    if pid == 0 {
        let code = match setup().and_then(|()| prepare(orders, &page, &vdso_maps)) {
            // Never returns but with an error.
            Ok(()) => {
                let own_users = flags & libc::CLONE_NEWUSER != 0;
                become_mapper(&filter, key, interception, own_users, ready_writer.as_raw_fd())
            }
            Err(errno) => errno,
        };
        let _ = nix::unistd::write(&ready_writer, &code.to_le_bytes());
        // SAFETY: ends the child without running destructors of what it shares with its parent.
        unsafe { libc::_exit(1) };
    }
    // These stay open in the shared table for the child, which is the lead's; their numbers must not be reused.
    let _ = std::mem::ManuallyDrop::new(signal_writer);
    let _ = std::mem::ManuallyDrop::new(life_reader);
    // The child's end is closed by the child's last write and by the emptying of the table; ours is the same number.
    let _ = std::mem::ManuallyDrop::new(ready_writer);
    // SAFETY: the kernel put a new descriptor there.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Newborn { pid: pid as i32, pidfd, page, orders, ack, event, signals, keep, life, ready, vdso })
}

impl Newborn {
    /// Its process number in this process's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until it has become the lead, and parts this process's descriptors from it.
    ///
    /// # Errors
    /// The errno of the set-up that failed.
    pub fn finish(self) -> Result<Lead, PlatformError> {
        let mut code = [0u8; 4];
        let mut got = 0;
        while got < 4 {
            let mut polled = [
                nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&self.ready), nix::poll::PollFlags::POLLIN),
                nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&self.pidfd), nix::poll::PollFlags::POLLIN),
            ];
            match nix::poll::poll(&mut polled, nix::poll::PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(e) => return Err(host(e)),
            }
            if polled[0].any() == Some(true) {
                match nix::unistd::read(&self.ready, &mut code[got..]) {
                    Ok(0) => return Err(PlatformError::Dead),
                    Ok(n) => got += n,
                    Err(nix::Error::EINTR) => {}
                    Err(e) => return Err(host(e)),
                }
            } else if polled[1].any() == Some(true) {
                return Err(PlatformError::Dead);
            }
        }
        let code = i32::from_le_bytes(code);
        if code != 0 {
            return Err(PlatformError::Host(code));
        }
        // What it is good for can be done without it.
        let namespace = std::fs::File::open(format!("/proc/{}/ns/pid", self.pid)).ok().map(OwnedFd::from);
        let table = SharedTable::start(&self.keep)?;
        for number in &self.keep[3..] {
            // In this table the lead's ends are not needed any more.
            // SAFETY: `birth` gave up the number, which in this process's own table is a copy.
            drop(unsafe { OwnedFd::from_raw_fd(*number) });
        }
        Ok(Lead {
            pid: self.pid,
            pidfd: self.pidfd,
            channel: Channel::of_lead(self.page, self.ack, self.event, [self.keep[1], self.keep[2]]),
            orders: self.orders,
            table,
            order_number: self.keep[0],
            signals: self.signals,
            vdso: self.vdso,
            namespace,
            life: self.life,
        })
    }
}

/// Signals that an engine may send to a container's init: all but those that faults make and SIGCHLD.
fn signals_of_interest() -> u64 {
    let excluded =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS, libc::SIGCHLD];
    !excluded.iter().fold(0u64, |set, s| set | 1 << (s - 1))
}

struct Map {
    start: u64,
    end: u64,
    name: String,
}

fn maps() -> Vec<Map> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let name = words.nth(4).unwrap_or("").to_owned();
            Some(Map { start: u64::from_str_radix(start, 16).ok()?, end: u64::from_str_radix(end, 16).ok()?, name })
        })
        .collect()
}

fn vdso_maps() -> Vec<Map> {
    maps().into_iter().filter(|m| m.name.starts_with("[vvar") || m.name == "[vdso]").collect()
}

/// Where the host's vDSO will be in the stub, and its bytes.
fn find_vdso(maps: &[Map]) -> Option<Vdso> {
    let first = maps.iter().map(|m| m.start).min()?;
    let vdso = maps.iter().find(|m| m.name == "[vdso]")?;
    let last = maps.iter().map(|m| m.end).max()?;
    if last - first > layout::VDSO_SIZE {
        return None;
    }
    // SAFETY: the kernel's vDSO mapping of this process is readable and never goes away.
    let image =
        unsafe { std::slice::from_raw_parts(vdso.start as *const u8, (vdso.end - vdso.start) as usize) }.to_vec();
    Some(Vdso { address: layout::VDSO + (vdso.start - first), image })
}

fn check(result: i64) -> Result<(), i32> {
    if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(()) }
}

fn map_fixed(at: u64, len: u64, prot: i32, flags: i32, fd: i32, offset: u64) -> Result<(), i32> {
    // SAFETY: the addresses are the stub's own, which `layout_is_free` found unused in this process.
    let got = unsafe { libc::mmap(at as *mut _, len as usize, prot, flags | libc::MAP_FIXED, fd, offset as i64) };
    if got == libc::MAP_FAILED { check(-1) } else { Ok(()) }
}

/// In the child: puts the stub's pages in place.
fn prepare(orders: &OrderFile, page: &OrderPage, vdso: &[Map]) -> Result<(), i32> {
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    for (at, size, code) in [
        (layout::CODE, layout::CODE_SIZE, code::image().bytes()),
        (layout::TRAP_CODE, layout::TRAP_CODE_SIZE, crate::trap::code::image().bytes()),
    ] {
        if code.len() as u64 > size {
            return Err(libc::E2BIG);
        }
        map_fixed(at, size, libc::PROT_READ | libc::PROT_WRITE, anonymous, -1, 0)?;
        // SAFETY: into the pages that were just mapped, at most their size.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), at as *mut u8, code.len()) };
        // SAFETY: the pages mapped above.
        check(i64::from(unsafe { libc::mprotect(at as *mut _, size as usize, libc::PROT_READ | libc::PROT_EXEC) }))?;
    }
    map_fixed(layout::ORDERS, 4096, libc::PROT_READ, libc::MAP_SHARED, orders.file().as_raw_fd(), page.offset())?;
    if let Some(first) = vdso.iter().map(|m| m.start).min() {
        for map in vdso {
            let (len, to) = ((map.end - map.start) as usize, layout::VDSO + (map.start - first));
            // SAFETY: moves the kernel's own pages; nothing of this process calls them from here on.
            unsafe {
                libc::mremap(
                    map.start as *mut _,
                    len,
                    len,
                    libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                    to as *mut libc::c_void,
                )
            };
        }
    }
    Ok(())
}

unsafe extern "C" {
    static __rseq_offset: isize;
    static __rseq_size: u32;
}

/// In the child: gives up everything that is not needed and jumps into the stub's code. Returns only an errno. In a user
/// namespace of the container's the mapper keeps the right to be another user, and in another group, of it.
fn become_mapper(filter: &BpfProgram, key: Key, interception: Interception, own_users: bool, ready: RawFd) -> i32 {
    // SAFETY: plain calls without memory, or on memory of this process that outlives them; SIGCHLD is ignored so that
    // stubs' children reap themselves; rseq is given up because its area is about to be unmapped.
    let done = unsafe {
        let all: u64 = !0;
        let mut results = vec![
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, 0, 8),
            i64::from(libc::prctl(libc::PR_SET_PDEATHSIG, 0)),
            i64::from(libc::prctl(libc::PR_SET_DUMPABLE, 1)),
            i64::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)),
            libc::syscall(libc::SYS_set_robust_list, 0, 24),
            libc::syscall(libc::SYS_set_tid_address, 0),
        ];
        for signal in 1..=64 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                let action = action_of(signal, interception);
                libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, 8);
            }
        }
        if __rseq_size > 0 {
            let base: u64;
            std::arch::asm!("mov {}, fs:0", out(reg) base, options(nostack, readonly));
            let area = base.wrapping_add_signed(__rseq_offset as i64);
            results.push(libc::syscall(libc::SYS_rseq, area, 32, 1, 0x5305_3053u32));
        }
        results.retain(|&r| r < 0);
        results
    };
    if !done.is_empty() {
        return std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EPERM);
    }
    keep_capabilities(if own_users { CAP_SETUID | CAP_SETGID } else { 0 });
    if seccompiler::apply_filter(filter).is_err() {
        return libc::EINVAL;
    }
    let zero = 0u32;
    // SAFETY: writes four bytes of this frame to the pipe (the filter allows a mapper's write), then leaves this program
    // for good: r12, r13 and r15 are set up as the mapper wants them and nothing of the old stack is used again. The stack
    // and all else in which the key has stood is unmapped by the first orders (`Stub::from_lead`).
    unsafe {
        libc::syscall(libc::SYS_write, ready, &raw const zero, 4, 0, 0, key.value());
        std::arch::asm!(
            "xor ebp, ebp",
            "xor esp, esp",
            "jmp {lead}",
            lead = in(reg) Entry::Lead.address(),
            in("r12") layout::ORDERS,
            in("r13") 0_u64,
            in("r15") key.value(),
            options(noreturn)
        );
    }
}

/// What a signal to an application thread does, as `rt_sigaction` takes it: handler, flags, restorer, mask. The mapper
/// blocks them all.
fn action_of(signal: i32, interception: Interception) -> [u64; 4] {
    const SA_RESTORER: u64 = 0x0400_0000;
    match interception {
        _ if signal == libc::SIGCHLD => [libc::SIG_IGN as u64, 0, 0, 0],
        Interception::Ptrace => [libc::SIG_DFL as u64, 0, 0, 0],
        Interception::Trap => {
            // A fault of the handler's own, where it works on the application's memory, comes back to it.
            let faults = 1 << (libc::SIGSEGV - 1) | 1 << (libc::SIGBUS - 1);
            let flags = libc::SA_SIGINFO as u64 | libc::SA_ONSTACK as u64 | SA_RESTORER;
            let nested = if matches!(signal, libc::SIGSEGV | libc::SIGBUS) { libc::SA_NODEFER as u64 } else { 0 };
            let handler = crate::trap::code::Entry::Handler.address();
            [handler, flags | nested, handler, !faults]
        }
    }
}

/// CAP_SETGID as a bit.
const CAP_SETGID: u32 = 1 << 6;
/// CAP_SETUID as a bit.
const CAP_SETUID: u32 = 1 << 7;
/// SECBIT_NO_SETUID_FIXUP and its lock: no change of user takes or gives capabilities.
const NO_SETUID_FIXUP: libc::c_ulong = 3 << 2;

/// Drops every capability but these, for good: no_new_privs is set, and the stub never executes a file.
fn keep_capabilities(kept: u32) {
    let header: [u32; 2] = [0x2008_0522, 0];
    let sets = [kept, kept, 0, 0, 0, 0];
    // SAFETY: prctl without memory, which may be refused: a change of user then ends the capability. capset with a version
    // 3 header and its two data structures.
    unsafe {
        libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0);
        libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
    }
}
