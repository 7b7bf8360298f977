//! `linux.timeOffsets`, with Linux's own time namespaces as the oracle.

use std::process::Command;

use serde_json::json;

use crate::bundle::Bundle;

const MONOTONIC: i64 = 1_000_000;
const BOOTTIME: i64 = 2_000_000;

fn figures(text: &str) -> Vec<(String, i64)> {
    let figure = |line: &str| Some((line.split_once(' ')?.0.to_owned(), line.split_once(' ')?.1.parse().ok()?));
    text.lines().filter_map(figure).collect()
}

#[test]
fn clocks_show_their_offsets() {
    let bundle = Bundle::new(&["/clocks"]);
    let program = bundle.file("rootfs/clocks");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/oci/clocks.c");
    let compiled = Command::new("gcc").args(["-O1", "-static", "-o"]).arg(&program).arg(source).status();
    assert!(compiled.expect("package gcc").success());
    bundle.edit(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
        config["linux"]["timeOffsets"] = json!({
            "monotonic": { "secs": MONOTONIC, "nanosecs": 500_000_000 },
            "boottime": { "secs": BOOTTIME, "nanosecs": 0 },
        });
    });
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let mut unshare = Command::new("unshare");
    unshare.args(["--time", &format!("--monotonic={MONOTONIC}"), &format!("--boottime={BOOTTIME}")]).arg(&program);
    let native = unshare.output().unwrap();
    if !native.status.success() {
        eprintln!("skipped: no time namespace: {}", String::from_utf8_lossy(&native.stderr));
        return;
    }
    let (moat, linux) = (figures(&said.out), figures(&String::from_utf8_lossy(&native.stdout)));
    assert_eq!(moat.len(), linux.len(), "{said:?}");
    for (ours, theirs) in moat.iter().zip(&linux) {
        assert_eq!(ours.0, theirs.0);
        let exact = ours.0.starts_with("sleep") || ours.0.starts_with("timer");
        let slack = if exact { 0 } else { 20 };
        assert!((ours.1 - theirs.1).abs() <= slack, "{ours:?} is not {theirs:?}");
    }
}
