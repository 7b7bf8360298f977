//! System calls: one file a family, and [`table`], the one table of them all.
//!
//! A call is a function of the running task and typed arguments. Those that can block are `async` and await nothing but
//! `Task::wait_for` and its like; a signal makes them give an `ERESTART*` error, which the point of delivery turns into
//! EINTR or another try.

pub mod arguments;
#[cfg(test)]
mod compatibility;
pub mod counters;
mod macros;
pub mod table;

pub mod clock;
pub mod credentials;
pub mod descriptors;
pub mod directories;
pub mod epoll;
pub mod event;
pub mod exec;
pub mod file;
pub mod futex;
pub mod identity;
pub mod inotify;
pub mod ioctl;
pub mod links;
pub mod locks;
pub mod memfd;
pub mod memory;
pub mod mount;
pub mod open;
pub mod pipes;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod sched;
pub mod seccomp;
pub mod sendrecv;
pub mod signals;
pub mod socket;
pub mod sockopt;
pub mod stat;
pub mod system;
pub mod timers;
pub mod wait;
pub mod xattr;

use moat_abi::errno::Errno;
use moat_platform::Abi;

use crate::Result;
use crate::kernel::current::Interrupted;
use crate::kernel::{Current, seccomp as filters};
use crate::trace;
use arguments::Outcome;

/// Services the system call that the task stopped at.
pub async fn service(current: &mut Current, abi: Abi, number: u64, arguments: [u64; 6]) {
    if let Some(memory) = current.call_memory() {
        memory.begin(number, arguments);
    }
    let result = match abi {
        Abi::X86_64 => match current.kernel().tracer().cloned() {
            None => perform(current, number, arguments).await,
            Some(tracer) => trace::call(current, &tracer, number, arguments).await,
        },
        Abi::I386 => Err(Errno::ENOSYS),
    };
    if let Some(memory) = current.call_memory() {
        memory.end();
    }
    match result {
        Ok(Outcome::Value(value)) => current.context.set_result(value),
        Ok(Outcome::Registers) => {}
        Err(errno) => {
            let shown = if errno.is_restart() { Errno::EINTR } else { errno };
            current.context.set_result(-i64::from(shown.raw()) as u64);
            if errno.is_restart() {
                current.interrupted = Some(Interrupted { errno, number });
            }
        }
    }
}

/// Counts the call, asks the task's filters, and makes it.
pub(crate) async fn perform(current: &mut Current, number: u64, arguments: [u64; 6]) -> Result<Outcome> {
    current.kernel().counters().count(number);
    let refused = match current.filters.is_active() {
        false => None,
        true => filters::check(current, number, arguments),
    };
    let result = match refused {
        None => table::dispatch(current, number, arguments).await,
        Some(result) => result,
    };
    if result.is_err_and(|e| !e.is_restart()) {
        current.kernel().counters().count_error(number);
    }
    result
}
