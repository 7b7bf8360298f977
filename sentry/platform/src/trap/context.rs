//! An application thread whose system calls are signals.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::code::{YIELDS, action};
use super::frame::{Frame, Info};
use super::kick::{self, Kicks};
use super::slots::{self, offset};
use super::space::{Place, Places};
use crate::ptrace::placement::Placement;
use crate::stub::process::Stub;
use crate::{APPLICATION_END, Abi, Context, Exit, ExtendedLayout, Kicker, MemoryFault, PlatformError, Registers};

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// `si_code` of a SIGSYS that a filter made.
const SYS_SECCOMP: i32 = 1;
/// How often a thread that is waited for is looked after: whether it must be given up.
const LOOK: Duration = Duration::from_secs(5);
/// The end of what the bases of %fs and %gs can be set to.
const BASE_END: u64 = 1 << 47;

/// See the module.
pub struct TrapContext {
    stub: Arc<Stub>,
    places: Arc<Places>,
    /// Taken when it is dropped.
    place: Option<Place>,
    /// The thread's number if the guest has not known it yet.
    hint: Option<u32>,
    /// How often it is known to have stopped.
    seen: u32,
    /// Where it stopped; `None` until it has for the first time.
    frame: Option<Frame>,
    dead: bool,
    registers: Registers,
    changed: bool,
    kicks: Arc<Kicks>,
    ran: Duration,
    placement: Option<Placement>,
}

impl TrapContext {
    /// A context for the thread at `place`, which is new or was let go of by another context.
    pub fn new(stub: Arc<Stub>, places: Arc<Places>, place: Place) -> Self {
        let kicks = Arc::new(Kicks::new(&stub, place.thread.inner));
        let registers = Registers { cs: 0x33, ss: 0x2b, eflags: 0x202, orig_rax: u64::MAX, ..Registers::default() };
        Self {
            stub,
            places,
            hint: if place.fresh { u32::try_from(place.thread.inner).ok() } else { None },
            seen: place.seen,
            place: Some(place),
            frame: None,
            dead: false,
            registers,
            changed: true,
            kicks,
            ran: Duration::ZERO,
            placement: None,
        }
    }

    fn place(&self) -> Result<&Place, PlatformError> {
        self.place.as_ref().ok_or(PlatformError::Dead)
    }

    /// Waits until the thread has stopped once more.
    fn await_stop(&mut self) -> Result<(), PlatformError> {
        let slot = self.place()?.slot.clone();
        let posted = slot.word(offset::POSTED);
        let waits = slot.word(offset::SENTRY_WAITS);
        let mut yields = 0;
        loop {
            let now = posted.load(Ordering::Acquire);
            if self.stub.is_dead() {
                return Err(PlatformError::Dead);
            }
            if now != self.seen {
                self.seen = now;
                return Ok(());
            }
            if yields < YIELDS {
                yields += 1;
                std::thread::yield_now();
                continue;
            }
            waits.store(1, Ordering::SeqCst);
            if posted.load(Ordering::SeqCst) == self.seen {
                slots::sleep_while(posted, self.seen, LOOK);
            }
            waits.store(0, Ordering::Relaxed);
            if self.kicks.unanswered() {
                self.stub.kill();
            }
        }
    }

    /// Where it has stopped, and by which signal.
    fn look(&mut self) -> Result<(i32, Info), PlatformError> {
        let slot = self.place()?.slot.clone();
        let frame = Frame::at(&slot, slot.get_u64(offset::CONTEXT)).ok_or(PlatformError::Dead)?;
        let signal = slot.word(offset::STOP).load(Ordering::Acquire) as i32;
        self.registers = Registers {
            fs_base: slot.get_u64(offset::FS),
            gs_base: slot.get_u64(offset::GS),
            ..frame.registers(&slot)
        };
        self.changed = false;
        self.frame = Some(frame);
        Ok((signal, frame.info(&slot)))
    }

    /// Waits for a thread that has just been born, or takes over one that another context has let go of: both stand in
    /// their handler.
    fn attach(&mut self) -> Result<Frame, PlatformError> {
        if let Some(frame) = self.frame {
            return Ok(frame);
        }
        let (registers, changed) = (self.registers, self.changed);
        if self.place()?.fresh {
            self.await_stop()?;
        }
        self.look()?;
        (self.registers, self.changed) = (registers, changed);
        let frame = self.frame.ok_or(PlatformError::Dead)?;
        frame.reset_extended_state(&self.place()?.slot);
        Ok(frame)
    }

    /// Lets the handler go on.
    fn answer(&self, action: u32) -> Result<(), PlatformError> {
        let slot = &self.place()?.slot;
        slot.word(offset::ACTION).store(action, Ordering::Relaxed);
        let answered = slot.word(offset::ANSWERED);
        answered.fetch_add(1, Ordering::SeqCst);
        if slot.word(offset::STUB_WAITS).load(Ordering::SeqCst) != 0 {
            slots::wake(answered);
        }
        Ok(())
    }

    fn run(&mut self) -> Result<Exit, PlatformError> {
        let frame = self.attach()?;
        if self.placement.is_none() {
            // Not before: others than the thread that polls it may have looked at its registers.
            self.placement = Some(Placement::new(self.place()?.thread.outer));
        }
        loop {
            if self.kicks.take() {
                return Ok(Exit::Kicked);
            }
            if self.kicks.enter() {
                break;
            }
        }
        let slot = self.place()?.slot.clone();
        let mut wanted = action::RETURN;
        if self.changed {
            frame.set_registers(&slot, &self.registers);
            for (at, base) in [(offset::FS, self.registers.fs_base), (offset::GS, self.registers.gs_base)] {
                if slot.get_u64(at) != base {
                    slot.put_u64(at, if base < BASE_END { base } else { 0 });
                    wanted |= action::SET_BASES;
                }
            }
        }
        frame.make_sane(&slot);
        if let Some(placement) = &self.placement {
            placement.begin();
        }
        let began = Instant::now();
        let stopped = self.answer(wanted).and_then(|()| self.await_stop());
        self.kicks.leave();
        let ran = began.elapsed();
        self.ran += ran;
        if let Some(placement) = &mut self.placement {
            placement.end(ran);
        }
        stopped?;
        let (signal, info) = self.look()?;
        Ok(self.exit_of(signal, info))
    }

    fn exit_of(&mut self, signal: i32, info: Info) -> Exit {
        match signal {
            libc::SIGSYS if info.code == SYS_SECCOMP => {
                let r = &mut self.registers;
                let number = r.rax;
                r.orig_rax = number;
                r.rax = (-i64::from(libc::ENOSYS)) as u64;
                self.changed = true;
                let r = &self.registers;
                let abi = if info.arch == AUDIT_ARCH_X86_64 { Abi::X86_64 } else { Abi::I386 };
                Exit::Syscall { abi, number, arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] }
            }
            kick::SIGNAL => {
                // Whoever kicked meanwhile is answered by this.
                self.kicks.take();
                Exit::Kicked
            }
            libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGTRAP if info.code > 0 => {
                Exit::Exception { signal, code: info.code, address: info.address }
            }
            _ => Exit::HostSignal { signal },
        }
    }
}

impl Context for TrapContext {
    fn poll_run(&mut self, _: &mut std::task::Context<'_>) -> Poll<Exit> {
        if self.dead {
            return Poll::Ready(Exit::Dead);
        }
        Poll::Ready(self.run().unwrap_or_else(|_| {
            self.dead = true;
            Exit::Dead
        }))
    }

    fn set_result(&mut self, value: u64) {
        self.registers.rax = value;
        match (self.changed, self.frame, &self.place) {
            (false, Some(frame), Some(place)) => frame.set_rax(&place.slot, value),
            _ => self.changed = true,
        }
    }

    fn registers(&mut self) -> &Registers {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Registers {
        self.changed = true;
        &mut self.registers
    }

    fn extended_state(&mut self) -> Vec<u8> {
        let attached = self.attach();
        match (attached, &self.place) {
            (Ok(frame), Some(place)) => frame.extended_state(&place.slot).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn set_extended_state(&mut self, state: &[u8]) -> Result<(), PlatformError> {
        let frame = self.attach()?;
        frame.set_extended_state(&self.place()?.slot, state)
    }

    fn reset_extended_state(&mut self) {
        if let (Ok(frame), Some(place)) = (self.attach(), &self.place) {
            frame.reset_extended_state(&place.slot);
        }
    }

    fn extended_layout(&mut self) -> Option<ExtendedLayout> {
        None
    }

    fn save_extended_state_at(&mut self, _: u64) {}

    fn return_from_frame(&mut self, _: u64, _: &Registers) {}

    fn stack_pointer(&mut self) -> u64 {
        self.registers.rsp
    }

    fn compare_exchange(&mut self, at: u64, expected: u32, new: u32) -> Result<u32, MemoryFault> {
        let fault = MemoryFault { done: 0 };
        if at.checked_add(4).is_none_or(|end| end > APPLICATION_END) || self.dead {
            return Err(fault);
        }
        let exchanged = self.attach().and_then(|_| {
            let slot = self.place()?.slot.clone();
            slot.put_u64(offset::WORD, at);
            slot.word(offset::EXPECTED).store(expected, Ordering::Relaxed);
            slot.word(offset::NEW).store(new, Ordering::Relaxed);
            self.answer(action::EXCHANGE)?;
            self.await_stop()?;
            let found = slot.word(offset::FOUND).load(Ordering::Acquire);
            Ok((slot.word(offset::FAULTED).load(Ordering::Acquire) != 0, found))
        });
        match exchanged {
            Ok((false, found)) => Ok(found),
            Ok((true, _)) => Err(fault),
            Err(_) => {
                self.dead = true;
                Err(fault)
            }
        }
    }

    fn on_death(&mut self, tell: Arc<dyn Fn() + Send + Sync>) {
        if let Some(place) = &self.place {
            self.places.mourn(&place.slot, tell);
        }
    }

    fn kicker(&self) -> Arc<dyn Kicker> {
        self.kicks.clone()
    }

    fn tid_hint(&self) -> Option<u32> {
        self.hint
    }

    fn home(&self) -> Option<ThreadId> {
        None
    }

    fn retire(self: Box<Self>) {}

    fn update_use(&mut self) {
        let mut asked = || -> Result<(), PlatformError> {
            self.attach()?;
            let slot = self.place()?.slot.clone();
            self.answer(action::USAGE)?;
            self.await_stop()?;
            // struct rusage: ru_maxrss in KiB, ru_minflt.
            let (peak, faults) = (slot.get_u64(offset::USAGE + 32), slot.get_u64(offset::USAGE + 64));
            self.stub.record_use(peak.saturating_mul(1024), faults);
            Ok(())
        };
        self.dead |= asked().is_err();
    }

    fn cpu_time(&self) -> Duration {
        self.ran
    }
}

impl Drop for TrapContext {
    fn drop(&mut self) {
        // A thread that was never run stands in its handler soon, or is dead.
        let attached = self.attach().is_ok();
        if let Some(mut place) = self.place.take() {
            if attached && !self.dead {
                place.seen = self.seen;
                place.fresh = false;
                self.places.give_back(place);
            } else {
                self.places.give_up();
            }
        }
    }
}
