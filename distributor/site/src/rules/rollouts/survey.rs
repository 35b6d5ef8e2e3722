//! A look at all computers: how many each ring of a rollout has, and which are the first of all.
//!
//! Invariant: who belongs to a ring is found by the same functions as at a contact. A computer that was told counts in the
//! ring in which it was told. Computers that may not have the release are none of a ring, nor those that get signature files
//! later, until their time has come.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::Platform;
use sealpost_manifests::wire::contact::InstalledPackage;

use super::delivery::Content;
use super::gate;
use super::links::load::{LinkLoad, Loads, travels};
use super::plan::{Asker, NO_ATTEMPTS, Plan};
use super::progress::{Population, RingState, Rollout};
use super::share::{self, Salt, Threshold};
use super::strategy::Takes;
use crate::rows::{DeltaRow, RecipientRow};
use crate::rules::assignment::Licensed;
use crate::rules::came_by::CameBy;

/// A computer that came within this time is heard of: the first ones are chosen among these.
pub(super) const HEARD_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// A computer that was not heard of for longer is waited for no more: it may be gone for good.
const WAITED_FOR: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A look that is under way.
#[derive(Debug)]
pub struct Survey<'a> {
    plan: &'a Plan,
    salt: Salt,
    now: Timestamp,
    rollouts: Vec<(&'a Rollout, Vec<Seen>)>,
    /// Whether signature files come to some group at another time than to others.
    content_by_group: bool,
    weighed: Option<Weighed<'a>>,
}

/// What has to travel for one of the rollouts.
#[derive(Debug)]
struct Weighed<'a> {
    rollout: u64,
    payload_bytes: u64,
    deltas: &'a [DeltaRow],
    loads: Loads<'a>,
}

/// One computer that enrolled, as a look takes it in.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its name, its place, its groups, its channel, and what it was told.
    pub asker: Asker<'a>,
    /// What it runs on.
    pub platform: &'a Platform,
    /// What its grants cover.
    pub licensed: &'a Licensed,
    /// What it has installed, as it said last.
    pub installed: &'a [InstalledPackage],
    /// When it last made a contact.
    pub last_contact: Option<Timestamp>,
    /// How it came the last time.
    pub came_by: Option<CameBy>,
}

/// What counts of one computer for one rollout.
#[derive(Debug, Clone, Copy)]
struct Seen {
    position: u64,
    heard: bool,
    waiting: bool,
    running: bool,
    /// The ring in which it was told.
    told_in: Option<u32>,
    /// A bit for each ring that takes it by something else than its place among the first.
    takes: u32,
}

impl<'a> Survey<'a> {
    /// Of these rollouts.
    #[must_use]
    pub fn new(plan: &'a Plan, rollouts: &'a [Rollout], salt: Salt, now: Timestamp) -> Self {
        let rollouts = rollouts.iter().map(|rollout| (rollout, Vec::new())).collect();
        let content_by_group = plan.settings.groups.values().any(|group| group.content.is_some())
            || plan.settings.packages.values().any(|package| package.content.is_some());
        Self { plan, salt, now, rollouts, content_by_group, weighed: None }
    }

    /// The same, that also adds up what travels over each link for the release of one of them.
    #[must_use]
    pub fn weighing(self, rollout: u64, payload_bytes: u64, deltas: &'a [DeltaRow]) -> Self {
        let loads = Loads::new(&self.plan.settings.links);
        Self { weighed: Some(Weighed { rollout, payload_bytes, deltas, loads }), ..self }
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
        self.add_known(&Known {
            asker,
            platform,
            licensed: &row.licensed(),
            installed: &row.installed,
            last_contact: row.last_contact,
            came_by: row.came_by,
        });
    }

    /// Takes in a computer whose place and groups are known.
    pub fn add_known(&mut self, known: &Known<'_>) {
        let asker = &known.asker;
        let heard_within = |term| known.last_contact.is_some_and(|at| self.now.duration_since(at) <= term);
        let (heard, waited_for) = (heard_within(HEARD_WITHIN), heard_within(WAITED_FOR));
        for (rollout, seen) in &mut self.rollouts {
            let package = &rollout.release.package;
            if !may_have(rollout, known, self.plan) {
                continue;
            }
            let told = asker.deliveries.iter().find(|told| told.rollout == rollout.number);
            // Who gets signature files a day later is no canary for a ring that is watched for minutes.
            let comes_later = told.is_none()
                && self.content_by_group
                && gate::wait_for_content(rollout, asker, self.plan, self.now).is_err();
            if comes_later {
                continue;
            }
            let runs_it_or_newer = known
                .installed
                .iter()
                .any(|installed| installed.counter >= rollout.counter && installed.package() == package);
            let runs_it = || known.installed.iter().any(|installed| installed.manifest == rollout.manifest);
            if let Some(weighed) = self.weighed.as_mut().filter(|weighed| weighed.rollout == rollout.number)
                && !runs_it_or_newer
            {
                let bytes = travels(weighed.payload_bytes, weighed.deltas, known.installed);
                weighed.loads.add(known.came_by, bytes);
            }
            seen.push(Seen {
                position: asker.position,
                heard,
                waiting: !runs_it_or_newer && told.is_none() && waited_for,
                running: told.is_none() && runs_it_or_newer && runs_it(),
                told_in: told.map(|told| told.ring),
                takes: takes(rollout, asker, self.content_by_group.then_some(self.plan)),
            });
        }
    }

    /// What was found, ring by ring, by rollout; and what has to travel over each link, if that was weighed.
    #[must_use]
    pub fn finish(self) -> (BTreeMap<u64, Vec<Population>>, Vec<LinkLoad>) {
        let found = self.rollouts.into_iter();
        let found = found.map(|(rollout, seen)| (rollout.number, populations(rollout, &seen)));
        (found.collect(), self.weighed.map(|weighed| weighed.loads.finish()).unwrap_or_default())
    }
}

/// Whether a computer may have the release of a rollout at all.
pub(super) fn may_have(rollout: &Rollout, known: &Known<'_>, plan: &Plan) -> bool {
    rollout.channels.contains(known.asker.channel)
        && rollout.release.platform.fits(known.platform)
        && known.licensed.covers(&rollout.release.package)
        && gate::kept_away(&rollout.release, &known.asker, plan).is_ok()
}

/// The rings that take a computer by a group, a share, or because they take everyone.
///
/// Without a plan nobody gets signature files earlier than others.
fn takes(rollout: &Rollout, asker: &Asker<'_>, plan: Option<&Plan>) -> u32 {
    let early = rollout.is_signatures()
        && plan.is_some_and(|plan| {
            plan.settings.content_of(asker.groups, &rollout.release.package) == Content::Early
        });
    let by = |takes: &Takes| match takes {
        Takes::First(_) => false,
        Takes::Share(part) => share::is_in(asker.position, Threshold::share(*part)),
        Takes::Group(group) => asker.groups.contains(group),
        Takes::Everyone => true,
    };
    let rings = rollout.strategy.rings().iter().enumerate();
    let bits = rings.filter(|(index, ring)| by(&ring.takes) || (early && *index == 0));
    bits.fold(0, |bits, (index, _)| bits | u32::try_from(index).map_or(0, |index| 1 << index.min(31)))
}

fn populations(rollout: &Rollout, seen: &[Seen]) -> Vec<Population> {
    let mut found: Vec<Population> = Vec::with_capacity(rollout.rings.len());
    for (index, (plan, progress)) in rollout.strategy.rings().iter().zip(&rollout.rings).enumerate() {
        let below = match (&plan.takes, progress.state) {
            (Takes::First(_), RingState::Open { .. }) => progress.below,
            (Takes::First(count), RingState::Waiting) => first(*count, seen),
            _ => None,
        };
        found.push(Population { below, ..Population::default() });
        debug_assert_eq!(found.len(), index + 1);
    }
    for one in seen {
        let in_ring = |(index, population): &(usize, &Population)| {
            let by_place = population.below.is_some_and(|below| share::is_in(one.position, below));
            by_place || u32::try_from(*index).is_ok_and(|index| one.takes & (1 << index.min(31)) != 0)
        };
        let own = found.iter().enumerate().find(in_ring).map(|(index, _)| index);
        let ring = one.told_in.and_then(|ring| usize::try_from(ring).ok()).or(own);
        if let Some(population) = ring.and_then(|ring| found.get_mut(ring)) {
            population.members += 1;
            population.waiting += u64::from(one.waiting);
            population.running += u64::from(one.running);
            population.heard_of += u64::from(one.heard);
        }
    }
    found
}

/// The first computers among those that are heard of; among all, if none is.
fn first(count: u32, seen: &[Seen]) -> Option<Threshold> {
    let count = NonZeroUsize::new(usize::try_from(count).unwrap_or(usize::MAX))?;
    let heard: Vec<u64> = seen.iter().filter(|seen| seen.heard).map(|seen| seen.position).collect();
    let all = || seen.iter().map(|seen| seen.position).collect();
    Threshold::first(count, if heard.is_empty() { all() } else { heard })
}
