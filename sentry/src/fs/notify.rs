//! inotify(7): who watches what.

use super::OpenFile;
use std::sync::Arc;

/// A file was read.
pub fn accessed(file: &Arc<OpenFile>) {
    let _ = file;
}

/// A file was written or truncated.
pub fn modified(file: &Arc<OpenFile>) {
    let _ = file;
}
