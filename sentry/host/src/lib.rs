//! The only door from the sentry to the host kernel: memory files, descriptors, clocks, readiness.

pub mod clock;
pub mod file;
pub mod processor;
pub mod random;

pub use file::HostFile;
