//! Namespaces that somebody else has made.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::Bundle;

/// A process that holds namespaces.
struct Holder(Child);

impl Holder {
    fn new(flags: &[&str]) -> Option<Self> {
        let mut unshare = Command::new("unshare");
        unshare.args(flags).args(["sh", "-c", "echo there; exec sleep 1000"]);
        let mut holder = Self(unshare.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(holder.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            eprintln!("skipped: unshare {flags:?}");
            return None;
        }
        Some(holder)
    }

    fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn join(bundle: &Bundle, kind: &str, path: &str) {
    bundle.edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|n| n["type"] != kind);
        namespaces.push(json!({ "type": kind, "path": path }));
    });
}

fn namespace(bundle: &Bundle, kind: &str) -> String {
    let pid = bundle.state("c1")["pid"].as_i64().unwrap();
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string()
}

#[test]
fn a_network_namespace_is_joined() {
    let Some(holder) = Holder::new(&["--net"]) else { return };
    let bundle = Bundle::new(&["sleep", "1000"]);
    join(&bundle, "network", &holder.path("net"));
    let said = bundle.run(&["--network=none", "create", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let theirs = std::fs::read_link(holder.path("net")).unwrap().display().to_string();
    assert_eq!(namespace(&bundle, "net"), theirs);
    bundle.succeed(&["delete", "--force", "c1"]);
}

#[test]
fn a_user_namespace_is_joined() {
    let Some(holder) = Holder::new(&["--user"]) else { return };
    let maps = format!("/proc/{}", holder.0.id());
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("{maps}/{map}"), "0 300000 1000\n").unwrap();
    }
    let bundle = Bundle::new(&["sh", "-c", "echo $(id -u) $(id -g); cat /proc/self/uid_map; echo new > /tmp/new"]);
    join(&bundle, "user", &holder.path("user"));
    // What the container's root may write to, and reach.
    std::os::unix::fs::chown(bundle.file("rootfs/tmp"), Some(300_000), Some(300_000)).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bundle.path(), open).unwrap();
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.starts_with("0 0\n"), "{said:?}");
    let made = std::fs::metadata(bundle.file("rootfs/tmp/new")).unwrap();
    assert_eq!((made.uid(), made.gid()), (300_000, 300_000));
}

#[test]
fn others_are_refused_by_name() {
    let bundle = Bundle::new(&["true"]);
    let config: Value = serde_json::from_slice(&std::fs::read(bundle.file("config.json")).unwrap()).unwrap();
    for (kind, name) in [("pid", "pid"), ("mount", "mnt"), ("ipc", "ipc"), ("uts", "uts"), ("cgroup", "cgroup")] {
        bundle.edit(|c| *c = config.clone());
        join(&bundle, kind, &format!("/proc/self/ns/{name}"));
        let said = bundle.create("c1");
        assert_eq!((said.code, said.err.lines().count()), (1, 1), "{said:?}");
        let text = format!("joining a namespace of type {kind} is not supported yet");
        assert!(said.err.contains("linux.namespaces[") && said.err.contains(&text), "{said:?}");
    }
    bundle.edit(|c| *c = config.clone());
    join(&bundle, "network", "/nonexistent/namespace");
    assert!(bundle.create("c1").err.contains("/nonexistent/namespace: no such file or directory"));
    join(&bundle, "network", "/etc/passwd");
    let said = bundle.create("c1");
    assert!(said.code == 1 && said.err.lines().count() == 1, "{said:?}");
    bundle.assert_empty();
}
