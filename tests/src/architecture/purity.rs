//! What code may not name: disk, clock and the like in code that decides, and some libraries outside their place.

use super::breach::{Breach, Rule};
use super::crates::{Crate, stands_under};
use super::modules::SourceFile;
use super::plan::{BORDERS, Files, PURE, SITE_DATA, WITHOUT_LIBRARIES};

/// What pure code may not name: disk, network, processes, clocks, randomness, databases, frameworks.
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
    // They read the file system's zoneinfo; `TimeZoneDatabase::bundled` does not.
    "TimeZone::get",
    "TimeZone::system",
    "jiff::tz::db",
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
    "sealpost_files",
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

/// Functions of `sealpost_files` that only write a text, and that pure code may name.
const PURE_OF_FILES: &[&str] = &["with_causes", "escape"];

/// Checks a crate's code and what it depends on.
pub(super) fn check(found: &Crate) -> Vec<Breach> {
    let mut breaches = check_libraries(found);
    for (_, file) in found.code() {
        if found.folder == PURE || stands_in_domain(&file.path) {
            let named = IMPURE.iter().filter(|pattern| names(file, pattern));
            breaches
                .extend(named.map(|name| found.breach(&file.path, format!("names {name}"), Rule::Purity)));
        }
        breaches.extend(check_borders(found, file));
        if found.folder == "distributor/ledger" && stands_under(&file.path, "sqlite") {
            breaches.extend(check_site_data(found, file));
        }
    }
    breaches
}

fn names(file: &SourceFile, pattern: &str) -> bool {
    if pattern != "sealpost_files" {
        return file.source.names(pattern);
    }
    let mut paths =
        file.source.paths.iter().filter(|path| path.first().is_some_and(|first| first == pattern));
    paths.any(|path| !path.get(1).is_some_and(|name| PURE_OF_FILES.contains(&name.as_str())))
}

fn stands_in_domain(path: &str) -> bool {
    path.ends_with("/domain.rs") || path.contains("/domain/")
}

fn check_libraries(found: &Crate) -> Vec<Breach> {
    let Some((_, libraries)) = WITHOUT_LIBRARIES.iter().find(|(folder, _)| *folder == found.folder) else {
        return Vec::new();
    };
    let named = found.manifest.dependencies.iter().map(|dependency| dependency.package.as_str());
    let named = named.filter(|package| libraries.contains(package));
    named
        .map(|package| {
            let what = format!("depends on {package}; {} builds and is tested without it", found.folder);
            found.breach("Cargo.toml", what, Rule::Borders)
        })
        .collect()
}

fn check_borders(found: &Crate, file: &SourceFile) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for border in BORDERS.iter().filter(|border| border.folder == found.folder) {
        let holds = match border.files {
            Files::All => true,
            Files::Under(module) => stands_under(&file.path, module),
            Files::NotUnder(module) => !stands_under(&file.path, module),
        };
        let named = border.words.iter().filter(|word| holds && file.source.has_word(word));
        breaches
            .extend(named.map(|word| {
                found.breach(&file.path, format!("names {word}; {}", border.why), Rule::Borders)
            }));
    }
    breaches
}

/// Of the rules and commands of the site the ledger's `sqlite` names types, which it stores and loads; no function, which
/// would decide.
fn check_site_data(found: &Crate, file: &SourceFile) -> Vec<Breach> {
    let of_site =
        file.source.paths.iter().filter(|path| path.first().is_some_and(|first| first == "sealpost_site"));
    let mut named: Vec<String> = of_site.filter(|path| !is_data(path)).map(|path| path.join("::")).collect();
    named.sort();
    named.dedup();
    named
        .into_iter()
        .map(|path| {
            let what =
                format!("names {path}; of rules and commands sqlite names types only, and calls nothing");
            found.breach(&file.path, what, Rule::Borders)
        })
        .collect()
}

fn is_data(path: &[String]) -> bool {
    let is_type = |name: &String| name.starts_with(char::is_uppercase);
    match path.get(1) {
        Some(module) if SITE_DATA.contains(&module.as_str()) => true,
        Some(module) if module == "commands" || module == "rules" => path.iter().any(is_type),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    fn rules(folder: &str, path: &str, text: &str) -> Vec<Rule> {
        let mut rules: Vec<Rule> =
            check(&crate_of(folder, &[(path, text)])).into_iter().map(|breach| breach.rule).collect();
        rules.dedup();
        rules
    }

    #[test]
    fn disk_network_clock_randomness_and_async_are_found_where_code_decides() {
        for text in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "use std::net::TcpStream;",
            "fn f() { std::process::exit(1) }",
            "use tokio::sync::mpsc;",
            "fn f() { jiff::Timestamp::now(); }",
            "use jiff::Timestamp; fn f() { Timestamp::now(); }",
            "use jiff::tz::TimeZone; fn f() { TimeZone::system(); }",
            "fn f() { jiff::tz::TimeZone::get(name); }",
            "use std::time::Instant;",
            "use rusqlite::Connection;",
            "fn f() { rand::random() }",
            "use sealpost_keys::token::random_bytes;",
            "use sealpost_files::replace;",
            "pub async fn f() {}",
        ] {
            for (folder, path) in [
                ("agent-updater", "src/domain/cadence.rs"),
                ("agent-updater", "src/domain/install/mod.rs"),
                ("publisher", "src/domain.rs"),
                ("distributor/site", "src/rules/seats.rs"),
                ("distributor/site", "src/commands/contact.rs"),
                ("distributor/site", "src/lib.rs"),
            ] {
                assert_eq!(rules(folder, path, text), [Rule::Purity], "{path}: {text}");
            }
        }
    }

    #[test]
    fn pure_code_is_fine_and_so_is_disk_elsewhere() {
        let pure = "use jiff::Timestamp; use std::{fmt, time::Duration, net::IpAddr}; fn f(now: Timestamp) {} \
                    fn g() { sealpost_files::with_causes(e) } #[cfg(test)] mod tests { use std::fs; }";
        assert!(rules("agent-updater", "src/domain/gate.rs", pure).is_empty());
        assert!(rules("distributor/site", "src/rules/seats.rs", pure).is_empty());
        assert!(rules("agent-updater", "src/platform/files.rs", "use std::fs; async fn f() {}").is_empty());
        assert!(rules("distributor/site", "tests/it/main.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn rusqlite_is_named_under_sqlite_only() {
        for text in ["use rusqlite::Connection;", "fn f(c: rusqlite::Connection) {}", "use rusqlite as sql;"]
        {
            assert_eq!(rules("distributor/ledger", "src/writer.rs", text), [Rule::Borders], "{text}");
            assert_eq!(rules("distributor/ledger", "src/store.rs", text), [Rule::Borders], "{text}");
            assert!(rules("distributor/ledger", "src/sqlite/facts.rs", text).is_empty(), "{text}");
            assert!(rules("distributor/ledger", "src/sqlite.rs", text).is_empty(), "{text}");
        }
        assert!(rules("publisher", "src/authority/mod.rs", "use rusqlite::Connection;").is_empty());
    }

    #[test]
    fn nothing_under_sqlite_decides() {
        let file = "src/sqlite/facts.rs";
        for text in [
            "fn f() { contact::decide(x) }",
            "use sealpost_site::rows::decide;",
            "fn decide() {}",
            "fn f() { x.decide() }",
            "use sealpost_site::rules::seats::take;",
            "use sealpost_site::commands::contact;",
            "use sealpost_site::{rows, commands::contact::{ContactFacts, answer}};",
            "fn f() { sealpost_site::Seats::new() }",
            "use sealpost_site as site;",
        ] {
            assert_eq!(rules("distributor/ledger", file, text), [Rule::Borders], "{text}");
        }
        for text in [
            "use sealpost_site::{rows::Release, changes::{Change, Note}, queries::Page};",
            "use sealpost_site::commands::contact::ContactFacts;",
            "use sealpost_site::rules::{release::KnownRelease, seats::GrantedSeats};",
            "use sealpost_site::commands::{approve::ApproveFacts, ContactFacts as C};",
            "/// Nothing here may decide.\nfn f() { let _ = \"decide\"; }",
        ] {
            assert!(rules("distributor/ledger", file, text).is_empty(), "{text}");
        }
        let writer = "use sealpost_site::commands::contact::decide;";
        assert!(rules("distributor/ledger", "src/writer.rs", writer).is_empty());
    }

    #[test]
    fn the_admin_api_names_no_server_library() {
        for text in ["use axum::Json;", "fn f() { tokio::spawn(x) }", "use rusqlite::Row;"] {
            assert_eq!(rules("distributor/admin-api", "src/routes.rs", text), [Rule::Borders], "{text}");
        }
        assert!(rules("distributor/admin-api", "src/routes.rs", "use serde::Serialize;").is_empty());
        assert!(rules("distributor", "src/http/router.rs", "use axum::Json;").is_empty());
    }

    #[test]
    fn the_site_and_the_admin_api_depend_on_no_server_library() {
        let depends = |folder, line: &str| {
            check(&Crate::read(folder, &format!("[package]\n{line}\n"), Vec::new())).len()
        };
        for library in ["rusqlite", "axum", "tokio"] {
            for table in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
                let line = format!("[{table}]\n{library} = {{ workspace = true }}\nserde.workspace = true");
                assert_eq!(depends("distributor/site", &line), 1, "{line}");
                assert_eq!(depends("distributor/admin-api", &line), 1, "{line}");
                assert_eq!(depends("distributor", &line), 0, "{line}");
            }
        }
        assert_eq!(depends("distributor/site", "[dependencies]\nserde.workspace = true"), 0);
    }
}
