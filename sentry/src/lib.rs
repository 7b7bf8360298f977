//! The sentry: what the application takes for Linux.
#![forbid(unsafe_code)]

pub mod control;
pub mod sandbox;
