//! The files of /proc that are about the machine.

use std::fmt::Write;

use moat_abi::time::{CLOCK_BOOTTIME, CLOCK_REALTIME};

use super::stat::{sizes_of, ticks};
use super::{cpuinfo, sysctl};
use crate::fs::kernfs::{Fixed, KernelSlot, Node};
use crate::kernel::{Kernel, uts};

const FILESYSTEMS: &str = "\
nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tcgroup\nnodev\tcgroup2\nnodev\tdevtmpfs\nnodev\tsockfs\nnodev\tpipefs\n\
nodev\tramfs\nnodev\tdevpts\nnodev\toverlay\nnodev\tmqueue\n";

const DEVICES: &str = "\
Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n128 ptm\n136 pts\n\nBlock devices:\n";

/// A file that is made of the kernel's state.
fn about(kernel: &KernelSlot, says: fn(&Kernel) -> String) -> Node {
    let kernel = kernel.clone();
    Node::file(0o444, move || Ok(says(&*kernel.get()?).into_bytes()))
}

/// All of them.
pub fn files(kernel: &KernelSlot) -> Fixed {
    Fixed::new()
        .with("buddyinfo", Node::text(""))
        .with("bus", Fixed::new().node())
        .with("cgroups", Node::text("#subsys_name\thierarchy\tnum_cgroups\tenabled\n"))
        .with("cmdline", Node::text("\n"))
        .with("consoles", Node::text(""))
        .with("cpuinfo", about(kernel, cpuinfo::text))
        .with("crypto", Node::text(""))
        .with("devices", Node::text(DEVICES))
        .with("diskstats", Node::text(""))
        .with("driver", Fixed::new().node())
        .with("filesystems", Node::text(FILESYSTEMS))
        .with("fs", Fixed::new().node())
        .with("interrupts", about(kernel, interrupts))
        .with("irq", Fixed::new().node())
        .with("loadavg", about(kernel, loadavg))
        .with("locks", Node::file(0o444, || Ok(crate::fs::locks::all().into_bytes())))
        .with("meminfo", about(kernel, meminfo))
        .with("misc", Node::text(""))
        .with("modules", Node::text(""))
        .with("mounts", Node::symlink("self/mounts"))
        .with("net", Node::symlink("self/net"))
        .with("partitions", Node::text("major minor  #blocks  name\n\n"))
        .with("softirqs", about(kernel, softirqs))
        .with("stat", about(kernel, stat))
        .with("swaps", Node::text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"))
        .with("sys", sysctl::directory(kernel))
        .with("sysvipc", Fixed::new().node())
        .with("tty", Fixed::new().with("drivers", Node::text("")).node())
        .with("uptime", about(kernel, uptime))
        .with("version", Node::text(version()))
        .with("vmstat", about(kernel, vmstat))
        .with("zoneinfo", Node::text(""))
}

fn version() -> String {
    format!("Linux version {} (moat@moat) (rustc) {}\n", uts::RELEASE, uts::VERSION)
}

/// Processor time of all processes since the start, in ticks: user and system.
fn processor_time(kernel: &Kernel) -> (u64, u64) {
    let groups: Vec<_> = kernel.tree().processes().map(|(_, p)| (p.group.clone(), p.children_usage)).collect();
    let mut total = crate::kernel::usage::Usage::default();
    for (group, children) in groups {
        total.add(&group.usage());
        total.add(&children);
    }
    (ticks(total.user), ticks(total.system))
}

fn uptime(kernel: &Kernel) -> String {
    let up = kernel.clocks().now(CLOCK_BOOTTIME);
    let (user, system) = processor_time(kernel);
    let idle = (ticks(up) * u64::from(kernel.cpus)).saturating_sub(user + system);
    format!("{}.{:02} {}.{:02}\n", up.as_secs(), up.subsec_millis() / 10, idle / 100, idle % 100)
}

fn loadavg(kernel: &Kernel) -> String {
    let tasks = kernel.all_tasks();
    let running = tasks.iter().filter(|t| !t.is_sleeping()).count();
    let last = kernel.tree().last_pid();
    format!("0.00 0.00 0.00 {running}/{} {last}\n", tasks.len())
}

fn stat(kernel: &Kernel) -> String {
    let clocks = kernel.clocks();
    let up = clocks.now(CLOCK_BOOTTIME);
    let (user, system) = processor_time(kernel);
    let cpus = u64::from(kernel.cpus.max(1));
    let idle = (ticks(up) * cpus).saturating_sub(user + system);
    let mut out = format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    for cpu in 0..cpus {
        // Which processor a task ran on is the host's affair: all have had the same share.
        let share = |total: u64| total / cpus + u64::from(cpu < total % cpus);
        let _ = writeln!(out, "cpu{cpu} {} 0 {} {} 0 0 0 0 0 0", share(user), share(system), share(idle));
    }
    let booted = clocks.now(CLOCK_REALTIME).saturating_sub(up).as_secs();
    let running = kernel.all_tasks().iter().filter(|t| !t.is_sleeping()).count();
    let _ = write!(
        out,
        "intr 0\nctxt 0\nbtime {booted}\nprocesses {}\nprocs_running {running}\nprocs_blocked 0\n\
         softirq 0 0 0 0 0 0 0 0 0 0 0\n",
        kernel.forks()
    );
    out
}

/// Memory in use, in bytes: what the processes have resident.
pub fn memory_in_use(kernel: &Kernel) -> u64 {
    let tasks: Vec<_> = kernel.tree().processes().filter_map(|(_, p)| p.tasks.values().next().cloned()).collect();
    let used: u64 = tasks.iter().map(|task| sizes_of(&task.memory_manager()).resident).sum();
    used.min(kernel.memory)
}

fn meminfo(kernel: &Kernel) -> String {
    let total = kernel.memory / 1024;
    let used = memory_in_use(kernel) / 1024;
    let free = total - used;
    let rows: [(&str, u64); 53] = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Active(anon)", used),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Zswap", 0),
        ("Zswapped", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("SecPageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
        ("FileHugePages", 0),
        ("FilePmdMapped", 0),
        ("HugePages_Total", 0),
        ("HugePages_Free", 0),
        ("HugePages_Rsvd", 0),
        ("HugePages_Surp", 0),
        ("Hugepagesize", 2048),
        ("Hugetlb", 0),
        ("DirectMap4k", total),
        ("DirectMap2M", 0),
        ("DirectMap1G", 0),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        let unit = if name.starts_with("HugePages_") { "" } else { " kB" };
        let label = format!("{name}:");
        let _ = writeln!(out, "{label:<16}{value:>8}{unit}");
    }
    out
}

fn vmstat(kernel: &Kernel) -> String {
    let used = memory_in_use(kernel) / 4096;
    let free = kernel.memory / 4096 - used;
    let mut out = format!("nr_free_pages {free}\nnr_inactive_anon 0\nnr_active_anon {used}\n");
    for name in [
        "nr_inactive_file",
        "nr_active_file",
        "nr_dirty",
        "nr_writeback",
        "nr_slab_reclaimable",
        "nr_slab_unreclaimable",
        "pgpgin",
        "pgpgout",
        "pswpin",
        "pswpout",
        "pgalloc_normal",
        "pgfree",
        "pgfault",
        "pgmajfault",
        "oom_kill",
    ] {
        let _ = writeln!(out, "{name} 0");
    }
    out
}

fn header(cpus: u32, indent: usize) -> String {
    let names: String = (0..cpus).map(|cpu| format!("{:<11}", format!("CPU{cpu}"))).collect();
    format!("{:indent$}{names}\n", "")
}

fn interrupts(kernel: &Kernel) -> String {
    header(kernel.cpus, 11)
}

fn softirqs(kernel: &Kernel) -> String {
    header(kernel.cpus, 20)
}
