//! Who would get a release, in which ring and when, and what would travel over which link, if it was approved now.
//!
//! Invariant: it takes every computer in once and remembers of each ring the first names and sums, so that its size does not
//! hang on the fleet. The ring of a computer is found by the function that decides at its contact: a look at all computers
//! ([`Survey`](super::survey::Survey)) has to have found before whom rings take that take the first ones.

use jiff::Timestamp;
use sealpost_manifests::release::Severity;

use super::delivery::{Content, WhenCritical};
use super::forecast::{Class, Facts, RingFacts, Times, forecast};
use super::gate::ring_index;
use super::links::load::{LinkLoad, Loads, travels};
use super::plan::{Asker, NO_ATTEMPTS, Plan};
use super::progress::{Population, Rollout};
use super::share::{self, Salt};
use super::survey::{HEARD_WITHIN, Known, may_have};
use crate::rows::{RecipientRow, ReleaseRow};
use crate::rules::leaving::Named;

/// A question that is under way.
#[derive(Debug)]
pub struct WhatIf<'a> {
    plan: &'a Plan,
    rollout: Rollout,
    release: &'a ReleaseRow,
    salt: Salt,
    now: Timestamp,
    rings: Vec<Found<'a>>,
}

#[derive(Debug)]
struct Found<'a> {
    computers: Named,
    heard_of: u64,
    bytes: u64,
    loads: Loads<'a>,
    facts: RingFacts,
}

/// What one ring would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingLook {
    /// Its computers.
    pub computers: Named,
    /// Those of them that were heard of lately.
    pub heard_of: u64,
    /// Bytes that travel to them.
    pub bytes: u64,
    /// What of it travels over which link.
    pub links: Vec<LinkLoad>,
    /// When they install it.
    pub times: Times,
}

impl<'a> WhatIf<'a> {
    /// Of a rollout that would begin now, whose rings take what a look at all computers found.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        mut rollout: Rollout,
        populations: &[Population],
        release: &'a ReleaseRow,
        salt: Salt,
        now: Timestamp,
    ) -> Self {
        for (ring, population) in rollout.rings.iter_mut().zip(populations) {
            ring.below = population.below;
        }
        let links = &plan.settings.links;
        let rings = rollout.rings.iter().map(|_| Found {
            computers: Named::default(),
            heard_of: 0,
            bytes: 0,
            loads: Loads::new(links),
            facts: RingFacts::default(),
        });
        Self { plan, rings: rings.collect(), rollout, release, salt, now }
    }

    /// Takes in a computer; one that has not enrolled gets nothing.
    pub fn add(&mut self, row: &RecipientRow) {
        let Some(platform) = &row.platform else { return };
        let groups = row.groups_in(self.plan, &row.listed);
        let asker = Asker {
            name: &row.name,
            position: share::position(&self.salt, &row.name),
            groups: &groups,
            channel: &row.channel,
            deliveries: &row.deliveries,
            attempts: &NO_ATTEMPTS,
        };
        let known = Known {
            asker,
            platform,
            licensed: &row.licensed(),
            installed: &row.installed,
            last_contact: row.last_contact,
            came_by: row.came_by,
        };
        if !may_have(&self.rollout, &known, self.plan) {
            return;
        }
        let ring = usize::try_from(ring_index(&self.rollout, &asker, self.plan)).ok();
        let Some(found) = ring.and_then(|ring| self.rings.get_mut(ring)) else { return };
        found.computers.add(&row.name);
        let heard = row.last_contact.is_some_and(|at| self.now.duration_since(at) <= HEARD_WITHIN);
        found.heard_of += u64::from(heard);
        let package = &self.rollout.release.package;
        let mut of_package = row.installed.iter().filter(|installed| installed.package() == package);
        if row.installed.iter().any(|installed| installed.manifest == self.rollout.manifest) {
            found.facts.running += 1;
        } else if !of_package.any(|installed| installed.counter >= self.rollout.counter) {
            let settings = &self.plan.settings;
            let content = if self.rollout.is_signatures() {
                settings.content_of(&groups, package)
            } else {
                Content::General
            };
            found.facts.add(Class { delivery: settings.delivery_of(&groups).clone(), content });
            let bytes = travels(self.release.payload_bytes, &self.release.deltas, &row.installed);
            found.bytes = found.bytes.saturating_add(bytes);
            found.loads.add(row.came_by, bytes);
        }
    }

    /// Each ring, in the order in which they open.
    #[must_use]
    pub fn finish(self) -> Vec<RingLook> {
        let settings = &self.plan.settings;
        let critical = self.release.severity == Severity::Critical;
        let facts: Vec<RingFacts> = self.rings.iter().map(|ring| ring.facts.clone()).collect();
        let times = forecast(&Facts {
            now: self.now,
            strategy: &self.rollout.strategy,
            rings: &facts,
            windows: &settings.windows,
            at_once: critical && settings.properties.critical == WhenCritical::AtOnce,
        });
        let rings = self.rings.into_iter().zip(times);
        let look = |(found, times): (Found<'_>, Times)| {
            let Found { computers, heard_of, bytes, loads, facts: _ } = found;
            RingLook { computers, heard_of, bytes, links: loads.finish(), times }
        };
        rings.map(look).collect()
    }
}

#[cfg(test)]
mod tests;
