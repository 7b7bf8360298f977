//! Whether the trap platform works on this host, found out by trying: a kernel without SECCOMP_RET_TRAP, a security module
//! or an emulated processor cannot be told otherwise.

use std::sync::Arc;
use std::task::{Context as Cx, Poll, Waker};
use std::time::Instant;

use crate::stub::{Interception, birth};
use crate::trap;
use crate::{AddressSpace, Ahead, Change, Context, Exit, Protection, Source};

/// Where the test's code lies in its stub.
const CODE: u64 = 0x40_0000;
/// Where its data lie.
const DATA: u64 = 0x50_0000;
/// What its first call is answered.
const ANSWER: u64 = 0x1234_5678;

/// `mov $39,%eax; syscall; mov %eax,(DATA); mov (0x1000),%eax`: a call, whose answer is stored, and a fault.
const PROGRAM: &[u8] =
    &[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x89, 0x04, 0x25, 0, 0, 0x50, 0, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0];

/// Runs application code by traps, in a stub of its own. The calling process must have one thread and the stub's addresses
/// free ([`birth::layout_is_free`]); it is good for nothing else afterwards.
///
/// # Errors
/// What does not work, in words.
pub fn trap() -> Result<(), String> {
    if let Some(missing) = trap::missing() {
        return Err(missing.into());
    }
    let born = birth::birth(0, Interception::Trap, || Ok(())).and_then(birth::Newborn::finish);
    let platform = born
        .and_then(|lead| trap::start(lead, &[Ahead::default(); 512], trap::Lanes::default()))
        .map_err(|e| format!("a stub cannot be made: {e}"))?;
    let tried = match platform.lead() {
        Some(space) => runs(&space),
        None => Err("the stub is gone".into()),
    };
    platform.end(0);
    tried
}

fn runs(space: &Arc<dyn AddressSpace>) -> Result<(), String> {
    let mut cx = Cx::from_waker(Waker::noop());
    let all = Protection::READ | Protection::WRITE | Protection::EXEC;
    let map = |at| Change::Map { at, len: 4096, protection: all, source: Source::Anonymous, populate: false };
    match space.poll_apply(&mut cx, &[map(CODE), map(DATA)]) {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err((_, e))) => return Err(format!("the stub cannot map memory: {e}")),
        Poll::Pending => return Err("the stub does not answer".into()),
    }
    space.write(CODE, PROGRAM).map_err(|_| "the memory of a stub cannot be written (process_vm_writev)")?;
    let Poll::Ready(Ok(mut context)) = space.poll_context(&mut cx) else {
        return Err("the stub cannot make a thread".into());
    };
    let registers = context.registers_mut();
    registers.rip = CODE;
    registers.rsp = DATA + 4096;
    match run(&mut *context) {
        Some(Exit::Syscall { number: 39, .. }) => context.set_result(ANSWER),
        other => return Err(format!("a system call is not trapped: {other:?}")),
    }
    match run(&mut *context) {
        Some(Exit::Exception { signal: libc::SIGSEGV, address: 0x1000, .. }) => {}
        other => return Err(format!("a fault is not trapped: {other:?}")),
    }
    let mut stored = [0; 4];
    let read = space.read(DATA, &mut stored);
    match u64::from(u32::from_le_bytes(stored)) {
        ANSWER if read.is_ok() => Ok(()),
        other => Err(format!("a trapped call returns {other:#x} for {ANSWER:#x}")),
    }
}

fn run(context: &mut dyn Context) -> Option<Exit> {
    match context.poll_run(&mut Cx::from_waker(Waker::noop()), Instant::now()) {
        Poll::Ready((exit, _)) => Some(exit),
        Poll::Pending => None,
    }
}
