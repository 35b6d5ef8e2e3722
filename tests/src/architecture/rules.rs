//! The rules themselves, over text that was already read: no file is touched here, so that each rule can be tried on
//! small made-up input.

use std::fmt;

use super::source::Source;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The file, relative to the workspace.
    pub file: String,
    /// What it does.
    pub what: String,
    /// Which rule forbids it.
    pub rule: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.file, self.what, self.rule)
    }
}

/// Crate folder and floor.
const FLOORS: &[(&str, u8)] = &[
    ("keys", 0),
    ("deltas", 0),
    ("manifests", 1),
    ("publisher", 2),
    ("distributor", 2),
    ("agent-updater", 2),
    ("tests", 3),
];

/// Modules that wire the others together, and may therefore know them all.
const WIRING: &[&str] = &["app", "cli", "main", "lib"];

/// Modules of plain settings and names that every adapter may read: they know no adapter themselves.
const GROUND: &[&str] = &["config", "home", "platform"];

/// Programs whose insides are divided into rooms.
const DIVIDED: &[&str] = &["distributor", "agent-updater"];

/// What code under a `domain/` may not name: disk, network, processes, clocks, randomness, databases, frameworks.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::process",
    "std::thread",
    "std::env",
    "std::io",
    "std::os",
    "std::time::SystemTime",
    "std::time::Instant",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "aws_lc_rs::rand",
    "axum",
    "futures_util",
    "getrandom",
    "hyper",
    "hyper_util",
    "rand",
    "random_bytes",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "sealpost_keys::random_bytes",
    "sealpost_keys::token::random_bytes",
    "Nonce::generate",
    "Token::generate",
    "SigningKey::generate",
    "tempfile",
    "tokio",
    "tower",
    "async",
    "await",
];

/// The house: what is known of its crates.
#[derive(Debug, Clone, Copy, Default)]
pub struct House;

impl House {
    /// Checks one crate's manifest.
    #[must_use]
    pub fn check_manifest(self, crate_folder: &str, cargo_toml: &str) -> Vec<Breach> {
        let file = format!("{crate_folder}/Cargo.toml");
        let Some(floor) = floor(crate_folder) else {
            let what = format!("{crate_folder} has no floor");
            return vec![Breach { file, what, rule: "every crate stands on a floor" }];
        };
        let mut breaches = Vec::new();
        let mut in_dependencies = false;
        for line in cargo_toml.lines().map(str::trim) {
            if line.starts_with('[') {
                let section = line.trim_matches(['[', ']']);
                in_dependencies = section.contains("dependencies");
                // `[dependencies.sealpost-x]` names its crate in the heading.
                breaches.extend(section.rsplit('.').next().and_then(|name| upward(&file, floor, name)));
            } else if in_dependencies {
                let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
                breaches.extend(upward(&file, floor, name));
            }
        }
        breaches
    }

    /// Checks one source file; `path` is relative to the workspace, for example `distributor/src/http/router.rs`.
    #[must_use]
    pub fn check_source(self, path: &str, text: &str) -> Vec<Breach> {
        let source = Source::read(text);
        let parts: Vec<&str> = path.split('/').collect();
        let (Some(crate_folder), Some(inner)) = (parts.first(), parts.get(2..)) else { return Vec::new() };
        let mut breaches = self.check_floor(path, crate_folder, &source);
        if parts.get(1) == Some(&"src") && !is_test_file(&parts) {
            if DIVIDED.contains(crate_folder) {
                breaches.extend(check_rooms(path, inner, &source));
            }
            if inner.contains(&"domain") || inner == ["domain.rs"] {
                breaches.extend(check_domain(path, &source));
            }
        }
        breaches
    }

    fn check_floor(self, path: &str, crate_folder: &str, source: &Source) -> Vec<Breach> {
        let Some(floor) = floor(crate_folder) else { return Vec::new() };
        let own = crate_name(crate_folder);
        let mut named: Vec<&String> = source.paths.iter().filter_map(|path| path.first()).collect();
        named.sort();
        named.dedup();
        named.into_iter().filter(|name| **name != own).filter_map(|name| upward(path, floor, name)).collect()
    }
}

fn floor(crate_folder: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == crate_folder).map(|(_, floor)| *floor)
}

fn crate_name(crate_folder: &str) -> String {
    format!("sealpost_{}", crate_folder.replace('-', "_"))
}

/// A breach when `dependency` is one of ours and does not stand lower than `floor`.
fn upward(file: &str, own_floor: u8, dependency: &str) -> Option<Breach> {
    let folder = dependency.replace('_', "-").strip_prefix("sealpost-")?.to_owned();
    let lower = floor(&folder).is_some_and(|floor| floor < own_floor);
    (!lower).then(|| Breach {
        file: file.to_owned(),
        what: format!("knows {folder}, which does not stand on a lower floor"),
        rule: "a crate knows lower floors only",
    })
}

/// Test code may know what it likes inside its own program.
fn is_test_file(parts: &[&str]) -> bool {
    parts.iter().skip(2).any(|part| {
        matches!(*part, "tests.rs" | "tests" | "contract.rs" | "test_support.rs" | "test_support")
            || part.ends_with("_tests.rs")
    })
}

/// What stands in which order inside a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room<'a> {
    Domain,
    Ports,
    Ground,
    Adapter(&'a str),
    Wiring,
}

fn room(module: &str) -> Room<'_> {
    match module {
        "domain" => Room::Domain,
        "ports" => Room::Ports,
        ground if GROUND.contains(&ground) => Room::Ground,
        wiring if WIRING.contains(&wiring) => Room::Wiring,
        adapter => Room::Adapter(adapter),
    }
}

fn allowed(from: Room<'_>, to: Room<'_>) -> bool {
    match (from, to) {
        (Room::Wiring, _) | (_, Room::Domain) => true,
        (Room::Domain, _) | (_, Room::Wiring) => false,
        (Room::Ports, Room::Ports) | (Room::Ground, Room::Ground) => true,
        (Room::Ports | Room::Ground, _) => false,
        (Room::Adapter(_), Room::Ports | Room::Ground) => true,
        (Room::Adapter(from), Room::Adapter(to)) => from == to,
    }
}

fn check_rooms(path: &str, inner: &[&str], source: &Source) -> Vec<Breach> {
    let Some(top) = inner.first() else { return Vec::new() };
    let from = room(top.trim_end_matches(".rs"));
    let mut modules: Vec<&str> = source
        .paths
        .iter()
        .filter_map(|named| module_of(inner, named))
        .filter(|name| is_module(name))
        .collect();
    modules.sort_unstable();
    modules.dedup();
    modules
        .into_iter()
        .filter(|module| !allowed(from, room(module)))
        .map(|module| Breach {
            file: path.to_owned(),
            what: format!("imports crate::{module}"),
            rule: "domain <- ports <- adapters <- app, cli, main; adapters never know each other",
        })
        .collect()
}

/// Modules are lower case; `crate::Type` names something that the library re-exports.
fn is_module(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// The top-level module that a path leads to, for `crate::x::…` and for enough `super::`s.
fn module_of<'a>(inner: &[&str], named: &'a [String]) -> Option<&'a str> {
    if named.first().is_some_and(|first| first == "crate") {
        return named.get(1).map(String::as_str);
    }
    let ups = named.iter().take_while(|part| *part == "super").count();
    // `a/mod.rs` and `a.rs` are one level deep, `a/b.rs` is two.
    let depth = inner.len() - usize::from(inner.last() == Some(&"mod.rs"));
    (ups > 0 && ups >= depth).then(|| named.get(ups).map(String::as_str)).flatten()
}

fn check_domain(path: &str, source: &Source) -> Vec<Breach> {
    IMPURE
        .iter()
        .filter(|pattern| source.names(pattern))
        .map(|pattern| Breach {
            file: path.to_owned(),
            what: format!("names {pattern}"),
            rule: "the domain has no clock, disk, socket, process, randomness or async",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_breaches(path: &str, text: &str) -> Vec<String> {
        House.check_source(path, text).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn a_manifest_that_points_upward_or_sideways_is_found() {
        for (folder, dependency) in [
            ("keys", "sealpost-deltas.workspace = true"),
            ("keys", "sealpost-manifests = { path = \"../manifests\" }"),
            ("manifests", "sealpost-publisher.workspace = true"),
            ("distributor", "sealpost-publisher.workspace = true"),
            ("agent-updater", "sealpost-distributor.workspace = true"),
        ] {
            for section in ["[dependencies]", "[dev-dependencies]", "[target.'cfg(unix)'.dependencies]"] {
                let toml = format!("[package]\nname = \"x\"\n{section}\n{dependency}\n");
                assert_eq!(House.check_manifest(folder, &toml).len(), 1, "{folder} {section} {dependency}");
            }
        }
        let heading = "[dependencies.sealpost-distributor]\nworkspace = true\n";
        assert_eq!(House.check_manifest("publisher", heading).len(), 1);
    }

    #[test]
    fn a_manifest_that_points_downward_is_fine() {
        let toml = "[dependencies]\nsealpost-keys.workspace = true\nserde.workspace = true\n";
        assert!(House.check_manifest("manifests", toml).is_empty());
        assert!(House.check_manifest("tests", &toml.replace("keys", "manifests")).is_empty());
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        assert_eq!(House.check_manifest("attic", "[dependencies]").len(), 1);
    }

    #[test]
    fn a_use_line_that_points_upward_is_found_and_ones_own_name_is_not() {
        assert_eq!(source_breaches("keys/src/lib.rs", "use sealpost_manifests::ids;").len(), 1);
        assert_eq!(
            source_breaches("agent-updater/tests/it/main.rs", "fn f() { sealpost_distributor::run(); }")
                .len(),
            1
        );
        assert!(source_breaches("manifests/src/lib.rs", "use sealpost_keys::KeyId;").is_empty());
        assert!(
            source_breaches("agent-updater/src/main.rs", "fn main() { sealpost_agent_updater::run(); }")
                .is_empty()
        );
    }

    #[test]
    fn an_adapter_that_imports_another_is_found_however_it_is_written() {
        let router = "distributor/src/http/router.rs";
        for text in [
            "use crate::ledger::sqlite::SqliteLedger;",
            "use crate::{domain::seats, ledger};",
            "fn f() { crate::ledger::open(); }",
            "use super::super::ledger;",
        ] {
            assert_eq!(source_breaches(router, text), ["imports crate::ledger"], "{text}");
        }
        assert_eq!(source_breaches("distributor/src/push.rs", "use super::http;"), ["imports crate::http"]);
        assert_eq!(
            source_breaches("agent-updater/src/slots/mod.rs", "use super::hooks;"),
            ["imports crate::hooks"]
        );
    }

    #[test]
    fn an_adapter_may_know_domain_ports_ground_and_itself() {
        let text = "use crate::{domain::seats, ports::ledger::Ledger, config::Settings, http::token}; use super::token;";
        assert!(source_breaches("distributor/src/http/router.rs", text).is_empty());
    }

    #[test]
    fn ports_and_domain_may_not_know_adapters_and_nobody_knows_the_wiring() {
        assert_eq!(source_breaches("distributor/src/ports/ledger.rs", "use crate::ledger::x;").len(), 1);
        assert_eq!(
            source_breaches("distributor/src/domain/seats.rs", "use crate::ports::ledger::Ledger;").len(),
            1
        );
        assert_eq!(source_breaches("distributor/src/http/mod.rs", "use crate::app::App;").len(), 1);
        assert!(source_breaches("distributor/src/app.rs", "use crate::{http, ledger, upstream};").is_empty());
        assert!(source_breaches("distributor/src/cli/serve.rs", "use crate::{app, config};").is_empty());
    }

    #[test]
    fn disk_network_clock_randomness_and_async_under_a_domain_are_found() {
        for text in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "use std::net::TcpStream;",
            "fn f() { std::process::exit(1) }",
            "use tokio::sync::mpsc;",
            "fn f() { jiff::Timestamp::now(); }",
            "use jiff::Timestamp; fn f() { Timestamp::now(); }",
            "use std::time::Instant;",
            "use rusqlite::Connection;",
            "fn f() { rand::random() }",
            "use sealpost_keys::token::random_bytes;",
            "pub async fn f() {}",
        ] {
            let found = source_breaches("agent-updater/src/domain/cadence.rs", text);
            assert!(!found.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_pure_domain_is_fine() {
        let text =
            "use jiff::Timestamp; use std::{fmt, time::Duration, net::IpAddr}; fn f(now: Timestamp) {}";
        assert!(source_breaches("distributor/src/domain/seats.rs", text).is_empty());
    }

    #[test]
    fn test_modules_may_reach_across() {
        let text = "#[cfg(test)] mod tests { use crate::ledger::sqlite; use std::fs; }";
        assert!(source_breaches("distributor/src/http/router.rs", text).is_empty());
        assert!(source_breaches("distributor/src/http/tests.rs", "use crate::ledger::sqlite;").is_empty());
    }
}
