//! `maps`, `smaps` and `smaps_rollup`.

use moat_abi::stat::{major, minor};
use moat_platform::Protection;

use super::subject::Subject;
use crate::Result;
use crate::fs::Path;
use crate::mm::vma::{Backing, Vma};

/// The column at which names begin, counted from 0.
const NAME_COLUMN: usize = 73;

/// A path as /proc shows it to a task with this root, with what would break the line escaped.
pub fn shown_path(path: &Path, root: &Path) -> Vec<u8> {
    let mut text = path.display_from(root).unwrap_or_else(|| path.dentry.name().to_vec());
    if path.dentry.is_gone() {
        text.extend_from_slice(b" (deleted)");
    }
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte == b'\n' { out.extend_from_slice(b"\\012") } else { out.push(byte) }
    }
    out
}

/// The line of a VMA, with its end of line.
fn line(vma: &Vma, root: &Path) -> Vec<u8> {
    let (offset, device, inode, name) = match &vma.backing {
        Backing::Anonymous => (0, 0, 0, Vec::new()),
        // The vDSO: a file of ours, and no file of the guest's.
        Backing::File { .. } if vma.label.is_some() => (0, 0, 0, Vec::new()),
        Backing::File { file, offset, .. } => {
            let attributes = file.attributes().unwrap_or_default();
            let name = file.path().map_or_else(|| file.anonymous_name().into_bytes(), |p| shown_path(p, root));
            (*offset, attributes.device, attributes.inode, name)
        }
        Backing::SharedAnonymous { offset, inode, .. } => (*offset, 1, *inode, b"/dev/zero (deleted)".to_vec()),
    };
    let has = |protection, letter| if vma.protection.contains(protection) { letter } else { '-' };
    let mut out = format!(
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {:02x}:{:02x} {inode}",
        vma.start,
        vma.end,
        has(Protection::READ, 'r'),
        has(Protection::WRITE, 'w'),
        has(Protection::EXEC, 'x'),
        if vma.shared { 's' } else { 'p' },
        major(device),
        minor(device),
    )
    .into_bytes();
    out.push(b' ');
    let name = vma.label.map_or(name, |label| label.as_bytes().to_vec());
    if !name.is_empty() {
        if out.len() < NAME_COLUMN {
            out.resize(NAME_COLUMN, b' ');
        }
        out.extend_from_slice(&name);
    }
    out.push(b'\n');
    out
}

/// The VMAs and the root that paths are shown from; nothing for a zombie.
fn vmas(subject: &Subject) -> Result<Option<(Vec<Vma>, Path)>> {
    let Some(task) = subject.task()? else { return Ok(None) };
    let memory = task.memory_manager();
    let vmas: Vec<Vma> = memory.vmas().iter().cloned().collect();
    Ok(Some((vmas, task.kernel().mounts().root())))
}

/// See proc_pid_maps(5).
pub fn maps(subject: &Subject) -> Result<Vec<u8>> {
    let Some((vmas, root)) = vmas(subject)? else { return Ok(Vec::new()) };
    Ok(vmas.iter().flat_map(|vma| line(vma, &root)).collect())
}

/// Which pages are there is the host's knowledge: what is mapped counts as resident.
fn figures(bytes: u64, shared: bool, writable: bool, locked: bool) -> String {
    let size = bytes / 1024;
    let private_dirty = if writable && !shared { size } else { 0 };
    let rows = [
        ("Rss", size),
        ("Pss", size),
        ("Pss_Dirty", private_dirty),
        ("Shared_Clean", if shared { size } else { 0 }),
        ("Shared_Dirty", 0),
        ("Private_Clean", if shared { 0 } else { size - private_dirty }),
        ("Private_Dirty", private_dirty),
        ("Referenced", size),
        ("Anonymous", private_dirty),
        ("KSM", 0),
        ("LazyFree", 0),
        ("AnonHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FilePmdMapped", 0),
        ("Shared_Hugetlb", 0),
        ("Private_Hugetlb", 0),
        ("Swap", 0),
        ("SwapPss", 0),
        ("Locked", if locked { size } else { 0 }),
    ];
    rows.iter().map(|(name, value)| format!("{:<16}{value:>8} kB\n", format!("{name}:"))).collect()
}

/// See proc_pid_smaps(5).
pub fn smaps(subject: &Subject) -> Result<Vec<u8>> {
    let Some((vmas, root)) = vmas(subject)? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for vma in &vmas {
        out.extend(line(vma, &root));
        let size = vma.len() / 1024;
        let head = format!("Size:           {size:>8} kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n");
        out.extend_from_slice(head.as_bytes());
        let writable = vma.protection.contains(Protection::WRITE);
        out.extend_from_slice(figures(vma.len(), vma.shared, writable, vma.locked).as_bytes());
        out.extend_from_slice(b"THPeligible:           0\nVmFlags:");
        for (on, flag) in [
            (vma.protection.contains(Protection::READ), " rd"),
            (writable, " wr"),
            (vma.protection.contains(Protection::EXEC), " ex"),
            (vma.shared, " sh"),
            (true, " mr"),
            (vma.may_write, " mw"),
            (true, " me"),
            (vma.grows_down, " gd"),
            (vma.locked, " lo"),
            (vma.dont_fork, " dc"),
            (vma.wipe_on_fork, " wf"),
        ] {
            if on {
                out.extend_from_slice(flag.as_bytes());
            }
        }
        out.extend_from_slice(b" \n");
    }
    Ok(out)
}

/// The sums of `smaps`.
pub fn smaps_rollup(subject: &Subject) -> Result<Vec<u8>> {
    let Some((vmas, _)) = vmas(subject)? else { return Ok(Vec::new()) };
    let (Some(first), Some(last)) = (vmas.first(), vmas.last()) else { return Ok(Vec::new()) };
    let resident = super::stat::sizes(subject)?.resident;
    let mut out = format!("{:08x}-{:08x} ---p 00000000 00:00 0 ", first.start, last.end);
    while out.len() < NAME_COLUMN {
        out.push(' ');
    }
    out.push_str("[rollup]\n");
    out.push_str(&figures(resident, false, true, false));
    Ok(out.into_bytes())
}
