//! Threads of the sentry, as the host schedules them.

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// A thread of this process.
#[derive(Clone, Copy, Debug)]
pub struct HostThread(Pid);

impl HostThread {
    /// The calling thread.
    pub fn current() -> Self {
        Self(nix::unistd::gettid())
    }

    /// Moves it to the calling thread's core, where it stays until it is placed anew. It is about to be woken, and a wake
    /// across cores costs several times one on the same.
    pub fn bring_here(self) {
        let mut set = CpuSet::new();
        // Placement is a matter of speed alone.
        let _ = sched_getcpu().and_then(|core| set.set(core)).and_then(|()| sched_setaffinity(self.0, &set));
    }
}
