//! The only door from the sentry to the host kernel: everything that touches a host descriptor, clock or thread goes
//! through a safe function of this crate.

pub mod file;

pub use file::HostFile;
