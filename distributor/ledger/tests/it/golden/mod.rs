//! The golden log: one entry of every kind, with no optional field left empty, as the exact bytes that are stored; and
//! the tables of the file. What a site has in its log is read for ever; these lines show that it is.
//!
//! `SEALPOST_WRITE_GOLDEN_LOG=1` writes files that are missing, and touches no other: an entry that cannot be read from
//! them any more is a bug.

mod approvals;
mod fields;
mod rollouts;
mod values;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use sealpost_ledger::store::{Split, Store};
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_site::changes::chain::{LinkedEntry, ReadEntry, link, read};
use sealpost_site::changes::{ActivityEntry, Change, summary};
use sealpost_site::queries::{
    ApprovedReleases, Clients, Licenses, LogForks, Recipients, RefusedGrants, Releases, Restores, Rollouts,
    VoidedReleases,
};
use sealpost_test_support::memory_store::MemoryStore;
use sealpost_test_support::seats::seat_changes;
use sealpost_test_support::world::{DAY, World};

use crate::bench::{Bench, MemoryBench, SqliteBench};
use crate::same::{Known, Pair, asks_everything};

/// The lines of the log, and the head that they make: the size, and the root of the tree. Kinds that came later stand in
/// a file of their own, which goes on where the one before ends.
const LOGS: [(&str, &str); 11] = [
    ("log.v2.jsonl", "log.v2.head.json"),
    ("log.v2.later.jsonl", "log.v2.later.head.json"),
    ("log.v2.tokens.jsonl", "log.v2.tokens.head.json"),
    ("log.v2.latest.jsonl", "log.v2.latest.head.json"),
    ("log.v2.rollout.jsonl", "log.v2.rollout.head.json"),
    ("log.v2.resumed.jsonl", "log.v2.resumed.head.json"),
    ("log.v2.approvals.jsonl", "log.v2.approvals.head.json"),
    ("log.v2.tested.jsonl", "log.v2.tested.head.json"),
    ("log.v2.based.jsonl", "log.v2.based.head.json"),
    ("log.v2.started.jsonl", "log.v2.started.head.json"),
    ("log.v2.seats.jsonl", "log.v2.seats.head.json"),
];
/// The tables of a ledger file, as they stand in it.
const SCHEMA: &str = "schema.v11.sql";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The lines of the log, each without its line feed.
fn lines() -> Vec<Vec<u8>> {
    LOGS.iter().flat_map(|(log, _)| lines_of(log)).collect()
}

fn lines_of(log: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path(log)).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

fn entry(line: &[u8]) -> ActivityEntry {
    match read(line).unwrap() {
        ReadEntry::Known(entry) => *entry,
        ReadEntry::Newer(newer) => panic!("{newer:?} is not known any more"),
    }
}

/// The entries as a store takes them, and the log that they make.
fn linked() -> (Vec<LinkedEntry>, Frontier) {
    let mut log = Frontier::empty();
    let linked =
        lines().into_iter().map(|line| LinkedEntry::of_stored(&mut log, entry(&line), line)).collect();
    (linked, log)
}

#[test]
fn the_golden_log_is_written_once_and_on_request() {
    if std::env::var_os("SEALPOST_WRITE_GOLDEN_LOG").is_none() {
        return;
    }
    let world = World::new();
    let mut log = Frontier::empty();
    let parts = [
        values::every_change(&world),
        values::later_changes(&world),
        values::token_changes(&world),
        values::latest_changes(),
        rollouts::rollout_changes(&world),
        rollouts::resumed_changes(),
        approvals::approval_changes(&world),
        rollouts::tested_changes(),
        approvals::based_changes(&world),
        [
            values::started_changes(&world),
            rollouts::commented_changes(),
            approvals::replacing_changes(&world),
        ]
        .concat(),
        seat_changes(&world, "pc-"),
    ];
    for ((lines, head), changes) in LOGS.into_iter().zip(parts) {
        let mut text = Vec::new();
        for (actor, change) in changes {
            let at = world.at(i64::try_from(log.size()).unwrap() * DAY / 4);
            text.extend_from_slice(&link(&mut log, at, actor, change).unwrap().bytes);
            text.push(b'\n');
        }
        write_new(lines, &text);
        write_new(head, &serde_json::to_vec(&log.head()).unwrap());
        // What follows goes on after the lines that are there.
        log = Frontier::empty();
        let before = LOGS.iter().take_while(|(other, _)| *other != lines).map(|(other, _)| *other);
        for line in before.chain([lines]).flat_map(lines_of) {
            let _ = LinkedEntry::of_stored(&mut log, entry(&line), line);
        }
    }
    write_new(SCHEMA, schema(&world).as_bytes());
}

fn write_new(name: &str, bytes: &[u8]) {
    match OpenOptions::new().write(true).create_new(true).open(path(name)) {
        Ok(mut file) => file.write_all(bytes).unwrap(),
        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}"),
    }
}

/// The tables and indexes of a new ledger file.
fn schema(world: &World) -> String {
    let bench = SqliteBench::new(world);
    let connection = Connection::open(bench.path()).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
    let mut statement = connection.prepare(sql).unwrap();
    let tables = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables.map(|table| table.unwrap() + ";\n").collect()
}

#[test]
fn a_new_ledger_file_has_the_tables_of_its_version_and_no_others() {
    let frozen = fs::read_to_string(path(SCHEMA)).unwrap();
    // Whoever changes a table raises the version, writes what brings older files up to it, and freezes it beside these.
    assert_eq!(schema(&World::new()), frozen);
}

#[test]
fn every_entry_that_was_ever_written_is_read_and_says_the_same_in_the_same_bytes() {
    let mut kinds = BTreeSet::new();
    for line in lines() {
        let entry = entry(&line);
        kinds.insert(summary::kind(&entry.change));
        assert_eq!(serde_json::to_vec(&entry).unwrap(), line, "{}", summary::summary(&entry));
    }
    assert_eq!(kinds, summary::KINDS.into(), "one entry of every kind");
}

#[test]
fn no_optional_field_of_the_golden_log_is_left_empty() {
    let (mut left_out, mut filled) = (BTreeSet::new(), BTreeSet::new());
    for line in lines() {
        let change = entry(&line).change;
        let kind = summary::kind(&change);
        for (field, is_empty) in fields::optional_fields(&change) {
            (if is_empty { &mut left_out } else { &mut filled }).insert((kind, field));
        }
    }
    let never: Vec<_> = left_out.difference(&filled).collect();
    assert!(never.is_empty(), "{never:?}");
}

#[test]
fn an_entry_without_its_optional_fields_or_with_one_of_a_later_version_is_read() {
    for line in lines() {
        let mut value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let change = value.get_mut("change").unwrap().as_object_mut().unwrap();
        for field in [
            "confirms",
            "drops",
            "instance",
            "recreated",
            "displaces",
            "superseded",
            "restored",
            "lost_era",
            "rollback",
            "withdrawn",
            "drift",
            "computer",
            "ends_at",
            "found",
            "deliveries",
            "delivery",
            "staged",
            "aborted",
            "added",
            "removed",
            "below",
            "forgiven",
            "emergency",
            "owner",
            "last_contact",
            "by",
            "came_by",
            "hostname",
            "schedule",
        ] {
            change.remove(field);
        }
        // Of a rollout that was resumed it is optional.
        if change["type"] == "rollout_resumed" {
            change.remove("attempt");
        }
        // Of a proposal it is optional.
        if change["type"] == "proposal_made" {
            change.remove("account");
        }
        // Of a change of it, it is what is said.
        if change["type"] != "release_mandatory_changed" {
            change.remove("mandatory");
        }
        // Of an acknowledgement it is what was said.
        if change["type"] != "restore_acknowledged" {
            change.remove("comment");
        }
        change.insert("of_a_later_version".to_owned(), serde_json::Value::from(7));
        let known = read(&serde_json::to_vec(&value).unwrap()).unwrap();
        assert!(matches!(known, ReadEntry::Known(_)), "{value}");
    }
}

#[test]
fn the_tree_over_the_golden_log_has_the_root_that_it_had() {
    let mut log = Frontier::empty();
    for (lines, head) in LOGS {
        for line in lines_of(lines) {
            let _ = LinkedEntry::of_stored(&mut log, entry(&line), line);
        }
        let head: LogHead = serde_json::from_slice(&fs::read(path(head)).unwrap()).unwrap();
        assert_eq!(log.head(), head, "{lines}");
    }
}

/// Takes the golden log into a store that has its first entry already: an empty one takes all of it.
fn replay(store: Box<dyn Store>, entries: &[LinkedEntry]) {
    let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
    writer.begin().unwrap();
    for entry in entries {
        writer.savepoint().unwrap();
        writer.append(entry).unwrap();
        writer.keep().unwrap();
    }
    writer.commit().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_make_the_same_tables_of_the_golden_log() {
    let (entries, log) = linked();
    let first = entry(&entries[0].bytes);
    let Change::ServerInitialized { server_id, site_key } = &first.change else { panic!("{first:?}") };
    let sqlite = SqliteBench::made(server_id, site_key, first.at);
    let store = MemoryStore::new(server_id.clone(), site_key.clone(), first.at).unwrap();
    let memory = MemoryBench::of(store);
    replay(sqlite.store(), &entries[1..]);
    replay(memory.store(), &entries[1..]);
    let pair = Pair::of(sqlite.open(), memory.open());
    assert_eq!(pair.sqlite.head(), log.head());
    let kinds = asks_everything(&pair, &known(&entries)).await;
    assert_eq!(kinds.len(), summary::KINDS.len());
    // None of the lists is empty.
    let page = 1_000;
    // Nobody has the vendor's key of the golden grant, and a grant that is not verified gives nothing.
    assert_eq!(pair.query(Licenses {}).await, []);
    assert_eq!(pair.query(RefusedGrants {}).await.len(), 1);
    let clients = pair.query(Clients::all(None, page)).await;
    assert!(clients.iter().any(|row| row.resumed.is_some() && !row.assigned.is_empty()));
    assert!(clients.iter().any(|row| !row.last_reports.is_empty()));
    assert!(pair.query(Recipients { after: None, running: None, limit: page }).await.len() == clients.len());
    assert!(pair.query(Releases { state: None, after: None, limit: page }).await.len() > 3);
    assert!(!pair.query(ApprovedReleases {}).await.is_empty());
    assert!(!pair.query(VoidedReleases {}).await.is_empty());
    assert!(!pair.query(LogForks {}).await.is_empty());
    assert!(pair.query(Restores {}).await.restored.is_some());
    let rollouts = pair.query(Rollouts { before: None, open: false, limit: page }).await;
    let states: BTreeSet<&str> = rollouts.iter().map(|rollout| rollout.state.as_str()).collect();
    assert_eq!(states, ["aborted", "completed", "running"].into());
    let told: u64 =
        rollouts.iter().flat_map(|rollout| &rollout.rings).map(|ring| ring.counts.succeeded).sum();
    assert_eq!(told, 1);
    pair.close().await;
}

/// Everything that the entries name.
fn known(entries: &[LinkedEntry]) -> Known {
    let mut known = Known::default();
    for linked in entries {
        known.names.extend(summary::computer(&linked.entry).cloned());
        match &linked.entry.change {
            Change::SeatReserved { serial, .. } => _ = known.serials.insert(serial.clone()),
            Change::ClientEnrolled { client_id, .. } | Change::ClientResumed { client_id, .. } => {
                known.clients.insert(client_id.clone());
            }
            Change::ReleaseStaged { release, manifest, .. }
            | Change::ReleaseRefused { release, manifest, .. } => {
                known.releases.push((release.clone(), *manifest));
            }
            Change::DeltaMade { base, .. } => _ = known.bases.insert(*base),
            Change::LogForkReported { held, seen, .. } => {
                known.heads.extend([(held.size, held.root), (seen.size, seen.root)]);
            }
            _ => {}
        }
    }
    known
}
