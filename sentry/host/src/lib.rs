//! The only door from the sentry to the host kernel: memory files, descriptors, clocks, readiness.

pub mod clock;
pub mod descriptor;
pub mod file;
pub mod processor;
pub mod random;
pub mod readiness;
pub mod sink;
pub mod socket;
pub mod thread;

pub use descriptor::Descriptor;
pub use file::HostFile;
pub use sink::Sink;
pub use socket::Socket;
