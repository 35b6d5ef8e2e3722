//! Rollouts: what they do by themselves; what a person does with one stands in `steering`.
//!
//! Invariant: [`AdvanceRollouts`] is a reconciler: it can be sent at any time, twice, or never, and does what is due. Rings open
//! and rollouts end only here, and where a person says so.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};

use super::decision::{Command, Context, Decision};
pub use super::steering::{LoadRollout, RolloutFacts, Steer, SteerRollout};
use super::steering::{index, opening};
use crate::changes::{Actor, Change, DeliveryOf, DeliveryStep, Note};
use crate::queries::{Query, query};
use crate::rules::release::{KnownRelease, ReleaseState, Supersession, is_mandatory, supersession};
use crate::rules::rollouts::cadence::absence;
use crate::rules::rollouts::plan::Delivery;
use crate::rules::rollouts::progress::{
    AdvanceFacts, DeliveryState, Population, Rollout, Step, Waiting, advance, is_watched,
};
use crate::rules::rollouts::strategy::{OnFailure, Ring};

/// Steps of one rollout in one round: each opens a ring or ends it, and a strategy has few rings.
const MAX_STEPS: usize = 32;
/// Computers in one entry of the log: an entry stays small.
const COMPUTERS_PER_ENTRY: usize = 500;
/// Who could not come because the server did not run has come by then, also where it restarts each night.
const WATCHED_ENOUGH: SignedDuration = SignedDuration::from_hours(8);
/// So many computers of one rollout that work on it are looked at in one round, whether they are silent or not; the next round
/// goes on after them. A round is each minute at the least, and nobody is silent before hours have passed.
pub const LOOKED_AT: u32 = 2_000;

query! {
    /// What rollouts do next is decided from.
    LoadAdvance {
        /// License time.
        pub now: Timestamp,
        /// After which computers of each rollout silent ones are looked for; of others from the first on.
        pub after: BTreeMap<u64, Place>,
    } -> AdvancingFacts, "read the rollouts"
}

/// One computer in the order in which those that work on a rollout are looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Since when it waits for the release.
    pub told_at: Timestamp,
    /// The client.
    pub client_id: ClientId,
}

/// As [`LoadAdvance`] says.
#[derive(Debug, Clone, Default)]
pub struct AdvancingFacts {
    /// Rollouts that are live, with their counts, by number; and completed ones of the same packages.
    pub rollouts: Vec<Rollout>,
    /// Approved and superseded releases of their packages.
    pub releases: Vec<KnownRelease>,
    /// Computers that were told by live rollouts and were not heard of for longer than they may be silent, by license time: those
    /// among the next [`LOOKED_AT`] of each rollout.
    pub overdue: Vec<Overdue>,
    /// The last computer that was looked at, of rollouts that have more.
    pub looked_to: BTreeMap<u64, Place>,
}

/// A computer that was not heard of for too long.
#[derive(Debug, Clone)]
pub struct Overdue {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// What it was told.
    pub delivery: Delivery,
    /// When it came last, or its delivery went on, by license time.
    pub heard: Timestamp,
    /// How long it may be silent.
    pub silence: SignedDuration,
}

/// Lets rollouts do what is due.
#[derive(Debug, Clone)]
pub struct AdvanceRollouts {
    /// License time.
    pub now: Timestamp,
    /// How long the server ran since it sent this the last time, by a clock that nobody sets. Soaks count only this.
    pub elapsed: SignedDuration,
    /// What a look at all computers found, ring by ring, by rollout.
    pub populations: BTreeMap<u64, Vec<Population>>,
    /// How long the server has watched each rollout, by the same clock, since it started. Nobody counts as silent before it has
    /// done so for as long, or for eight hours, whatever a clock says.
    pub watched: BTreeMap<u64, SignedDuration>,
    /// How far the last round looked for silent computers, as it answered.
    pub after: BTreeMap<u64, Place>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Whether computers get something that they did not get before.
    pub opened: bool,
    /// What live rollouts wait for, by number.
    pub waiting: BTreeMap<u64, Waiting>,
    /// Rollouts that halted by themselves.
    pub halted: Vec<u64>,
    /// How far silent computers were looked for, of rollouts where the next round goes on.
    pub looked_to: BTreeMap<u64, Place>,
}

impl Command for AdvanceRollouts {
    type Facts = LoadAdvance;
    type Answer = Advanced;
    const ATTEMPTED: &'static str = "let rollouts go on";

    fn facts(&self) -> LoadAdvance {
        LoadAdvance { now: self.now, after: self.after.clone() }
    }

    fn decide(self, facts: AdvancingFacts, context: &Context<'_>) -> Decision<Advanced> {
        let AdvancingFacts { mut rollouts, mut releases, overdue, looked_to } = facts;
        let advanced = Advanced { looked_to, ..Advanced::default() };
        let mut round = Round { decision: Decision::answer(()), advanced };
        let could_have_come = |of: &Overdue| absence(of.heard, self.now, context.outages) > of.silence;
        let overdue: Vec<Overdue> = overdue.into_iter().filter(could_have_come).collect();
        let live: Vec<usize> = (0..rollouts.len())
            .filter(|index| rollouts.get(*index).is_some_and(|r| r.state.is_live()))
            .collect();
        for index in live.into_iter().rev() {
            let others = rollouts.clone();
            let Some(rollout) = rollouts.get_mut(index) else { continue };
            let number = rollout.number;
            round.silence(rollout, &overdue, self.watched.get(&number).copied());
            let populations = self.populations.get(&number).map(Vec::as_slice);
            round.soak(rollout, populations, self.elapsed);
            // Who has to pass through it cannot get a newer one instead.
            let passed_through = is_mandatory(&rollout.manifest, &releases);
            let facts = AdvanceFacts {
                populations,
                overtaken_by: rollout.overtaken_by(&others).filter(|_| !passed_through),
            };
            for _ in 0..MAX_STEPS {
                match advance(rollout, &facts) {
                    Ok(step) => {
                        round.step(rollout, &step, &mut releases);
                        rollout.apply(&step, context.now);
                    }
                    Err(waiting) => {
                        if rollout.state.is_live() {
                            round.advanced.waiting.insert(number, waiting);
                        }
                        break;
                    }
                }
            }
        }
        let Decision { changes, notes, .. } = round.decision;
        Decision { changes, notes, answer: Ok(round.advanced) }
    }
}

/// One round over all rollouts.
struct Round {
    decision: Decision<()>,
    advanced: Advanced,
}

impl Round {
    fn change(&mut self, change: Change) {
        self.decision.changes.push((Actor::Server, change));
    }

    /// Computers that count as failed from now on, because nobody heard of them.
    fn silence(&mut self, rollout: &mut Rollout, overdue: &[Overdue], watched: Option<SignedDuration>) {
        let watched = watched.unwrap_or_default();
        let silent: Vec<DeliveryOf> = overdue
            .iter()
            .filter(|overdue| {
                overdue.delivery.rollout == rollout.number && watched > overdue.silence.min(WATCHED_ENOUGH)
            })
            .map(|overdue| DeliveryOf {
                client_id: overdue.client_id.clone(),
                name: overdue.name.clone(),
                step: DeliveryStep {
                    rollout: rollout.number,
                    package: overdue.delivery.package.clone(),
                    ring: overdue.delivery.ring,
                    before: Some(overdue.delivery.state),
                    after: DeliveryState::Silent,
                    attempt: overdue.delivery.attempt,
                    silence_secs: None,
                    waits_since: None,
                },
            })
            .collect();
        for DeliveryOf { step, .. } in &silent {
            if let Some(ring) = rollout.rings.get_mut(usize::try_from(step.ring).unwrap_or(usize::MAX)) {
                ring.counts.moves(step.before, step.after);
            }
        }
        for computers in silent.chunks(COMPUTERS_PER_ENTRY) {
            self.change(Change::DeliveriesChanged { rollout: rollout.number, computers: computers.to_vec() });
        }
    }

    /// The ring that is watched has been watched for longer. Somebody may have finished in the midst of `elapsed`, which is a
    /// minute at the most: all of it counts.
    fn soak(&mut self, rollout: &mut Rollout, populations: Option<&[Population]>, elapsed: SignedDuration) {
        let Some(current) = rollout.current_ring() else { return };
        let soak = rollout.strategy.rings().get(current).map(Ring::soak);
        let number = rollout.number;
        let (Some(soak), Some(ring)) = (soak, rollout.rings.get_mut(current)) else { return };
        let population = populations.and_then(|found| found.get(current));
        if elapsed <= SignedDuration::ZERO || ring.soaked >= soak || !is_watched(ring, population) {
            return;
        }
        ring.soaked = ring.soaked.saturating_add(elapsed).min(soak);
        let (ring, soaked_millis) = (index(current), millis(ring.soaked));
        self.decision.notes.push(Note::RingSoaked { rollout: number, ring, soaked_millis });
    }

    fn step(&mut self, rollout: &Rollout, step: &Step, releases: &mut Vec<KnownRelease>) {
        match step {
            Step::OpenRing { .. } => {
                self.advanced.opened = true;
                self.decision.changes.extend(opening(rollout, step, Actor::Server, String::new()));
            }
            Step::Complete => {
                self.advanced.opened = true;
                let supersession = completed(rollout.manifest, releases);
                self.change(Change::RolloutCompleted {
                    rollout: rollout.number,
                    release: rollout.release.clone(),
                    manifest: rollout.manifest,
                    supersession,
                });
            }
            Step::Halt { ring, failed, finished, on_failure } => {
                self.advanced.halted.push(rollout.number);
                let name = rollout.ring_name(*ring);
                let supersession = left(rollout.manifest, releases);
                self.change(Change::ReleaseHalted {
                    release: rollout.release.clone(),
                    manifest: rollout.manifest,
                    reason: format!(
                        "{failed} of {finished} computers failed in the ring {name} of rollout {}",
                        rollout.number
                    ),
                    rollback: *on_failure == OnFailure::RollBack,
                    withdrawn: false,
                    aborted: false,
                    supersession,
                });
            }
        }
    }
}

/// The release replaces older ones from now on.
fn completed(manifest: Sha256Digest, releases: &mut [KnownRelease]) -> Supersession {
    let Some(package) = releases.iter_mut().find(|release| release.manifest == manifest).map(|release| {
        release.rolling_out.clear();
        release.release.package.clone()
    }) else {
        return Supersession::default();
    };
    judged(&package, releases)
}

/// The release is none of the approved ones any more.
fn left(manifest: Sha256Digest, releases: &mut Vec<KnownRelease>) -> Supersession {
    let package = releases.iter().find(|release| release.manifest == manifest);
    let Some(package) = package.map(|release| release.release.package.clone()) else {
        return Supersession::default();
    };
    releases.retain(|release| release.manifest != manifest);
    judged(&package, releases)
}

/// What changes among the releases of a package, and they with it.
fn judged(package: &PackageName, releases: &mut [KnownRelease]) -> Supersession {
    let of_package: Vec<KnownRelease> =
        releases.iter().filter(|release| release.release.package == *package).cloned().collect();
    let change = supersession(&of_package);
    for release in releases.iter_mut() {
        if change.superseded.contains(&release.manifest) {
            release.state = ReleaseState::Superseded;
        } else if change.restored.contains(&release.manifest) {
            release.state = ReleaseState::Approved;
        }
    }
    change
}

fn millis(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
