//! What breaks: processes killed at each step of a container's life, full disks, damaged state, broken messages. After each,
//! verbs answer with one clear line, and `delete --force` leaves nothing behind.
#![allow(missing_docs)]

mod disk;
#[path = "../podman/engine.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod engine;
mod hung;
mod killed;
mod messages;
mod scene;
mod state;
