//! A platform with stubs, as the kernel sees it: what its lead gives.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use super::birth::Vdso;
use super::process::Stub;
use super::signals::LeadSignals;
use crate::{AddressSpace, Platform};

/// See the module.
pub struct OfLead {
    name: &'static str,
    lead: Arc<Stub>,
    space: Mutex<Option<Arc<dyn AddressSpace>>>,
    signals: LeadSignals,
    /// The lead ends when this is closed.
    _life: OwnedFd,
}

impl OfLead {
    /// The platform `name`, of whose lead `space` is the memory. `life` is held as long as the lead is to live.
    pub fn new(
        name: &'static str,
        lead: Arc<Stub>,
        space: Arc<dyn AddressSpace>,
        signals: LeadSignals,
        life: OwnedFd,
    ) -> Arc<Self> {
        Arc::new(Self { name, lead, space: Mutex::new(Some(space)), signals, _life: life })
    }
}

impl Platform for OfLead {
    fn name(&self) -> &'static str {
        self.name
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
