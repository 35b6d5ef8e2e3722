//! Edits of the file by somebody else: the check of the log finds each, and says where.

use std::time::Duration;

use rusqlite::Connection;
use sealpost_ledger::sqlite::{OpenError, SqliteStore, verify_file};
use sealpost_manifests::log::{LogHead, leaf_hash};
use sealpost_site::changes::chain::LogDamage;
use sealpost_test_support::world::World;

use super::lived_in;
use crate::bench::{Bench, SqliteBench};
use crate::fixture::WorldExt;

/// Edits the closed file with `sql`, and answers what the check says.
async fn after_edit(sql: &str) -> Option<LogDamage> {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &ledger).await;
    ledger.close().await.unwrap();
    assert_eq!(verify_file(&bench.path(), Vec::new()).unwrap().damage, None, "it was whole before");
    let connection = Connection::open(bench.path()).unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    verify_file(&bench.path(), Vec::new()).unwrap().damage
}

#[tokio::test]
async fn every_edit_of_the_log_is_found_and_placed() {
    let swap = "UPDATE activity SET sequence = -1 WHERE sequence = 3; \
                UPDATE activity SET sequence = 3 WHERE sequence = 4; \
                UPDATE activity SET sequence = 4 WHERE sequence = -1;";
    // An edit by somebody who also repairs the hash of the entry itself, at a place that completes a node.
    let forged = br#"{"version":2,"sequence":4,"at":"2027-01-15T08:00:05Z","actor":{"kind":"server"},"change":{"type":"pull_failed","reason":"forged"}}"#;
    let leaf = leaf_hash(forged);
    let forged = format!(
        "UPDATE activity SET entry = CAST('{}' AS BLOB), leaf = x'{leaf}', kind = 'pull_failed' WHERE sequence = 4;",
        std::str::from_utf8(forged).unwrap()
    );
    let cases = [
        (
            4,
            "UPDATE activity SET entry = CAST(replace(CAST(entry AS TEXT), 'staged', 'Staged') AS BLOB) WHERE sequence = 4",
        ),
        (
            5,
            "UPDATE activity SET leaf = CAST(substr(leaf, 2) || substr(leaf, 1, 1) AS BLOB) WHERE sequence = 5",
        ),
        (5, "UPDATE activity SET leaf = x'00' WHERE sequence = 5"),
        (
            4,
            "UPDATE activity SET nodes = CAST(substr(nodes, 33) || substr(nodes, 1, 32) AS BLOB) WHERE sequence = 4",
        ),
        (4, "UPDATE activity SET nodes = substr(nodes, 2) WHERE sequence = 4"),
        (3, "UPDATE activity SET nodes = leaf WHERE sequence = 3"),
        (4, "DELETE FROM activity WHERE sequence = 4"),
        (4, "DELETE FROM activity WHERE sequence BETWEEN 4 AND 6"),
        (1, "DELETE FROM activity WHERE sequence = 1"),
        (1, "DELETE FROM activity"),
        (3, swap),
        (4, forged.as_str()),
        (5, "UPDATE activity SET kind = 'delta_made' WHERE sequence = 5"),
        (5, "UPDATE activity SET at = at + 1 WHERE sequence = 5"),
        (5, "UPDATE activity SET computer = 'other' WHERE sequence = 5"),
        (1, "UPDATE server SET server_id = '00000000000000000000000000000000'"),
    ];
    for (place, sql) in cases {
        let found = after_edit(sql).await.unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!(found.sequence, place, "{sql}: {}", found.what);
        assert!(!found.what.is_empty());
    }
}

#[tokio::test]
async fn an_entry_whose_own_hash_was_repaired_does_not_fit_the_tree_wherever_it_stands() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &ledger).await;
    ledger.close().await.unwrap();
    let seen = verify_file(&bench.path(), Vec::new()).unwrap().head;
    let last = i64::try_from(seen.size).unwrap();
    let connection = Connection::open(bench.path()).unwrap();
    let read = |sequence: i64| -> Vec<u8> {
        let sql = "SELECT entry FROM activity WHERE sequence = ?1";
        connection.query_row(sql, [sequence], |row| row.get(0)).unwrap()
    };
    let write = |sequence: i64, bytes: &[u8]| {
        let sql = "UPDATE activity SET entry = ?2, leaf = ?3 WHERE sequence = ?1";
        let leaf = leaf_hash(bytes);
        connection.execute(sql, rusqlite::params![sequence, bytes, leaf.as_bytes()]).unwrap();
    };
    let damaged_at = |witnessed: &[LogHead]| {
        let check = verify_file(&bench.path(), witnessed.to_vec()).unwrap();
        check.damage.map(|damage| damage.sequence)
    };
    for sequence in 2..=last {
        let good = read(sequence);
        // Says the same in other bytes, with a hash to match: the next node that covers it knows better.
        write(sequence, &[good.as_slice(), b" "].concat());
        let node = u64::try_from(sequence + sequence % 2).unwrap();
        let inside = (node <= u64::try_from(last).unwrap()).then_some(node);
        assert_eq!(damaged_at(&[]), inside, "the node above {sequence} is another one");
        // At the end of the log only a head that somebody saw does.
        assert_eq!(damaged_at(&[seen]), Some(node.min(u64::try_from(last).unwrap())));
        write(sequence, &good);
    }
    assert_eq!(damaged_at(&[seen]), None);
}

#[tokio::test]
async fn a_running_server_finds_that_the_end_of_its_log_was_cut_off() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &ledger).await;
    let head = ledger.head().size;
    let connection = Connection::open(bench.path()).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
        .execute("DELETE FROM activity WHERE sequence > ?1", [i64::try_from(head).unwrap() - 2])
        .unwrap();
    let damage = ledger.verify_log(Vec::new()).await.unwrap().damage.unwrap();
    assert_eq!(damage.sequence, head - 1);
    assert!(damage.what.contains("cut off"), "{}", damage.what);
}

#[tokio::test]
async fn a_server_does_not_start_on_a_log_whose_newest_entry_is_not_whole() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    ledger.close().await.unwrap();
    let connection = Connection::open(bench.path()).unwrap();
    connection
        .execute_batch(
            "UPDATE activity SET entry = CAST(CAST(entry AS TEXT) || ' ' AS BLOB) WHERE sequence = 2",
        )
        .unwrap();
    drop(connection);
    let error = SqliteStore::open(&bench.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("log verify"));
}
