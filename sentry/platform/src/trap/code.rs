//! The code of the trap platform in a stub: position-independent, in a page of its own, from which alone its calls are
//! allowed.
//!
//! * `thread`: a new application thread leaves the descriptor table and its capability, takes the stack of its slot for signals, confines
//!   itself, and makes a call that traps, so that the sentry gets it by its handler.
//! * `handler`: of all signals. What it interrupted lies in the frame on the slot's stack, where the sentry can read and
//!   change it; the handler hands over, and returns by `rt_sigreturn` into what the frame then says. It keeps r14 (the
//!   frame), and never touches the application's stack.
//! * `hand_off`: posts, waits for the answer and does what it asks for, until the application is to run on: then it goes
//!   on at r15. It keeps rbx (the slot), rbp, r14, r15 and rsp, and has the number of the answer before in r13d.
//! * `exchange`: one compare-and-exchange in the application's memory, asked for by an answer. Its fault comes back to
//!   the handler, which goes on at `fixup`.
//!
//! What lies in a slot is the application's to write: the code trusts it no further than the application's own rights go.

use std::arch::global_asm;

use super::slots::offset;
use crate::stub::code::FILTER_OFFSET;
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
    /// Added to the others: set the bases of %fs and %gs.
    pub const SET_BASES: u32 = 0x100;
}

/// How often either side gives the other its core before it sleeps. More would only take time from third parties.
pub const YIELDS: u32 = 2;

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
    "xor edi, edi",
    "mov esi, 0xffffffff",
    "mov edx, 2",
    "mov eax, 436",
    "syscall",
    "test rax, rax",
    "jnz 9f",
    "lea rdi, [rip + 11f]",
    "lea rsi, [rip + 12f]",
    "mov eax, 126",
    "syscall",
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
    "mov edi, 2",
    "lea rsi, [rbx + {MASK}]",
    "xor edx, edx",
    "mov r10d, 8",
    "mov eax, 14",
    "syscall",
    "mov edi, 1",
    "xor esi, esi",
    "movabs rdx, {FILTER}",
    "mov eax, 317",
    "syscall",
    "test rax, rax",
    "jnz 9f",
    "mov eax, 39",
    "syscall",
    "9: ud2",
    // No capability: the header of capset, and its sets.
    "11: .long 0x20080522, 0",
    "12: .zero 24",
    // ---- handler: edi the signal, rdx the ucontext, rsp the frame
    ".globl moat_trap_handler",
    "moat_trap_handler:",
    "mov rax, [rdx + {RIP}]",
    "lea rcx, [rip + moat_trap_exchange]",
    "cmp rax, rcx",
    "je 8f",
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
    "8: lea rcx, [rip + moat_trap_fixup]",
    "mov [rdx + {RIP}], rcx",
    "lea rsp, [rsp + 8]",
    "mov eax, 15",
    "syscall",
    "ud2",
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
    // wait: first give a sentry of this core the chance to answer
    "9: mov r12d, {YIELDS}",
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
    ".globl moat_trap_end",
    "moat_trap_end:",
    ".popsection",
    SLOT = const super::slots::SLOT,
    ALTSTACK = const offset::ALTSTACK,
    MASK = const offset::MASK,
    FILTER = const layout::CODE + FILTER_OFFSET as u64,
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
    ASK_USAGE = const action::USAGE,
    USAGE = const offset::USAGE,
);

unsafe extern "C" {
    static moat_trap_begin: u8;
    static moat_trap_end: u8;
    static moat_trap_thread: u8;
    static moat_trap_handler: u8;
}

/// The code as bytes.
pub fn bytes() -> &'static [u8] {
    let (begin, end) = (&raw const moat_trap_begin, &raw const moat_trap_end);
    // SAFETY: both symbols delimit one read-only object of the assembly above, `end` behind `begin`.
    unsafe { std::slice::from_raw_parts(begin, end.addr() - begin.addr()) }
}

/// Entry points, as addresses in a stub.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// See the module.
    Thread,
    /// See the module.
    Handler,
}

impl Entry {
    /// Its address in every stub.
    pub fn address(self) -> u64 {
        let symbol = match self {
            Self::Thread => &raw const moat_trap_thread,
            Self::Handler => &raw const moat_trap_handler,
        };
        layout::TRAP_CODE + (symbol.addr() - (&raw const moat_trap_begin).addr()) as u64
    }
}
