//! The trap platform: a filter of the host makes every system call of an application thread a signal, whose handler hands
//! it over to the sentry by words of memory that both share.
//!
//! On the way into its handler the host saves all registers of the thread, vector state included, in a frame on a stack
//! that the sentry can read and write ([`slots`], [`frame`]); faults and kicks come the same way. So the sentry needs
//! neither ptrace nor any call on the thread, and one `rt_sigreturn` puts in place whatever it has decided.

pub mod code;
mod constants;
mod context;
mod deaths;
mod frame;
mod kick;
mod patch;
mod places;
pub mod slots;
mod spin;
mod window;

use std::os::fd::AsFd;
use std::sync::Arc;

use moat_host::HostFile;

use crate::stub::birth::Lead;
use crate::stub::code::Entry;
use crate::stub::layout;
use crate::stub::orders::Order;
use crate::stub::platform::OfLead;
use crate::stub::process::{Birth, Stub};
use crate::stub::signals::LeadSignals;
use crate::stub::space::Space;
use crate::{AheadTable, Platform, PlatformError};
use patch::{Images, Patches};
use places::{Places, Shared};

/// HWCAP2_FSGSBASE: programs may set the bases of %fs and %gs themselves.
const HWCAP2_FSGSBASE: u64 = 2;

/// What makes calls faster than a trap; each can be left out, for tests and for measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Call sites are patched.
    pub patch: bool,
    /// Calls that always answer the same are answered in the stub, where they are patched.
    pub constants: bool,
    /// Both sides of a call spin, on two cores, while one is spare.
    pub spin: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { patch: true, constants: true, spin: true }
    }
}

impl std::str::FromStr for Lanes {
    type Err = String;

    /// `patch=off,constants=off,spin=off`, or a part of it.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut lanes = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| format!("{option}: not NAME=on or NAME=off"))?;
            let value = match value {
                "on" => true,
                "off" => false,
                _ => return Err(format!("{option}: must be on or off")),
            };
            match name {
                "patch" => lanes.patch = value,
                "constants" => lanes.constants = value,
                "spin" => lanes.spin = value,
                _ => return Err(format!("{name}: no such option (patch, constants, spin)")),
            }
        }
        Ok(lanes)
    }
}

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

impl Lanes {
    /// Those that this processor can have: the code that patched sites jump to needs BMI2.
    fn possible(self) -> Self {
        let patch = self.patch && std::is_x86_feature_detected!("bmi2");
        Self { patch, constants: self.constants && patch, ..self }
    }
}

/// The platform of a container whose lead was born for traps, and whose threads copy ahead what this table says.
///
/// # Errors
/// As the host refuses.
pub fn start(lead: Lead, ahead: &AheadTable, lanes: Lanes) -> Result<Arc<dyn Platform>, PlatformError> {
    let (lead, signals, life) = Stub::from_lead(lead)?;
    show_table(&lead, ahead)?;
    for entry in [Entry::Signals, Entry::Watch] {
        lead.bear_thread(&Birth::at(entry))?;
    }
    let ended = lead.pidfd().as_fd().try_clone_to_owned();
    let ended = ended.map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
    let slots = slots::SlotFile::new()?;
    let number = lead.stubs().share(slots.file())?;
    let deaths = deaths::Deaths::new()?;
    let shared = Arc::new(Shared { slots, number, deaths, lanes: lanes.possible(), baton: Arc::default() });
    let patches = Patches::new(Arc::new(Images::default()));
    let space = Arc::new(Space::new(lead.clone(), Places::of_lead(lead.clone(), shared, patches)));
    Ok(OfLead::new("trap", lead, space, LeadSignals::new(signals, ended), life))
}

/// Maps the table of what threads copy ahead of a call, which neither the stub nor its children can change.
fn show_table(lead: &Stub, table: &AheadTable) -> Result<(), PlatformError> {
    let file = HostFile::sealed("ahead", &[&table.map(|ahead| ahead.0)]).map_err(PlatformError::Host)?;
    let number = lead.stubs().share(file.as_fd())?;
    let (prot, flags) = (libc::PROT_READ as u64, (libc::MAP_SHARED | libc::MAP_FIXED) as u64);
    let map = Order::new(libc::SYS_mmap, &[layout::AHEAD, crate::PAGE_SIZE, prot, flags, number as u64, 0]);
    lead.order(&[map])?;
    lead.stubs().unshare(number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[test]
    fn lanes_are_named() {
        assert_eq!("".parse(), Ok(Lanes { patch: true, constants: true, spin: true }));
        assert_eq!("patch=off,constants=on".parse(), Ok(Lanes { patch: false, constants: true, spin: true }));
        assert_eq!("spin=off".parse(), Ok(Lanes { patch: true, constants: true, spin: false }));
        for wrong in ["patch", "patch=no", "clock=off"] {
            assert!(wrong.parse::<Lanes>().is_err());
        }
    }
}
