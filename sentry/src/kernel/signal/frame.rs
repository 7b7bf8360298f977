//! The signal frame: what a handler finds on its stack, and what `rt_sigreturn` takes back (x86-64 `struct rt_sigframe`,
//! arch/x86/include/asm/sigframe.h).

use moat_abi::errno::Errno;
use moat_abi::signal::{SigAction, SigActionFlags, SigAltStack, SigInfo, SigSet, Signal};
use moat_platform::{ExtendedLayout, Registers};
use zerocopy::IntoBytes;

use crate::Result;
use crate::kernel::Current;
use crate::mm::user::UserMemory;

/// Bytes below the stack pointer that the ABI lets functions use.
const RED_ZONE: u64 = 128;
const UC_FP_XSTATE: u64 = 1;
const UC_SIGCONTEXT_SS: u64 = 2;
const UC_STRICT_RESTORE_SS: u64 = 4;
const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// Where the software-reserved words lie in the legacy area.
const SW_RESERVED: usize = 464;
/// The legacy (FXSAVE) area.
const LEGACY: usize = 512;
/// `rt_sigframe`: return address, ucontext, siginfo.
const UCONTEXT: usize = 8;
const MCONTEXT: usize = UCONTEXT + 40;
const MASK: usize = MCONTEXT + 256;
const SIGINFO: usize = MASK + 8;
const FRAME: usize = SIGINFO + 128;
/// Where `push` puts the vector state, which is aligned to 64, behind a frame, which lies 8 below a multiple of 16.
const STATE: usize = FRAME.next_multiple_of(16) + 8;
/// The XSAVE header, behind the legacy area.
const HEADER: usize = 64;
/// The most that an image read back may have.
const STATE_MAX: usize = 16 << 10;
/// Where the control word of SSE lies in the legacy area, and its bits.
const MXCSR: usize = 24;
const MXCSR_BITS: u32 = 0xffff;
/// The selectors of 64-bit user code and data.
const USER_CODE: u64 = 0x33;
const USER_DATA: u64 = 0x2b;
/// Flags that a handler starts without: direction, trap, resume.
const CLEARED_FLAGS: u64 = 0x400 | 0x100 | 0x1_0000;
/// Flags that `rt_sigreturn` may set (FIX_EFLAGS of Linux): AC OF DF TF SF ZF AF PF CF RF.
const RESTORED_FLAGS: u64 = 0x4_0000 | 0x800 | 0x400 | 0x100 | 0x80 | 0x40 | 0x10 | 0x4 | 0x1 | 0x1_0000;

/// Puts a frame on the stack and points the registers at the handler. `EFAULT` if the stack cannot take it.
pub fn push(
    current: &mut Current,
    signal: Signal,
    info: &SigInfo,
    action: &SigAction,
    mask: SigSet,
    altstack: SigAltStack,
) -> Result<()> {
    let registers = *current.context.registers();
    let on_altstack =
        action.flags.contains(SigActionFlags::ONSTACK) && altstack.is_enabled() && !altstack.contains(registers.rsp);
    let top = if on_altstack { altstack.top() } else { registers.rsp.wrapping_sub(RED_ZONE) };
    let layout = current.context.extended_layout();
    let state = match layout {
        Some(layout) => xstate_image(vec![0; layout.size], layout.features),
        None => {
            let state = current.context.extended_state();
            // PTRACE_GETREGSET leaves the enabled feature mask (XCR0) in the reserved words.
            let enabled =
                state.get(LEGACY..LEGACY + 8).map_or(0, |_| get(&state, SW_RESERVED).max(get(&state, LEGACY) | 3));
            xstate_image(state, enabled)
        }
    };
    let fpstate = (top.wrapping_sub(state.len() as u64)) & !63;
    let frame = fpstate.wrapping_sub(STATE as u64);
    if altstack.is_enabled() && (on_altstack || altstack.contains(registers.rsp)) && !altstack.contains(frame) {
        return Err(Errno::EFAULT);
    }
    let mut bytes = vec![0u8; STATE];
    bytes.extend_from_slice(&state);
    put(&mut bytes, 0, action.restorer);
    put(&mut bytes, UCONTEXT, UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS);
    put(&mut bytes, UCONTEXT + 16, altstack.sp);
    put(&mut bytes, UCONTEXT + 24, u64::from(altstack.flags_seen_from(registers.rsp)));
    put(&mut bytes, UCONTEXT + 32, altstack.size);
    put_registers(&mut bytes, &registers, current.fault, fpstate);
    put(&mut bytes, MASK, mask.bits());
    bytes[SIGINFO..SIGINFO + 128].copy_from_slice(info.as_bytes());
    current.memory().write_bytes(frame, &bytes)?;
    let r = current.context.registers_mut();
    r.rsp = frame;
    r.rip = action.handler;
    r.rax = 0;
    r.rdi = signal.raw() as u64;
    r.rsi = frame + SIGINFO as u64;
    r.rdx = frame + UCONTEXT as u64;
    r.eflags &= !CLEARED_FLAGS;
    r.cs = USER_CODE;
    r.ss = USER_DATA;
    r.orig_rax = u64::MAX;
    match layout {
        Some(_) => current.context.save_extended_state_at(fpstate),
        None => current.context.reset_extended_state(),
    }
    Ok(())
}

/// Where the mask lies in the frame that `stack` is behind of.
pub fn mask_below(stack: u64) -> u64 {
    stack.wrapping_sub(8).wrapping_add(MASK as u64)
}

/// What a frame held.
pub struct Restored {
    /// The mask to set.
    pub mask: SigSet,
    /// The alternate stack to set, as far as it is valid.
    pub altstack: SigAltStack,
    /// The stack pointer that it leads to.
    pub stack: u64,
}

/// Takes the frame that the stack pointer is behind of back into the registers (`rt_sigreturn`).
pub fn pop(current: &mut Current) -> Result<Restored> {
    let stack = current.context.stack_pointer();
    let at = stack.wrapping_sub(8);
    let memory = current.memory();
    let layout = current.context.extended_layout();
    // Most frames are as `push` made them, and one read gets all of it.
    let mut bytes = vec![0u8; layout.map_or(SIGINFO, |l| STATE + l.size + 4)];
    if memory.read_partial(at, &mut bytes) < SIGINFO {
        return Err(Errno::EFAULT);
    }
    check_segments(&bytes)?;
    let restored = Restored {
        mask: SigSet::from_bits(get(&bytes, MASK)),
        altstack: SigAltStack::new(
            get(&bytes, UCONTEXT + 16),
            get(&bytes, UCONTEXT + 24) as u32,
            get(&bytes, UCONTEXT + 32),
        ),
        stack: get(&bytes, MCONTEXT + 120),
    };
    let fpstate = get(&bytes, MCONTEXT + 184);
    if layout.is_some_and(|l| fpstate == at.wrapping_add(STATE as u64) && is_own(&bytes, fpstate, l)) {
        let mut registers = Registers::default();
        get_registers(&bytes, &mut registers);
        current.context.return_from_frame(stack, &registers);
        return Ok(restored);
    }
    if fpstate == 0 {
        current.context.reset_extended_state();
    } else {
        let image = read_xstate(&memory, fpstate)?;
        current.context.set_extended_state(&image).map_err(|_| Errno::EINVAL)?;
    }
    get_registers(&bytes, current.context.registers_mut());
    Ok(restored)
}

/// Whether a frame, up to the end of its vector state, is one that the thread itself can go back by: a whole image that
/// the processor takes, and a place to return to.
fn is_own(bytes: &[u8], fpstate: u64, layout: ExtendedLayout) -> bool {
    let state = &bytes[STATE..];
    let word = |at: usize| get(state, at) as u32;
    let end = state.len() - 8;
    fpstate.is_multiple_of(64)
        && word(SW_RESERVED) == FP_XSTATE_MAGIC1
        && get(state, SW_RESERVED + 8) == layout.features
        && word(SW_RESERVED + 16) as usize == layout.size
        && (get(state, end) >> 32) as u32 == FP_XSTATE_MAGIC2
        && get(state, LEGACY) & !layout.features == 0
        && state[LEGACY + 8..LEGACY + HEADER].iter().all(|&b| b == 0)
        && word(MXCSR) & !MXCSR_BITS == 0
        && get(bytes, MCONTEXT + 128) < 1 << 47
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn put_registers(bytes: &mut [u8], r: &Registers, fault: crate::kernel::FaultInfo, fpstate: u64) {
    let words = [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp,
        r.rip, r.eflags,
    ];
    for (i, word) in words.into_iter().enumerate() {
        put(bytes, MCONTEXT + 8 * i, word);
    }
    let selectors = (r.cs & 0xffff) | (r.ss & 0xffff) << 48;
    put(bytes, MCONTEXT + 144, selectors);
    put(bytes, MCONTEXT + 152, fault.error);
    put(bytes, MCONTEXT + 160, fault.trap);
    put(bytes, MCONTEXT + 176, fault.address);
    put(bytes, MCONTEXT + 184, fpstate);
}

/// Only the 64-bit user segments exist here: a frame that asks for others faults, as the return to them would. SS counts
/// only where the frame says so.
fn check_segments(bytes: &[u8]) -> Result<()> {
    let selectors = get(bytes, MCONTEXT + 144);
    let strict = get(bytes, UCONTEXT) & UC_STRICT_RESTORE_SS != 0;
    let wrong_code = (selectors & 0xffff) | 3 != USER_CODE;
    let wrong_data = strict && (selectors >> 48) | 3 != USER_DATA;
    if wrong_code || wrong_data { Err(Errno::EFAULT) } else { Ok(()) }
}

fn get_registers(bytes: &[u8], r: &mut Registers) {
    let word = |i: usize| get(bytes, MCONTEXT + 8 * i);
    r.r8 = word(0);
    r.r9 = word(1);
    r.r10 = word(2);
    r.r11 = word(3);
    r.r12 = word(4);
    r.r13 = word(5);
    r.r14 = word(6);
    r.r15 = word(7);
    r.rdi = word(8);
    r.rsi = word(9);
    r.rbp = word(10);
    r.rbx = word(11);
    r.rdx = word(12);
    r.rax = word(13);
    r.rcx = word(14);
    r.rsp = word(15);
    r.rip = word(16);
    r.eflags = (r.eflags & !RESTORED_FLAGS) | (word(17) & RESTORED_FLAGS);
    r.cs = USER_CODE;
    r.ss = USER_DATA;
    r.orig_rax = u64::MAX;
}

/// An XSAVE image with these components enabled as it lies in a frame: with the software-reserved words and the trailing
/// magic.
fn xstate_image(mut state: Vec<u8>, enabled: u64) -> Vec<u8> {
    if state.len() < LEGACY + HEADER {
        state.resize(LEGACY, 0);
        return state;
    }
    let size = state.len() as u32;
    // As Linux does, for who changes an old component without saying so.
    state[LEGACY] |= 3;
    state[SW_RESERVED..LEGACY].fill(0);
    state[SW_RESERVED..SW_RESERVED + 4].copy_from_slice(&FP_XSTATE_MAGIC1.to_le_bytes());
    state[SW_RESERVED + 4..SW_RESERVED + 8].copy_from_slice(&(size + 4).to_le_bytes());
    state[SW_RESERVED + 8..SW_RESERVED + 16].copy_from_slice(&enabled.to_le_bytes());
    state[SW_RESERVED + 16..SW_RESERVED + 20].copy_from_slice(&size.to_le_bytes());
    state.extend_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    state
}

/// Reads the image of a frame back: the whole of it if the magics are right, otherwise only the legacy area.
fn read_xstate(memory: &UserMemory, at: u64) -> Result<Vec<u8>> {
    let mut legacy = vec![0u8; LEGACY];
    memory.read_bytes(at, &mut legacy)?;
    let word = |b: &[u8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let (magic, size) = (word(&legacy, SW_RESERVED), word(&legacy, SW_RESERVED + 16) as usize);
    let mut image = legacy;
    if magic == FP_XSTATE_MAGIC1 && (LEGACY + HEADER..=STATE_MAX).contains(&size) {
        let mut whole = vec![0u8; size + 4];
        memory.read_bytes(at, &mut whole)?;
        if word(&whole, size) == FP_XSTATE_MAGIC2 {
            whole.truncate(size);
            image = whole;
        }
    }
    image[SW_RESERVED..LEGACY].fill(0);
    if image.len() == LEGACY {
        image.resize(LEGACY + HEADER, 0);
        image[LEGACY] = 3;
    }
    Ok(image)
}
