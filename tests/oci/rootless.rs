//! What an ordinary user with subordinate ids can do without an engine.

use serde_json::Value;

use crate::bundle::Bundle;

/// Says nothing: it has the file that the verbs write to.
const FOREVER: &str = "trap 'exit 9' TERM; while :; do sleep 0.1; done";

#[test]
fn an_ordinary_user_runs_a_bundle() {
    let Some(bundle) = Bundle::rootless(&["sh", "-c", "echo $(id -u); echo err >&2; exit 7"]) else { return };
    let said = bundle.run(&["run", "--bundle", bundle.path(), "c1"]);
    assert_eq!((said.code, said.out.as_str()), (7, "0\n"), "{said:?}");
    assert!(said.err.ends_with("err\n"), "{said:?}");
    bundle.assert_empty();
}

#[test]
fn each_verb_reaches_the_container_that_another_has_made() {
    let Some(bundle) = Bundle::rootless(&["sh", "-c", FOREVER]) else { return };
    let said = bundle.create("c1");
    assert_eq!(said.code, 0, "{said:?}");
    bundle.succeed(&["start", "c1"]);
    let state = bundle.state("c1");
    assert_eq!(state["status"], "running");
    assert_eq!(state["owner"], moat_tests::person::Person::new().unwrap().name());
    let said = bundle.run(&["exec", "c1", "sh", "-c", "echo in; exit 3"]);
    assert_eq!((said.code, said.out.as_str()), (3, "in\n"), "{said:?}");
    let listed: Value = serde_json::from_str(&bundle.run(&["list", "-f", "json"]).out).unwrap();
    assert_eq!(listed[0]["id"], "c1");
    bundle.succeed(&["ps", "-f", "json", "c1"]);
    for (verb, status) in [("pause", "paused"), ("resume", "running")] {
        bundle.succeed(&[verb, "c1"]);
        assert_eq!(bundle.state("c1")["status"], status);
    }
    // It may not have its handler yet.
    while bundle.state("c1")["status"] != "stopped" {
        bundle.run(&["kill", "c1", "TERM"]);
    }
    bundle.succeed(&["delete", "c1"]);
    bundle.assert_empty();
}

#[test]
fn a_container_that_ignores_signals_is_killed() {
    let Some(bundle) = Bundle::rootless(&["sleep", "100"]) else { return };
    bundle.succeed(&["run", "-d", "--bundle", bundle.path(), "c1"]);
    bundle.succeed(&["kill", "c1", "KILL"]);
    bundle.await_status("c1", "stopped");
    bundle.succeed(&["delete", "c1"]);
    bundle.succeed(&["run", "-d", "--bundle", bundle.path(), "c2"]);
    bundle.succeed(&["delete", "--force", "c2"]);
    bundle.assert_empty();
}

#[test]
fn an_ordinary_user_has_a_sandbox_over_the_host() {
    let Some(bundle) = Bundle::rootless(&["true"]) else { return };
    let said = bundle.run(&["do", "--no-tty", "--", "sh", "-c", "id -u; echo $HOME; touch /usr/new && echo made"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert_eq!(said.out, format!("0\n{}\nmade\n", bundle.path()));
    assert!(!std::path::Path::new("/usr/new").exists());
}
