//! A look at all computers: how many each ring of a rollout has.

use std::num::NonZeroUsize;

use jiff::SignedDuration;
use sealpost_site::rules::rollouts::gate::ring_index;
use sealpost_site::rules::rollouts::plan::Asker;
use sealpost_site::rules::rollouts::progress::{Population, RingState, Rollout};
use sealpost_site::rules::rollouts::share::Threshold;
use sealpost_site::rules::rollouts::strategy::Takes;

use crate::computer::Computer;
use crate::site::{Site, stable};

/// A computer that was not heard of for longer counts for no ring that is about to open.
const LATELY: SignedDuration = SignedDuration::from_hours(3 * 24);

/// The rings of a rollout.
pub(crate) fn survey(site: &Site, computers: &[Computer], rollout: &Rollout, now: i64) -> Vec<Population> {
    let heard = |computer: &Computer| {
        computer.last.is_some_and(|last| SignedDuration::from_mins(now - last) <= LATELY)
    };
    let mut rollout = rollout.clone();
    let rings = rollout.strategy.rings().to_vec();
    for (index, ring) in rings.iter().enumerate() {
        if let (Takes::First(count), RingState::Waiting) = (&ring.takes, rollout.rings[index].state) {
            let mut lately: Vec<u64> =
                computers.iter().filter(|one| heard(one)).map(|one| one.position).collect();
            if lately.is_empty() {
                lately = computers.iter().map(|one| one.position).collect();
            }
            rollout.rings[index].below =
                Threshold::first(NonZeroUsize::new(*count as usize).unwrap(), lately);
        }
    }
    let mut found = vec![Population::default(); rings.len()];
    for (population, ring) in found.iter_mut().zip(&rollout.rings) {
        population.below = ring.below;
    }
    let channel = stable();
    for computer in computers {
        let asker = Asker {
            name: &computer.name,
            position: computer.position,
            groups: &computer.groups,
            channel: &channel,
            deliveries: &computer.deliveries,
        };
        let told = computer.deliveries.iter().find(|told| told.rollout == rollout.number);
        let ring = told.map_or_else(|| ring_index(&rollout, &asker, &site.plan), |told| told.ring);
        let population = &mut found[ring as usize];
        population.members += 1;
        let heard = heard(computer);
        population.heard_of += u64::from(heard);
        let runs = computer.installed.iter().find(|runs| *runs.package() == rollout.release.package);
        let older = runs.is_none_or(|runs| runs.counter < rollout.counter);
        population.waiting += u64::from(older && told.is_none() && heard);
    }
    found
}
