//! How busy the whole host is, as far as `/proc/loadavg` says: what placement cannot see of itself are the programs of others.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

struct HostLoad {
    file: File,
    cores: u32,
}

static LOAD: OnceLock<HostLoad> = OnceLock::new();

/// Opens what tells it. To be called while the host's /proc is there to be seen; without it nobody else is taken to run.
pub fn open() {
    let cores = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    if let (Some(cores), Ok(file)) = (cores.and_then(|n| u32::try_from(n).ok()), File::open("/proc/loadavg")) {
        let _ = LOAD.set(HostLoad { file, cores });
    }
}

/// How many threads of the host run or want to at this moment, and on how many cores; `None` if it is not known.
pub fn running() -> Option<(u32, u32)> {
    let load = LOAD.get()?;
    let mut bytes = [0; 128];
    let len = load.file.read_at(&mut bytes, 0).ok()?;
    Some((runnable(std::str::from_utf8(&bytes[..len]).ok()?)?, load.cores))
}

/// The fourth field: those that can run, a slash, and all.
fn runnable(text: &str) -> Option<u32> {
    text.split_ascii_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fourth_field_counts() {
        assert_eq!(super::runnable("10.51 8.21 7.58 3/345 15735\n"), Some(3));
        assert_eq!(super::runnable("10.51 8.21"), None);
        super::open();
        let (running, cores) = super::running().unwrap();
        assert!(running > 0 && cores > 0);
    }
}
