//! The root filesystem that most tests start from: a static BusyBox and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

/// The program, of Debian's package `busybox-static`.
pub const PROGRAM: &str = "/bin/busybox";

const DIRECTORIES: &[&str] = &["bin", "etc", "tmp", "proc", "dev", "sys", "run"];

const APPLETS: &[&str] =
    &["cat", "echo", "env", "false", "hostname", "id", "kill", "ls", "pwd", "sh", "sleep", "stty", "true", "tty"];

/// Makes a root filesystem with some applets' names at this path.
///
/// # Errors
/// What keeps it from being made.
pub fn make_root(root: &Path) -> Result<()> {
    for name in DIRECTORIES {
        fs::create_dir_all(root.join(name)).with_context(|| format!("create /{name}"))?;
    }
    fs::copy(PROGRAM, root.join("bin/busybox")).with_context(|| format!("copy {PROGRAM} (package busybox-static)"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).with_context(|| format!("name the applet {applet}"))?;
    }
    Ok(())
}
