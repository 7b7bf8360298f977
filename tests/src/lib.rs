//! What the integration tests have in common.

pub mod person;
pub mod run;
