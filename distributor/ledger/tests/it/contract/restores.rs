//! Contracts of a ledger that is older than what it answered. What is restored here is a copy of the whole store, as of
//! a server's home, or what the log alone makes.

use sealpost_ledger::Ledger;
use sealpost_manifests::assignment::Action;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{Epoch, Ordered};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_site::changes::Change;
use sealpost_site::commands::clients::LoadEnrollment;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::commands::undoing::{HaltRelease, WhoRunsIt};
use sealpost_site::queries::{Endings, Setups};
use sealpost_site::rows::ResumedRow;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::restore::{Receipt, RestoreCause, RestoreState};
use sealpost_site::rules::setups::CodeState;
use sealpost_test_support::world::{
    Computer, DAY, World, admin, era, installed, report, reserve, reserve_of, serial,
};

use super::restored::{RESTORED, lived_in, lives_on, stops};
use crate::bench::Bench;
use crate::fixture::{
    WorldExt, activity, client, clients, entries_of, find_client, kinds_after, licenses, refused, release,
    restores, sound, unchanged,
};

pub(super) async fn a_restored_ledger_learns_of_its_loss_from_a_client_which_goes_on(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let backup = bench.copy();
    lives_on(world, &ledger, &mut computer).await;
    stops(ledger).await;

    let mut ledger = backup.open();
    let head = ledger.head().size;
    assert_eq!(refused(world.tries(&ledger, &computer, RESTORED).await), ProblemCode::NonceUnknown);
    unchanged(&ledger, head);
    assert_eq!(restores(&ledger).await, RestoreState::default());
    let held = computer.clone();
    let outcome = world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    let expected = ["ledger_restored", "client_resumed", "lease_issued", "assignment_changed"];
    assert_eq!(kinds_after(&ledger, head).await, expected);
    let (lease, shown) = (outcome.lease.unwrap(), held.lease.as_ref().unwrap());
    assert!(lease.order() > shown.order() && lease.epoch == shown.epoch);
    assert_eq!(lease.entitlements[0].grant, shown.entitlements[0].grant);
    assert!(outcome.assignment.unwrap().order() > held.assignment.as_ref().unwrap().order());
    assert_eq!(outcome.receipt, Receipt { era: era(1), contacts: 6 });
    let after = ledger.head().size;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = backup.open();
        }
        let state = restores(&ledger).await;
        assert_eq!((&state.era, state.past.as_slice()), (&era(1), [era(0)].as_slice()));
        let restored = state.unconfirmed().unwrap();
        assert_eq!((restored.at, restored.epoch), (world.at(RESTORED), Epoch::of(1, 0)));
        let row = client(&ledger, &computer.name).await;
        let resumed = ResumedRow {
            at: world.at(RESTORED),
            contacts: 5,
            provisional_until: world.at(RESTORED + 30 * DAY),
            displaced: None,
        };
        assert_eq!(row.resumed, Some(resumed));
        // The answer that was lost is asked for again, with and without what is shown.
        for again in [world.answer(&held), world.answer_shown(&held, 2)] {
            let again = ledger.execute(world.at(RESTORED + 5), again).await.unwrap();
            assert!(again.retry);
            assert_eq!(again.lease.as_ref(), Some(&lease));
        }
        unchanged(&ledger, after);
    }
    // From here on it contacts in order, and shows nothing.
    let next = world.contacts(&ledger, &mut computer, RESTORED + 60).await;
    assert_eq!(next.receipt, Receipt { era: era(1), contacts: 7 });
    unchanged(&ledger, after);
    sound(&ledger).await;
}

pub(super) async fn an_unconfirmed_ledger_gives_no_new_license_until_the_vendor_raises_the_epoch(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let mut known = world.enrolled(&ledger, "known").await;
    world.contacts(&ledger, &mut known, 30).await;
    let mut fresh = world.enrolled(&ledger, "fresh").await;
    let waiting = world.reserved(&ledger, "waiting").await;
    let backup = bench.copy();
    lives_on(world, &ledger, &mut computer).await;
    stops(ledger).await;

    let mut ledger = backup.open();
    world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    let seat = ledger.execute(world.at(RESTORED), reserve("pc-9")).await;
    assert_eq!(refused(seat), ProblemCode::Unconfirmed);
    // Its code is from before, and the one that is issued now waits for the vendor.
    let enrolls = ledger.execute(world.at(RESTORED), world.enroll(&waiting)).await;
    assert_eq!(refused(enrolls), ProblemCode::EnrollmentCodeExpired);
    let waiting = waiting.with_setup(2);
    ledger.execute(world.at(RESTORED), waiting.issue_setup()).await.unwrap();
    let enrolls = ledger.execute(world.at(RESTORED), world.enroll(&waiting)).await;
    assert_eq!(refused(enrolls), ProblemCode::Unconfirmed);
    let first = world.contacts(&ledger, &mut fresh, RESTORED).await;
    assert!(first.lease.is_none() && first.notice.unwrap().contains("the vendor has not confirmed"));
    // Whom it knows it serves, and renews; whom it resumed has one term.
    assert!(world.contacts(&ledger, &mut known, RESTORED + 2 * DAY).await.lease.is_some());
    assert!(world.contacts(&ledger, &mut computer, RESTORED + 2 * DAY).await.lease.is_none());
    // The same grant again confirms nothing, nor does one of the same epoch.
    for generation in [1, 2] {
        let answer = world.accept(&ledger, world.grant(generation, 5)).await.unwrap();
        assert!(answer.unconfirmed);
        let seat = ledger.execute(world.at(RESTORED), reserve("pc-9")).await;
        assert_eq!(refused(seat), ProblemCode::Unconfirmed);
    }
    // Nor does a confirmation of an earlier restore that was kept: it answers another request.
    assert!(world.accept(&ledger, world.confirming(2, 3, 5)).await.unwrap().unconfirmed);
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(3)).await.unwrap();
    assert!(!world.accept(&ledger, world.confirming(3, 4, 5)).await.unwrap().unconfirmed);
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = backup.open();
        }
        let state = restores(&ledger).await;
        assert!(state.restored.as_ref().unwrap().confirmed && state.unconfirmed().is_none());
        ledger.execute(world.at(RESTORED + 3 * DAY), reserve("pc-9")).await.unwrap();
    }
    assert!(ledger.execute(world.at(RESTORED), world.enroll(&waiting)).await.is_ok());
    for computer in [&mut computer, &mut known, &mut fresh] {
        let lease = world.contacts(&ledger, computer, RESTORED + 3 * DAY).await.lease.unwrap();
        assert_eq!(lease.epoch, Epoch::of(3, 0));
    }
    sound(&ledger).await;
}

pub(super) async fn a_client_that_the_ledger_lost_comes_back_with_its_seats_and_is_counted(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut known = lived_in(world, &ledger, 1).await;
    let backup = bench.copy();
    // What is lost: a second serial number, a seat of it for the known one, and a computer with two seats.
    world.accept(&ledger, world.grant_of(2, 1, 5)).await.unwrap();
    world.accept(&ledger, world.grant(2, 5)).await.unwrap();
    let mut lost = world.enrolled(&ledger, "pc-2").await;
    for name in ["pc-1", "pc-2"] {
        ledger.execute(world.at(40), reserve_of(name, serial(2))).await.unwrap();
    }
    ledger.execute(world.at(40), reserve_of("pc-2", serial(1))).await.unwrap();
    world.contacts(&ledger, &mut lost, 50).await;
    lives_on(world, &ledger, &mut known).await;
    stops(ledger).await;

    let mut ledger = backup.open();
    assert_eq!(refused(world.tries(&ledger, &lost, RESTORED).await), ProblemCode::UnknownComputer);
    assert!(find_client(&ledger, &lost.name).await.is_none());
    // It is also the first to show that something was lost.
    let outcome = world.goes_on(&ledger, &mut lost, RESTORED, 1).await;
    let lease = outcome.lease.unwrap();
    assert_eq!(lease.entitlements.len(), 2, "what is resumed is what the lease said");
    world.goes_on(&ledger, &mut known, RESTORED + 1, 2).await;
    assert_eq!(entries_of(&ledger, "ledger_restored").await.len(), 1);
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = backup.open();
        }
        // The grant of serial number 2 is lost, and number 1 has more names than seats.
        let rows = licenses(&ledger).await;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].licenses, rows[0].used, rows[0].active), (1, 2, 2));
        let row = client(&ledger, &lost.name).await;
        assert_eq!((row.state, &row.channel), (ClientState::Active, &lease.channel));
        assert_eq!(row.client_key.as_ref(), Some(&lost.key));
        assert_eq!(row.lease_until, lease.not_after());
    }
    // It contacts in order, gets no new lease, and keeps the one that it has.
    let next = world.contacts(&ledger, &mut lost, RESTORED + 60).await;
    assert!(next.lease.is_none() && next.notice.is_none());
    // The grant comes back, finds its seats taken, and each by a computer that is there.
    world.accept(&ledger, world.grant_of(2, 1, 5)).await.unwrap();
    let rows = licenses(&ledger).await;
    let second = rows.iter().find(|row| row.serial == serial(2)).unwrap();
    assert_eq!((second.used, second.active, second.reserved), (2, 2, 0));
    let facts =
        ledger.query(LoadEnrollment { name: lost.name.clone(), client_key: lost.key.clone() }).await.unwrap();
    assert_eq!(facts.grants.len(), 2);
    // Nothing new is given before the vendor confirms, and nothing above what it granted afterwards.
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 3, 1)).await.unwrap();
    let full = ledger.execute(world.at(RESTORED), reserve_of("pc-3", serial(1))).await;
    assert_eq!(refused(full), ProblemCode::NoSeatFree);
    sound(&ledger).await;
}

pub(super) async fn a_setup_file_that_was_used_in_the_lost_part_is_used_when_its_computer_is_back(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut known = lived_in(world, &ledger, 5).await;
    let mut lost = world.reserved(&ledger, "pc-2").await;
    let fresh = world.reserved(&ledger, "pc-3").await;
    let backup = bench.copy();
    let outcome = world.enrolls(&ledger, &lost).await.unwrap();
    lost.enrolled(&outcome);
    world.contacts(&ledger, &mut lost, 50).await;
    lives_on(world, &ledger, &mut known).await;
    stops(ledger).await;

    let ledger = backup.open();
    world.goes_on(&ledger, &mut known, RESTORED, 1).await;
    world.goes_on(&ledger, &mut lost, RESTORED, 2).await;
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    let thief = Computer { key: fresh.key.clone(), ..lost.clone() };
    let head = ledger.head().size;
    let stolen = ledger.execute(world.at(RESTORED + 1), world.enroll(&thief)).await;
    assert_eq!(refused(stolen), ProblemCode::EnrollmentCodeUsed);
    let again = ledger.execute(world.at(RESTORED + 1), world.enroll(&lost)).await.unwrap();
    assert_eq!(Some(again.enrolled.client_id), lost.client_id);
    unchanged(&ledger, head);
    // Of one that nobody came back with nobody knows who used it.
    let unknown = ledger.execute(world.at(RESTORED + 1), world.enroll(&fresh)).await;
    assert_eq!(refused(unknown), ProblemCode::EnrollmentCodeExpired);
    unchanged(&ledger, head);
    sound(&ledger).await;
}

pub(super) async fn what_nobody_used_before_a_restore_binds_nobody_after_it_and_gives_no_dead_key_its_name_back(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut known = lived_in(world, &ledger, 5).await;
    // When the backup is made, one is admitted and another one has a code; both come, and both are replaced.
    let admitted = world.computer("pc-2");
    let waits = ledger.execute(world.at(30), world.knock(&admitted)).await;
    assert_eq!(refused(waits), ProblemCode::WaitsForAdmission);
    ledger.execute(world.at(31), admitted.admit(4)).await.unwrap();
    let with_code = world.reserved(&ledger, "pc-3").await;
    let backup = bench.copy();
    ledger.execute(world.at(40), world.knock(&admitted)).await.unwrap();
    ledger.execute(world.at(40), world.enroll(&with_code)).await.unwrap();
    let mut holder = world.computer("pc-2");
    let waits = ledger.execute(world.at(41), world.knock(&holder)).await;
    assert_eq!(refused(waits), ProblemCode::WaitsForAdmission);
    ledger.execute(world.at(42), holder.admit(5)).await.unwrap();
    let outcome = ledger.execute(world.at(43), world.knock(&holder)).await.unwrap();
    holder.enrolled(&outcome);
    world.contacts(&ledger, &mut holder, 50).await;
    lives_on(world, &ledger, &mut known).await;
    stops(ledger).await;

    let mut ledger = backup.open();
    world.goes_on(&ledger, &mut known, RESTORED, 1).await;
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    let thief = Computer { key: world.computer("pc-3").key, ..with_code.clone() };
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = backup.open();
        }
        let dead = ledger.execute(world.at(RESTORED), world.knock(&admitted)).await;
        assert_eq!(refused(dead), ProblemCode::WaitsForAdmission);
        for computer in [&with_code, &thief] {
            let ended = ledger.execute(world.at(RESTORED), world.enroll(computer)).await;
            assert_eq!(refused(ended), ProblemCode::EnrollmentCodeExpired);
        }
        assert_eq!(setup_files(world, &ledger, CodeState::Out).await, no_names());
        assert_eq!(
            setup_files(world, &ledger, CodeState::Expired).await,
            std::slice::from_ref(&with_code.name)
        );
        let endings = ledger.query(Endings { now: world.at(RESTORED) }).await.unwrap();
        assert_eq!(endings.setup, None, "what ended warns of no end");
    }
    // Whoever held the name goes on, and nobody else did meanwhile.
    world.goes_on(&ledger, &mut holder, RESTORED, 2).await;
    assert_eq!(client(&ledger, &holder.name).await.client_key, Some(holder.key.clone()));
    // Issued again and admitted again both are let in, also at the very time of the restore.
    let again = with_code.with_setup(9);
    ledger.execute(world.at(RESTORED), again.issue_setup()).await.unwrap();
    assert_eq!(setup_files(world, &ledger, CodeState::Out).await, std::slice::from_ref(&again.name));
    ledger.execute(world.at(RESTORED), world.enroll(&again)).await.unwrap();
    let readmitted = ledger.execute(world.at(RESTORED), admitted.admit(6)).await.unwrap();
    assert!(readmitted.replaces && readmitted.took.is_none());
    ledger.execute(world.at(RESTORED), world.knock(&admitted)).await.unwrap();
    sound(&ledger).await;
}

fn no_names() -> [ComputerName; 0] {
    []
}

/// The names whose setup file stands so at the time of the restore.
async fn setup_files(world: &World, ledger: &Ledger, state: CodeState) -> Vec<ComputerName> {
    let query = Setups { state: Some(state), now: world.at(RESTORED), after: None, limit: 10 };
    ledger.query(query).await.unwrap().into_iter().map(|row| row.name).collect()
}

pub(super) async fn an_order_that_nothing_can_follow_locks_no_computer_out(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let backup = bench.copy();
    lives_on(world, &ledger, &mut computer).await;
    stops(ledger).await;

    // Whoever had the site key signed it.
    computer.lease.as_mut().unwrap().sequence = u64::MAX;
    let ledger = backup.open();
    world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    world.contacts(&ledger, &mut computer, RESTORED + 60).await;
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    for day in [2, 4] {
        let before = computer.lease.clone().unwrap();
        let lease = world.contacts(&ledger, &mut computer, RESTORED + day * DAY).await.lease.unwrap();
        assert_eq!(lease.epoch, Epoch::of(2, 0));
        assert!(lease.order() >= before.order());
    }
    sound(&ledger).await;
}

pub(super) async fn the_vendors_word_about_one_serial_number_reaches_who_holds_a_seat_of_another(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    world.accept(&ledger, world.grant_of(2, 1, 1)).await.unwrap();
    ledger.execute(world.at(30), reserve_of("other", serial(2))).await.unwrap();
    let mut other = world.enrolled(&ledger, "other").await;
    world.contacts(&ledger, &mut other, 40).await;
    let backup = bench.copy();
    lives_on(world, &ledger, &mut computer).await;
    stops(ledger).await;

    let ledger = backup.open();
    world.goes_on(&ledger, &mut computer, RESTORED, 1).await;
    ledger.execute(world.at(RESTORED), world.asks_to_confirm(2)).await.unwrap();
    world.accept(&ledger, world.confirming(2, 2, 5)).await.unwrap();
    for (computer, day) in [(&mut other, 2), (&mut computer, 2)] {
        let answer = world.contacts(&ledger, computer, RESTORED + day * DAY).await;
        assert_eq!(answer.lease.unwrap().epoch, Epoch::of(2, 0));
        let read = |text: &SignedDocument| document::read::<Grant>(text.document.as_bytes()).unwrap();
        let epochs: Vec<_> = answer.grants.iter().map(|text| read(text).epoch.vendor()).collect();
        assert!(epochs.contains(&2), "{}: {epochs:?}", computer.name);
    }
    sound(&ledger).await;
}

pub(super) async fn restored_twice_and_with_other_names_in_between_it_still_serves_its_clients(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut known = lived_in(world, &ledger, 2).await;
    let backup = bench.copy();
    let mut lost = world.enrolled(&ledger, "pc-2").await;
    world.contacts(&ledger, &mut lost, 50).await;
    lives_on(world, &ledger, &mut known).await;
    stops(ledger).await;

    // Nobody told this ledger yet, so it gives away the seat that it lost.
    let second = backup.copy();
    let ledger = backup.open();
    let mut other = world.enrolled(&ledger, "other").await;
    world.contacts(&ledger, &mut other, RESTORED).await;
    world.goes_on(&ledger, &mut lost, RESTORED + 1, 1).await;
    world.goes_on(&ledger, &mut known, RESTORED + 2, 2).await;
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.licenses, row.used), (2, 3), "more names than seats: shown, and nobody is turned away");
    let full = ledger.execute(world.at(RESTORED), reserve("pc-9")).await;
    assert_eq!(refused(full), ProblemCode::Unconfirmed);
    stops(ledger).await;

    // The very same backup again: what it learned the first time is lost too.
    let ledger = second.open();
    for (number, computer) in [(7, &mut known), (8, &mut lost), (9, &mut other)] {
        let before = computer.lease.clone().unwrap();
        let seconds = RESTORED + 100 + i64::from(number);
        let outcome = world.goes_on(&ledger, computer, seconds, number).await;
        assert!(outcome.lease.unwrap().order() > before.order());
        assert_eq!(outcome.receipt.era, era(7), "one restore is one, however many show it");
        world.contacts(&ledger, computer, seconds + 100).await;
    }
    assert_eq!(entries_of(&ledger, "ledger_restored").await.len(), 1);
    let state = restores(&ledger).await;
    assert_eq!((state.era, state.past), (era(7), vec![era(0), era(1)]));
    let names: Vec<_> = clients(&ledger).await.into_iter().map(|row| row.name).collect();
    assert_eq!(names.len(), 3);
    sound(&ledger).await;
}

pub(super) async fn a_ledger_that_was_made_of_its_log_serves_its_clients(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let head = ledger.head();
    stops(ledger).await;

    let rebuilt = bench.rebuilt();
    let ledger = rebuilt.open();
    let declared = DeclareRestore { actor: admin(), cause: RestoreCause::Rebuilt { head }, new_era: era(1) };
    ledger.execute(world.at(RESTORED), declared).await.unwrap();
    assert_eq!(restores(&ledger).await.unconfirmed().unwrap().epoch, Epoch::of(1, 0));
    assert_eq!(refused(world.tries(&ledger, &computer, RESTORED).await), ProblemCode::NonceUnknown);
    let shown = computer.lease.clone().unwrap();
    let outcome = world.goes_on(&ledger, &mut computer, RESTORED, 2).await;
    assert!(outcome.lease.unwrap().order() > shown.order());
    assert_eq!(entries_of(&ledger, "ledger_restored").await.len(), 1, "it is known already");
    let changes = activity(&ledger, Default::default()).await;
    let resumed = changes.iter().find_map(|logged| match logged.entry.change() {
        Some(Change::ClientResumed { shown, recreated, contacts, .. }) => {
            Some((shown.clone(), recreated.clone(), *contacts))
        }
        _ => None,
    });
    let (orders, recreated, contacts) = resumed.unwrap();
    assert_eq!((recreated, contacts), (None, 2), "the log has its seat and its key");
    assert!(orders.iter().any(|(kind, order)| kind.as_str() == Lease::TYPE && *order == shown.order()));
    world.contacts(&ledger, &mut computer, RESTORED + 60).await;
    // A retry of the contact that was only noted is a contact from an unknown past.
    let mut stale = computer.clone();
    (stale.nonce, stale.contacts) = (None, 0);
    let tries = ledger.execute(world.at(RESTORED + 70), world.answer(&stale)).await;
    assert_eq!(refused(tries), ProblemCode::NonceUnknown);
    sound(&ledger).await;
}

pub(super) async fn a_halt_after_a_rebuild_leads_a_computer_back_to_what_it_ran_before(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut computer = lived_in(world, &ledger, 5).await;
    let first = release(&ledger, computer.assignment.as_ref().unwrap().packages[0].manifest).await;
    let second = world.approved(&ledger, "acme-av", 2, &["stable"]).await;
    for (id, row, seconds) in [(1, &first, 30), (2, &second, 40)] {
        computer.packages = vec![installed(row)];
        computer.reports = vec![report(id, row, InstallStep::Keep, Outcome::Ok)];
        world.contacts(&ledger, &mut computer, seconds).await;
    }
    computer.reports.clear();
    let head = ledger.head();
    stops(ledger).await;

    let rebuilt = bench.rebuilt();
    let ledger = rebuilt.open();
    let declared = DeclareRestore { actor: admin(), cause: RestoreCause::Rebuilt { head }, new_era: era(1) };
    ledger.execute(world.at(RESTORED), declared).await.unwrap();
    // How fresh the metadata is was only noted.
    world.pull(&ledger, RESTORED).await;
    let (manifest, reason) = (second.manifest, "it crashes".to_owned());
    let halt = HaltRelease { actor: admin(), manifest, reason, runs: WhoRunsIt::GoesBack };
    ledger.execute(world.at(RESTORED), halt).await.unwrap();
    let outcome = world.goes_on(&ledger, &mut computer, RESTORED, 2).await;
    let told = outcome.assignment.unwrap().packages;
    let told: Vec<_> = told.iter().map(|told| (told.action, told.manifest)).collect();
    assert_eq!(told, [(Action::Rollback, first.manifest)]);
    sound(&ledger).await;
}
