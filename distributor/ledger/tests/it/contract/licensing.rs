//! Contracts of grants, seats and license time.

use std::sync::Arc;

use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::licenses::AcceptGrant;
use sealpost_site::queries::TimeFloor;
use sealpost_test_support::world::{DAY, World, admin, computer_name, reserve, reserve_for, serial};

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
            (name, Ok(())) => taken.push(name),
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
    let head = ledger.head().sequence;
    ledger.execute(world.at(9), reserve_for("PC-1", "beta")).await.unwrap();
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
    for name in ["pc-2", "pc-3"] {
        ledger.execute(world.at(2), reserve(name)).await.unwrap();
    }
    world.accept(&ledger, world.grant(2, 1)).await.unwrap();
    let row = &licenses(&ledger).await[0];
    assert_eq!((row.licenses, row.used), (1, 3), "nothing is taken");
    let more = ledger.execute(world.at(3), reserve("pc-4")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    let renewed = world.contacts(&ledger, &mut first, 2 * DAY).await;
    assert!(renewed.lease.is_some(), "those that hold a seat are answered");
    // Seats of another serial number make up for what is missing first.
    let mut other = world.grant(1, 2);
    other.serial = serial(2);
    world.accept(&ledger, other.clone()).await.unwrap();
    let more = ledger.execute(world.at(3), reserve("pc-4")).await;
    assert_eq!(refused(more), ProblemCode::NoSeatFree);
    other.seats = 3;
    other.generation = 2;
    world.accept(&ledger, other).await.unwrap();
    ledger.execute(world.at(3), reserve("pc-4")).await.unwrap();
}

pub(super) async fn seats_come_from_the_grant_that_came_first_while_it_has_any(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    // Neither the order of serial numbers nor the one of seats decides.
    for id in [9, 2, 5] {
        let mut grant = world.grant(1, 2);
        grant.serial = serial(id);
        world.accept(&ledger, grant).await.unwrap();
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
    let head = ledger.head().sequence;
    world.accept(&ledger, world.grant(2, 10)).await.unwrap();
    let again = &licenses(&ledger).await[0];
    assert_eq!((again.generation, again.licenses), (2, 10));
    assert_eq!(refused(world.accept(&ledger, world.grant(1, 20)).await), ProblemCode::GrantRefused);
    assert_eq!(refused(world.accept(&ledger, world.grant(2, 20)).await), ProblemCode::GrantRefused);
    let mut old_epoch = world.grant(3, 20);
    old_epoch.epoch = 0;
    assert_eq!(refused(world.accept(&ledger, old_epoch).await), ProblemCode::GrantRefused);
    unchanged(&ledger, head);
    let kept = &licenses(&ledger).await[0];
    assert_eq!((kept.generation, kept.licenses), (2, 10));
    let vendor_time = world.grant(2, 10).vendor_time;
    let floor = ledger.query(TimeFloor {}).await.unwrap();
    assert!(floor >= Some(vendor_time), "what the vendor signed of the time holds");
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
    grant.valid_until = world.at(800 * DAY);
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
