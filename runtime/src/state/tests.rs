use super::*;

fn root() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::new(Some(&directory.path().join("root")));
    (directory, root)
}

fn state(id: &str) -> State {
    State::new(id, "/bundle".into(), "/bundle/rootfs".into(), BTreeMap::new())
}

#[test]
fn what_was_saved_is_loaded() {
    let (_directory, root) = root();
    let container = root.create("one").unwrap();
    let mut saved = state("one");
    saved.lead = Some(ProcessId::of(std::process::id() as i32));
    saved.phase = Status::Running;
    container.save(&saved).unwrap();
    drop(container);
    let loaded = root.open("one").unwrap().load().unwrap();
    assert_eq!(loaded.status(), Status::Running);
    assert_eq!(loaded.pid(), std::process::id() as i32);
    assert_eq!(root.ids().unwrap(), ["one"]);
}

#[test]
fn an_id_is_given_once() {
    let (_directory, root) = root();
    let _container = root.create("one").unwrap();
    assert_eq!(root.create("one").unwrap_err().to_string(), "container with given ID already exists");
    assert_eq!(root.create("a/b").unwrap_err().to_string(), "invalid container ID format: a/b");
}

#[test]
fn a_missing_container_does_not_exist() {
    let (_directory, root) = root();
    assert!(root.open("none").unwrap_err().is::<DoesNotExist>());
    assert!(root.peek("none").unwrap_err().is::<DoesNotExist>());
    assert!(root.ids().unwrap().is_empty());
}

#[test]
fn a_truncated_state_is_named() {
    let (_directory, root) = root();
    let container = root.create("one").unwrap();
    assert!(container.load().unwrap_err().to_string().contains("there is no state file"));
    container.save(&state("one")).unwrap();
    let path = container.directory().join("state.json");
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = container.load().unwrap_err().to_string();
    assert!(error.contains("state.json") && error.contains("delete --force"), "{error}");
}

#[test]
fn a_dead_lead_means_stopped() {
    let mut state = state("one");
    state.lead = Some(ProcessId { pid: 1, started: 1 });
    state.phase = Status::Running;
    assert_eq!(state.status(), Status::Stopped);
    let oci = serde_json::to_value(state.to_oci()).unwrap();
    assert_eq!(oci["pid"], 0);
    assert_eq!(oci["status"], "stopped");
    assert!(oci.get("annotations").is_none());
}

#[test]
fn verbs_wait_for_each_other() {
    let (_directory, root) = root();
    let container = root.create("one").unwrap();
    let (other, (said, says)) = (root.clone(), std::sync::mpsc::channel());
    let waiter = std::thread::spawn(move || {
        let opened = other.open("one");
        said.send(()).unwrap();
        opened.is_err()
    });
    assert!(says.recv_timeout(std::time::Duration::from_millis(100)).is_err());
    container.remove().unwrap();
    assert!(waiter.join().unwrap(), "the directory was removed while it waited");
}

fn names(containers: &[Container]) -> Vec<&str> {
    containers.iter().filter_map(|c| c.directory().file_name()?.to_str()).collect()
}

#[test]
fn who_is_tied_to_a_process_that_lives_is_not_left_behind() {
    let (_directory, root) = root();
    let (container, tie) = root.create_tied("do-1").unwrap();
    container.save(&state("do-1")).unwrap();
    drop(container);
    assert!(root.left_behind("do-").is_empty());
    drop(tie);
    assert_eq!(names(&root.left_behind("do-")), ["do-1"]);
    assert!(root.left_behind("other-").is_empty());
}

#[test]
fn who_was_never_tied_is_not_left_behind() {
    let (_directory, root) = root();
    let container = root.create("do-1").unwrap();
    assert!(root.left_behind("do-").is_empty(), "a verb is at work there");
    container.save(&state("do-1")).unwrap();
    drop(container);
    assert!(root.left_behind("do-").is_empty());
}

#[test]
fn a_directory_in_which_nothing_was_written_is_left_behind() {
    let (_directory, root) = root();
    drop(root.create("do-1").unwrap());
    let empty = root.0.join("do-2");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(names(&root.left_behind("do-")), ["do-1"]);
    assert!(!empty.exists(), "one without a lock is taken away at once");
}

#[test]
fn what_a_verb_is_at_work_at_is_left_to_it() {
    let (_directory, root) = root();
    let (container, tie) = root.create_tied("do-1").unwrap();
    drop(tie);
    assert!(root.left_behind("do-").is_empty());
    drop(container);
    let found = root.left_behind("do-");
    assert_eq!(names(&found), ["do-1"]);
    assert!(root.left_behind("do-").is_empty(), "it is being taken away");
}

#[test]
fn nobody_who_is_making_a_container_loses_it_to_a_sweep() {
    let (_directory, root) = root();
    let makers: Vec<_> = (0..4)
        .map(|maker| {
            let root = root.clone();
            std::thread::spawn(move || {
                for n in 0..50 {
                    let id = format!("do-{maker}-{n}");
                    let (container, _tie) = root.create_tied(&id).unwrap();
                    container.save(&state(&id)).unwrap();
                    drop(container);
                    root.left_behind("do-").into_iter().for_each(|c| c.remove().unwrap());
                    root.open(&id).unwrap().load().unwrap();
                }
            })
        })
        .collect();
    makers.into_iter().for_each(|maker| maker.join().unwrap());
    root.left_behind("do-").into_iter().for_each(|c| c.remove().unwrap());
    assert!(root.ids().unwrap().is_empty());
}

/// What the first build of this format wrote: a field that came later must have a default.
const FIRST: &str = r#"{
    "version": 1, "id": "one", "bundle": "/bundle", "rootfs": "/bundle/rootfs", "created": "2026-01-01T00:00:00Z",
    "owner": "root", "annotations": {"a": "b"}, "lead": {"pid": 1, "started": 1}, "helpers": [{"pid": 2, "started": 1}],
    "phase": "running",
    "cgroup": {"groups": [{"unified": true, "controllers": ["pids"], "directory": "/sys/fs/cgroup/one"}]},
    "process": {
        "arguments": ["true"], "environment": ["A=1"], "cwd": "/", "uid": 0, "gid": 0, "additional_gids": [], "umask": null,
        "capabilities": {"bounding": 0, "effective": 0, "permitted": 0, "inheritable": 0, "ambient": 0},
        "no_new_privileges": true, "rlimits": [["RLIMIT_NOFILE", 1, 2]], "oom_score_adj": null,
        "stdio": {"terminal": {"columns": 80, "rows": 24}}, "extra_files": 0
    },
    "start_container": [], "poststart": [], "poststop": []
}"#;

#[test]
fn the_state_of_an_older_build_is_read() {
    let (_directory, root) = root();
    let container = root.create("one").unwrap();
    std::fs::write(container.directory().join("state.json"), FIRST).unwrap();
    let state = container.load().unwrap();
    assert_eq!((state.id.as_str(), state.status()), ("one", Status::Stopped));
    assert_eq!(state.process.unwrap().rlimits, [("RLIMIT_NOFILE".to_owned(), 1, 2)]);
    // Nor does it mind what a newer one adds.
    let newer = FIRST.replacen('{', r#"{"later": 1, "#, 1);
    std::fs::write(container.directory().join("state.json"), newer).unwrap();
    assert!(container.load().is_ok());
}
