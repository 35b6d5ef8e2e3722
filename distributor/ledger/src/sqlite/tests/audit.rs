//! The check of the tables against the log finds every edit of a chained table, and nothing in a ledger that is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use sealpost_site::changes::tables::TablesCheck;
use sealpost_test_support::world::{World, reserve};
use tempfile::TempDir;

use super::LedgerFile;
use super::replay::everything_happens;
use crate::sqlite::schema::CHAINED_TABLES;
use crate::sqlite::{SqliteStore, verify_file};
use crate::{Ledger, LedgerSettings};

/// A closed ledger in which every kind of change happened.
struct Lived {
    folder: TempDir,
    file: LedgerFile,
}

impl Lived {
    async fn new() -> Self {
        let world = World::new();
        let file = LedgerFile::new(&world);
        let store = SqliteStore::open(&file.path()).unwrap();
        let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        ledger.adopt_trust(Arc::new(world.trust()));
        everything_happens(&world, &ledger).await;
        ledger.close().await.unwrap();
        Self { folder: tempfile::tempdir().unwrap(), file }
    }

    /// What the check says of a copy after an edit.
    fn after(&self, edit: impl FnOnce(&Connection)) -> TablesCheck {
        let copy: PathBuf = self.folder.path().join("edited.db");
        fs::copy(self.file.path(), &copy).unwrap();
        let connection = Connection::open(&copy).unwrap();
        edit(&connection);
        drop(connection);
        let check = checked(&copy);
        fs::remove_file(&copy).unwrap();
        check
    }

    /// The columns of a table: name, type, and whether it is of the key.
    fn columns(&self, table: &str) -> Vec<(String, String, bool)> {
        let connection = Connection::open(self.file.path()).unwrap();
        let mut statement = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)").unwrap();
        let columns =
            statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? > 0)));
        columns.unwrap().map(Result::unwrap).collect()
    }
}

fn checked(path: &Path) -> TablesCheck {
    let check = verify_file(path, Vec::new()).unwrap();
    // An edited server row makes the log that of another server.
    check.tables
}

#[tokio::test]
async fn a_whole_ledger_has_the_tables_that_its_log_makes() {
    let lived = Lived::new().await;
    let check = lived.after(|_| ());
    assert_eq!((check.differing, &check.skipped), (0, &None), "{:?}", check.differences);
    assert_eq!(check.tables as usize, CHAINED_TABLES.len());
    assert!(check.rows > 30, "{check:?}");
    assert!(check.unproven.contains(&"contacts".to_owned()), "{check:?}");
}

#[tokio::test]
async fn every_edit_of_a_column_of_a_chained_table_is_found_and_named() {
    let lived = Lived::new().await;
    for table in CHAINED_TABLES {
        for (column, kind, is_key) in lived.columns(table) {
            if is_key || (*table == "server" && ["server_id", "site_key"].contains(&column.as_str())) {
                continue;
            }
            let edited = match kind.as_str() {
                "INTEGER" => format!("coalesce({column}, 0) + 1"),
                _ => format!("coalesce({column}, '') || 'x'"),
            };
            let check = lived.after(|connection| {
                connection.execute_batch(&format!("UPDATE {table} SET {column} = {edited}")).unwrap();
            });
            let named = check.differences.iter().all(|difference| {
                difference.table == *table && difference.column.as_deref() == Some(column.as_str())
            });
            assert!(check.differing > 0 && named, "{table}.{column}: {check:?}");
        }
    }
}

#[tokio::test]
async fn a_row_that_was_removed_from_or_added_to_a_chained_table_is_found() {
    let lived = Lived::new().await;
    for table in CHAINED_TABLES {
        // Without its server row the log is nobody's, which the check of the log says.
        let emptied = lived.after(|connection| {
            connection.execute_batch(&format!("DELETE FROM {table}")).unwrap();
        });
        let found = emptied.differences.iter().any(|difference| {
            difference.table == *table && difference.stored.is_none() && difference.logged.is_some()
        });
        assert!(found || (*table == "server" && emptied.skipped.is_some()), "{table}: {emptied:?}");
        let key = lived.columns(table).into_iter().find(|(_, _, is_key)| *is_key).unwrap();
        if key.0 == "id" {
            continue;
        }
        // A number that nothing else has, or a text.
        let (added_key, begins) = match key.1.as_str() {
            "INTEGER" => (format!("{} + 900000", key.0), "900"),
            _ => (format!("'zz-' || {}", key.0), "zz-"),
        };
        let columns = lived.columns(table);
        let values: Vec<String> = columns
            .iter()
            .map(|(name, _, _)| match (table, name.as_str()) {
                _ if *name == key.0 => added_key.clone(),
                (&"clients", "name") => "'zz-' || name".to_owned(),
                _ => name.clone(),
            })
            .collect();
        let added = lived.after(|connection| {
            let sql = format!("INSERT INTO {table} SELECT {} FROM {table} LIMIT 1", values.join(", "));
            connection.execute_batch(&sql).unwrap();
        });
        let found = added.differences.iter().any(|difference| {
            difference.table == *table && difference.logged.is_none() && difference.key.starts_with(begins)
        });
        assert!(found, "{table}: {added:?}");
    }
}

#[tokio::test]
async fn what_does_not_belong_into_the_database_or_is_missing_there_is_found() {
    let lived = Lived::new().await;
    for (sql, key) in [
        (
            "CREATE TRIGGER t AFTER INSERT ON contacts BEGIN UPDATE releases SET state = 'approved'; END",
            "trigger t",
        ),
        ("CREATE VIEW v AS SELECT 1", "view v"),
        ("DROP INDEX releases_by_state", "index releases_by_state"),
        (
            "DROP INDEX releases_voided; CREATE INDEX releases_voided ON releases (manifest) WHERE voided = 2",
            "index releases_voided",
        ),
        ("DROP TABLE drifts", "table drifts"),
        ("ALTER TABLE releases ADD COLUMN gen TEXT GENERATED ALWAYS AS ('x') VIRTUAL", "table releases"),
        ("ALTER TABLE contacts ADD COLUMN more TEXT DEFAULT 'x'", "table contacts"),
        (
            "PRAGMA writable_schema = on; UPDATE sqlite_schema SET sql = replace(sql, 'kind TEXT NOT NULL', \
             'kind TEXT NOT NULL CHECK (kind <> ''refused'')') WHERE name = 'activity'",
            "table activity",
        ),
        (
            "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_t', 'contacts', 0, \
             'CREATE TRIGGER sqlite_t AFTER INSERT ON contacts BEGIN DELETE FROM drifts; END')",
            "trigger sqlite_t",
        ),
        (
            "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES ('view', 'sqlite_stat1', 'sqlite_stat1', 0, \
             'CREATE VIEW sqlite_stat1 AS SELECT 1')",
            "view sqlite_stat1",
        ),
    ] {
        let check = lived.after(|connection| connection.execute_batch(sql).unwrap());
        let found = check.differences.iter().any(|found| found.table == "sqlite_schema" && found.key == key);
        assert!(found, "{sql}: {check:?}");
    }
}

#[tokio::test]
async fn the_tables_of_a_damaged_log_are_not_called_right() {
    let lived = Lived::new().await;
    let check = lived.after(|connection| {
        connection.execute_batch("DELETE FROM activity WHERE sequence = 9").unwrap();
    });
    assert_eq!((check.tables, check.skipped.as_deref()), (0, Some("the log itself is damaged")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_beside_a_writing_server_sees_log_and_tables_of_one_moment_and_holds_up_nobody() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let store = SqliteStore::open(&file.path()).unwrap();
    let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
    ledger.adopt_trust(Arc::new(world.trust()));
    ledger.execute(world.at(1), world.accept_grant(world.grant(1, 1_000))).await.unwrap();
    let writes = {
        let (ledger, now) = (Arc::clone(&ledger), world.at(2));
        tokio::spawn(async move {
            for number in 0..300 {
                ledger.execute(now, reserve(&format!("pc-{number}"))).await.unwrap();
            }
        })
    };
    let mut seen = Vec::new();
    while !writes.is_finished() {
        let check = ledger.verify_log(Vec::new()).await.unwrap();
        assert_eq!((check.damage, check.tables.differing), (None, 0), "{:?}", check.tables.differences);
        seen.push(check.entries);
    }
    writes.await.unwrap();
    assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
    ledger.close().await.unwrap();
}
