//! What the integration tests have in common.

pub mod bundle;
pub mod busybox;
pub mod container;
pub mod debian;
pub mod person;
pub mod process;
pub mod run;
pub mod said;
