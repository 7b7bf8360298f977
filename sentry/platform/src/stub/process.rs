//! One stub process, commanded through its mapper.

use std::any::Any;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use super::birth::{Lead, Vdso};
use super::channel::Channel;
use super::code::Entry;
use super::descriptors::SharedTable;
use super::graveyard::{Graveyard, Remains, has_ended};
use super::layout;
use super::orders::{BATCH, DATA_SIZE, Order, OrderFile, OrderPage, offset};
use crate::{APPLICATION_END, Change, MemoryFault, PAGE_SIZE, PlatformError, Protection, Source, Title, Users};

/// User copies are made in pieces of at most this many bytes.
const PIECE: usize = 64 << 10;
/// How often access to a stub may be refused, which it is while the stub changes its user, before that is a fault.
const REFUSALS: u32 = 10_000;
/// Bytes of a process's name, with the NUL.
const NAME_SIZE: usize = 16;
/// `PR_SET_MM`'s operation that needs no capability.
const PR_SET_MM_MAP: u64 = 14;

/// What all stubs of a sandbox have in common.
pub struct Stubs {
    orders: &'static OrderFile,
    table: SharedTable,
    order_number: i32,
    vdso: Option<Vdso>,
    /// The pid namespace of the stubs.
    namespace: Option<OwnedFd>,
    graveyard: Graveyard,
}

/// See the module. Killed when dropped.
pub struct Stub {
    stubs: Arc<Stubs>,
    /// There as long as it lives.
    channel: Mutex<Option<Channel>>,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
    host_pid: i32,
    inner_pid: i32,
    pidfd: Arc<OwnedFd>,
    dead: AtomicBool,
    is_lead: bool,
    /// The core that the mapper is on: that of who gave the last order, since a switch to another core costs more than
    /// most orders do.
    core: AtomicUsize,
    /// Whom the host takes it to belong to, once it was told.
    users: Mutex<Option<Users>>,
    peak_resident: AtomicU64,
    minor_faults: AtomicU64,
}

/// How a thread of a stub is born.
pub struct Birth {
    /// What the mapper does before.
    pub before: Vec<Order>,
    /// Where it begins.
    pub entry: u64,
    /// Its stack pointer.
    pub stack: u64,
}

/// A thread as the host knows it.
#[derive(Clone, Copy, Debug)]
pub struct HostThread {
    /// Its number in the sentry's pid namespace.
    pub outer: i32,
    /// Its number in the stub's.
    pub inner: i32,
}

impl Stubs {
    /// The host's vDSO in every stub.
    pub fn vdso(&self) -> Option<&Vdso> {
        self.vdso.as_ref()
    }

    /// Puts a descriptor into the mappers' table; its number there.
    ///
    /// # Errors
    /// `EMFILE` when the table is full, `EIO` when the thread is gone.
    pub fn share(&self, fd: BorrowedFd<'_>) -> Result<i32, PlatformError> {
        self.table.add(fd)
    }

    /// Takes it out again.
    pub fn unshare(&self, number: i32) {
        self.table.remove(number);
    }
}

impl Stub {
    /// Takes command of a lead: clears it, and learns its number. Also gives the pipe by which its signals
    /// arrive, and the one whose end ends its watch.
    ///
    /// # Errors
    /// As the host refuses.
    pub fn from_lead(lead: Lead) -> Result<(Arc<Self>, OwnedFd, OwnedFd), PlatformError> {
        let stubs = Arc::new(Stubs {
            orders: lead.orders,
            table: lead.table,
            order_number: lead.order_number,
            vdso: lead.vdso,
            namespace: lead.namespace,
            graveyard: Graveyard::default(),
        });
        let mut stub = Self {
            stubs,
            channel: Mutex::new(Some(lead.channel)),
            kept: Mutex::default(),
            host_pid: lead.pid,
            inner_pid: 0,
            pidfd: Arc::new(lead.pidfd),
            dead: AtomicBool::new(false),
            is_lead: true,
            core: AtomicUsize::new(usize::MAX),
            users: Mutex::new(None),
            peak_resident: AtomicU64::new(0),
            minor_faults: AtomicU64::new(0),
        };
        let clear = [
            Order::new(libc::SYS_munmap, &[0, APPLICATION_END]),
            Order::new(
                libc::SYS_munmap,
                &[layout::VDSO + layout::VDSO_SIZE, layout::END - layout::VDSO - layout::VDSO_SIZE],
            ),
            Order::new(libc::SYS_getpid, &[]),
        ];
        stub.inner_pid = stub.order(&clear)? as i32;
        Ok((Arc::new(stub), lead.signals, lead.life))
    }

    /// What it shares with the other stubs.
    pub fn stubs(&self) -> &Arc<Stubs> {
        &self.stubs
    }

    /// A descriptor that becomes readable when it ends.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Whether it is the container's lead.
    pub fn is_lead(&self) -> bool {
        self.is_lead
    }

    /// Its number in the sentry's pid namespace.
    pub fn host_pid(&self) -> i32 {
        self.host_pid
    }

    /// Its number in its own pid namespace.
    pub fn inner_pid(&self) -> i32 {
        self.inner_pid
    }

    /// Lets the mapper make these calls; the result of the last.
    ///
    /// # Errors
    /// `Dead`, or the errno of the first that failed.
    pub fn order(&self, orders: &[Order]) -> Result<u32, PlatformError> {
        self.order_locked(&*self.channel()?, orders, 0).map_err(|(_, e)| e)
    }

    /// Takes command of the mapper.
    fn channel(&self) -> Result<MappedMutexGuard<'_, Channel>, PlatformError> {
        MutexGuard::try_map(self.channel.lock(), Option::as_mut).map_err(|_| PlatformError::Dead)
    }

    fn order_locked(&self, channel: &Channel, orders: &[Order], child: u64) -> Result<u32, (usize, PlatformError)> {
        if self.dead.load(Ordering::Acquire) {
            return Err((0, PlatformError::Dead));
        }
        self.come_here();
        channel.page().publish(orders, child);
        self.await_result(channel, orders.len())
    }

    fn await_result(&self, channel: &Channel, count: usize) -> Result<u32, (usize, PlatformError)> {
        channel.await_result(count, &self.pidfd).inspect_err(|(_, error)| {
            if *error == PlatformError::Dead {
                self.kill();
            }
        })
    }

    /// Moves the mapper to the calling thread's core.
    fn come_here(&self) {
        let Ok(core) = nix::sched::sched_getcpu() else { return };
        if self.core.swap(core, Ordering::Relaxed) != core {
            let mut set = nix::sched::CpuSet::new();
            // Placement is a matter of speed alone.
            let _ = set.set(core);
            let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(self.host_pid), &set);
        }
    }

    /// Makes changes of the address space.
    ///
    /// # Errors
    /// Which change failed, and why.
    pub fn apply(&self, changes: &[Change]) -> Result<(), (usize, PlatformError)> {
        let channel = self.channel().map_err(|e| (0, e))?;
        for (batch, part) in changes.chunks(BATCH).enumerate() {
            let first = batch * BATCH;
            let mut orders = Vec::with_capacity(part.len());
            for (i, change) in part.iter().enumerate() {
                orders.push(self.order_of(change).map_err(|e| (first + i, e))?);
            }
            self.order_locked(&channel, &orders, 0).map_err(|(i, e)| (first + i, e))?;
        }
        Ok(())
    }

    fn order_of(&self, change: &Change) -> Result<Order, PlatformError> {
        let refused = PlatformError::Host(libc::EINVAL);
        let valid = |at: u64, len: u64| {
            at.is_multiple_of(PAGE_SIZE)
                && len.is_multiple_of(PAGE_SIZE)
                && len > 0
                && at.checked_add(len).is_some_and(|end| end <= APPLICATION_END)
        };
        Ok(match change {
            Change::Map { at, len, protection, source, populate } => {
                if !valid(*at, *len) {
                    return Err(refused);
                }
                let (kind, fd, offset) = match source {
                    Source::Anonymous => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE, -1, 0),
                    Source::Private { file, offset } => {
                        (libc::MAP_PRIVATE | libc::MAP_NORESERVE, self.stubs.table.number_of(file)?, *offset)
                    }
                    Source::Shared { file, offset } => (libc::MAP_SHARED, self.stubs.table.number_of(file)?, *offset),
                };
                let flags = kind | libc::MAP_FIXED | if *populate { libc::MAP_POPULATE } else { 0 };
                let prot = host_protection(*protection);
                Order::new(libc::SYS_mmap, &[*at, *len, prot, flags as u64, i64::from(fd) as u64, offset])
            }
            Change::Unmap { at, len } if valid(*at, *len) => Order::new(libc::SYS_munmap, &[*at, *len]),
            Change::Protect { at, len, protection } if valid(*at, *len) => {
                Order::new(libc::SYS_mprotect, &[*at, *len, host_protection(*protection)])
            }
            Change::Move { from, len, to, new_len, keep_old } if valid(*from, *len) && valid(*to, *new_len) => {
                let keep = if *keep_old { libc::MREMAP_DONTUNMAP } else { 0 };
                let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | keep;
                Order::new(libc::SYS_mremap, &[*from, *len, *new_len, flags as u64, *to])
            }
            Change::Advise { at, len, advice } if valid(*at, *len) => {
                Order::new(libc::SYS_madvise, &[*at, *len, *advice as u64])
            }
            _ => return Err(refused),
        })
    }

    /// A copy-on-write copy of this stub, as its child, and the first thread of that.
    ///
    /// # Errors
    /// As the host refuses.
    pub fn fork(&self, first: &Birth) -> Result<(Arc<Self>, HostThread), PlatformError> {
        let Stubs { graveyard, table, orders, .. } = &*self.stubs;
        let new = || match graveyard.channel(table) {
            Some(channel) => Ok(channel),
            None => Channel::new(orders, table),
        };
        match self.fork_with(new()?, first) {
            // Those that end as yet may be the ones too many.
            Err(PlatformError::Host(libc::EAGAIN)) if graveyard.wait(table) => self.fork_with(new()?, first),
            result => result,
        }
    }

    fn fork_with(&self, channel: Channel, first: &Birth) -> Result<(Arc<Self>, HostThread), PlatformError> {
        // The child finds its first orders when it turns to its page.
        let orders = first.orders();
        channel.page().publish(&orders, first.entry);
        let own = self.channel()?;
        own.page().put(offset::CHILD_FILE, &self.stubs.order_number.to_le_bytes());
        own.page().put(offset::CHILD_OFFSET, &channel.page().offset().to_le_bytes());
        let clone = Order::new(libc::SYS_clone, &[(libc::CLONE_FILES | libc::SIGCHLD) as u64]);
        let inner = match self.order_locked(&own, &[clone], Entry::Forked.address()) {
            Ok(inner) => inner as i32,
            Err((_, error)) => {
                channel.close(&self.stubs.table);
                return Err(error);
            }
        };
        // The child reads its parent's page until it has its own: the parent gets no order before the child has answered
        // one. Its host number is asked for first, since its death has to be noticed.
        let outer = self.translate(&own, inner)?;
        // SAFETY: no memory is passed.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, outer, 0) };
        if pidfd < 0 {
            return Err(PlatformError::Dead);
        }
        // SAFETY: a descriptor that the kernel has just made.
        let pidfd = Arc::new(unsafe { OwnedFd::from_raw_fd(pidfd as i32) });
        let child = Arc::new(Self {
            stubs: self.stubs.clone(),
            channel: Mutex::new(Some(channel)),
            kept: Mutex::default(),
            host_pid: outer,
            inner_pid: inner,
            pidfd,
            dead: AtomicBool::new(false),
            is_lead: false,
            core: AtomicUsize::new(self.core.load(Ordering::Relaxed)),
            users: Mutex::new(self.users.lock().clone()),
            peak_resident: AtomicU64::new(0),
            minor_faults: AtomicU64::new(0),
        });
        let thread = {
            let channel = child.channel()?;
            let inner = child.await_result(&channel, orders.len()).map_err(|(_, e)| e)? as i32;
            HostThread { outer: child.translate(&channel, inner)?, inner }
        };
        drop(own);
        Ok((child, thread))
    }

    /// The sentry's number for a thread that the stub knows by `inner`. Where the host cannot tell it of a namespace
    /// (before Linux 6.11), the stub makes the thread the owner of a file, of which the host then tells the owner in the
    /// sentry's own terms.
    fn translate(&self, channel: &Channel, inner: i32) -> Result<i32, PlatformError> {
        /// `NS_GET_PID_FROM_PIDNS` (ioctl_nsfs(2)): a number of that namespace in the caller's.
        const NS_GET_PID_FROM_PIDNS: u64 = 0x8004_b706;
        if let Some(namespace) = &self.stubs.namespace {
            // SAFETY: the argument is a number.
            let outer = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PID_FROM_PIDNS, inner) };
            if outer > 0 {
                return Ok(outer);
            }
        }
        const F_SETOWN_EX: u64 = 15;
        const F_OWNER_TID: i32 = 0;
        channel.page().put(offset::DATA, &F_OWNER_TID.to_le_bytes());
        channel.page().put(offset::DATA + 4, &inner.to_le_bytes());
        let (results, number) = channel.results();
        let own = Order::new(libc::SYS_fcntl, &[number as u64, F_SETOWN_EX, layout::ORDERS + offset::DATA as u64]);
        self.order_locked(channel, &[own], 0).map_err(|(_, e)| e)?;
        let mut owner = [0i32; 2];
        // SAFETY: F_GETOWN_EX fills a structure of two ints.
        if unsafe { libc::fcntl(results.as_raw_fd(), 16, owner.as_mut_ptr()) } < 0 || owner[1] <= 0 {
            return Err(PlatformError::Dead);
        }
        Ok(owner[1])
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// As the host refuses (`EAGAIN`).
    pub fn bear_thread(&self, birth: &Birth) -> Result<HostThread, PlatformError> {
        let channel = self.channel()?;
        let inner = self.order_locked(&channel, &birth.orders(), birth.entry).map_err(|(_, e)| e)? as i32;
        let outer = self.translate(&channel, inner)?;
        Ok(HostThread { outer, inner })
    }

    /// Keeps this until the host has ended the stub, even if that is later than its own end here.
    pub fn keep_to_its_end(&self, what: impl Any + Send) {
        self.kept.lock().push(Box::new(what));
    }

    /// Unmaps everything of the application's.
    ///
    /// # Errors
    /// As the host refuses.
    pub fn clear(&self) -> Result<(), PlatformError> {
        self.order(&[Order::new(libc::SYS_munmap, &[0, APPLICATION_END])]).map(drop)
    }

    /// Tells the host's tools name and arguments; what fails is left as it was.
    pub fn set_title(&self, title: &Title) {
        let code_end = layout::CODE + layout::CODE_SIZE;
        let (arguments, environment) = (&title.arguments, &title.environment);
        // struct prctl_mm_map: code, data, brk, stack, arguments, environment, auxv; u32 auxv_size and exe_fd, of which -1
        // is none.
        let map: [u64; 13] = [
            layout::CODE,
            code_end,
            layout::CODE,
            code_end,
            layout::CODE,
            layout::CODE,
            arguments.start,
            arguments.start,
            arguments.end,
            environment.start,
            environment.end,
            0,
            0xffff_ffff_0000_0000,
        ];
        let bytes: Vec<u8> = map.iter().flat_map(|word| word.to_le_bytes()).collect();
        debug_assert!(NAME_SIZE + bytes.len() <= DATA_SIZE);
        let Ok(channel) = self.channel() else { return };
        let page = channel.page();
        page.put(offset::DATA + NAME_SIZE, &bytes);
        let map_at = layout::ORDERS + (offset::DATA + NAME_SIZE) as u64;
        let name = Self::name_order(page, &title.name);
        let map = Order::new(libc::SYS_prctl, &[libc::PR_SET_MM as u64, PR_SET_MM_MAP, map_at, bytes.len() as u64, 0]);
        let _ = self.order_locked(&channel, &[name, map], 0);
        self.tell_users(&channel, &title.users);
    }

    /// Tells them whom it belongs to.
    pub fn set_users(&self, users: &Users) {
        if let Ok(channel) = self.channel() {
            self.tell_users(&channel, users);
        }
    }

    /// The mapper's user and groups say whose the process is.
    fn tell_users(&self, channel: &Channel, users: &Users) {
        let old = self.users.lock().replace(users.clone());
        if old.as_ref() == Some(users) {
            return;
        }
        let supplementary: Vec<u8> = users.supplementary.iter().flat_map(|group| group.to_le_bytes()).collect();
        if old.is_none_or(|old| old.supplementary != users.supplementary) && supplementary.len() <= DATA_SIZE {
            channel.page().put(offset::DATA, &supplementary);
            let list = [users.supplementary.len() as u64, layout::ORDERS + offset::DATA as u64];
            let _ = self.order_locked(channel, &[Order::new(libc::SYS_setgroups, &list)], 0);
        }
        for (call, ids) in [(libc::SYS_setresgid, users.group), (libc::SYS_setresuid, users.user)] {
            let numbers = [ids.real, ids.effective, ids.saved].map(u64::from);
            // Who changes one of them is not dumpable for a moment.
            let dumpable = Order::new(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64, 1]);
            let _ = self.order_locked(channel, &[Order::new(call, &numbers), dumpable], 0);
        }
    }

    /// Tells the host's tools the name.
    pub fn set_name(&self, name: &[u8]) {
        let Ok(channel) = self.channel() else { return };
        let order = Self::name_order(channel.page(), name);
        let _ = self.order_locked(&channel, &[order], 0);
    }

    fn name_order(page: &OrderPage, name: &[u8]) -> Order {
        let mut bytes = [0u8; NAME_SIZE];
        let length = name.len().min(NAME_SIZE - 1);
        bytes[..length].copy_from_slice(&name[..length]);
        page.put(offset::DATA, &bytes);
        Order::new(libc::SYS_prctl, &[libc::PR_SET_NAME as u64, layout::ORDERS + offset::DATA as u64])
    }

    /// Gives it a session of its own. The lead has one.
    pub fn leave_session(&self) {
        let _ = self.order(&[Order::new(libc::SYS_setsid, &[])]);
    }

    /// Makes a terminal that of its session.
    pub fn take_terminal(&self, terminal: BorrowedFd<'_>) {
        let Ok(number) = self.stubs.share(terminal) else { return };
        let _ = self.order(&[Order::new(libc::SYS_ioctl, &[number as u64, libc::TIOCSCTTY, 0])]);
        self.stubs.unshare(number);
    }

    /// Puts it into this process group, if the host knows it in its session.
    pub fn set_process_group(&self, group: u32) {
        let _ = self.order(&[Order::new(libc::SYS_setpgid, &[0, u64::from(group)])]);
    }

    /// Makes its nice value this one, if that is no better than it is.
    pub fn set_nice(&self, nice: i32) {
        let _ = self.order(&[Order::new(libc::SYS_setpriority, &[libc::PRIO_PROCESS.into(), 0, nice as u64])]);
    }

    /// Copies application memory into `to`.
    ///
    /// # Errors
    /// How far it got.
    pub fn read(&self, from: u64, to: &mut [u8]) -> Result<(), MemoryFault> {
        check_range(from, to.len())?;
        let mut done = 0;
        while done < to.len() {
            let n = (to.len() - done).min(PIECE);
            // SAFETY: `to[done..done + n]` is writable and lives through the call.
            let got = unsafe { self.copy(from + done as u64, to[done..].as_mut_ptr(), n, false) };
            done += got;
            if got < n {
                return Err(MemoryFault { done });
            }
        }
        Ok(())
    }

    /// Copies `from` into application memory.
    ///
    /// # Errors
    /// How far it got.
    pub fn write(&self, to: u64, from: &[u8]) -> Result<(), MemoryFault> {
        check_range(to, from.len())?;
        let mut done = 0;
        while done < from.len() {
            let n = (from.len() - done).min(PIECE);
            // SAFETY: `from[done..done + n]` is readable and lives through the call, which only reads it.
            let got = unsafe { self.copy(to + done as u64, from[done..].as_ptr().cast_mut(), n, true) };
            done += got;
            if got < n {
                return Err(MemoryFault { done });
            }
        }
        Ok(())
    }

    /// Copies between this process and the stub; how many bytes that went.
    ///
    /// # Safety
    /// `local` has `len` bytes, writable unless `write`.
    unsafe fn copy(&self, remote: u64, local: *mut u8, len: usize, write: bool) -> usize {
        if self.dead.load(Ordering::Relaxed) {
            return 0;
        }
        let whole = [remote_part(remote, len)];
        // SAFETY: as this function's.
        let got = unsafe { self.transfer(local, len, &whole, write) };
        if got == len {
            return got;
        }
        // The host stops at the first page that faults, but promises to do so only between the elements of the vector: one
        // element a page makes the count exact.
        let mut pages = [remote_part(0, 0); PIECE / PAGE_SIZE as usize + 1];
        let (mut at, mut left, mut used) = (remote, len, 0);
        while left > 0 && used < pages.len() {
            let n = left.min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            pages[used] = remote_part(at, n);
            used += 1;
            at += n as u64;
            left -= n;
        }
        // SAFETY: as this function's.
        unsafe { self.transfer(local, len - left, &pages[..used], write) }
    }

    /// One `process_vm_readv` or `process_vm_writev` of these parts; how many bytes it copied.
    ///
    /// # Safety
    /// As [`Self::copy`].
    unsafe fn transfer(&self, local: *mut u8, len: usize, parts: &[libc::iovec], write: bool) -> usize {
        let local = libc::iovec { iov_base: local.cast(), iov_len: len };
        let call = if write { libc::SYS_process_vm_writev } else { libc::SYS_process_vm_readv };
        let mut refused = 0;
        loop {
            // SAFETY: by this function's contract; remote addresses mean nothing in this process.
            let got = unsafe {
                libc::syscall(call, self.host_pid, &raw const local, 1_usize, parts.as_ptr(), parts.len(), 0_usize)
            };
            if let Ok(got) = usize::try_from(got) {
                return got;
            }
            // It is just changing its user.
            if std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM) || refused == REFUSALS {
                return 0;
            }
            refused += 1;
            std::thread::yield_now();
        }
    }

    /// Processor time of the whole process.
    pub fn cpu_time(&self) -> Duration {
        // The clock id of a process (include/linux/posix-timers.h): ~pid << 3 | CPUCLOCK_SCHED.
        let clock = (!self.host_pid << 3) | 2;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: fills the structure above.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } < 0 {
            return Duration::ZERO;
        }
        Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
    }

    /// Notes what a tracer has learnt of its use: the most bytes that were resident, and faults.
    pub fn record_use(&self, peak_resident: u64, minor_faults: u64) {
        self.peak_resident.fetch_max(peak_resident, Ordering::Relaxed);
        self.minor_faults.fetch_max(minor_faults, Ordering::Relaxed);
    }

    /// The most bytes that were resident, as last noted; 0 before that.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.peak_resident.load(Ordering::Relaxed)
    }

    /// Page faults without input, as last noted.
    pub fn minor_faults(&self) -> u64 {
        self.minor_faults.load(Ordering::Relaxed)
    }

    /// Kills it. Idempotent.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Release);
        // SAFETY: no memory is passed; a pidfd never names another process.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), libc::SIGKILL, 0_usize, 0) };
    }

    /// Lets it end with this status.
    pub fn exit(&self, status: u8) {
        if let Ok(channel) = self.channel() {
            channel.page().publish(&[Order::new(libc::SYS_exit_group, &[u64::from(status)])], 0);
        }
        self.dead.store(true, Ordering::Release);
        has_ended(&self.pidfd, Duration::from_secs(2));
    }

    /// Whether it has ended.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        // The lead's end is the sandbox's.
        if self.is_lead {
            return;
        }
        self.kill();
        let pidfd = self.pidfd.clone();
        let remains =
            Remains { pidfd, channel: self.channel.lock().take(), kept: std::mem::take(&mut self.kept.lock()) };
        self.stubs.graveyard.bury(remains, &self.stubs.table);
    }
}

impl Birth {
    /// Without a stack, and nothing before.
    pub fn at(entry: Entry) -> Self {
        Self { before: Vec::new(), entry: entry.address(), stack: 0 }
    }

    /// The orders to a mapper that bring it about.
    fn orders(&self) -> Vec<Order> {
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        let mut orders = self.before.clone();
        orders.push(Order::new(libc::SYS_clone, &[flags as u64, self.stack]));
        orders
    }
}

fn remote_part(at: u64, len: usize) -> libc::iovec {
    libc::iovec { iov_base: at as *mut _, iov_len: len }
}

fn check_range(at: u64, len: usize) -> Result<(), MemoryFault> {
    match at.checked_add(len as u64) {
        Some(end) if end <= APPLICATION_END => Ok(()),
        _ => Err(MemoryFault { done: 0 }),
    }
}

fn host_protection(protection: Protection) -> u64 {
    u64::from(protection.bits())
}
