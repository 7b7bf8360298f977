//! The code of the trap platform in a stub: position-independent, in a page of its own, from which alone its calls are
//! allowed.
//!
//! * `thread`: a new application thread leaves the descriptor table and its capability, takes the stack of its slot for
//!   signals, forgets the mapper's key, takes signals, and makes a call that traps, so that the sentry gets it by its
//!   handler.
//! * `handler`: of all signals. What it interrupted lies in the frame on the slot's stack, where the sentry can read and
//!   change it; the handler hands over, and returns by `rt_sigreturn` into what the frame then says. It keeps r14 (the
//!   frame), and never touches the application's stack.
//! * `hand_off`: posts, waits for the answer and does what it asks for, until the application is to run on: then it goes
//!   on at r15. It keeps rbx (the slot), rbp, r14, r15 and rsp, and has the number of the answer before in r13d.
//! * `call`: where patched call sites jump to, with the address behind the call in r11, which like rcx is the call's to
//!   destroy. If %gs names a slot, it saves the registers there, copies what the arguments point to as far as the table of
//!   the call's number says, hands over, and goes back to what is then saved; vector state stays where it is. A call that
//!   always answers the same is not handed over. Else the call is made as it stands, and traps. A signal that finds it here is noted, and told
//!   of when the call is done; the sentry can also ask for the frame of a call of its own (`stop`).
//! * `exchange`: one compare-and-exchange in the application's memory, asked for by an answer. Its fault comes back to
//!   the handler, which goes on at `fixup`; likewise `ahead` and `buffer` (what a call's arguments point to) and `piece`
//!   (what an answer brings), which are copies.
//!
//! What lies in a slot is the application's to write: the code trusts it no further than the application's own rights go.

use std::arch::global_asm;

use super::slots::offset;
use crate::stub::code::{forget_key, leave_mapper};
use crate::stub::image::Image;
use crate::stub::layout;

/// What an answer asks of the handler.
pub mod action {
    /// Run the application on.
    pub const RETURN: u32 = 0;
    /// Compare and exchange a word, and post again.
    pub const EXCHANGE: u32 = 1;
    /// End the thread.
    pub const EXIT: u32 = 2;
    /// Ask the host what the process uses, and post again.
    pub const USAGE: u32 = 3;
    /// Of a thread that makes a call without a frame: come by the handler, so that there is one.
    pub const FRAME: u32 = 4;
    /// Added to the others: set the bases of %fs and %gs.
    pub const SET_BASES: u32 = 0x100;
    /// Added to [`RETURN`]: write the window's pieces first.
    pub const WRITE_PIECES: u32 = 0x200;
}

/// How often either side gives the other its core before it sleeps. More would only take time from third parties.
pub const YIELDS: u32 = 2;

/// How often the thread looks for the answer of a sentry that spins on another core, with a `pause` of some 25 ns between,
/// before it does as without: 12 µs, which few calls take that do not wait.
const PAUSES: u32 = 500;

/// What a thread has stopped for if by no signal: a system call, made without a trap.
pub const CALL: u32 = 0;

/// The bits that say what it has stopped for.
pub const REASON: u32 = (1 << AHEAD_SHIFT) - 1;

/// From this bit on it says what of a call's arguments it has copied ahead.
pub const AHEAD_SHIFT: u32 = 16;

/// What it has stopped for if it could not write one of the pieces that an answer brought.
pub const UNWRITTEN: u32 = 0x100;

/// Signals of faults, as bits.
const FAULTS: u32 = 1 << libc::SIGSEGV
    | 1 << libc::SIGBUS
    | 1 << libc::SIGILL
    | 1 << libc::SIGFPE
    | 1 << libc::SIGTRAP
    | 1 << libc::SIGSYS;

/// The signals that application threads of the lead block on the host, as a set: all but those of faults and that of a
/// kick. What somebody sends to the lead is for its signal thread, which waits for it; a thread that makes a call would
/// tell of it only when that is done, and of one alone.
pub const BLOCKED_IN_LEAD: u64 = !((FAULTS >> 1) as u64 | 1 << (super::kick::SIGNAL - 1));

/// Bits of an address in the stub's region, whose upper ones are the same in all of them. 18 bits further up the lower
/// ones of a slot's address are 0 up to bit 32, which is what `call` looks at.
const REGION_BITS: u64 = 29;
const _: () = assert!(crate::APPLICATION_END == (layout::END >> REGION_BITS) << REGION_BITS);
const _: () = assert!(super::slots::SLOT.ilog2() as u64 + 64 - REGION_BITS == 50);

/// Where `rip` lies in a ucontext.
const CONTEXT_RIP: usize = 168;

global_asm!(
    ".pushsection .rodata.moat_trap, \"a\"",
    ".balign 64",
    ".globl moat_trap_begin",
    "moat_trap_begin:",
    // ---- a new thread: rsp the end of its slot
    ".globl moat_trap_thread",
    "moat_trap_thread:",
    leave_mapper!(),
    "test rax, rax",
    "jnz 9f",
    "lea rbx, [rsp - 1]",
    "and rbx, -{SLOT}",
    "lea rdi, [rbx + {ALTSTACK}]",
    "xor esi, esi",
    "mov eax, 131",
    "syscall",
    "test rax, rax",
    "jnz 9f",
    forget_key!(),
    // Not before: a frame would hold the key, and what the application writes into one become registers beside it.
    "mov edi, 2",
    "lea rsi, [rbx + {MASK}]",
    "xor edx, edx",
    "mov r10d, 8",
    "mov eax, 14",
    "syscall",
    "mov eax, 39",
    "syscall",
    "9: ud2",
    // ---- handler: edi the signal, rdx the ucontext, rsp the frame
    ".globl moat_trap_handler",
    "moat_trap_handler:",
    "mov rax, [rdx + {RIP}]",
    "lea rcx, [rip + moat_trap_hand_off]",
    "cmp rax, rcx",
    "jb 9f",
    "lea rcx, [rip + moat_trap_leave]",
    "cmp rax, rcx",
    "jb 5f",
    "9:",
    "mov rbx, rsp",
    "and rbx, -{SLOT}",
    "mov r14, rsp",
    "mov [rbx + {STOP}], edi",
    "mov [rbx + {CONTEXT}], rdx",
    "rdfsbase rax",
    "mov [rbx + {FS}], rax",
    "rdgsbase rax",
    "mov [rbx + {GS}], rax",
    "lea r15, [rip + 7f]",
    "jmp moat_trap_hand_off",
    // rt_sigreturn, as if the handler had popped its return address
    "7: lea rsp, [r14 + 8]",
    "mov eax, 15",
    "syscall",
    "ud2",
    // It interrupted a hand-over: faults are told of, but for those that are expected; other signals are left to it.
    "5: mov ecx, {FAULTS}",
    "bt rcx, rdi",
    "jnc 6f",
    "lea rsi, [rip + 14f]",
    "lea r8, [rip + moat_trap_begin]",
    "15: mov ecx, [rsi]",
    "test ecx, ecx",
    "jz 9b",
    "add rcx, r8",
    "cmp rcx, rax",
    "je 16f",
    "add rsi, 8",
    "jmp 15b",
    "16: mov ecx, [rsi + 4]",
    "add rcx, r8",
    "mov [rdx + {RIP}], rcx",
    "jmp 8f",
    "6: mov rbx, rsp",
    "and rbx, -{SLOT}",
    "mov [rbx + {MISSED}], edi",
    "8: lea rsp, [rsp + 8]",
    "mov eax, 15",
    "syscall",
    "ud2",
    // What may fault, and where that goes on.
    ".balign 4",
    "14: .long moat_trap_exchange - moat_trap_begin, moat_trap_fixup - moat_trap_begin",
    ".long moat_trap_piece - moat_trap_begin, moat_trap_unwritten - moat_trap_begin",
    ".long moat_trap_ahead - moat_trap_begin, moat_trap_not_ahead - moat_trap_begin",
    ".long moat_trap_buffer - moat_trap_begin, moat_trap_no_buffer - moat_trap_begin",
    ".long 0",
    // ---- hand_off: rbx the slot, r15 where to go on when the application is to run on
    ".balign 64",
    ".globl moat_trap_hand_off",
    "moat_trap_hand_off:",
    "mov r13d, [rbx + {ANSWERED}]",
    "lock inc dword ptr [rbx + {POSTED}]",
    "cmp dword ptr [rbx + {SENTRY_WAITS}], 0",
    "je 9f",
    "lea rdi, [rbx + {POSTED}]",
    "mov esi, 1",
    "mov edx, 0x7fffffff",
    "mov eax, 202",
    "syscall",
    // wait: for a sentry of another core that is already at it
    "9: cmp dword ptr [rbx + {SPINS}], 0",
    "je 15f",
    "mov r12d, {PAUSES}",
    "14: cmp [rbx + {ANSWERED}], r13d",
    "jne 3f",
    "pause",
    "dec r12d",
    "jnz 14b",
    // give a sentry of this core the chance to answer
    "15: mov r12d, {YIELDS}",
    "13: cmp [rbx + {ANSWERED}], r13d",
    "jne 3f",
    "mov eax, 24",
    "syscall",
    "dec r12d",
    "jnz 13b",
    "2: cmp [rbx + {ANSWERED}], r13d",
    "jne 3f",
    "mov eax, 1",
    "xchg [rbx + {STUB_WAITS}], eax",
    "lea rdi, [rbx + {ANSWERED}]",
    "xor esi, esi",
    "mov edx, r13d",
    "xor r10d, r10d",
    "mov eax, 202",
    "syscall",
    "mov dword ptr [rbx + {STUB_WAITS}], 0",
    "jmp 2b",
    // act
    "3: mov eax, [rbx + {ACTION}]",
    "test eax, eax",
    "jz 5f",
    "test eax, {WRITE_PIECES}",
    "jnz 8f",
    "test eax, {SET_BASES}",
    "jz 4f",
    "mov rcx, [rbx + {FS}]",
    "wrfsbase rcx",
    "mov rcx, [rbx + {GS}]",
    "wrgsbase rcx",
    "and eax, 0xff",
    "jz 5f",
    "4: cmp eax, {EXCHANGE}",
    "je 6f",
    "cmp eax, {ASK_USAGE}",
    "je 7f",
    "cmp eax, {FRAME}",
    "je moat_trap_stop",
    // exit
    "xor edi, edi",
    "mov eax, 60",
    "syscall",
    "ud2",
    "5: jmp r15",
    "6: mov rdi, [rbx + {WORD}]",
    "mov eax, [rbx + {EXPECTED}]",
    "mov edx, [rbx + {NEW}]",
    "moat_trap_exchange:",
    "lock cmpxchg [rdi], edx",
    "mov [rbx + {FOUND}], eax",
    "mov dword ptr [rbx + {FAULTED}], 0",
    "jmp moat_trap_hand_off",
    "moat_trap_fixup:",
    "mov dword ptr [rbx + {FAULTED}], 1",
    "jmp moat_trap_hand_off",
    "7: xor edi, edi",
    "lea rsi, [rbx + {USAGE}]",
    "mov eax, 98",
    "syscall",
    "jmp moat_trap_hand_off",
    // the window's pieces
    "8: lea r12, [rbx + {PIECES}]",
    "mov r13d, [rbx + {PIECE_COUNT}]",
    "9: test r13d, r13d",
    "jz 5b",
    "mov rdi, [r12]",
    "mov ecx, [r12 + 8]",
    "mov esi, [r12 + 12]",
    "add rsi, rbx",
    "moat_trap_piece:",
    "rep movsb",
    "add r12, 16",
    "dec r13d",
    "jmp 9b",
    "moat_trap_unwritten:",
    "mov dword ptr [rbx + {STOP}], {UNWRITTEN}",
    "jmp moat_trap_hand_off",
    // ---- call: r11 the address behind the system call, whose number and arguments are in place
    ".balign 64",
    ".globl moat_trap_call",
    "moat_trap_call:",
    // Is %gs the address of a slot: in the stub's region, and a multiple of a slot's size? Without a change of flags.
    "rdgsbase rcx",
    "rorx rcx, rcx, {REGION_BITS}",
    "lea rcx, [rcx - {SLOTS_HIGH}]",
    "rorx rcx, rcx, 18",
    "jecxz 2f",
    "lea r11, [r11 - 2]",
    "jmp r11",
    ".globl moat_trap_first",
    "moat_trap_first:",
    "2: mov gs:[{SAVED_RIP}], r11",
    "mov gs:[{SAVED_RSP}], rsp",
    "rdgsbase rsp",
    "lea rsp, [rsp + {SAVED_FLAGS} + 8]",
    "pushfq",
    "mov [rsp + {SAVED_RBX} - {SAVED_FLAGS}], rbx",
    "lea rbx, [rsp - {SAVED_FLAGS}]",
    "mov rcx, [rsp]",
    "mov [rbx + {SAVED_R11}], rcx",
    "mov [rbx + {SAVED_RCX}], r11",
    "mov [rbx + {SAVED_R8}], r8",
    "mov [rbx + {SAVED_R8} + 8], r9",
    "mov [rbx + {SAVED_R8} + 16], r10",
    "mov [rbx + {SAVED_R8} + 32], r12",
    "mov [rbx + {SAVED_R8} + 40], r13",
    "mov [rbx + {SAVED_R8} + 48], r14",
    "mov [rbx + {SAVED_R8} + 56], r15",
    "mov [rbx + {SAVED_R8} + 64], rdi",
    "mov [rbx + {SAVED_R8} + 72], rsi",
    "mov [rbx + {SAVED_R8} + 80], rbp",
    "mov [rbx + {SAVED_R8} + 96], rdx",
    "mov [rbx + {SAVED_RAX}], rax",
    // A number of more than 32 bits is none of a call that is worth the while.
    "mov ecx, eax",
    "cmp rcx, rax",
    "jne 4f",
    // One that always answers the same?
    "cmp dword ptr [rbx + {CONSTANTS}], 0",
    "je 5f",
    "cmp eax, {CONSTANT_CALLS}",
    "jae 5f",
    "movzx ecx, byte ptr [rbx + rax + {CONSTANT_OF}]",
    "jecxz 5f",
    "mov eax, [rbx + 4 * rcx + {CONSTANTS}]",
    "mov [rbx + {SAVED_RAX}], rax",
    "jmp 3f",
    "5: rdfsbase rcx",
    "mov [rbx + {FS}], rcx",
    "mov [rbx + {NUMBER}], eax",
    "mov [rbx + {ARGUMENTS}], rdi",
    "mov [rbx + {ARGUMENTS} + 8], rsi",
    "mov [rbx + {ARGUMENTS} + 16], rdx",
    "mov [rbx + {ARGUMENTS} + 24], r10",
    "mov [rbx + {ARGUMENTS} + 32], r8",
    "mov [rbx + {ARGUMENTS} + 40], r9",
    // What is copied ahead: r12d the arguments that are left, r14d the one under way, r15d all that are.
    "cld",
    "xor r12d, r12d",
    "cmp eax, 512",
    "jae 5f",
    "movabs r12, {AHEAD_TABLE}",
    "movzx r12d, byte ptr [r12 + rax]",
    "5: mov r15d, r12d",
    "6: tzcnt r14d, r12d",
    "cmp r14d, 6",
    "je 7f",
    "ja 8f",
    "btr r12d, r14d",
    "mov rsi, [rbx + {ARGUMENTS} + r14 * 8]",
    "imul edi, r14d, {AHEAD_SIZE}",
    "lea rdi, [rbx + rdi + {ARGUMENT_DATA}]",
    // no further than the page
    "mov ecx, esi",
    "or ecx, -4096",
    "neg ecx",
    "mov eax, {AHEAD_SIZE}",
    "cmp ecx, eax",
    "cmova ecx, eax",
    "moat_trap_ahead:",
    "rep movsb",
    "jmp 6b",
    "moat_trap_not_ahead:",
    "btr r15d, r14d",
    "jmp 6b",
    "7: mov rsi, [rbx + {ARGUMENTS} + 8]",
    "mov rcx, [rbx + {ARGUMENTS} + 16]",
    "mov eax, {DATA_SIZE}",
    "cmp rcx, rax",
    "cmova rcx, rax",
    "lea rdi, [rbx + {DATA}]",
    "moat_trap_buffer:",
    "rep movsb",
    "jmp 8f",
    "moat_trap_no_buffer:",
    "btr r15d, 6",
    "8: shl r15d, {AHEAD_SHIFT}",
    "or r15d, {CALL}",
    "mov [rbx + {STOP}], r15d",
    "lea r15, [rip + 6f]",
    "jmp moat_trap_hand_off",
    "6: mov rax, [rbx + {RESULT}]",
    "mov [rbx + {SAVED_RAX}], rax",
    "jmp 3f",
    "4: sub qword ptr [rbx + {SAVED_RIP}], 2",
    "3: cmp dword ptr [rbx + {MISSED}], 0",
    // From here on a signal finds the call done: who is told of it completes the registers from what is saved.
    ".globl moat_trap_leave",
    "moat_trap_leave:",
    "jne moat_trap_stop",
    "mov r8, [rbx + {SAVED_R8}]",
    "mov r9, [rbx + {SAVED_R8} + 8]",
    "mov r10, [rbx + {SAVED_R8} + 16]",
    "mov r11, [rbx + {SAVED_R11}]",
    "mov r12, [rbx + {SAVED_R8} + 32]",
    "mov r13, [rbx + {SAVED_R8} + 40]",
    "mov r14, [rbx + {SAVED_R8} + 48]",
    "mov r15, [rbx + {SAVED_R8} + 56]",
    "mov rdi, [rbx + {SAVED_R8} + 64]",
    "mov rsi, [rbx + {SAVED_R8} + 72]",
    "mov rbp, [rbx + {SAVED_R8} + 80]",
    "mov rdx, [rbx + {SAVED_R8} + 96]",
    "mov rcx, [rbx + {SAVED_RCX}]",
    "mov rax, [rbx + {SAVED_RAX}]",
    "mov rbx, [rbx + {SAVED_RBX}]",
    "popfq",
    "mov rsp, gs:[{SAVED_RSP}]",
    "jmp qword ptr gs:[{SAVED_RIP}]",
    // A call that traps, whose frame the sentry makes that of the application.
    "moat_trap_stop:",
    "mov eax, 39",
    "syscall",
    ".globl moat_trap_stopped",
    "moat_trap_stopped:",
    "ud2",
    ".globl moat_trap_end",
    "moat_trap_end:",
    ".popsection",
    SLOT = const super::slots::SLOT,
    ALTSTACK = const offset::ALTSTACK,
    MASK = const offset::MASK,
    RIP = const CONTEXT_RIP,
    STOP = const offset::STOP,
    CONTEXT = const offset::CONTEXT,
    FS = const offset::FS,
    GS = const offset::GS,
    POSTED = const offset::POSTED,
    ANSWERED = const offset::ANSWERED,
    SENTRY_WAITS = const offset::SENTRY_WAITS,
    STUB_WAITS = const offset::STUB_WAITS,
    ACTION = const offset::ACTION,
    WORD = const offset::WORD,
    EXPECTED = const offset::EXPECTED,
    NEW = const offset::NEW,
    FOUND = const offset::FOUND,
    FAULTED = const offset::FAULTED,
    SET_BASES = const action::SET_BASES,
    EXCHANGE = const action::EXCHANGE,
    YIELDS = const YIELDS,
    SPINS = const offset::SPINS,
    PAUSES = const PAUSES,
    ASK_USAGE = const action::USAGE,
    USAGE = const offset::USAGE,
    FRAME = const action::FRAME,
    FAULTS = const FAULTS,
    MISSED = const offset::MISSED,
    SLOTS_HIGH = const layout::SLOTS >> REGION_BITS,
    REGION_BITS = const REGION_BITS,
    WRITE_PIECES = const action::WRITE_PIECES,
    UNWRITTEN = const UNWRITTEN,
    PIECES = const offset::PIECES,
    PIECE_COUNT = const offset::PIECE_COUNT,
    AHEAD_SHIFT = const AHEAD_SHIFT,
    AHEAD_TABLE = const layout::AHEAD,
    AHEAD_SIZE = const super::slots::AHEAD,
    ARGUMENT_DATA = const offset::ARGUMENT_DATA,
    DATA = const offset::DATA,
    DATA_SIZE = const super::slots::DATA,
    CALL = const CALL,
    CONSTANTS = const offset::CONSTANTS,
    CONSTANT_OF = const offset::CONSTANT_OF,
    CONSTANT_CALLS = const super::constants::CALLS,
    NUMBER = const offset::NUMBER,
    ARGUMENTS = const offset::ARGUMENTS,
    RESULT = const offset::RESULT,
    SAVED_R8 = const offset::SAVED,
    SAVED_R11 = const offset::SAVED + 8 * 3,
    SAVED_RBX = const offset::SAVED + 8 * 11,
    SAVED_RAX = const offset::SAVED + 8 * 13,
    SAVED_RCX = const offset::SAVED + 8 * 14,
    SAVED_RSP = const offset::SAVED + 8 * 15,
    SAVED_RIP = const offset::SAVED + 8 * 16,
    SAVED_FLAGS = const offset::SAVED + 8 * 17,
);

unsafe extern "C" {
    static moat_trap_begin: u8;
    static moat_trap_end: u8;
    static moat_trap_thread: u8;
    static moat_trap_handler: u8;
    static moat_trap_call: u8;
    static moat_trap_first: u8;
    static moat_trap_leave: u8;
    static moat_trap_stopped: u8;
}

/// The code.
pub fn image() -> Image {
    // SAFETY: both symbols delimit the read-only object of the assembly above.
    unsafe { Image::new(&raw const moat_trap_begin, &raw const moat_trap_end, layout::TRAP_CODE) }
}

/// Entry points and other places, as addresses in a stub.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// See the module.
    Thread,
    /// See the module.
    Handler,
    /// See the module.
    Call,
    /// The first instruction of `call` that can fault, where nothing of the application's has changed.
    First,
    /// From here on a call is done.
    Leave,
    /// The end of that, behind the call that makes a frame.
    Stopped,
}

impl Entry {
    /// Its address in every stub.
    pub fn address(self) -> u64 {
        let symbol = match self {
            Self::Thread => &raw const moat_trap_thread,
            Self::Handler => &raw const moat_trap_handler,
            Self::Call => &raw const moat_trap_call,
            Self::First => &raw const moat_trap_first,
            Self::Leave => &raw const moat_trap_leave,
            Self::Stopped => &raw const moat_trap_stopped,
        };
        image().address_of(symbol)
    }
}
