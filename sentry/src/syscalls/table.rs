//! The one table of all system calls. From it come the dispatch, the tracer's decoder, the compatibility page and the
//! shapes of arguments.

#[allow(clippy::wildcard_imports, reason = "the table names most types there are")]
use super::arguments::*;
use super::macros::syscalls;
use crate::Result;
use crate::kernel::Current;
use moat_abi::errno::Errno;
use moat_abi::fcntl::*;

/// A call that is there.
pub struct Call {
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: &'static str,
    /// Its arguments: name, type, which memory it names.
    pub arguments: &'static [(&'static str, &'static str, Shape)],
    /// The type of its result.
    pub result: &'static str,
}

syscalls! {
    0 read(fd: Fd, buffer: OutBytes<2>, count: usize) -> usize = wait file::read;
    1 write(fd: Fd, buffer: InBytes<2>, count: usize) -> usize = wait file::write;
    missing {}
}
