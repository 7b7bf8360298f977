//! Verbs that need no container.

use serde_json::Value;

use crate::bundle::Bundle;

#[test]
fn version_names_the_specification() {
    let said = Bundle::new(&["true"]).run(&["--version"]);
    assert_eq!(said.code, 0);
    assert!(said.out.starts_with("moat version ") && said.out.contains("\nspec: 1."), "{}", said.out);
}

#[test]
fn features_are_json() {
    let said = Bundle::new(&["true"]).run(&["features"]);
    let features: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(features["ociVersionMin"], "1.0.0");
    assert!(features["linux"]["capabilities"].as_array().unwrap().iter().any(|c| c == "CAP_CHOWN"));
}

#[test]
fn spec_does_not_overwrite() {
    let bundle = Bundle::new(&["true"]);
    let said = bundle.run(&["spec", "--bundle", bundle.path()]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("exists. Remove it first"), "{}", said.err);
}

#[test]
fn nothing_is_listed_where_nothing_is() {
    let bundle = Bundle::new(&["true"]);
    assert_eq!(bundle.run(&["list", "-q"]).out, "");
    assert_eq!(bundle.run(&["list", "-f", "json"]).out, "null\n");
    assert!(bundle.run(&["list"]).out.starts_with("ID "));
}

#[test]
fn checkpoint_and_restore_are_not_there_yet() {
    let bundle = Bundle::new(&["true"]);
    for verb in ["checkpoint", "restore"] {
        let said = bundle.run(&[verb, "--image-path", "/x", "c1"]);
        assert_eq!(said.code, 1);
        assert!(said.err.contains("not supported yet"), "{}", said.err);
    }
}

#[test]
fn completions_and_manual_are_made() {
    let bundle = Bundle::new(&["true"]);
    assert!(bundle.run(&["completions", "bash"]).out.contains("moat"));
    bundle.succeed(&["man", bundle.path()]);
    assert!(bundle.file("moat-create.1").exists());
}
