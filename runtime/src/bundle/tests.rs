use std::path::Path;

use super::*;

fn bundle(edit: impl FnOnce(&mut serde_json::Value)) -> (tempfile::TempDir, Result<Bundle>) {
    let mut config = template::config(None);
    edit(&mut config);
    raw_bundle(&serde_json::to_string_pretty(&config).unwrap())
}

fn raw_bundle(text: &str) -> (tempfile::TempDir, Result<Bundle>) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("rootfs")).unwrap();
    std::fs::write(directory.path().join("config.json"), text).unwrap();
    let loaded = Bundle::load(directory.path());
    (directory, loaded)
}

fn plan(edit: impl FnOnce(&mut serde_json::Value)) -> Result<Translation> {
    let (_directory, bundle) = bundle(edit);
    translate(&bundle?, "id", &Options { platform: "auto".into(), ..Options::default() })
}

fn error(edit: impl FnOnce(&mut serde_json::Value)) -> String {
    format!("{:#}", plan(edit).unwrap_err())
}

#[test]
fn the_template_is_a_sound_bundle() {
    let translation = plan(|_| {}).unwrap();
    let config = translation.plan.config;
    assert_eq!(config.process.arguments, ["sh"]);
    assert_eq!(config.mounts.len(), 8);
    assert_eq!(config.process.capabilities.bounding, 1 << 29 | 1 << 5 | 1 << 10);
    assert!(config.process.environment.contains(&"HOME=/".to_owned()));
    assert!(translation.plan.lead.procfs);
    assert!(translation.warnings.is_empty());
    let namespaces = libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP;
    assert_eq!(translation.plan.lead.namespaces, namespaces);
}

#[test]
fn the_rootless_template_is_a_sound_bundle() {
    let (_directory, bundle) = raw_bundle(&template::config(Some((1000, 1001))).to_string());
    let translation = translate(&bundle.unwrap(), "id", &Options::default()).unwrap();
    assert_eq!(translation.plan.lead.maps, Some(("0 1000 1\n".into(), "0 1001 1\n".into())));
    assert!(translation.plan.mapped);
}

#[test]
fn a_missing_config_is_named_as_runc_does() {
    let directory = tempfile::tempdir().unwrap();
    let error = Bundle::load(directory.path()).unwrap_err().to_string();
    assert_eq!(error, "JSON specification file config.json not found");
    assert!(Bundle::load(Path::new("/nonexistent")).unwrap_err().to_string().contains("/nonexistent"));
}

#[test]
fn broken_json_has_a_line_and_a_field() {
    let (_directory, loaded) = raw_bundle("{\n  \"ociVersion\": \"1.0.2\",\n  \"root\": {\n}");
    let error = format!("{:#}", loaded.unwrap_err());
    assert!(error.contains("config.json") && error.contains("line 4"), "{error}");
    let (_directory, loaded) = raw_bundle("{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": { \"cwd\": 7 }\n}");
    let error = format!("{:#}", loaded.unwrap_err());
    assert!(error.contains("process.cwd") && error.contains("line 3"), "{error}");
}

#[test]
fn unknown_settings_are_named() {
    assert!(error(|c| c["linux"]["nosuch"] = 1.into()).contains("linux.nosuch: unknown setting"));
    assert!(error(|c| c["mounts"][1]["typo"] = "x".into()).contains("mounts[1].typo: unknown setting"));
}

#[test]
fn unsupported_settings_are_named() {
    type Edit = fn(&mut serde_json::Value);
    let cases: &[(&str, Edit)] = &[
        ("process.args", |c| c["process"]["args"] = serde_json::json!([])),
        ("process.cwd", |c| c["process"]["cwd"] = "relative".into()),
        ("process.oomScoreAdj", |c| c["process"]["oomScoreAdj"] = 2000.into()),
        ("process.rlimits[0].soft", |c| c["process"]["rlimits"][0]["soft"] = 2000.into()),
        ("process.ioPriority", |c| {
            c["process"]["ioPriority"] = serde_json::json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 1 });
        }),
        ("root.path", |c| c["root"]["path"] = "nosuch".into()),
        ("mounts[0].type", |c| c["mounts"][0]["type"] = "nfs".into()),
        ("mounts[1].options: colour=red", |c| c["mounts"][1]["options"] = serde_json::json!(["colour=red"])),
        ("mounts[1].source", |c| {
            c["mounts"][1] =
                serde_json::json!({ "destination": "/x", "type": "bind", "source": "/nosuch", "options": ["rbind"] });
        }),
        ("linux.namespaces", |c| c["linux"]["namespaces"] = serde_json::json!([{ "type": "mount" }])),
        ("linux.namespaces[1].path", |c| {
            c["linux"]["namespaces"][1]["path"] = "/nosuch".into();
        }),
        ("linux.uidMappings", |c| {
            c["linux"]["uidMappings"] = serde_json::json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
        }),
        ("linux.sysctl", |c| c["linux"]["sysctl"] = serde_json::json!({ "kernel.panic": "1" })),
        ("linux.seccomp.defaultAction", |c| {
            c["linux"]["seccomp"] = serde_json::json!({ "defaultAction": "SCMP_ACT_NOTIFY" });
        }),
        ("linux.rootfsPropagation", |c| c["linux"]["rootfsPropagation"] = "shared".into()),
        ("linux.timeOffsets.wall", |c| c["linux"]["timeOffsets"] = serde_json::json!({ "wall": { "secs": 1 } })),
        ("linux.devices[0].path", |c| {
            c["linux"]["devices"] = serde_json::json!([{ "path": "dev/x", "type": "c", "major": 1, "minor": 3 }]);
        }),
        ("hooks.poststop[0].path", |c| c["hooks"] = serde_json::json!({ "poststop": [{ "path": "relative" }] })),
        ("ociVersion", |c| c["ociVersion"] = "2.0.0".into()),
    ];
    for (field, edit) in cases {
        let error = error(edit);
        assert!(error.contains(field), "{field}: {error}");
    }
}

#[test]
fn a_bind_becomes_a_root_of_the_gofer() {
    let translation = plan(|c| {
        c["mounts"][1] =
            serde_json::json!({ "destination": "/x", "type": "none", "source": "rootfs", "options": ["rbind", "ro"] });
    });
    let plan = translation.unwrap().plan;
    assert_eq!(plan.roots.len(), 2);
    assert!(plan.roots[1].root.read_only && plan.roots[1].recursive && !plan.roots[1].root.owned);
    assert_eq!(plan.lead.binds[0].1, "/x");
}
