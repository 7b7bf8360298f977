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
pub mod slots;
mod window;

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, SealFlag};

use crate::stub::birth::Lead;
use crate::stub::layout;
use crate::stub::orders::Order;
use crate::stub::platform::OfLead;
use crate::stub::process::Stub;
use crate::stub::signals::LeadSignals;
use crate::stub::space::Space;
use crate::{AheadTable, Platform, PlatformError};
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

/// The platform of a container whose lead was born for traps, and whose threads copy ahead what this table says.
///
/// # Errors
/// As the host refuses.
pub fn start(lead: Lead, ahead: &AheadTable) -> Result<Arc<dyn Platform>, PlatformError> {
    let (lead, signals, life) = Stub::from_lead(lead)?;
    show_table(&lead, ahead)?;
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

/// Maps the table of what threads copy ahead of a call, which neither the stub nor its children can change.
fn show_table(lead: &Stub, table: &AheadTable) -> Result<(), PlatformError> {
    let host = |e: nix::Error| PlatformError::Host(e as i32);
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC | nix::sys::memfd::MFdFlags::MFD_ALLOW_SEALING;
    let file = nix::sys::memfd::memfd_create(c"ahead", flags).map_err(host)?;
    let bytes = table.map(|ahead| ahead.0);
    if nix::unistd::write(&file, &bytes).map_err(host)? != bytes.len() {
        return Err(PlatformError::Host(libc::ENOSPC));
    }
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    nix::fcntl::fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(host)?;
    let number = lead.stubs().share(file.as_fd())?;
    let (prot, flags) = (libc::PROT_READ as u64, (libc::MAP_SHARED | libc::MAP_FIXED) as u64);
    let map = Order::new(libc::SYS_mmap, &[layout::AHEAD, crate::PAGE_SIZE, prot, flags, number as u64, 0]);
    lead.order(&[map])?;
    lead.stubs().unshare(number);
    Ok(())
}
