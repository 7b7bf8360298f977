//! `status`.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use moat_abi::errno::Errno;
use moat_abi::resource::Resource;
use moat_abi::signal::SigSet;

use super::process::comm_of;
use super::stat::{sizes, state};
use super::subject::Subject;
use crate::Result;

/// A name with what would break the lines escaped, as `seq_escape` does.
fn escaped(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in name {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            _ => out.push(byte),
        }
    }
    out
}

fn state_word(letter: char) -> &'static str {
    match letter {
        'R' => "R (running)",
        'S' => "S (sleeping)",
        'T' => "T (stopped)",
        _ => "Z (zombie)",
    }
}

/// The set of `cpus` processors: as words of a mask, and as a list.
pub fn processors(cpus: u32) -> (String, String) {
    let words = cpus.div_ceil(32).max(1);
    let mut mask = Vec::new();
    for word in (0..words).rev() {
        let bits = cpus.saturating_sub(word * 32).min(32);
        let value = if bits == 32 { u32::MAX } else { (1 << bits) - 1 };
        mask.push(if mask.is_empty() { format!("{value:x}") } else { format!("{value:08x}") });
    }
    let list = if cpus > 1 { format!("0-{}", cpus - 1) } else { "0".to_owned() };
    (mask.join(","), list)
}

/// See proc_pid_status(5).
pub fn status(subject: &Subject) -> Result<Vec<u8>> {
    let (kernel, group, task) = (subject.kernel()?, subject.group()?, subject.task()?);
    let mut bytes = b"Name:\t".to_vec();
    bytes.extend_from_slice(&escaped(&comm_of(subject)?));
    let mut out = String::from("\n");
    if let Some(task) = &task {
        let _ = writeln!(out, "Umask:\t{:04o}", task.fs().umask());
    }
    let (parent, process_group, session) = {
        let tree = kernel.tree();
        let process = tree.process(group.pid()).ok_or(Errno::ESRCH)?;
        (process.parent, process.process_group, process.session)
    };
    let (pid, id) = (group.pid(), subject.id);
    let _ = write!(
        out,
        "State:\t{}\nTgid:\t{pid}\nNgid:\t0\nPid:\t{id}\nPPid:\t{parent}\nTracerPid:\t0\n",
        state_word(state(subject)?)
    );
    match &task {
        Some(task) => {
            let c = task.credentials();
            let _ = writeln!(out, "Uid:\t{}\t{}\t{}\t{}", c.uid, c.euid, c.suid, c.fsuid);
            let _ = writeln!(out, "Gid:\t{}\t{}\t{}\t{}", c.gid, c.egid, c.sgid, c.fsgid);
            let highest = task.files().numbers().last().map_or(0, |&n| n as usize + 1);
            let _ = writeln!(out, "FDSize:\t{}", highest.next_power_of_two().max(64));
            let groups: String = c.groups.iter().map(|g| format!("{g} ")).collect();
            // Linux writes a blank behind each group, and one if there is none.
            let _ = writeln!(out, "Groups:\t{}", if groups.is_empty() { " " } else { &groups });
        }
        None => {
            let uid = group.uid_at_end();
            let _ = write!(out, "Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t0\t0\t0\t0\nFDSize:\t0\nGroups:\t \n");
        }
    }
    let _ = write!(out, "NStgid:\t{pid}\nNSpid:\t{id}\nNSpgid:\t{process_group}\nNSsid:\t{session}\nKthread:\t0\n");
    if task.is_some() {
        memory_lines(&mut out, subject)?;
    }
    let _ = writeln!(out, "Threads:\t{}", group.task_count().max(1));
    signal_lines(&mut out, subject)?;
    capability_lines(&mut out, subject)?;
    let (mask, list) = processors(kernel.cpus);
    let _ = write!(
        out,
        "Speculation_Store_Bypass:\tvulnerable\nSpeculationIndirectBranch:\talways enabled\nCpus_allowed:\t{mask}\n\
         Cpus_allowed_list:\t{list}\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n\
         voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t0\n",
        group.usage().voluntary_switches
    );
    bytes.extend_from_slice(out.as_bytes());
    Ok(bytes)
}

fn memory_lines(out: &mut String, subject: &Subject) -> Result<()> {
    let s = sizes(subject)?;
    let anonymous = s.resident - s.shared;
    let page_tables = (s.resident / 512).next_multiple_of(4096) + 16_384;
    for (name, bytes) in [
        ("VmPeak", s.total),
        ("VmSize", s.total),
        ("VmLck", s.locked),
        ("VmPin", 0),
        ("VmHWM", s.peak_resident.max(s.resident)),
        ("VmRSS", s.resident),
        ("RssAnon", anonymous),
        ("RssFile", s.shared),
        ("RssShmem", 0),
        ("VmData", s.data),
        ("VmStk", s.stack),
        ("VmExe", s.text),
        ("VmLib", s.libraries),
        ("VmPTE", page_tables),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ] {
        let _ = writeln!(out, "{name}:\t{:>8} kB", bytes / 1024);
    }
    out.push_str("CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
    Ok(())
}

fn signal_lines(out: &mut String, subject: &Subject) -> Result<()> {
    let group = subject.group()?;
    let (shared, queued) = {
        let signals = group.signals().lock();
        (signals.pending.set(), signals.pending.len())
    };
    let (own, blocked, ignored, caught, own_queued) = match subject.task()? {
        Some(task) => {
            let (ignored, caught) = task.handlers().sets();
            let signals = task.signals().lock();
            (signals.pending.set(), signals.blocked, ignored, caught, signals.pending.len())
        }
        None => (SigSet::EMPTY, SigSet::EMPTY, SigSet::EMPTY, SigSet::EMPTY, 0),
    };
    let _ = writeln!(out, "SigQ:\t{}/{}", queued + own_queued, group.limit(Resource::SigPending));
    for (name, set) in
        [("SigPnd", own), ("ShdPnd", shared), ("SigBlk", blocked), ("SigIgn", ignored), ("SigCgt", caught)]
    {
        let _ = writeln!(out, "{name}:\t{:016x}", set.bits());
    }
    Ok(())
}

fn capability_lines(out: &mut String, subject: &Subject) -> Result<()> {
    let Some(task) = subject.task()? else { return Ok(()) };
    let c = task.credentials();
    for (name, set) in [
        ("CapInh", c.inheritable),
        ("CapPrm", c.permitted),
        ("CapEff", c.effective),
        ("CapBnd", c.bounding),
        ("CapAmb", c.ambient),
    ] {
        let _ = writeln!(out, "{name}:\t{:016x}", set.bits());
    }
    let no_new_privileges = u8::from(task.no_new_privileges.load(Ordering::Relaxed));
    let (mode, filters) = (task.filters.mode().raw(), task.filters.count());
    let _ = write!(out, "NoNewPrivs:\t{no_new_privileges}\nSeccomp:\t{mode}\nSeccomp_filters:\t{filters}\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_shown_as_mask_and_list() {
        assert_eq!(processors(1), ("1".into(), "0".into()));
        assert_eq!(processors(2), ("3".into(), "0-1".into()));
        assert_eq!(processors(40), ("ff,ffffffff".into(), "0-39".into()));
    }

    #[test]
    fn names_do_not_break_lines() {
        assert_eq!(escaped(b"a\nb\\"), b"a\\nb\\\\");
    }
}
