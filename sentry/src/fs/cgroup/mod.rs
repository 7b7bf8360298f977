//! The container's own cgroup (cgroups(7)), read-only: what programs read to learn their limits.

use std::sync::Arc;

use super::inode::FileSystem;
use super::kernfs::{Fixed, KernFs, KernelSlot, Magic, Node};
use super::proc::memory_in_use;
use crate::kernel::Kernel;

/// A file that is made of the kernel's state.
fn about(kernel: &KernelSlot, says: fn(&Kernel) -> String) -> Node {
    let kernel = kernel.clone();
    Node::file(0o444, move || Ok(says(&*kernel.get()?).into_bytes()))
}

fn processes(kernel: &Kernel) -> String {
    kernel.tree().processes().filter(|(_, p)| p.zombie.is_none()).map(|(pid, _)| format!("{pid}\n")).collect()
}

fn threads(kernel: &Kernel) -> String {
    kernel.all_tasks().iter().map(|t| format!("{}\n", t.tid())).collect()
}

fn cpu_stat(kernel: &Kernel) -> String {
    let groups: Vec<_> = kernel.tree().processes().map(|(_, p)| (p.group.clone(), p.children_usage)).collect();
    let mut total = crate::kernel::usage::Usage::default();
    for (group, children) in groups {
        total.add(&group.usage());
        total.add(&children);
    }
    let (user, system) = (total.user.as_micros(), total.system.as_micros());
    format!(
        "usage_usec {}\nuser_usec {user}\nsystem_usec {system}\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
        user + system
    )
}

fn pids_max(kernel: &Kernel) -> String {
    format!("{}\n", kernel.pids_limit())
}

fn pids_current(kernel: &Kernel) -> String {
    format!("{}\n", kernel.tree().task_count())
}

fn memory_max(kernel: &Kernel) -> String {
    format!("{}\n", kernel.memory)
}

fn memory_current(kernel: &Kernel) -> String {
    format!("{}\n", memory_in_use(kernel))
}

/// A quota of as many whole processors as the guest sees, in a period of 100 ms.
fn cpu_max(kernel: &Kernel) -> String {
    format!("{} 100000\n", u64::from(kernel.cpus) * 100_000)
}

fn cpus(kernel: &Kernel) -> String {
    if kernel.cpus > 1 { format!("0-{}\n", kernel.cpus - 1) } else { "0\n".to_owned() }
}

fn memory_stat(kernel: &Kernel) -> String {
    let used = memory_in_use(kernel);
    format!(
        "anon {used}\nfile 0\nkernel 0\nshmem 0\ninactive_anon 0\nactive_anon {used}\ninactive_file 0\nactive_file 0\npgfault 0\npgmajfault 0\n"
    )
}

/// The unified hierarchy.
pub fn new(kernel: &KernelSlot) -> Arc<dyn FileSystem> {
    let root = Fixed::new()
        .with("cgroup.controllers", Node::text("cpuset cpu memory pids\n"))
        .with("cgroup.events", Node::text("populated 1\nfrozen 0\n"))
        .with("cgroup.freeze", Node::text("0\n"))
        .with("cgroup.max.depth", Node::text("max\n"))
        .with("cgroup.max.descendants", Node::text("max\n"))
        .with("cgroup.procs", about(kernel, processes))
        .with("cgroup.stat", Node::text("nr_descendants 0\nnr_dying_descendants 0\n"))
        .with("cgroup.subtree_control", Node::text(""))
        .with("cgroup.threads", about(kernel, threads))
        .with("cgroup.type", Node::text("domain\n"))
        .with("cpu.max", about(kernel, cpu_max))
        .with("cpu.stat", about(kernel, cpu_stat))
        .with("cpu.weight", Node::text("100\n"))
        .with("cpuset.cpus", Node::text("\n"))
        .with("cpuset.cpus.effective", about(kernel, cpus))
        .with("cpuset.mems.effective", Node::text("0\n"))
        .with("memory.current", about(kernel, memory_current))
        .with("memory.events", Node::text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"))
        .with("memory.high", Node::text("max\n"))
        .with("memory.low", Node::text("0\n"))
        .with("memory.max", about(kernel, memory_max))
        .with("memory.min", Node::text("0\n"))
        .with("memory.stat", about(kernel, memory_stat))
        .with("memory.swap.current", Node::text("0\n"))
        .with("memory.swap.max", Node::text("0\n"))
        .with("pids.current", about(kernel, pids_current))
        .with("pids.max", about(kernel, pids_max));
    KernFs::new("cgroup2", "cgroup2", Magic::Cgroup2, ",nsdelegate", root.node())
}

/// Hierarchies of version 1, each in its directory.
pub fn new_v1(kernel: &KernelSlot) -> Arc<dyn FileSystem> {
    let common = || Fixed::new().with("cgroup.procs", about(kernel, processes)).with("tasks", about(kernel, threads));
    let memory = common()
        .with("memory.limit_in_bytes", about(kernel, memory_max))
        .with("memory.usage_in_bytes", about(kernel, memory_current))
        .with("memory.stat", about(kernel, memory_stat));
    let cpu = common()
        .with("cpu.cfs_period_us", Node::text("100000\n"))
        .with("cpu.cfs_quota_us", about(kernel, |k| format!("{}\n", u64::from(k.cpus) * 100_000)))
        .with("cpu.shares", Node::text("1024\n"));
    let pids = common().with("pids.current", about(kernel, pids_current)).with("pids.max", about(kernel, pids_max));
    let root = Fixed::new()
        .with("cpu", cpu.node())
        .with("cpuset", common().with("cpuset.cpus", about(kernel, cpus)).with("cpuset.mems", Node::text("0\n")).node())
        .with("memory", memory.node())
        .with("pids", pids.node());
    KernFs::new("cgroup", "cgroup", Magic::Cgroup, "", root.node())
}
