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
mod slots;
mod space;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::stub::birth::{Lead, Vdso};
use crate::stub::process::Stub;
use crate::stub::signals::LeadSignals;
use crate::{AddressSpace, Platform, PlatformError};
use patch::{Images, Patches};
use space::{Shared, Space};

/// HWCAP2_FSGSBASE: programs may set the bases of %fs and %gs themselves.
const HWCAP2_FSGSBASE: u64 = 2;

/// What makes calls faster than a trap; each can be left out, for tests and for measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Call sites are patched.
    pub patch: bool,
    /// Calls that always answer the same are answered in the stub, where they are patched.
    pub constants: bool,
}

impl Default for Lanes {
    fn default() -> Self {
        Self { patch: true, constants: true }
    }
}

impl std::str::FromStr for Lanes {
    type Err = String;

    /// `patch=off,constants=off`, or a part of it.
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
                _ => return Err(format!("{name}: no such option (patch, constants)")),
            }
        }
        Ok(lanes)
    }
}

/// See the module.
pub struct Trap {
    lead: Arc<Stub>,
    space: Mutex<Option<Arc<dyn AddressSpace>>>,
    signals: LeadSignals,
    /// Its end is that of the lead.
    _life: OwnedFd,
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
        Self { patch, constants: self.constants && patch }
    }
}

impl Trap {
    /// The platform of a container whose lead was born for traps.
    ///
    /// # Errors
    /// As the host refuses.
    pub fn new(lead: Lead, lanes: Lanes) -> Result<Arc<Self>, PlatformError> {
        let (lead, signals, life) = Stub::from_lead(lead)?;
        lead.signal_thread()?;
        lead.watch_thread()?;
        let ended = lead.pidfd().as_fd().try_clone_to_owned();
        let ended = ended.map_err(|e| PlatformError::Host(e.raw_os_error().unwrap_or(libc::EMFILE)))?;
        let slots = slots::SlotFile::new()?;
        let number = lead.stubs().share(slots.file())?;
        let shared = Arc::new(Shared { slots, number, deaths: deaths::Deaths::new()?, lanes: lanes.possible() });
        let space: Arc<dyn AddressSpace> =
            Arc::new(Space::new(lead.clone(), shared, Patches::new(Arc::new(Images::default()))));
        let signals = LeadSignals::new(signals, ended);
        Ok(Arc::new(Self { lead, space: Mutex::new(Some(space)), signals, _life: life }))
    }
}

impl Platform for Trap {
    fn name(&self) -> &'static str {
        "trap"
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

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[test]
    fn lanes_are_named() {
        assert_eq!("".parse(), Ok(Lanes { patch: true, constants: true }));
        assert_eq!("patch=off,constants=on".parse(), Ok(Lanes { patch: false, constants: true }));
        for wrong in ["patch", "patch=no", "spin=off"] {
            assert!(wrong.parse::<Lanes>().is_err());
        }
    }
}
