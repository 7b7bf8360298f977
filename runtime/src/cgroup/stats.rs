//! What a container's groups have counted, in the shape of runc's `events`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Cgroup, Group};

/// Reads them; what is not there is 0.
pub fn read(cgroup: &Cgroup) -> Value {
    json!({
        "cpu": cpu(cgroup),
        "memory": memory(cgroup),
        "pids": pids(cgroup),
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn text(group: Option<&Group>, file: &str) -> String {
    group.and_then(|g| std::fs::read_to_string(g.directory.join(file)).ok()).unwrap_or_default()
}

fn number(group: Option<&Group>, file: &str) -> u64 {
    let text = text(group, file);
    match text.trim() {
        "max" => u64::MAX,
        other => other.parse().unwrap_or(0),
    }
}

fn table(group: Option<&Group>, file: &str) -> BTreeMap<String, u64> {
    let pairs = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text(group, file).lines().filter_map(pairs).collect()
}

fn cpu(cgroup: &Cgroup) -> Value {
    let group = cgroup.group("cpu");
    let stat = table(group, "cpu.stat");
    let get = |name: &str| stat.get(name).copied().unwrap_or(0);
    if group.is_some_and(|g| g.unified) {
        return json!({
            "usage": { "total": get("usage_usec") * 1000, "kernel": get("system_usec") * 1000, "user": get("user_usec") * 1000 },
            "throttling": {
                "periods": get("nr_periods"),
                "throttledPeriods": get("nr_throttled"),
                "throttledTime": get("throttled_usec") * 1000,
            },
        });
    }
    let account = cgroup.group("cpuacct");
    let each: Vec<u64> =
        text(account, "cpuacct.usage_percpu").split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect();
    json!({
        "usage": {
            "total": number(account, "cpuacct.usage"),
            "percpu": each,
            "kernel": number(account, "cpuacct.usage_sys"),
            "user": number(account, "cpuacct.usage_user"),
        },
        "throttling": {
            "periods": get("nr_periods"),
            "throttledPeriods": get("nr_throttled"),
            "throttledTime": get("throttled_time"),
        },
    })
}

fn memory(cgroup: &Cgroup) -> Value {
    let group = cgroup.group("memory");
    let raw = table(group, "memory.stat");
    let get = |name: &str| raw.get(name).copied().unwrap_or(0);
    if group.is_some_and(|g| g.unified) {
        let entry = |prefix: &str| {
            json!({
                "limit": number(group, &format!("{prefix}.max")),
                "usage": number(group, &format!("{prefix}.current")),
                "max": number(group, &format!("{prefix}.peak")),
                "failcnt": 0,
            })
        };
        return json!({ "cache": get("file"), "usage": entry("memory"), "swap": entry("memory.swap"), "kernel": {}, "kernelTCP": {}, "raw": raw });
    }
    let entry = |prefix: &str| {
        json!({
            "limit": number(group, &format!("{prefix}.limit_in_bytes")),
            "usage": number(group, &format!("{prefix}.usage_in_bytes")),
            "max": number(group, &format!("{prefix}.max_usage_in_bytes")),
            "failcnt": number(group, &format!("{prefix}.failcnt")),
        })
    };
    json!({
        "cache": get("cache"),
        "usage": entry("memory"),
        "swap": entry("memory.memsw"),
        "kernel": entry("memory.kmem"),
        "kernelTCP": entry("memory.kmem.tcp"),
        "raw": raw,
    })
}

fn pids(cgroup: &Cgroup) -> Value {
    let group = cgroup.group("pids");
    let limit = number(group, "pids.max");
    json!({ "current": number(group, "pids.current"), "limit": if limit == u64::MAX { 0 } else { limit } })
}
