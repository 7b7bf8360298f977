//! Classic BPF as seccomp takes it: the checks of `bpf_check_classic` and `seccomp_check_filter`, and an interpreter
//! (net/core/filter.c, kernel/seccomp.c).

use moat_abi::errno::Errno;
use moat_abi::seccomp::{AUDIT_ARCH_X86_64, SECCOMP_RET_KILL_PROCESS, SockFilter};

use super::CallData;
use crate::Result;

/// The most instructions of a program (`BPF_MAXINSNS`).
pub const PROGRAM_MAX: usize = 4096;
/// Words of scratch memory (`BPF_MEMWORDS`).
const SCRATCH: usize = 16;
/// Size of `struct seccomp_data`.
const DATA_SIZE: u32 = 64;

const LD_IMM: u16 = 0x00;
const LDX_IMM: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ADD_K: u16 = 0x04;
const JA: u16 = 0x05;
const RET_K: u16 = 0x06;
const TAX: u16 = 0x07;
const ADD_X: u16 = 0x0c;
const SUB_K: u16 = 0x14;
const JEQ_K: u16 = 0x15;
const RET_A: u16 = 0x16;
const SUB_X: u16 = 0x1c;
const JEQ_X: u16 = 0x1d;
const LD_ABS: u16 = 0x20;
const MUL_K: u16 = 0x24;
const JGT_K: u16 = 0x25;
const MUL_X: u16 = 0x2c;
const JGT_X: u16 = 0x2d;
const DIV_K: u16 = 0x34;
const JGE_K: u16 = 0x35;
const DIV_X: u16 = 0x3c;
const JGE_X: u16 = 0x3d;
const OR_K: u16 = 0x44;
const JSET_K: u16 = 0x45;
const OR_X: u16 = 0x4c;
const JSET_X: u16 = 0x4d;
const AND_K: u16 = 0x54;
const AND_X: u16 = 0x5c;
const LD_MEM: u16 = 0x60;
const LDX_MEM: u16 = 0x61;
const LSH_K: u16 = 0x64;
const LSH_X: u16 = 0x6c;
const RSH_K: u16 = 0x74;
const RSH_X: u16 = 0x7c;
const LD_LEN: u16 = 0x80;
const LDX_LEN: u16 = 0x81;
const NEG: u16 = 0x84;
const TXA: u16 = 0x87;
const XOR_K: u16 = 0xa4;
const XOR_X: u16 = 0xac;

/// A program that has been checked: every jump leads forward to an instruction, and the last one returns.
pub struct Program {
    instructions: Vec<SockFilter>,
    wants_instruction: bool,
}

impl Program {
    /// Checks a program. `EINVAL` if the kernel would not take it.
    pub fn check(instructions: Vec<SockFilter>) -> Result<Self> {
        if instructions.is_empty() || instructions.len() > PROGRAM_MAX {
            return Err(Errno::EINVAL);
        }
        for (at, instruction) in instructions.iter().enumerate() {
            check_one(at, instruction, instructions.len())?;
        }
        if !instructions.last().is_some_and(|i| matches!(i.code, RET_K | RET_A)) {
            return Err(Errno::EINVAL);
        }
        check_scratch(&instructions)?;
        let wants_instruction = instructions.iter().any(|i| i.code == LD_ABS && matches!(i.k, 8 | 12));
        Ok(Self { instructions, wants_instruction })
    }

    /// How many instructions it has.
    #[allow(clippy::len_without_is_empty, reason = "a program is never empty")]
    pub fn len(&self) -> usize {
        self.instructions.len()
    }

    /// Whether it looks at where the call was made.
    pub fn wants_instruction(&self) -> bool {
        self.wants_instruction
    }

    /// Its answer to a call.
    pub fn run(&self, data: &CallData) -> u32 {
        let (mut a, mut x) = (0u32, 0u32);
        let mut scratch = [0u32; SCRATCH];
        let mut at = 0;
        // The checks make sure that the end is never reached; if they did not, the answer would be to kill.
        while let Some(&SockFilter { code, jt, jf, k }) = self.instructions.get(at) {
            at += 1;
            let jump = |taken: bool| usize::from(if taken { jt } else { jf });
            let word = k as usize % SCRATCH;
            match code {
                RET_K => return k,
                RET_A => return a,
                LD_ABS => a = load(data, k),
                LD_IMM => a = k,
                LDX_IMM => x = k,
                LD_LEN => a = DATA_SIZE,
                LDX_LEN => x = DATA_SIZE,
                LD_MEM => a = scratch[word],
                LDX_MEM => x = scratch[word],
                ST => scratch[word] = a,
                STX => scratch[word] = x,
                TAX => x = a,
                TXA => a = x,
                ADD_K => a = a.wrapping_add(k),
                ADD_X => a = a.wrapping_add(x),
                SUB_K => a = a.wrapping_sub(k),
                SUB_X => a = a.wrapping_sub(x),
                MUL_K => a = a.wrapping_mul(k),
                MUL_X => a = a.wrapping_mul(x),
                DIV_K => a = a.checked_div(k).unwrap_or(0),
                // A division by zero ends the program.
                DIV_X => match a.checked_div(x) {
                    Some(quotient) => a = quotient,
                    None => return 0,
                },
                AND_K => a &= k,
                AND_X => a &= x,
                OR_K => a |= k,
                OR_X => a |= x,
                XOR_K => a ^= k,
                XOR_X => a ^= x,
                LSH_K => a = a.wrapping_shl(k),
                LSH_X => a = a.wrapping_shl(x),
                RSH_K => a = a.wrapping_shr(k),
                RSH_X => a = a.wrapping_shr(x),
                NEG => a = a.wrapping_neg(),
                JA => at = at.saturating_add(k as usize),
                JEQ_K => at += jump(a == k),
                JEQ_X => at += jump(a == x),
                JGT_K => at += jump(a > k),
                JGT_X => at += jump(a > x),
                JGE_K => at += jump(a >= k),
                JGE_X => at += jump(a >= x),
                JSET_K => at += jump(a & k != 0),
                JSET_X => at += jump(a & x != 0),
                _ => break,
            }
        }
        SECCOMP_RET_KILL_PROCESS
    }
}

/// A word of `struct seccomp_data`.
fn load(data: &CallData, offset: u32) -> u32 {
    let half = |word: u64| if offset.is_multiple_of(8) { word as u32 } else { (word >> 32) as u32 };
    match offset {
        0 => data.number,
        4 => AUDIT_ARCH_X86_64,
        8 | 12 => half(data.instruction),
        _ => data.arguments.get((offset as usize / 8).wrapping_sub(2)).map_or(0, |word| half(*word)),
    }
}

fn check_one(at: usize, i: &SockFilter, len: usize) -> Result<()> {
    let left = len - at - 1;
    let good = match i.code {
        LD_ABS => i.k < DATA_SIZE && i.k.is_multiple_of(4),
        DIV_K => i.k != 0,
        LSH_K | RSH_K => i.k < 32,
        LD_MEM | LDX_MEM | ST | STX => (i.k as usize) < SCRATCH,
        JA => (i.k as usize) < left,
        JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X => {
            usize::from(i.jt) < left && usize::from(i.jf) < left
        }
        LD_IMM | LDX_IMM | LD_LEN | LDX_LEN | RET_K | RET_A | TAX | TXA | NEG => true,
        ADD_K | ADD_X | SUB_K | SUB_X | MUL_K | MUL_X | DIV_X | AND_K | AND_X | OR_K | OR_X | XOR_K | XOR_X | LSH_X
        | RSH_X => true,
        _ => false,
    };
    if good { Ok(()) } else { Err(Errno::EINVAL) }
}

/// No word of scratch memory may be read before it is written, on any path (`check_load_and_stores`).
fn check_scratch(instructions: &[SockFilter]) -> Result<()> {
    let mut masks = vec![u16::MAX; instructions.len()];
    let mut valid = 0u16;
    for (at, i) in instructions.iter().enumerate() {
        valid &= masks[at];
        let mut meet = |by: usize| {
            if let Some(mask) = masks.get_mut(at + 1 + by) {
                *mask &= valid;
            }
        };
        match i.code {
            ST | STX => valid |= 1 << i.k,
            LD_MEM | LDX_MEM if valid & (1 << i.k) == 0 => return Err(Errno::EINVAL),
            JA => {
                meet(i.k as usize);
                valid = u16::MAX;
            }
            JEQ_K | JEQ_X | JGT_K | JGT_X | JGE_K | JGE_X | JSET_K | JSET_X => {
                meet(usize::from(i.jt));
                meet(usize::from(i.jf));
                valid = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(lines: &[(u16, u8, u8, u32)]) -> Result<Program> {
        Program::check(lines.iter().map(|&(code, jt, jf, k)| SockFilter { code, jt, jf, k }).collect())
    }

    fn run(lines: &[(u16, u8, u8, u32)]) -> u32 {
        let arguments = [0x1111_2222_3333_4444, 2, 3, 4, 5, u64::MAX];
        program(lines).unwrap().run(&CallData { number: 39, instruction: 0x7f00_0000_1234, arguments })
    }

    #[test]
    fn every_word_of_the_data_can_be_loaded() {
        let word = |k| run(&[(LD_ABS, 0, 0, k), (RET_A, 0, 0, 0)]);
        assert_eq!([word(0), word(4)], [39, AUDIT_ARCH_X86_64]);
        assert_eq!([word(8), word(12)], [0x1234, 0x7f00]);
        assert_eq!([word(16), word(20)], [0x3333_4444, 0x1111_2222]);
        assert_eq!([word(56), word(60)], [u32::MAX, u32::MAX]);
    }

    #[test]
    fn arithmetic_is_that_of_32_bits() {
        let with = |a: u32, x: u32, code: u16, k: u32| {
            run(&[(LDX_IMM, 0, 0, x), (LD_IMM, 0, 0, a), (code, 0, 0, k), (RET_A, 0, 0, 0)])
        };
        assert_eq!(with(u32::MAX, 0, ADD_K, 2), 1);
        assert_eq!(with(1, 2, SUB_X, 0), u32::MAX);
        assert_eq!(with(7, 0, DIV_K, 2), 3);
        assert_eq!(with(7, 0, DIV_X, 0), 0);
        assert_eq!(with(1, 33, LSH_X, 0), 2);
        assert_eq!(with(5, 0, NEG, 0), 5u32.wrapping_neg());
        assert_eq!(with(0xf0, 0x3c, XOR_X, 0), 0xcc);
        assert_eq!(with(9, 4, TXA, 0), 4);
        assert_eq!(run(&[(LD_LEN, 0, 0, 0), (RET_A, 0, 0, 0)]), 64);
    }

    #[test]
    fn jumps_lead_forward() {
        let equal = |k| run(&[(LD_ABS, 0, 0, 0), (JEQ_K, 1, 0, k), (RET_K, 0, 0, 1), (RET_K, 0, 0, 2)]);
        assert_eq!([equal(39), equal(40)], [2, 1]);
        assert_eq!(run(&[(JA, 0, 0, 1), (RET_K, 0, 0, 1), (RET_K, 0, 0, 2)]), 2);
        let set = [(LD_IMM, 0, 0, 6), (JSET_K, 0, 1, 1), (RET_K, 0, 0, 1), (RET_K, 0, 0, 2)];
        assert_eq!(run(&set), 2);
    }

    #[test]
    fn programs_that_the_kernel_refuses_are_refused() {
        let bad: &[&[(u16, u8, u8, u32)]] = &[
            &[],
            &[(LD_IMM, 0, 0, 0)],
            &[(LD_ABS, 0, 0, 64), (RET_K, 0, 0, 0)],
            &[(LD_ABS, 0, 0, 2), (RET_K, 0, 0, 0)],
            &[(JA, 0, 0, 1), (RET_K, 0, 0, 0)],
            &[(JEQ_K, 0, 1, 0), (RET_K, 0, 0, 0)],
            &[(DIV_K, 0, 0, 0), (RET_K, 0, 0, 0)],
            &[(LSH_K, 0, 0, 32), (RET_K, 0, 0, 0)],
            &[(ST, 0, 0, 16), (RET_K, 0, 0, 0)],
            // A byte load, and a remainder, which seccomp does not know.
            &[(0x30, 0, 0, 0), (RET_K, 0, 0, 0)],
            &[(0x94, 0, 0, 3), (RET_K, 0, 0, 0)],
            // Scratch memory that one of two ways leaves unwritten.
            &[(LD_MEM, 0, 0, 3), (RET_K, 0, 0, 0)],
            &[(JEQ_K, 0, 1, 0), (ST, 0, 0, 1), (LD_MEM, 0, 0, 1), (RET_K, 0, 0, 0)],
        ];
        for lines in bad {
            assert_eq!(program(lines).err(), Some(Errno::EINVAL), "{lines:?}");
        }
        assert!(program(&[(ST, 0, 0, 1), (JEQ_K, 0, 0, 0), (LD_MEM, 0, 0, 1), (RET_K, 0, 0, 0)]).is_ok());
        assert!(program(&[(RET_K, 0, 0, 0); PROGRAM_MAX]).is_ok());
        assert!(program(&[(RET_K, 0, 0, 0); PROGRAM_MAX + 1]).is_err());
    }
}
