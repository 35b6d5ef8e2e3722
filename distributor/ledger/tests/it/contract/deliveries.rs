//! What is kept of how each computer tried a release: it stays when other releases go out.

use sealpost_ledger::Ledger;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Way};
use sealpost_site::commands::undoing::RetryRelease;
use sealpost_site::queries::DeliveriesOf;
use sealpost_site::rows::DeliveryRow;
use sealpost_site::rules::rollouts::progress::DeliveryState;
use sealpost_site::rules::rollouts::tries::{FailedStep, Tries};
use sealpost_test_support::world::{World, admin};

use super::rolling::{Rolling, counted};
use crate::bench::Bench;
use crate::fixture::{WorldExt, sound};

async fn of(ledger: &Ledger, rollout: u64) -> Vec<DeliveryRow> {
    ledger.query(DeliveriesOf { rollout, after: None, limit: 100 }).await.unwrap()
}

async fn row(ledger: &Ledger, fleet: &Rolling<'_>, rollout: u64, at: usize) -> DeliveryRow {
    let name = &fleet.computers[at].name;
    of(ledger, rollout).await.into_iter().find(|row| row.name == *name).unwrap()
}

pub(super) async fn what_each_computer_tried_is_kept_when_the_next_release_goes_out(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 4).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in 0..3 {
        assert!(fleet.is_told(&ledger, at, 30).await);
        assert_eq!(row(&ledger, &fleet, fleet.number, at).await.tries, Tries::default());
    }
    let check = fleet.step(InstallStep::Check, Outcome::Ok, ReasonCode::Done, "");
    let no_network = fleet.step(InstallStep::Check, Outcome::Refused, ReasonCode::NetworkFailed, "no route");
    let keep = fleet.step(InstallStep::Keep, Outcome::Ok, ReasonCode::Done, "");
    let health = fleet.step(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed, "it said \"no\"");
    let back =
        fleet.step(InstallStep::RollBack, Outcome::Ok, ReasonCode::HookFailed, "1.0 was started again");
    let (delta, whole) = (fleet.came(Way::Delta, 4_000), fleet.came(Way::Gzip, 900_000));
    // The first one has no network once, and installs it then.
    fleet.says_all(&ledger, 0, 40, vec![no_network.clone()]).await;
    fleet.says_all(&ledger, 0, 50, vec![check.clone(), delta.clone(), keep]).await;
    // The second one goes back, and has no network after that.
    fleet.says_all(&ledger, 1, 60, vec![check.clone(), whole, health, back]).await;
    fleet.says_all(&ledger, 1, 70, vec![no_network]).await;
    // The third one has begun as the next release goes out, and gets that.
    fleet.says_all(&ledger, 2, 80, vec![check, delta]).await;
    let first = fleet.number;
    let of_first = of(&ledger, first).await;
    fleet.approve(&ledger, 3, "three").await;
    fleet.advance(&ledger, 90, 0).await;
    for at in [1, 2] {
        assert!(fleet.is_told(&ledger, at, 100).await);
    }
    fleet.succeeds(&ledger, 1, 110).await;

    let failed = |step, reason, detail: &str| FailedStep { step, reason, detail: detail.to_owned() };
    let installed = row(&ledger, &fleet, first, 0).await;
    let tried = Tries {
        count: 2,
        way: Some(Way::Delta),
        bytes: Some(4_023),
        failed: Some(failed(InstallStep::Check, ReasonCode::NetworkFailed, "no route")),
    };
    assert_eq!((installed.delivery.state, installed.tries), (DeliveryState::Succeeded, tried));
    let left = row(&ledger, &fleet, first, 1).await;
    let tried = Tries {
        count: 2,
        way: Some(Way::Gzip),
        bytes: Some(900_023),
        failed: Some(failed(InstallStep::RollBack, ReasonCode::HookFailed, "1.0 was started again")),
    };
    assert_eq!(
        (left.delivery.state, left.tries),
        (DeliveryState::Failed, tried),
        "the network has no part in it"
    );
    let dropped = row(&ledger, &fleet, first, 2).await;
    let tried = Tries { count: 1, way: Some(Way::Delta), bytes: Some(4_023), failed: None };
    assert_eq!((dropped.delivery.state, dropped.tries), (DeliveryState::Dropped, tried));
    for at in [0, 1] {
        let before = of_first.iter().find(|row| row.name == fleet.computers[at].name);
        let now = row(&ledger, &fleet, first, at).await;
        assert_eq!(before.map(|row| &row.tries), Some(&now.tries), "what is newer changes nothing of it");
    }
    let newer = row(&ledger, &fleet, fleet.number, 1).await;
    let tried = (newer.delivery.state, newer.tries.count, newer.tries.failed);
    assert_eq!(tried, (DeliveryState::Succeeded, 0, None), "it is the other release's");
    counted(&ledger).await;
    sound(&ledger).await;
    let before = [of(&ledger, first).await, of(&ledger, fleet.number).await];
    ledger.close().await.unwrap();
    let rebuilt = bench.rebuilt();
    let rebuilt = rebuilt.open();
    assert_eq!([of(&rebuilt, first).await, of(&rebuilt, fleet.number).await], before);
}

pub(super) async fn a_computer_that_is_told_anew_keeps_what_it_tried_and_reports_of_before_leave_nothing(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 30).await);
    let check = fleet.step(InstallStep::Check, Outcome::Ok, ReasonCode::Done, "");
    let crash = fleet.step(InstallStep::Health, Outcome::Failed, ReasonCode::HookFailed, "a crash");
    fleet.says_all(&ledger, 0, 40, vec![check.clone(), crash]).await;
    let retry = RetryRelease {
        actor: admin(),
        manifest: fleet.row.manifest,
        names: Vec::new(),
        comment: "mended".to_owned(),
    };
    ledger.execute(world.at(50), retry).await.unwrap();
    // It was on its way while it was told to try again.
    let late = fleet.step(InstallStep::RollBack, Outcome::Ok, ReasonCode::HookTimedOut, "late");
    assert!(fleet.is_told(&ledger, 0, 60).await);
    let told = row(&ledger, &fleet, fleet.number, 0).await;
    assert_eq!((told.delivery.state, told.delivery.attempt, told.tries.count), (DeliveryState::Told, 2, 1));
    fleet.says_of_attempt(&ledger, 0, 70, 1, vec![late, check.clone()]).await;
    assert_eq!(row(&ledger, &fleet, fleet.number, 0).await.tries, told.tries);
    let whole = fleet.came(Way::Gzip, 70);
    fleet.says_all(&ledger, 0, 80, vec![check, whole]).await;
    let tries = row(&ledger, &fleet, fleet.number, 0).await.tries;
    assert_eq!((tries.count, tries.bytes), (2, Some(93)));
    assert_eq!(tries.failed, told.tries.failed, "why the first one failed is still known");
    // Whoever is set up again is another client, and has tried nothing; what was there stays.
    let mut again = world.computer(fleet.computers[0].name.as_str()).with_setup(2);
    ledger.execute(world.at(90), again.issue_setup()).await.unwrap();
    again.enrolled(&world.enrolls(&ledger, &again).await.unwrap());
    fleet.computers[0] = again;
    assert!(fleet.is_told(&ledger, 0, 100).await);
    let name = &fleet.computers[0].name;
    let both: Vec<_> = of(&ledger, fleet.number).await.into_iter().filter(|row| row.name == *name).collect();
    let counts: Vec<u32> = both.iter().map(|row| row.tries.count).collect();
    assert_eq!(counts, [2, 0]);
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn bytes_beyond_every_bound_stop_no_contact_and_no_rollout(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 1).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 30).await);
    let check = fleet.step(InstallStep::Check, Outcome::Ok, ReasonCode::Done, "");
    let endless = fleet.came(Way::Gzip, u64::MAX);
    let reports = vec![check, endless.clone(), endless.clone(), endless];
    fleet.says_all(&ledger, 0, 40, reports).await;
    let most = row(&ledger, &fleet, fleet.number, 0).await.tries.bytes;
    assert_eq!(most, Some(u64::try_from(i64::MAX).unwrap()));
    fleet.succeeds(&ledger, 0, 50).await;
    assert_eq!(row(&ledger, &fleet, fleet.number, 0).await.delivery.state, DeliveryState::Succeeded);
    sound(&ledger).await;
}
