//! inotify(7): who watches what.

use super::{Dentry, OpenFile};
use std::sync::Arc;

/// A file was read.
pub fn accessed(file: &Arc<OpenFile>) {
    let _ = file;
}

/// A file was written or truncated.
pub fn modified(file: &Arc<OpenFile>) {
    let _ = file;
}

/// `child` was made in `directory`.
pub fn created(directory: &Arc<Dentry>, child: &Arc<Dentry>, is_directory: bool) {
    let _ = (directory, child, is_directory);
}

/// `child` was removed from `directory`.
pub fn deleted(directory: &Arc<Dentry>, child: &Arc<Dentry>, is_directory: bool) {
    let _ = (directory, child, is_directory);
}

/// `child` was renamed.
pub fn moved(from: &Arc<Dentry>, name: &[u8], to: &Arc<Dentry>, to_name: &[u8], child: &Arc<Dentry>, is_directory: bool) {
    let _ = (from, name, to, to_name, child, is_directory);
}

/// Attributes of `dentry` were changed.
pub fn attributes_changed(dentry: &Arc<Dentry>) {
    let _ = dentry;
}
