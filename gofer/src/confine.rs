//! What the gofer gives up before it serves: capabilities, new privileges, and all system calls but those in the
//! published list.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{BpfProgram, TargetArch};

/// The list, with a reason for each entry.
pub const LIST: &str = include_str!("../seccomp/gofer.json");

/// What file access on behalf of any user takes.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP);

/// Reduces the calling thread's capabilities; threads that it makes later have no more.
///
/// # Errors
/// The host's.
pub(crate) fn reduce_capabilities(devices: bool) -> io::Result<()> {
    let kept = if devices { KEPT | CapabilitySet::MKNOD } else { KEPT };
    let now = rustix::thread::capabilities(None)?;
    let left = now.permitted & kept;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)?;
    Ok(())
}

/// The list, compiled.
///
/// # Errors
/// If the list is malformed, which a test excludes.
pub(crate) fn filter() -> io::Result<BpfProgram> {
    seccompiler::compile_from_json(LIST.as_bytes(), TargetArch::x86_64)
        .map_err(io::Error::other)?
        .remove("gofer")
        .ok_or_else(|| io::Error::other("the list has no filter for the gofer"))
}

/// Puts all threads of the process under the filter, for good, and closes the process to debuggers.
///
/// # Errors
/// The host's.
pub(crate) fn lock(filter: &BpfProgram) -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    seccompiler::apply_filter_all_threads(filter).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_compiles() {
        assert!(!filter().unwrap().is_empty());
    }

    #[test]
    fn every_entry_of_the_list_has_a_reason() {
        let entries = LIST.matches("\"syscall\"").count();
        let reasons = LIST.lines().filter(|l| l.contains("\"syscall\"") && l.contains("\"comment\": \"")).count();
        assert_eq!(entries, reasons);
    }
}
