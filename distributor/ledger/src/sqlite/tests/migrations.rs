//! A file of an older version is brought up to this one: the same tables as a new file has, and the rows that a replay of
//! its log makes.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;
use sealpost_manifests::ids::ClientId;
use sealpost_manifests::wire::report::{ReasonCode, Way};
use sealpost_site::commands::contact::LoadContact;
use sealpost_site::commands::releases::LoadRelease;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{ApprovedReleases, Clients, DeliveriesOf, ServersLearned};
use sealpost_site::rules::rollouts::settings::Settings;
use tempfile::TempDir;

use crate::sqlite::schema::{self, CHAINED_TABLES, NOTES_TABLES};
use crate::sqlite::{SqliteStore, copy_file, identify, migrations, rebuild, verify_file};
use crate::store::{Read, Split, Store};

/// A file as version 10 left it, with the rollouts of the one of version 9.
const VERSION_10: &str = include_str!("../../../tests/golden/ledger.v10.sql");
/// A file as version 9 left it, with the rollouts of the one of version 8.
const VERSION_9: &str = include_str!("../../../tests/golden/ledger.v9.sql");
/// A file as version 8 left it, with the rollouts of the one of version 7.
const VERSION_8: &str = include_str!("../../../tests/golden/ledger.v8.sql");
/// A file as version 7 left it, with rollouts.
const VERSION_7: &str = include_str!("../../../tests/golden/ledger.v7.sql");
/// A file as version 6 left it.
const VERSION_6: &str = include_str!("../../../tests/golden/ledger.v6.sql");
/// A file as version 5 left it.
const VERSION_5: &str = include_str!("../../../tests/golden/ledger.v5.sql");
/// A file as version 4 left it.
const VERSION_4: &str = include_str!("../../../tests/golden/ledger.v4.sql");
/// A file as version 3 left it.
const VERSION_3: &str = include_str!("../../../tests/golden/ledger.v3.sql");

struct Old {
    folder: TempDir,
}

impl Old {
    fn new() -> Self {
        Self::of(VERSION_3)
    }

    fn of(file: &str) -> Self {
        let old = Self { folder: tempfile::tempdir().unwrap() };
        Connection::open(old.path()).unwrap().execute_batch(file).unwrap();
        old
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn version(path: &PathBuf) -> u32 {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Columns of every table and index, without their order: a migrated file has new columns at the end.
fn structure(connection: &Connection) -> Vec<String> {
    let sql = "SELECT m.type || ' ' || m.name || ' ' || p.name || ' ' || p.type || ' ' || p.\"notnull\" || ' ' || p.pk || ' ' \
               || coalesce(p.dflt_value, '') FROM sqlite_schema m JOIN pragma_table_info(m.name) p ORDER BY 1";
    let indexes = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY sql";
    let mut all = Vec::new();
    for sql in [sql, indexes] {
        let mut statement = connection.prepare(sql).unwrap();
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        all.extend(lines.map(Result::unwrap));
    }
    all
}

fn rows(connection: &Connection, table: &str) -> Vec<Vec<(String, String)>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let found = statement.query_map([], |row| {
        let value = |at| row.get::<_, Value>(at).map(|value| format!("{value:?}"));
        let mut columns: Vec<(String, String)> =
            names.iter().enumerate().map(|(at, name)| (name.clone(), value(at).unwrap())).collect();
        columns.sort();
        Ok(columns)
    });
    let mut rows: Vec<_> = found.unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

#[test]
fn a_file_of_version_3_gets_the_tables_of_this_version_and_the_rows_that_its_log_makes() {
    let old = Old::new();
    drop(SqliteStore::open(&old.path()).unwrap());
    assert_eq!(version(&old.path()), schema::VERSION);
    let migrated = Connection::open(old.path()).unwrap();
    let new = Connection::open_in_memory().unwrap();
    schema::create(&new).unwrap();
    assert_eq!(structure(&migrated), structure(&new));
    let replayed = old.beside("replayed.db");
    rebuild(&old.path(), &replayed, &mut |_| {}).unwrap();
    let replayed = Connection::open(replayed).unwrap();
    for table in CHAINED_TABLES {
        assert_eq!(rows(&migrated, table), rows(&replayed, table), "{table}");
    }
    // Again: there is nothing more to do.
    drop(migrated);
    drop(SqliteStore::open(&old.path()).unwrap());
}

#[test]
fn what_was_only_noted_in_a_file_of_version_3_is_read_after_it_too() {
    let old = Old::new();
    let store: Box<dyn Store> = Box::new(SqliteStore::open(&old.path()).unwrap());
    let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
    let client_id = ClientId::from_random([3; 16]);
    let query = LoadContact { client_id, reports: true, runs: Vec::new(), shown: None };
    let facts = Read::<LoadContact>::read(&mut *writer, &query).unwrap();
    let client = facts.client.unwrap();
    assert_eq!(client.last.unwrap().progress.last.contacts, 41);
    assert_eq!(client.seen.unwrap().hostname.as_deref(), Some("PC"));
    assert!(facts.server_list.is_none());
    assert_eq!(Read::<ServersLearned>::read(&mut *writer, &ServersLearned {}).unwrap(), None);
    assert_eq!(Read::<Clients>::read(&mut *writer, &Clients::all(None, 9)).unwrap().len(), 1);
}

#[test]
fn a_backup_the_audit_and_a_rebuild_read_a_file_of_version_3_and_leave_it_as_it_is() {
    let old = Old::new();
    let check = verify_file(&old.path(), Vec::new()).unwrap();
    assert_eq!((check.damage, check.entries), (None, 41));
    assert_eq!(identify(&old.path()).unwrap().head, check.head);
    let copy = old.beside("copy.db");
    copy_file(&old.path(), &copy).unwrap();
    let rebuilt = old.beside("rebuilt.db");
    assert_eq!(rebuild(&old.path(), &rebuilt, &mut |_| {}).unwrap().head, check.head);
    assert_eq!([&old.path(), &copy].map(version), [3, 3], "a backup is what the server had");
    assert_eq!(version(&rebuilt), schema::VERSION);
    // A restored backup is brought up when its server opens it.
    drop(SqliteStore::open(&copy).unwrap());
    assert_eq!(version(&copy), schema::VERSION);
    let brought_up = verify_file(&copy, Vec::new()).unwrap().tables;
    assert_eq!((brought_up.differing, brought_up.skipped), (0, None), "{:?}", brought_up.differences);
}

#[test]
fn a_file_of_version_4_gets_the_tables_of_this_version_and_the_rows_that_its_log_makes() {
    is_brought_up(&Old::of(VERSION_4), 4);
}

#[test]
fn a_file_of_version_5_gets_the_tables_of_this_version_and_the_rows_that_its_log_makes() {
    is_brought_up(&Old::of(VERSION_5), 5);
}

#[test]
fn a_file_of_version_6_gets_the_tables_of_this_version_and_the_rows_that_its_log_makes() {
    let old = Old::of(VERSION_6);
    is_brought_up(&old, 6);
    let store: Box<dyn Store> = Box::new(SqliteStore::open(&old.path()).unwrap());
    let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
    let plan = Read::<LoadPlan>::read(&mut *writer, &LoadPlan {}).unwrap();
    assert_eq!(plan.approvals.people.accounts.len(), 1, "what version 6 wrote is read");
}

#[test]
fn a_file_of_version_7_says_how_computers_tried_what_was_rolled_out_before() {
    says_how_computers_tried(VERSION_7, 7);
}

#[test]
fn a_file_of_version_8_says_how_computers_tried_what_was_rolled_out_before() {
    says_how_computers_tried(VERSION_8, 8);
}

#[test]
fn a_file_of_version_9_or_10_gets_empty_tables_and_says_what_it_said() {
    for (file, from) in [(VERSION_9, 9), (VERSION_10, 10)] {
        let old = Old::of(file);
        let connection = Connection::open(old.path()).unwrap();
        let added = ["knocks", "copies", "schedules"];
        let all = CHAINED_TABLES.iter().chain(NOTES_TABLES).copied().chain(["activity"]);
        let all: Vec<&str> = all.filter(|table| !added.contains(table)).collect();
        let before: Vec<_> = all.iter().map(|table| rows(&connection, table)).collect();
        drop(connection);
        says_how_computers_tried(file, from);
        is_brought_up(&old, from);
        let connection = Connection::open(old.path()).unwrap();
        for table in added {
            assert!(rows(&connection, table).is_empty(), "{table}");
        }
        let new = ["admitted_key", "kept_copy", "given_up"];
        for (table, before) in all.iter().zip(before) {
            let mut after = rows(&connection, table);
            after.iter_mut().for_each(|row| row.retain(|(column, _)| !new.contains(&column.as_str())));
            assert_eq!(after, before, "{table}");
        }
    }
}

fn says_how_computers_tried(file: &str, from: u32) {
    let old = Old::of(file);
    is_brought_up(&old, from);
    let store: Box<dyn Store> = Box::new(SqliteStore::open(&old.path()).unwrap());
    let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
    let query = DeliveriesOf { rollout: 2, after: None, limit: 9 };
    let rows = Read::<DeliveriesOf>::read(&mut *writer, &query).unwrap();
    let tried = |name: &str| {
        let row = rows.iter().find(|row| row.name.as_str() == name).unwrap();
        let reason = row.tries.failed.as_ref().map(|failed| failed.reason);
        (row.tries.count, row.tries.way, row.tries.bytes, reason)
    };
    assert_eq!(tried("pc-1"), (2, Some(Way::Delta), Some(4_023), Some(ReasonCode::NetworkFailed)));
    assert_eq!(tried("pc-3"), (2, Some(Way::Gzip), Some(900_023), Some(ReasonCode::HookFailed)));
    assert_eq!(tried("pc-2"), (1, Some(Way::Delta), Some(4_023), None));
}

#[test]
fn a_log_that_cannot_be_replayed_keeps_no_file_of_version_8_from_being_brought_up() {
    let old = Old::of(VERSION_8);
    let connection = Connection::open(old.path()).unwrap();
    let damage = "UPDATE activity SET entry = CAST('{}' AS BLOB) WHERE sequence = 21";
    connection.execute(damage, []).unwrap();
    drop(connection);
    drop(SqliteStore::open(&old.path()).unwrap());
    assert_eq!(version(&old.path()), schema::VERSION);
    let connection = Connection::open(old.path()).unwrap();
    let tried = "SELECT count(*) FROM deliveries WHERE tries > 0 OR failed_reason IS NOT NULL";
    let tried: i64 = connection.query_row(tried, [], |row| row.get(0)).unwrap();
    assert_eq!(tried, 0, "all of it or nothing");
    let check = verify_file(&old.path(), Vec::new()).unwrap();
    assert!(check.damage.is_some(), "a check says what is wrong with the log");
}

#[test]
fn a_file_of_version_8_stays_one_when_sqlite_rolls_everything_back_while_it_is_brought_up() {
    let old = Old::of(VERSION_8);
    let connection = Connection::open(old.path()).unwrap();
    let before = structure(&connection);
    // As it does when the disk is full or cannot be written.
    let full = "CREATE TEMP TRIGGER disk_full BEFORE UPDATE ON main.deliveries \
                BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END";
    connection.execute_batch(full).unwrap();
    let error = migrations::bring_up(&connection).unwrap_err();
    assert!(connection.is_autocommit(), "{error}");
    drop(connection);
    assert_eq!(version(&old.path()), 8);
    assert_eq!(structure(&Connection::open(old.path()).unwrap()), before);
    // The next start does all of it.
    is_brought_up(&old, 8);
}

/// Before, during and after: the audit finds nothing, and the tables are those of a new file.
fn is_brought_up(old: &Old, from: u32) {
    let before = verify_file(&old.path(), Vec::new()).unwrap();
    assert_eq!((before.damage, before.tables.differing), (None, 0), "{:?}", before.tables.differences);
    assert!(before.tables.skipped.unwrap().contains("older version"), "what it has is compared");
    assert_eq!(version(&old.path()), from, "a check writes nothing");
    drop(SqliteStore::open(&old.path()).unwrap());
    assert_eq!(version(&old.path()), schema::VERSION);
    let migrated = Connection::open(old.path()).unwrap();
    let new = Connection::open_in_memory().unwrap();
    schema::create(&new).unwrap();
    assert_eq!(structure(&migrated), structure(&new));
    drop(migrated);
    let after = verify_file(&old.path(), Vec::new()).unwrap();
    assert_eq!((after.damage, after.tables.differing, after.tables.skipped), (None, 0, None));
    assert_eq!(after.tables.tables as usize, CHAINED_TABLES.len());
}

#[test]
fn what_was_approved_in_a_file_of_version_5_has_no_rings_and_goes_to_every_computer() {
    let old = Old::of(VERSION_5);
    let store: Box<dyn Store> = Box::new(SqliteStore::open(&old.path()).unwrap());
    let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
    let plan = Read::<LoadPlan>::read(&mut *writer, &LoadPlan {}).unwrap();
    assert_eq!((plan.version, plan.rollouts.len(), plan.waypoints.len()), (0, 0, 0));
    assert_eq!(plan.settings, Settings::default());
    let approved = Read::<ApprovedReleases>::read(&mut *writer, &ApprovedReleases {}).unwrap();
    assert!(!approved.is_empty() && approved.iter().all(|release| release.rolling_out.is_empty()));
    let client_id = ClientId::from_random([3; 16]);
    let query = LoadContact { client_id, reports: false, runs: Vec::new(), shown: None };
    let seen = Read::<LoadContact>::read(&mut *writer, &query).unwrap().client.unwrap().seen.unwrap();
    assert!(seen.tags.is_empty() && seen.postponed.is_empty(), "it never said any");
    let number = approved.iter().filter_map(|release| release.rollout).max().unwrap();
    let manifest = approved.first().unwrap().manifest;
    let facts = Read::<LoadRelease>::read(&mut *writer, &LoadRelease { manifest, claimed: None }).unwrap();
    assert!(facts.next_rollout > number, "a number is never used twice");
}

#[test]
fn a_step_that_fails_leaves_the_file_of_version_3_as_it_was() {
    let old = Old::new();
    let connection = Connection::open(old.path()).unwrap();
    connection.execute_batch("CREATE TABLE server_list (something TEXT)").unwrap();
    let before = structure(&connection);
    drop(connection);
    SqliteStore::open(&old.path()).unwrap_err();
    assert_eq!(version(&old.path()), 3);
    assert_eq!(structure(&Connection::open(old.path()).unwrap()), before);
}
