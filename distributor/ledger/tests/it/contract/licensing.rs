//! Contracts of grants, seats and license time.

use std::sync::Arc;

use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::clients::Reserve;
use sealpost_site::commands::licenses::AcceptGrant;
use sealpost_site::queries::LicenseTime;
use sealpost_site::rows::LicenseRow;
use sealpost_test_support::world::{
    DAY, World, admin, channel, computer_name, reserve, reserve_for, reserve_of, serial,
};

use crate::bench::Bench;
use crate::fixture::{WorldExt, client, clients, licenses, refused, sound, unchanged};

pub(super) async fn nothing_is_reserved_before_a_grant(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let answer = ledger.execute(world.at(1), reserve("pc-1")).await;
    assert_eq!(refused(answer), ProblemCode::NotUnlocked);
    unchanged(&ledger, 1);
    assert!(licenses(&ledger).await.is_empty());
}

pub(super) async fn a_hundred_concurrent_reservations_of_ten_seats_take_exactly_ten(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = Arc::new(bench.open());
    world.unlock(&ledger, 10).await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (ledger, now) = (Arc::clone(&ledger), world.at(2));
            tokio::spawn(async move {
                let command = reserve(&format!("pc-{number}"));
                let name = command.name.clone();
                (name, ledger.execute(now, command).await)
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (name, Ok(_)) => taken.push(name),
            (_, refusal) => assert_eq!(refused(refusal), ProblemCode::NoSeatFree),
        }
    }
    assert_eq!(taken.len(), 10);
    sound(&ledger).await;
    ledger.close().await.unwrap();
    drop(ledger);

    let ledger = bench.open();
    let mut held: Vec<_> = clients(&ledger).await.into_iter().map(|row| row.name).collect();
    held.sort();
    taken.sort();
    assert_eq!(held, taken, "what was answered is on disk, and nothing else");
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.licenses, row.used, row.reserved, row.active), (10, 10, 10, 0));
    sound(&ledger).await;
}

pub(super) async fn the_same_name_takes_no_second_seat(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let name = computer_name("pc-1");
    ledger.execute(world.at(2), reserve("pc-1")).await.unwrap();
    let first = client(&ledger, &name).await;
    let head = ledger.head().size;
    for spelling in ["PC-1", "  pc-1 ", "pc-1.", "\u{ff30}\u{ff23}-1"] {
        ledger.execute(world.at(9), reserve(spelling)).await.unwrap();
    }
    let elsewhere = ledger.execute(world.at(9), reserve_for("pc-1", "beta")).await;
    assert_eq!(refused(elsewhere), ProblemCode::WrongState, "a reservation moves no computer");
    let again = client(&ledger, &name).await;
    assert_eq!((again.reserved_at, again.channel), (first.reserved_at, first.channel));
    unchanged(&ledger, head);
    let other = ledger.execute(world.at(9), reserve("pc-2")).await;
    assert_eq!(refused(other), ProblemCode::NoSeatFree);
}

pub(super) async fn fewer_seats_than_used_take_nothing_and_give_nothing(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 3).await;
    let mut first = world.enrolled(&ledger, "pc-1").await;
    world.contacts(&ledger, &mut first, 10).await;
    ledger.execute(world.at(2), reserve("pc-2")).await.unwrap();
    let mut late = world.enrolled(&ledger, "pc-3").await;
    world.accept(&ledger, world.grant(2, 1)).await.unwrap();
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.licenses, row.used), (1, 3), "nothing is taken");
    let more = ledger.execute(world.at(3), reserve("pc-4")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    let renewed = world.contacts(&ledger, &mut first, 2 * DAY).await;
    assert!(renewed.lease.is_some(), "who has a license is answered");
    let first = world.contacts(&ledger, &mut late, 2 * DAY).await;
    assert!(
        first.lease.is_none() && first.notice.unwrap().contains("3 of 1 seats"),
        "nobody gets a first one"
    );
    // Seats of another serial number make up for what is missing first.
    let mut other = world.grant_of(2, 1, 2);
    world.accept(&ledger, other.clone()).await.unwrap();
    let more = ledger.execute(world.at(3), reserve("pc-4")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    other.seats = 3;
    other.generation = 2;
    world.accept(&ledger, other).await.unwrap();
    ledger.execute(world.at(3), reserve("pc-4")).await.unwrap();
    // Seats that were bought are for those that waited.
    world.accept(&ledger, world.grant(3, 3)).await.unwrap();
    let first = world.contacts(&ledger, &mut late, 3 * DAY).await;
    assert_eq!(first.lease.unwrap().entitlements[0].serial, serial(1));
}

pub(super) async fn seats_come_from_the_grant_that_came_first_while_it_has_any(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    // Neither the order of serial numbers nor the one of seats decides.
    for id in [9, 2, 5] {
        world.accept(&ledger, world.grant_of(id, 1, 2)).await.unwrap();
    }
    let used = async || {
        let rows = licenses(&ledger).await;
        [9, 2, 5].map(|id| rows.iter().find(|row| row.serial == serial(id)).unwrap().used)
    };
    for (number, expected) in [[1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 2, 0], [2, 2, 1]].into_iter().enumerate()
    {
        ledger.execute(world.at(2), reserve(&format!("pc-{number}"))).await.unwrap();
        assert_eq!(used().await, expected);
    }
}

pub(super) async fn a_grant_of_another_server_or_site_key_is_refused(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut other_server = world.grant(1, 10);
    other_server.server_id = ServerId::from_random([9; 16]);
    let mut other_key = world.grant(1, 10);
    other_key.site_key = world.vendor.public();
    let mut floating = world.grant(1, 10);
    floating.model = LicenseModel::Floating;
    for grant in [other_server, other_key, floating] {
        assert_eq!(refused(world.accept(&ledger, grant).await), ProblemCode::GrantRefused);
    }
    // A pair whose two halves differ is refused too, whoever verified it.
    let document = SignedDocument::sign(&world.grant(1, 10), &world.vendor).unwrap();
    let command = AcceptGrant { actor: admin(), grant: world.grant(1, 11), document, asked_for: None };
    let answer = ledger.execute(world.at(1), command).await;
    assert_eq!(refused(answer), ProblemCode::GrantRefused);
    unchanged(&ledger, 1);
}

pub(super) async fn a_lower_generation_is_refused_and_the_same_grant_answered_again(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.accept(&ledger, world.grant(2, 10)).await.unwrap();
    let head = ledger.head().size;
    world.accept(&ledger, world.grant(2, 10)).await.unwrap();
    let again = &licenses(&ledger).await[0];
    assert_eq!((again.generation, again.licenses), (2, 10));
    assert_eq!(refused(world.accept(&ledger, world.grant(1, 20)).await), ProblemCode::GrantRefused);
    assert_eq!(refused(world.accept(&ledger, world.grant(2, 20)).await), ProblemCode::GrantRefused);
    let mut old_epoch = world.grant(3, 20);
    old_epoch.epoch = Epoch::default();
    assert_eq!(refused(world.accept(&ledger, old_epoch).await), ProblemCode::GrantRefused);
    unchanged(&ledger, head);
    let kept = &licenses(&ledger).await[0];
    assert_eq!((kept.generation, kept.licenses), (2, 10));
    let time = ledger.query(LicenseTime {}).await.unwrap();
    let said = VendorStatement::new(world.start, world.at(366 * DAY));
    assert_eq!(time.statement, Some(said), "what the vendor signed of the time holds");
    assert!(time.floor >= Some(world.start));
}

pub(super) async fn a_lapsed_grant_gives_no_new_seat_and_no_first_lease_but_renews(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 10).await;
    let mut licensed = world.enrolled(&ledger, "licensed").await;
    world.contacts(&ledger, &mut licensed, 10).await;
    let mut late = world.enrolled(&ledger, "late").await;
    world.pull(&ledger, 11).await;
    world.approved(&ledger, "acme-av", 1, &["stable"]).await;

    let after = 367 * DAY;
    let seat = ledger.execute(world.at(after), reserve("pc-1")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
    let first = world.contacts(&ledger, &mut late, after).await;
    assert!(first.lease.is_none() && first.assignment.is_none());
    assert!(first.notice.unwrap().contains("lapsed"));
    let renewed = world.contacts(&ledger, &mut licensed, after).await;
    assert!(renewed.lease.is_some() && renewed.assignment.is_some() && renewed.notice.is_none());
    // A renewed license is enough: nothing has to be reserved or enrolled again.
    let mut grant = world.grant(2, 10);
    grant.not_after = world.at(800 * DAY);
    world.accept(&ledger, grant).await.unwrap();
    assert!(world.contacts(&ledger, &mut late, after + 60).await.lease.is_some());
}

pub(super) async fn license_time_does_not_go_back_with_the_clock(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut grant = world.grant(1, 10);
    grant.vendor_time = world.at(400 * DAY);
    world.accept(&ledger, grant).await.unwrap();
    // The vendor signed that it is later than the grant's end, whatever this computer's clock says.
    let seat = ledger.execute(world.at(5), reserve("pc-1")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let seat = ledger.execute(world.at(5), reserve("pc-1")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
}

pub(super) async fn a_later_statement_of_the_vendor_lowers_what_an_earlier_wrong_one_raised(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut wrong = world.grant(1, 10);
    wrong.vendor_time = world.at(2_000 * DAY);
    world.accept(&ledger, wrong).await.unwrap();
    let seat = ledger.execute(world.at(5), reserve("pc-1")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired, "the vendor's clock was ahead");
    world.accept(&ledger, world.grant(2, 10)).await.unwrap();
    ledger.execute(world.at(5), reserve("pc-1")).await.unwrap();
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    ledger.execute(world.at(5), reserve("pc-2")).await.unwrap();
    // One contact while the server's own clock is years ahead takes nothing away for good either.
    ledger.execute(world.at(2_000 * DAY), reserve("pc-3")).await.unwrap_err();
    ledger.execute(world.at(6), reserve("pc-3")).await.unwrap();
}

pub(super) async fn a_name_holds_a_seat_of_each_serial_number_and_is_counted_with_each(
    world: &World,
    bench: &dyn Bench,
) {
    let mut ledger = bench.open();
    for id in [1, 2] {
        world.accept(&ledger, world.grant_of(id, 1, 2)).await.unwrap();
    }
    let mut first = world.enrolled(&ledger, "pc-1").await;
    assert_eq!(world.contacts(&ledger, &mut first, 10).await.lease.unwrap().entitlements.len(), 1);
    let second = reserve_of("pc-1", serial(2));
    let elsewhere = Reserve { channel: Some(channel("beta")), ..second.clone() };
    assert_eq!(refused(ledger.execute(world.at(11), elsewhere).await), ProblemCode::WrongState);
    ledger.execute(world.at(11), second.clone()).await.unwrap();
    ledger.execute(world.at(11), reserve_of("pc-2", serial(2))).await.unwrap();
    let head = ledger.head().size;
    for restart in [false, true] {
        if restart {
            ledger.close().await.unwrap();
            drop(ledger);
            ledger = bench.open();
        }
        // A seat that is held is held once, and "any" is one of those.
        for again in [second.clone(), reserve_of("pc-1", serial(1)), reserve("pc-1"), reserve("pc-2")] {
            ledger.execute(world.at(12), again).await.unwrap();
        }
        unchanged(&ledger, head);
        let counts = |row: &LicenseRow| (row.used, row.active, row.reserved);
        let counted: Vec<_> = licenses(&ledger).await.iter().map(counts).collect();
        let of = |id| licenses_place(id);
        assert_eq!(counted[of(1)], (1, 1, 0));
        assert_eq!(counted[of(2)], (2, 1, 1));
        let row = client(&ledger, &first.name).await;
        assert_eq!(row.channel, channel("stable"), "the first seat said which channel");
    }
    let full = ledger.execute(world.at(13), reserve_of("pc-3", serial(2))).await;
    assert_eq!(refused(full), ProblemCode::NoSeatFree);
    let unknown = ledger.execute(world.at(13), reserve_of("pc-3", serial(3))).await;
    assert_eq!(refused(unknown), ProblemCode::NotUnlocked);
    // The lease names both seats, and the answer brings the grant that is new.
    let outcome = world.contacts(&ledger, &mut first, 20).await;
    let mut named: Vec<_> = outcome.lease.unwrap().entitlements.into_iter().map(|seat| seat.serial).collect();
    named.sort();
    let mut both = [serial(1), serial(2)];
    both.sort();
    assert_eq!(named, both);
    assert_eq!((outcome.grants.len(), first.grants.len()), (1, 2));
    sound(&ledger).await;
}

/// Where a serial number stands in the list of licenses, of 1 and 2.
fn licenses_place(id: u8) -> usize {
    usize::from(serial(id) > serial(3 - id))
}
