//! The sentry: what the application takes for Linux.
//!
//! Data goes one way: the [`executor`] runs tasks ([`kernel`]), whose contexts the platform runs until they ask for a
//! system call; [`syscalls`] decodes it by the one table and calls a subsystem ([`fs`], [`mm`], [`net`]…), which answers.
#![forbid(unsafe_code)]

pub mod control;
pub mod executor;
pub mod fs;
pub mod kernel;
pub mod loader;
pub mod mm;
pub mod net;
pub mod sandbox;
pub mod sync;
pub mod syscalls;
pub mod trace;

/// What a system call or a part of one answers.
pub type Result<T> = std::result::Result<T, moat_abi::errno::Errno>;

/// Ends the sandbox: an invariant of ours is broken, and going on could only make it worse.
pub fn fatal(message: &str) -> ! {
    tracing::error!("fatal: {message}");
    eprintln!("moat: sentry: {message}");
    std::process::abort()
}
