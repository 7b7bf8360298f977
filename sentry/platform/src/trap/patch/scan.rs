//! Which system calls of a program's text can be patched, and how.
//!
//! A site is a `syscall` and the instruction before it, which is replaced by a jump and moved to where that leads. The
//! `syscall` itself stays in place: a thread that stands or jumps there makes the call by a trap, and so does one whose
//! call begins anew. An instruction of less than five bytes makes room for a short jump only, to an *island*: padding
//! between two functions, which holds the long one.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// Bytes of `syscall`.
pub const SYSCALL: usize = 2;
/// Bytes of a jump with a 32-bit displacement.
pub const LONG_JUMP: usize = 5;
/// Bytes of one with an 8-bit displacement.
pub const SHORT_JUMP: usize = 2;
/// How far before a call decoding begins: instructions find themselves again within a few.
const RUN_UP: usize = 48;
/// The longest padding that is looked for.
const PADDING: usize = 15;
/// Functions begin at multiples of this.
const ALIGNMENT: usize = 16;

/// A call that can be patched. Places are offsets in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The instruction before the call.
    pub start: usize,
    /// The call.
    pub call: usize,
    /// Where the long jump goes, if not at `start`.
    pub island: Option<usize>,
}

impl Site {
    /// Where the application goes on.
    pub fn end(&self) -> usize {
        self.call + SYSCALL
    }
}

/// All sites of `text`.
pub fn sites(text: &[u8]) -> Vec<Site> {
    let mut islands = Islands { text, used: Vec::new() };
    let calls = text.windows(SYSCALL).enumerate().filter(|(_, bytes)| *bytes == [0x0f, 0x05]).map(|(at, _)| at);
    calls.filter_map(|call| site(text, call, &mut islands)).collect()
}

fn site(text: &[u8], call: usize, islands: &mut Islands<'_>) -> Option<Site> {
    let start = instruction_before(text, call)?;
    let moved = decode(text, start)?;
    if !can_move(&moved) {
        return None;
    }
    let island = match call - start {
        LONG_JUMP.. => None,
        SHORT_JUMP.. => Some(islands.near(start + SHORT_JUMP)?),
        _ => return None,
    };
    Some(Site { start, call, island })
}

fn decode(text: &[u8], at: usize) -> Option<Instruction> {
    let instruction = Decoder::with_ip(64, text.get(at..)?, at as u64, DecoderOptions::NONE).decode();
    (instruction.code() != Code::INVALID).then_some(instruction)
}

/// Where the instruction that ends at `end` begins, if decoding from most places before it agrees on that.
fn instruction_before(text: &[u8], end: usize) -> Option<usize> {
    let mut votes: Vec<(usize, usize)> = Vec::new();
    let mut chains = 0;
    for begin in (end.saturating_sub(RUN_UP)..end.saturating_sub(RUN_UP / 3)).step_by(2) {
        let mut decoder = Decoder::with_ip(64, &text[begin..end], begin as u64, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        let mut valid = true;
        while decoder.can_decode() && valid {
            decoder.decode_out(&mut instruction);
            valid = instruction.code() != Code::INVALID;
        }
        if !valid {
            continue;
        }
        chains += 1;
        let last = instruction.ip() as usize;
        match votes.iter_mut().find(|(start, _)| *start == last) {
            Some((_, count)) => *count += 1,
            None => votes.push((last, 1)),
        }
    }
    let (start, count) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    (count >= 6 && 4 * count >= 3 * chains).then_some(start)
}

/// Whether an instruction does the same elsewhere: it computes a register from registers, numbers and memory, without the
/// instruction pointer or a change of the stack pointer.
fn can_move(instruction: &Instruction) -> bool {
    let computes = matches!(
        instruction.mnemonic(),
        Mnemonic::Mov
            | Mnemonic::Movsxd
            | Mnemonic::Movzx
            | Mnemonic::Lea
            | Mnemonic::Xor
            | Mnemonic::And
            | Mnemonic::Or
            | Mnemonic::Add
            | Mnemonic::Sub
    );
    let general = |register: Register| register.is_gpr8() || register.is_gpr32() || register.is_gpr64();
    let to = instruction.op0_register();
    let from = instruction.op1_kind() != OpKind::Register || general(instruction.op1_register());
    computes
        && instruction.op_count() == 2
        && instruction.op0_kind() == OpKind::Register
        && general(to)
        && !matches!(to, Register::RSP | Register::ESP | Register::SPL)
        && from
        && !instruction.is_ip_rel_memory_operand()
}

/// Finds islands, and remembers which are taken.
struct Islands<'a> {
    text: &'a [u8],
    /// Each padding that was used, and how far.
    used: Vec<(usize, usize)>,
}

impl Islands<'_> {
    /// Takes one that a short jump which ends at `from` reaches.
    fn near(&mut self, from: usize) -> Option<usize> {
        let (low, high) = (from.saturating_sub(128), (from + 127).min(self.text.len().saturating_sub(LONG_JUMP)));
        let first = low.next_multiple_of(ALIGNMENT);
        for end in (first..=high + PADDING).step_by(ALIGNMENT).filter(|&end| end <= self.text.len()) {
            let Some(start) = self.padding(end) else { continue };
            let free = match self.used.iter().find(|(padding, _)| *padding == start) {
                Some((_, free)) => *free,
                None => start,
            };
            if free + LONG_JUMP > end || !(low..=high).contains(&free) {
                continue;
            }
            self.used.retain(|(padding, _)| *padding != start);
            self.used.push((start, free + LONG_JUMP));
            return Some(free);
        }
        None
    }

    /// Where the padding that ends at `end` begins: what does nothing, behind an instruction that never goes on.
    fn padding(&self, end: usize) -> Option<usize> {
        (end.saturating_sub(PADDING)..=end.checked_sub(LONG_JUMP)?)
            .find(|&start| self.does_nothing(start, end) && self.never_goes_on(start))
    }

    fn does_nothing(&self, start: usize, end: usize) -> bool {
        let mut decoder = Decoder::with_ip(64, &self.text[start..end], start as u64, DecoderOptions::NONE);
        decoder.iter().all(|i| matches!(i.mnemonic(), Mnemonic::Nop | Mnemonic::Int3))
    }

    fn never_goes_on(&self, end: usize) -> bool {
        let before = instruction_before(self.text, end).and_then(|at| decode(self.text, at));
        before.is_some_and(|i| matches!(i.mnemonic(), Mnemonic::Ret | Mnemonic::Jmp | Mnemonic::Ud2 | Mnemonic::Hlt))
    }
}
