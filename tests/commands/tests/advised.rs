//! Every command that a message, a help text or a page of this project advises exists, with each of its options.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_commands::{Advised, Parsers, Verdict, advised_in_markdown, advised_in_text, texts_of_rust};

/// Pages that tell people what to type. What a changelog says of an older version stays as it was.
const PAGES: [&str; 13] = [
    "docs/SECURITY.md",
    "docs/approvals.md",
    "docs/by-file.md",
    "docs/rollouts-at-the-computer.md",
    "docs/rollouts.md",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/operations.md",
    "docs/vendor.md",
    "docs/upgrading.md",
    "docs/testing.md",
    "docs/FORMATS.md",
];
/// Folders whose texts people read: the programs, and what speaks for them.
const SOURCES: [&str; 9] = [
    "publisher/src",
    "distributor/src",
    "distributor/site/src",
    "distributor/ledger/src",
    "distributor/admin-api/src",
    "agent-updater/src",
    "manifests",
    "serving/src",
    "service/src",
];
/// Files in which commands stand as in a shell.
const SCRIPTS: [&str; 3] = ["service/units", "packaging/debian", "demo"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn parsers() -> Parsers {
    Parsers::new(vec![
        sealpost_publisher::cli::command(),
        sealpost_distributor::cli::command(),
        sealpost_agent_updater::cli::command(),
    ])
}

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        found.push(path.to_owned());
        return;
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().for_each(|entry| files(entry, found));
}

/// Every command that does not exist, with its place.
fn refused(parsers: &Parsers, path: &Path, advised: &[Advised], tried: &mut usize) -> Vec<String> {
    let mut refused = Vec::new();
    for one in advised {
        match parsers.judge(one) {
            Verdict::NotOurs => {}
            Verdict::Understood => *tried += 1,
            Verdict::Refused(why) => {
                let place = path.strip_prefix(workspace()).unwrap().display();
                refused.push(format!("{place}:{}: `{}`: {why}", one.line, one.command));
            }
        }
    }
    refused
}

fn assert_none(refused: &[String]) {
    assert!(refused.is_empty(), "{} advised commands do not exist:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn every_command_that_a_message_or_a_help_text_advises_exists() {
    let parsers = parsers();
    let (mut tried, mut missing) = (0, Vec::new());
    for folder in SOURCES {
        let mut sources = Vec::new();
        files(&workspace().join(folder), &mut sources);
        for path in sources.iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
            let is_test =
                path.strip_prefix(workspace()).unwrap().components().any(|part| part.as_os_str() == "tests");
            if is_test || path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            for (line, text) in texts_of_rust(&fs::read_to_string(path).unwrap()) {
                let advised = advised_in_text(&text, line, &parsers.names());
                missing.extend(refused(&parsers, path, &advised, &mut tried));
            }
        }
    }
    assert_none(&missing);
    assert!(tried > 100, "only {tried} commands were found; does this test still look where they stand?");
}

#[test]
fn every_command_of_the_pages_exists() {
    let parsers = parsers();
    let (mut tried, mut missing) = (0, Vec::new());
    let mut pages: Vec<PathBuf> = PAGES.iter().map(|page| workspace().join(page)).collect();
    files(&workspace().join("docs/formats"), &mut pages);
    for path in pages {
        let advised = advised_in_markdown(&fs::read_to_string(&path).unwrap(), &parsers.names());
        missing.extend(refused(&parsers, &path, &advised, &mut tried));
    }
    assert_none(&missing);
    assert!(tried > 50, "only {tried} commands were found; does this test still look where they stand?");
}

#[test]
fn every_command_of_units_and_packages_exists() {
    let parsers = parsers();
    let (mut tried, mut missing) = (0, Vec::new());
    let mut scripts = Vec::new();
    SCRIPTS.iter().for_each(|script| files(&workspace().join(script), &mut scripts));
    for path in scripts {
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let advised = advised_in_text(line, at + 1, &parsers.names());
            missing.extend(refused(&parsers, &path, &advised, &mut tried));
        }
    }
    assert_none(&missing);
    assert!(tried > 5, "only {tried} commands were found; does this test still look where they stand?");
}
