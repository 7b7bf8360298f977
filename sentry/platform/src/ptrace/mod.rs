//! The ptrace platform: application threads run under PTRACE_SYSEMU, each traced by the sentry thread that polls its
//! task. Works on any Linux; the reference for correctness.

mod context;
mod deaths;
pub(crate) mod kept;
mod kick;
pub(crate) mod placement;
mod raw;
mod space;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::stub::birth::{Lead, Vdso};
use crate::stub::process::Stub;
use crate::stub::signals::LeadSignals;
use crate::{AddressSpace, Platform, PlatformError};
use space::Space;

/// See the module.
pub struct Ptrace {
    lead: Arc<Stub>,
    space: Mutex<Option<Arc<dyn AddressSpace>>>,
    signals: LeadSignals,
}

impl Ptrace {
    /// The platform of a container whose lead was born.
    ///
    /// # Errors
    /// As the host refuses.
    pub fn new(lead: Lead) -> Result<Arc<Self>, PlatformError> {
        kick::install_handler()?;
        deaths::install()?;
        let (lead, signals, _) = Stub::from_lead(lead)?;
        let watched = lead.signal_thread()?;
        let (ended, end) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| PlatformError::Host(e as i32))?;
        watch(watched.outer, end)?;
        let space: Arc<dyn AddressSpace> = Arc::new(Space::new(lead.clone()));
        Ok(Arc::new(Self { lead, space: Mutex::new(Some(space)), signals: LeadSignals::new(signals, ended) }))
    }
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

impl Platform for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn thread_per_task(&self) -> bool {
        true
    }

    fn lead(&self) -> Option<Arc<dyn AddressSpace>> {
        self.space.lock().take()
    }

    fn next_lead_signal(&self) -> Option<i32> {
        self.signals.next()
    }

    fn end(&self, status: u8) {
        self.lead.exit(status);
    }

    fn host_vdso(&self) -> Option<Vdso> {
        self.lead.stubs().vdso().cloned()
    }
}
