//! An application thread whose system calls are signals.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::code::{self, Entry, YIELDS, action};
use super::constants;
use super::frame::{self, Frame, Info};
use super::kick::{self, Kicks};
use super::places::{Place, Places};
use super::slots::{self, Slot, offset};
use super::spin::Spinning;
use super::window::SlotWindow;
use crate::stub::code::Entry as StubEntry;
use crate::stub::detour::{self, Detour, Rest};
use crate::stub::placement::Placement;
use crate::stub::process::Stub;
use crate::{
    APPLICATION_END, Abi, Ahead, Constants, Context, Exit, ExtendedLayout, Kicker, MemoryFault, PlatformError,
    Registers, Window, is_exception,
};

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// `si_code` of a SIGSYS that a filter made.
const SYS_SECCOMP: i32 = 1;
/// How often a thread that is waited for is looked after: whether it must be given up.
const LOOK: Duration = Duration::from_secs(5);
/// `si_code` of a single step.
const TRAP_TRACE: i32 = 2;
/// The flag by which the processor traps after each instruction.
const TRAP_FLAG: u64 = 0x100;
/// The result of a call that is given none.
const NO_RESULT: u64 = -(libc::ENOSYS as i64) as u64;
/// The end of what the bases of %fs and %gs can be set to.
const BASE_END: u64 = 1 << 47;

/// Where the stack pointer stands in the registers of a call.
const SAVED_STACK: usize = 8 * 15;

/// Where a thread is while the sentry has it.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// Not known yet: it is new, or was another context's.
    Unknown,
    /// In the handler, with all of its state in a frame.
    Frame(Frame),
    /// In a call without a signal, with its general registers in the slot.
    Call,
}

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
    stop: Stop,
    /// Its vector state is that of who had the thread before.
    stale: bool,
    dead: bool,
    registers: Registers,
    /// `registers` are not yet those of the call that it stopped for, whose result is `result`.
    unread: bool,
    result: u64,
    changed: bool,
    detour: Detour,
    /// What a frame held that the thread takes its registers from, or took them from last.
    returning: Option<Box<Registers>>,
    window: Arc<SlotWindow>,
    /// See [`Context::take_hot_call`].
    hot: Option<u64>,
    kicks: Arc<Kicks>,
    ran: Duration,
    /// When it stopped last.
    stopped: Option<Instant>,
    spinning: Spinning,
    placement: Option<Placement>,
}

impl TrapContext {
    /// A context for the thread at `place`, which is new or was let go of by another context.
    pub fn new(stub: Arc<Stub>, places: Arc<Places>, place: Place) -> Self {
        let kicks = Arc::new(Kicks::new(&stub, place.slot.clone(), place.thread.inner));
        // Those of a context before are not this one's.
        constants::revoke(&place.slot);
        let window = SlotWindow::new(place.slot.clone(), stub.clone(), places.clone());
        let spinning = Spinning::new(place.slot.clone(), places.baton());
        let registers = Registers { cs: 0x33, ss: 0x2b, eflags: 0x202, orig_rax: u64::MAX, ..Registers::default() };
        Self {
            stub,
            places,
            hint: if place.fresh { u32::try_from(place.thread.inner).ok() } else { None },
            seen: place.seen,
            place: Some(place),
            stop: Stop::Unknown,
            stale: true,
            dead: false,
            registers,
            unread: false,
            result: NO_RESULT,
            changed: true,
            detour: Detour::None,
            returning: None,
            window,
            hot: None,
            kicks,
            ran: Duration::ZERO,
            stopped: None,
            spinning,
            placement: None,
        }
    }

    fn place(&self) -> Result<&Place, PlatformError> {
        self.place.as_ref().ok_or(PlatformError::Dead)
    }

    /// Waits until the thread has stopped once more.
    fn await_stop(&mut self) -> Result<(), PlatformError> {
        let place = self.place.as_ref().ok_or(PlatformError::Dead)?;
        let posted = place.slot.word(offset::POSTED);
        let waits = place.slot.word(offset::SENTRY_WAITS);
        self.spinning.watch(self.seen, self.placement.as_mut());
        let mut yields = 0;
        let mut asked = None;
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
            // What the sentry itself has asked for takes no time, but if the application has overwritten the question.
            let since = *asked.get_or_insert_with(Instant::now);
            let overdue = !self.kicks.is_running() && since.elapsed() > kick::PATIENCE;
            if overdue || self.kicks.unanswered() {
                self.stub.kill();
            }
        }
    }

    /// Why it has stopped.
    fn look(&mut self) -> Result<Cause, PlatformError> {
        let slot = &self.place.as_ref().ok_or(PlatformError::Dead)?.slot;
        let word = slot.word(offset::STOP).load(Ordering::Acquire);
        let (stop, ahead) = (word & code::REASON, word >> code::AHEAD_SHIFT);
        if stop == code::UNWRITTEN {
            return Ok(Cause::Unwritten);
        }
        self.changed = false;
        if stop == code::CALL {
            let mut line = [0; 52];
            slot.get(offset::NUMBER, &mut line);
            let argument = |i: usize| frame::word(&line, offset::ARGUMENTS - offset::NUMBER + 8 * i);
            self.stop = Stop::Call;
            self.unread = true;
            self.result = NO_RESULT;
            let arguments = std::array::from_fn(argument);
            self.window.open(arguments, Ahead(ahead as u8));
            return Ok(Cause::Call { number: frame::half(&line, 0), arguments });
        }
        self.window.clear();
        let frame = Frame::at(slot, slot.get_u64(offset::CONTEXT)).ok_or(PlatformError::Dead)?;
        self.registers = Registers {
            fs_base: slot.get_u64(offset::FS),
            gs_base: own_base(slot, slot.get_u64(offset::GS)),
            ..frame.registers(slot)
        };
        self.unread = false;
        self.stop = Stop::Frame(frame);
        Ok(Cause::Signal { signal: stop as i32, info: frame.info(slot) })
    }

    /// Waits for a thread that has just been born, or takes over one that another context has let go of: it stands in its
    /// handler, or in a call.
    fn attach(&mut self) -> Result<(), PlatformError> {
        if !matches!(self.stop, Stop::Unknown) {
            return Ok(());
        }
        let (registers, changed) = (self.registers, self.changed);
        let place = self.place()?;
        if place.in_call {
            self.stop = Stop::Call;
        } else {
            if place.fresh {
                self.await_stop()?;
            }
            self.look()?;
            if let (Stop::Frame(frame), Some(place)) = (self.stop, &self.place) {
                frame.learn_layout(&place.slot);
            }
        }
        (self.registers, self.changed) = (registers, changed);
        Ok(())
    }

    /// Gives the thread the vector state of a new program, unless it has been given one.
    fn leave_no_state_behind(&mut self) -> Result<(), PlatformError> {
        if self.stale {
            self.frame()?.reset_extended_state(&self.place()?.slot);
            self.stale = false;
        }
        Ok(())
    }

    /// The frame of a thread that has stopped; one that makes a call is let into its handler first.
    fn frame(&mut self) -> Result<Frame, PlatformError> {
        self.attach()?;
        if let Stop::Frame(frame) = self.stop {
            return Ok(frame);
        }
        self.settle();
        self.read_registers();
        let registers = self.registers;
        self.answer(action::FRAME)?;
        self.await_stop()?;
        self.look()?;
        self.registers = registers;
        self.changed = true;
        match self.stop {
            Stop::Frame(frame) => Ok(frame),
            _ => Err(PlatformError::Dead),
        }
    }

    /// Writes what the thread has not written. If that can't be, the call fails after all.
    fn settle(&mut self) {
        if self.window.settle().is_err() {
            self.result = -(libc::EFAULT as i64) as u64;
            if !self.unread && !self.changed {
                self.registers.rax = self.result;
            }
        }
    }

    /// Reads the registers of a call, at the first need.
    fn read_registers(&mut self) {
        let Some(place) = self.place.as_ref().filter(|_| self.unread) else { return };
        self.unread = false;
        let registers = frame::general(&place.slot, offset::SAVED);
        self.registers = Registers {
            fs_base: place.slot.get_u64(offset::FS),
            orig_rax: registers.rax,
            rax: self.result,
            ..registers
        };
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

    /// Does what the thread was to do on a detour, since somebody wants to see the result.
    fn take_detour(&mut self) -> Result<(), PlatformError> {
        match std::mem::take(&mut self.detour) {
            Detour::None => {}
            Detour::Save(at) => {
                let frame = self.frame()?;
                let slot = &self.place()?.slot;
                detour::write_state(&self.stub, at, &mut frame.extended_state(slot).unwrap_or_default());
                frame.reset_extended_state(slot);
            }
            Detour::Return { stack, registers } => {
                self.read_registers();
                self.registers = self.registers.with_sigcontext(&registers);
                self.changed = true;
                let state = frame::layout().and_then(|layout| detour::read_state(&self.stub, stack, layout.size));
                if let Some(state) = state {
                    // What the application has made of its frame since it was looked at is its own affair.
                    let _ = self.frame()?.set_extended_state(&self.place()?.slot, &state);
                }
            }
        }
        Ok(())
    }

    /// Brings a stopped thread that is on a detour out of it, so that nobody sees where it was: what it had not done yet is a
    /// detour still to be made.
    fn leave_detour(&mut self) -> Result<(), PlatformError> {
        match Rest::at(self.registers.rip) {
            None => return Ok(()),
            Some(Rest::Return) => {
                if let Some(registers) = self.returning.take() {
                    self.detour = Detour::Return { stack: self.registers.rsp, registers };
                }
                return Ok(());
            }
            Some(Rest::Save) => self.detour = Detour::Save(self.registers.rcx),
            Some(Rest::Reset) => self.frame()?.reset_extended_state(&self.place()?.slot),
            Some(Rest::Enter) => {}
        }
        detour::end_saving(&mut self.registers);
        self.changed = true;
        Ok(())
    }

    /// The registers that the thread will have first.
    fn departing(&mut self) -> Registers {
        if !matches!(self.detour, Detour::None) {
            self.read_registers();
            self.changed = true;
        }
        let mut registers = self.registers;
        match &self.detour {
            Detour::None => {}
            Detour::Save(at) => detour::begin_saving(&mut registers, *at),
            Detour::Return { stack, .. } => {
                (registers.rip, registers.rsp) = (StubEntry::Sigreturn.address(), *stack);
                registers.eflags &= !TRAP_FLAG;
            }
        }
        registers
    }

    /// Makes the registers those that the thread will have, as far as they were changed; what the answer must ask for.
    fn put_registers(&mut self) -> Result<u32, PlatformError> {
        if let (Stop::Call, Detour::None, false, Some(place)) = (self.stop, &self.detour, self.changed, &self.place) {
            place.slot.put_u64(offset::RESULT, self.result);
            return Ok(action::RETURN);
        }
        let r = self.departing();
        if let (Stop::Call, Some(place)) = (self.stop, &self.place) {
            let slot = &place.slot;
            let bases = r.fs_base == slot.get_u64(offset::FS) && r.gs_base == 0;
            // A jump to where no code can be must fault there.
            if bases && r.rip < BASE_END {
                frame::set_general(slot, offset::SAVED, &r);
                slot.put_u64(offset::RESULT, r.rax);
                return Ok(action::RETURN);
            }
        }
        let frame = self.frame()?;
        let slot = &self.place()?.slot;
        let mut wanted = action::RETURN;
        if self.changed {
            frame.set_registers(slot, &r);
            let gs = match r.gs_base {
                0 if self.places.are_found_by_gs() => slot.address(),
                base => base,
            };
            for (at, base) in [(offset::FS, r.fs_base), (offset::GS, gs)] {
                if slot.get_u64(at) != base {
                    slot.put_u64(at, if base < BASE_END { base } else { 0 });
                    wanted |= action::SET_BASES;
                }
            }
        }
        frame.make_sane(slot);
        Ok(wanted)
    }

    fn run(&mut self, mut now: Instant) -> Result<(Exit, Instant), PlatformError> {
        self.attach()?;
        self.leave_no_state_behind()?;
        if self.placement.is_none() {
            // Not before: others than the thread that polls it may have looked at its registers.
            self.placement = Some(Placement::new(self.place()?.thread.outer));
        }
        loop {
            let wanted = self.put_registers()?;
            while !self.kicks.enter() {
                if self.kicks.take() {
                    return Ok((Exit::Kicked, now));
                }
            }
            let exit = self.run_on(wanted, now);
            self.kicks.leave();
            let (exit, stopped) = exit?;
            if let Some(exit) = exit {
                return Ok((exit, stopped));
            }
            now = stopped;
        }
    }

    /// Lets the thread run, from `now` on, until it stops. The exit is `None` if the application is not concerned.
    fn run_on(&mut self, mut wanted: u32, now: Instant) -> Result<(Option<Exit>, Instant), PlatformError> {
        if !matches!(self.stop, Stop::Call) {
            self.settle();
        }
        if self.window.close() {
            wanted |= action::WRITE_PIECES;
        }
        if let Detour::Return { registers, .. } = std::mem::take(&mut self.detour) {
            self.returning = Some(registers);
        }
        if let Some(placement) = &mut self.placement {
            let service = self.stopped.map_or(Duration::ZERO, |stopped| now.saturating_duration_since(stopped));
            self.spinning.before_answer(now, service, placement);
            placement.begin();
        }
        let awaited = self.answer(wanted).and_then(|()| self.await_stop());
        let stopped = Instant::now();
        let ran = stopped.saturating_duration_since(now);
        self.ran += ran;
        self.stopped = Some(stopped);
        self.spinning.after_run(ran);
        if let Some(placement) = &mut self.placement {
            placement.end(ran);
        }
        awaited?;
        let exit = match self.look()? {
            Cause::Unwritten => {
                self.settle();
                None
            }
            Cause::Call { number, arguments } => {
                Some(Exit::Syscall { abi: Abi::X86_64, number: u64::from(number), arguments })
            }
            Cause::Signal { signal, info } => self.exit_of(signal, info)?,
        };
        Ok((exit, stopped))
    }

    fn exit_of(&mut self, signal: i32, info: Info) -> Result<Option<Exit>, PlatformError> {
        let fault = is_exception(signal, info.code);
        let at = self.registers.rip;
        let signal = if (Entry::Leave.address()..=Entry::Stopped.address()).contains(&at) {
            // The call that it had made is done.
            let slot = self.place()?.slot.clone();
            let missed = slot.word(offset::MISSED).swap(0, Ordering::SeqCst) as i32;
            let (fs_base, gs_base) = (self.registers.fs_base, self.registers.gs_base);
            self.registers = Registers { fs_base, gs_base, ..frame::general(&slot, offset::SAVED) };
            self.changed = true;
            match signal {
                _ if fault => return Ok(None),
                libc::SIGSYS if missed == 0 => return Ok(None),
                libc::SIGSYS => missed,
                _ => signal,
            }
        } else if fault && at == Entry::First.address() {
            // What looks like a slot's address in %gs is none; the call is then made as it stands.
            self.registers.rip = self.registers.r11.wrapping_sub(2);
            self.changed = true;
            return Ok(None);
        } else if let Some(standing) = self.places.patches().standing(at) {
            // In a thunk, which the application knows nothing of: it stands at its call, or before the instruction before.
            let stepped = signal == libc::SIGTRAP && info.code == TRAP_TRACE;
            if stepped && !standing.moved {
                return Ok(None);
            }
            self.registers.rip = if standing.moved { standing.call } else { standing.start };
            self.changed = true;
            // A thunk that has gone meanwhile.
            if matches!(signal, libc::SIGSEGV | libc::SIGBUS) && fault && info.address == at {
                return Ok(None);
            }
            signal
        } else {
            signal
        };
        if !fault {
            self.leave_detour()?;
        }
        Ok(Some(match signal {
            libc::SIGSYS if info.code == SYS_SECCOMP => {
                let r = &mut self.registers;
                let number = r.rax;
                r.orig_rax = number;
                r.rax = NO_RESULT;
                self.changed = true;
                let r = &self.registers;
                if self.places.patches().count(r.rip) {
                    self.hot = Some(r.rip.wrapping_sub(2));
                }
                let abi = if info.arch == AUDIT_ARCH_X86_64 { Abi::X86_64 } else { Abi::I386 };
                Exit::Syscall { abi, number, arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9] }
            }
            kick::SIGNAL => {
                // Whoever kicked meanwhile is answered by this.
                self.kicks.take();
                Exit::Kicked
            }
            _ if fault => Exit::Exception { signal, code: info.code, address: info.address },
            _ => Exit::HostSignal { signal },
        }))
    }
}

/// Why a thread has stopped.
enum Cause {
    Call {
        number: u32,
        arguments: [u64; 6],
    },
    Signal {
        signal: i32,
        info: Info,
    },
    /// It could not write what it was given.
    Unwritten,
}

/// The base of %gs as the application knows it.
fn own_base(slot: &Slot, base: u64) -> u64 {
    if base == slot.address() { 0 } else { base }
}

impl Context for TrapContext {
    fn poll_run(&mut self, _: &mut std::task::Context<'_>, now: Instant) -> Poll<(Exit, Instant)> {
        if self.dead {
            return Poll::Ready((Exit::Dead, now));
        }
        Poll::Ready(self.run(now).unwrap_or_else(|_| {
            self.dead = true;
            (Exit::Dead, Instant::now())
        }))
    }

    fn set_result(&mut self, value: u64) {
        self.registers.rax = value;
        match (self.changed, self.stop, &self.place) {
            (false, Stop::Frame(frame), Some(place)) => frame.set_rax(&place.slot, value),
            (false, Stop::Call, _) => self.result = value,
            _ => self.changed = true,
        }
    }

    fn set_constants(&mut self, constants: Option<&Constants>) {
        match (constants, &self.place) {
            (Some(values), Some(place)) if self.places.answers_constants() => constants::set(&place.slot, values),
            (_, Some(place)) => constants::revoke(&place.slot),
            _ => {}
        }
    }

    fn take_hot_call(&mut self) -> Option<u64> {
        self.hot.take()
    }

    fn registers(&mut self) -> &Registers {
        if matches!(self.detour, Detour::Return { .. }) {
            self.dead |= self.take_detour().is_err();
        }
        self.read_registers();
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Registers {
        self.registers();
        self.changed = true;
        &mut self.registers
    }

    fn extended_state(&mut self) -> Vec<u8> {
        let frame = self.leave_no_state_behind().and_then(|()| self.take_detour()).and_then(|()| self.frame());
        match (frame, &self.place) {
            (Ok(frame), Some(place)) => frame.extended_state(&place.slot).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn set_extended_state(&mut self, state: &[u8]) -> Result<(), PlatformError> {
        self.take_detour()?;
        let frame = self.frame()?;
        frame.set_extended_state(&self.place()?.slot, state)?;
        self.stale = false;
        Ok(())
    }

    fn reset_extended_state(&mut self) {
        // A thread that is gone needs none.
        let _ = self.take_detour();
        self.stale = true;
        let _ = self.leave_no_state_behind();
    }

    fn extended_layout(&mut self) -> Option<ExtendedLayout> {
        frame::layout()
    }

    fn save_extended_state_at(&mut self, at: u64) {
        self.dead |= self.take_detour().is_err();
        self.detour = Detour::Save(at);
    }

    fn return_from_frame(&mut self, stack: u64, registers: &Registers) {
        self.dead |= self.take_detour().is_err();
        self.detour = Detour::Return { stack, registers: Box::new(*registers) };
    }

    fn stack_pointer(&mut self) -> u64 {
        match (&self.place, &self.detour) {
            (Some(place), Detour::None) if self.unread => place.slot.get_u64(offset::SAVED + SAVED_STACK),
            _ => self.registers().rsp,
        }
    }

    fn compare_exchange(&mut self, at: u64, expected: u32, new: u32) -> Result<u32, MemoryFault> {
        let fault = MemoryFault { done: 0 };
        if at.checked_add(4).is_none_or(|end| end > APPLICATION_END) || self.dead {
            return Err(fault);
        }
        let exchanged = self.attach().and_then(|()| {
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

    fn renew(&mut self) -> Result<(), PlatformError> {
        let renewed = self.place.take().ok_or(PlatformError::Dead).and_then(|place| self.places.renew(place));
        let place = renewed.inspect_err(|_| self.dead = true)?;
        self.kicks.set_thread(place.thread.inner);
        self.seen = place.seen;
        self.stop = Stop::Unknown;
        self.detour = Detour::None;
        self.unread = false;
        self.window.clear();
        self.changed = true;
        self.spinning.stop();
        self.spinning = Spinning::new(place.slot.clone(), self.places.baton());
        self.placement = None;
        self.place = Some(place);
        Ok(())
    }

    fn on_death(&mut self, tell: Arc<dyn Fn() + Send + Sync>) {
        if let Some(place) = &self.place {
            self.places.mourn(&place.slot, tell);
        }
    }

    fn window(&self) -> Option<Arc<dyn Window>> {
        Some(self.window.clone())
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
        self.spinning.stop();
        if let Some(mut place) = self.place.take() {
            if attached && !self.dead {
                place.seen = self.seen;
                place.in_call = matches!(self.stop, Stop::Call);
                place.fresh = false;
                self.places.give_back(place);
            } else {
                self.places.give_up();
            }
        }
    }
}
