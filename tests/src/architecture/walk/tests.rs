//! A whole made-up workspace on disk keeps every rule; then each rule is broken once, and exactly that is reported.

use std::collections::BTreeSet;

use super::*;
use crate::architecture::breach::Rule;
use crate::architecture::plan::PLACES;

/// Texts of the made-up workspace beside each crate's manifest and empty library.
const HOUSE: &[(&str, &str)] = &[
    ("files/src/lib.rs", "mod write;\npub use write::replace;\n"),
    ("files/src/write.rs", "pub fn replace() {}\n"),
    ("keys/src/lib.rs", "mod signer;\nmod public;\npub use {public::Public, signer::Signer};\n"),
    ("keys/src/signer.rs", "use crate::Public;\nuse sealpost_files::replace;\npub struct Signer(Public);\n"),
    ("keys/src/public.rs", "pub struct Public;\n#[cfg(test)] mod tests { use crate::Signer; }\n"),
    ("distributor/site/src/lib.rs", "pub mod rows;\npub mod rules;\npub mod changes;\npub mod commands;\n"),
    ("distributor/site/src/rows.rs", "pub struct Row;\n"),
    ("distributor/site/src/rules.rs", "use crate::rows::Row;\npub fn allowed(row: &Row) -> bool { true }\n"),
    ("distributor/site/src/changes.rs", "pub enum Change { Approved }\n"),
    ("distributor/site/src/commands.rs", "use crate::{changes::Change, rules};\npub fn decide() {}\n"),
    ("distributor/ledger/src/lib.rs", "mod error;\nmod store;\nmod sqlite;\nmod writer;\n"),
    ("distributor/ledger/src/error.rs", "pub struct StoreError;\n"),
    ("distributor/ledger/src/store.rs", "pub enum StoreError {}\npub trait Store {}\n"),
    (
        "distributor/ledger/src/sqlite.rs",
        "use rusqlite::Row;\nuse sealpost_site::rows;\nuse crate::store::Store;\n",
    ),
    ("distributor/ledger/src/writer.rs", "use sealpost_site::commands::decide;\n"),
    ("distributor/src/lib.rs", "mod ports;\nmod http;\nmod blobs;\nmod app;\n"),
    ("distributor/src/ports.rs", "pub trait Clock {}\n"),
    (
        "distributor/src/http.rs",
        "use crate::ports::Clock;\npub async fn serve() { if on { std::fs::read() } }\n",
    ),
    ("distributor/src/blobs.rs", "/// Blobs by their digest.\npub struct Blobs;\n"),
    ("distributor/src/app.rs", "use crate::{blobs, http};\npub fn run() { http::serve() }\n"),
    ("distributor/src/main.rs", "fn main() { sealpost_distributor::run() }\n"),
    ("agent-updater/src/lib.rs", "mod domain;\nmod slots;\nmod hooks;\nmod flows;\nmod app;\n"),
    ("agent-updater/src/domain.rs", "pub struct Gate;\n"),
    ("agent-updater/src/slots.rs", "use crate::domain::Gate;\n"),
    ("agent-updater/src/hooks.rs", ""),
    ("agent-updater/src/flows/mod.rs", "pub mod cycle;\npub mod contact;\n"),
    (
        "agent-updater/src/flows/cycle.rs",
        "use super::contact;\nuse crate::{hooks, slots};\nfn f() { loop {} }\n",
    ),
    ("agent-updater/src/flows/contact.rs", ""),
    ("agent-updater/src/app.rs", "use crate::flows;\npub fn run() { flows::cycle::run() }\n"),
    ("tests/support/src/lib.rs", "use sealpost_distributor::run;\n"),
    ("tests/src/lib.rs", "use sealpost_test_support::Site;\n"),
    ("distributor/tests/it/main.rs", "use sealpost_test_support::Site;\n"),
    ("keys/tests/it.rs", "#[test]\nfn what_is_forged_is_refused() {}\n"),
    ("ARCHITECTURE.md", "## Invariants\n1. Nothing forged is taken.\n"),
    ("docs/SECURITY.md", "## Invariants\n| n | tests |\n|---|---|\n| 1 | `what_is_forged_is_refused` |\n"),
];

/// A rule that is broken by writing these files, and the file that is to be blamed.
struct Case {
    rule: Rule,
    blamed: &'static str,
    written: Vec<(&'static str, String)>,
}

fn case(rule: Rule, file: &'static str, text: &str) -> Case {
    Case { rule, blamed: file, written: vec![(file, text.to_owned())] }
}

fn manifest(package: &str, tables: &str) -> String {
    format!("[package]\nname = \"{package}\"\n\n{tables}\n")
}

fn root(members: impl Iterator<Item = &'static str>) -> String {
    let listed: String = members.map(|member| format!("    \"{member}\",\n")).collect();
    format!("[workspace]\nmembers = [ # from the ground up\n{listed}]\n")
}

fn folders() -> impl Iterator<Item = &'static str> {
    PLACES.iter().filter(|place| !place.comes_later).map(|place| place.folder)
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn build_house(at: &Path) {
    write(at, "Cargo.toml", &root(folders()));
    for place in PLACES.iter().filter(|place| !place.comes_later) {
        write(at, &format!("{}/Cargo.toml", place.folder), &manifest(place.package, ""));
        write(at, &format!("{}/src/lib.rs", place.folder), "//! A crate.\n");
    }
    for (path, text) in HOUSE {
        write(at, path, text);
    }
}

fn crates_and_floors() -> Vec<Case> {
    vec![
        Case {
            rule: Rule::Plan,
            blamed: "attic/Cargo.toml",
            written: vec![
                ("Cargo.toml", root(folders().chain(["attic"]))),
                ("attic/Cargo.toml", manifest("sealpost-attic", "")),
            ],
        },
        case(Rule::Plan, "Cargo.toml", &root(folders().filter(|folder| *folder != "serving"))),
        case(Rule::Plan, "keys/Cargo.toml", &manifest("sealpost-other", "")),
        case(
            Rule::Floors,
            "distributor/site/Cargo.toml",
            &manifest("sealpost-site", "[dependencies]\nsealpost-ledger.workspace = true"),
        ),
        case(Rule::Floors, "deltas/src/lib.rs", "use sealpost_keys::Signer;\n"),
        case(Rule::Floors, "publisher/tests/it.rs", "use sealpost_distributor::run;\n"),
        case(
            Rule::TestSupport,
            "serving/Cargo.toml",
            &manifest("sealpost-serving", "[dependencies]\nsealpost-test-support.workspace = true"),
        ),
        case(Rule::TestSupport, "serving/src/lib.rs", "use sealpost_test_support::Site;\n"),
    ]
}

fn rooms_and_circles() -> Vec<Case> {
    vec![
        case(Rule::Rooms, "agent-updater/src/slots.rs", "use crate::hooks;\n"),
        case(Rule::Rooms, "agent-updater/src/flows/contact.rs", "use crate::cli;\n"),
        case(Rule::Rooms, "distributor/src/http.rs", "use crate::blobs::Blobs;\n"),
        case(Rule::Rooms, "distributor/site/src/rules.rs", "use crate::changes::Change;\n"),
        case(Rule::Rooms, "distributor/ledger/src/store.rs", "use crate::writer::Job;\n"),
        case(Rule::Rooms, "publisher/src/release.rs", "use crate::cli::Cli;\n"),
        case(
            Rule::Circles,
            "keys/src/public.rs",
            "use super::Signer;\npub struct Public;\npub struct Pair(Public, Signer);\n",
        ),
        Case {
            rule: Rule::Circles,
            blamed: "manifests/src/a.rs",
            written: vec![
                ("manifests/src/lib.rs", "mod a;\nmod b;\nmod c;\n".to_owned()),
                ("manifests/src/a.rs", "use crate::b::B;\n".to_owned()),
                ("manifests/src/b.rs", "use crate::c::C;\n".to_owned()),
                ("manifests/src/c.rs", "use super::a;\n".to_owned()),
            ],
        },
    ]
}

fn places_of_code() -> Vec<Case> {
    vec![
        case(Rule::Purity, "agent-updater/src/domain.rs", "use std::fs;\npub struct Gate;\n"),
        case(Rule::Purity, "distributor/site/src/rows.rs", "pub struct Row;\npub async fn f() {}\n"),
        case(Rule::Borders, "distributor/ledger/src/error.rs", "pub struct StoreError(rusqlite::Error);\n"),
        case(Rule::Borders, "distributor/ledger/src/sqlite.rs", "fn f() { decide() }\n"),
        case(Rule::Borders, "distributor/ledger/src/sqlite.rs", "use sealpost_site::rules::seats;\n"),
        case(Rule::Borders, "distributor/admin-api/src/lib.rs", "use axum::Json;\n"),
        case(
            Rule::Borders,
            "distributor/site/Cargo.toml",
            &manifest("sealpost-site", "[dev-dependencies]\ntokio.workspace = true"),
        ),
        case(
            Rule::Borders,
            "distributor/admin-api/Cargo.toml",
            &manifest("sealpost-admin-api", "[target.'cfg(unix)'.dependencies]\naxum.workspace = true"),
        ),
        case(Rule::Wiring, "distributor/src/app.rs", "pub fn run() { if on { serve() } }\n"),
        case(Rule::Wiring, "agent-updater/src/app/open.rs", "pub fn open() { while on {} }\n"),
        case(Rule::ThinMain, "distributor/src/main.rs", &"// A line.\n".repeat(61)),
        case(Rule::Length, "keys/src/signer.rs", &"// A line.\n".repeat(601)),
        case(Rule::Length, "distributor/tests/it/main.rs", &"// A line.\n".repeat(601)),
        case(Rule::Docs, "distributor/src/blobs.rs", "/// Blobs.\npub struct Blobs;\n"),
        case(Rule::Pages, "docs/SECURITY.md", "## Invariants\n| n | tests |\n|---|---|\n| 1 | none |\n"),
    ]
}

#[test]
fn a_made_up_house_keeps_every_rule_and_each_rule_is_missed_when_it_is_broken() {
    let mut broken = BTreeSet::new();
    for case in [crates_and_floors(), rooms_and_circles(), places_of_code()].into_iter().flatten() {
        let folder = tempfile::tempdir().unwrap();
        build_house(folder.path());
        assert_eq!(check_workspace(folder.path()).unwrap().0, [], "the house before {}", case.blamed);

        for (path, text) in &case.written {
            write(folder.path(), path, text);
        }
        let (breaches, _) = check_workspace(folder.path()).unwrap();
        let found: Vec<_> = breaches.iter().map(|breach| (breach.file.as_str(), breach.rule)).collect();
        assert_eq!(found, [(case.blamed, case.rule)], "{breaches:#?}");
        broken.insert(case.rule);
    }
    let all: BTreeSet<Rule> = Rule::ALL.iter().copied().collect();
    assert_eq!(broken, all, "every rule has a case");
}

#[test]
fn every_breach_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    build_house(folder.path());
    for (path, text) in places_of_code().into_iter().flat_map(|case| case.written) {
        write(folder.path(), path, &text);
    }
    let (breaches, _) = check_workspace(folder.path()).unwrap();
    let rules: BTreeSet<Rule> = breaches.iter().map(|breach| breach.rule).collect();
    let broken =
        [Rule::Purity, Rule::Borders, Rule::Wiring, Rule::ThinMain, Rule::Length, Rule::Docs, Rule::Pages];
    assert_eq!(rules, BTreeSet::from(broken));
}

#[test]
fn the_files_of_a_crate_inside_another_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    build_house(folder.path());
    // An adapter of the distributor would not be allowed to know the other.
    write(folder.path(), "distributor/site/src/rules.rs", "use crate::rows::Row;\n");
    write(folder.path(), "distributor/src/attic/Cargo.toml", "[package]\n");
    write(folder.path(), "distributor/src/attic/lib.rs", "use crate::http;\n");
    let (breaches, _) = check_workspace(folder.path()).unwrap();
    assert_eq!(breaches, []);
}

#[test]
fn a_missing_crate_is_an_error_and_not_a_clean_crate() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"keys\"]\n").unwrap();
    assert!(check_workspace(folder.path()).is_err());
}
