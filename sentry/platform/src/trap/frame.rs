//! The signal frame that the host left in a slot (x86-64 `struct rt_sigframe`): the application's registers.

use std::sync::OnceLock;

use super::slots::{SLOT, STACK, Slot};
use crate::stub::detour::{self, HEADER, LEGACY, SOFTWARE};
use crate::{ExtendedLayout, PlatformError, Registers};

/// Offsets in a `ucontext`.
const MCONTEXT: usize = 40;
const SELECTORS: usize = MCONTEXT + 144;
const STATE_POINTER: usize = MCONTEXT + 184;
const SIGNAL_MASK: usize = 296;
/// A `siginfo` lies behind the `ucontext` in the frame.
const SIGINFO: usize = 304;
/// Both together.
const FRAME: usize = SIGINFO + 128;
/// %cs, %gs, %fs and %ss of a 64-bit program.
const USER_SELECTORS: u64 = 0x002b_0000_0000_0033;

/// What the software-reserved bytes of a frame's vector state begin with; the size of all, the components and the size of
/// the state follow.
const MAGIC1: u32 = 0x4650_5853;
const MXCSR: usize = 24;
const MXCSR_MASK: usize = 28;
/// Bits of MXCSR that every processor of this age has.
const MXCSR_ALL: u32 = 0xffff;

/// What a signal told.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// `si_code`.
    pub code: i32,
    /// `si_addr`.
    pub address: u64,
    /// `si_arch` of a SIGSYS.
    pub arch: u32,
}

static LAYOUT: OnceLock<Option<ExtendedLayout>> = OnceLock::new();

/// How a thread can save its vector state itself, once it is known.
pub fn layout() -> Option<ExtendedLayout> {
    LAYOUT.get().copied().flatten()
}

/// Where the frame of a stopped thread lies in its slot.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    at: usize,
}

/// The vector state in a frame.
struct State {
    at: usize,
    size: usize,
    features: u64,
}

/// The u64 at this place of `bytes`.
pub fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The u32 at this place of `bytes`.
pub fn half(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The registers that a `sigcontext` at this place of a slot begins with.
pub fn general(slot: &Slot, at: usize) -> Registers {
    let mut bytes = [0; 144];
    slot.get(at, &mut bytes);
    let at = |i: usize| word(&bytes, 8 * i);
    Registers {
        r8: at(0),
        r9: at(1),
        r10: at(2),
        r11: at(3),
        r12: at(4),
        r13: at(5),
        r14: at(6),
        r15: at(7),
        rdi: at(8),
        rsi: at(9),
        rbp: at(10),
        rbx: at(11),
        rdx: at(12),
        rax: at(13),
        rcx: at(14),
        rsp: at(15),
        rip: at(16),
        eflags: at(17),
        orig_rax: u64::MAX,
        cs: 0x33,
        ss: 0x2b,
        ..Registers::default()
    }
}

/// Replaces them.
pub fn set_general(slot: &Slot, at: usize, r: &Registers) {
    let words = [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp,
        r.rip, r.eflags,
    ];
    let mut bytes = [0; 144];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    slot.put(at, &bytes);
}

impl Frame {
    /// The frame whose ucontext is said to lie at `context`; `None` if that is not on the slot's stack.
    pub fn at(slot: &Slot, context: u64) -> Option<Self> {
        let at = usize::try_from(context.checked_sub(slot.address())?).ok()?;
        (at >= STACK && at.is_multiple_of(8) && at <= SLOT - FRAME).then_some(Self { at })
    }

    /// What the signal told.
    pub fn info(self, slot: &Slot) -> Info {
        let mut bytes = [0; 32];
        slot.get(self.at + SIGINFO, &mut bytes);
        Info { code: half(&bytes, 8) as i32, address: word(&bytes, 16), arch: half(&bytes, 28) }
    }

    /// The registers; without the bases of %fs and %gs, which no frame has.
    pub fn registers(self, slot: &Slot) -> Registers {
        general(slot, self.at + MCONTEXT)
    }

    /// Replaces the registers.
    pub fn set_registers(self, slot: &Slot, r: &Registers) {
        set_general(slot, self.at + MCONTEXT, r);
    }

    /// Replaces rax alone.
    pub fn set_rax(self, slot: &Slot, value: u64) {
        slot.put_u64(self.at + MCONTEXT + 8 * 13, value);
    }

    /// Makes sure of what the application can't have set but by forging frames: it blocks the signals that it
    /// has to, and no others, and runs 64-bit code.
    pub fn make_sane(self, slot: &Slot) {
        slot.put_u64(self.at + SIGNAL_MASK, slot.blocked());
        slot.put_u64(self.at + SELECTORS, USER_SELECTORS);
    }

    fn state(self, slot: &Slot) -> Option<State> {
        let pointer = slot.get_u64(self.at + STATE_POINTER);
        let at = usize::try_from(pointer.checked_sub(slot.address())?).ok()?;
        if at < STACK || !at.is_multiple_of(64) || at > SLOT - LEGACY - HEADER {
            return None;
        }
        let mut software = [0; LEGACY - SOFTWARE];
        slot.get(at + SOFTWARE, &mut software);
        let size = half(&software, 16) as usize;
        let valid = half(&software, 0) == MAGIC1 && size >= LEGACY + HEADER && size <= SLOT - at;
        valid.then(|| State { at, size, features: word(&software, 8) })
    }

    /// How large the host makes the vector state, and of what. The first frame of a sandbox tells, which nothing of the
    /// application's can have changed, since none of its code has run.
    pub fn learn_layout(self, slot: &Slot) {
        LAYOUT.get_or_init(|| {
            let state = self.state(slot)?;
            Some(ExtendedLayout { size: state.size, features: state.features })
        });
    }

    /// The vector state as `PTRACE_GETREGSET` would give it: the components that the host has enabled lie in the
    /// software's bytes.
    pub fn extended_state(self, slot: &Slot) -> Option<Vec<u8>> {
        let state = self.state(slot)?;
        let mut bytes = vec![0; state.size];
        slot.get(state.at, &mut bytes);
        bytes[SOFTWARE..LEGACY].fill(0);
        bytes[SOFTWARE..SOFTWARE + 8].copy_from_slice(&state.features.to_le_bytes());
        Some(bytes)
    }

    /// Replaces the vector state.
    ///
    /// # Errors
    /// `Host(EINVAL)` for one that the processor would refuse: the host would then kill the thread.
    pub fn set_extended_state(self, slot: &Slot, bytes: &[u8]) -> Result<(), PlatformError> {
        let refused = PlatformError::Host(libc::EINVAL);
        let state = self.state(slot).ok_or(PlatformError::Dead)?;
        if bytes.len() < LEGACY || half(bytes, MXCSR) & !MXCSR_ALL != 0 {
            return Err(refused);
        }
        let mut image = vec![0; state.size];
        let taken = bytes.len().min(state.size);
        image[..taken].copy_from_slice(&bytes[..taken]);
        if bytes.len() < LEGACY + HEADER {
            image[LEGACY..].fill(0);
            image[LEGACY] = 3;
        }
        let header = &image[LEGACY..LEGACY + HEADER];
        if word(header, 0) & !state.features != 0 || header[8..].iter().any(|&b| b != 0) {
            return Err(refused);
        }
        slot.put(state.at, &image[..SOFTWARE]);
        slot.put(state.at + LEGACY, &image[LEGACY..]);
        Ok(())
    }

    /// Gives it the vector state of a new program.
    pub fn reset_extended_state(self, slot: &Slot) {
        let mut image = detour::initial_state(0);
        image[MXCSR_MASK..MXCSR_MASK + 4].copy_from_slice(&MXCSR_ALL.to_le_bytes());
        // A state that is not there is one that the application has spoilt itself.
        let _ = self.set_extended_state(slot, &image);
    }
}
