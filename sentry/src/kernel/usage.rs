//! What processes have used (getrusage(2)).

use std::time::Duration;

/// Counters of one process or of its ended children.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time in application code.
    pub user: Duration,
    /// Time in the sentry on its behalf.
    pub system: Duration,
    /// Largest resident size, in KiB.
    pub max_resident: u64,
    /// Minor faults.
    pub minor_faults: u64,
    /// Times that it slept.
    pub voluntary_switches: u64,
}

impl Usage {
    /// Adds another's counters.
    pub fn add(&mut self, other: &Usage) {
        self.user += other.user;
        self.system += other.system;
        self.max_resident = self.max_resident.max(other.max_resident);
        self.minor_faults += other.minor_faults;
        self.voluntary_switches += other.voluntary_switches;
    }
}
