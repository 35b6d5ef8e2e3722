//! Contracts of starts: when no server ran, what the log says of it, and what that makes of pauses.

use jiff::SignedDuration;
use sealpost_keys::Token;
use sealpost_ledger::Ledger;
use sealpost_manifests::ids::EraId;
use sealpost_site::changes::chain::ReadEntry;
use sealpost_site::changes::{Actor, Change, ServerOperation, summary};
use sealpost_site::commands::contact::LoadContact;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::commands::starts::LoadStart;
use sealpost_site::commands::tokens::{MakeTokens, NewToken, OperateServer, Origin};
use sealpost_site::rules::restore::RestoreCause;
use sealpost_site::rules::rollouts::outages::Signs;
use sealpost_test_support::world::{Computer, DAY, World, admin, era};

use super::restored::stops;
use crate::bench::Bench;
use crate::fixture::{WorldExt, entries_of, kinds_after, sound, unchanged};

const HOUR: i64 = 3_600;
const MINUTE: i64 = 60;

async fn signs(world: &World, ledger: &Ledger, now: i64) -> Signs {
    ledger.query(LoadStart { now: world.at(now) }).await.unwrap()
}

/// Stops the server, and starts the next one.
async fn restarts(world: &World, bench: &dyn Bench, ledger: Ledger, now: i64) -> Ledger {
    stops(ledger).await;
    starts(world, bench, now).await
}

async fn starts(world: &World, bench: &dyn Bench, now: i64) -> Ledger {
    let ledger = bench.open();
    ledger.listens_from(world.at(now)).await.unwrap();
    ledger
}

/// Of each entry about a start: the last sign of life before it, and when it was.
async fn noted(world: &World, ledger: &Ledger) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    for logged in entries_of(ledger, "server_started").await {
        let ReadEntry::Known(entry) = logged.entry else { panic!("{logged:?}") };
        let Change::ServerStarted { last_sign } = entry.change else { panic!("{entry:?}") };
        assert_eq!(entry.actor, Actor::Server);
        let seconds = |time: jiff::Timestamp| time.duration_since(world.at(0)).as_secs();
        found.push((seconds(last_sign), seconds(entry.at)));
    }
    found
}

/// How long a computer may be silent by its contacts up to now, in minutes.
async fn silence(ledger: &Ledger, computer: &Computer) -> i64 {
    let client_id = computer.client_id.clone().unwrap();
    let query = LoadContact { client_id, reports: false, runs: Vec::new(), shown: None };
    let last = ledger.query(query).await.unwrap().client.unwrap().last.unwrap();
    last.cadence.unwrap().silence().as_mins()
}

/// Two computers came at one hour: a server that is known, and whose next one can tell since when it did not run.
async fn lived(world: &World, bench: &dyn Bench) -> (Ledger, Computer, Computer) {
    let ledger = bench.open();
    world.unlock(&ledger, 2).await;
    world.pull(&ledger, 4).await;
    let mut one = world.enrolled(&ledger, "pc-1").await;
    let mut other = world.enrolled(&ledger, "pc-2").await;
    world.contacts(&ledger, &mut one, HOUR).await;
    world.contacts(&ledger, &mut other, HOUR).await;
    (ledger, one, other)
}

pub(super) async fn the_last_sign_of_life_is_one_of_a_server_that_listens(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let last = async |now: i64| signs(world, &ledger, now).await.last;
    assert_eq!(last(DAY).await, None, "that it was made is none");
    world.unlock(&ledger, 2).await;
    world.pull(&ledger, 4).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    let mut other = world.enrolled(&ledger, "pc-2").await;
    world.contacts(&ledger, &mut computer, 3_600).await;
    assert_eq!(last(2 * DAY).await, Some(world.at(3_600)));
    // A computer that came while the clock was ahead, and an entry of then.
    world.contacts(&ledger, &mut other, 5 * DAY).await;
    assert_eq!(last(2 * DAY).await, Some(world.at(3_600)));
    // What is written to a ledger while nobody can come.
    let digest = "A".repeat(43).parse::<Token>().unwrap().digest();
    let tokens = vec![NewToken { name: "laptop".to_owned(), digest, ends_at: None, account: None }];
    let made = MakeTokens { actor: admin(), tokens, origin: Origin::Made };
    ledger.execute(world.at(6 * DAY), made).await.unwrap();
    let operation = ServerOperation::MakeBackup;
    ledger.execute(world.at(6 * DAY), OperateServer { actor: admin(), operation }).await.unwrap();
    let cause = RestoreCause::Rebuilt { head: ledger.head() };
    let new_era = EraId::from_random([7; 16]);
    ledger.execute(world.at(6 * DAY), DeclareRestore { actor: admin(), cause, new_era }).await.unwrap();
    assert_eq!(last(9 * DAY).await, Some(world.at(5 * DAY)));
}

pub(super) async fn a_start_is_noted_once_and_only_where_no_server_ran_for_a_quarter_of_an_hour(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = starts(world, bench, 1).await;
    assert_eq!(noted(world, &ledger).await, [], "nothing was there before the first start");
    stops(ledger).await;
    let (ledger, ..) = lived(world, bench).await;
    let short = HOUR + 15 * MINUTE - 1;
    let ledger = restarts(world, bench, ledger, short).await;
    assert_eq!(noted(world, &ledger).await, []);
    let long = HOUR + 15 * MINUTE;
    let ledger = restarts(world, bench, ledger, long).await;
    assert_eq!(noted(world, &ledger).await, [(HOUR, long)]);
    let size = ledger.head().size;
    // Again, and by the next start in the same second.
    ledger.listens_from(world.at(long + HOUR)).await.unwrap();
    unchanged(&ledger, size);
    let ledger = restarts(world, bench, ledger, long).await;
    unchanged(&ledger, size);
    let ledger = restarts(world, bench, ledger, 3 * DAY).await;
    assert_eq!(noted(world, &ledger).await, [(HOUR, long), (long, 3 * DAY)]);
    let said = entries_of(&ledger, "server_started").await.pop().unwrap();
    let ReadEntry::Known(entry) = said.entry else { panic!("{said:?}") };
    assert!(summary::summary(&entry).contains("(2 d 22 h)"), "{}", summary::summary(&entry));
    sound(&ledger).await;
    stops(ledger).await;
    // Whoever only reads or writes the ledger is no server.
    let ledger = bench.open();
    ledger.execute(world.at(9 * DAY), world.accept_grant(world.grant(3, 2))).await.unwrap();
    assert_eq!(noted(world, &ledger).await.len(), 2);
}

pub(super) async fn a_server_that_crashes_again_and_again_notes_nothing(world: &World, bench: &dyn Bench) {
    let (ledger, mut one, _) = lived(world, bench).await;
    let mut ledger = restarts(world, bench, ledger, 2 * DAY).await;
    let size = ledger.head().size;
    for crash in 1..30 {
        drop(ledger);
        ledger = starts(world, bench, 2 * DAY + crash * MINUTE / 2).await;
    }
    unchanged(&ledger, size);
    assert_eq!(noted(world, &ledger).await, [(HOUR, 2 * DAY)]);
    // It knows all the same that nobody could come.
    world.contacts(&ledger, &mut one, 2 * DAY + 20 * MINUTE).await;
    assert_eq!(silence(&ledger, &one).await, 28 * 60);
}

pub(super) async fn every_start_knows_the_outages_of_those_before(world: &World, bench: &dyn Bench) {
    let (ledger, mut one, mut other) = lived(world, bench).await;
    // Three days, a minute in which only the other one came, nineteen minutes, and five minutes.
    let back = 3 * DAY + HOUR;
    let ledger = restarts(world, bench, ledger, back).await;
    world.contacts(&ledger, &mut other, back + MINUTE).await;
    let ledger = restarts(world, bench, ledger, back + 20 * MINUTE).await;
    let ledger = restarts(world, bench, ledger, back + 25 * MINUTE).await;
    assert_eq!(
        noted(world, &ledger).await,
        [(HOUR, back), (back + MINUTE, back + 20 * MINUTE)],
        "five minutes are kept by the server itself"
    );
    world.contacts(&ledger, &mut one, back + 25 * MINUTE + 30 * HOUR).await;
    let (away, four_hours) = (30 * 60 + 1, 4 * 60);
    assert_eq!(silence(&ledger, &one).await, away + four_hours);
    world.contacts(&ledger, &mut other, back + 25 * MINUTE + 30 * HOUR).await;
    assert_eq!(silence(&ledger, &other).await, 30 * 60 + four_hours);
    sound(&ledger).await;
}

pub(super) async fn what_a_restore_lost_is_no_pause_and_no_start_says_that_no_server_ran_then(
    world: &World,
    bench: &dyn Bench,
) {
    let (ledger, mut one, mut other) = lived(world, bench).await;
    let backup = bench.copy();
    let (mut later, back) = (one.clone(), 6 * DAY);
    world.contacts(&ledger, &mut later, 5 * DAY).await;
    stops(ledger).await;

    let ledger = backup.open();
    let cause = RestoreCause::BackupRestored { head: ledger.head() };
    ledger.execute(world.at(back), DeclareRestore { actor: admin(), cause, new_era: era(1) }).await.unwrap();
    let size = ledger.head().size;
    let ledger = restarts(world, &*backup, ledger, back + MINUTE).await;
    assert_eq!(kinds_after(&ledger, size).await, Vec::<String>::new(), "it does not know whether one ran");
    world.contacts(&ledger, &mut other, back + 2 * MINUTE).await;
    let ledger = restarts(world, &*backup, ledger, back + 3 * MINUTE).await;
    world.contacts(&ledger, &mut one, back + 4 * MINUTE).await;
    assert_eq!(noted(world, &ledger).await, []);
    for computer in [&one, &other] {
        assert_eq!(silence(&ledger, computer).await, 28 * 60, "{}", computer.name);
    }
    // That nobody started it for an hour after a restore is known.
    let cause = RestoreCause::BackupRestored { head: ledger.head() };
    ledger
        .execute(world.at(8 * DAY), DeclareRestore { actor: admin(), cause, new_era: era(2) })
        .await
        .unwrap();
    let ledger = restarts(world, &*backup, ledger, 8 * DAY + HOUR).await;
    assert_eq!(noted(world, &ledger).await, [(8 * DAY, 8 * DAY + HOUR)]);
}

pub(super) async fn a_start_after_a_clock_that_was_ahead_says_nothing(world: &World, bench: &dyn Bench) {
    let (ledger, mut one, _) = lived(world, bench).await;
    world.contacts(&ledger, &mut one, 5 * DAY).await;
    world.pull(&ledger, 5 * DAY).await;
    let size = ledger.head().size;
    let ledger = restarts(world, bench, ledger, 2 * DAY).await;
    unchanged(&ledger, size);
    let found = signs(world, &ledger, 2 * DAY).await;
    assert_eq!((found.last, found.newest), (Some(world.at(HOUR)), Some(world.at(5 * DAY))));
}

pub(super) async fn a_pause_that_no_outage_was_in_is_as_long_as_before(world: &World, bench: &dyn Bench) {
    let (ledger, mut one, mut other) = lived(world, bench).await;
    let ledger = restarts(world, bench, ledger, DAY).await;
    for computer in [&mut one, &mut other] {
        world.contacts(&ledger, computer, DAY + MINUTE).await;
    }
    world.contacts(&ledger, &mut other, 3 * DAY).await;
    let ledger = restarts(world, bench, ledger, 3 * DAY + MINUTE).await;
    world.contacts(&ledger, &mut one, 3 * DAY + 2 * MINUTE).await;
    assert_eq!(silence(&ledger, &one).await, (2 * 24 + 4) * 60);
    assert_eq!(SignedDuration::from_mins(silence(&ledger, &other).await).as_hours(), 2 * 24 + 3);
}
