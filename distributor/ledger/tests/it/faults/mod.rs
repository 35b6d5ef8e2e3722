//! Every command, driven through every failure of every call that it makes to its store.
//!
//! Each command of a random history fails first at its first call in every way, then at its second, and so on, until it
//! makes no further call: that run carries it out. After each failure the ledger has what it had, or, where only the
//! answer of the commit was lost, what the command does, whole; a second ledger that meets no fault says what that is.

mod batch;
mod store;

use std::collections::BTreeSet;
use std::fmt::Debug;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, WriteStore};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::log::LogHead;
use sealpost_site::commands::Command;
use sealpost_site::commands::contact::LoadContact;
use sealpost_site::commands::pulls::PullSucceeded;
use sealpost_site::queries::{Activity, Log, LogEnd};
use sealpost_test_support::world::{DAY, World, reject, reserve, token_commands};

pub(crate) use self::store::{Call, Fault, Faults, FaultyStore};
use crate::bench::{Bench, MemoryBench, SqliteBench, settings};
use crate::fixture::WorldExt;
use crate::same::{Pair, Site, asks_everything};

/// More calls than any command makes.
const MOST_CALLS: u32 = 200;

/// What is attempted by each command that there is.
const ATTEMPTED: [&str; 33] = [
    "accept a grant",
    "announce the ways to this server",
    "approve a release",
    "change settings",
    "change who is in a group",
    "commit a contact",
    "enroll a computer",
    "halt a release",
    "let a release through without a test-load",
    "let computers try a release again",
    "let rollouts go on",
    "log a new admin token",
    "log that an admin token is revoked",
    "log the first use of an admin token",
    "log what an admin does at the server",
    "move a computer to another channel",
    "note a delta",
    "note a failed pull",
    "note a pull",
    "note a refused release",
    "note a registration",
    "note a reset counter",
    "note a restore",
    "note a setup file",
    "note a test-load",
    "note an acknowledgement",
    "note that a server listens again",
    "reject a release",
    "reserve a seat",
    "stage a release",
    "stage a release again",
    "steer a rollout",
    "withdraw a release",
];

/// What a client asks for again when it heard no answer; it must hear the same.
const SAME_ANSWER: [&str; 2] = ["commit a contact", "enroll a computer"];

/// A ledger whose store fails when it is told to.
pub(crate) fn faulty(bench: &dyn Bench) -> (Ledger, Faults) {
    let faults = Faults::default();
    let store = FaultyStore { store: bench.store(), faults: faults.clone() };
    let ledger = Ledger::start(Box::new(store), settings()).unwrap();
    if let Some(trust) = bench.trust() {
        ledger.adopt_trust(trust);
    }
    (ledger, faults)
}

/// A transaction that could not be rolled back stays open until the next batch has failed; then the ledger works again. What
/// is asked here writes nothing.
pub(crate) async fn goes_on(ledger: &Ledger, now: Timestamp) {
    let asked = || reject(Sha256Digest::of(b"a release that nobody knows"), "nobody knows it");
    let _ = ledger.execute(now, asked()).await;
    let answer = ledger.execute(now, asked()).await;
    assert!(matches!(answer, Err(LedgerError::Refused(_))), "{answer:?}");
}

/// What is on disk, not what was announced.
pub(crate) async fn stored_head(ledger: &Ledger) -> LogHead {
    ledger.query(Log {}).await.unwrap().head()
}

/// A command fails at each of its calls in every way, and then is carried out. `sound` carries it out when it is known
/// that only the answer was lost. Answers what the last run was answered.
pub(crate) async fn fails_everywhere<C>(
    (faulty, faults): (&Ledger, &Faults),
    sound: &Ledger,
    now: Timestamp,
    command: &C,
) -> Result<C::Answer, LedgerError>
where
    C: Command + Clone + Debug,
    C::Answer: Debug,
    dyn WriteStore: Read<C::Facts>,
{
    let mut first: Option<String> = None;
    for nth in 1..MOST_CALLS {
        for fault in Fault::ALL {
            let before = stored_head(faulty).await;
            faults.arm(nth, fault);
            let answer = faulty.execute(now, command.clone()).await;
            let Some(call) = faults.disarm() else {
                // A retry is known as one, and hears the same otherwise.
                let again = format!("{answer:?}").replace("retry: true", "retry: false");
                assert!(
                    !matches!(answer, Err(LedgerError::Failed { .. })),
                    "{command:?} without a fault: {again}"
                );
                let Some(first) = first else { return answer };
                if SAME_ANSWER.contains(&C::ATTEMPTED) {
                    // It may have been a retry before.
                    let first = first.replace("retry: true", "retry: false");
                    assert_eq!(again, first, "{command:?} is answered in the same way again");
                }
                return answer;
            };
            let place = format!("{command:?}, with {fault:?} at {call:?}");
            assert!(matches!(answer, Err(LedgerError::Failed { .. })), "{place}: {answer:?}");
            if (call, fault) == (Call::Commit, Fault::After) {
                first = Some(format!("{:?}", sound.execute(now, command.clone()).await));
                assert_eq!(stored_head(faulty).await, stored_head(sound).await, "{place}: not whole");
            } else {
                assert_eq!(stored_head(faulty).await, before, "{place}: something of it is there");
            }
            if fault == Fault::BeforeAndNoRollBack {
                goes_on(faulty, now).await;
            }
        }
    }
    panic!("{command:?} never ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_survives_every_failure_of_every_call_to_its_store() {
    let (mut attempted, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..2 {
        let world = World::new();
        let mut sqlite: Box<dyn Bench> = Box::new(SqliteBench::new(&world));
        let memory = MemoryBench::new(&world);
        let mut site = Site::new(&world, Pair::with_faults(&*sqlite, memory.open()), 500 + seed);
        site.begins().await;
        for _ in 0..3 {
            for _ in 0..80 {
                site.step().await;
            }
            asks_everything(&site.pair, &site.known).await;
        }
        attempted.extend(site.pair.attempted());
        tried.extend(site.pair.tried());
        let known = site.known.clone();
        site.pair.close().await;
        // A killed server finds the same, and so does what the log alone makes.
        sqlite = sqlite.copy();
        let pair = Pair::of(sqlite.open(), memory.open());
        asks_everything(&pair, &known).await;
        pair.close().await;
    }
    assert_eq!(attempted, ATTEMPTED.into(), "every command is tried");
    for call in [Call::Read, Call::Begin, Call::Savepoint, Call::Append, Call::Note, Call::Keep, Call::Commit]
    {
        for fault in Fault::ALL {
            assert!(tried.contains(&(call, fault)), "{call:?} never fails as {fault:?}");
        }
    }
    for call in [Call::Undo, Call::RollBack] {
        assert!(tried.contains(&(call, Fault::Before)), "{call:?} never fails");
    }
}

/// A store that lost the answer of its commit: what stands in the log counts at once, and not only after the next start.
#[tokio::test]
async fn a_token_that_was_revoked_by_a_commit_whose_answer_was_lost_is_revoked() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let (ledger, faults) = faulty(&bench);
    let mut told = ledger.subscribe();
    let (made, used, revoked, _) = token_commands("bob");
    ledger.execute(world.at(1), made).await.unwrap();
    ledger.execute(world.at(2), used).await.unwrap();
    let (before, mut lost) = (ledger.head(), false);
    for nth in 1..MOST_CALLS {
        faults.arm(nth, Fault::After);
        let answer = ledger.execute(world.at(3), revoked.clone()).await;
        let Some(call) = faults.disarm() else { break };
        assert!(answer.is_err(), "{call:?}");
        let is_written = stored_head(&ledger).await != before;
        assert_eq!(is_written, call == Call::Commit, "{call:?}");
        assert_eq!(ledger.token_changes().unwrap().len(), if is_written { 3 } else { 2 }, "{call:?}");
        if is_written {
            assert_eq!(*told.borrow_and_update(), ledger.head().size, "whoever follows the log hears of it");
            lost = true;
            break;
        }
    }
    assert!(lost, "the answer of no commit was lost");
}

#[tokio::test]
async fn a_statement_of_the_vendor_that_was_not_written_moves_no_time() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let (ledger, faults) = faulty(&bench);
    world.unlock(&ledger, 1_000).await;
    let ahead = world.at(10 * DAY);
    let stated = |version, signed_at| PullSucceeded {
        statement: VendorStatement::new(signed_at, world.at(366 * DAY)),
        ..world.pulled(version)
    };
    ledger.execute(world.at(10), stated(1, ahead)).await.unwrap();
    let mut met = BTreeSet::new();
    for nth in 1..MOST_CALLS {
        for fault in [Fault::Before, Fault::Ended] {
            faults.arm(nth, fault);
            let answer = ledger.execute(world.at(20), stated(2, world.at(15))).await;
            let Some(call) = faults.disarm() else {
                assert!(met.contains(&Call::Commit), "nothing failed");
                return;
            };
            met.insert(call);
            assert!(answer.is_err());
            ledger
                .execute(world.at(20), reserve(&format!("pc-{nth}-{fault:?}").to_lowercase()))
                .await
                .unwrap();
            let newest = Activity { end: LogEnd::Newest, limit: Some(1), ..Activity::default() };
            let at = ledger.query(newest).await.unwrap()[0].entry.at();
            assert!(
                at >= ahead,
                "the vendor's statement was lost with {fault:?} at {call:?}, and time went back to {at}"
            );
        }
    }
}

/// Whatever fails at a start, the server goes on, and knows when none ran.
#[tokio::test]
async fn a_server_whose_ledger_cannot_be_written_starts_and_knows_when_none_ran() {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    world.unlock(&ledger, 1_000).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    ledger.close().await.unwrap();
    let mut met = BTreeSet::new();
    for nth in 1..MOST_CALLS {
        for fault in Fault::ALL {
            let copy = bench.copy();
            let (ledger, faults) = faulty(&*copy);
            faults.arm(nth, fault);
            ledger.listens_from(world.at(5 * DAY)).await.unwrap();
            let Some(call) = faults.disarm() else {
                assert!(
                    met.contains(&Call::Begin) && met.contains(&Call::Append) && met.contains(&Call::Commit)
                );
                return;
            };
            met.insert(call);
            if fault == Fault::BeforeAndNoRollBack {
                goes_on(&ledger, world.at(5 * DAY)).await;
            }
            let mut computer = computer.clone();
            world.contacts(&ledger, &mut computer, 5 * DAY + 3_600).await;
            let client_id = computer.client_id.clone().unwrap();
            let query = LoadContact { client_id, reports: false, runs: Vec::new(), shown: None };
            let last = ledger.query(query).await.unwrap().client.unwrap().last.unwrap();
            let silence = last.cadence.unwrap().silence().as_hours();
            assert_eq!(silence, 28, "{fault:?} at {call:?}: five days were taken for a pause");
        }
    }
    panic!("a start never ends");
}
