//! What is asked about settings, groups and rollouts.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_manifests::release::PackageKind;
use sealpost_site::commands::configuration::{ConfigurationFacts, LoadConfiguration};
use sealpost_site::commands::rollouts::{
    AdvancingFacts, LOOKED_AT, LoadAdvance, LoadRollout, Overdue, Place, RolloutFacts,
};
use sealpost_site::commands::settings::{LoadMembers, LoadPlan, MemberFacts};
use sealpost_site::queries::{DeliveriesOf, GroupMembers, RolloutByNumber, Rollouts};
use sealpost_site::rows::DeliveryRow;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};
use sealpost_site::rules::rollouts::plan::{Delivery, Plan};
use sealpost_site::rules::rollouts::progress::{DeliveryState, Rollout, RolloutState};

use super::releases::page;
use super::rollouts::packages_kept_back;
use super::state::State;
use super::store::{Handle, Holds};

/// Most releases that a plan takes up for each package of a pin or block.
const MAX_REPLACED: usize = 1_000;

impl State {
    /// Settings and rollouts.
    pub(super) fn plan(&self) -> Arc<Plan> {
        let rolling = &self.rolling;
        let counts = |number: &u64| {
            let kept = rolling.rollouts.get(number);
            kept.is_some_and(|kept| {
                let release = self.releases.get(&kept.manifest);
                kept.state.is_live() || release.is_some_and(|row| row.state == ReleaseState::Approved)
            })
        };
        let numbers = rolling.rollouts.keys().filter(|number| counts(number));
        let mut waypoints: Vec<KnownRelease> =
            rolling.mandatory.iter().filter_map(|manifest| self.known_release(manifest)).collect();
        waypoints.retain(|known| !matches!(known.state, ReleaseState::Withdrawn | ReleaseState::Refused));
        let plan = Plan {
            version: rolling.version,
            settings: rolling.settings.clone(),
            rollouts: numbers.filter_map(|number| self.bare_rollout(*number)).collect(),
            replaced: self.replaced(),
            waypoints,
            approvals: rolling.approvals.clone(),
        };
        Arc::new(plan.with_delayed(self.completed_signatures()))
    }

    /// Superseded signature files whose last rollout is complete.
    fn completed_signatures(&self) -> Vec<(KnownRelease, Rollout)> {
        let superseded = self
            .releases
            .values()
            .filter(|row| row.state == ReleaseState::Superseded && row.kind == PackageKind::Signatures);
        let with_rollout = superseded.filter_map(|row| {
            let rollout = self.bare_rollout(row.rollout?)?;
            (rollout.state == RolloutState::Completed).then(|| (self.known(row), rollout))
        });
        with_rollout.collect()
    }

    /// Superseded releases that pins and blocks may bring back: package by package, or of all together.
    fn replaced(&self) -> Vec<KnownRelease> {
        let superseded = self.releases.values().filter(|row| row.state == ReleaseState::Superseded);
        let mut superseded: Vec<KnownRelease> = superseded.map(|row| self.known(row)).collect();
        superseded.sort_by_key(|known| (Reverse(known.counter), known.manifest));
        match packages_kept_back(&self.rolling.settings) {
            None => superseded.into_iter().take(MAX_REPLACED).collect(),
            Some(packages) => {
                let of = |package: &PackageName| {
                    let of_package = superseded.iter().filter(|known| known.release.package == *package);
                    of_package.take(MAX_REPLACED).cloned().collect::<Vec<_>>()
                };
                packages.iter().flat_map(of).collect()
            }
        }
    }

    /// Approved and superseded releases of a package, by counter.
    pub(super) fn approved_of(&self, package: &PackageName) -> Vec<KnownRelease> {
        let of_package = self.releases.values().filter(|row| row.release.package == *package);
        let approved = of_package.filter(|row| row.state.is_or_was_approved());
        let mut approved: Vec<KnownRelease> = approved.map(|row| self.known(row)).collect();
        approved.sort_by_key(|release| (release.counter, release.manifest));
        approved
    }

    /// Live rollouts, with everything that became of them.
    pub(super) fn live_rollouts(&self) -> Vec<Rollout> {
        let live = self.rolling.rollouts.iter().filter(|(_, kept)| kept.state.is_live());
        live.filter_map(|(number, _)| self.rollout(*number)).collect()
    }

    /// Live rollouts and those whose release is halted or withdrawn, with everything that became of them.
    pub(super) fn explaining_rollouts(&self) -> Vec<Rollout> {
        let kept = self.rolling.rollouts.keys().filter_map(|number| self.rollout(*number));
        let stopped = |rollout: &Rollout| {
            let known = self.known_release(&rollout.manifest);
            matches!(rollout.state, RolloutState::Halted | RolloutState::Aborted | RolloutState::Withdrawn)
                && known.is_some_and(|known| {
                    matches!(known.state, ReleaseState::Halted | ReleaseState::Withdrawn)
                })
        };
        kept.filter(|rollout| rollout.state.is_live() || stopped(rollout)).collect()
    }

    /// Computers that were told, and neither came nor reported within the time in which they may be silent, of the next ones
    /// that work on the rollout; and the last of these, if there may be more.
    fn overdue_of(
        &self,
        number: u64,
        now: Timestamp,
        after: Option<&Place>,
    ) -> (Vec<Overdue>, Option<Place>) {
        let of_rollout = self.rolling.told.iter().filter(|((other, _), _)| *other == number);
        let under_way = of_rollout.filter(|(_, told)| told.delivery.state.is_under_way());
        let place = |client_id: &ClientId, delivery: &Delivery| Place {
            told_at: delivery.told_at,
            client_id: client_id.clone(),
        };
        let mut next: Vec<(Place, Overdue)> = under_way
            .map(|((_, client_id), told)| {
                let answered = self.answered(client_id).map(|answered| answered.at);
                let overdue = Overdue {
                    client_id: client_id.clone(),
                    name: told.name.clone(),
                    delivery: told.delivery.clone(),
                    heard: answered.map_or(told.since, |answered| answered.max(told.since)),
                    silence: told.silence,
                };
                (place(client_id, &told.delivery), overdue)
            })
            .filter(|(place, _)| after.is_none_or(|after| place > after))
            .collect();
        next.sort_by(|(one, _), (other, _)| one.cmp(other));
        next.truncate(LOOKED_AT as usize);
        let last = next.get(LOOKED_AT as usize - 1).map(|(place, _)| place.clone());
        let overdue = next.into_iter().map(|(_, overdue)| overdue).filter(|overdue| {
            overdue.delivery.state != DeliveryState::Offered
                && now.duration_since(overdue.heard) > overdue.silence
        });
        (overdue.collect(), last)
    }
}

impl<H: Holds> Read<LoadPlan> for Handle<H> {
    fn read(&mut self, _: &LoadPlan) -> Result<Arc<Plan>, StoreError> {
        Ok(self.state().plan())
    }
}

impl<H: Holds> Read<LoadMembers> for Handle<H> {
    fn read(&mut self, query: &LoadMembers) -> Result<MemberFacts, StoreError> {
        let state = self.state();
        let members = state.rolling.members.get(&query.group);
        let is_listed = |name: &&ComputerName| members.is_some_and(|members| members.contains(*name));
        let listed: BTreeSet<ComputerName> = query.names.iter().filter(is_listed).cloned().collect();
        Ok(MemberFacts { plan: state.plan(), listed })
    }
}

impl<H: Holds> Read<LoadConfiguration> for Handle<H> {
    fn read(&mut self, query: &LoadConfiguration) -> Result<ConfigurationFacts, StoreError> {
        let state = self.state();
        let listed = state.rolling.members.iter().filter(|(_, listed)| !listed.is_empty());
        let listed = listed.filter(|_| query.lists).map(|(group, listed)| (group.clone(), listed.clone()));
        Ok(ConfigurationFacts { plan: state.plan(), members: listed.collect() })
    }
}

impl<H: Holds> Read<LoadAdvance> for Handle<H> {
    fn read(&mut self, query: &LoadAdvance) -> Result<AdvancingFacts, StoreError> {
        let state = self.state();
        let live = state.live_rollouts();
        let packages: BTreeSet<PackageName> =
            live.iter().map(|rollout| rollout.release.package.clone()).collect();
        let completed = state.rolling.rollouts.iter().filter(|(_, kept)| {
            let row = state.releases.get(&kept.manifest);
            kept.state == RolloutState::Completed
                && row.is_some_and(|row| {
                    row.state == ReleaseState::Approved && packages.contains(&row.release.package)
                })
        });
        let completed = completed.filter_map(|(number, _)| state.rollout(*number));
        let mut rollouts: Vec<Rollout> = live.iter().cloned().chain(completed).collect();
        rollouts.sort_by_key(|rollout| rollout.number);
        let mut facts = AdvancingFacts {
            rollouts,
            releases: packages.iter().flat_map(|package| state.approved_of(package)).collect(),
            ..AdvancingFacts::default()
        };
        for number in live.iter().map(|rollout| rollout.number) {
            let (overdue, last) = state.overdue_of(number, query.now, query.after.get(&number));
            facts.overdue.extend(overdue);
            facts.looked_to.extend(last.map(|last| (number, last)));
        }
        Ok(facts)
    }
}

impl<H: Holds> Read<LoadRollout> for Handle<H> {
    fn read(&mut self, query: &LoadRollout) -> Result<RolloutFacts, StoreError> {
        let state = self.state();
        let plan = state.plan();
        let Some(rollout) = state.rollout(query.number) else {
            return Ok(RolloutFacts {
                rollout: None,
                known: None,
                releases: Vec::new(),
                newest: None,
                highest_attempt: 0,
                plan,
            });
        };
        let of_release = state.rolling.rollouts.iter().filter(|(_, kept)| kept.manifest == rollout.manifest);
        Ok(RolloutFacts {
            known: state.known_release(&rollout.manifest),
            releases: state.approved_of(&rollout.release.package),
            newest: of_release.map(|(number, _)| *number).max(),
            highest_attempt: state.highest_attempt(&rollout.manifest),
            rollout: Some(rollout),
            plan,
        })
    }
}

impl<H: Holds> Read<Rollouts> for Handle<H> {
    fn read(&mut self, query: &Rollouts) -> Result<Vec<Rollout>, StoreError> {
        let state = self.state();
        let is_open = |state| {
            !query.open
                || matches!(state, RolloutState::Running | RolloutState::Paused | RolloutState::Halted)
        };
        let rows = state.rolling.rollouts.iter().rev().filter(|(number, kept)| {
            query.before.is_none_or(|before| **number < before) && is_open(kept.state)
        });
        Ok(rows.filter_map(|(number, _)| state.rollout(*number)).take(page(query.limit)).collect())
    }
}

impl<H: Holds> Read<RolloutByNumber> for Handle<H> {
    fn read(&mut self, query: &RolloutByNumber) -> Result<Option<Rollout>, StoreError> {
        Ok(self.state().rollout(query.number))
    }
}

impl<H: Holds> Read<DeliveriesOf> for Handle<H> {
    fn read(&mut self, query: &DeliveriesOf) -> Result<Vec<DeliveryRow>, StoreError> {
        let state = self.state();
        let of_rollout = state.rolling.told.iter().filter(|((number, _), told)| {
            *number == query.rollout && query.after.as_ref().is_none_or(|after| told.name > *after)
        });
        let mut rows: Vec<DeliveryRow> = of_rollout
            .map(|((_, client_id), told)| {
                let client = state.clients.get(client_id);
                let last = client.and_then(|client| client.last_reports.get(&told.delivery.package));
                let about = last.filter(|last| last.report.manifest == told.delivery.manifest);
                DeliveryRow {
                    name: told.name.clone(),
                    delivery: told.delivery.clone(),
                    since: told.since,
                    step: about.map(|last| last.report.step),
                    tries: told.tries.clone(),
                }
            })
            .collect();
        rows.sort_by(|one, other| {
            one.name.cmp(&other.name).then(one.delivery.told_at.cmp(&other.delivery.told_at))
        });
        let last = rows.iter().take(page(query.limit)).next_back().map(|row| row.name.clone());
        rows.retain(|row| last.as_ref().is_some_and(|last| row.name <= *last));
        Ok(rows)
    }
}

impl<H: Holds> Read<GroupMembers> for Handle<H> {
    fn read(&mut self, query: &GroupMembers) -> Result<Vec<ComputerName>, StoreError> {
        let state = self.state();
        let members = state.rolling.members.get(&query.group).into_iter().flatten();
        let after = members.filter(|name| query.after.as_ref().is_none_or(|after| *name > after));
        Ok(after.take(page(query.limit)).cloned().collect())
    }
}
