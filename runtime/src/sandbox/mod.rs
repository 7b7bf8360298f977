//! A sandbox's processes: how the runtime starts them, and how it speaks to them afterwards.
//!
//! ```text
//! create ─┬ sentry   re-executed moat; births the lead with CLONE_PARENT, so that it is …
//!         ├ gofer    re-executed moat
//!         └ lead     … a child of create too, and is inherited and reaped by the engine's monitor
//! ```

pub mod boot;
pub mod client;
pub mod confine;
pub mod console;
pub mod foreground;
pub mod gofer;
pub mod keeper;
pub mod launch;
pub mod lead;
pub mod make;
pub mod network;
pub mod platform;
pub mod privilege;
pub mod rootless;
pub mod sentry;
pub mod server;
pub mod shepherd;
pub mod socket;
pub mod terminals;
pub mod users;

/// The hidden verb of the sentry process.
pub const SENTRY_ROLE: &str = "sandbox-process";
/// The hidden verb of the gofer process.
pub const GOFER_ROLE: &str = "gofer-process";
/// The hidden verb of a shepherd.
pub const SHEPHERD_ROLE: &str = "exec-process";
/// The hidden verb of the trap platform's self-test.
pub const SELF_TEST_ROLE: &str = "self-test-process";
