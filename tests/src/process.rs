//! Processes of the host, as /proc shows them.

use std::fs;

/// The number that a field of a process's `status` begins with (`PPid:`, `VmRSS:`, in KiB, …); 0 for one that has gone.
pub fn number(pid: u64, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
