//! The house as it stands must keep its own rules. The checker itself is tried on made-up input in its unit tests.

use std::path::Path;

use sealpost_tests::architecture::check_workspace;

#[test]
fn the_workspace_keeps_every_rule_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let (breaches, files) = check_workspace(root).expect("a readable workspace");
    assert!(files > 50, "only {files} source files were found");
    let listed: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(listed.is_empty(), "{} breaches:\n{}", listed.len(), listed.join("\n"));
}
