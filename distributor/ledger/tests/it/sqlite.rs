//! The SQLite ledger against the contracts, and against what only a database file can suffer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::Timestamp;
use rusqlite::Connection;
use sealpost_manifests::ids::ComputerName;
use tempfile::TempDir;

use super::{OpenError, SqliteLedger, create, open, projections, schema, step, verify_file};
use crate::domain::activity::{ActivityEntry, Actor};
use crate::ledger::LedgerSettings;
use crate::ledger::contract::fixture::{admin, channel, kinds, sound};
use crate::ledger::contract::{Bench, World, contracts};
use crate::ports::ledger::{Ledger, LedgerError};

contracts!(SqliteBench::new);

/// A ledger file in a folder of its own.
struct SqliteBench {
    folder: TempDir,
}

impl SqliteBench {
    fn new(world: &World) -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        create(&bench.path(), world.server_id.clone(), world.site.public(), world.start).unwrap();
        bench
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn ledger(&self) -> SqliteLedger {
        open_when_free(&self.path())
    }
}

impl Bench for SqliteBench {
    fn open(&self) -> Arc<dyn Ledger> {
        Arc::new(self.ledger())
    }
}

/// A ledger that was dropped without closing lets go of its lock when its writer has finished.
fn open_when_free(path: &Path) -> SqliteLedger {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match open(path, LedgerSettings { readers: 2, ..LedgerSettings::default() }) {
            Ok(ledger) => return ledger,
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A ledger with something of everything in it.
async fn lived_in(world: &World, ledger: &dyn Ledger) {
    world.unlock(ledger, 3).await;
    world.pulled(ledger, 4).await;
    world.approved(ledger, "acme-av", 1, &["stable"]).await;
    world.approved(ledger, "acme-av", 2, &["stable"]).await;
    let mut computer = world.enrolled(ledger, "pc-1").await;
    for contact in 1..5 {
        world.contacts(ledger, &mut computer, contact * 100_000).await;
    }
    ledger.count_refusal(world.at(9), sealpost_manifests::wire::problem::ProblemCode::NoLease, "pc-9".into());
}

fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            let values: Vec<rusqlite::types::Value> = (0..columns).map(|at| row.get(at).unwrap()).collect();
            Ok(format!("{table} {values:?}"))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_replay_of_the_log_reproduces_the_tables() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &*ledger).await;
    let staged = ledger.releases().await.unwrap();
    // The older one: what pc-1 should run stays.
    ledger.withdraw(world.at(1), staged[1].manifest, "crashes".into()).await.unwrap();
    let again = world.reserved(&*ledger, "pc-2").await;
    drop(again);
    ledger.close().await.unwrap();

    let original = Connection::open(bench.path()).unwrap();
    let replayed = Connection::open_in_memory().unwrap();
    schema::create(&replayed).unwrap();
    let mut statement = original.prepare("SELECT entry FROM activity ORDER BY sequence").unwrap();
    let entries = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    for bytes in entries {
        let entry: ActivityEntry = serde_json::from_slice(&bytes.unwrap()).unwrap();
        projections::apply(&replayed, &entry).unwrap();
    }
    for table in schema::CHAINED_TABLES {
        let rows_before = rows(&original, table);
        assert_eq!(rows_before, rows(&replayed, table));
        let may_be_empty = ["pending", "deltas", "last_reports"].contains(table);
        assert!(may_be_empty || !rows_before.is_empty(), "{table} is not tried here");
    }
}

/// Edits the closed file with `sql`, and answers what the check says.
async fn after_edit(sql: &str) -> Option<(u64, String)> {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &*ledger).await;
    ledger.close().await.unwrap();
    assert_eq!(verify_file(&bench.path()).unwrap().damage, None, "it was whole before");
    let connection = Connection::open(bench.path()).unwrap();
    connection.execute_batch(sql).unwrap();
    drop(connection);
    verify_file(&bench.path()).unwrap().damage
}

#[tokio::test]
async fn every_edit_of_the_log_is_found_and_placed() {
    let swap = "UPDATE activity SET sequence = -1 WHERE sequence = 3; \
                UPDATE activity SET sequence = 3 WHERE sequence = 4; \
                UPDATE activity SET sequence = 4 WHERE sequence = -1;";
    // An edit by somebody who also repairs the hash of the entry itself.
    let forged = br#"{"sequence":3,"at":"2027-01-15T08:00:04Z","actor":{"kind":"server"},"change":{"type":"pull_failed","reason":"forged"},"previous":"00"}"#;
    let hash = sealpost_manifests::digest::Sha256Digest::of(forged);
    let forged = format!(
        "UPDATE activity SET entry = CAST('{}' AS BLOB), hash = '{hash}', kind = 'pull_failed' WHERE sequence = 3;",
        std::str::from_utf8(forged).unwrap()
    );
    let cases = [
        (
            4,
            "UPDATE activity SET entry = CAST(replace(CAST(entry AS TEXT), 'staged', 'Staged') AS BLOB) WHERE sequence = 4",
        ),
        (5, "UPDATE activity SET hash = substr(hash, 2) || substr(hash, 1, 1) WHERE sequence = 5"),
        (4, "DELETE FROM activity WHERE sequence = 4"),
        (4, "DELETE FROM activity WHERE sequence BETWEEN 4 AND 6"),
        (1, "DELETE FROM activity WHERE sequence = 1"),
        (1, "DELETE FROM activity"),
        (3, swap),
        (3, forged.as_str()),
        (5, "UPDATE activity SET kind = 'delta_made' WHERE sequence = 5"),
        (5, "UPDATE activity SET at = at + 1 WHERE sequence = 5"),
        (5, "UPDATE activity SET computer = 'other' WHERE sequence = 5"),
        (1, "UPDATE server SET server_id = '00000000000000000000000000000000'"),
    ];
    for (place, sql) in cases {
        let (found, what) = after_edit(sql).await.unwrap_or_else(|| panic!("not found: {sql}"));
        assert_eq!(found, place, "{sql}: {what}");
        assert!(!what.is_empty());
    }
}

#[tokio::test]
async fn an_entry_whose_own_hash_was_repaired_breaks_the_chain_wherever_it_stands() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &*ledger).await;
    ledger.close().await.unwrap();
    let connection = Connection::open(bench.path()).unwrap();
    let last: i64 = connection.query_row("SELECT max(sequence) FROM activity", [], |row| row.get(0)).unwrap();
    let read = |sequence: i64| -> Vec<u8> {
        let sql = "SELECT entry FROM activity WHERE sequence = ?1";
        connection.query_row(sql, [sequence], |row| row.get(0)).unwrap()
    };
    let write = |sequence: i64, bytes: &[u8]| {
        let hash = sealpost_manifests::digest::Sha256Digest::of(bytes).to_string();
        let sql = "UPDATE activity SET entry = ?2, hash = ?3 WHERE sequence = ?1";
        connection.execute(sql, rusqlite::params![sequence, bytes, hash]).unwrap();
    };
    let damaged_at = || verify_file(&bench.path()).unwrap().damage.map(|(place, _)| place);
    for sequence in 2..=last {
        let good = read(sequence);
        let mut unlinked: ActivityEntry = serde_json::from_slice(&good).unwrap();
        unlinked.previous = sealpost_manifests::digest::Sha256Digest::of(b"another past");
        write(sequence, &serde_json::to_vec(&unlinked).unwrap());
        assert_eq!(damaged_at(), u64::try_from(sequence).ok(), "it names another past");
        // Says the same in other bytes, with a hash to match: only the next entry knows better.
        write(sequence, &[good.as_slice(), b" "].concat());
        let next = (sequence < last).then(|| u64::try_from(sequence + 1).unwrap());
        assert_eq!(damaged_at(), next, "the one after {sequence} does not follow it");
        write(sequence, &good);
    }
    assert_eq!(damaged_at(), None);
}

#[tokio::test]
async fn a_running_server_finds_that_the_end_of_its_log_was_cut_off() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &*ledger).await;
    let head = ledger.head().await.unwrap().sequence;
    let connection = Connection::open(bench.path()).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    connection
        .execute("DELETE FROM activity WHERE sequence > ?1", [i64::try_from(head).unwrap() - 2])
        .unwrap();
    let damage = ledger.verify_log().await.unwrap().damage.unwrap();
    assert_eq!(damage.0, head - 1);
    assert!(damage.1.contains("cut off"), "{}", damage.1);
}

#[tokio::test]
async fn a_server_does_not_start_on_a_log_whose_newest_entry_is_not_whole() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    ledger.close().await.unwrap();
    let connection = Connection::open(bench.path()).unwrap();
    connection
        .execute_batch(
            "UPDATE activity SET entry = CAST(CAST(entry AS TEXT) || ' ' AS BLOB) WHERE sequence = 2",
        )
        .unwrap();
    drop(connection);
    let error = open(&bench.path(), LedgerSettings::default()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("log verify"));
}

#[tokio::test]
async fn a_second_server_on_the_same_ledger_is_refused() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    let error = open(&bench.path(), LedgerSettings::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    // The log can be checked all the same.
    assert_eq!(verify_file(&bench.path()).unwrap().entries, 1);
    ledger.close().await.unwrap();
}

#[test]
fn a_file_that_is_no_ledger_or_a_newer_one_is_refused_and_none_is_overwritten() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let again = create(&bench.path(), world.server_id.clone(), world.site.public(), world.start);
    assert!(matches!(again.unwrap_err(), OpenError::Exists { .. }));
    Connection::open(bench.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for error in
        [open(&bench.path(), LedgerSettings::default()).unwrap_err(), verify_file(&bench.path()).unwrap_err()]
    {
        assert!(matches!(error, OpenError::Newer { found: 99, known: 1 }), "{error:?}");
    }
    let other = bench.folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(open(&other, LedgerSettings::default()).unwrap_err(), OpenError::NotALedger));
    // A making that was killed right after the file appeared.
    let half = bench.folder.path().join("half.db");
    std::fs::File::create(&half).unwrap();
    assert!(matches!(open(&half, LedgerSettings::default()).unwrap_err(), OpenError::NotALedger));
    assert!(open(&bench.folder.path().join("none.db"), LedgerSettings::default()).is_err());
}

#[tokio::test]
async fn only_the_servers_user_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let mut seen = 0;
    for file in std::fs::read_dir(bench.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        seen += 1;
    }
    assert!(seen >= 4, "database, write-ahead log, its index and the lock");
}

/// What `kill -9` leaves behind: the files as they are at this moment, without any farewell. The writer must not fold
/// the write-ahead log into the file meanwhile: a copy takes its time, a kill does not.
fn crash_image(bench: &SqliteBench) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        std::fs::copy(bench.folder.path().join(name), image.path().join(name)).unwrap();
    }
    image
}

/// Runs a statement on the writer's own connection.
async fn on_the_writer(ledger: &SqliteLedger, now: Timestamp, sql: impl Fn(u32) -> String + Send + 'static) {
    let done = ledger.command("change a setting", now, move |step| {
        let used: u32 = step.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        step.connection.query_row(&sql(used), [], |_| Ok(()))?;
        Ok(step::Ruling::Done(()))
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_under_load_loses_nothing_that_was_answered() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let sqlite = Arc::new(bench.ledger());
    let ledger: Arc<dyn Ledger> = Arc::clone(&sqlite) as Arc<dyn Ledger>;
    on_the_writer(&sqlite, world.at(1), |_| "PRAGMA wal_autocheckpoint = 0".to_owned()).await;
    world.unlock(&*ledger, 1_000).await;
    let names: Vec<_> = (0..200).map(|number| ComputerName::new(format!("pc-{number}")).unwrap()).collect();
    let now = world.at(2);
    for (round, names) in names.chunks(40).enumerate() {
        let tasks: Vec<_> = names
            .iter()
            .map(|name| {
                let (ledger, name) = (Arc::clone(&ledger), name.clone());
                tokio::spawn(async move { ledger.reserve(admin(), now, name, channel("stable")).await })
            })
            .collect();
        let mut answered = 0;
        let mut image = None;
        for task in tasks {
            task.await.unwrap().unwrap();
            answered += 1;
            // In the middle of it, while others still write.
            if answered == 20 {
                image = Some(crash_image(&bench));
            }
        }
        let image = image.unwrap();
        let reopened = open(&image.path().join("ledger.db"), LedgerSettings::default()).unwrap();
        let held = reopened.clients(None, 1_000).await.unwrap().len();
        assert!(held >= round * 40 + 20, "{held} of what was answered are there");
        let check = reopened.verify_log().await.unwrap();
        assert_eq!(check.damage, None);
        assert_eq!(check.entries, u64::try_from(held).unwrap() + 2, "each is there whole or not at all");
        reopened.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_fails_whole_batches_and_the_chain_goes_on_when_there_is_room() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let sqlite = Arc::new(bench.ledger());
    let ledger: Arc<dyn Ledger> = Arc::clone(&sqlite) as Arc<dyn Ledger>;
    world.unlock(&*ledger, 1_000).await;
    on_the_writer(&sqlite, world.at(2), |used| format!("PRAGMA max_page_count = {}", used + 2)).await;
    let long = "x".repeat(60);
    let tasks: Vec<_> = (0..400)
        .map(|number| {
            let name = ComputerName::new(format!("{long}-{number}")).unwrap();
            let (ledger, now) = (Arc::clone(&ledger), world.at(2));
            tokio::spawn(async move {
                (name.clone(), ledger.reserve(admin(), now, name, channel("stable")).await)
            })
        })
        .collect();
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for task in tasks {
        match task.await.unwrap() {
            (name, Ok(_)) => done.push(name),
            (name, Err(LedgerError::Failed { attempted, .. })) => {
                assert_eq!(attempted, "reserve a seat");
                failed.push(name);
            }
            (_, Err(error)) => panic!("{error:?}"),
        }
    }
    assert!(!failed.is_empty(), "the disk was not full");
    for name in &failed {
        assert!(ledger.client(name.clone()).await.unwrap().is_none(), "half a change of {name} is there");
    }
    sound(&ledger).await;
    assert_eq!(ledger.licenses().await.unwrap()[0].used, u32::try_from(done.len()).unwrap());

    on_the_writer(&sqlite, world.at(2), |_| "PRAGMA max_page_count = 1000000000".to_owned()).await;
    for name in failed {
        ledger.reserve(admin(), world.at(3), name, channel("stable")).await.unwrap();
    }
    assert_eq!(ledger.licenses().await.unwrap()[0].used, 400);
    sound(&ledger).await;
    ledger.close().await.unwrap();
    assert_eq!(verify_file(&bench.path()).unwrap().damage, None);
}

#[tokio::test]
async fn a_ledger_that_cannot_write_is_not_well_until_it_can_again() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.ledger();
    world.unlock(&ledger, 10).await;
    ledger.check_health().await.unwrap();
    let set = |sql: &'static str| {
        ledger.command("change a setting", world.at(2), move |step| {
            step.connection.execute_batch(sql)?;
            Ok(step::Ruling::Done(()))
        })
    };
    set("CREATE TEMP TRIGGER full_log BEFORE INSERT ON activity BEGIN SELECT RAISE(ABORT, 'full'); END;
        CREATE TEMP TRIGGER full_clock BEFORE UPDATE ON clock BEGIN SELECT RAISE(ABORT, 'full'); END;")
    .await
    .unwrap();
    let name = ComputerName::new("pc-1").unwrap();
    let reserve = || ledger.reserve(admin(), world.at(3), name.clone(), channel("stable"));
    assert!(matches!(reserve().await, Err(LedgerError::Failed { .. })));
    for _ in 0..2 {
        assert!(matches!(ledger.check_health().await, Err(LedgerError::Failed { .. })));
    }
    set("DROP TRIGGER full_log; DROP TRIGGER full_clock").await.unwrap();
    ledger.check_health().await.unwrap();
    reserve().await.unwrap();
    ledger.close().await.unwrap();
    assert!(matches!(ledger.check_health().await, Err(LedgerError::Closed)));
}

#[tokio::test]
async fn a_failed_command_leaves_the_others_of_its_batch_alone() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.ledger();
    world.unlock(&ledger, 10).await;
    let name = |number: u8| ComputerName::new(format!("pc-{number}")).unwrap();
    let broken = ledger.command::<(), _>("do the impossible", world.at(2), |step| {
        step.record(Actor::Server, crate::domain::activity::Change::PullFailed { reason: "x".into() })?;
        step.connection.execute("INSERT INTO no_such_table VALUES (1)", [])?;
        Ok(step::Ruling::Done(()))
    });
    let (first, broken, second) = tokio::join!(
        ledger.reserve(admin(), world.at(2), name(1), channel("stable")),
        broken,
        ledger.reserve(admin(), world.at(2), name(2), channel("stable")),
    );
    assert!(first.is_ok() && second.is_ok());
    let error = broken.unwrap_err();
    assert_eq!(error.to_string(), "the ledger could not do the impossible");
    let expected = ["server_initialized", "grant_accepted", "seat_reserved", "seat_reserved"];
    assert_eq!(kinds(&ledger).await, expected);
    assert_eq!(ledger.verify_log().await.unwrap().damage, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_sqlite_ends_the_transaction_nothing_of_the_batch_stays() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.ledger();
    world.unlock(&ledger, 10).await;
    let name = |number: u8| ComputerName::new(format!("pc-{number}")).unwrap();
    // Holds the writer until the next batch is complete in the queue.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel::<()>();
    let mut holder = ledger.command::<(), _>("wait", world.at(2), move |_| {
        begun.send(()).unwrap();
        wait.recv_timeout(Duration::from_secs(30)).unwrap();
        Ok(step::Ruling::Done(()))
    });
    assert!((&mut holder).now_or_never().is_none());
    begins.await.unwrap();
    let mut first = ledger.reserve(admin(), world.at(2), name(1), channel("stable"));
    let mut broken = ledger.command::<(), _>("suffer", world.at(2), |step| {
        step.connection.execute_batch("ROLLBACK")?;
        step.connection.execute("INSERT INTO no_such_table VALUES (1)", [])?;
        Ok(step::Ruling::Done(()))
    });
    let mut last = ledger.reserve(admin(), world.at(2), name(2), channel("stable"));
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut broken).now_or_never().is_none());
    assert!((&mut last).now_or_never().is_none());
    go.send(()).unwrap();
    holder.await.unwrap();
    for answer in [first.await.map(drop), broken.await, last.await.map(drop)] {
        assert!(matches!(answer, Err(LedgerError::Failed { .. })), "{answer:?}");
    }
    assert_eq!(kinds(&ledger).await, ["server_initialized", "grant_accepted"]);
    for number in [1, 2] {
        ledger.reserve(admin(), world.at(3), name(number), channel("stable")).await.unwrap();
    }
    assert_eq!(ledger.verify_log().await.unwrap().damage, None);
    assert_eq!(ledger.head().await.unwrap().sequence, 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_hold_up_the_others() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&*ledger, 10).await;
    for number in 0..10 {
        let name = ComputerName::new(format!("pc-{number}")).unwrap();
        let mut reserve = ledger.reserve(admin(), world.at(2), name, channel("stable"));
        // Polled once, so that it is sent, and dropped.
        let _ = (&mut reserve).now_or_never();
        let mut query = ledger.releases();
        let _ = (&mut query).now_or_never();
    }
    let name = ComputerName::new("pc-0").unwrap();
    ledger.reserve(admin(), world.at(2), name, channel("stable")).await.unwrap();
    assert_eq!(ledger.licenses().await.unwrap()[0].used, 10);
    sound(&ledger).await;
}
