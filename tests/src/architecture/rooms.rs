//! Which module inside a crate may know which: the rows of `plan::ROOMS`, from the lowest up.

use std::collections::{BTreeMap, BTreeSet};

use super::breach::{Breach, Rule};
use super::crates::Crate;
use super::plan::{ROOMS, Rooms, Row};

/// Checks the paths of a crate that has rooms; those of its tests may reach across.
pub(super) fn check(found: &Crate) -> Vec<Breach> {
    let Some(rooms) = ROOMS.iter().find(|rooms| rooms.folder == found.folder) else { return Vec::new() };
    let mut breaches = BTreeSet::new();
    for (number, file) in found.code() {
        let top = found.modules.top(&found.files, number);
        if row_of(rooms, &top).is_none() {
            let what = format!("{top} stands in no room; give it its row in the plan");
            breaches.insert(found.breach(&file.path, what, Rule::Rooms));
        }
    }
    let mut known: BTreeMap<(usize, String, String), BTreeSet<String>> = BTreeMap::new();
    for reference in found.modules.references(&found.files) {
        let from = found.modules.top(&found.files, reference.from);
        for to in tops(found, &reference.absolute, reference.to) {
            if !allowed(rooms, &from, &to) {
                let paths = known.entry((reference.from, from.clone(), to)).or_default();
                paths.insert(reference.written.clone());
            }
        }
    }
    for ((file, from, to), paths) in known {
        let paths: Vec<String> = paths.into_iter().collect();
        let what = format!("{from} knows {to} by {}, but {}", paths.join(", "), order(rooms));
        breaches.insert(found.breach(&found.files[file].path, what, Rule::Rooms));
    }
    breaches.into_iter().collect()
}

/// The top-level modules that a path touches: the one that it names, and the one that it leads to.
fn tops(found: &Crate, absolute: &[String], to: Option<usize>) -> BTreeSet<String> {
    let target = to.map(|file| found.modules.top(&found.files, file));
    let is_module = |name: &str| {
        let is_lower_case = name.starts_with(|first: char| first.is_ascii_lowercase());
        found.modules.has_top(name) || (target.is_none() && is_lower_case)
    };
    let named = absolute.first().filter(|name| is_module(name)).cloned();
    named.into_iter().chain(target.clone()).collect()
}

fn row_of<'a>(rooms: &'a Rooms, module: &str) -> Option<(usize, &'a Row)> {
    let mut rows = rooms.rows.iter().enumerate();
    let listed = rows.clone().find(|(_, row)| row.modules.contains(&module));
    listed.or_else(|| rows.find(|(_, row)| row.takes_the_rest))
}

/// A module without a row is reported by itself, not at each path to it.
fn allowed(rooms: &Rooms, from: &str, to: &str) -> bool {
    let (Some((height, row)), Some((other, _))) = (row_of(rooms, from), row_of(rooms, to)) else {
        return true;
    };
    from == to || other < height || (other == height && !row.apart)
}

fn order(rooms: &Rooms) -> String {
    let rows = rooms
        .rows
        .iter()
        .map(|row| if row.apart { format!("{} (never each other)", row.name) } else { row.name.to_owned() });
    rows.collect::<Vec<_>>().join(" <- ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    /// The pairs of modules that a file breaks the rule with.
    fn pairs(folder: &str, path: &str, text: &str) -> Vec<String> {
        let breaches = check(&crate_of(folder, &[(path, text)]));
        let pair = |what: &str| what.split_once(" by ").map_or(what, |(pair, _)| pair).to_owned();
        breaches.iter().map(|breach| pair(&breach.what)).collect()
    }

    #[test]
    fn an_adapter_that_knows_another_is_found_however_it_is_written() {
        for text in [
            "use crate::upstream::pull::Pull;",
            "use crate::{ports::clock, upstream};",
            "fn f() { crate::upstream::open(); }",
            "use super::super::upstream;",
            "use {super::super::upstream::Pull as P};",
        ] {
            assert_eq!(pairs("distributor", "src/http/router.rs", text), ["http knows upstream"], "{text}");
        }
        assert_eq!(pairs("distributor", "src/push.rs", "use super::http;"), ["push knows http"]);
        assert_eq!(pairs("agent-updater", "src/slots/mod.rs", "use super::hooks;"), ["slots knows hooks"]);
    }

    #[test]
    fn an_adapter_may_know_ports_ground_and_itself() {
        let text = "use crate::{ports::clock::Clock, config::Settings, http::token}; use super::token;";
        assert!(pairs("distributor", "src/http/router.rs", text).is_empty());
        let text = "use crate::{domain::gate, ports::Clock, home::Home, platform::files};";
        assert!(pairs("agent-updater", "src/spool.rs", text).is_empty());
    }

    #[test]
    fn nothing_below_knows_what_stands_above_it() {
        for (folder, path, text, pair) in [
            ("agent-updater", "src/domain/gate.rs", "use crate::ports::Clock;", "domain knows ports"),
            ("agent-updater", "src/ports/mod.rs", "use crate::config::Settings;", "ports knows config"),
            ("agent-updater", "src/platform/files.rs", "use crate::slots::Slots;", "platform knows slots"),
            ("agent-updater", "src/spool.rs", "use crate::flows::cycle::Cycle;", "spool knows flows"),
            ("agent-updater", "src/flows/cycle.rs", "use crate::app::Agent;", "flows knows app"),
            ("agent-updater", "src/flows/cycle.rs", "use crate::cli::Cli;", "flows knows cli"),
            ("agent-updater", "src/app/agent.rs", "use crate::cli::Cli;", "app knows cli"),
            ("distributor", "src/ports/clock.rs", "use crate::http::x;", "ports knows http"),
            ("distributor", "src/home/mod.rs", "use crate::blobs::Blobs;", "home knows blobs"),
            ("distributor", "src/http/mod.rs", "use crate::app::App;", "http knows app"),
            ("publisher", "src/release.rs", "use crate::cli::Cli;", "release knows cli"),
        ] {
            assert_eq!(pairs(folder, path, text), [pair], "{path}");
        }
    }

    #[test]
    fn what_stands_above_knows_what_is_below_it() {
        for (folder, path, text) in [
            ("agent-updater", "src/flows/cycle.rs", "use crate::{flows::contact, slots, hooks, domain};"),
            ("agent-updater", "src/app/agent.rs", "use crate::{flows, records, server};"),
            ("agent-updater", "src/cli/run.rs", "use crate::{app, config, flows};"),
            ("distributor", "src/app.rs", "use crate::{http, blobs, upstream};"),
            ("distributor", "src/cli/serve.rs", "use crate::{app, config};"),
            ("publisher", "src/release.rs", "use crate::{publication, home, renewal};"),
            ("keys", "src/signer.rs", "use crate::cli::Cli;"),
        ] {
            assert!(pairs(folder, path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn in_the_site_rules_never_know_changes_or_commands_and_rows_are_known_by_all() {
        let rule = "src/rules/seats.rs";
        assert_eq!(pairs("distributor/site", rule, "use crate::changes::Change;"), ["rules knows changes"]);
        assert_eq!(pairs("distributor/site", rule, "use crate::commands::x;"), ["rules knows commands"]);
        let change = "src/changes/mod.rs";
        assert_eq!(pairs("distributor/site", change, "use crate::queries::x;"), ["changes knows queries"]);
        for path in [rule, change, "src/commands/contact.rs", "src/queries.rs", "src/lib.rs"] {
            assert!(pairs("distributor/site", path, "use crate::{rows::Release, rules::seats};").is_empty());
        }
        assert!(pairs("distributor/site", "src/commands/contact.rs", "use crate::changes::Note;").is_empty());
    }

    #[test]
    fn a_module_of_the_site_without_a_room_is_found() {
        let breaches =
            check(&crate_of("distributor/site", &[("src/lib.rs", "mod attic;"), ("src/attic.rs", "")]));
        assert_eq!(breaches.len(), 1);
        assert_eq!(breaches[0].file, "distributor/site/src/attic.rs");
    }

    #[test]
    fn in_the_ledger_the_store_knows_nobody_and_sqlite_never_the_ledger() {
        let ledger = "distributor/ledger";
        assert_eq!(pairs(ledger, "src/store.rs", "use crate::writer::Job;"), ["store knows writer"]);
        assert_eq!(pairs(ledger, "src/store.rs", "use crate::sqlite::Sqlite;"), ["store knows sqlite"]);
        assert_eq!(pairs(ledger, "src/sqlite/facts.rs", "use crate::writer::Job;"), ["sqlite knows writer"]);
        assert_eq!(pairs(ledger, "src/sqlite/mod.rs", "use crate::ledger::Ledger;"), ["sqlite knows ledger"]);
        assert_eq!(pairs(ledger, "src/store.rs", "use crate::error::LedgerError;"), ["store knows error"]);
        assert_eq!(pairs(ledger, "src/sqlite/facts.rs", "use crate::error;"), ["sqlite knows error"]);
        assert!(pairs(ledger, "src/sqlite/facts.rs", "use crate::{store::Store, audit};").is_empty());
        assert!(pairs(ledger, "src/ledger.rs", "use crate::{store::Store, sqlite, writer};").is_empty());
    }

    #[test]
    fn a_name_that_the_library_re_exports_leads_to_the_room_that_defines_it() {
        let contents =
            ("src/lib.rs", "mod http; mod ports; mod upstream; pub use {ports::Clock, upstream::Pull};");
        let others = [("src/ports.rs", "pub trait Clock {}"), ("src/upstream.rs", "pub struct Pull;")];
        let files = [contents, others[0], others[1], ("src/http.rs", "use crate::{Clock, Pull};")];
        let breaches = check(&crate_of("distributor", &files));
        assert_eq!(breaches.len(), 1);
        assert!(breaches[0].what.starts_with("http knows upstream by crate::Pull"), "{}", breaches[0].what);
    }

    #[test]
    fn tests_may_reach_across() {
        let text = "#[cfg(test)] mod tests { use crate::upstream; }";
        assert!(pairs("distributor", "src/http/router.rs", text).is_empty());
        assert!(pairs("distributor", "src/http/tests.rs", "use crate::upstream;").is_empty());
        let files = [
            ("src/lib.rs", "mod http;"),
            ("src/http.rs", "#[cfg(test)] #[path = \"http_checks.rs\"] mod checks;"),
            ("src/http_checks.rs", "use crate::upstream;"),
        ];
        assert!(check(&crate_of("distributor", &files)).is_empty());
    }
}
