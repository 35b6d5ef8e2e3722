//! Edits of the database that a running server must not believe: hidden triggers, columns of the log, the row of a
//! restore, reservations that nobody made. The server also finds them by itself.

use rusqlite::Connection;
use sealpost_ledger::Ledger;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::log::{LogHead, leaf_hash};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::{Actor, Change};
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::commands::settings::{ChangeSettings, LoadPlan};
use sealpost_site::queries::{Activity, LogEntry};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::restore::RestoreCause;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_test_support::world::{World, admin, computer_name, era, reserve, token_commands};

use super::lived_in;
use crate::bench::{Bench, SqliteBench};
use crate::fixture::{WorldExt, activity, licenses, refused, release, restores};

/// A closed ledger with some of everything in it, and what is done to it.
struct Site {
    world: World,
    bench: SqliteBench,
}

impl Site {
    async fn new() -> Self {
        let world = World::new();
        let bench = SqliteBench::new(&world);
        let ledger = bench.open();
        lived_in(&world, &ledger).await;
        ledger.close().await.unwrap();
        Self { world, bench }
    }

    /// From another connection, whether a server runs or not.
    fn edit(&self, sql: &str) {
        Connection::open(self.bench.path()).unwrap().execute_batch(sql).unwrap();
    }

    async fn declare_restored(&self, ledger: &Ledger) {
        let head = LogHead { size: 1, ..ledger.head() };
        let cause = RestoreCause::MarkerDiffers { marker: head };
        let declare = DeclareRestore { actor: Actor::Server, cause, new_era: era(7) };
        ledger.execute(self.world.at(500_000), declare).await.unwrap();
    }
}

#[tokio::test]
async fn a_trigger_that_hides_behind_a_name_of_sqlite_never_runs_and_is_found() {
    let site = Site::new().await;
    site.edit(
        "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES ('trigger', 'sqlite_t', 'releases', 0, \
         'CREATE TRIGGER sqlite_t AFTER INSERT ON releases BEGIN UPDATE releases SET state = ''approved''; END')",
    );
    site.edit(
        "CREATE TRIGGER plain AFTER INSERT ON releases BEGIN UPDATE releases SET state = 'approved'; END",
    );
    let ledger = site.bench.open();
    let staged = site.world.staged("acme-cad", 9, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(site.world.at(600_000), staged).await.unwrap();
    assert_eq!(release(&ledger, manifest).await.state, ReleaseState::Staged);
    let found = ledger.check_itself(site.world.at(600_001)).await.unwrap();
    assert_eq!((found.differing, found.damage), (2, None));
    assert_eq!(found.first.as_deref(), Some("sqlite_schema trigger plain"));
}

#[tokio::test]
async fn an_edited_setting_or_count_is_found_and_what_cannot_be_read_is_refused_and_not_left_out() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    let change = |value: serde_json::Value| ChangeSettings {
        actor: admin(),
        changes: vec![SettingChange {
            key: SettingKey { kind: SettingKind::Block, name: "all".to_owned() },
            value: Some(value),
        }],
        comment: String::new(),
        expected: None,
        confirms: None,
    };
    let block = serde_json::json!({"of": "everyone", "package": "acme-av"});
    ledger.execute(site.world.at(600_000), change(block)).await.unwrap();
    ledger.close().await.unwrap();
    site.edit("UPDATE settings SET value = '{\"of\":\"everyone\",\"package\":\"acme-cad\"}'");
    let ledger = site.bench.open();
    let found = ledger.check_itself(site.world.at(600_001)).await.unwrap();
    assert_eq!((found.differing, found.damage), (1, None));
    assert_eq!(found.first.as_deref(), Some("settings block all"));
    // A block that cannot be read is no missing block: nobody gets what it may keep away.
    site.edit(
        "UPDATE settings SET value = '{\"of\":\"nobody knows\"}'; UPDATE plan SET version = version + 1",
    );
    assert!(ledger.query(LoadPlan {}).await.is_err());
    let before = ledger.head().size;
    let staged = site.world.staged("acme-cad", 8, &["stable"]);
    ledger.execute(site.world.at(600_002), staged).await.unwrap_err();
    assert_eq!(ledger.head().size, before);
    ledger.close().await.unwrap();
    // What the log alone makes is as it was decided.
    let rebuilt = site.bench.rebuilt();
    let ledger = rebuilt.open();
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    let package = plan.settings.blocks.values().next().and_then(|block| block.package.clone());
    assert_eq!(package.unwrap().as_str(), "acme-av");
}

#[tokio::test]
async fn what_the_log_says_of_tokens_does_not_hang_on_a_column_and_an_edited_log_says_nothing_of_them() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    let (made, used, revoked, _) = token_commands("bob");
    ledger.execute(site.world.at(600_000), made).await.unwrap();
    ledger.execute(site.world.at(600_001), used).await.unwrap();
    ledger.execute(site.world.at(600_002), revoked).await.unwrap();
    let told = ledger.token_changes().unwrap();
    assert_eq!(told.len(), 3, "as they are written");
    ledger.close().await.unwrap();

    site.edit("UPDATE activity SET kind = 'setup_issued' WHERE kind = 'admin_token_revoked'");
    let ledger = site.bench.open();
    let again = ledger.token_changes().unwrap();
    assert_eq!(format!("{again:?}"), format!("{told:?}"));
    assert!(matches!(again.last(), Some(Change::AdminTokenRevoked { .. })));
    ledger.close().await.unwrap();

    // A planted one: bytes of an entry of before, with its leaf and its nodes left alone.
    site.edit(
        "UPDATE activity SET entry = CAST(replace(CAST(entry AS TEXT), 'release_staged', 'admin_token_made') AS BLOB), \
         kind = 'admin_token_made' WHERE sequence = (SELECT min(sequence) FROM activity WHERE kind = 'release_staged')",
    );
    let ledger = site.bench.open();
    let damage = ledger.token_changes().unwrap_err();
    assert!(damage.what.contains("was edited"), "{}", damage.what);
    assert_eq!(ledger.edits().damage, Some(damage.what), "told without a comparison");
    let refusal = ledger.execute(site.world.at(600_003), reserve("pc-2")).await;
    assert_eq!(refused(refusal), ProblemCode::Unconfirmed, "what was overwritten may have been a restore");
}

#[tokio::test]
async fn a_forged_entry_with_a_leaf_of_its_own_does_not_fit_the_tree() {
    let site = Site::new().await;
    let connection = Connection::open(site.bench.path()).unwrap();
    let sql = "SELECT entry FROM activity WHERE sequence = 3";
    let mut forged: Vec<u8> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    forged.push(b' ');
    let sql = "UPDATE activity SET entry = ?1, leaf = ?2 WHERE sequence = 3";
    connection.execute(sql, rusqlite::params![forged, leaf_hash(&forged).as_bytes()]).unwrap();
    drop(connection);
    let ledger = site.bench.open();
    assert!(ledger.token_changes().unwrap_err().what.contains("do not follow"));
}

#[tokio::test]
async fn an_entry_that_does_not_fit_its_leaf_or_its_columns_is_an_error_and_never_absent() {
    for edit in
        ["entry = CAST(entry || ' ' AS BLOB)", "kind = 'delta_made'", "computer = 'pc-9'", "at = at + 1"]
    {
        let site = Site::new().await;
        let ledger = site.bench.open();
        site.edit(&format!("UPDATE activity SET {edit} WHERE sequence = 5"));
        let asked = Activity { after: 4, limit: Some(1), ..Activity::default() };
        let error = ledger.query(asked).await.unwrap_err();
        assert!(format!("{error:?}").contains("Edited"), "{edit}: {error:?}");
        assert!(ledger.query(LogEntry { sequence: 5 }).await.is_err(), "{edit}");
        let asked = Activity { after: 5, limit: Some(1), ..Activity::default() };
        assert_eq!(activity(&ledger, asked).await.len(), 1, "the others are read");
    }
}

#[tokio::test]
async fn no_edit_of_its_row_or_of_a_column_of_the_log_ends_that_a_ledger_is_unconfirmed() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    site.declare_restored(&ledger).await;
    let edits = [
        "UPDATE server SET confirmed = 1",
        "UPDATE server SET restored_epoch = 0",
        "UPDATE server SET restored_at = NULL, restored_epoch = NULL, resumes_until = NULL, confirmed = NULL",
        "UPDATE activity SET kind = 'delta_made' WHERE kind = 'ledger_restored'",
    ];
    for edit in edits {
        site.edit(edit);
        let restored = restores(&ledger).await;
        assert!(restored.unconfirmed().is_some_and(|restored| restored.epoch >= Epoch::of(1, 0)), "{edit}");
        let refusal = ledger.execute(site.world.at(600_000), reserve("pc-2")).await;
        assert_eq!(refused(refusal), ProblemCode::Unconfirmed, "{edit}");
    }
    ledger.close().await.unwrap();
    let ledger = site.bench.open();
    assert!(restores(&ledger).await.unconfirmed().is_some(), "and the next start says the same");
    let refusal = ledger.execute(site.world.at(600_000), reserve("pc-2")).await;
    assert_eq!(refused(refusal), ProblemCode::Unconfirmed);
}

#[tokio::test]
async fn what_the_vendor_confirmed_stays_confirmed_after_a_start() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    site.declare_restored(&ledger).await;
    let asks = site.world.asks_to_confirm(2);
    ledger.execute(site.world.at(500_001), asks).await.unwrap();
    site.world.accept(&ledger, site.world.confirming(2, 2, 3)).await.unwrap();
    assert!(restores(&ledger).await.unconfirmed().is_none());
    ledger.close().await.unwrap();
    let ledger = site.bench.open();
    assert!(restores(&ledger).await.unconfirmed().is_none());
    ledger.execute(site.world.at(600_000), reserve("pc-2")).await.unwrap();
}

#[tokio::test]
async fn a_seat_of_which_the_log_does_not_know_gives_no_first_lease_and_is_told() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    let serial: SerialNumber = licenses(&ledger).await.remove(0).serial;
    let mut honest = site.world.enrolled(&ledger, "pc-7").await;
    for leased in [0, 1] {
        let name = format!("pirate-{leased}");
        site.edit(&format!(
            "INSERT INTO computers SELECT '{name}', 'stable', reserved_at + 1 FROM computers WHERE name = 'pc-1'; \
             INSERT INTO reservations SELECT '{name}', '{serial}', reserved_at + 1, {leased} FROM reservations \
             WHERE name = 'pc-1'"
        ));
        let mut pirate = site.world.computer(&name);
        ledger.execute(site.world.at(600_000), pirate.issue_setup()).await.unwrap();
        let outcome = site.world.enrolls(&ledger, &pirate).await.unwrap();
        pirate.enrolled(&outcome);
        let refusal = site.world.tries(&ledger, &pirate, 600_001).await;
        assert_eq!(refused(refusal), ProblemCode::NotReserved, "{name}");
        assert!(ledger.edits().unknown_seats.contains(&computer_name(&name)));
    }
    let most = ledger.edits().most_granted;
    assert_eq!(most.get(&serial), Some(&3), "what a grant had at the most");
    // One whose reservation was made is served, now and after a start.
    assert!(site.world.contacts(&ledger, &mut honest, 600_002).await.lease.is_some());
    ledger.close().await.unwrap();
    let ledger = site.bench.open();
    let answer = site.world.contacts(&ledger, &mut honest, 900_000).await;
    assert!(answer.lease.is_some(), "renewed");
    assert_eq!(ledger.edits().unknown_seats, []);
}

#[tokio::test]
async fn the_server_finds_an_edit_by_itself_keeps_since_when_and_forgets_it_once_nothing_is_found() {
    let site = Site::new().await;
    let ledger = site.bench.open();
    let at = |second: i64| site.world.at(600_000 + second);
    assert_eq!(ledger.check_itself(at(0)).await.unwrap().differing, 0);
    site.edit("UPDATE releases SET rollback = 1");
    assert_eq!(ledger.edits().differing, 0, "nobody looked yet");
    let found = ledger.check_itself(at(1)).await.unwrap();
    assert!(found.differing == 2 && found.first.as_ref().is_some_and(|first| first.starts_with("releases ")));
    assert_eq!(ledger.check_itself(at(2)).await.unwrap().since, Some(at(1)));
    assert_eq!(ledger.edits().since, Some(at(1)));
    site.edit("UPDATE releases SET rollback = 0");
    let clean = ledger.check_itself(at(3)).await.unwrap();
    assert_eq!((clean.differing, clean.since), (0, None));
}
