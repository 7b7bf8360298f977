//! State directories that are damaged or half made.

use crate::scene::{ID, Scene};

#[track_caller]
fn every_verb_says_what_is_wrong(scene: &Scene) {
    for verb in [&["state", ID][..], &["kill", ID], &["delete", ID], &["start", ID], &["ps", ID], &["exec", ID, "true"]]
    {
        let error = scene.refused(verb);
        assert!(error.contains("state.json") || error.contains("another version"), "{verb:?}: {error}");
    }
    // One that is broken does not hide the others.
    assert_eq!(scene.ok(&["list", "-q"]).out, "");
}

#[test]
fn state_that_is_cut_off_is_named_and_deleted() {
    for eighth in 0..8 {
        let scene = Scene::running();
        let path = scene.directory().join("state.json");
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() * eighth / 8]).unwrap();
        every_verb_says_what_is_wrong(&scene);
        scene.delete();
    }
}

#[test]
fn state_that_makes_no_sense_is_named_and_deleted() {
    for text in [&b"null"[..], b"[]", b"{}", b"{\"version\":1}", &[0; 4096], &[0xff; 100], b"\"state\""] {
        let scene = Scene::running();
        std::fs::write(scene.directory().join("state.json"), text).unwrap();
        every_verb_says_what_is_wrong(&scene);
        scene.delete();
    }
}

#[test]
fn state_of_another_version_is_refused() {
    let scene = Scene::running();
    let path = scene.directory().join("state.json");
    let text = std::fs::read_to_string(&path).unwrap().replacen("\"version\":1", "\"version\":99", 1);
    std::fs::write(&path, text).unwrap();
    every_verb_says_what_is_wrong(&scene);
    scene.delete();
}

#[test]
fn a_directory_without_state_is_deleted() {
    let scene = Scene::new(&["true"]);
    for files in [&[][..], &["lock"], &["lock", "control.sock"], &["state.json.new"]] {
        std::fs::create_dir_all(scene.directory()).unwrap();
        for file in files {
            std::fs::write(scene.directory().join(file), "{\"version").unwrap();
        }
        assert!(scene.refused(&["state", ID]).contains("delete --force"));
        assert!(scene.refused(&["create", "--bundle", scene.bundle.path(), ID]).contains("already exists"));
        scene.delete();
    }
}

#[test]
fn a_lost_socket_is_a_sandbox_that_does_not_answer() {
    let scene = Scene::running();
    std::fs::remove_file(scene.directory().join("control.sock")).unwrap();
    for verb in [&["pause", ID][..], &["ps", ID], &["exec", ID, "true"]] {
        scene.refused(verb);
    }
    assert_eq!(scene.bundle.state(ID)["status"], "running");
    scene.ok(&["kill", ID, "KILL"]);
    scene.bundle.await_status(ID, "stopped");
    scene.delete();
}
