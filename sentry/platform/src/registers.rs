//! The general registers of an application thread.

/// x86-64 general registers in the order of `struct user_regs_struct` (`<sys/user.h>`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs, reason = "the names are the processor's")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// Number of the system call being made, or -1.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

impl Registers {
    /// These, with what a `sigcontext` holds taken from `other`.
    pub fn with_sigcontext(&self, other: &Registers) -> Registers {
        let flags = u64::from(crate::stub::code::RESTORED_FLAGS);
        Registers {
            orig_rax: u64::MAX,
            cs: self.cs,
            eflags: (self.eflags & !flags) | (other.eflags & flags),
            ss: self.ss,
            fs_base: self.fs_base,
            gs_base: self.gs_base,
            ds: self.ds,
            es: self.es,
            fs: self.fs,
            gs: self.gs,
            ..*other
        }
    }
}
