//! `linux.resources` as files of control groups.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::{Cgroup, Group};

/// Host threads of a guest's task: the stub's, its mapper's, the sentry's.
const THREADS_PER_TASK: i64 = 3;
/// Host threads of a sandbox besides those.
const THREADS_OF_OURS: i64 = 64;

/// One write: the setting, its controller, the file, the value.
struct Write {
    setting: &'static str,
    controller: &'static str,
    file: String,
    value: String,
}

/// Sets what is given; what could not be set, by its setting's name.
pub fn apply(cgroup: &Cgroup, resources: &LinuxResources) -> Vec<String> {
    let unified = cgroup.groups.iter().any(|g| g.unified);
    let mut warnings = Vec::new();
    for write in writes(resources, unified) {
        let Some(group) = cgroup.group(write.controller) else {
            warnings.push(format!(
                "linux.resources.{}: does not apply, there is no {} control group",
                write.setting, write.controller
            ));
            continue;
        };
        if let Err(e) = put(group, &write.file, &write.value) {
            warnings.push(format!("linux.resources.{}: {} to {}: {e}", write.setting, write.value, write.file));
        }
    }
    if let (Some(settings), Some(group)) = (resources.unified(), cgroup.groups.iter().find(|g| g.unified)) {
        for (file, value) in settings {
            // The name is a file of the group, and of nothing else.
            let done =
                if file.contains('/') { Err(std::io::ErrorKind::InvalidInput.into()) } else { put(group, file, value) };
            if let Err(e) = done {
                warnings.push(format!("linux.resources.unified.{file}: {e}"));
            }
        }
    } else if resources.unified().as_ref().is_some_and(|u| !u.is_empty()) {
        warnings.push("linux.resources.unified: does not apply, control groups are of version 1".into());
    }
    for (name, set) in
        [("network", resources.network().is_some()), ("rdma", resources.rdma().as_ref().is_some_and(|r| !r.is_empty()))]
    {
        if set {
            warnings.push(format!("linux.resources.{name}: does not apply"));
        }
    }
    warnings
}

fn put(group: &Group, file: &str, value: &str) -> std::io::Result<()> {
    std::fs::write(group.directory.join(file), value)
}

fn writes(resources: &LinuxResources, unified: bool) -> Vec<Write> {
    let mut writes = Writes { unified, list: Vec::new() };
    if let Some(memory) = resources.memory() {
        writes.memory(memory);
    }
    if let Some(cpu) = resources.cpu() {
        writes.cpu(cpu);
    }
    if let Some(pids) = resources.pids() {
        let limit = pids.limit();
        // The sentry enforces the guest's limit; this one is for what goes wrong.
        let host = limit.saturating_mul(THREADS_PER_TASK).saturating_add(THREADS_OF_OURS);
        writes.same("pids.limit", "pids", "pids.max", if limit > 0 { host.to_string() } else { "max".into() });
    }
    if let Some(block) = resources.block_io() {
        writes.block(block);
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let name = if unified { "max" } else { "limit_in_bytes" };
        let file = format!("hugetlb.{}.{name}", limit.page_size());
        writes.same("hugepageLimits", "hugetlb", &file, limit.limit().to_string());
    }
    writes.list
}

struct Writes {
    unified: bool,
    list: Vec<Write>,
}

impl Writes {
    fn same(&mut self, setting: &'static str, controller: &'static str, file: &str, value: String) {
        self.list.push(Write { setting, controller, file: file.to_owned(), value });
    }

    fn v1(&mut self, setting: &'static str, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value.filter(|_| !self.unified) {
            self.same(setting, controller, file, value.to_string());
        }
    }

    fn v2(&mut self, setting: &'static str, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value.filter(|_| self.unified) {
            self.same(setting, controller, file, value.to_string());
        }
    }

    fn memory(&mut self, memory: &LinuxMemory) {
        let amount = |value: Option<i64>| value.filter(|&v| v != 0);
        let (limit, swap) = (amount(memory.limit()), amount(memory.swap()));
        self.v1("memory.limit", "memory", "memory.limit_in_bytes", limit);
        self.v1("memory.swap", "memory", "memory.memsw.limit_in_bytes", swap);
        self.v1("memory.reservation", "memory", "memory.soft_limit_in_bytes", amount(memory.reservation()));
        self.v1("memory.swappiness", "memory", "memory.swappiness", memory.swappiness());
        let oom = memory.disable_oom_killer().filter(|&off| off).map(|_| 1);
        self.v1("memory.disableOOMKiller", "memory", "memory.oom_control", oom);

        let bytes = |value: i64| if value < 0 { "max".to_owned() } else { value.to_string() };
        self.v2("memory.limit", "memory", "memory.max", limit.map(bytes));
        // Version 1 counts memory and swap together, version 2 swap alone.
        let alone = swap.map(|swap| match limit {
            Some(limit) if swap >= 0 && limit >= 0 => swap.saturating_sub(limit).max(0),
            _ => swap,
        });
        self.v2("memory.swap", "memory", "memory.swap.max", alone.map(bytes));
        self.v2("memory.reservation", "memory", "memory.low", amount(memory.reservation()).map(bytes));
    }

    fn cpu(&mut self, cpu: &LinuxCpu) {
        let shares = cpu.shares().filter(|&s| s != 0);
        let (quota, period) = (cpu.quota().filter(|&q| q != 0), cpu.period().filter(|&p| p != 0));
        self.v1("cpu.shares", "cpu", "cpu.shares", shares);
        self.v1("cpu.period", "cpu", "cpu.cfs_period_us", period);
        self.v1("cpu.quota", "cpu", "cpu.cfs_quota_us", quota);
        self.v1("cpu.burst", "cpu", "cpu.cfs_burst_us", cpu.burst());
        self.v1("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", cpu.realtime_period().filter(|&p| p != 0));
        self.v1("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", cpu.realtime_runtime().filter(|&r| r != 0));
        self.v2("cpu.shares", "cpu", "cpu.weight", shares.map(weight_of_shares));
        if quota.is_some() || period.is_some() {
            let quota = quota.filter(|&q| q > 0).map_or_else(|| "max".to_owned(), |q| q.to_string());
            self.v2("cpu.quota", "cpu", "cpu.max", Some(format!("{quota} {}", period.unwrap_or(100_000))));
        }
        self.v2("cpu.burst", "cpu", "cpu.max.burst", cpu.burst());
        if let Some(idle) = cpu.idle() {
            self.same("cpu.idle", "cpu", "cpu.idle", idle.to_string());
        }
        for (setting, file, value) in [("cpu.cpus", "cpuset.cpus", cpu.cpus()), ("cpu.mems", "cpuset.mems", cpu.mems())]
        {
            if let Some(value) = value.as_ref().filter(|v| !v.is_empty()) {
                self.same(setting, "cpuset", file, value.clone());
            }
        }
    }

    fn block(&mut self, block: &LinuxBlockIo) {
        let weight = block.weight().filter(|&w| w != 0);
        self.v1("blockIO.weight", "blkio", "blkio.bfq.weight", weight);
        self.v2("blockIO.weight", "io", "io.bfq.weight", weight);
        let empty: &[LinuxThrottleDevice] = &[];
        for (setting, v1, v2, devices) in [
            ("blockIO.throttleReadBpsDevice", "read_bps", "rbps", block.throttle_read_bps_device()),
            ("blockIO.throttleWriteBpsDevice", "write_bps", "wbps", block.throttle_write_bps_device()),
            ("blockIO.throttleReadIOPSDevice", "read_iops", "riops", block.throttle_read_iops_device()),
            ("blockIO.throttleWriteIOPSDevice", "write_iops", "wiops", block.throttle_write_iops_device()),
        ] {
            for device in devices.as_deref().unwrap_or(empty) {
                let number = format!("{}:{}", device.major(), device.minor());
                let file = format!("blkio.throttle.{v1}_device");
                self.v1(setting, "blkio", &file, Some(format!("{number} {}", device.rate())));
                self.v2(setting, "io", "io.max", Some(format!("{number} {v2}={}", device.rate())));
            }
        }
    }
}

/// runc's conversion of 2–262144 into 1–10000.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(json: &str, unified: bool) -> Vec<(String, String)> {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        writes(&resources, unified).into_iter().map(|w| (w.file, w.value)).collect()
    }

    fn pair(file: &str, value: &str) -> (String, String) {
        (file.into(), value.into())
    }

    #[test]
    fn limits_of_version_1() {
        let json = r#"{"memory": {"limit": 1000, "swap": 3000}, "cpu": {"shares": 1024, "quota": 5000, "period": 10000, "cpus": "0-1"}, "pids": {"limit": 10}}"#;
        let expected = [
            pair("memory.limit_in_bytes", "1000"),
            pair("memory.memsw.limit_in_bytes", "3000"),
            pair("cpu.shares", "1024"),
            pair("cpu.cfs_period_us", "10000"),
            pair("cpu.cfs_quota_us", "5000"),
            pair("cpuset.cpus", "0-1"),
            pair("pids.max", "94"),
        ];
        assert_eq!(files(json, false), expected);
    }

    #[test]
    fn limits_of_version_2() {
        let json =
            r#"{"memory": {"limit": 1000, "swap": 3000}, "cpu": {"shares": 1024, "quota": -1}, "pids": {"limit": -1}}"#;
        let expected = [
            pair("memory.max", "1000"),
            pair("memory.swap.max", "2000"),
            pair("cpu.weight", "39"),
            pair("cpu.max", "max 100000"),
            pair("pids.max", "max"),
        ];
        assert_eq!(files(json, true), expected);
    }
}
