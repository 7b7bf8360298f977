//! Resource limits (getrlimit(2)).

use moat_abi::resource::{RLIM_INFINITY, Resource};

/// A soft and a hard limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced.
    pub soft: u64,
    /// Up to where an unprivileged process may raise it.
    pub hard: u64,
}

/// The limits of a process.
#[derive(Clone, Debug)]
pub struct Limits([Limit; 16]);

impl Default for Limits {
    /// What Linux gives init (INIT_RLIMITS), with the usual number of descriptors.
    fn default() -> Self {
        let mut limits = Self([Limit { soft: RLIM_INFINITY, hard: RLIM_INFINITY }; 16]);
        limits.set(Resource::Stack, Limit { soft: 8 << 20, hard: RLIM_INFINITY });
        limits.set(Resource::Core, Limit { soft: 0, hard: RLIM_INFINITY });
        limits.set(Resource::Files, Limit { soft: 1024, hard: 1 << 20 });
        limits.set(Resource::LockedMemory, Limit { soft: 8 << 20, hard: 8 << 20 });
        limits.set(Resource::SigPending, Limit { soft: 16_384, hard: 16_384 });
        limits.set(Resource::MessageQueue, Limit { soft: 819_200, hard: 819_200 });
        limits.set(Resource::Nice, Limit { soft: 0, hard: 0 });
        limits.set(Resource::RealTimePriority, Limit { soft: 0, hard: 0 });
        limits
    }
}

impl Limits {
    /// The limits on a resource.
    pub fn get(&self, resource: Resource) -> Limit {
        self.0[resource as usize]
    }

    /// Replaces them.
    pub fn set(&mut self, resource: Resource, limit: Limit) {
        self.0[resource as usize] = limit;
    }
}
