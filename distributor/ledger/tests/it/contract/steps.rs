//! Random steps of computers, admins and time against the bounds of rollouts: they hold whatever the order.

use std::collections::BTreeMap;

use sealpost_ledger::Ledger;
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::queries::{DeliveriesOf, ReleaseByManifest, Rollouts};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::{RingState, Rollout, RolloutState};
use sealpost_site::rules::rollouts::settings::SettingKind;
use sealpost_test_support::world::{World, admin};

use super::rolling::{Rolling, changes, counted, setting, word};
use crate::bench::Bench;
use crate::fixture::sound;
use crate::random::Random;

const COMPUTERS: u64 = 12;
/// Caps in each ring.
const CAPPED: &str = r#"{"rings":[
    {"name":"canary","takes":{"first":1},"soak_minutes":30,"concurrent":2,"per_hour":3,"errors":{"count":3,"percent":50}},
    {"name":"early","takes":{"first":3},"soak_minutes":30,"concurrent":2,"per_hour":3,"errors":{"count":3,"percent":50}},
    {"name":"everyone","takes":"everyone","soak_minutes":30,"concurrent":2,"per_hour":3,"errors":{"count":3,"percent":50}}]}"#;

pub(super) async fn rollouts_keep_their_bounds_under_any_interleaving(world: &World, bench: &dyn Bench) {
    let mut random = Random(7);
    let mut ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, u32::try_from(COMPUTERS).unwrap()).await;
    ledger
        .execute(world.at(5), changes(vec![setting(SettingKind::Strategy, "capped", CAPPED)]))
        .await
        .unwrap();
    let (mut seconds, mut counter) = (100, 0);
    let mut known = BTreeMap::new();
    let mut tried = [0; 8];
    for step in 0..260 {
        seconds += 120 + random.below(1_200).cast_signed();
        let place = format!("step {step}");
        let at = usize::try_from(random.below(COMPUTERS)).unwrap();
        let kind = random.below(14);
        match kind {
            0 if counter < 6 && random.below(2) == 0 => {
                counter += 1;
                fleet.approve(&ledger, counter, "capped").await;
                tried[0] += 1;
            }
            _ if fleet.number == 0 || fleet.computers[at].contacts > 200 => {}
            1 => tried[1] += usize::from(steers(world, &ledger, &mut random, seconds).await),
            2 => {
                drop(ledger);
                ledger = bench.open();
                tried[2] += 1;
            }
            3..=5 => {
                fleet.advance(&ledger, seconds, random.below(40).cast_signed()).await;
                tried[3] += 1;
            }
            6 | 7 if fleet.holds(at) => {
                fleet.succeeds(&ledger, at, seconds).await;
                tried[4] += 1;
            }
            8 if fleet.holds(at) => {
                fleet.fails(&ledger, at, seconds).await;
                tried[5] += 1;
            }
            9 => {
                fleet.finds_the_silent(&ledger, seconds).await;
                tried[7] += 1;
            }
            _ => tried[6] += usize::from(fleet.is_told(&ledger, at, seconds).await),
        }
        counted(&ledger).await;
        bounded(&ledger, &mut known, &place).await;
    }
    assert!(tried.iter().all(|times| *times > 1), "each kind of step is tried: {tried:?}");
    sound(&ledger).await;
    ledger.close().await.unwrap();
}

async fn steers(world: &World, ledger: &Ledger, random: &mut Random, seconds: i64) -> bool {
    let all = ledger.query(Rollouts { before: None, open: false, limit: 100 }).await.unwrap();
    let Some(rollout) = all.first() else { return false };
    let next = rollout.current_ring().map_or(0, |ring| u32::try_from(ring).unwrap() + 1);
    let what = match random.below(5) {
        0 => Steer::Pause,
        1 | 2 => Steer::Resume,
        3 => Steer::Next { ring: next, populations: None },
        _ => Steer::Edit { strategy: word("capped"), emergency: random.below(2) == 0 },
    };
    let steer = SteerRollout {
        actor: admin(),
        number: rollout.number,
        what,
        comment: "a look".to_owned(),
        confirms: None,
    };
    ledger.execute(world.at(seconds), steer).await.is_ok()
}

/// Caps hold, nobody is told in a ring that is closed, what has ended stays so, and a rollout and its release say the same.
async fn bounded(ledger: &Ledger, known: &mut BTreeMap<u64, Rollout>, place: &str) {
    for rollout in ledger.query(Rollouts { before: None, open: false, limit: 100 }).await.unwrap() {
        let told = DeliveriesOf { rollout: rollout.number, after: None, limit: 1_000 };
        let told = ledger.query(told).await.unwrap();
        for (ring, (plan, progress)) in (0_u32..).zip(rollout.strategy.rings().iter().zip(&rollout.rings)) {
            let place = format!("{place}: ring {ring} of {}", rollout.number);
            assert!(progress.counts.under_way() <= u64::from(plan.concurrent.unwrap()), "{place}");
            assert!(progress.counts.told_in_hour <= u64::from(plan.per_hour.unwrap()), "{place}");
            let nobody = told.iter().all(|row| row.delivery.ring != ring);
            assert!(nobody || progress.state != RingState::Waiting, "{place}");
            let before = known.get(&rollout.number).and_then(|before| before.rings.get(ring as usize));
            let was_open = before.is_some_and(|before| before.state != RingState::Waiting);
            assert!(!was_open || progress.state != RingState::Waiting, "{place}: it closed again");
        }
        let row = ledger.query(ReleaseByManifest { manifest: rollout.manifest }).await.unwrap().unwrap();
        let fits = match rollout.state {
            RolloutState::Running | RolloutState::Paused => row.state == ReleaseState::Approved,
            RolloutState::Halted | RolloutState::Aborted => row.state == ReleaseState::Halted,
            RolloutState::Completed | RolloutState::Superseded => row.state.is_or_was_approved(),
            RolloutState::Withdrawn => row.state == ReleaseState::Withdrawn,
        };
        assert!(
            fits,
            "{place}: rollout {} is {} and its release {}",
            rollout.number, rollout.state, row.state
        );
        known.insert(rollout.number, rollout);
    }
}
