//! Contracts of computers that ask without a code, and of those that an admin admits by their key.

use sealpost_ledger::Ledger;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::{Change, EnrolledBy};
use sealpost_site::commands::clients::{ADMITTED_DAYS, Admission};
use sealpost_site::queries::{Setups, Waiting};
use sealpost_site::rows::WaitingRow;
use sealpost_site::rules::pending::MAX_KEYS;
use sealpost_test_support::world::{Computer, DAY, World, reserve};

use crate::bench::Bench;
use crate::fixture::{WorldExt, client, entries_of, kinds, kinds_after, licenses, refused, sound, unchanged};

async fn waiting(ledger: &Ledger) -> Vec<WaitingRow> {
    ledger.query(Waiting { after: None, limit: 1_000 }).await.unwrap()
}

/// It asks at this second, and has to wait.
async fn waits(world: &World, ledger: &Ledger, computer: &Computer, seconds: i64) {
    let answer = ledger.execute(world.at(seconds), world.knock(computer)).await;
    assert_eq!(refused(answer), ProblemCode::WaitsForAdmission);
}

pub(super) async fn a_computer_waits_until_its_key_is_admitted_and_a_stranger_of_its_name_never_enrolls(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let (mut computer, stranger) = (world.computer("pc-1"), world.computer("pc-1"));
    for _ in 0..3 {
        waits(world, &ledger, &stranger, 10).await;
        waits(world, &ledger, &computer, 11).await;
    }
    assert_eq!(
        kinds(&ledger).await,
        ["server_initialized", "grant_accepted", "computer_knocked", "computer_knocked"],
        "one entry for each key"
    );
    let rows = waiting(&ledger).await;
    let keys: Vec<_> = rows.iter().map(|row| row.knock.as_ref().unwrap().client_key.clone()).collect();
    assert_eq!(keys, [stranger.key.clone(), computer.key.clone()]);
    assert!(rows.iter().all(|row| !row.reserved && !row.enrolled && row.name == computer.name));
    assert_eq!(licenses(&ledger).await[0].used, 0, "who waits takes no seat");

    let head = ledger.head().size;
    let third = world.computer("pc-1");
    assert_eq!(refused(ledger.execute(world.at(12), third.admit(1)).await), ProblemCode::NotFound);
    unchanged(&ledger, head);
    let admitted = ledger.execute(world.at(12), computer.admit(1)).await.unwrap();
    assert!(admitted.took.is_some() && !admitted.replaces);
    assert_eq!(kinds_after(&ledger, head).await, ["seat_reserved", "computer_admitted"]);
    assert_eq!(waiting(&ledger).await, []);
    // The same again, also after a restart.
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let again = ledger.execute(world.at(13), computer.admit(2)).await.unwrap();
    assert_eq!((again.admission, again.took), (admitted.admission, None));
    unchanged(&ledger, head + 2);
    // An admission is no setup file.
    let files = Setups { state: None, now: world.at(13), after: None, limit: 10 };
    assert_eq!(ledger.query(files).await.unwrap(), []);

    waits(world, &ledger, &stranger, 14).await;
    assert!(waiting(&ledger).await[0].reserved);
    let outcome = ledger.execute(world.at(15), world.knock(&computer)).await.unwrap();
    let repeated = ledger.execute(world.at(16), world.knock(&computer)).await.unwrap();
    assert_eq!(outcome.enrolled, repeated.enrolled);
    waits(world, &ledger, &stranger, 17).await;
    let enrolled = entries_of(&ledger, "client_enrolled").await;
    let by = enrolled.iter().map(|logged| match logged.entry.change() {
        Some(Change::ClientEnrolled { by, .. }) => *by,
        other => panic!("{other:?}"),
    });
    assert_eq!(by.collect::<Vec<_>>(), [EnrolledBy::Admission]);
    computer.enrolled(&outcome);
    assert!(world.contacts(&ledger, &mut computer, 20).await.lease.is_some());
    let used = ledger.execute(world.at(21), computer.admit(3)).await.unwrap();
    assert_eq!(used.admission, Admission::Used);
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.used, row.active), (1, 1));
    sound(&ledger).await;
}

pub(super) async fn an_admission_voids_the_codes_before_it_ends_in_a_week_and_a_later_code_voids_it(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    let with_code = world.reserved(&ledger, "pc-1").await;
    let computer = world.computer("pc-1");
    waits(world, &ledger, &computer, 10).await;
    assert!(waiting(&ledger).await[0].reserved);
    ledger.execute(world.at(11), computer.admit(5)).await.unwrap();
    assert_eq!(refused(world.enrolls(&ledger, &with_code).await), ProblemCode::EnrollmentCodeWrong);
    // Of the admission nobody has a code, not even who would guess it.
    let guess = with_code.clone().with_setup(5);
    assert_eq!(refused(world.enrolls(&ledger, &guess).await), ProblemCode::EnrollmentCodeWrong);
    // A week later it waits again, and is listed again.
    let end = 11 + i64::from(ADMITTED_DAYS) * DAY;
    let listed = waiting(&ledger).await;
    assert_eq!(listed.len(), 1, "who came with the code that is void");
    assert_eq!(listed[0].knock.as_ref().unwrap().client_key, with_code.key);
    let late = end + 1;
    // Its row comes with the next time it asks, and only then.
    let head = ledger.head().size;
    for seconds in [late, late, late + 1] {
        waits(world, &ledger, &computer, seconds).await;
    }
    unchanged(&ledger, head + 1);
    assert_eq!(waiting(&ledger).await.len(), 2);
    ledger.execute(world.at(late + 1), computer.admit(6)).await.unwrap();
    // A setup file that is issued now voids the admission.
    let newer = world.computer("pc-1").with_setup(7);
    ledger.execute(world.at(late + 2), newer.issue_setup()).await.unwrap();
    waits(world, &ledger, &computer, late + 3).await;
    assert!(ledger.execute(world.at(late + 4), world.enroll(&newer)).await.is_ok());
    sound(&ledger).await;
}

pub(super) async fn who_is_enrolled_goes_on_until_the_admitted_computer_comes(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut old = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut old, 10).await;
    let mut new = world.computer("pc-1");
    waits(world, &ledger, &new, 11).await;
    assert!(waiting(&ledger).await[0].enrolled);
    world.contacts(&ledger, &mut old, 12).await;
    let admitted = ledger.execute(world.at(13), new.admit(5)).await.unwrap();
    assert!(admitted.replaces && admitted.took.is_none());
    world.contacts(&ledger, &mut old, 14).await;
    let outcome = ledger.execute(world.at(15), world.knock(&new)).await.unwrap();
    assert_eq!(refused(world.tries(&ledger, &old, 16).await), ProblemCode::UnknownComputer);
    new.enrolled(&outcome);
    world.contacts(&ledger, &mut new, 17).await;
    assert_eq!(client(&ledger, &new.name).await.client_key, Some(new.key));
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.used, row.active), (1, 1));
    sound(&ledger).await;
}

pub(super) async fn a_name_has_three_keys_in_the_list_and_one_that_is_a_day_old_makes_room(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    ledger.execute(world.at(1), reserve("pc-1")).await.unwrap();
    let head = ledger.head().size;
    for second in 0..10 {
        waits(world, &ledger, &world.computer("pc-1"), 10 + second).await;
    }
    unchanged(&ledger, head + MAX_KEYS);
    let last = world.computer("pc-1");
    waits(world, &ledger, &last, 10 + DAY).await;
    unchanged(&ledger, head + MAX_KEYS);
    waits(world, &ledger, &last, 11 + DAY).await;
    unchanged(&ledger, head + MAX_KEYS + 1);
    let rows = waiting(&ledger).await;
    let names: Vec<&ComputerName> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(names, [&last.name; 3]);
    assert_eq!(rows[2].knock.as_ref().unwrap().client_key, last.key);
    sound(&ledger).await;
}
