//! The command line as an engine uses it: every verb, its texts and its exit codes, on bundles of a static BusyBox.
#![allow(missing_docs)]

mod commands;
mod errors;
mod lifecycle;
mod limits;
mod namespaces;
mod network;
mod plain;
mod rootless;
mod seccomp;
mod time;

use moat_tests::bundle;
