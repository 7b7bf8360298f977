//! An application thread under ptrace.

use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::deaths;
use super::kept::{self, Kept, Pool};
use super::kick::{self, Kicks};
use super::raw::{self, Stop};
use crate::stub::code::Entry;
use crate::stub::detour::{self, Detour, HEADER, LEGACY, Rest, SOFTWARE};
use crate::stub::placement::Placement;
use crate::stub::process::{HostThread, Stub};
use crate::{
    APPLICATION_END, Abi, Constants, Context, Exit, ExtendedLayout, Kicker, MemoryFault, PlatformError, Registers,
    is_exception,
};

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;

/// Where the tracee's general registers are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cache {
    /// In the tracee only.
    Absent,
    /// Copied here.
    Clean,
    /// Changed here; to be written before it runs.
    Dirty,
}

/// Every so many runs it is looked how much memory the process has used.
const RUNS_A_LOOK: u32 = 64;

/// See the module.
pub struct PtraceContext {
    stub: Arc<Stub>,
    thread: HostThread,
    pool: Arc<Pool>,
    /// The thread as it was kept, until its home goes on with it.
    kept: Option<Kept>,
    attached: bool,
    dead: bool,
    /// Its thread is kept.
    retired: bool,
    cache: Cache,
    registers: Registers,
    result: Option<u64>,
    /// The stack pointer at the system call that it stopped at; good while `cache` is absent.
    stack: u64,
    detour: Detour,
    /// What a frame held that the thread takes its registers from, or took them from last.
    returning: Option<Box<Registers>>,
    extended: Option<Vec<u8>>,
    kicks: Arc<Kicks>,
    ran: Duration,
    runs: u32,
    placement: Option<Placement>,
    on_death: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl PtraceContext {
    /// A context for a parked thread of `stub`. It is attached by the thread that first runs it.
    pub fn new(stub: Arc<Stub>, thread: HostThread, pool: Arc<Pool>) -> Self {
        // A new thread's registers are the kernel's to choose; segments are those of any 64-bit program.
        let registers = Registers { cs: 0x33, ss: 0x2b, eflags: 0x202, orig_rax: u64::MAX, ..Registers::default() };
        Self {
            stub,
            thread,
            pool,
            kept: None,
            attached: false,
            dead: false,
            retired: false,
            cache: Cache::Dirty,
            registers,
            result: None,
            stack: 0,
            detour: Detour::None,
            returning: None,
            extended: None,
            kicks: Arc::new(Kicks::default()),
            ran: Duration::ZERO,
            runs: 0,
            placement: None,
            on_death: None,
        }
    }

    /// A context for a thread of `stub` that was kept. To be polled by the thread that kept it.
    pub fn again(stub: Arc<Stub>, kept: Kept, pool: Arc<Pool>) -> Self {
        let mut context = Self::new(stub, kept.thread, pool);
        context.kept = Some(kept);
        context
    }

    fn attach(&mut self) -> Result<(), i32> {
        if self.attached {
            return Ok(());
        }
        let tid = self.thread.outer;
        let again = self.kept.take().is_some();
        if again {
            self.placement = kept::resume();
        } else {
            raw::seize(tid)?;
        }
        self.attached = true;
        if !again {
            raw::interrupt(tid)?;
            park(tid)?;
            raw::unblock_signals(tid)?;
            self.placement = Some(Placement::new(tid));
        }
        if let Some(tell) = &self.on_death {
            deaths::watch(tid, tell.clone());
        }
        match self.extended.take() {
            Some(state) => raw::set_extended_state(tid, &state)?,
            None if again => self.reset_extended_state(),
            None => {}
        }
        Ok(())
    }

    fn write_back(&mut self) -> Result<(), i32> {
        match std::mem::take(&mut self.detour) {
            Detour::None => {}
            Detour::Return { registers, .. } => {
                self.returning = Some(registers);
                return raw::set_instruction(self.thread.outer, Entry::Sigreturn.address());
            }
            Detour::Save(at) => {
                self.fetch();
                detour::begin_saving(&mut self.registers, at);
                self.cache = Cache::Dirty;
            }
        }
        if self.cache == Cache::Dirty {
            if let Some(value) = self.result.take() {
                self.registers.rax = value;
            }
            // Whatever the application put into the selectors, only 64-bit user segments run here.
            self.registers.cs = 0x33;
            self.registers.ss = 0x2b;
            raw::set_registers(self.thread.outer, &self.registers)?;
        } else if let Some(value) = self.result.take() {
            raw::set_rax(self.thread.outer, value)?;
        }
        self.cache = Cache::Absent;
        Ok(())
    }

    /// Waits for a stop, through the kicks that come meanwhile.
    fn wait(&self) -> Result<Stop, i32> {
        let tid = self.thread.outer;
        loop {
            let stop = match self.runs.is_multiple_of(RUNS_A_LOOK) {
                false => raw::wait(tid),
                true => raw::wait_with_use(tid).map(|(stop, used)| {
                    self.stub.record_use(used.max_resident << 10, used.minor_faults);
                    stop
                }),
            };
            if stop != Err(libc::EINTR) {
                return stop;
            }
        }
    }

    /// Stops the thread once more without its having run, since use is told with a stop.
    fn stop_again(&mut self) -> Result<(), i32> {
        let tid = self.thread.outer;
        raw::interrupt(tid)?;
        raw::resume(tid)?;
        loop {
            match raw::wait_with_use(tid) {
                Ok((Stop::Ended, _)) => return Err(libc::ESRCH),
                Ok((_, used)) => {
                    self.stub.record_use(used.max_resident << 10, used.minor_faults);
                    return Ok(());
                }
                Err(libc::EINTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn run(&mut self, mut now: Instant) -> Result<(Exit, Instant), i32> {
        self.attach()?;
        let tid = self.thread.outer;
        loop {
            if self.kicks.take() {
                self.leave_detour()?;
                return Ok((Exit::Kicked, now));
            }
            self.write_back()?;
            kick::set_tracee(tid);
            if !self.kicks.enter() {
                continue;
            }
            if let Some(placement) = &self.placement {
                placement.begin();
            }
            self.runs = self.runs.wrapping_add(1);
            let stop = raw::resume(tid).and_then(|()| self.wait());
            self.kicks.leave();
            let stopped = Instant::now();
            let ran = stopped.saturating_duration_since(now);
            now = stopped;
            self.ran += ran;
            if let Some(placement) = &mut self.placement {
                placement.end(ran);
            }
            if let Some(exit) = self.exit_of(stop?)? {
                return Ok((exit, stopped));
            }
        }
    }

    /// What a stop is to the kernel; nothing, if the thread was only held up.
    fn exit_of(&mut self, stop: Stop) -> Result<Option<Exit>, i32> {
        let tid = self.thread.outer;
        Ok(Some(match stop {
            Stop::Syscall => {
                let info = raw::syscall_info(tid)?;
                self.stack = info.stack;
                let abi = if info.arch == AUDIT_ARCH_X86_64 { Abi::X86_64 } else { Abi::I386 };
                Exit::Syscall { abi, number: info.number, arguments: info.arguments }
            }
            Stop::Signal(signal) => match raw::signal_info(tid)? {
                (code, address) if is_exception(signal, code) => Exit::Exception { signal, code, address },
                _ => {
                    self.leave_detour()?;
                    Exit::HostSignal { signal }
                }
            },
            Stop::Event => return Ok(None),
            Stop::Ended => return Err(libc::ESRCH),
        }))
    }

    /// Brings a stopped thread that is in stub code on the application's behalf out of it, so that nobody sees where it
    /// was: what it had not done yet is a detour still to be made. (Stepping it to the end would leave the trap flag: see
    /// `enable_single_step` of the host's arch/x86/kernel/step.c for two steps with no run between.)
    fn leave_detour(&mut self) -> Result<(), i32> {
        // Registers that somebody has seen or changed are the application's already.
        if self.cache != Cache::Absent {
            return Ok(());
        }
        let tid = self.thread.outer;
        let mut own = raw::registers(tid)?;
        match Rest::at(own.rip) {
            None => return Ok(()),
            Some(Rest::Return) => {
                if let Some(registers) = self.returning.take() {
                    self.detour = Detour::Return { stack: own.rsp, registers };
                }
                return Ok(());
            }
            Some(Rest::Save) => self.detour = Detour::Save(own.rcx),
            Some(Rest::Reset) => {
                let size = raw::extended_state(tid)?.len();
                raw::set_extended_state(tid, &detour::initial_state(size))?;
            }
            Some(Rest::Enter) => {}
        }
        detour::end_saving(&mut own);
        self.registers = own;
        self.cache = Cache::Dirty;
        Ok(())
    }

    /// Does by ptrace what the thread was to do by itself, since somebody wants to see the result.
    fn settle(&mut self) {
        let tid = self.thread.outer;
        let done = match std::mem::take(&mut self.detour) {
            Detour::None => Ok(()),
            Detour::Save(at) => raw::extended_state(tid).and_then(|mut state| {
                detour::write_state(&self.stub, at, &mut state);
                raw::set_extended_state(tid, &detour::initial_state(state.len()))
            }),
            Detour::Return { stack, registers } => raw::registers(tid).map(|own| {
                self.registers = own.with_sigcontext(&registers);
                self.cache = Cache::Dirty;
                // What the application has made of its frame since it was looked at is its own affair.
                let state = layout(tid).and_then(|l| detour::read_state(&self.stub, stack, l.size));
                let _ = state.map(|state| raw::set_extended_state(tid, &state));
            }),
        };
        self.dead |= done.is_err();
    }

    fn fetch(&mut self) {
        if matches!(self.detour, Detour::Return { .. }) {
            self.settle();
        }
        if self.cache != Cache::Absent || !self.attached {
            return;
        }
        match raw::registers(self.thread.outer) {
            Ok(registers) => self.registers = registers,
            Err(_) => self.dead = true,
        }
        if let Some(value) = self.result.take() {
            self.registers.rax = value;
            self.cache = Cache::Dirty;
        } else {
            self.cache = Cache::Clean;
        }
    }

    /// Runs stub code until it traps.
    fn run_stub_code(&mut self, registers: &Registers) -> Result<i32, i32> {
        let tid = self.thread.outer;
        raw::set_registers(tid, registers)?;
        loop {
            raw::resume(tid)?;
            let stop = loop {
                match raw::wait(tid) {
                    Err(libc::EINTR) => {}
                    stop => break stop?,
                }
            };
            match stop {
                Stop::Signal(signal)
                    if matches!(signal, libc::SIGTRAP | libc::SIGSEGV | libc::SIGBUS)
                        && raw::signal_info(tid)?.0 > 0 =>
                {
                    return Ok(signal);
                }
                Stop::Ended => return Err(libc::ESRCH),
                // A host signal to the stub in this very moment is lost, as one that arrives twice is.
                _ => {}
            }
        }
    }
}

impl Context for PtraceContext {
    fn poll_run(&mut self, _: &mut std::task::Context<'_>, now: Instant) -> Poll<(Exit, Instant)> {
        if self.dead {
            return Poll::Ready((Exit::Dead, now));
        }
        Poll::Ready(self.run(now).unwrap_or_else(|_| {
            self.dead = true;
            (Exit::Dead, Instant::now())
        }))
    }

    fn set_constants(&mut self, _: Option<&Constants>) {}

    fn take_hot_call(&mut self) -> Option<u64> {
        None
    }

    fn set_result(&mut self, value: u64) {
        if self.cache == Cache::Absent {
            self.result = Some(value);
        } else {
            self.registers.rax = value;
            self.cache = Cache::Dirty;
        }
    }

    fn registers(&mut self) -> &Registers {
        self.fetch();
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Registers {
        self.fetch();
        self.cache = Cache::Dirty;
        &mut self.registers
    }

    fn extended_state(&mut self) -> Vec<u8> {
        self.settle();
        if let Some(state) = &self.extended {
            return state.clone();
        }
        if self.attached {
            raw::extended_state(self.thread.outer).unwrap_or_else(|_| detour::initial_state(0))
        } else {
            detour::initial_state(0)
        }
    }

    fn set_extended_state(&mut self, state: &[u8]) -> Result<(), PlatformError> {
        if !self.attached {
            self.extended = Some(state.to_vec());
            return Ok(());
        }
        self.settle();
        raw::set_extended_state(self.thread.outer, state).map_err(PlatformError::Host)
    }

    fn reset_extended_state(&mut self) {
        self.settle();
        if self.attached {
            let size = raw::extended_state(self.thread.outer).map_or(0, |s| s.len());
            let initial = detour::initial_state(size);
            // The host takes its own initial state; only a dead thread refuses.
            let _ = raw::set_extended_state(self.thread.outer, &initial);
        } else {
            self.extended = None;
        }
    }

    fn extended_layout(&mut self) -> Option<ExtendedLayout> {
        if self.attached { layout(self.thread.outer) } else { None }
    }

    fn save_extended_state_at(&mut self, at: u64) {
        self.settle();
        self.detour = Detour::Save(at);
    }

    fn return_from_frame(&mut self, stack: u64, registers: &Registers) {
        self.settle();
        self.result = None;
        self.cache = Cache::Absent;
        self.detour = Detour::Return { stack, registers: Box::new(*registers) };
    }

    fn stack_pointer(&mut self) -> u64 {
        match (self.cache, &self.detour) {
            (Cache::Absent, Detour::None) => self.stack,
            _ => self.registers().rsp,
        }
    }

    fn compare_exchange(&mut self, at: u64, expected: u32, new: u32) -> Result<u32, MemoryFault> {
        let fault = MemoryFault { done: 0 };
        if at.checked_add(4).is_none_or(|end| end > APPLICATION_END) || self.dead || self.attach().is_err() {
            return Err(fault);
        }
        self.fetch();
        let mut registers = self.registers;
        registers.rax = u64::from(expected);
        registers.rdx = u64::from(new);
        registers.rdi = at;
        registers.rip = Entry::Exchange.address();
        registers.orig_rax = u64::MAX;
        registers.eflags &= !0x100;
        registers.cs = 0x33;
        registers.ss = 0x2b;
        kick::set_tracee(0);
        let trapped = self.run_stub_code(&registers);
        let seen = raw::registers(self.thread.outer);
        self.cache = Cache::Dirty;
        match (trapped, seen) {
            (Ok(libc::SIGTRAP), Ok(seen)) => Ok(seen.rax as u32),
            (Ok(_), Ok(_)) => Err(fault),
            _ => {
                self.dead = true;
                Err(fault)
            }
        }
    }

    fn on_death(&mut self, tell: Arc<dyn Fn() + Send + Sync>) {
        if self.attached {
            deaths::watch(self.thread.outer, tell);
        } else {
            self.on_death = Some(tell);
        }
    }

    fn kicker(&self) -> Arc<dyn Kicker> {
        self.kicks.clone()
    }

    fn tid_hint(&self) -> Option<u32> {
        // The number of a thread that has ended comes back no sooner than others do.
        if self.kept.is_some() {
            return None;
        }
        u32::try_from(self.thread.inner).ok()
    }

    fn home(&self) -> Option<ThreadId> {
        self.kept.as_ref().map(Kept::home)
    }

    fn retire(mut self: Box<Self>) {
        if !self.attached || self.dead || self.stub.is_dead() {
            return;
        }
        kick::set_tracee(0);
        deaths::forget(self.thread.outer);
        match self.pool.keep(self.thread, self.placement.take()) {
            Ok(()) => self.retired = true,
            Err(placement) => self.placement = placement,
        }
    }

    fn update_use(&mut self) {
        if self.attached && !self.dead {
            kick::set_tracee(0);
            self.dead = self.stop_again().is_err();
        }
    }

    fn cpu_time(&self) -> Duration {
        self.ran
    }
}

impl Drop for PtraceContext {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            return self.pool.put_back(kept);
        }
        if self.retired {
            return;
        }
        kick::set_tracee(0);
        if self.attached {
            deaths::forget(self.thread.outer);
        }
        if self.dead || self.stub.is_dead() {
            if self.attached {
                kept::spend();
            }
            return;
        }
        // A thread that died meanwhile needs nothing.
        if self.attach().is_ok() {
            let _ = let_go(self.thread.outer);
        }
    }
}

/// Brings a new thread, which has just been interrupted, to where it waits, having left the mapper: a thread with the
/// mapper's key runs no application code.
fn park(tid: i32) -> Result<(), i32> {
    let mut stop = raw::wait(tid);
    loop {
        match stop {
            Ok(Stop::Event) if Entry::Parked.is_at(raw::registers(tid)?.rip) => return Ok(()),
            // It stops in the call, which is not to be skipped: its filter would see a number that it does not know.
            Ok(Stop::Syscall) if raw::syscall_info(tid)?.is_entry_of(libc::SYS_pause) => {
                raw::interrupt(tid)?;
                raw::go_on(tid)?;
            }
            Ok(Stop::Ended) => return Err(libc::ESRCH),
            Ok(_) => raw::step_call(tid)?,
            Err(libc::EINTR) => {}
            Err(e) => return Err(e),
        }
        stop = raw::wait(tid);
    }
}

/// Ends a stopped tracee by its own exit: a tracer that simply went away would take the whole stub along.
pub fn let_go(tid: i32) -> Result<(), i32> {
    let mut registers = raw::registers(tid)?;
    registers.rip = Entry::Exit.address();
    registers.orig_rax = u64::MAX;
    registers.eflags &= !0x100;
    registers.cs = 0x33;
    registers.ss = 0x2b;
    raw::set_registers(tid, &registers)?;
    raw::detach(tid)
}

/// The layout of the host's XSAVE images, asked for once.
fn layout(tid: i32) -> Option<ExtendedLayout> {
    static LAYOUT: OnceLock<Option<ExtendedLayout>> = OnceLock::new();
    *LAYOUT.get_or_init(|| {
        let state = raw::extended_state(tid).ok().filter(|s| s.len() >= LEGACY + HEADER)?;
        let features = state[SOFTWARE..].first_chunk().map(|word| u64::from_le_bytes(*word))?;
        Some(ExtendedLayout { size: state.len(), features })
    })
}
