//! `/proc/sys`.

use std::collections::BTreeMap;
use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::stat::FileType;

use crate::Result;
use crate::fs::FileOperations;
use crate::fs::fd_table::NR_OPEN;
use crate::fs::kernfs::{Directory, File, KernelSlot, Listed, Node};
use crate::fs::pipe;
use crate::kernel::process_tree::PID_MAX;
use crate::kernel::{Kernel, Task, uts};
use crate::sync::{Mutex, Rank};

/// What may be written to a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nothing.
    Fixed,
    /// Any text.
    Text,
    /// Numbers, as many as the default has.
    Numbers,
}

/// Every setting with its default. What is enforced elsewhere is fixed here; what programs only read or tune may be
/// changed and is kept.
const SETTINGS: &[(&str, &str, Rule)] = &[
    ("fs.aio-max-nr", "65536", Rule::Numbers),
    ("fs.aio-nr", "0", Rule::Fixed),
    ("fs.dentry-state", "0\t0\t45\t0\t0\t0", Rule::Fixed),
    ("fs.epoll.max_user_watches", "1048576", Rule::Numbers),
    ("fs.file-max", "9223372036854775807", Rule::Numbers),
    ("fs.file-nr", "0\t0\t9223372036854775807", Rule::Fixed),
    ("fs.inotify.max_queued_events", "16384", Rule::Numbers),
    ("fs.inotify.max_user_instances", "8192", Rule::Numbers),
    ("fs.inotify.max_user_watches", "1048576", Rule::Numbers),
    ("fs.lease-break-time", "45", Rule::Numbers),
    ("fs.leases-enable", "0", Rule::Fixed),
    ("fs.mount-max", "100000", Rule::Numbers),
    ("fs.mqueue.msg_default", "10", Rule::Numbers),
    ("fs.mqueue.msg_max", "10", Rule::Numbers),
    ("fs.mqueue.msgsize_default", "8192", Rule::Numbers),
    ("fs.mqueue.msgsize_max", "8192", Rule::Numbers),
    ("fs.mqueue.queues_max", "256", Rule::Numbers),
    ("fs.overflowgid", "65534", Rule::Fixed),
    ("fs.overflowuid", "65534", Rule::Fixed),
    ("fs.pipe-user-pages-hard", "0", Rule::Fixed),
    ("fs.pipe-user-pages-soft", "16384", Rule::Fixed),
    ("fs.protected_fifos", "1", Rule::Fixed),
    ("fs.protected_hardlinks", "1", Rule::Fixed),
    ("fs.protected_regular", "2", Rule::Fixed),
    ("fs.protected_symlinks", "1", Rule::Fixed),
    ("fs.suid_dumpable", "0", Rule::Fixed),
    ("kernel.cap_last_cap", "40", Rule::Fixed),
    ("kernel.core_pattern", "core", Rule::Fixed),
    ("kernel.core_uses_pid", "0", Rule::Fixed),
    ("kernel.dmesg_restrict", "1", Rule::Fixed),
    ("kernel.kptr_restrict", "2", Rule::Fixed),
    ("kernel.msgmax", "8192", Rule::Numbers),
    ("kernel.msgmnb", "16384", Rule::Numbers),
    ("kernel.msgmni", "32000", Rule::Numbers),
    ("kernel.ngroups_max", "65536", Rule::Fixed),
    ("kernel.osrelease", uts::RELEASE, Rule::Fixed),
    ("kernel.ostype", "Linux", Rule::Fixed),
    ("kernel.overflowgid", "65534", Rule::Fixed),
    ("kernel.overflowuid", "65534", Rule::Fixed),
    ("kernel.panic", "0", Rule::Numbers),
    ("kernel.perf_event_paranoid", "4", Rule::Fixed),
    ("kernel.printk", "4\t4\t1\t7", Rule::Fixed),
    ("kernel.random.entropy_avail", "256", Rule::Fixed),
    ("kernel.random.poolsize", "256", Rule::Fixed),
    ("kernel.randomize_va_space", "2", Rule::Fixed),
    ("kernel.sched_autogroup_enabled", "0", Rule::Fixed),
    ("kernel.sched_rt_period_us", "1000000", Rule::Fixed),
    ("kernel.sched_rt_runtime_us", "950000", Rule::Fixed),
    ("kernel.seccomp.actions_avail", "kill_process kill_thread trap errno trace log allow", Rule::Fixed),
    ("kernel.sem", "32000\t1024000000\t500\t32000", Rule::Numbers),
    ("kernel.shm_rmid_forced", "0", Rule::Numbers),
    ("kernel.shmall", "18446744073692774399", Rule::Numbers),
    ("kernel.shmmax", "18446744073692774399", Rule::Numbers),
    ("kernel.shmmni", "4096", Rule::Numbers),
    ("kernel.sysrq", "0", Rule::Fixed),
    ("kernel.tainted", "0", Rule::Fixed),
    ("kernel.unprivileged_bpf_disabled", "2", Rule::Fixed),
    ("kernel.version", uts::VERSION, Rule::Fixed),
    ("kernel.yama.ptrace_scope", "0", Rule::Fixed),
    ("net.core.netdev_max_backlog", "1000", Rule::Numbers),
    ("net.core.optmem_max", "131072", Rule::Numbers),
    ("net.core.rmem_default", "212992", Rule::Numbers),
    ("net.core.rmem_max", "212992", Rule::Numbers),
    ("net.core.somaxconn", "4096", Rule::Numbers),
    ("net.core.wmem_default", "212992", Rule::Numbers),
    ("net.core.wmem_max", "212992", Rule::Numbers),
    ("net.ipv4.conf.all.forwarding", "0", Rule::Numbers),
    ("net.ipv4.conf.default.forwarding", "0", Rule::Numbers),
    ("net.ipv4.ip_forward", "0", Rule::Numbers),
    ("net.ipv4.ip_local_port_range", "32768\t60999", Rule::Numbers),
    ("net.ipv4.ip_local_reserved_ports", "", Rule::Text),
    ("net.ipv4.ip_nonlocal_bind", "0", Rule::Numbers),
    ("net.ipv4.ip_unprivileged_port_start", "1024", Rule::Numbers),
    ("net.ipv4.ping_group_range", "1\t0", Rule::Numbers),
    ("net.ipv4.tcp_allowed_congestion_control", "reno cubic", Rule::Fixed),
    ("net.ipv4.tcp_available_congestion_control", "reno cubic", Rule::Fixed),
    ("net.ipv4.tcp_congestion_control", "cubic", Rule::Text),
    ("net.ipv4.tcp_fin_timeout", "60", Rule::Numbers),
    ("net.ipv4.tcp_keepalive_intvl", "75", Rule::Numbers),
    ("net.ipv4.tcp_keepalive_probes", "9", Rule::Numbers),
    ("net.ipv4.tcp_keepalive_time", "7200", Rule::Numbers),
    ("net.ipv4.tcp_max_syn_backlog", "1024", Rule::Numbers),
    ("net.ipv4.tcp_mem", "88500\t118001\t177000", Rule::Numbers),
    ("net.ipv4.tcp_rmem", "4096\t131072\t6291456", Rule::Numbers),
    ("net.ipv4.tcp_sack", "1", Rule::Numbers),
    ("net.ipv4.tcp_syncookies", "1", Rule::Numbers),
    ("net.ipv4.tcp_timestamps", "1", Rule::Numbers),
    ("net.ipv4.tcp_tw_reuse", "2", Rule::Numbers),
    ("net.ipv4.tcp_window_scaling", "1", Rule::Numbers),
    ("net.ipv4.tcp_wmem", "4096\t16384\t4194304", Rule::Numbers),
    ("net.ipv6.conf.all.disable_ipv6", "0", Rule::Numbers),
    ("net.ipv6.conf.all.forwarding", "0", Rule::Numbers),
    ("net.ipv6.conf.default.disable_ipv6", "0", Rule::Numbers),
    ("net.ipv6.conf.lo.disable_ipv6", "0", Rule::Numbers),
    ("net.unix.max_dgram_qlen", "512", Rule::Numbers),
    ("user.max_user_namespaces", "0", Rule::Fixed),
    ("vm.dirty_background_ratio", "10", Rule::Numbers),
    ("vm.dirty_ratio", "20", Rule::Numbers),
    ("vm.max_map_count", "65530", Rule::Fixed),
    ("vm.min_free_kbytes", "67584", Rule::Numbers),
    ("vm.mmap_min_addr", "65536", Rule::Fixed),
    ("vm.nr_hugepages", "0", Rule::Fixed),
    ("vm.overcommit_memory", "0", Rule::Numbers),
    ("vm.overcommit_ratio", "50", Rule::Numbers),
    ("vm.panic_on_oom", "0", Rule::Numbers),
    ("vm.swappiness", "60", Rule::Numbers),
    ("vm.vfs_cache_pressure", "100", Rule::Numbers),
];

/// Settings that come from the kernel's state.
const COMPUTED: [&str; 8] = [
    "fs.nr_open",
    "fs.pipe-max-size",
    "kernel.domainname",
    "kernel.hostname",
    "kernel.pid_max",
    "kernel.random.boot_id",
    "kernel.random.uuid",
    "kernel.threads-max",
];

/// The values of the settings.
pub struct Sysctl {
    changed: Mutex<BTreeMap<&'static str, String>>,
    boot_id: String,
}

impl Default for Sysctl {
    fn default() -> Self {
        Self { changed: Mutex::new(Rank::Leaf, BTreeMap::new()), boot_id: random_uuid() }
    }
}

impl Sysctl {
    /// Sets a setting by its name with dots, as config.json does: also those that programs may not change. `ENOENT`.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let (name, default, rule) = SETTINGS.iter().find(|(n, ..)| *n == name).ok_or(Errno::ENOENT)?;
        if *rule == Rule::Fixed && value != *default {
            return Err(Errno::EPERM);
        }
        self.store(name, default, *rule, value)
    }

    fn store(&self, name: &'static str, default: &str, rule: Rule, value: &str) -> Result<()> {
        let value = match rule {
            Rule::Numbers => numbers(value, default.split('\t').count())?,
            _ => value.to_owned(),
        };
        self.changed.lock().insert(name, value);
        Ok(())
    }

    /// The value of a setting; `None` if there is none of that name.
    pub fn get(&self, name: &str) -> Option<String> {
        if let Some(value) = self.changed.lock().get(name) {
            return Some(value.clone());
        }
        SETTINGS.iter().find(|(n, ..)| *n == name).map(|(_, default, _)| (*default).to_owned())
    }
}

/// `count` numbers in decimal, with tabs between them. `EINVAL`.
fn numbers(text: &str, count: usize) -> Result<String> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.is_empty() || words.len() > count || words.iter().any(|w| w.parse::<i128>().is_err()) {
        return Err(Errno::EINVAL);
    }
    Ok(words.join("\t"))
}

fn random_uuid() -> String {
    let mut b = [0u8; 16];
    // Without random numbers it is still a well-formed one.
    let _ = moat_host::random::fill(&mut b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `/proc/sys`.
pub fn directory(kernel: &KernelSlot) -> Node {
    Node::directory(0o555, Branch { kernel: kernel.clone(), prefix: String::new() })
}

/// The settings whose names begin with a prefix.
struct Branch {
    kernel: KernelSlot,
    prefix: String,
}

fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, ..)| *name).chain(COMPUTED)
}

impl Directory for Branch {
    fn lookup(&self, name: &[u8]) -> Result<Node> {
        let name = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        if name.contains('.') {
            return Err(Errno::ENOENT);
        }
        let full = format!("{}{name}", self.prefix);
        if let Some(found) = names().find(|n| **n == full) {
            let setting = Setting { kernel: self.kernel.clone(), name: found };
            let permissions = if setting.writable() { 0o644 } else { 0o444 };
            return Ok(Node::file(permissions, setting));
        }
        let prefix = full + ".";
        match names().any(|n| n.starts_with(&prefix)) {
            true => Ok(Node::directory(0o555, Self { kernel: self.kernel.clone(), prefix })),
            false => Err(Errno::ENOENT),
        }
    }

    fn list(&self) -> Result<Vec<Listed>> {
        let mut children = BTreeMap::new();
        for rest in names().filter_map(|n| n.strip_prefix(self.prefix.as_str())) {
            match rest.split_once('.') {
                Some((directory, _)) => children.insert(directory, FileType::Directory),
                None => children.insert(rest, FileType::Regular),
            };
        }
        Ok(children.into_iter().map(|(name, kind)| Listed::new(name, kind)).collect())
    }
}

struct Setting {
    kernel: KernelSlot,
    name: &'static str,
}

impl Setting {
    fn rule(&self) -> Option<(&'static str, Rule)> {
        SETTINGS.iter().find(|(n, ..)| *n == self.name).map(|(_, default, rule)| (*default, *rule))
    }

    fn writable(&self) -> bool {
        match self.rule() {
            Some((_, rule)) => rule != Rule::Fixed,
            None => matches!(self.name, "kernel.hostname" | "kernel.domainname"),
        }
    }

    fn computed(&self, kernel: &Kernel) -> Vec<u8> {
        match self.name {
            "fs.nr_open" => NR_OPEN.to_string().into(),
            "fs.pipe-max-size" => pipe::CAPACITY_MAX.to_string().into(),
            "kernel.domainname" => kernel.uts().domainname.clone(),
            "kernel.hostname" => kernel.uts().nodename.clone(),
            "kernel.pid_max" => PID_MAX.to_string().into(),
            "kernel.random.boot_id" => self.kernel.sysctl().boot_id.clone().into(),
            "kernel.random.uuid" => random_uuid().into(),
            _ => kernel.pids_limit().to_string().into(),
        }
    }
}

impl File for Setting {
    fn read(&self) -> Result<Vec<u8>> {
        let mut text = match self.kernel.sysctl().get(self.name) {
            Some(text) => text.into_bytes(),
            None => self.computed(&*self.kernel.get()?),
        };
        text.push(b'\n');
        Ok(text)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize> {
        let text = bytes.split(|&b| b == b'\n' || b == 0).next().unwrap_or_default();
        match self.rule() {
            Some((default, rule)) => {
                let text = std::str::from_utf8(text).map_err(|_| Errno::EINVAL)?;
                self.kernel.sysctl().store(self.name, default, rule, text.trim_ascii())?;
            }
            None => {
                let name = text[..text.len().min(64)].to_vec();
                let kernel = self.kernel.get()?;
                let mut uts = kernel.uts();
                match self.name {
                    "kernel.hostname" => uts.nodename = name,
                    _ => uts.domainname = name,
                }
            }
        }
        Ok(bytes.len())
    }

    fn open(&self, task: &Task, flags: OpenFlags) -> Result<Option<Arc<dyn FileOperations>>> {
        // The mode bits have let it pass; a container's root needs the capability that the setting is about.
        if flags.writable() && !self.name.starts_with("net.") {
            task.credentials().require(CapabilitySet::SYS_ADMIN)?;
        }
        if flags.writable() && self.name.starts_with("net.") {
            task.credentials().require(CapabilitySet::NET_ADMIN)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked_and_kept() {
        let sysctl = Sysctl::default();
        sysctl.set("kernel.sem", "1 2 3 4").unwrap();
        assert_eq!(sysctl.get("kernel.sem").unwrap(), "1\t2\t3\t4");
        assert_eq!(sysctl.set("kernel.sem", "1 2 x"), Err(Errno::EINVAL));
        assert_eq!(sysctl.set("kernel.ostype", "Plan 9"), Err(Errno::EPERM));
        assert_eq!(sysctl.set("no.such", "1"), Err(Errno::ENOENT));
        assert_eq!(sysctl.get("net.core.somaxconn").unwrap(), "4096");
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        let uuid = random_uuid();
        assert_eq!((uuid.len(), &uuid[14..15], uuid.matches('-').count()), (36, "4", 4));
    }
}
