//! Contracts of enrollment, and of the computers that wait for a seat.

use futures_util::future::join_all;
use sealpost_ledger::Ledger;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::{Change, ComputerKnocked};
use sealpost_site::commands::clients::Enroll;
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::queries::{Activity, ClientKey, HolderById, SetupOf};
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::enrollment::{IssuedSetup, Proof, SetupState};
use sealpost_site::rules::pending::MAX_PENDING;
use sealpost_site::rules::restore::NamedHead;
use sealpost_test_support::world::{DAY, SETUP_DAYS, World, computer_name, reserve};

use crate::bench::Bench;
use crate::fixture::{WorldExt, activity, client, kinds, licenses, refused, sound, unchanged};

pub(super) async fn a_retry_of_an_enrollment_gets_the_same_answer_after_a_restart_too(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let computer = world.reserved(&ledger, "pc-1").await;
    let expires_at = world.at(2 + i64::from(SETUP_DAYS) * DAY);
    let issued = IssuedSetup { setup: computer.setup.clone(), expires_at, used_by: None, admitted: None };
    assert_eq!(setup_of(&ledger, "pc-1").await, SetupState::Issued(issued.clone()));
    assert_eq!(setup_of(&ledger, "pc-2").await, SetupState::Unknown);
    let first = world.enrolls(&ledger, &computer).await.unwrap();
    let head = ledger.head().size;
    let again = world.enrolls(&ledger, &computer).await.unwrap();
    assert_eq!(first.enrolled, again.enrolled);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let restarted = world.enrolls(&ledger, &computer).await.unwrap();
    assert_eq!(first.enrolled, restarted.enrolled);
    let texts = |grants: &[SignedDocument]| -> Vec<String> {
        grants.iter().map(|grant| grant.document.clone()).collect()
    };
    assert_eq!(texts(&first.grants), texts(&restarted.grants));
    assert_eq!(first.grants.len(), 1);
    let used = IssuedSetup { used_by: Some(computer.key.clone()), ..issued };
    assert_eq!(setup_of(&ledger, "pc-1").await, SetupState::Issued(used));
    unchanged(&ledger, head);
    let row = client(&ledger, &computer.name).await;
    assert_eq!(row.state, ClientState::Active);
    assert_eq!(row.display_version().to_string(), "V 0.0 (0000)");
}

async fn setup_of(ledger: &Ledger, name: &str) -> SetupState {
    ledger.query(SetupOf { name: computer_name(name) }).await.unwrap()
}

pub(super) async fn a_used_code_is_refused_to_another_key_and_a_wrong_code_to_all(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let computer = world.reserved(&ledger, "pc-1").await;
    world.reserved(&ledger, "pc-2").await;
    world.enrolls(&ledger, &computer).await.unwrap();
    let head = ledger.head().size;
    let thief = world.computer("pc-1");
    assert_eq!(refused(world.enrolls(&ledger, &thief).await), ProblemCode::EnrollmentCodeUsed);
    let guesser = world.computer("pc-1").with_setup(2);
    assert_eq!(refused(world.enrolls(&ledger, &guesser).await), ProblemCode::EnrollmentCodeWrong);
    let guess = Enroll { proof: Proof::Wrong, ..world.enroll(&thief) };
    let answer = ledger.execute(world.at(3), guess).await;
    assert_eq!(refused(answer), ProblemCode::EnrollmentCodeWrong);
    // The name under which the code was issued counts.
    let mut swapped = world.computer("pc-2");
    swapped.setup = computer.setup.clone();
    assert_eq!(refused(world.enrolls(&ledger, &swapped).await), ProblemCode::EnrollmentCodeWrong);
    // A reserved name without a setup file.
    let bare = world.computer("pc-3");
    ledger.execute(world.at(4), reserve("pc-3")).await.unwrap();
    assert_eq!(refused(world.enrolls(&ledger, &bare).await), ProblemCode::EnrollmentCodeWrong);
    // Each of the four keys that guessed waits in the list, and the reservation is the fifth entry.
    unchanged(&ledger, head + 5);
    let row = client(&ledger, &computer.name).await;
    assert_eq!(row.client_key, Some(computer.key));
}

pub(super) async fn a_code_that_nobody_used_ends_and_one_that_was_used_answers_its_key_for_ever(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let used = world.enrolled(&ledger, "pc-1").await;
    let late = world.reserved(&ledger, "pc-2").await;
    let head = ledger.head().size;
    let after = world.at(2 + i64::from(SETUP_DAYS) * DAY + 1);
    let answer = ledger.execute(after, world.enroll(&late)).await;
    assert_eq!(refused(answer), ProblemCode::EnrollmentCodeExpired);
    let again = ledger.execute(after, world.enroll(&used)).await.unwrap();
    assert_eq!(Some(again.enrolled.client_id), used.client_id);
    unchanged(&ledger, head);
    let renewed = late.with_setup(2);
    ledger.execute(after, renewed.issue_setup()).await.unwrap();
    assert!(ledger.execute(after, world.enroll(&renewed)).await.is_ok());
}

pub(super) async fn an_unknown_computer_waits_and_takes_no_seat(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let stranger = world.computer("stranger");
    for _ in 0..3 {
        assert_eq!(refused(world.enrolls(&ledger, &stranger).await), ProblemCode::EnrollmentCodeWrong);
    }
    assert_eq!(kinds(&ledger).await, ["server_initialized", "grant_accepted", "computer_knocked"]);
    assert_eq!(licenses(&ledger).await[0].used, 0);
    let setup = ledger.execute(world.at(4), stranger.issue_setup()).await;
    assert_eq!(refused(setup), ProblemCode::NotReserved);
}

pub(super) async fn a_full_list_of_unknown_computers_makes_room_for_one_after_a_day(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let ask = async |name: &str, seconds: i64| {
        let answer = ledger.execute(world.at(seconds), world.enroll(&world.computer(name))).await;
        assert_eq!(refused(answer), ProblemCode::EnrollmentCodeWrong);
    };
    ask("oldest", 10).await;
    ask("second", 11).await;
    let names: Vec<String> = (2..MAX_PENDING).map(|number| format!("stranger-{number}")).collect();
    join_all(names.iter().map(|name| ask(name, 12))).await;
    let full = ledger.head().size;
    assert_eq!(full, 2 + MAX_PENDING);
    // Neither a known name nor a full list logs anything.
    for name in ["stranger-7", "late", "later"] {
        ask(name, 10 + DAY).await;
    }
    unchanged(&ledger, full);
    // One second later the oldest has stood there for more than a day, and the second has not.
    ask("late", 11 + DAY).await;
    ask("later", 11 + DAY).await;
    unchanged(&ledger, full + 1);
    // A name that gets a seat makes no room: its computer still waits, and who stood there for a day makes it.
    ledger.execute(world.at(12 + DAY), reserve("stranger-7")).await.unwrap();
    ask("later", 12 + DAY).await;
    unchanged(&ledger, full + 3);
    let newest = seen_after(&ledger, full).await;
    let dropped = Some(computer_name("oldest"));
    assert_eq!(
        newest,
        [(computer_name("late"), dropped), (computer_name("later"), Some(computer_name("second")))]
    );
    sound(&ledger).await;
}

/// Who was seen after an entry, and who left the list for it.
async fn seen_after(ledger: &Ledger, after: u64) -> Vec<(ComputerName, Option<ComputerName>)> {
    let entries = activity(ledger, Activity { after, ..Activity::default() }).await;
    let seen = entries.into_iter().filter_map(|logged| match logged.entry.change() {
        Some(Change::ComputerKnocked(ComputerKnocked { name, drops, .. })) => {
            Some((name.clone(), drops.as_ref().map(|dropped| dropped.name.clone())))
        }
        _ => None,
    });
    seen.collect()
}

pub(super) async fn a_new_setup_replaces_the_client_and_takes_no_second_seat(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut old = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut old, 10).await;
    let mut new = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(20), new.issue_setup()).await.unwrap();
    // The old code is void at once; the old client goes on until the new one comes.
    assert_eq!(refused(world.enrolls(&ledger, &old).await), ProblemCode::EnrollmentCodeWrong);
    world.contacts(&ledger, &mut old, 21).await;
    let enrolled = world.enrolls(&ledger, &new).await.unwrap();
    assert_ne!(Some(&enrolled.enrolled.client_id), old.client_id.as_ref());
    let late = world.tries(&ledger, &old, 30).await;
    assert_eq!(refused(late), ProblemCode::UnknownComputer);
    let gone = HolderById { client_id: old.client_id.unwrap() };
    assert!(ledger.query(gone).await.unwrap().is_none());
    let fresh = client(&ledger, &new.name).await;
    assert_eq!((fresh.last_contact, fresh.lease_until), (None, None), "nothing of the old one is left");
    new.enrolled(&enrolled);
    assert!(world.contacts(&ledger, &mut new, 31).await.lease.is_some());
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.used, row.active), (1, 1));
    sound(&ledger).await;
}

pub(super) async fn a_client_id_keeps_its_key_and_a_computer_that_enrolls_again_gets_another_id(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 2).await;
    let old = world.enrolled(&ledger, "pc-1").await;
    let other = world.enrolled(&ledger, "pc-2").await;
    let old_id = old.client_id.clone().unwrap();
    let key_of = async |client_id: &_| {
        let client_id = Clone::clone(client_id);
        ledger.query(ClientKey { client_id }).await.unwrap()
    };
    assert_eq!(key_of(&old_id).await.as_ref(), Some(&old.key));
    assert_eq!(ledger.client_key(&old_id).await.unwrap().as_ref(), Some(&old.key));
    let mut new = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(20), new.issue_setup()).await.unwrap();
    new.enrolled(&world.enrolls(&ledger, &new).await.unwrap());
    let new_id = new.client_id.clone().unwrap();
    for _ in 0..2 {
        assert_eq!(ledger.client_key(&new_id).await.unwrap().as_ref(), Some(&new.key));
    }
    assert_eq!(key_of(&new_id).await.as_ref(), Some(&new.key));
    assert_eq!(key_of(&old_id).await, None);
    // The remembered key of an id that is gone is never another one, and what it signs is still refused.
    let remembered = ledger.client_key(&old_id).await.unwrap();
    assert!(remembered.is_none_or(|key| key == old.key));
    assert_eq!(refused(world.tries(&ledger, &old, 30).await), ProblemCode::UnknownComputer);
    let other_id = other.client_id.clone().unwrap();
    assert_eq!(ledger.client_key(&other_id).await.unwrap(), Some(other.key));
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    assert_eq!(ledger.client_key(&old_id).await.unwrap(), None);
    assert_eq!(ledger.client_key(&new_id).await.unwrap(), Some(new.key));
}

pub(super) async fn a_request_for_another_server_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let computer = world.enrolled(&ledger, "pc-1").await;
    let head = ledger.head().size;
    let mut enroll = world.enroll(&computer);
    enroll.enrollment.server_id = ServerId::from_random([1; 16]);
    let answer = ledger.execute(world.at(5), enroll).await;
    assert_eq!(refused(answer), ProblemCode::WrongServer);
    let mut contact = world.contact(&computer);
    contact.server_id = ServerId::from_random([1; 16]);
    let answer = ledger
        .execute(
            world.at(5),
            AnswerContact { contact, shown: None, head: NamedHead::OfThisLog, came_by: None },
        )
        .await;
    assert_eq!(refused(answer), ProblemCode::WrongServer);
    unchanged(&ledger, head);
}
