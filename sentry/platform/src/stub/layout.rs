//! Where things lie in a stub. The application never gets an address from [`crate::APPLICATION_END`] up.

/// The stub's code, one page.
pub const CODE: u64 = crate::APPLICATION_END;
/// Size of [`CODE`] in bytes.
pub const CODE_SIZE: u64 = 0x1000;
/// The trap platform's code, one page.
pub const TRAP_CODE: u64 = CODE + 0x4000;
/// Size of [`TRAP_CODE`] in bytes.
pub const TRAP_CODE_SIZE: u64 = 0x1000;
/// What is copied ahead of each call, read-only, one page.
pub const AHEAD: u64 = CODE + 0x6000;
/// The order page, read-only in the stub.
pub const ORDERS: u64 = CODE + 0x1_0000;
/// The host's vvar and vdso pages.
pub const VDSO: u64 = CODE + 0x10_0000;
/// The most that is kept for them.
pub const VDSO_SIZE: u64 = 0x10_0000;
/// The slots of the trap platform's threads, which the stub can write.
pub const SLOTS: u64 = CODE + 0x100_0000;
/// The end of what user space can map.
pub const END: u64 = 0x7fff_ffff_f000;
