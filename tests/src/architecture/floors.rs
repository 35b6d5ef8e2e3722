//! Which crate may know which: by its manifest, and by the paths in its files.

use super::breach::{Breach, Rule};
use super::crates::{Crate, Workspace};
use super::manifest::Way;
use super::plan::{PLACES, Place, TEST_SUPPORT, TESTS};

/// Checks that the workspace has the crates of the plan, and that each knows lower floors only.
pub(super) fn check(workspace: &Workspace) -> Vec<Breach> {
    let mut breaches = missing(workspace);
    for found in &workspace.crates {
        match PLACES.iter().find(|place| place.folder == found.folder) {
            Some(place) => {
                breaches.extend(check_manifest(found, place));
                breaches.extend(check_files(found, place));
            }
            None => {
                let what = format!("{} has no floor", found.folder);
                breaches.push(found.breach("Cargo.toml", what, Rule::Plan));
            }
        }
    }
    breaches
}

fn missing(workspace: &Workspace) -> Vec<Breach> {
    let is_there = |place: &Place| workspace.crates.iter().any(|found| found.folder == place.folder);
    let missing = PLACES.iter().filter(|place| !place.comes_later && !is_there(place));
    missing
        .map(|place| Breach {
            file: "Cargo.toml".to_owned(),
            what: format!("lists no member {}, which has a floor", place.folder),
            rule: Rule::Plan,
        })
        .collect()
}

fn check_manifest(found: &Crate, place: &Place) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if found.manifest.package.as_deref() != Some(place.package) {
        let name = found.manifest.package.as_deref().unwrap_or("nothing");
        let what = format!("is named {name}, and the plan names it {}", place.package);
        breaches.push(found.breach("Cargo.toml", what, Rule::Plan));
    }
    for dependency in &found.manifest.dependencies {
        let may_test = dependency.way == Way::Tested || place.folder == TESTS;
        if let Some((what, rule)) = upward(place, &dependency.package, may_test) {
            breaches.push(found.breach("Cargo.toml", format!("depends on {what}"), rule));
        }
    }
    breaches
}

fn check_files(found: &Crate, place: &Place) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (number, file) in found.files.iter().enumerate() {
        let is_code = file.path.starts_with("src/") || file.path == "build.rs";
        let may_test = !is_code || found.modules.is_test(number) || place.folder == TESTS;
        let firsts = file.source.paths.iter().filter_map(|path| path.first());
        let packages = firsts.filter(|name| name.starts_with("sealpost_")).map(|name| name.replace('_', "-"));
        // A word alone may be a variable's name, or `extern crate`.
        let alone = file.source.words.iter().map(|word| word.text.replace('_', "-"));
        let alone = alone.filter(|package| PLACES.iter().any(|place| place.package == package));
        let mut packages: Vec<String> =
            packages.chain(alone).filter(|package| package != place.package).collect();
        packages.sort();
        packages.dedup();
        for package in packages {
            if let Some((what, rule)) = upward(place, &package, may_test) {
                breaches.push(found.breach(&file.path, format!("names {what}"), rule));
            }
        }
    }
    breaches
}

/// What is wrong when a crate knows this package; nothing for other people's packages and for lower floors.
fn upward(from: &Place, package: &str, may_test: bool) -> Option<(String, Rule)> {
    if package == TEST_SUPPORT {
        return (!may_test).then(|| (package.to_owned(), Rule::TestSupport));
    }
    if !package.starts_with("sealpost-") {
        return None;
    }
    let Some(to) = PLACES.iter().find(|place| place.package == package) else {
        return Some((format!("{package}, which has no floor"), Rule::Floors));
    };
    let what = format!("{package} on floor {}, and stands on floor {}", to.floor, from.floor);
    (to.floor >= from.floor).then_some((what, Rule::Floors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    fn place(folder: &str) -> &'static Place {
        PLACES.iter().find(|place| place.folder == folder).unwrap()
    }

    fn of_manifest(folder: &str, tables: &str) -> Vec<Rule> {
        let place = place(folder);
        let text = format!("[package]\nname = \"{}\"\n{tables}\n", place.package);
        let found = Crate::read(folder, &text, Vec::new());
        check_manifest(&found, place).into_iter().map(|breach| breach.rule).collect()
    }

    fn of_file(folder: &str, path: &str, text: &str) -> Vec<Rule> {
        let found = crate_of(folder, &[(path, text)]);
        check_files(&found, place(folder)).into_iter().map(|breach| breach.rule).collect()
    }

    #[test]
    fn a_manifest_that_points_upward_or_sideways_is_found_in_every_table() {
        for (folder, package) in [
            ("files", "sealpost-keys"),
            ("keys", "sealpost-deltas"),
            ("keys", "sealpost-manifests"),
            ("manifests", "sealpost-repository"),
            ("distributor/site", "sealpost-repository"),
            ("distributor/admin-api", "sealpost-ledger"),
            ("agent-updater", "sealpost-publisher"),
            ("agent-updater", "sealpost-distributor"),
            ("distributor", "sealpost-tests"),
            ("tests/support", "sealpost-tests"),
            ("publisher", "sealpost-attic"),
        ] {
            for table in [
                "[dependencies]",
                "[dev-dependencies]",
                "[build-dependencies]",
                "[target.'cfg(unix)'.dependencies]",
                "[target.'cfg(target_os = \"linux\")'.dev-dependencies]",
            ] {
                for line in [
                    format!("{table}\n{package}.workspace = true"),
                    format!("{table}\nother = {{ path = \"../x\", package = \"{package}\" }}"),
                    format!("{}.{package}]\nworkspace = true", table.trim_end_matches(']')),
                ] {
                    assert_eq!(of_manifest(folder, &line), [Rule::Floors], "{folder}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_manifest_that_points_downward_is_fine() {
        for (folder, package) in [
            ("keys", "sealpost-files"),
            ("distributor/ledger", "sealpost-site"),
            ("distributor", "sealpost-admin-api"),
            ("tests/support", "sealpost-distributor"),
            ("tests", "sealpost-publisher"),
            ("keys", "serde"),
        ] {
            let line = format!("[dependencies]\n{package}.workspace = true");
            assert!(of_manifest(folder, &line).is_empty(), "{folder}: {package}");
        }
    }

    #[test]
    fn only_dev_dependencies_and_the_tests_name_the_test_support() {
        let line = "sealpost-test-support.workspace = true";
        for table in ["[dependencies]", "[build-dependencies]", "[target.'cfg(unix)'.dependencies]"] {
            assert_eq!(of_manifest("keys", &format!("{table}\n{line}")), [Rule::TestSupport], "{table}");
        }
        assert!(of_manifest("keys", &format!("[dev-dependencies]\n{line}")).is_empty());
        assert!(of_manifest("tests", &format!("[dependencies]\n{line}")).is_empty());
        let text = "use sealpost_test_support::clock::ManualClock;";
        assert_eq!(of_file("keys", "src/lib.rs", text), [Rule::TestSupport]);
        assert_eq!(of_file("keys", "build.rs", text), [Rule::TestSupport]);
        assert!(of_file("keys", "tests/it/main.rs", text).is_empty());
        assert!(of_file("keys", "src/lib.rs", &format!("#[cfg(test)] mod tests {{ {text} }}")).is_empty());
        assert!(of_file("tests", "src/harness.rs", text).is_empty());
    }

    #[test]
    fn a_path_that_points_upward_is_found_however_it_is_written_and_ones_own_name_is_not() {
        for text in [
            "use sealpost_manifests::ids;",
            "use {std::fmt, sealpost_manifests as m};",
            "fn f() { sealpost_manifests::run(); }",
            "extern crate sealpost_manifests;",
        ] {
            assert_eq!(of_file("keys", "src/lib.rs", text), [Rule::Floors], "{text}");
            assert_eq!(of_file("keys", "tests/it/main.rs", text), [Rule::Floors], "{text}");
            assert!(of_file("manifests", "src/main.rs", text).is_empty(), "{text}");
            assert!(of_file("distributor", "src/lib.rs", text).is_empty(), "{text}");
        }
        assert_eq!(of_file("distributor/site", "src/lib.rs", "use sealpost_ledger::Ledger;"), [Rule::Floors]);
        assert!(of_file("distributor/ledger", "src/lib.rs", "use sealpost_site::rows;").is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_a_missing_crate_and_another_name_are_found() {
        let crates = PLACES.iter().filter(|place| !place.comes_later).map(|place| {
            Crate::read(place.folder, &format!("[package]\nname = \"{}\"\n", place.package), Vec::new())
        });
        let mut workspace = Workspace { crates: crates.collect(), ..Workspace::default() };
        assert!(check(&workspace).is_empty());

        workspace.crates.push(Crate::read("attic", "[package]\nname = \"sealpost-attic\"\n", Vec::new()));
        workspace.crates.retain(|found| found.folder != "serving");
        workspace.crates[0] = Crate::read("files", "[package]\nname = \"sealpost-disk\"\n", Vec::new());
        let found: Vec<_> = check(&workspace).into_iter().map(|breach| (breach.file, breach.rule)).collect();
        let expected = ["Cargo.toml", "files/Cargo.toml", "attic/Cargo.toml"];
        assert_eq!(found, expected.map(|file| (file.to_owned(), Rule::Plan)));
    }
}
