//! `--network=host`: the container's sockets are those of its network namespace, whoever made that.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bundle::Bundle;

/// A network namespace with a name, and a link from it to the test's. It goes with this.
struct Link {
    name: String,
    /// Addresses of this end and of the other: 10.N.M.1 and 10.N.M.2.
    ends: [String; 2],
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    if !output.status.success() {
        eprintln!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

impl Link {
    /// `None`, and a word why, where none can be made.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let number = std::process::id() & 0xffff;
        let ends = [1, 2].map(|end| format!("10.{}.{}.{end}", 200 + number % 50, number / 50 % 250));
        let link = Self { name: format!("moat{number}"), ends };
        let (name, [here, there]) = (&link.name, &link.ends);
        let made = [
            format!("netns add {name}"),
            format!("link add {name}a type veth peer name eth0 netns {name}"),
            format!("addr add {here}/24 dev {name}a"),
            format!("link set {name}a up"),
            format!("-n {name} addr add {there}/24 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ];
        if made.iter().all(|words| ip(words)) {
            Some(link)
        } else {
            eprintln!("skipped: this machine has no veth");
            None
        }
    }

    /// A container in it.
    fn bundle(&self, script: &str) -> Bundle {
        let bundle = shell(script);
        let path = format!("/run/netns/{}", self.name);
        bundle.edit(|config| {
            for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
                if namespace["type"] == "network" {
                    namespace["path"] = json!(path);
                }
            }
        });
        bundle
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        ip(&format!("netns delete {}", self.name));
    }
}

fn shell(script: &str) -> Bundle {
    let bundle = Bundle::new(&["sh", "-c", script]);
    for applet in ["httpd", "wget", "nc", "ip", "ping", "grep", "cut", "sort"] {
        std::os::unix::fs::symlink("busybox", bundle.file("rootfs/bin").join(applet)).unwrap();
    }
    std::fs::write(bundle.file("rootfs/etc/page"), "a page\n").unwrap();
    let all = json!(["CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_KILL"]);
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = all.clone();
        }
    });
    bundle
}

fn get(address: &str) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(e) => assert!(Instant::now() < until, "{address}: {e}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_container_and_the_host_reach_each_other_through_a_link() {
    let Some(link) = Link::new() else { return };
    let [here, there] = &link.ends;
    let listener = TcpListener::bind((here.as_str(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("httpd -f -p 80 -h /etc & wget -qO /etc/answer http://{here}:{port}/; wait");
    let bundle = link.bundle(&script);
    let said = bundle.run(&["--network=host", "create", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.code, 0, "{said:?}");
    bundle.succeed(&["start", "c1"]);
    let (mut client, from) = listener.accept().unwrap();
    assert_eq!(from.ip().to_string(), *there);
    client.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom the host\n").unwrap();
    let _ = client.read(&mut [0; 1024]);
    drop(client);
    let page = get(&format!("{there}:80"));
    assert!(page.ends_with("a page\n"), "{page}");
    let until = Instant::now() + Duration::from_secs(20);
    while std::fs::read_to_string(bundle.file("rootfs/etc/answer")).ok().as_deref() != Some("from the host\n") {
        assert!(Instant::now() < until, "the container has not got the page");
        std::thread::sleep(Duration::from_millis(20));
    }
    bundle.succeed(&["delete", "--force", "c1"]);
}

#[test]
fn a_namespace_of_its_own_has_its_loopback_up() {
    let bundle = shell(
        "cut -d: -f1 /proc/net/dev | grep lo; httpd -p 127.0.0.1:80 -h /etc; wget -qO- http://127.0.0.1/page; \
         ping -c 1 127.0.0.1 > /dev/null 2>&1 || echo no ping",
    );
    let said = bundle.run(&["--network=host", "run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.out, "    lo\na page\nno ping\n", "{}", said.err);
}

#[test]
fn a_port_of_a_service_takes_the_capability() {
    let bundle = shell("httpd -f -p 127.0.0.1:80 -h /etc");
    bundle.edit(|config| {
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_KILL"]);
        }
    });
    let said = bundle.run(&["--network=host", "run", "--bundle", bundle.path(), "c1"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("Permission denied"), "{}", said.err);
}

#[test]
fn nothing_but_a_loopback_is_there_without_being_asked_for() {
    let bundle = shell("grep -c : /proc/net/dev; wget -qO- http://10.0.0.1/ 2>&1 | grep -o 'Network is unreachable'");
    bundle.edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|n| n["type"] != "network");
    });
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.out, "1\nNetwork is unreachable\n", "{}", said.err);
}
