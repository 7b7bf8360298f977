//! What the integration tests have in common.

pub mod bundle;
pub mod busybox;
pub mod person;
pub mod run;
pub mod said;
