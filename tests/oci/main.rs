//! The command line as an engine uses it: every verb, its texts and its exit codes, on bundles of a static BusyBox.
#![allow(missing_docs)]

mod errors;
mod lifecycle;
mod plain;
mod seccomp;

use moat_tests::bundle;
