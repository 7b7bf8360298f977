//! signal(7), sigaction(2), sigaltstack(2), `siginfo_t`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A signal number, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident $nr:literal)*) => {
        $(pub const $name: Signal = Signal($nr);)*
        impl Signal {
            /// Its name, such as `SIGINT`; `None` for real-time signals.
            pub fn standard_name(self) -> Option<&'static str> {
                match self.0 { $($nr => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

signals! {
    SIGHUP 1 SIGINT 2 SIGQUIT 3 SIGILL 4 SIGTRAP 5 SIGABRT 6 SIGBUS 7 SIGFPE 8 SIGKILL 9 SIGUSR1 10 SIGSEGV 11
    SIGUSR2 12 SIGPIPE 13 SIGALRM 14 SIGTERM 15 SIGSTKFLT 16 SIGCHLD 17 SIGCONT 18 SIGSTOP 19 SIGTSTP 20 SIGTTIN 21
    SIGTTOU 22 SIGURG 23 SIGXCPU 24 SIGXFSZ 25 SIGVTALRM 26 SIGPROF 27 SIGWINCH 28 SIGIO 29 SIGPWR 30 SIGSYS 31
}

impl Signal {
    /// The signal of this number, if it is one.
    pub const fn from_raw(raw: i32) -> Option<Self> {
        if raw >= 1 && raw <= 64 { Some(Self(raw as u8)) } else { None }
    }

    /// Its number.
    pub const fn raw(self) -> i32 {
        self.0 as i32
    }

    /// Its place in an array of 64.
    pub const fn index(self) -> usize {
        (self.0 - 1) as usize
    }

    /// Whether it is SIGRTMIN (32 to the kernel) or above.
    pub const fn is_real_time(self) -> bool {
        self.0 >= 32
    }

    /// Whether its default action dumps core.
    pub const fn dumps_core(self) -> bool {
        matches!(self.0, 3 | 4 | 5 | 6 | 7 | 8 | 11 | 24 | 25 | 31)
    }

    /// Its name as strace prints it: `SIGINT`, `SIGRTMIN`, `SIGRT_1`.
    pub fn name(self) -> String {
        match self.standard_name() {
            Some(name) => name.to_owned(),
            None if self.0 == 32 => "SIGRTMIN".to_owned(),
            None => format!("SIGRT_{}", self.0 - 32),
        }
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name())
    }
}

/// A set of signals, bit n-1 for signal n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct SigSet(u64);

impl SigSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// All signals.
    pub const ALL: Self = Self(u64::MAX);

    /// From bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// As bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// These signals.
    pub const fn of(signals: &[Signal]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < signals.len() {
            bits |= 1 << signals[i].index();
            i += 1;
        }
        Self(bits)
    }

    /// Whether it has `signal`.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << signal.index()) != 0
    }

    /// Adds one.
    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << signal.index();
    }

    /// Removes one.
    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << signal.index());
    }

    /// Those in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lowest.
    pub const fn first(self) -> Option<Signal> {
        if self.0 == 0 { None } else { Some(Signal(self.0.trailing_zeros() as u8 + 1)) }
    }

    /// A mask as sigprocmask takes it: SIGKILL and SIGSTOP cannot be blocked.
    pub const fn blockable(self) -> Self {
        self.without(Self::of(&[SIGKILL, SIGSTOP]))
    }
}

bitflags::bitflags! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct SigActionFlags: u64 {
        const NOCLDSTOP = 1;
        const NOCLDWAIT = 2;
        const SIGINFO = 4;
        const UNSUPPORTED = 0x400;
        const EXPOSE_TAGBITS = 0x800;
        const RESTORER = 0x0400_0000;
        const ONSTACK = 0x0800_0000;
        const RESTART = 0x1000_0000;
        const NODEFER = 0x4000_0000;
        const RESETHAND = 0x8000_0000;
        const _ = !0;
    }
}

impl SigActionFlags {
    /// The flags that Linux knows (UAPI_SA_FLAGS with SA_RESTORER).
    pub const fn known() -> Self {
        Self::from_bits_retain(0xdc00_0807)
    }
}

/// `struct kernel_sigaction`, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigAction {
    pub handler: u64,
    pub flags: SigActionFlags,
    pub restorer: u64,
    pub mask: SigSet,
}

crate::plain! { pub struct RawSigAction [32] { handler: u64, flags: u64, restorer: u64, mask: u64, } }

impl From<RawSigAction> for SigAction {
    fn from(raw: RawSigAction) -> Self {
        Self {
            handler: raw.handler,
            flags: SigActionFlags::from_bits_retain(raw.flags),
            restorer: raw.restorer,
            mask: SigSet(raw.mask),
        }
    }
}

impl From<SigAction> for RawSigAction {
    fn from(action: SigAction) -> Self {
        Self { handler: action.handler, flags: action.flags.bits(), restorer: action.restorer, mask: action.mask.0 }
    }
}

/// `stack_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigAltStack {
    pub sp: u64,
    pub flags: u32,
    pub pad: u32,
    pub size: u64,
}

pub const SS_ONSTACK: u32 = 1;
pub const SS_DISABLE: u32 = 2;
pub const SS_AUTODISARM: u32 = 1 << 31;
/// The least size of an alternate stack that the kernel takes.
pub const MINSIGSTKSZ: u64 = 2048;

impl SigAltStack {
    /// None.
    pub const fn disabled() -> Self {
        Self { sp: 0, flags: SS_DISABLE, pad: 0, size: 0 }
    }

    /// With these values.
    pub const fn new(sp: u64, flags: u32, size: u64) -> Self {
        Self { sp, flags, pad: 0, size }
    }

    /// Whether there is one.
    pub const fn is_enabled(&self) -> bool {
        self.flags & SS_DISABLE == 0 && self.size > 0
    }

    /// Whether a stack pointer lies on it.
    pub const fn contains(&self, sp: u64) -> bool {
        self.is_enabled() && sp > self.sp && sp - self.sp <= self.size
    }

    /// Its upper end.
    pub const fn top(&self) -> u64 {
        self.sp.wrapping_add(self.size)
    }

    /// The flags that sigaltstack and a frame show to code running at `sp`.
    pub const fn flags_seen_from(&self, sp: u64) -> u32 {
        if !self.is_enabled() {
            SS_DISABLE
        } else if self.flags & SS_AUTODISARM == 0 && self.contains(sp) {
            SS_ONSTACK
        } else {
            self.flags & SS_AUTODISARM
        }
    }
}

/// `siginfo_t`.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SigInfo {
    pub signo: i32,
    pub errno: i32,
    pub code: i32,
    pad: i32,
    fields: [u32; 28],
}

impl std::fmt::Debug for SigInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{si_signo={}, si_code={}}}", self.signo, self.code)
    }
}

impl SigInfo {
    pub const SI_USER: i32 = 0;
    pub const SI_KERNEL: i32 = 0x80;
    /// `si_code` of SIGTRAP: a single step.
    pub const TRAP_TRACE: i32 = 2;
    /// `si_code` of SIGFPE: an integer divided by zero.
    pub const FPE_INTDIV: i32 = 1;
    pub const SI_QUEUE: i32 = -1;
    pub const SI_TIMER: i32 = -2;
    pub const SI_MESGQ: i32 = -3;
    pub const SI_TKILL: i32 = -6;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_DUMPED: i32 = 3;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const SYS_SECCOMP: i32 = 1;
    pub const POLL_IN: i32 = 1;
    pub const POLL_OUT: i32 = 2;
    pub const POLL_HUP: i32 = 6;

    fn with(signal: Signal, code: i32) -> Self {
        Self { signo: signal.raw(), code, ..Self::default() }
    }

    fn put64(&mut self, at: usize, value: u64) {
        self.fields[at] = value as u32;
        self.fields[at + 1] = (value >> 32) as u32;
    }

    /// From the kernel, without a sender.
    pub fn kernel(signal: Signal) -> Self {
        Self::with(signal, Self::SI_KERNEL)
    }

    /// From `kill` (SI_USER), `tkill` (SI_TKILL)…
    pub fn user(signal: Signal, code: i32, pid: i32, uid: u32) -> Self {
        let mut info = Self::with(signal, code);
        info.fields[0] = pid as u32;
        info.fields[1] = uid;
        info
    }

    /// SIGCHLD. Times in clock ticks.
    pub fn child(signal: Signal, code: i32, pid: i32, uid: u32, status: i32, utime: i64, stime: i64) -> Self {
        let mut info = Self::user(signal, code, pid, uid);
        info.fields[2] = status as u32;
        info.put64(4, utime as u64);
        info.put64(6, stime as u64);
        info
    }

    /// A fault at an address.
    pub fn fault(signal: Signal, code: i32, address: u64) -> Self {
        let mut info = Self::with(signal, code);
        info.put64(0, address);
        info
    }

    /// Input or output that O_ASYNC announces: what (`POLL_*`), the same as events of poll(2), and where.
    pub fn io(signal: Signal, code: i32, band: i64, fd: i32) -> Self {
        let mut info = Self::with(signal, code);
        info.put64(0, band as u64);
        info.fields[2] = fd as u32;
        info
    }

    /// A POSIX timer.
    pub fn timer(signal: Signal, id: i32, overrun: i32, value: u64) -> Self {
        let mut info = Self::with(signal, Self::SI_TIMER);
        info.fields[0] = id as u32;
        info.fields[1] = overrun as u32;
        info.put64(2, value);
        info
    }

    /// A refused system call.
    pub fn seccomp(address: u64, number: i32, errno: i32) -> Self {
        let mut info = Self::with(SIGSYS, Self::SYS_SECCOMP);
        info.errno = errno;
        info.put64(0, address);
        info.fields[2] = number as u32;
        info.fields[3] = 0xc000_003e;
        info
    }

    /// As a signalfd shows it (signalfd_copyinfo).
    pub fn to_signalfd(&self) -> SignalfdSiginfo {
        let mut out = SignalfdSiginfo {
            ssi_signo: self.signo as u32,
            ssi_errno: self.errno,
            ssi_code: self.code,
            ..Default::default()
        };
        let word = |at: usize| u64::from(self.fields[at]) | u64::from(self.fields[at + 1]) << 32;
        let fault = SigSet::of(&[SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP]);
        let signal = Signal::from_raw(self.signo);
        match self.code {
            Self::SI_TIMER => {
                out.ssi_tid = self.fields[0];
                out.ssi_overrun = self.fields[1];
                out.ssi_ptr = word(2);
                out.ssi_int = self.fields[2] as i32;
            }
            code if code > 0 && signal == Some(SIGCHLD) => {
                out.ssi_pid = self.fields[0];
                out.ssi_uid = self.fields[1];
                out.ssi_status = self.fields[2] as i32;
                out.ssi_utime = word(4);
                out.ssi_stime = word(6);
            }
            code if code > 0 && code != Self::SI_KERNEL && signal.is_some_and(|s| fault.contains(s)) => {
                out.ssi_addr = word(0);
            }
            code if code > 0 && code != Self::SI_KERNEL && signal == Some(SIGIO) => {
                out.ssi_band = self.fields[0];
                out.ssi_fd = self.fields[2] as i32;
            }
            code if code > 0 && signal == Some(SIGSYS) => {
                out.ssi_call_addr = word(0);
                out.ssi_syscall = self.fields[2] as i32;
                out.ssi_arch = self.fields[3];
            }
            code => {
                out.ssi_pid = self.fields[0];
                out.ssi_uid = self.fields[1];
                if code < 0 && code != Self::SI_TKILL {
                    out.ssi_ptr = word(2);
                    out.ssi_int = self.fields[2] as i32;
                }
            }
        }
        out
    }

    /// Whether it was made by a process.
    pub fn is_from_user(&self) -> bool {
        self.code <= 0
    }

    /// The sender.
    pub fn pid(&self) -> i32 {
        self.fields[0] as i32
    }

    /// The sender's user.
    pub fn uid(&self) -> u32 {
        self.fields[1]
    }

    /// SIGCHLD's status; for queued signals the low half of the value.
    pub fn status(&self) -> i32 {
        self.fields[2] as i32
    }

    /// The value of a queued signal.
    pub fn value(&self) -> u64 {
        u64::from(self.fields[2]) | u64::from(self.fields[3]) << 32
    }

    /// The address of a fault.
    pub fn address(&self) -> u64 {
        u64::from(self.fields[0]) | u64::from(self.fields[1]) << 32
    }

    /// Counts one more expiry of a timer that is pending already.
    pub fn add_overrun(&mut self, count: i32) {
        self.fields[1] = (self.fields[1] as i32).saturating_add(count) as u32;
    }
}

const _: () = assert!(size_of::<SigInfo>() == 128);

pub const SIG_BLOCK: i32 = 0;
pub const SIG_UNBLOCK: i32 = 1;
pub const SIG_SETMASK: i32 = 2;

crate::plain! {
    pub struct SignalfdSiginfo [128] {
        ssi_signo: u32, ssi_errno: i32, ssi_code: i32, ssi_pid: u32, ssi_uid: u32, ssi_fd: i32, ssi_tid: u32,
        ssi_band: u32, ssi_overrun: u32, ssi_trapno: u32, ssi_status: i32, ssi_int: i32, ssi_ptr: u64, ssi_utime: u64,
        ssi_stime: u64, ssi_addr: u64, ssi_addr_lsb: u16, pad2: u16, ssi_syscall: i32, ssi_call_addr: u64,
        ssi_arch: u32, pad3: [u32; 7],
    }
}
crate::plain! { pub struct SigEvent [64] { value: u64, signo: i32, notify: i32, tid: i32, pad: [i32; 11], } }

pub const SIGEV_SIGNAL: i32 = 0;
pub const SIGEV_NONE: i32 = 1;
pub const SIGEV_THREAD: i32 = 2;
pub const SIGEV_THREAD_ID: i32 = 4;
