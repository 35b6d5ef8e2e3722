//! Contracts of grants, seats and license time.

use sealpost_manifests::ids::{ComputerName, ServerId};
use sealpost_manifests::wire::problem::ProblemCode;

use super::Bench;
use super::fixture::{DAY, World, admin, channel, refused, serial, sound, unchanged};

fn name(number: usize) -> ComputerName {
    ComputerName::new(format!("pc-{number}")).unwrap()
}

pub(in crate::ledger) async fn nothing_is_reserved_before_a_grant(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let answer = ledger.reserve(admin(), world.at(1), name(1), channel("stable")).await;
    assert_eq!(refused(answer), ProblemCode::NotUnlocked);
    unchanged(&*ledger, 1).await;
    assert!(ledger.licenses().await.unwrap().is_empty());
}

pub(in crate::ledger) async fn a_hundred_concurrent_reservations_of_ten_seats_take_exactly_ten(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 10).await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (ledger, now) = (ledger.clone(), world.at(2));
            tokio::spawn(async move { ledger.reserve(admin(), now, name(number), channel("stable")).await })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(row) => taken.push(row.name),
            refusal => assert_eq!(refused(refusal), ProblemCode::NoSeatFree),
        }
    }
    assert_eq!(taken.len(), 10);
    sound(&ledger).await;
    ledger.close().await.unwrap();
    drop(ledger);

    let ledger = bench.open();
    let mut held: Vec<_> =
        ledger.clients(None, 1_000).await.unwrap().into_iter().map(|row| row.name).collect();
    held.sort();
    taken.sort();
    assert_eq!(held, taken, "what was answered is on disk, and nothing else");
    let row = &ledger.licenses().await.unwrap()[0];
    assert_eq!((row.licenses, row.used, row.reserved, row.active), (10, 10, 10, 0));
    sound(&ledger).await;
}

pub(in crate::ledger) async fn the_same_name_takes_no_second_seat(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&*ledger, 1).await;
    let first = ledger.reserve(admin(), world.at(2), name(1), channel("stable")).await.unwrap();
    let head = ledger.head().await.unwrap().sequence;
    let spelled = ComputerName::new("PC-1").unwrap();
    let again = ledger.reserve(admin(), world.at(9), spelled, channel("beta")).await.unwrap();
    assert_eq!((again.reserved_at, again.channel), (first.reserved_at, first.channel));
    unchanged(&*ledger, head).await;
    let other = ledger.reserve(admin(), world.at(9), name(2), channel("stable")).await;
    assert_eq!(refused(other), ProblemCode::NoSeatFree);
}

pub(in crate::ledger) async fn fewer_seats_than_used_take_nothing_and_give_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 3).await;
    let mut first = world.enrolled(&*ledger, "pc-1").await;
    world.contacts(&*ledger, &mut first, 10).await;
    for number in 2..=3 {
        ledger.reserve(admin(), world.at(2), name(number), channel("stable")).await.unwrap();
    }
    world.accept(&*ledger, world.grant(2, 1)).await.unwrap();
    let row = &ledger.licenses().await.unwrap()[0];
    assert_eq!((row.licenses, row.used), (1, 3), "nothing is taken");
    let more = ledger.reserve(admin(), world.at(3), name(4), channel("stable")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    let renewed = world.contacts(&*ledger, &mut first, 2 * DAY).await;
    assert!(renewed.lease.is_some(), "those that hold a seat are answered");
    // Seats of another serial number make up for what is missing first.
    let mut other = world.grant(1, 2);
    other.serial = serial(2);
    world.accept(&*ledger, other.clone()).await.unwrap();
    let more = ledger.reserve(admin(), world.at(3), name(4), channel("stable")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    other.seats = 3;
    other.generation = 2;
    world.accept(&*ledger, other).await.unwrap();
    ledger.reserve(admin(), world.at(3), name(4), channel("stable")).await.unwrap();
}

pub(in crate::ledger) async fn a_grant_of_another_server_or_site_key_is_refused(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut other_server = world.grant(1, 10);
    other_server.server_id = ServerId::from_random([9; 16]);
    let mut other_key = world.grant(1, 10);
    other_key.site_key = world.vendor.public();
    let mut floating = world.grant(1, 10);
    floating.model = sealpost_manifests::grant::LicenseModel::Floating;
    for grant in [other_server, other_key, floating] {
        assert_eq!(refused(world.accept(&*ledger, grant).await), ProblemCode::GrantRefused);
    }
    // A pair whose two halves differ is refused too, whoever verified it.
    let document =
        sealpost_manifests::document::SignedDocument::sign(&world.grant(1, 10), &world.vendor).unwrap();
    let answer = ledger.accept_grant(admin(), world.at(1), world.grant(1, 11), document).await;
    assert_eq!(refused(answer), ProblemCode::GrantRefused);
    unchanged(&*ledger, 1).await;
}

pub(in crate::ledger) async fn a_lower_generation_is_refused_and_the_same_grant_answered_again(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.accept(&*ledger, world.grant(2, 10)).await.unwrap();
    let head = ledger.head().await.unwrap().sequence;
    let again = world.accept(&*ledger, world.grant(2, 10)).await.unwrap();
    assert_eq!((again.generation, again.licenses), (2, 10));
    assert_eq!(refused(world.accept(&*ledger, world.grant(1, 20)).await), ProblemCode::GrantRefused);
    assert_eq!(refused(world.accept(&*ledger, world.grant(2, 20)).await), ProblemCode::GrantRefused);
    let mut old_epoch = world.grant(3, 20);
    old_epoch.epoch = 0;
    assert_eq!(refused(world.accept(&*ledger, old_epoch).await), ProblemCode::GrantRefused);
    unchanged(&*ledger, head).await;
    let kept = &ledger.licenses().await.unwrap()[0];
    assert_eq!((kept.generation, kept.licenses), (2, 10));
    let vendor_time = world.grant(2, 10).vendor_time;
    assert!(ledger.time_floor().await.unwrap() >= vendor_time, "what the vendor signed of the time holds");
}

pub(in crate::ledger) async fn a_lapsed_grant_gives_no_new_seat_and_no_first_lease_but_renews(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&*ledger, 10).await;
    let mut licensed = world.enrolled(&*ledger, "licensed").await;
    world.contacts(&*ledger, &mut licensed, 10).await;
    let mut late = world.enrolled(&*ledger, "late").await;
    world.pulled(&*ledger, 11).await;
    world.approved(&*ledger, "acme-av", 1, &["stable"]).await;

    let after = 367 * DAY;
    let seat = ledger.reserve(admin(), world.at(after), name(1), channel("stable")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
    let first = world.contacts(&*ledger, &mut late, after).await;
    assert!(first.lease.is_none() && first.assignment.is_none());
    assert!(first.notice.unwrap().contains("lapsed"));
    let renewed = world.contacts(&*ledger, &mut licensed, after).await;
    assert!(renewed.lease.is_some() && renewed.assignment.is_some() && renewed.notice.is_none());
    // A renewed license is enough: nothing has to be reserved or enrolled again.
    let mut grant = world.grant(2, 10);
    grant.valid_until = world.at(800 * DAY);
    world.accept(&*ledger, grant).await.unwrap();
    assert!(world.contacts(&*ledger, &mut late, after + 60).await.lease.is_some());
}

pub(in crate::ledger) async fn license_time_does_not_go_back_with_the_clock(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut grant = world.grant(1, 10);
    grant.vendor_time = world.at(400 * DAY);
    world.accept(&*ledger, grant).await.unwrap();
    // The vendor signed that it is later than the grant's end, whatever this computer's clock says.
    let seat = ledger.reserve(admin(), world.at(5), name(1), channel("stable")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
    ledger.close().await.unwrap();
    drop(ledger);
    let ledger = bench.open();
    let seat = ledger.reserve(admin(), world.at(5), name(1), channel("stable")).await;
    assert_eq!(refused(seat), ProblemCode::GrantExpired);
}
