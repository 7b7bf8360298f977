//! The code that runs in a stub: position-independent, copied to a fixed page there, without stack or writable data.
//!
//! * `lead`: where the lead begins, before it is a mapper: what is left in its vector registers may be of the filter, and
//!   with that of the key.
//! * `mapper`: waits for orders on its order page, makes the system calls that they name, acknowledges. Its state lives
//!   in registers: r12 the order page, r13d the number of the last order, r14 the current entry, ebx how many are left, rbp
//!   where a child of the current entry begins (it may run late, when the page holds other orders), r15 the key by which
//!   the filter knows a mapper's calls ([`super::filters`]) and which each of them carries in r9, but `mmap`, which needs
//!   that: there it goes in the upper halves of r10 and r8.
//! * `forked`: a forked mapper puts its own order page in place of its parent's and goes on as a mapper.
//! * `thread`: an application thread leaves the descriptor table and its capability, forgets the key and parks until it is
//!   traced.
//! * `watch`: ends the lead, and with it all stubs, when the sentry has ended.
//! * `signals`: hands the signals that the lead gets on to the sentry.
//! * `handler`: an application thread saves its vector state into the signal frame that the sentry has written (at rcx),
//!   takes the one that handlers start with, and goes on at r11 with r8 as rdx and r9 as rax.
//! * `sigreturn`: an application thread takes all its registers from the frame that it would have given to
//!   `rt_sigreturn`, whose alternate stack, of no use any more, makes room for what `iretq` pops.
//!
//! The last two work on the application's memory with the application's rights, and spare the sentry the copying.
//!
//! The result of an order is acknowledged by register: `lseek` on the acknowledgement file, whose position the sentry
//! reads. Nothing that the application can write is ever read here.

use std::arch::global_asm;

use super::image::Image;
use super::orders::offset;

/// A mapper's `mmap`, in place of r9: the low half of the key goes with the flags, the high one with the descriptor, both
/// of which are an `int` of the caller's, so that the host leaves their upper halves alone. Destroys rcx.
macro_rules! put_key_into_map {
    () => {
        "mov rcx, r15
        shl rcx, 32
        mov r10d, r10d
        or r10, rcx
        mov rcx, r15
        shr rcx, 32
        shl rcx, 32
        mov r8d, r8d
        or r8, rcx"
    };
}

/// The first calls of an application thread, which has yet the mapper's key (in r15): it leaves the descriptor table and
/// gives up its capability. rax is not 0 if the last one failed.
macro_rules! leave_mapper {
    () => {
        // close_range(0, ~0, CLOSE_RANGE_UNSHARE), and capset of no capability, whose header and sets are the data.
        "xor edi, edi
        mov esi, 0xffffffff
        mov edx, 2
        mov r9, r15
        mov eax, 436
        syscall
        test rax, rax
        jnz 93f
        lea rdi, [rip + 91f]
        lea rsi, [rip + 92f]
        mov eax, 126
        syscall
        jmp 93f
        91: .long 0x20080522, 0
        92: .zero 24
        93:"
    };
}

/// What an application thread does before it can be reached by anything of the application's.
macro_rules! forget_key {
    () => {
        "xor r9d, r9d
        xor r15d, r15d"
    };
}

pub(crate) use {forget_key, leave_mapper};

global_asm!(
    ".pushsection .rodata.moat_stub, \"a\"",
    ".balign 64",
    ".globl moat_stub_begin",
    "moat_stub_begin:",
    // ---- lead
    ".globl moat_stub_lead",
    "moat_stub_lead:",
    "mov eax, {STATE_RESET}",
    "xor edx, edx",
    "lea r10, [rip + 10f]",
    "xrstor64 [r10]",
    // ---- mapper: r12 = order page, r13d = last sequence number, r15 = key
    "moat_stub_mapper:",
    "2: mov eax, [r12 + {SEQUENCE}]",
    "cmp eax, r13d",
    "jne 3f",
    "mov rdi, r12",
    "xor esi, esi",
    "mov edx, r13d",
    "xor r10d, r10d",
    "mov r9, r15",
    "mov eax, 202",
    "syscall",
    "jmp 2b",
    "3: mov r13d, eax",
    "lea r14, [r12 + {ENTRIES}]",
    "mov ebx, [r12 + {COUNT}]",
    "4: mov rax, [r14]",
    "mov rdi, [r14 + 8]",
    "mov rsi, [r14 + 16]",
    "mov rdx, [r14 + 24]",
    "mov r10, [r14 + 32]",
    "mov r8, [r14 + 40]",
    "mov r9, r15",
    "xor ebp, ebp",
    "cmp rax, 56",
    "cmove rbp, [r12 + {CHILD_TARGET}]",
    "cmp rax, 9",
    "jne 8f",
    "mov r9, [r14 + 48]",
    put_key_into_map!(),
    "8: syscall",
    "test rbp, rbp",
    "jz 5f",
    "test rax, rax",
    "jnz 5f",
    "jmp rbp",
    "5: cmp rax, -4095",
    "jae 6f",
    "add r14, 64",
    "dec ebx",
    "jnz 4b",
    // acknowledge: position = entries left << 32 | result
    "6: mov esi, eax",
    "mov eax, ebx",
    "shl rax, 32",
    "or rsi, rax",
    "mov edi, [r12 + {ACK}]",
    "xor edx, edx",
    "mov r9, r15",
    "mov eax, 8",
    "syscall",
    "mov edi, [r12 + {EVENT}]",
    "lea rsi, [r12 + {ONE}]",
    "mov edx, 8",
    "mov eax, 1",
    "syscall",
    "jmp 2b",
    // ---- forked
    ".globl moat_stub_forked",
    "moat_stub_forked:",
    "mov rdi, r12",
    "mov esi, 4096",
    "mov edx, 1",
    "mov r10d, 0x11",
    "mov r8d, [r12 + {CHILD_FILE}]",
    "mov r9, [r12 + {CHILD_OFFSET}]",
    put_key_into_map!(),
    "mov eax, 9",
    "syscall",
    "cmp rax, r12",
    "jne 7f",
    "xor r13d, r13d",
    "jmp moat_stub_mapper",
    "7: ud2",
    // ---- thread
    ".globl moat_stub_thread",
    "moat_stub_thread:",
    leave_mapper!(),
    "test rax, rax",
    "jnz 7b",
    forget_key!(),
    ".globl moat_stub_parked",
    "moat_stub_parked:",
    "8: mov eax, 34",
    "syscall",
    "jmp 8b",
    // ---- exit of an application thread
    ".globl moat_stub_exit",
    "moat_stub_exit:",
    "xor edi, edi",
    "mov eax, 60",
    "syscall",
    "ud2",
    // ---- compare and exchange: eax expected, edx new, rdi the word
    ".globl moat_stub_exchange",
    "moat_stub_exchange:",
    "lock cmpxchg [rdi], edx",
    "int3",
    "ud2",
    // ---- entry of a signal handler: rcx the state's place in the frame
    ".globl moat_stub_handler",
    "moat_stub_handler:",
    "mov eax, {STATE_SAVED}",
    "xor edx, edx",
    "xsave64 [rcx]",
    ".globl moat_stub_handler_saved",
    "moat_stub_handler_saved:",
    // As Linux does, for who changes an old component without saying so.
    "or dword ptr [rcx + 512], 3",
    "mov eax, {STATE_RESET}",
    "lea r10, [rip + 10f]",
    "xrstor64 [r10]",
    ".globl moat_stub_handler_reset",
    "moat_stub_handler_reset:",
    "mov rdx, r8",
    "mov rax, r9",
    "jmp r11",
    // ---- return from a signal handler: rsp at the ucontext, whose sigcontext begins at 40
    ".globl moat_stub_sigreturn",
    "moat_stub_sigreturn:",
    "mov rcx, [rsp + 224]",
    "mov eax, {STATE_SAVED}",
    "xor edx, edx",
    "xrstor64 [rcx]",
    "mov r8, [rsp + 40]",
    "mov r9, [rsp + 48]",
    "mov r10, [rsp + 56]",
    "mov r11, [rsp + 64]",
    "mov r12, [rsp + 72]",
    "mov r13, [rsp + 80]",
    "mov r14, [rsp + 88]",
    "mov r15, [rsp + 96]",
    "mov rdi, [rsp + 104]",
    "mov rsi, [rsp + 112]",
    "mov rbp, [rsp + 120]",
    "mov rbx, [rsp + 128]",
    // rip, cs, rflags, rsp, ss
    "mov rax, [rsp + 168]",
    "mov [rsp], rax",
    "mov qword ptr [rsp + 8], 0x33",
    "mov eax, [rsp + 176]",
    "and eax, {RESTORED_FLAGS}",
    "or eax, 0x202",
    "mov [rsp + 16], rax",
    "mov rax, [rsp + 160]",
    "mov [rsp + 24], rax",
    "mov qword ptr [rsp + 32], 0x2b",
    "mov rdx, [rsp + 136]",
    "mov rax, [rsp + 144]",
    "mov rcx, [rsp + 152]",
    "iretq",
    // What a handler starts with: the control words at their defaults, no component in use.
    ".balign 64",
    "10: .word 0x37f",
    ".zero 22",
    ".long 0x1f80",
    ".zero 548",
    // ---- signals of the lead: rt_sigtimedwait(all but CHLD…, 0, 0, 8), then one byte of the table below
    ".globl moat_stub_signals",
    "moat_stub_signals:",
    "lea rdi, [r12 + {SIGNAL_SET}]",
    "xor esi, esi",
    "xor edx, edx",
    "mov r10d, 8",
    "mov r9, r15",
    "mov eax, 128",
    "syscall",
    "cmp eax, 1",
    "jl moat_stub_signals",
    "cmp eax, 64",
    "jg moat_stub_signals",
    "lea rsi, [rip + 9f]",
    "add rsi, rax",
    "mov edi, [r12 + {SIGNAL_PIPE}]",
    "mov edx, 1",
    "mov eax, 1",
    "syscall",
    "jmp moat_stub_signals",
    // ---- the lead's watch over the sentry: a pipe into which nobody writes ends
    ".globl moat_stub_watch",
    "moat_stub_watch:",
    "mov edi, [r12 + {WATCH_PIPE}]",
    "mov rsi, r12",
    "mov edx, 1",
    "mov r9, r15",
    "xor eax, eax",
    "syscall",
    "test rax, rax",
    "jnz moat_stub_watch",
    "mov edi, 137",
    "mov eax, 231",
    "syscall",
    "ud2",
    "9: .byte 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32",
    ".byte 33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63,64",
    ".globl moat_stub_end",
    "moat_stub_end:",
    ".popsection",
    SEQUENCE = const offset::SEQUENCE,
    COUNT = const offset::COUNT,
    ACK = const offset::ACK,
    EVENT = const offset::EVENT,
    CHILD_TARGET = const offset::CHILD_TARGET,
    CHILD_FILE = const offset::CHILD_FILE,
    CHILD_OFFSET = const offset::CHILD_OFFSET,
    ONE = const offset::ONE,
    SIGNAL_SET = const offset::SIGNAL_SET,
    SIGNAL_PIPE = const offset::SIGNAL_PIPE,
    WATCH_PIPE = const offset::WATCH_PIPE,
    ENTRIES = const offset::ENTRIES,
    STATE_SAVED = const STATE_SAVED,
    STATE_RESET = const STATE_RESET,
    RESTORED_FLAGS = const RESTORED_FLAGS,
);

/// Components of the vector state that frames hold: x87, SSE, AVX, AVX-512, protection keys.
const STATE_SAVED: u32 = 0x2e7;
/// Those that are reset for a handler. The keys' reset would allow everything.
const STATE_RESET: u32 = 0xe7;
/// The flags that a frame may set: AC OF DF TF SF ZF AF PF CF RF (`FIX_EFLAGS` of Linux).
pub const RESTORED_FLAGS: u32 = 0x5_0dd5;

unsafe extern "C" {
    static moat_stub_begin: u8;
    static moat_stub_end: u8;
    static moat_stub_lead: u8;
    static moat_stub_forked: u8;
    static moat_stub_thread: u8;
    static moat_stub_parked: u8;
    static moat_stub_exit: u8;
    static moat_stub_exchange: u8;
    static moat_stub_signals: u8;
    static moat_stub_watch: u8;
    static moat_stub_handler: u8;
    static moat_stub_handler_saved: u8;
    static moat_stub_handler_reset: u8;
    static moat_stub_sigreturn: u8;
}

/// The code.
pub fn image() -> Image {
    // SAFETY: both symbols delimit the read-only object of the assembly above.
    unsafe { Image::new(&raw const moat_stub_begin, &raw const moat_stub_end, super::layout::CODE) }
}

/// Entry points, as addresses in a stub.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// See the module.
    Lead,
    /// See the module.
    Forked,
    /// See the module.
    Thread,
    /// Where an application thread waits until it is traced.
    Parked,
    /// Ends the calling application thread.
    Exit,
    /// `lock cmpxchg`, then a trap.
    Exchange,
    /// See the module.
    Signals,
    /// See the module.
    Watch,
    /// See the module.
    Handler,
    /// Where in it the vector state is saved.
    HandlerSaved,
    /// Where in it that of a handler is there, too.
    HandlerReset,
    /// See the module.
    Sigreturn,
}

impl Entry {
    /// Its address in every stub.
    pub fn address(self) -> u64 {
        let symbol = match self {
            Self::Lead => &raw const moat_stub_lead,
            Self::Forked => &raw const moat_stub_forked,
            Self::Thread => &raw const moat_stub_thread,
            Self::Parked => &raw const moat_stub_parked,
            Self::Exit => &raw const moat_stub_exit,
            Self::Exchange => &raw const moat_stub_exchange,
            Self::Signals => &raw const moat_stub_signals,
            Self::Watch => &raw const moat_stub_watch,
            Self::Handler => &raw const moat_stub_handler,
            Self::HandlerSaved => &raw const moat_stub_handler_saved,
            Self::HandlerReset => &raw const moat_stub_handler_reset,
            Self::Sigreturn => &raw const moat_stub_sigreturn,
        };
        image().address_of(symbol)
    }

    /// Whether an instruction pointer is between this entry and [`Self::Exit`], which follows the place to park.
    pub fn is_at(self, instruction: u64) -> bool {
        (self.address()..Self::Exit.address()).contains(&instruction)
    }
}
