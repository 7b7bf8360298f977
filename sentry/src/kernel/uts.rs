//! What uname(2) says.

/// The version of Linux that Moat says it is.
pub const RELEASE: &str = "6.12.0-moat";
/// The `version` field.
pub const VERSION: &str = "#1 SMP PREEMPT_DYNAMIC";

/// Node and domain name (uts_namespaces(7)).
#[derive(Clone, Debug)]
pub struct Uts {
    /// `sethostname`.
    pub nodename: Vec<u8>,
    /// `setdomainname`.
    pub domainname: Vec<u8>,
}
