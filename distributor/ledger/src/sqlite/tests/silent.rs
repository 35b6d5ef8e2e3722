//! Who counts as silent: what looking for them costs, that all are found however many are not due yet, and that time in which no
//! server ran makes nobody silent.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use jiff::SignedDuration;
use rusqlite::{Connection, StatementStatus, params};
use sealpost_keys::Token;
use sealpost_manifests::word::Word;
use sealpost_site::changes::Actor;
use sealpost_site::commands::releases::ApproveRelease;
use sealpost_site::commands::rollouts::{AdvanceRollouts, Advanced, LOOKED_AT, Place};
use sealpost_site::commands::tokens::{MakeTokens, NewToken, Origin};
use sealpost_site::queries::{DeliveriesOf, ReleaseByManifest, RolloutByNumber};
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::rollouts::progress::{DeliveryState, Population};
use sealpost_test_support::world::{Computer, World, reserve};

use super::LedgerFile;
use crate::sqlite::SqliteStore;
use crate::sqlite::lists::rollouts::OVERDUE;
use crate::{Ledger, LedgerSettings};

const HOUR: i64 = 3600;

fn open(world: &World, file: &LedgerFile) -> Ledger {
    let store = SqliteStore::open(&file.path()).unwrap();
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
    ledger.adopt_trust(Arc::new(world.trust()));
    ledger
}

async fn with_license(world: &World, file: &LedgerFile) -> Ledger {
    let ledger = open(world, file);
    ledger.execute(world.at(1), world.accept_grant(world.grant(1, 1_000))).await.unwrap();
    ledger.execute(world.at(2), world.pulled(1)).await.unwrap();
    ledger
}

/// A rollout whose first ring is open for whoever comes, and its number.
async fn goes_out(world: &World, ledger: &Ledger) -> u64 {
    let staged = world.staged("acme-av", 1, &["stable"]);
    let manifest = staged.manifest;
    ledger.execute(world.at(3), staged).await.unwrap();
    let strategy = Some(Word::new("normal").unwrap());
    ledger.execute(world.at(4), ApproveRelease { strategy, ..world.approve(manifest) }).await.unwrap();
    let row = ledger.query(ReleaseByManifest { manifest }).await.unwrap().unwrap();
    let number = row.rollout.unwrap();
    let rings = ledger.query(RolloutByNumber { number }).await.unwrap().unwrap().rings.len();
    let below = Some("ffffffffffffffff".parse().unwrap());
    let everyone = Population { members: 9_000, heard_of: 9_000, below, ..Population::default() };
    let command = AdvanceRollouts {
        now: world.at(5),
        elapsed: SignedDuration::ZERO,
        populations: [(number, vec![everyone; rings])].into(),
        watched: BTreeMap::new(),
        after: BTreeMap::new(),
    };
    assert!(ledger.execute(world.at(5), command).await.unwrap().opened);
    number
}

async fn round(
    world: &World,
    ledger: &Ledger,
    number: u64,
    at: i64,
    after: BTreeMap<u64, Place>,
) -> Advanced {
    let command = AdvanceRollouts {
        now: world.at(at),
        elapsed: SignedDuration::ZERO,
        populations: BTreeMap::new(),
        watched: [(number, SignedDuration::from_hours(2))].into(),
        after,
    };
    ledger.execute(world.at(at), command).await.unwrap()
}

/// When a computer was told, in microseconds: one after the other.
fn told_at(world: &World, name: u32) -> i64 {
    world.at(10).as_microsecond() + i64::from(name) * 1_000
}

/// Puts computers into a file that were told, and may be silent for so long.
fn told(world: &World, connection: &Connection, number: u64, names: Range<u32>, silence_secs: i64) {
    let sql = "INSERT INTO deliveries (client_id, rollout, name, package, manifest, ring, state, attempt, told_at, since, \
               silence_secs, current) SELECT ?1, r.number, ?2, 'acme-av', r.manifest, 0, 'told', 1, ?4, ?4, ?5, 1 \
               FROM rollouts r WHERE r.number = ?3";
    let mut statement = connection.prepare(sql).unwrap();
    for name in names {
        let (client_id, at) = (format!("{name:032x}"), told_at(world, name));
        let number = i64::try_from(number).unwrap();
        statement.execute(params![client_id, format!("pc-{name:05}"), number, at, silence_secs]).unwrap();
    }
}

#[tokio::test]
async fn who_is_silent_is_found_behind_thousands_that_are_not_due_yet_and_a_round_reads_so_many_rows_and_no_more()
 {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let ledger = with_license(&world, &file).await;
    let number = goes_out(&world, &ledger).await;
    ledger.close().await.unwrap();
    let many = 3 * LOOKED_AT + 1;
    let connection = Connection::open(file.path()).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    // Their time has passed, and the server has not watched them for long enough.
    told(&world, &connection, number, 0..many, 20 * HOUR);
    told(&world, &connection, number, many..many + 1, HOUR);
    connection.execute_batch("COMMIT").unwrap();

    // The last page costs no more than the first, and no row is sorted.
    let mut statement = connection.prepare(OVERDUE).unwrap();
    let mut steps = Vec::new();
    let second = (told_at(&world, LOOKED_AT), format!("{LOOKED_AT:032x}"));
    for (told_at, client_id) in [(i64::MIN, String::new()), second] {
        let values = params![i64::try_from(number).unwrap(), told_at, client_id, LOOKED_AT];
        let rows = statement.query_map(values, |_| Ok(())).unwrap().count();
        assert_eq!(rows, LOOKED_AT as usize);
        steps.push(statement.reset_status(StatementStatus::VmStep));
        assert_eq!(statement.reset_status(StatementStatus::FullscanStep), 0);
        assert_eq!(statement.reset_status(StatementStatus::Sort), 0);
    }
    assert!(steps[1] <= steps[0] + 100 && steps[0] < 60 * i32::try_from(LOOKED_AT).unwrap(), "{steps:?}");
    drop(statement);
    drop(connection);

    let ledger = open(&world, &file);
    let (mut after, mut found) = (BTreeMap::new(), Vec::new());
    for _ in 0..4 {
        after = round(&world, &ledger, number, 30 * HOUR, after).await.looked_to;
        let rollout = ledger.query(RolloutByNumber { number }).await.unwrap().unwrap();
        found.push((rollout.rings[0].counts.silent, after.contains_key(&number)));
    }
    assert_eq!(found, [(0, true), (0, true), (0, true), (1, false)]);
    let query = DeliveriesOf { rollout: number, after: None, limit: 10_000 };
    let rows = ledger.query(query).await.unwrap();
    let silent = rows.iter().filter(|row| row.delivery.state == DeliveryState::Silent);
    assert!(silent.map(|row| row.name.as_str().to_owned()).all(|name| name == format!("pc-{many:05}")));
}

async fn contact(world: &World, ledger: &Ledger, computer: &mut Computer, at: i64) {
    let sent = world.answer(computer);
    let next = sent.contact.next.clone();
    computer.answered(next, &ledger.execute(world.at(at), sent).await.unwrap());
}

/// A server listened for two hours, in which these computers came twice and were told a release; the first one's silence is watched.
async fn told_by_a_server(world: &World, file: &LedgerFile, names: &[&str]) -> (u64, Vec<Computer>) {
    let ledger = with_license(world, file).await;
    ledger.listens_from(world.at(6)).await.unwrap();
    let mut computers = Vec::new();
    for name in names {
        let mut computer: Computer = world.computer(name);
        ledger.execute(world.at(6), reserve(name)).await.unwrap();
        ledger.execute(world.at(6), computer.issue_setup()).await.unwrap();
        computer.enrolled(&ledger.execute(world.at(7), world.enroll(&computer)).await.unwrap());
        contact(world, &ledger, &mut computer, HOUR).await;
        computers.push(computer);
    }
    let number = goes_out(world, &ledger).await;
    for computer in &mut computers {
        contact(world, &ledger, computer, 2 * HOUR).await;
    }
    ledger.close().await.unwrap();
    (number, computers)
}

/// A round of a server that has watched the rollout for nine hours: how many computers work on it, and how many are silent.
async fn silent(world: &World, ledger: &Ledger, number: u64, at: i64) -> (u64, u64) {
    let watched = [(number, SignedDuration::from_hours(9))].into();
    let after = BTreeMap::new();
    let (elapsed, populations) = (SignedDuration::ZERO, BTreeMap::new());
    let command = AdvanceRollouts { now: world.at(at), elapsed, populations, watched, after };
    ledger.execute(world.at(at), command).await.unwrap();
    let rollout = ledger.query(RolloutByNumber { number }).await.unwrap().unwrap();
    (rollout.rings[0].counts.under_way(), rollout.rings[0].counts.silent)
}

/// How long a computer may be silent by its pauses.
fn silence_of(file: &LedgerFile, computer: &Computer) -> SignedDuration {
    let sql = "SELECT cadence FROM contacts WHERE client_id = ?1";
    let client_id = computer.client_id.as_ref().unwrap().as_str();
    let connection = Connection::open(file.path()).unwrap();
    let text: String = connection.query_row(sql, [client_id], |row| row.get(0)).unwrap();
    serde_json::from_str::<Cadence>(&text).unwrap().silence()
}

#[tokio::test]
async fn time_in_which_no_server_ran_is_no_pause_of_a_computer_and_makes_nobody_silent() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let (number, mut computers) = told_by_a_server(&world, &file, &["pc-1"]).await;

    // Off for three days. At the end of them somebody makes a token without a server: that is no sign of one.
    let back = 74 * HOUR;
    let ledger = open(&world, &file);
    let digest = "A".repeat(43).parse::<Token>().unwrap().digest();
    let tokens = vec![NewToken { name: "laptop".to_owned(), digest, ends_at: None, account: None }];
    let made = MakeTokens { actor: Actor::socket("root"), tokens, origin: Origin::Made };
    ledger.execute(world.at(back - 60), made).await.unwrap();
    ledger.close().await.unwrap();

    let ledger = open(&world, &file);
    ledger.listens_from(world.at(back)).await.unwrap();
    ledger.listens_from(world.at(back + HOUR)).await.unwrap();
    // It may be silent for 28 hours: those before the end, and those since the start.
    assert_eq!(silent(&world, &ledger, number, back + 27 * HOUR).await, (1, 0));
    assert_eq!(silent(&world, &ledger, number, back + 29 * HOUR).await, (0, 1));
    contact(&world, &ledger, &mut computers[0], back + 30 * HOUR).await;
    ledger.close().await.unwrap();
    assert_eq!(silence_of(&file, &computers[0]), SignedDuration::from_hours(30 + 4));
}

#[tokio::test]
async fn who_was_told_before_an_outage_is_not_silent_after_a_second_start_and_its_pause_is_without_both() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let (number, mut computers) = told_by_a_server(&world, &file, &["pc-1", "pc-2"]).await;

    // Off for three days; twenty minutes after the start, in which one of them came, it starts again, and once more.
    let back = 74 * HOUR;
    let ledger = open(&world, &file);
    ledger.listens_from(world.at(back)).await.unwrap();
    contact(&world, &ledger, &mut computers[1], back + 60).await;
    ledger.close().await.unwrap();
    let again = back + 20 * 60;
    for start in [again, again + 60] {
        let ledger = open(&world, &file);
        ledger.listens_from(world.at(start)).await.unwrap();
        ledger.close().await.unwrap();
    }
    let ledger = open(&world, &file);
    ledger.listens_from(world.at(again + 120)).await.unwrap();
    assert_eq!(silent(&world, &ledger, number, again + 27 * HOUR).await, (2, 0));
    assert_eq!(silent(&world, &ledger, number, again + 29 * HOUR).await, (0, 2));
    for computer in &mut computers {
        contact(&world, &ledger, computer, again + 30 * HOUR).await;
    }
    ledger.close().await.unwrap();
    // But for the minutes between the starts.
    for computer in &computers {
        let more = silence_of(&file, computer) - SignedDuration::from_hours(30 + 4);
        assert!(more.abs() <= SignedDuration::from_mins(2), "{}: {more:?}", computer.name);
    }
}
