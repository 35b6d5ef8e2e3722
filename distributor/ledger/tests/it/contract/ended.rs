//! Contracts of a serial number that the vendor ends: nothing is taken, nothing new is given, nothing is renewed.

use sealpost_ledger::Ledger;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::queries::{HeldAlone, LicenseTime};
use sealpost_site::rows::WAITING_NAMES;
use sealpost_test_support::world::{Computer, DAY, World, computer_name, reserve, reserve_of, serial};

use crate::bench::Bench;
use crate::fixture::{WorldExt, client, clients, licenses, refused, sound, unchanged};

/// The day on which serial numbers end here.
const END: i64 = 10 * DAY;

/// The grant that tells the server of the end.
fn last_grant(world: &World, id: u8) -> Grant {
    let end = world.at(END);
    Grant { ends_at: Some(end), not_after: end, ..world.grant_of(id, 2, 10) }
}

async fn hears_of_the_end(world: &World, ledger: &Ledger, id: u8, seconds: i64) {
    ledger.execute(world.at(seconds), world.accept_grant(last_grant(world, id))).await.unwrap();
}

/// Until when a lease names a serial number, in seconds of the world.
fn end_of(world: &World, lease: &Lease, id: u8) -> Option<i64> {
    let seat = lease.entitlements.iter().find(|seat| seat.serial == serial(id))?;
    Some(seat.not_after.as_second() - world.start.as_second())
}

fn held(computer: &Computer) -> &Lease {
    computer.lease.as_ref().unwrap()
}

pub(super) async fn an_ended_serial_number_gives_no_seat_and_no_lease_and_takes_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    world.unlock(&ledger, 10).await;
    let mut licensed = world.enrolled(&ledger, "licensed").await;
    world.contacts(&ledger, &mut licensed, 10).await;
    let mut late = world.enrolled(&ledger, "late").await;
    ledger.execute(world.at(10), reserve("waits")).await.unwrap();
    // It is heard of before: until then all goes on.
    hears_of_the_end(world, &ledger, 1, 5 * DAY).await;
    let before = world.contacts(&ledger, &mut licensed, 9 * DAY).await;
    assert_eq!(end_of(world, &before.lease.unwrap(), 1), Some(39 * DAY));
    ledger.execute(world.at(END), reserve("on-the-last-day")).await.unwrap();

    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        let head = ledger.head().size;
        for command in [reserve("pc-1"), reserve_of("pc-1", serial(1)), reserve_of("waits", serial(1))] {
            let is_held = command.name == computer_name("waits");
            let answer = ledger.execute(world.at(END + 1), command).await;
            if is_held {
                answer.unwrap();
            } else {
                assert_eq!(refused(answer), ProblemCode::SerialEnded);
            }
        }
        unchanged(&ledger, head);
        assert_eq!(clients(&ledger).await.len(), 4, "nothing is taken");
        let row = &licenses(&ledger).await[0];
        assert_eq!((row.used, row.active, row.ends_at), (4, 2, Some(world.at(END))));
    }
    let first = world.contacts(&ledger, &mut late, END + 60).await;
    assert!(first.lease.is_none(), "a first lease is a new license");
    assert!(first.notice.unwrap().contains("the vendor ended the serial number"));
    let kept = held(&licensed).clone();
    for seconds in [11 * DAY, 20 * DAY, 39 * DAY] {
        let outcome = world.contacts(&ledger, &mut licensed, seconds).await;
        assert!(outcome.lease.is_none() && outcome.notice.is_none(), "it keeps what it has, to its end");
    }
    assert_eq!(held(&licensed), &kept);
    let over = world.contacts(&ledger, &mut licensed, 40 * DAY).await;
    assert!(over.lease.is_none());
    assert!(over.notice.unwrap().contains("what is installed goes on running"));

    // Set up anew, it has its seat and gets no lease.
    let mut again = licensed.clone().with_setup(2);
    ledger.execute(world.at(41 * DAY), again.issue_setup()).await.unwrap();
    let outcome = ledger.execute(world.at(41 * DAY), world.enroll(&again)).await.unwrap();
    again.enrolled(&outcome);
    assert!(world.contacts(&ledger, &mut again, 41 * DAY).await.lease.is_none());
    assert_eq!(client(&ledger, &again.name).await.name, again.name);

    // The vendor takes it back: all goes on with the grant that says so.
    let lifted = world.grant(3, 10);
    ledger.execute(world.at(42 * DAY), world.accept_grant(lifted)).await.unwrap();
    for computer in [&mut again, &mut late] {
        assert!(world.contacts(&ledger, computer, 42 * DAY).await.lease.is_some());
    }
    ledger.execute(world.at(42 * DAY), reserve("pc-1")).await.unwrap();
    sound(&ledger).await;
}

pub(super) async fn with_a_second_serial_number_nothing_is_lost_early(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    for id in [1, 2] {
        world.accept(&ledger, world.grant_of(id, 1, 10)).await.unwrap();
    }
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    ledger.execute(world.at(3), reserve_of("pc-1", serial(2))).await.unwrap();
    world.contacts(&ledger, &mut computer, 10).await;
    let named = held(&computer).clone();
    let of_first = named.entitlements.iter().find(|seat| seat.serial == serial(1)).unwrap().clone();
    // The server hears of the end late: it may have renewed by the grant of before.
    hears_of_the_end(world, &ledger, 1, END + DAY).await;
    for day in [12, 15, 25, 30] {
        world.contacts(&ledger, &mut computer, day * DAY).await;
        let lease = held(&computer);
        assert!(lease.entitlements.contains(&of_first), "day {day}: as it was, by the grant of before");
        assert_eq!(end_of(world, lease, 2), Some((day + 30) * DAY), "day {day}");
    }
    world.contacts(&ledger, &mut computer, 31 * DAY).await;
    assert_eq!(end_of(world, held(&computer), 1), None, "past its end it is named no more");
    assert_eq!(end_of(world, held(&computer), 2), Some(61 * DAY));
    // New names take seats of the other one.
    ledger.execute(world.at(31 * DAY), reserve("pc-2")).await.unwrap();
    let rows = licenses(&ledger).await;
    let used = |id| rows.iter().find(|row| row.serial == serial(id)).unwrap().used;
    assert_eq!((used(1), used(2)), (1, 2));
    sound(&ledger).await;
}

pub(super) async fn who_holds_a_seat_of_one_serial_number_alone_is_counted_and_named(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    for id in [1, 2, 3] {
        world.accept(&ledger, world.grant_of(id, 1, 30)).await.unwrap();
    }
    let alone = async |id: u8, others: &[u8]| {
        let others = others.iter().map(|id| serial(*id)).collect();
        let row = ledger.query(HeldAlone { serial: serial(id), others }).await.unwrap();
        (row.count, row.names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(alone(1, &[2]).await, (0, vec![]));
    for (name, serials) in [("pc-1", &[1, 2][..]), ("pc-2", &[1]), ("pc-3", &[1, 3]), ("pc-4", &[2])] {
        for id in serials {
            ledger.execute(world.at(3), reserve_of(name, serial(*id))).await.unwrap();
        }
    }
    let names = |names: &[&str]| (names.len() as u64, names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(alone(1, &[]).await, names(&["pc-1", "pc-2", "pc-3"]));
    assert_eq!(alone(1, &[2]).await, names(&["pc-2", "pc-3"]));
    assert_eq!(alone(1, &[2, 3]).await, names(&["pc-2"]));
    assert_eq!(alone(1, &[9]).await, names(&["pc-1", "pc-2", "pc-3"]));
    assert_eq!(alone(2, &[1]).await, names(&["pc-4"]));
    assert_eq!(alone(3, &[1]).await, names(&[]));
    // All are counted, and the first are named.
    for number in 10..30 {
        ledger.execute(world.at(4), reserve_of(&format!("pc-{number}"), serial(1))).await.unwrap();
    }
    let (count, first) = alone(1, &[2, 3]).await;
    assert_eq!((count, first.len() as u64, first[0].as_str()), (21, u64::from(WAITING_NAMES), "pc-10"));
    sound(&ledger).await;
}

pub(super) async fn a_raised_epoch_signs_an_ended_seat_again_and_gives_no_day_more(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 10).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut computer, 10).await;
    let before = held(&computer).clone();
    ledger.execute(world.at(END), world.asks_to_confirm(2)).await.unwrap();
    let end = world.at(END);
    let grant = Grant { ends_at: Some(end), not_after: end, ..world.confirming(2, 2, 10) };
    ledger.execute(world.at(END), world.accept_grant(grant)).await.unwrap();
    let lease = world.contacts(&ledger, &mut computer, END + 1).await.lease.unwrap();
    assert!(lease.epoch > before.epoch);
    assert_eq!(lease.entitlements, before.entitlements);
    // An answer that was lost brings it again.
    let lost = Computer { lease: None, ..computer.clone() };
    let again = ledger.execute(world.at(END + 60), world.answer(&lost)).await.unwrap();
    assert_eq!(again.lease.map(|lease| lease.entitlements), Some(before.entitlements));
}

/// Whoever kept a code of another serial number, and sets the clock back to the time before the end, gets nothing by it.
pub(super) async fn a_kept_grant_of_another_serial_number_brings_no_ended_one_back(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    world.unlock(&ledger, 10).await;
    ledger.execute(world.at(DAY), reserve("pc-1")).await.unwrap();
    hears_of_the_end(world, &ledger, 1, 5 * DAY).await;
    let pulled = PullSucceeded {
        versions: PulledVersions { root: 1, timestamp: 90, snapshot: 90 },
        statement: VendorStatement::new(world.at(11 * DAY), world.at(18 * DAY)),
        corrected_to: None,
    };
    ledger.execute(world.at(11 * DAY), pulled).await.unwrap();
    let refused_at = async |ledger: &Ledger, seconds| {
        let answer = ledger.execute(world.at(seconds), reserve_of("pc-2", serial(1))).await;
        assert_eq!(refused(answer), ProblemCode::SerialEnded);
    };
    refused_at(&ledger, 11 * DAY).await;
    let floor = async |ledger: &Ledger| ledger.query(LicenseTime {}).await.unwrap().floor.unwrap();
    let before = floor(&ledger).await;
    // Sold on the second day, and kept; another one of it that lapsed meanwhile.
    let kept = |generation, not_after| Grant {
        vendor_time: world.at(2 * DAY),
        not_after: world.at(not_after),
        ..world.grant_of(2, generation, 10)
    };
    for (generation, not_after) in [(1, 366 * DAY), (2, 3 * DAY), (3, 366 * DAY)] {
        ledger.execute(world.at(6 * DAY), world.accept_grant(kept(generation, not_after))).await.unwrap();
        assert!(floor(&ledger).await >= before, "generation {generation}");
        refused_at(&ledger, 6 * DAY).await;
    }
    ledger.close().await.unwrap();
    drop(ledger);
    ledger = bench.open();
    refused_at(&ledger, 6 * DAY).await;
    // It is good for what it says all the same.
    ledger.execute(world.at(6 * DAY), reserve_of("pc-2", serial(2))).await.unwrap();
    sound(&ledger).await;
}
