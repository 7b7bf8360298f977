//! `stat` and `statm`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use moat_abi::resource::Resource;
use moat_abi::time::{CLOCK_BOOTTIME, USER_HZ};

use super::process::comm_of;
use super::subject::Subject;
use crate::Result;
use crate::kernel::Task;
use crate::mm::MemoryManager;
use crate::mm::vma::Backing;

const PAGE: u64 = moat_platform::PAGE_SIZE;

/// A time in clock ticks.
pub fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / (1000 / USER_HZ)
}

/// The letter of its state.
pub fn state(subject: &Subject) -> Result<char> {
    let group = subject.group()?;
    Ok(match subject.own_task(&group) {
        None => 'Z',
        Some(_) if group.signals().lock().stop.is_some() => 'T',
        Some(task) if task.is_sleeping() => 'S',
        Some(_) => 'R',
    })
}

/// Sizes of a process's memory, in bytes.
#[derive(Default)]
pub struct Sizes {
    /// Mapped.
    pub total: u64,
    /// The most that was resident.
    pub peak_resident: u64,
    /// Resident. What was resident and is still mapped counts.
    pub resident: u64,
    /// Resident pages of files and shared memory, as far as can be told.
    pub shared: u64,
    /// Code.
    pub text: u64,
    /// Private writable memory without stacks.
    pub data: u64,
    /// Stacks.
    pub stack: u64,
    /// Executable mappings other than the program's.
    pub libraries: u64,
    /// Locked.
    pub locked: u64,
}

/// See [`Sizes`]; all zero for a zombie.
pub fn sizes(subject: &Subject) -> Result<Sizes> {
    Ok(subject.memory()?.map_or_else(Sizes::default, |memory| sizes_of(&memory)))
}

/// The same of memory that is at hand.
pub fn sizes_of(memory: &MemoryManager) -> Sizes {
    let layout = memory.layout();
    let mut sizes = Sizes::default();
    let mut files = 0;
    {
        let vmas = memory.vmas();
        for vma in vmas.iter() {
            sizes.total += vma.len();
            sizes.locked += if vma.locked { vma.len() } else { 0 };
            let writes = vma.protection.contains(moat_platform::Protection::WRITE);
            let executes = vma.protection.contains(moat_platform::Protection::EXEC);
            if vma.grows_down {
                sizes.stack += vma.len();
            } else if writes && !vma.shared {
                sizes.data += vma.len();
            } else if executes {
                sizes.libraries += vma.len();
            }
            if !matches!(vma.backing, Backing::Anonymous) && !writes {
                files += vma.len();
            }
        }
    }
    sizes.text = layout.end_code.saturating_sub(layout.start_code).next_multiple_of(PAGE);
    sizes.libraries = sizes.libraries.saturating_sub(sizes.text);
    // A platform that cannot tell has at least the code that runs.
    sizes.peak_resident = memory.space().peak_resident_bytes().unwrap_or(sizes.text + sizes.stack);
    sizes.resident = sizes.peak_resident.min(sizes.total);
    sizes.shared = files.min(sizes.resident);
    sizes
}

/// Where a task began, counted from the boot.
pub fn started(kernel: &crate::kernel::Kernel, started: std::time::Instant) -> Duration {
    kernel.clocks().now(CLOCK_BOOTTIME).saturating_sub(started.elapsed())
}

fn times(task: Option<&Task>, subject: &Subject) -> Result<(Duration, Duration)> {
    match task {
        Some(task) if subject.thread => Ok(task.times()),
        _ => {
            let usage = subject.group()?.usage();
            Ok((usage.user, usage.system))
        }
    }
}

/// `stat`: 52 fields (proc_pid_stat(5)).
pub fn stat(subject: &Subject) -> Result<Vec<u8>> {
    let (kernel, group, task) = (subject.kernel()?, subject.group()?, subject.task()?);
    let name = comm_of(subject)?;
    let state = state(subject)?;
    let (parent, process_group, session, exit_signal, zombie, children) = {
        let tree = kernel.tree();
        let process = tree.process(group.pid()).ok_or(moat_abi::errno::Errno::ESRCH)?;
        (
            process.parent,
            process.process_group,
            process.session,
            process.exit_signal,
            process.zombie,
            process.children_usage,
        )
    };
    let (user, system) = times(task.as_deref(), subject)?;
    let nice = task.as_ref().map_or(0, |t| t.nice.load(Ordering::Relaxed));
    let (pending, blocked, ignored, caught) = match &task {
        Some(task) => {
            let (ignored, caught) = task.handlers().sets();
            let signals = task.signals().lock();
            (signals.pending.set().bits(), signals.blocked.bits(), ignored.bits(), caught.bits())
        }
        None => (0, 0, 0, 0),
    };
    let sizes = sizes(subject)?;
    let layout = subject.memory()?.map(|m| m.layout()).unwrap_or_default();
    let start = ticks(started(
        &kernel,
        if subject.thread { task.as_ref().map_or(group.started, |t| t.started) } else { group.started },
    ));
    let threads = group.task_count();
    let rss_limit = group.limit(Resource::Rss);
    let exit_signal = if subject.id == group.pid() { exit_signal as i32 } else { -1 };
    let (terminal, foreground) = match kernel.terminals.terminal(session) {
        Some(terminal) => (terminal.device(), terminal.session().map_or(-1, |(_, foreground)| i64::from(foreground))),
        None => (0, -1),
    };
    let mut out = format!("{} (", subject.id).into_bytes();
    out.extend_from_slice(&name);
    out.extend_from_slice(
        format!(
            ") {state} {parent} {process_group} {session} {terminal} {foreground} 4194304 0 0 0 0 {} {} {} {} {} {nice} \
             {threads} 0 {start} {} {} {rss_limit} {} {} {} 0 0 {} {} {} {} {} 0 0 {exit_signal} 0 0 0 0 0 0 {} {} {} {} {} \
             {} {} {}\n",
            ticks(user),
            ticks(system),
            ticks(children.user),
            ticks(children.system),
            20 + nice,
            sizes.total,
            sizes.resident / PAGE,
            layout.start_code,
            layout.end_code,
            layout.start_stack,
            pending & 0x7fff_ffff,
            blocked & 0x7fff_ffff,
            ignored & 0x7fff_ffff,
            caught & 0x7fff_ffff,
            u8::from(state == 'S'),
            layout.start_data,
            layout.end_data,
            layout.start_brk,
            layout.arg_start,
            layout.arg_end,
            layout.env_start,
            layout.env_end,
            zombie.unwrap_or(0),
        )
        .as_bytes(),
    );
    Ok(out)
}

/// `statm`: in pages.
pub fn statm(subject: &Subject) -> Result<Vec<u8>> {
    let sizes = sizes(subject)?;
    let line = format!(
        "{} {} {} {} 0 {} 0\n",
        sizes.total / PAGE,
        sizes.resident / PAGE,
        sizes.shared / PAGE,
        sizes.text / PAGE,
        (sizes.data + sizes.stack) / PAGE,
    );
    Ok(line.into_bytes())
}
