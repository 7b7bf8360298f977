//! Bundles.

pub mod hooks;
