//! The tables are projections of the log: a replay of all entries gives the same rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use rusqlite::Connection;
use rusqlite::types::Value;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::RegistrationReason;
use sealpost_manifests::ids::{ClientId, Nonce, RequestId};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::trust::CounterReset;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::{Drift, DriftKind};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_manifests::word::Word;
use sealpost_site::changes::{ActivityEntry, summary};
use sealpost_site::commands::clients::ChangeChannel;
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::commands::licenses::RegisterSerial;
use sealpost_site::commands::pulls::PullFailed;
use sealpost_site::commands::releases::{
    ApproveRelease, NoteDelta, RefuseRelease, ResetCounter, StageRelease,
};
use sealpost_site::commands::restores::{AcknowledgeRestore, DeclareRestore};
use sealpost_site::commands::rollouts::{AdvanceRollouts, Steer, SteerRollout};
use sealpost_site::commands::servers::AnnounceServers;
use sealpost_site::commands::settings::{ChangeMembers, ChangeSettings};
use sealpost_site::commands::test_loads::NoteTestLoad;
use sealpost_site::commands::undoing::{HaltRelease, RetryRelease, WhoRunsIt};
use sealpost_site::queries::ReleaseByManifest;
use sealpost_site::rules::restore::{NamedHead, Receipt, RestoreCause};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::progress::Population;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::strategy::{OnFailure, Strategy};
use sealpost_site::rules::test_load::TestOutcome;
use sealpost_test_support::seats::{Happens, noted_by_name, seat_changes};
use sealpost_test_support::world::{
    Computer, World, admin, channel, computer_name, era, installed, reconsider, reject, report, reserve,
    serial, token_commands, withdraw,
};

use super::LedgerFile;
use crate::sqlite::{SqliteStore, projections, rebuild, schema};
use crate::{Ledger, LedgerSettings};

async fn staged(world: &World, ledger: &Ledger, counter: u64, channels: &[&str]) -> Sha256Digest {
    let staged = world.staged("acme-av", counter, channels);
    let manifest = staged.manifest;
    ledger.execute(world.at(5), staged).await.unwrap();
    manifest
}

async fn approved(world: &World, ledger: &Ledger, counter: u64) -> Sha256Digest {
    let manifest = staged(world, ledger, counter, &["stable"]).await;
    ledger.execute(world.at(6), world.approve(manifest)).await.unwrap();
    manifest
}

async fn enrolled(world: &World, ledger: &Ledger, mut computer: Computer) -> Computer {
    ledger.execute(world.at(2), reserve(computer.name.as_str())).await.unwrap();
    ledger.execute(world.at(2), computer.issue_setup()).await.unwrap();
    computer.enrolled(&ledger.execute(world.at(3), world.enroll(&computer)).await.unwrap());
    computer
}

async fn contacts(world: &World, ledger: &Ledger, computer: &mut Computer, seconds: i64) {
    let sent = world.answer(computer);
    let outcome = ledger.execute(world.at(seconds), sent.clone()).await.unwrap();
    computer.answered(sent.contact.next, &outcome);
}

/// Every kind of change happens.
pub(super) async fn everything_happens(world: &World, ledger: &Ledger) {
    let register = RegisterSerial {
        actor: admin(),
        serial: serial(1),
        reason: RegistrationReason::First,
        request_id: RequestId::from_random([1; 16]),
    };
    ledger.execute(world.at(1), register).await.unwrap();
    for generation in [1, 2] {
        let grant = world.grant(generation, 9);
        ledger.execute(world.at(1), world.accept_grant(grant)).await.unwrap();
    }
    let (make, used, revoke, operate) = token_commands("anna");
    ledger.execute(world.at(1), make).await.unwrap();
    ledger.execute(world.at(1), used).await.unwrap();
    ledger.execute(world.at(1), revoke).await.unwrap();
    ledger.execute(world.at(1), operate).await.unwrap();
    ledger.execute(world.at(4), world.pulled(1)).await.unwrap();
    let announce = AnnounceServers { actor: admin(), ways: vec![world.way("primary.example", 443)] };
    ledger.execute(world.at(4), announce).await.unwrap();
    ledger.execute(world.at(4), PullFailed { reason: "no route".into() }).await.unwrap();
    ledger.execute(world.at(4), noted_by_name(&["by-name", "late"])).await.unwrap();
    for name in ["stranger", "late"] {
        let stranger = world.enroll(&world.computer(name));
        ledger.execute(world.at(4), stranger).await.unwrap_err();
    }
    let first = approved(world, ledger, 1).await;
    let second = approved(world, ledger, 2).await;
    let refused = world.staged("acme-cad", 1, &["stable"]);
    let problems = vec!["a".to_owned(), "b".to_owned()];
    let refuse = RefuseRelease { release: refused.release, manifest: refused.manifest, problems };
    ledger.execute(world.at(6), refuse).await.unwrap();
    let rejected = staged(world, ledger, 3, &["beta"]).await;
    let (program, outcome) = (Sha256Digest::of(b"a program"), TestOutcome::Failed);
    let detail = "bad set".to_owned();
    let tested = NoteTestLoad { manifest: rejected, program, outcome, detail };
    ledger.execute(world.at(6), tested).await.unwrap();
    ledger.execute(world.at(6), reject(rejected, "too big")).await.unwrap();
    staged(world, ledger, 4, &["beta"]).await;
    staged(world, ledger, 4, &["beta", "stable"]).await;
    ledger.execute(world.at(6), NoteDelta { base: first, target: second, bytes: 42 }).await.unwrap();

    let mut computer = enrolled(world, ledger, world.computer("pc-1")).await;
    let row = ledger.query(ReleaseByManifest { manifest: second }).await.unwrap().unwrap();
    computer.reports = vec![
        report(1, &row, InstallStep::Check, Outcome::Ok),
        report(2, &row, InstallStep::TestLoad, Outcome::Refused),
    ];
    for contact in 1..5 {
        contacts(world, ledger, &mut computer, contact * 100_000).await;
        computer.packages = vec![installed(&row)];
    }
    // What the last contact reported is tried again; and the computer says that its files were changed.
    let retry = RetryRelease {
        actor: admin(),
        manifest: second,
        names: vec![computer.name.clone()],
        comment: "mended".to_owned(),
    };
    ledger.execute(world.at(400_001), retry).await.unwrap();
    computer.drift = vec![Drift { package: row.release.package.clone(), kind: DriftKind::Changed }];
    contacts(world, ledger, &mut computer, 400_002).await;
    for to in ["beta", "stable"] {
        let moved = ChangeChannel { actor: admin(), name: computer.name.clone(), channel: channel(to) };
        ledger.execute(world.at(400_003), moved).await.unwrap();
    }
    let third = staged(world, ledger, 5, &["nightly"]).await;
    ledger.execute(world.at(400_004), world.approve(third)).await.unwrap();
    let reason = "it crashes".to_owned();
    let halt = HaltRelease { actor: admin(), manifest: third, reason, runs: WhoRunsIt::GoesBack };
    ledger.execute(world.at(400_005), halt).await.unwrap();
    ledger.execute(world.at(400_006), reconsider(third)).await.unwrap();
    rolled_out(world, ledger, &mut computer).await;
    // One computer enrolls again, another is cloned.
    let mut replaced = enrolled(world, ledger, world.computer("pc-2")).await;
    replaced.packages = vec![installed(&row)];
    contacts(world, ledger, &mut replaced, 500_000).await;
    let mut again = enrolled(world, ledger, world.computer("pc-2").with_setup(2)).await;
    again.packages = vec![installed(&row)];
    contacts(world, ledger, &mut again, 500_000).await;
    let mut cloned = enrolled(world, ledger, world.computer("stranger")).await;
    contacts(world, ledger, &mut cloned, 500_000).await;
    let fork = AnswerContact {
        contact: sealpost_manifests::wire::contact::Contact {
            previous: None,
            next: Nonce::from_random([99; 16]),
            ..world.contact(&cloned)
        },
        shown: None,
        head: NamedHead::OfThisLog,
        came_by: None,
    };
    ledger.execute(world.at(500_001), fork).await.unwrap_err();
    // The older one, which the newer one replaced, and then one that is in use: the assignments that name it go.
    ledger.execute(world.at(500_002), withdraw(second, "crashes")).await.unwrap();
    let mut told = computer.clone();
    told.packages = Vec::new();
    contacts(world, ledger, &mut told, 500_003).await;
    let reset = CounterReset {
        package: world.staged("acme-av", 1, &[]).release.package,
        counter: ReleaseCounter(3),
        number: 1,
    };
    ledger.execute(world.at(500_004), ResetCounter { reset }).await.unwrap();
    told.forked_head = Some(LogHead { size: 3, root: Sha256Digest::of(b"another log") });
    contacts(world, ledger, &mut told, 500_005).await;
    let seats = Happens(seat_changes(world, "waits-"));
    ledger.execute(world.at(500_005), seats).await.unwrap();
    restored(world, ledger, &told).await;
    let acknowledge = AcknowledgeRestore { actor: admin(), comment: "a backup".to_owned() };
    ledger.execute(world.at(500_009), acknowledge).await.unwrap();
    macro_rules! run {
        ($command:expr) => {
            ledger.execute(world.at(500_010), $command).await.unwrap()
        };
    }
    sealpost_test_support::people_happen!(world, run, 30);
    ledger.count_refusal(world.at(9), ProblemCode::NoLease, "pc-9");
    ledger.listens_from(world.at(600_000)).await.unwrap();
}

/// A release goes out ring by ring, with everything that can be done to it on its way.
async fn rolled_out(world: &World, ledger: &Ledger, computer: &mut Computer) {
    let at = world.at(400_020);
    let ring = |name: &str, takes: &str| {
        serde_json::from_str(&format!(
            r#"{{"name":"{name}","takes":{takes},"soak_minutes":1,"errors":{{"count":5,"percent":5}}}}"#
        ))
    };
    let rings = vec![ring("canary", r#"{"first":1}"#).unwrap(), ring("everyone", r#""everyone""#).unwrap()];
    let strategy = Strategy::new(rings, OnFailure::Halt, Some(72)).unwrap();
    let set = |kind, name: &str, value| SettingChange {
        key: SettingKey { kind, name: name.to_owned() },
        value: Some(value),
    };
    let rule = serde_json::json!({"rule": {"names": ["pc-*"]}, "delivery": "poll"});
    let changes = vec![
        set(SettingKind::Strategy, "pairs", serde_json::to_value(&strategy).unwrap()),
        set(SettingKind::Group, "pilots", rule),
    ];
    let change = ChangeSettings {
        actor: admin(),
        changes,
        comment: "rings".to_owned(),
        expected: None,
        confirms: None,
    };
    ledger.execute(at, change).await.unwrap();
    let listed = |add: &[&str], remove: &[&str]| ChangeMembers {
        actor: admin(),
        group: GroupName::new("pilots").unwrap(),
        add: add.iter().map(|name| computer_name(name)).collect(),
        remove: remove.iter().map(|name| computer_name(name)).collect(),
        comment: "moved".to_owned(),
    };
    ledger.execute(at, listed(&["pc-1", "pc-9"], &[])).await.unwrap();
    ledger.execute(at, listed(&[], &["pc-9"])).await.unwrap();

    let staged = world.staged("acme-sigs", 1, &["stable"]);
    let manifest = staged.manifest;
    for mandatory in [true, false, true] {
        ledger.execute(at, StageRelease { mandatory, ..staged.clone() }).await.unwrap();
    }
    let strategy = Some(Word::new("pairs").unwrap());
    ledger.execute(at, ApproveRelease { strategy, ..world.approve(manifest) }).await.unwrap();
    let row = ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
    let number = row.rollout.unwrap();
    let advance = async |hours: i64, members: u64| {
        let below = Some("ffffffffffffffff".parse().unwrap());
        let population = Population { members, heard_of: members, below, ..Population::default() };
        let everyone = Population { below: None, ..Population::default() };
        let command = AdvanceRollouts {
            now: at + SignedDuration::from_hours(hours),
            elapsed: SignedDuration::from_hours(hours),
            populations: [(number, vec![population, everyone])].into(),
            watched: [(number, SignedDuration::from_hours(100))].into(),
            after: [].into(),
        };
        ledger.execute(at, command).await.unwrap()
    };
    assert!(advance(0, 1).await.opened);
    contacts(world, ledger, computer, 400_021).await;
    let steer = async |what| {
        let command =
            SteerRollout { actor: admin(), number, what, comment: "a look".to_owned(), confirms: None };
        ledger.execute(at, command).await.unwrap();
    };
    steer(Steer::Pause).await;
    steer(Steer::Resume).await;
    steer(Steer::Edit { strategy: Word::new("pairs").unwrap(), emergency: true }).await;
    // Not heard of for three days; then it runs what it was told.
    assert!(!advance(72, 1).await.opened);
    computer.packages.push(installed(&row));
    contacts(world, ledger, computer, 400_022).await;
    // The second ring has no computer: it is complete.
    assert!(advance(1, 1).await.opened);
    contacts(world, ledger, computer, 400_023).await;
}

/// The ledger is declared as restored. A computer goes on that it knows, and one that it lost.
async fn restored(world: &World, ledger: &Ledger, known: &Computer) {
    let cause = RestoreCause::BackupRestored { head: ledger.head() };
    let declared = DeclareRestore { actor: admin(), cause, new_era: era(1) };
    ledger.execute(world.at(500_006), declared).await.unwrap();
    ledger.execute(world.at(500_006), world.asks_to_confirm(2)).await.unwrap();
    let mut ahead = known.clone();
    ahead.nonce = Some(Nonce::from_random([200; 16]));
    ahead.contacts = 200;
    ahead.receipt = Some(Receipt { era: era(0), contacts: 90 });
    ledger.execute(world.at(500_007), world.answer_shown(&ahead, 2)).await.unwrap();
    let mut lost = ahead;
    lost.name = computer_name("lost");
    lost.client_id = Some(ClientId::from_random([77; 16]));
    let lease = lost.lease.as_mut().unwrap();
    lease.computer_name = lost.name.clone();
    lease.client_id = ClientId::from_random([77; 16]);
    lease.ledger_head.size += 1_000;
    ledger.execute(world.at(500_008), world.answer_shown(&lost, 3)).await.unwrap();
}

fn rows(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map([], |row| {
            let values: Vec<Value> = (0..columns).map(|at| row.get(at).unwrap()).collect();
            Ok(format!("{table} {values:?}"))
        })
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_replay_of_the_log_and_a_rebuild_reproduce_the_tables() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let store = SqliteStore::open(&file.path()).unwrap();
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
    ledger.adopt_trust(Arc::new(world.trust()));
    everything_happens(&world, &ledger).await;
    ledger.close().await.unwrap();

    let original = Connection::open(file.path()).unwrap();
    let replayed = Connection::open_in_memory().unwrap();
    schema::create(&replayed).unwrap();
    let mut statement = original.prepare("SELECT entry FROM activity ORDER BY sequence").unwrap();
    let entries = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let mut kinds = BTreeSet::new();
    for bytes in entries {
        let entry: ActivityEntry = serde_json::from_slice(&bytes.unwrap()).unwrap();
        kinds.insert(summary::kind(&entry.change));
        projections::apply(&replayed, &entry).unwrap();
    }
    assert_eq!(kinds, BTreeSet::from(summary::KINDS), "every kind of change is tried");
    let copy = file.folder.path().join("rebuilt.db");
    rebuild(&file.path(), &copy, &mut |_| ()).unwrap();
    let rebuilt = Connection::open(&copy).unwrap();
    for table in schema::CHAINED_TABLES {
        let rows_before = rows(&original, table);
        assert_eq!(rows_before, rows(&replayed, table));
        assert_eq!(rows_before, rows(&rebuilt, table));
        assert!(!rows_before.is_empty(), "{table} is not tried here");
    }
    assert_eq!(rows(&original, "activity"), rows(&rebuilt, "activity"), "byte for byte");
    // Notes are not replayed, but those of a client that was replaced go with it.
    for table in ["contacts", "seen", "installed", "sent"] {
        let rows: i64 = count(&original, &format!("SELECT count(*) FROM {table}"));
        assert!(rows > 0, "{table} is not tried here");
        let of_nobody = "client_id NOT IN (SELECT client_id FROM clients)";
        assert_eq!(
            count(&original, &format!("SELECT count(*) FROM {table} WHERE {of_nobody}")),
            0,
            "{table}"
        );
    }
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn every_table_is_a_projection_of_the_log_or_holds_notes() {
    let connection = Connection::open_in_memory().unwrap();
    schema::create(&connection).unwrap();
    let mut statement =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables: BTreeSet<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let known = schema::CHAINED_TABLES.iter().chain(schema::NOTES_TABLES).chain(&["activity"]);
    assert_eq!(tables, known.map(ToString::to_string).collect());
}
