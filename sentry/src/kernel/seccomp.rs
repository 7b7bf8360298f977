//! The guest's own seccomp filters (seccomp(2)), which the sentry applies to the guest's calls.

/// The filters of a task; inherited by its children.
#[derive(Clone, Default)]
pub struct Filters {}
