//! How application code runs and how its system calls reach the sentry.
//!
//! One set of traits, several platforms behind it. The kernel never learns which one it runs on; the whole test
//! suite runs on each of them.
//!
//! * A [`Platform`] makes the first [`AddressSpace`] of a container out of its *lead* (the host process of the
//!   container's init).
//! * An [`AddressSpace`] is the memory of one application process. Where its pages live is the platform's affair: the
//!   sentry keeps the VMAs and the policy, and tells the platform of each [`Change`].
//! * A [`Context`] is one application thread: run it until it asks for something, look at its registers, run it on.
//!
//! Operations that may have to wait for the stub are poll functions (an `async fn` in a trait cannot be called through
//! `dyn`). A platform with [`Platform::thread_per_task`] blocks inside them, since nothing else shares that thread.

pub mod ptrace;
pub mod registers;
pub mod selftest;
pub mod stub;
pub mod trap;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::Poll;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use moat_host::HostFile;
pub use registers::Registers;

/// Size of a page of application memory, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// The first address that the application can never have: everything from here up is the stub's, and the sentry
/// refuses it in every change, user copy and futex. The 47-bit address space ends at `0x7fff_ffff_f000`.
pub const APPLICATION_END: u64 = 0x7fff_e000_0000;

/// The lowest address that may be mapped (`vm.mmap_min_addr`).
pub const APPLICATION_START: u64 = 0x1_0000;

/// The processor's features as AT_HWCAP and AT_HWCAP2 give them to programs.
pub fn hardware_capabilities() -> (u64, u64) {
    // SAFETY: reads this process's own auxiliary vector.
    unsafe { (libc::getauxval(libc::AT_HWCAP), libc::getauxval(libc::AT_HWCAP2)) }
}

/// Bytes of a signal frame with the largest vector state (AT_MINSIGSTKSZ).
pub fn minimum_signal_stack() -> u64 {
    // SAFETY: as above.
    unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) }.max(2048)
}

/// Why a platform could not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The host refused a call, with this errno (`ENOMEM`, `EACCES`, `EAGAIN`…), which is passed on to the application.
    #[error("host call failed with errno {0}")]
    Host(i32),
    /// The stub is gone: the host killed it (out of memory, `kill -9`). To the guest this is a SIGKILL of the process.
    #[error("the stub process is dead")]
    Dead,
}

/// An access to application memory that failed. `done` bytes before the fault were copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fault in application memory after {done} bytes")]
pub struct MemoryFault {
    /// Bytes copied before the fault.
    pub done: usize,
}

/// What a sentry thread without a task is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// Any task.
    Free,
    /// It is a context's [`Context::home`] and must take no other task before.
    Bound,
    /// Nothing; it must end.
    Spent,
}

/// Looks after what a platform keeps on the calling thread, which has no task; `expired` if it has had none for so long
/// that this is to be given up. The thread is unparked when there is something to look after.
pub fn tend_thread(expired: bool) -> Tenure {
    ptrace::kept::tend(expired)
}

/// A platform: ptrace, trap or kvm.
pub trait Platform: Send + Sync {
    /// What `--platform` calls it.
    fn name(&self) -> &'static str;
    /// Whether each task has to be polled by a thread of its own (ptrace and kvm tie a task to a host thread).
    fn thread_per_task(&self) -> bool;
    /// The empty address space of the container's init, in the lead. Can be taken once.
    fn lead(&self) -> Option<Arc<dyn AddressSpace>>;
    /// The next host signal that was sent to the lead (SIGTERM by an engine…), which is to become a guest signal of
    /// init. Blocks the calling thread; `None` when the lead is gone.
    fn next_lead_signal(&self) -> Option<i32>;
    /// Ends the lead with this host exit status (0–255), and with it every stub. Used when the guest's init has ended.
    fn end(&self, status: u8);
    /// The host's vDSO as it lies in every address space, for our own to call; `None` if the platform has none.
    fn host_vdso(&self) -> Option<stub::birth::Vdso>;
}

bitflags::bitflags! {
    /// What the application may do with a mapping.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// PROT_READ
        const READ = 1;
        /// PROT_WRITE
        const WRITE = 2;
        /// PROT_EXEC
        const EXEC = 4;
    }
}

/// Where the bytes of a new mapping come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Zeroes, private to the address space, copied on write by fork.
    Anonymous,
    /// A host file (donated by the gofer, or a memory file of the sentry) from `offset`, `MAP_PRIVATE`.
    Private {
        /// The file.
        file: Arc<HostFile>,
        /// Offset in it, in bytes; a multiple of [`PAGE_SIZE`].
        offset: u64,
    },
    /// The same, `MAP_SHARED`.
    Shared {
        /// The file.
        file: Arc<HostFile>,
        /// Offset in it, in bytes; a multiple of [`PAGE_SIZE`].
        offset: u64,
    },
}

/// One change of an address space. Addresses and lengths are multiples of [`PAGE_SIZE`] and lie in
/// [`APPLICATION_START`]..[`APPLICATION_END`]; the kernel has checked that, and the platform refuses what is not.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each variant's comment tells of its fields; `at` and `len` are in bytes")]
pub enum Change {
    /// Map, replacing what was there. `populate` is MAP_POPULATE.
    Map { at: u64, len: u64, protection: Protection, source: Source, populate: bool },
    /// Unmap whatever is there.
    Unmap { at: u64, len: u64 },
    /// Change the protection of mapped pages.
    Protect { at: u64, len: u64, protection: Protection },
    /// Move a mapping with its pages to `to` (`MREMAP_MAYMOVE|MREMAP_FIXED`), replacing what is there; `keep_old` is
    /// `MREMAP_DONTUNMAP`.
    Move { from: u64, len: u64, to: u64, new_len: u64, keep_old: bool },
    /// `madvise` with this host advice, which the kernel has found to be harmless.
    Advise { at: u64, len: u64, advice: i32 },
}

/// A process's user, or its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The real one.
    pub real: u32,
    /// The effective one.
    pub effective: u32,
    /// The saved one.
    pub saved: u32,
}

/// Whom a process belongs to, in numbers of the container's user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// The user.
    pub user: Ids,
    /// The group.
    pub group: Ids,
    /// The supplementary groups.
    pub supplementary: Arc<[u32]>,
}

/// Program text: a private mapping of a file that the application may execute, and has never been able to write.
#[derive(Clone, Debug)]
pub struct Text {
    /// Address.
    pub at: u64,
    /// Length in bytes.
    pub len: u64,
    /// What the application may do with it.
    pub protection: Protection,
    /// The file.
    pub file: Arc<HostFile>,
    /// Offset in it, in bytes.
    pub offset: u64,
    /// Free addresses near it, which the platform may use until the application does.
    pub room: std::ops::Range<u64>,
    /// [`Context::take_hot_call`] has named a call in it; else it has just been mapped.
    pub hot: bool,
}

/// What the host's tools (`ps`, `podman top`) shall say of a stub.
#[derive(Clone, Debug, Default)]
pub struct Title {
    /// `comm`, at most 15 bytes.
    pub name: Vec<u8>,
    /// Whom it belongs to.
    pub users: Users,
    /// Where the arguments lie in the application's memory. The tools read them there, so that they show what the
    /// application makes of them.
    pub arguments: std::ops::Range<u64>,
    /// Where the environment lies.
    pub environment: std::ops::Range<u64>,
}

/// The memory of one application process, and on platforms with stubs the host process that holds it.
pub trait AddressSpace: Send + Sync {
    /// Makes the changes in order; all of them, or stops at the first that fails and says which and why.
    fn poll_apply(
        &self,
        cx: &mut std::task::Context<'_>,
        changes: &[Change],
    ) -> Poll<Result<(), (usize, PlatformError)>>;
    /// Makes the system calls in a text faster, if the platform knows how. Nothing of this is to be seen in copies of its
    /// memory, and it gives way to any later change. Only an optimisation: the application goes on without it.
    fn poll_hasten(&self, cx: &mut std::task::Context<'_>, text: &Text) -> Poll<Result<(), PlatformError>>;
    /// A copy of this address space (copy-on-write), as a new stub that is a child of this one.
    fn poll_fork(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<Arc<dyn AddressSpace>, PlatformError>>;
    /// Unmaps everything of the application's, keeping the host process: what `execve` does first.
    fn poll_clear(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), PlatformError>>;
    /// A new application thread in this address space, not running yet.
    fn poll_context(&self, cx: &mut std::task::Context<'_>) -> Poll<Result<Box<dyn Context>, PlatformError>>;
    /// Tells the host's tools the process's name and arguments. Best effort.
    fn set_title(&self, title: &Title);
    /// Tells them a new name alone.
    fn set_name(&self, name: &[u8]);
    /// Tells them whom it belongs to from now on. What the container's user namespace does not know is left as it was.
    fn set_users(&self, users: &Users);
    /// Tells them that the process has made a session of its own, which has no terminal.
    fn leave_session(&self);
    /// Tells them that this terminal of the host is the one of its session, which it has just made.
    fn take_terminal(&self, terminal: BorrowedFd<'_>);
    /// Tells them its process group, by the number which the container's pid namespace gave the stub that leads it.
    fn set_process_group(&self, group: u32);
    /// Tells them its nice value. The host takes no better one than it has.
    fn set_nice(&self, nice: i32);

    /// Copies application memory into `to`. May sleep: no lock may be held.
    fn read(&self, from: u64, to: &mut [u8]) -> Result<(), MemoryFault>;
    /// Copies `from` into application memory. May sleep: no lock may be held.
    fn write(&self, to: u64, from: &[u8]) -> Result<(), MemoryFault>;
    /// Processor time of the whole process, in application code.
    fn cpu_time(&self) -> Duration;
    /// The most memory that was resident so far, in bytes, as of some moments ago ([`Context::update_use`]); `None` if
    /// the platform has not looked yet.
    fn peak_resident_bytes(&self) -> Option<u64>;
    /// Page faults that needed no input, as of the same moment.
    fn minor_faults(&self) -> u64;
    /// The process number which the container's pid namespace gave this stub; a hint for the guest's pid.
    fn pid_hint(&self) -> Option<u32>;
    /// The number by which the *host* knows it (for `events`, logs and tests).
    fn host_pid(&self) -> Option<u32>;
    /// Ends the stub. The platform reaps it. Idempotent.
    fn kill(&self);
}

/// Which system-call entry the application used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `syscall` from 64-bit code.
    X86_64,
    /// `int 0x80` or `sysenter`: a 32-bit call, which Moat answers with ENOSYS.
    I386,
}

/// Whether a signal with this `si_code` tells of what the thread itself did.
pub(crate) fn is_exception(signal: i32, code: i32) -> bool {
    matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP) && code > 0
}

/// Why the application stopped running. Signals and codes are Linux's numbers, addresses the application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's comment tells of its fields")]
pub enum Exit {
    /// It asks for a system call. The instruction pointer is behind the instruction.
    Syscall { abi: Abi, number: u64, arguments: [u64; 6] },
    /// A synchronous exception: the signal it becomes unless the kernel mends the cause (stack growth).
    Exception { signal: i32, code: i32, address: u64 },
    /// [`Kicker::kick`] was called; nothing else happened.
    Kicked,
    /// A host process sent a signal to the stub; the kernel may deliver it to the guest process.
    HostSignal { signal: i32 },
    /// The host killed the stub.
    Dead,
}

/// What an XSAVE image of an application thread holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedLayout {
    /// Its size in bytes, at least that of the legacy area and the header.
    pub size: usize,
    /// The components that it can hold, as in XCR0.
    pub features: u64,
}

/// What calls without arguments answer to a task until they are revoked ([`Context::set_constants`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants {
    /// getpid(2)
    pub pid: u32,
    /// gettid(2)
    pub tid: u32,
    /// getppid(2)
    pub parent: u32,
    /// getuid(2)
    pub uid: u32,
    /// geteuid(2)
    pub euid: u32,
    /// getgid(2)
    pub gid: u32,
    /// getegid(2)
    pub egid: u32,
}

/// Makes a running context return [`Exit::Kicked`] soon; from any thread, any number of times. A kick that comes
/// while the context is not running makes its next run return at once.
pub trait Kicker: Send + Sync {
    /// See [`Kicker`].
    fn kick(&self);
    /// From now on no call is answered by what [`Context::set_constants`] was told, whatever the context does meanwhile.
    fn revoke_constants(&self);
}

/// What a thread copies of the memory that a system call's arguments point to before it hands the call over: for each
/// argument a bit, of which up to 256 bytes are copied, but none beyond the page; bit 6 stands for a buffer that
/// argument 1 points to and whose length is argument 2. Both count arguments from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead(pub u8);

impl Ahead {
    /// So much is copied of what an argument points to, in bytes.
    pub const ARGUMENT: usize = 256;
    /// So much is copied of a buffer.
    pub const BUFFER: usize = 4096;

    /// With this argument.
    #[must_use]
    pub const fn with_argument(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    /// With the buffer.
    #[must_use]
    pub const fn with_buffer(self) -> Self {
        Self(self.0 | 1 << 6)
    }

    /// Whether this argument's is copied.
    pub fn has_argument(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    /// Whether the buffer is copied.
    pub fn has_buffer(self) -> bool {
        self.0 & 1 << 6 != 0
    }
}

/// What is copied ahead of each call, by its number.
pub type AheadTable = [Ahead; 512];

/// Memory of the application that a thread copies itself: before it hands a call over, and when it goes on.
pub trait Window: Send + Sync {
    /// Fills `to` from what was copied ahead. False if it was not.
    fn read(&self, from: u64, to: &mut [u8]) -> bool;
    /// Takes bytes that the thread is to write when it goes on; false if it can't. The caller has made sure that the memory
    /// will take them, as far as can be known: if it does not, the call gives `EFAULT`. From here on nothing that was
    /// copied ahead is there.
    fn write(&self, to: u64, from: &[u8]) -> bool;
    /// Writes at once what the thread was to write. False if the memory does not take it.
    fn settle(&self) -> bool;
}

/// One application thread.
pub trait Context: Send + Sync {
    /// Runs the application, from `now` on, until it needs the kernel; why, and when that was. Must always be polled by the
    /// same thread on platforms with [`Platform::thread_per_task`]; that thread blocks inside.
    fn poll_run(&mut self, cx: &mut std::task::Context<'_>, now: Instant) -> Poll<(Exit, Instant)>;
    /// Sets the return value of the system call that [`Exit::Syscall`] reported; cheaper than [`Self::registers_mut`].
    fn set_result(&mut self, value: u64);
    /// The platform may answer these calls without telling of them, until the next time, or until they are revoked. `None`:
    /// each call must be told of.
    fn set_constants(&mut self, constants: Option<&Constants>);
    /// The address of a system call that was made so often that [`AddressSpace::poll_hasten`] of the text around it is
    /// worth while; once each time.
    fn take_hot_call(&mut self) -> Option<u64>;
    /// The general registers, fetched from the stub at the first use after a run.
    fn registers(&mut self) -> &Registers;
    /// The same, to be changed; written back before the next run.
    fn registers_mut(&mut self) -> &mut Registers;
    /// Vector and x87 state in the XSAVE standard format (as `PTRACE_GETREGSET` of `NT_X86_XSTATE`).
    fn extended_state(&mut self) -> Vec<u8>;
    /// Replaces it. Errors: `Host(EINVAL)` if the hardware refuses the image; the old state then stays.
    fn set_extended_state(&mut self, state: &[u8]) -> Result<(), PlatformError>;
    /// Resets vector state to what `execve` gives.
    fn reset_extended_state(&mut self);
    /// The vector state as a thread can save it into its own memory; `None` if it can't.
    fn extended_layout(&mut self) -> Option<ExtendedLayout>;
    /// Before it runs on as its registers say, the thread saves its vector state at `at` (XSAVE, standard format) and
    /// takes that which a handler starts with. `at` is a multiple of 64, and an image there of [`Self::extended_layout`]'s
    /// size has been written but for its components. Other registers than rax, rdx, rdi, rsi and the stack pointer may
    /// change on the way.
    fn save_extended_state_at(&mut self, at: u64);
    /// The thread takes vector state and general registers from the signal frame of Linux that `stack`, its stack
    /// pointer, is behind the return address of. `registers` are those of the frame; only the ones in a `sigcontext`
    /// count. The caller has checked that it holds a whole image of [`Self::extended_layout`], at a multiple of 64.
    fn return_from_frame(&mut self, stack: u64, registers: &Registers);
    /// The stack pointer; cheaper than [`Self::registers`] after a system call.
    fn stack_pointer(&mut self) -> u64;
    /// `lock cmpxchg` on a 32-bit word of this thread's address space: the value that was there, or a fault.
    fn compare_exchange(&mut self, at: u64, expected: u32, new: u32) -> Result<u32, MemoryFault>;
    /// For an `execve` that gives rights, after the space was cleared: whatever thread runs from now on, none of its
    /// instructions or registers is of the old program's choice. Errors: as for the space; the process is then dead.
    fn renew(&mut self) -> Result<(), PlatformError> {
        Ok(())
    }
    /// `tell` is called, by another thread, if the host kills the stub while the context is not running.
    fn on_death(&mut self, tell: Arc<dyn Fn() + Send + Sync>);
    /// Its window, if it has one.
    fn window(&self) -> Option<Arc<dyn Window>> {
        None
    }
    /// The handle by which other threads kick this context.
    fn kicker(&self) -> Arc<dyn Kicker>;
    /// The thread number which the container's pid namespace gave it: a hint for the guest's tid.
    fn tid_hint(&self) -> Option<u32>;
    /// The thread that has to poll it from the first time on, where that is decided: one of those that call
    /// [`tend_thread`] between tasks.
    fn home(&self) -> Option<ThreadId>;
    /// The thread has ended, and others of its process go on. A platform may keep what it is made of for the next; the
    /// calling thread, which has polled it, then calls [`tend_thread`] until it polls again.
    fn retire(self: Box<Self>);
    /// Brings what the address space tells of its use of memory up to date. After a system call only; takes as long as one.
    fn update_use(&mut self);
    /// Processor time that the application's code used in this thread (without the kernel's work for it).
    fn cpu_time(&self) -> Duration;
}
