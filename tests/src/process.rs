//! Processes of the host, as /proc shows them.

use std::fs;

/// The number that a field of a process's `status` begins with (`PPid:`, `VmRSS:`, in KiB, …); 0 for one that has gone.
pub fn number(pid: u64, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Who, of all processes but the calling one, has a file or a mount below a path, which is to be nobody else's.
pub fn holding(path: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok());
    numbered
        .filter(|e| e.file_name().to_string_lossy() != own)
        .filter(|e| {
            let mounts = fs::read_to_string(e.path().join("mountinfo")).unwrap_or_default();
            // What is mounted from there, not what a test has mounted in it.
            let mut sources = mounts.lines().filter_map(|line| line.split(' ').nth(3));
            let files = fs::read_dir(e.path().join("fd")).into_iter().flatten().flatten();
            let mut opened = files.filter_map(|f| fs::read_link(f.path()).ok());
            sources.any(|source| source.contains(path)) || opened.any(|file| file.to_string_lossy().contains(path))
        })
        .map(|e| {
            let command = fs::read(e.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            format!("process {}: {command}", e.file_name().to_string_lossy())
        })
        .collect()
}
