//! Contracts of copied disks and old ones, before a restored ledger and before a whole one: who goes on, and who does not.

use sealpost_manifests::order::Ordered;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::commands::Command;
use sealpost_site::commands::clients::Enroll;
use sealpost_site::commands::contact::LoadContact;
use sealpost_site::queries::{HolderById, SetupOf};
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::enrollment::Proof;
use sealpost_site::rules::enrollment::SetupState;
use sealpost_site::rules::restore::{Receipt, RestoreState};
use sealpost_test_support::world::{DAY, World, era};

use super::restored::{RESTORED, lived_in, lives_on, stops};
use crate::bench::Bench;
use crate::fixture::{
    WorldExt, client, entries_of, kinds_after, licenses, refused, restores, sound, unchanged,
};

pub(super) async fn who_came_further_displaces_an_old_copy_of_its_disk_that_went_on_first(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut right = lived_in(world, &ledger, 5).await;
    let backup = bench.copy();
    world.contacts(&ledger, &mut right, DAY + 50).await;
    let mut thief = right.clone();
    lives_on(world, &ledger, &mut right).await;
    stops(ledger).await;

    let ledger = backup.open();
    thief.contacts = 100;
    world.goes_on(&ledger, &mut thief, RESTORED, 1).await;
    for contact in 0..10 {
        world.contacts(&ledger, &mut thief, RESTORED + 10 + contact).await;
    }
    let outcome = world.goes_on(&ledger, &mut right, RESTORED + 100, 2).await;
    assert!(outcome.lease.unwrap().order() > thief.lease.as_ref().unwrap().order());
    let row = client(&ledger, &right.name).await.resumed.unwrap();
    assert_eq!((row.contacts, row.displaced), (6, Some(3)));
    let head = ledger.head().size;
    assert_eq!(refused(world.tries(&ledger, &thief, RESTORED + 200).await), ProblemCode::NonceUnknown);
    for number in 3..6 {
        let tries = world.tries_to_go_on(&ledger, &thief, RESTORED + 200, number).await;
        assert_eq!(refused(tries), ProblemCode::Displaced);
    }
    // Nor does what it held before the restore bring it back.
    let mut older = thief.clone();
    older.receipt = Some(Receipt { era: era(0), contacts: 3 });
    older.contacts = 200;
    let tries = world.tries_to_go_on(&ledger, &older, RESTORED + 200, 3).await;
    assert_eq!(refused(tries), ProblemCode::Displaced);
    unchanged(&ledger, head);
    world.contacts(&ledger, &mut right, RESTORED + 300).await;
    sound(&ledger).await;
}

pub(super) async fn two_copies_of_one_disk_that_go_on_are_a_fork(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let backup = bench.copy();
    lives_on(world, &ledger, &mut computer).await;
    let mut clone = computer.clone();
    clone.contacts = 100;
    stops(ledger).await;

    let ledger = backup.open();
    world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    let head = ledger.head().size;
    let tries = world.tries_to_go_on(&ledger, &clone, RESTORED + 1, 2).await;
    assert_eq!(refused(tries), ProblemCode::ContactForked);
    assert_eq!(kinds_after(&ledger, head).await, ["fork_detected", "copy_seen", "copy_seen"]);
    assert_eq!(client(&ledger, &computer.name).await.state, ClientState::Forked);
    let genuine = world.tries(&ledger, &computer, RESTORED + 2).await;
    assert_eq!(refused(genuine), ProblemCode::ContactForked);
    let clone = world.tries_to_go_on(&ledger, &clone, RESTORED + 3, 3).await;
    assert_eq!(refused(clone), ProblemCode::ContactForked);
    unchanged(&ledger, head + 3);
}

pub(super) async fn an_old_disk_shows_nothing_to_a_ledger_that_lost_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let mut old = computer.clone();
    lives_on(world, &ledger, &mut computer).await;
    old.contacts = 100;
    let head = ledger.head().size;
    for number in 1..4 {
        let tries = world.tries_to_go_on(&ledger, &old, RESTORED, number).await;
        assert_eq!(refused(tries), ProblemCode::NonceUnknown);
        // A receipt of another client or server is none.
        old.receipt = None;
    }
    // The same from a computer that was replaced.
    let again = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(RESTORED), again.issue_setup()).await.unwrap();
    ledger.execute(world.at(RESTORED), world.enroll(&again)).await.unwrap();
    let tries = world.tries_to_go_on(&ledger, &computer, RESTORED, 1).await;
    assert_eq!(refused(tries), ProblemCode::UnknownComputer);
    unchanged(&ledger, head + 2);
    assert_eq!(restores(&ledger).await, RestoreState::default());
}

pub(super) async fn a_client_id_that_was_replaced_stays_so_after_restores_too(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut old = lived_in(world, &ledger, 5).await;
    let backup = bench.copy();
    world.contacts(&ledger, &mut old, DAY + 100).await;
    let mut new = world.computer("pc-1").with_setup(2);
    ledger.execute(world.at(DAY + 200), new.issue_setup()).await.unwrap();
    let enrolled = ledger.execute(world.at(DAY + 200), world.enroll(&new)).await.unwrap();
    new.enrolled(&enrolled);
    world.contacts(&ledger, &mut new, DAY + 300).await;
    stops(ledger).await;

    let mut ledger = backup.open();
    // The old one comes first: the ledger knows it, and lost that it was replaced.
    world.goes_on(&ledger, &mut old, RESTORED, 1).await;
    world.goes_on(&ledger, &mut new, RESTORED + 10, 2).await;
    let resumed = entries_of(&ledger, "client_resumed").await;
    let Some(Change::ClientResumed { recreated: Some(recreated), .. }) = resumed[1].entry.change() else {
        panic!("{:?}", resumed[1].entry);
    };
    assert_eq!(recreated.replaces, old.client_id);
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = backup.open();
        }
        let gone = HolderById { client_id: old.client_id.clone().unwrap() };
        assert!(ledger.query(gone).await.unwrap().is_none());
        let row = client(&ledger, &new.name).await;
        assert_eq!(row.client_id, new.client_id);
        assert_eq!((licenses(&ledger).await[0].used, licenses(&ledger).await[0].active), (1, 1));
        let head = ledger.head().size;
        let tries = world.tries_to_go_on(&ledger, &old, RESTORED + 20, 3).await;
        assert_eq!(refused(tries), ProblemCode::UnknownComputer);
        unchanged(&ledger, head);
        let asked = LoadContact {
            client_id: old.client_id.clone().unwrap(),
            reports: false,
            runs: Vec::new(),
            shown: world.answer_shown(&old, 3).facts().shown,
        };
        assert!(ledger.query(asked).await.unwrap().lost.unwrap().was_replaced);
    }
    // The setup file that the old one used is not free again, although nobody holds its key any more.
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    assert_eq!(ledger.query(SetupOf { name: old.name.clone() }).await.unwrap(), SetupState::Reserved);
    let thief = Enroll { proof: Proof::Setup(old.setup.clone()), ..world.enroll(&world.computer("pc-1")) };
    let answer = ledger.execute(world.at(RESTORED + 30), thief).await;
    assert_eq!(refused(answer), ProblemCode::EnrollmentCodeWrong);
    sound(&ledger).await;
}
