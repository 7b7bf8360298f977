//! What the container's own /etc/passwd says.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A longer file is not read to its end.
const MOST_BYTES: u64 = 4 << 20;

/// The home directory of a user, `/` if the container does not know one. Symlinks of the container do not lead out of it.
pub fn home(rootfs: &Path, uid: u32) -> String {
    let text = read(rootfs).unwrap_or_default();
    let home = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let id = fields.nth(2)?;
        (id.parse() == Ok(uid)).then(|| fields.nth(2).unwrap_or("").to_owned())
    });
    home.filter(|h| !h.is_empty()).unwrap_or_else(|| "/".into())
}

fn read(rootfs: &Path) -> Option<String> {
    let root = File::open(rootfs).ok()?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = File::from(openat2(root, "etc/passwd", how).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_the_containers() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(home(root.path(), 0), "/");
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let text = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nbroken\n";
        std::fs::write(root.path().join("etc/passwd"), text).unwrap();
        assert_eq!(home(root.path(), 1000), "/home/user");
        assert_eq!(home(root.path(), 7), "/");
    }

    #[test]
    fn a_symlink_does_not_lead_out() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        assert_eq!(home(root.path(), 0), "/");
    }
}
