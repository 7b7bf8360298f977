//! The host's clocks.

use std::time::Duration;

use nix::time::{ClockId, clock_getres, clock_gettime};

/// The time that the host's clock of this number (`CLOCK_*`) shows; zero if it has no such clock.
pub fn now(id: i32) -> Duration {
    clock_gettime(ClockId::from_raw(id)).map(Duration::from).unwrap_or_default()
}

/// Its resolution.
pub fn resolution(id: i32) -> Duration {
    clock_getres(ClockId::from_raw(id)).map(Duration::from).unwrap_or(Duration::from_nanos(1))
}
