//! A log that was cut at its end, or rewritten whole so that its own check finds nothing: the first computer that holds a
//! later head shows it, and what a computer only says shows nothing.

use rusqlite::Connection;
use sealpost_ledger::Ledger;
use sealpost_ledger::sqlite::verify_file;
use sealpost_ledger::store::Split;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::{Frontier, LogHead};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::chain::{LinkedEntry, ReadEntry, read};
use sealpost_site::commands::contact::{AnswerContact, ContactOutcome};
use sealpost_site::commands::restores::AcknowledgeRestore;
use sealpost_site::queries::Restores;
use sealpost_site::rules::expiries::Level;
use sealpost_site::rules::restore::NamedHead;
use sealpost_site::rules::warnings::restored;
use sealpost_test_support::world::{Computer, DAY, World, admin, reserve};

use super::lived_in;
use crate::bench::{Bench, SqliteBench};
use crate::fixture::{WorldExt, kinds_after, refused, unchanged};

/// A contact as the server takes it: the head that it names is looked up.
async fn contact(
    world: &World,
    ledger: &Ledger,
    sent: AnswerContact,
    seconds: i64,
) -> Result<ContactOutcome, ProblemCode> {
    let head = ledger.judge_head(sent.contact.held_head).await.unwrap();
    match ledger.execute(world.at(seconds), AnswerContact { head, ..sent }).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(refused::<ContactOutcome>(Err(error))),
    }
}

/// The file is made again from its entries, with one of them changed, and its notes are kept: nothing in it disagrees.
fn rewritten(world: &World, bench: &SqliteBench) -> SqliteBench {
    let old = Connection::open(bench.path()).unwrap();
    let mut statement = old.prepare("SELECT entry FROM activity ORDER BY sequence").unwrap();
    let entries = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let changed = SqliteBench::new(world);
    let Split { mut writer, .. } = changed.store().split(0, &std::sync::Arc::default()).unwrap();
    let mut log = Frontier::empty();
    writer.begin().unwrap();
    for bytes in entries {
        let text = String::from_utf8(bytes.unwrap()).unwrap();
        let bytes = text
            .replace("192.0.2.7", "192.0.2.8")
            .replace("\"payload_bytes\":1000", "\"payload_bytes\":1001");
        let ReadEntry::Known(entry) = read(bytes.as_bytes()).unwrap() else { panic!("{bytes}") };
        let linked = LinkedEntry::of_stored(&mut log, *entry, bytes.into_bytes());
        if linked.entry.sequence > 1 {
            writer.savepoint().unwrap();
            writer.append(&linked).unwrap();
            writer.keep().unwrap();
        }
    }
    writer.commit().unwrap();
    drop(writer);
    let new = Connection::open(changed.path()).unwrap();
    new.execute("ATTACH ?1 AS old", [bench.path().to_str().unwrap()]).unwrap();
    for notes in ["contacts", "seen", "installed", "sent", "freshness", "clock"] {
        new.execute_batch(&format!("DELETE FROM {notes}; INSERT INTO {notes} SELECT * FROM old.{notes}"))
            .unwrap();
    }
    changed
}

/// A ledger with a computer that holds a head of its log, closed.
async fn site() -> (World, SqliteBench, Computer) {
    let world = World::new();
    let bench = SqliteBench::new(&world);
    let ledger = bench.open();
    lived_in(&world, &ledger).await;
    let mut computer = world.enrolled(&ledger, "pc-7").await;
    world.contacts(&ledger, &mut computer, 500_000).await;
    assert!(computer.held_head.is_some());
    ledger.close().await.unwrap();
    (world, bench, computer)
}

/// The first contact finds it: the computer is asked, its lease is the proof, and it is answered; nothing new is given.
async fn is_found(world: &World, ledger: &Ledger, computer: &mut Computer) {
    let head = ledger.head().size;
    let asked = contact(world, ledger, world.answer(computer), 500_100).await;
    assert_eq!(asked.unwrap_err(), ProblemCode::LedgerBehind);
    unchanged(ledger, head);
    let sent = world.answer_shown(computer, 7);
    let next = sent.contact.next.clone();
    let answer = contact(world, ledger, sent, 500_101).await.unwrap();
    computer.answered(next, &answer);
    assert_eq!(kinds_after(ledger, head).await[0], "ledger_restored");
    let state = ledger.query(Restores {}).await.unwrap();
    assert!(state.unconfirmed().is_some());
    assert_eq!(restored(&state, &[], world.at(500_102)).unwrap().level, Level::Urgent);
    let seat = ledger.execute(world.at(500_102), reserve("pc-9")).await;
    assert_eq!(refused(seat), ProblemCode::Unconfirmed);
    // It is said once; from then on nobody is asked.
    let after = ledger.head().size;
    let sent = world.answer(computer);
    let next = sent.contact.next.clone();
    let answer = contact(world, ledger, sent, 500_103).await.unwrap();
    computer.answered(next, &answer);
    unchanged(ledger, after);
}

#[tokio::test]
async fn a_log_that_was_rewritten_whole_is_found_by_the_first_computer_that_held_a_later_head() {
    let (world, bench, mut computer) = site().await;
    let bench = rewritten(&world, &bench);
    let check = verify_file(&bench.path(), Vec::new()).unwrap();
    assert_eq!((check.damage, check.tables.differing), (None, 0), "it agrees with itself");
    let held = computer.held_head.unwrap();
    assert!(
        verify_file(&bench.path(), vec![held]).unwrap().damage.is_some(),
        "a head that was kept shows it"
    );
    let ledger = bench.open();
    is_found(&world, &ledger, &mut computer).await;
    acknowledged(&world, &ledger).await;
}

#[tokio::test]
async fn a_log_that_was_cut_at_its_end_is_found_by_the_first_computer_that_held_a_later_head() {
    let (world, bench, mut computer) = site().await;
    let held = computer.held_head.unwrap();
    let connection = Connection::open(bench.path()).unwrap();
    connection.execute("DELETE FROM activity WHERE sequence >= ?1", [held.size as i64]).unwrap();
    drop(connection);
    let ledger = bench.open();
    is_found(&world, &ledger, &mut computer).await;
}

/// Somebody says that they have seen it: it is a notice then, and still nothing is confirmed.
async fn acknowledged(world: &World, ledger: &Ledger) {
    let say = |comment: &str| AcknowledgeRestore { actor: admin(), comment: comment.to_owned() };
    for bad in ["", "  \n", &"x".repeat(1_001)] {
        assert_eq!(refused(ledger.execute(world.at(500_200), say(bad)).await), ProblemCode::BadRequest);
    }
    let longest = format!("somebody edited it; ticket 4711 {}", "x".repeat(968));
    ledger.execute(world.at(500_200), say(&longest)).await.unwrap();
    let again = ledger.execute(world.at(500_201), say("me too")).await;
    assert_eq!(refused(again), ProblemCode::WrongState);
    let state = ledger.query(Restores {}).await.unwrap();
    let said = state.unconfirmed().unwrap().acknowledged.clone().unwrap();
    assert_eq!(said.comment, longest, "nothing is cut");
    let warning = restored(&state, &[], world.at(500_202)).unwrap();
    assert_eq!(warning.level, Level::Notice);
    for part in ["ticket 4711", "alice", "register SERIAL"] {
        assert!(warning.message.contains(part), "{warning:?}");
    }
    let seat = ledger.execute(world.at(500_202), reserve("pc-9")).await;
    assert_eq!(refused(seat), ProblemCode::Unconfirmed);
}

#[tokio::test]
async fn there_is_nothing_to_acknowledge_in_a_ledger_that_was_never_restored() {
    let (world, bench, _) = site().await;
    let ledger = bench.open();
    let command = AcknowledgeRestore { actor: admin(), comment: "just so".to_owned() };
    assert_eq!(refused(ledger.execute(world.at(500_200), command).await), ProblemCode::WrongState);
}

#[tokio::test]
async fn a_computer_that_lies_about_a_head_changes_nothing() {
    let (world, bench, computer) = site().await;
    let ledger = bench.open();
    let head = ledger.head().size;
    let mut liar = computer.clone();
    for invented in [
        LogHead { size: 3, root: Sha256Digest::of(b"invented") },
        LogHead { size: head + 1_000, root: Sha256Digest::of(b"invented") },
    ] {
        liar.held_head = Some(invented);
        assert_eq!(ledger.judge_head(liar.held_head).await.unwrap(), NamedHead::OfAnotherLog);
        let named = contact(&world, &ledger, world.answer(&liar), 500_100).await;
        assert_eq!(named.unwrap_err(), ProblemCode::LedgerBehind);
        unchanged(&ledger, head);
    }
    // Its lease carries another head, so it proves nothing; it is answered as always.
    contact(&world, &ledger, world.answer_shown(&liar, 7), 500_101).await.unwrap();
    unchanged(&ledger, head);
    assert!(ledger.query(Restores {}).await.unwrap().restored.is_none());
}

#[tokio::test]
async fn who_holds_no_lease_that_counts_is_not_asked_for_one() {
    let (world, bench, mut computer) = site().await;
    let ledger = bench.open();
    computer.held_head = Some(LogHead { size: 3, root: Sha256Digest::of(b"of a lost log") });
    computer.lease = None;
    assert!(contact(&world, &ledger, world.answer(&computer), 500_100).await.is_ok());
    assert!(ledger.query(Restores {}).await.unwrap().restored.is_none());
}

#[tokio::test]
async fn a_lease_of_before_the_vendor_confirmed_freezes_nothing() {
    let (world, bench, mut computer) = site().await;
    let bench = rewritten(&world, &bench);
    let ledger = bench.open();
    is_found(&world, &ledger, &mut computer).await;
    let asks = world.asks_to_confirm(2);
    ledger.execute(world.at(500_300), asks).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 3)).await.unwrap();
    assert!(ledger.query(Restores {}).await.unwrap().unconfirmed().is_none());
    // It still holds the head of the lost log, is asked once, and gets a lease of the new epoch.
    let head = ledger.head().size;
    let asked = contact(&world, &ledger, world.answer(&computer), 500_000 + DAY).await;
    assert_eq!(asked.unwrap_err(), ProblemCode::LedgerBehind);
    let answer = contact(&world, &ledger, world.answer_shown(&computer, 8), 500_000 + DAY).await.unwrap();
    assert_eq!(answer.lease.unwrap().epoch, Epoch::of(2, 0));
    assert!(!kinds_after(&ledger, head).await.contains(&"ledger_restored".to_owned()));
    assert!(ledger.query(Restores {}).await.unwrap().unconfirmed().is_none());
}
