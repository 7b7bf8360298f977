//! The ptrace platform: application threads run under PTRACE_SYSEMU, each traced by the sentry thread that polls its
//! task. Works on any Linux; the reference for correctness.

mod context;
mod deaths;
pub(crate) mod kept;
mod kick;
mod raw;
mod threads;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::stub::birth::Lead;
use crate::stub::code::Entry;
use crate::stub::platform::OfLead;
use crate::stub::process::{Birth, Stub};
use crate::stub::signals::LeadSignals;
use crate::stub::space::Space;
use crate::{Platform, PlatformError};
use threads::Traced;

/// The platform of a container whose lead was born to be traced.
///
/// # Errors
/// As the host refuses.
pub fn start(lead: Lead) -> Result<Arc<dyn Platform>, PlatformError> {
    kick::install_handler()?;
    deaths::install()?;
    let (lead, signals, life) = Stub::from_lead(lead)?;
    let watched = lead.bear_thread(&Birth::at(Entry::Signals))?;
    let (ended, end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| PlatformError::Host(e as i32))?;
    watch(watched.outer, end)?;
    let space = Arc::new(Space::new(lead.clone(), Traced::default()));
    Ok(OfLead::new("ptrace", lead, space, LeadSignals::new(signals, ended), life))
}

/// Traces a thread of the lead for as long as this process lives, by a thread that does nothing else: if the sentry is
/// killed, PTRACE_O_EXITKILL kills the lead, and with its pid namespace every stub.
///
/// `end` is closed when the lead ends. Nothing else tells of it: its last thread waits in the kernel until all others are
/// reaped, some of them by a tracer that sleeps in a guest's call; so neither its parent nor its pidfd sees an end.
fn watch(tid: i32, end: OwnedFd) -> Result<(), PlatformError> {
    let (said, says) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("watch".into())
        .stack_size(128 << 10)
        .spawn(move || {
            let _end = end;
            let seized = raw::seize_to_the_end(tid);
            let _ = said.send(seized);
            if seized.is_err() {
                return;
            }
            while let Ok(status) = raw::wait(tid) {
                match status {
                    raw::Stop::Ended => return,
                    // The thread takes signals by waiting for them; what still comes this way is dropped.
                    _ => drop(raw::go_on(tid)),
                }
            }
        })
        .map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EAGAIN)))?;
    says.recv().map_err(|_| PlatformError::Dead)?.map_err(PlatformError::Host)
}
