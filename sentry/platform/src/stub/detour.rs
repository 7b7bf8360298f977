//! What a thread does by code of the stub between the sentry and the application ([`super::code`]): it saves its vector
//! state for a signal handler, or takes its registers from a frame, by itself, which spares the sentry the copying.

use super::code::Entry;
use super::process::Stub;
use crate::Registers;

/// What a thread is to do before it goes on in the application's code.
#[derive(Debug, Default)]
pub enum Detour {
    /// Nothing.
    #[default]
    None,
    /// Saves its vector state there, for a handler ([`Entry::Handler`]).
    Save(u64),
    /// Takes its registers, which are these, from the frame at its stack pointer ([`Entry::Sigreturn`]).
    Return {
        /// The stack pointer.
        stack: u64,
        /// The registers; of use to who wants to see them before the thread has run.
        registers: Box<Registers>,
    },
}

/// The legacy (FXSAVE) area of an XSAVE image.
pub const LEGACY: usize = 512;
/// The header behind it.
pub const HEADER: usize = 64;
/// Where the software-reserved bytes of the legacy area lie: on the way out the components that the host has enabled.
pub const SOFTWARE: usize = 464;
/// Where in a ucontext the address of the vector state stands.
const STATE_POINTER: u64 = 40 + 184;
/// x87's and SSE's control words as a program and a handler find them.
const CONTROL: u16 = 0x37f;
const MXCSR: u32 = 0x1f80;

/// What a thread that was stopped on a detour has yet to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// To save its vector state at rcx, and then the next.
    Save,
    /// To take the vector state that handlers start with, and then the next.
    Reset,
    /// To jump to the handler.
    Enter,
    /// To take all from the frame at rsp, of which only what is not needed any more was overwritten.
    Return,
}

impl Rest {
    /// By its instruction pointer; `None` if it is on no detour. They come one after the other.
    pub fn at(instruction: u64) -> Option<Self> {
        if instruction < Entry::Handler.address() {
            return None;
        }
        let ends = [
            (Self::Save, Entry::HandlerSaved),
            (Self::Reset, Entry::HandlerReset),
            (Self::Enter, Entry::Sigreturn),
            (Self::Return, Entry::Signals),
        ];
        ends.into_iter().find(|(_, end)| instruction < end.address()).map(|(rest, _)| rest)
    }
}

/// Makes registers with which a handler begins those of a thread that first saves its vector state at `at`.
pub fn begin_saving(registers: &mut Registers, at: u64) {
    let r = registers;
    (r.rcx, r.r8, r.r9, r.r11) = (at, r.rdx, r.rax, r.rip);
    r.rip = Entry::Handler.address();
}

/// Makes them those with which the handler begins, of a thread that was on its way there.
pub fn end_saving(registers: &mut Registers) {
    let r = registers;
    (r.rip, r.rdx, r.rax, r.orig_rax) = (r.r11, r.r8, r.r9, u64::MAX);
}

/// Writes vector state to where the thread would have saved it. A stack that has gone meanwhile is found by the handler.
pub fn write_state(stub: &Stub, at: u64, state: &mut [u8]) {
    if state.len() >= LEGACY + HEADER {
        // As Linux does, for who changes an old component without saying so.
        state[LEGACY] |= 3;
        let _ = stub.write(at, &state[..SOFTWARE]);
        let _ = stub.write(at.wrapping_add(LEGACY as u64), &state[LEGACY..]);
    }
}

/// Reads the vector state, of `size` bytes, that the frame at `stack` points to.
pub fn read_state(stub: &Stub, stack: u64, size: usize) -> Option<Vec<u8>> {
    let mut pointer = [0; 8];
    stub.read(stack.checked_add(STATE_POINTER)?, &mut pointer).ok()?;
    let mut state = vec![0; size];
    stub.read(u64::from_le_bytes(pointer), &mut state).ok()?;
    state.get_mut(SOFTWARE..LEGACY)?.fill(0);
    Some(state)
}

/// What `execve` and the entry of a handler start with: x87 and SSE at their defaults, the rest initial.
pub fn initial_state(size: usize) -> Vec<u8> {
    let mut state = vec![0; size.max(LEGACY + HEADER)];
    state[..2].copy_from_slice(&CONTROL.to_le_bytes());
    state[24..28].copy_from_slice(&MXCSR.to_le_bytes());
    state
}
