//! The published seccomp lists of a stub, compiled.

use seccompiler::{BpfProgram, TargetArch};

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
    pub fn compile() -> Result<Self, PlatformError> {
        let mut programs = seccompiler::compile_from_json(LIST.as_bytes(), TargetArch::x86_64)
            .map_err(|_| PlatformError::Host(libc::EINVAL))?;
        match (programs.remove("mapper"), programs.remove("application")) {
            (Some(mapper), Some(application)) => Ok(Self { mapper, application }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_compile_and_fit_their_page() {
        let filters = Filters::compile().unwrap();
        assert!(Filters::image(&filters.application, 0).len() <= 4096);
    }
}
