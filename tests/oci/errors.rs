//! What is wrong is told in one line that engines understand, and leaves nothing behind.

use serde_json::{Value, json};

use crate::bundle::Bundle;

#[track_caller]
fn refused(bundle: &Bundle, text: &str) {
    let said = bundle.create("c1");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains(text), "{text:?} is not in {:?}", said.err);
    assert_eq!(said.err.lines().count(), 1, "{:?}", said.err);
    bundle.assert_empty();
}

#[test]
fn a_missing_config_is_named() {
    let bundle = Bundle::new(&["true"]);
    std::fs::remove_file(bundle.file("config.json")).unwrap();
    refused(&bundle, "runc create failed: JSON specification file config.json not found");
}

#[test]
fn broken_json_has_its_line() {
    let bundle = Bundle::new(&["true"]);
    std::fs::write(bundle.file("config.json"), "{\n\"ociVersion\": }").unwrap();
    refused(&bundle, "line 2");
}

#[test]
fn a_setting_that_cannot_be_honoured_is_named() {
    let bundle = Bundle::new(&["true"]);
    bundle.edit(|c| c["mounts"][0]["type"] = "nfs".into());
    refused(&bundle, "mounts[0].type");
}

#[test]
fn a_missing_rootfs_is_named() {
    let bundle = Bundle::new(&["true"]);
    bundle.edit(|c| c["root"]["path"] = "nowhere".into());
    refused(&bundle, "root.path: invalid rootfs");
}

#[test]
fn commands_that_cannot_be_run_are_told_as_runc_does() {
    let bundle = Bundle::new(&["nosuch"]);
    refused(&bundle, r#"unable to start container process: exec: \"nosuch\": executable file not found in $PATH"#);
    bundle.edit(|c| c["process"]["args"] = json!(["/nosuch"]));
    refused(&bundle, r#"exec: \"/nosuch\": stat /nosuch: no such file or directory"#);
    bundle.edit(|c| c["process"]["args"] = json!(["/etc"]));
    refused(&bundle, r#"exec: \"/etc\": permission denied"#);
}

#[test]
fn ids_are_checked() {
    let bundle = Bundle::new(&["true"]);
    for id in ["a/b", "..", "a b"] {
        let said = bundle.create(id);
        assert_eq!(said.code, 1);
        assert!(said.err.contains("invalid container ID format"), "{}", said.err);
    }
}

#[test]
fn verbs_of_a_container_that_is_not_there() {
    let bundle = Bundle::new(&["true"]);
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps", "events", "update"] {
        let said = bundle.run(&[verb, "none"]);
        assert_eq!(said.code, 1, "{verb}");
        assert!(said.err.contains("container does not exist"), "{verb}: {}", said.err);
    }
    assert_eq!(bundle.run(&["exec", "none", "true"]).code, 255);
    bundle.succeed(&["delete", "--force", "none"]);
}

#[test]
fn the_log_is_one_json_object() {
    let bundle = Bundle::new(&["true"]);
    std::fs::remove_file(bundle.file("config.json")).unwrap();
    let log = bundle.file("log.json");
    let flags = ["--log", log.to_str().unwrap(), "--log-format", "json", "create", "--bundle", bundle.path(), "c1"];
    let said = bundle.run(&flags);
    assert_eq!(said.err, "runc create failed: JSON specification file config.json not found\n");
    let object: Value = serde_json::from_slice(&std::fs::read(&log).unwrap()).unwrap();
    assert_eq!(object["level"], "error");
    assert_eq!(format!("{}\n", object["msg"].as_str().unwrap()), said.err);
}

#[test]
fn a_log_that_cannot_be_written_is_an_error() {
    let said = Bundle::new(&["true"]).run(&["--log", "/nonexistent/log", "list"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("/nonexistent/log"), "{}", said.err);
}

#[test]
fn a_console_socket_that_nobody_serves_is_an_error() {
    let bundle = Bundle::new(&["true"]);
    bundle.edit(|c| c["process"]["terminal"] = true.into());
    let said = bundle.run(&["create", "--bundle", bundle.path(), "--console-socket", "/nonexistent/socket", "c1"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("console socket /nonexistent/socket"), "{}", said.err);
    refused(&bundle, "cannot allocate tty if runc will detach without setting console socket");
}

#[test]
fn a_half_made_container_can_be_deleted() {
    let bundle = Bundle::new(&["true"]);
    std::fs::create_dir_all(bundle.file("state/c1")).unwrap();
    assert!(bundle.run(&["state", "c1"]).err.contains("delete --force"));
    assert!(bundle.create("c1").err.contains("container with given ID already exists"));
    std::fs::write(bundle.file("state/c1/state.json"), "{\"version\":1,\"id\":").unwrap();
    assert!(bundle.run(&["state", "c1"]).err.contains("state.json"));
    bundle.succeed(&["delete", "--force", "c1"]);
    bundle.assert_empty();
}
