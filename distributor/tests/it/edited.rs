//! Somebody edits a table beside a whole log: what an admin types finds it, with the server and without, and names the row.

use std::path::Path;

use rusqlite::Connection;
use sealpost_distributor::home::Home;
use sealpost_test_support::license::serial;

use crate::program::{json, run, serve, stdout, stop};
use crate::vendor::start_vendor;

/// How a check ends that found what it was to look for.
const FOUND: i32 = 1;

/// As somebody with the disk does it, also beside the server.
fn edit(home: &Path, statement: &str) {
    let ledger = Connection::open(Home::at(home).ledger()).unwrap();
    assert_eq!(ledger.execute(statement, []).unwrap(), 1, "{statement}");
}

/// What is printed by a check that found something.
fn found(home: &Path, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(FOUND), "{arguments:?}: {text}{told}");
    text
}

/// The edit of a channel is found, a row that the log knows nothing of too, and both are gone when they are undone.
fn edits_are_named(home: &Path) {
    assert!(stdout(home, &["log", "verify"]).contains("the tables are as the log says"));
    edit(home, "UPDATE computers SET channel = 'early' WHERE name = 'pc-1'");
    let said = found(home, &["log", "verify"]);
    assert!(said.contains("the log is whole"), "the log itself is: {said}");
    assert!(said.contains("the tables are not as the log says: 1 difference"), "{said}");
    let line = said.lines().find(|line| line.trim_start().starts_with("computers ")).unwrap();
    for part in ["pc-1", "channel is early", "the log says stable"] {
        assert!(line.contains(part), "{line}");
    }
    let check: serde_json::Value = serde_json::from_str(&found(home, &["log", "verify", "--json"])).unwrap();
    assert_eq!(check["tables"]["differing"], 1, "{check}");
    assert_eq!(check["tables"]["differences"][0]["table"], "computers", "{check}");

    edit(home, "INSERT INTO computers SELECT 'pirate-1', 'stable', reserved_at + 1 FROM computers LIMIT 1");
    let said = found(home, &["log", "verify"]);
    assert!(said.contains("2 differences") && said.contains("pirate-1"), "{said}");
    assert!(said.contains("is no row that the log makes"), "{said}");
    edit(home, "DELETE FROM computers WHERE name = 'pirate-1'");
    edit(home, "UPDATE computers SET channel = 'stable' WHERE name = 'pc-1'");
    stdout(home, &["log", "verify"]);
}

/// A head that somebody kept and that is none of this log.
fn heads_are_held_against_the_log(home: &Path) {
    let head = json(home, &["log", "verify", "--json"])["head"].clone();
    let (size, root) = (head["size"].as_u64().unwrap(), head["root"].as_str().unwrap());
    stdout(home, &["log", "verify", "--head", &format!("{size}:{root}")]);
    for (size, root) in [(size, "5".repeat(64)), (size - 1, root.to_owned()), (size + 1, root.to_owned())] {
        let kept = format!("{size}:{root}");
        let said = found(home, &["log", "verify", "--head", &kept]);
        assert!(said.contains("the log is damaged, found at entry"), "{kept}: {said}");
        let said = found(home, &["log", "verify", "--head", &kept, "--json"]);
        let check: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(check["damage"]["what"].is_string(), "{kept}: {check}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_table_and_a_head_that_does_not_fit_end_the_check_with_1_with_the_server_and_without() {
    let vendor = start_vendor(9).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || check(&url, &root)).await.unwrap();
}

fn check(vendor_url: &str, root: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let root = root.to_str().unwrap();
    stdout(&home, &["init", "--vendor-url", vendor_url, "--root", root, "--address", "127.0.0.1"]);
    let server = serve(&home);
    stdout(&home, &["register", serial().as_str()]);
    for name in ["pc-1", "pc-2"] {
        stdout(&home, &["clients", "reserve", name]);
    }
    edits_are_named(&home);
    heads_are_held_against_the_log(&home);
    stop(server);
    edits_are_named(&home);
    heads_are_held_against_the_log(&home);
}
