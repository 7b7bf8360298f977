//! The published seccomp lists of a stub, compiled.

use seccompiler::{BpfProgram, TargetArch};

use super::{Interception, layout};
use crate::PlatformError;

/// The lists, with a reason for each entry.
pub const LIST: &str = include_str!("../../seccomp/stub.json");

/// The compiled lists of mappers and of application threads.
pub struct Filters {
    /// Of the mapper.
    pub mapper: BpfProgram,
    /// Of application threads, which have the mapper's too.
    pub application: BpfProgram,
}

impl Filters {
    /// Compiles them.
    ///
    /// # Errors
    /// `Host(EINVAL)` if the list is malformed, which a test excludes.
    pub fn compile(interception: Interception) -> Result<Self, PlatformError> {
        let mut programs = seccompiler::compile_from_json(LIST.as_bytes(), TargetArch::x86_64)
            .map_err(|_| PlatformError::Host(libc::EINVAL))?;
        let names = match interception {
            Interception::Ptrace => ("ptrace_mapper", "ptrace_application"),
            Interception::Trap => ("trap_mapper", "trap_application"),
        };
        match (programs.remove(names.0), programs.remove(names.1), interception) {
            (Some(mapper), Some(application), Interception::Ptrace) => Ok(Self { mapper, application }),
            (Some(mapper), Some(application), Interception::Trap) => {
                Ok(Self { mapper, application: from_trap_code_only(application) })
            }
            _ => Err(PlatformError::Host(libc::EINVAL)),
        }
    }

    /// `struct sock_fprog` for a filter that lies right behind it at `address`, and the filter.
    pub fn image(program: &BpfProgram, address: u64) -> Vec<u8> {
        let mut image = Vec::with_capacity(16 + 8 * program.len());
        image.extend_from_slice(&(program.len() as u64).to_le_bytes());
        image.extend_from_slice(&(address + 16).to_le_bytes());
        for instruction in program {
            image.extend_from_slice(&instruction.code.to_le_bytes());
            image.extend_from_slice(&[instruction.jt, instruction.jf]);
            image.extend_from_slice(&instruction.k.to_le_bytes());
        }
        image
    }
}

/// The same list for calls that the trap platform's own code makes; every other one is a trap, whatever its number. The
/// lists in the crate's format cannot ask for the instruction.
fn from_trap_code_only(list: BpfProgram) -> BpfProgram {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    /// Offsets of the instruction pointer's halves in `struct seccomp_data`.
    const LOW: u32 = 8;
    const HIGH: u32 = 12;
    let instruction = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    let (begin, end) = (layout::TRAP_CODE, layout::TRAP_CODE + layout::TRAP_CODE_SIZE);
    let mut program = vec![
        instruction(LOAD, 0, 0, HIGH),
        instruction(JUMP_EQUAL, 0, 3, (begin >> 32) as u32),
        instruction(LOAD, 0, 0, LOW),
        instruction(JUMP_AT_LEAST, 0, 1, begin as u32),
        instruction(JUMP_AT_LEAST, 0, 1, end as u32),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_TRAP),
    ];
    program.extend(list);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_compile_and_fit_their_page() {
        for interception in [Interception::Ptrace, Interception::Trap] {
            let filters = Filters::compile(interception).unwrap();
            assert!(Filters::image(&filters.application, 0).len() <= 4096);
        }
    }
}
