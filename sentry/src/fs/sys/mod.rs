//! sysfs(5): the processors, one memory node, the network's interfaces, and an otherwise empty machine.

mod net;

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::inode::FileSystem;
use super::kernfs::{Directory, Fixed, KernFs, KernelSlot, Listed, Magic, Node};
use crate::Result;
use crate::kernel::Kernel;

/// The /sys of a machine with this many processors.
pub fn new(kernel: &KernelSlot, cpus: u32) -> Arc<dyn FileSystem> {
    let root = Fixed::new()
        .with("block", Fixed::new().node())
        .with("bus", Fixed::new().node())
        .with("class", Fixed::new().with("net", net::class(kernel)).node())
        .with("dev", Fixed::new().with("block", Fixed::new().node()).with("char", Fixed::new().node()).node())
        .with("devices", devices(kernel, cpus))
        .with("firmware", Fixed::new().node())
        .with("fs", Fixed::new().with("cgroup", Fixed::new().node()).node())
        .with("hypervisor", Fixed::new().node())
        .with("kernel", kernel_directory())
        .with("module", Fixed::new().node())
        .with("power", Fixed::new().node());
    KernFs::new("sysfs", "sysfs", Magic::Sys, "", root.node())
}

fn devices(kernel: &KernelSlot, cpus: u32) -> Node {
    let node = Fixed::new()
        .with("cpulist", Node::text(list(cpus)))
        .with("distance", Node::text("10\n"))
        .with("meminfo", meminfo(kernel));
    let nodes = Fixed::new()
        .with("has_cpu", Node::text("0\n"))
        .with("has_memory", Node::text("0\n"))
        .with("node0", node.node())
        .with("online", Node::text("0\n"))
        .with("possible", Node::text("0\n"));
    let system = Fixed::new().with("cpu", Node::directory(0o555, Processors(cpus))).with("node", nodes.node());
    let network = Fixed::new().with("net", net::devices(kernel));
    Fixed::new().with("system", system.node()).with("virtual", network.node()).node()
}

fn kernel_directory() -> Node {
    Fixed::new()
        .with("mm", Fixed::new().with("transparent_hugepage", hugepages()).node())
        .with("uevent_seqnum", Node::text("0\n"))
        .node()
}

fn hugepages() -> Node {
    Fixed::new()
        .with("enabled", Node::text("always [madvise] never\n"))
        .with("hpage_pmd_size", Node::text("2097152\n"))
        .node()
}

fn meminfo(kernel: &KernelSlot) -> Node {
    let kernel = kernel.clone();
    Node::file(0o444, move || {
        let kernel: Arc<Kernel> = kernel.get()?;
        let total = kernel.memory / 1024;
        let used = super::proc::memory_in_use(&kernel) / 1024;
        let rows = [("MemTotal", total), ("MemFree", total - used), ("MemUsed", used)];
        Ok(rows
            .iter()
            .map(|(name, value)| format!("Node 0 {:<15}{value:>8} kB\n", format!("{name}:")))
            .collect::<String>()
            .into_bytes())
    })
}

/// Processors from 0 on as the kernel lists them.
fn list(cpus: u32) -> String {
    if cpus > 1 { format!("0-{}\n", cpus - 1) } else { "0\n".to_owned() }
}

/// A mask of 32-bit words.
fn mask(bits: impl Iterator<Item = u32>) -> String {
    let mut words = vec![0u32];
    for bit in bits {
        let word = (bit / 32) as usize;
        words.resize(words.len().max(word + 1), 0);
        words[word] |= 1 << (bit % 32);
    }
    let shown: Vec<String> = words.iter().rev().map(|w| format!("{w:08x}")).collect();
    shown.join(",") + "\n"
}

/// `/sys/devices/system/cpu`.
struct Processors(u32);

impl Processors {
    fn files(&self) -> [(&'static str, String); 7] {
        [
            ("isolated", "\n".to_owned()),
            ("kernel_max", "8191\n".to_owned()),
            ("nohz_full", "\n".to_owned()),
            ("offline", "\n".to_owned()),
            ("online", list(self.0)),
            ("possible", list(self.0)),
            ("present", list(self.0)),
        ]
    }

    /// `cpuN`.
    fn processor(&self, number: u32) -> Node {
        let all = mask(0..self.0);
        let own = mask(std::iter::once(number));
        let topology = Fixed::new()
            .with("core_cpus", Node::text(own.clone()))
            .with("core_cpus_list", Node::text(format!("{number}\n")))
            .with("core_id", Node::text(format!("{number}\n")))
            .with("core_siblings", Node::text(all.clone()))
            .with("core_siblings_list", Node::text(list(self.0)))
            .with("die_id", Node::text("0\n"))
            .with("package_cpus", Node::text(all))
            .with("package_cpus_list", Node::text(list(self.0)))
            .with("physical_package_id", Node::text("0\n"))
            .with("thread_siblings", Node::text(own))
            .with("thread_siblings_list", Node::text(format!("{number}\n")));
        let mut processor =
            Fixed::new().with("node0", Node::symlink("../../node/node0")).with("topology", topology.node());
        if number > 0 {
            processor = processor.with("online", Node::text("1\n"));
        }
        processor.node()
    }
}

impl Directory for Processors {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        if let Some((_, text)) = self.files().into_iter().find(|(n, _)| n.as_bytes() == name) {
            return Ok(Node::text(text));
        }
        let number = name.strip_prefix(b"cpu").and_then(super::proc::parse_number).ok_or(Errno::ENOENT)?;
        if number < self.0 { Ok(self.processor(number)) } else { Err(Errno::ENOENT) }
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let files = self.files().into_iter().map(|(name, _)| Listed::new(name, FileType::Regular));
        let cpus = (0..self.0).map(|n| Listed::new(format!("cpu{n}"), FileType::Directory));
        Ok(cpus.chain(files).collect())
    }

    fn links(&self) -> u32 {
        2 + self.0
    }
}
