//! What the runtime asks a sandbox to do, and what it is told at the start.

pub mod config;
pub mod protocol;
pub mod server;
