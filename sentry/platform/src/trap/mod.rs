//! The trap platform: a filter of the host makes every system call of an application thread a signal, whose handler hands
//! it over to the sentry by words of memory that both share.
//!
//! On the way into its handler the host saves all registers of the thread, vector state included, in a frame on a stack
//! that the sentry can read and write ([`slots`], [`frame`]); faults and kicks come the same way. So the sentry needs
//! neither ptrace nor any call on the thread, and one `rt_sigreturn` puts in place whatever it has decided.

pub mod code;
mod context;
mod deaths;
mod frame;
mod kick;
mod places;
mod slots;

use std::os::fd::AsFd;
use std::sync::Arc;

use crate::stub::birth::Lead;
use crate::stub::platform::OfLead;
use crate::stub::process::Stub;
use crate::stub::signals::LeadSignals;
use crate::stub::space::Space;
use crate::{Platform, PlatformError};
use places::{Places, Shared};

/// HWCAP2_FSGSBASE: programs may set the bases of %fs and %gs themselves.
const HWCAP2_FSGSBASE: u64 = 2;

/// Why this host cannot run application code by traps; `None` if it can.
pub fn missing() -> Option<&'static str> {
    if crate::hardware_capabilities().1 & HWCAP2_FSGSBASE == 0 {
        return Some("the processor or the kernel lacks FSGSBASE");
    }
    // A fault of the handler's own leaves a second frame, and both leave some room.
    if 2 * crate::minimum_signal_stack() > (slots::SLOT - slots::STACK) as u64 {
        return Some("the processor's signal frames are too large");
    }
    None
}

/// Whether the code that patched sites jump to runs on this processor.
fn can_patch() -> bool {
    std::is_x86_feature_detected!("bmi2")
}

/// The platform of a container whose lead was born for traps.
///
/// # Errors
/// As the host refuses.
pub fn start(lead: Lead) -> Result<Arc<dyn Platform>, PlatformError> {
    let (lead, signals, life) = Stub::from_lead(lead)?;
    lead.signal_thread()?;
    lead.watch_thread()?;
    let ended = lead.pidfd().as_fd().try_clone_to_owned();
    let ended = ended.map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
    let slots = slots::SlotFile::new()?;
    let number = lead.stubs().share(slots.file())?;
    let shared = Arc::new(Shared { slots, number, deaths: deaths::Deaths::new()?, patching: can_patch() });
    let space = Arc::new(Space::new(lead.clone(), Places::new(lead.clone(), shared)));
    Ok(OfLead::new("trap", lead, space, LeadSignals::new(signals, ended), life))
}
