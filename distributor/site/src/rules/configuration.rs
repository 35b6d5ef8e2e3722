//! A whole configuration beside the one that a site has: what it changes, for how many computers, and whether what it asserts
//! of single computers holds.
//!
//! Invariant: a configuration says everything that a site sets: what it does not name has the product's default, or is not
//! there. A configuration that was written from a site changes nothing there. Who is in which group and ring is found by the
//! functions that decide at a contact.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rows::RecipientRow;
use crate::rules::rollouts::delivery::Delivery;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::plan::Plan;
pub use crate::rules::rollouts::settings::MembersChange;
use crate::rules::rollouts::settings::{Properties, SettingChange, SettingKey, SettingKind, Settings};
use crate::rules::rollouts::share::{self, Salt, Threshold};
use crate::rules::rollouts::strategy::{Strategy, Takes};
use crate::rules::rollouts::window::Window;

/// A computer that came within this time is heard of: the first ones of a ring are chosen among these.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// What a site sets, and whom its groups list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Its settings.
    pub settings: Settings,
    /// The computers that each group lists by name.
    pub members: BTreeMap<GroupName, BTreeSet<ComputerName>>,
}

/// What leads from one configuration to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Settings with their new values; a property that is removed has its default.
    pub changes: Vec<SettingChange>,
    /// Who is listed from then on.
    pub members: Vec<MembersChange>,
}

/// Everything that was set, with its value; a property that has its default is left out.
#[must_use]
pub fn entries(settings: &Settings) -> BTreeMap<SettingKey, Value> {
    let Settings { properties, groups, strategies, windows, packages, blocks, pins, links, approvals } =
        settings;
    let mut all = BTreeMap::new();
    let default = Properties::default().texts();
    for ((name, text), (_, usual)) in properties.texts().into_iter().zip(default) {
        if text != usual {
            all.insert(key(SettingKind::Property, name), Value::String(text));
        }
    }
    put(&mut all, SettingKind::Group, groups);
    put(&mut all, SettingKind::Strategy, strategies);
    put(&mut all, SettingKind::Window, windows);
    put(&mut all, SettingKind::Package, packages);
    put(&mut all, SettingKind::Block, blocks);
    put(&mut all, SettingKind::Pin, pins);
    put(&mut all, SettingKind::Link, links);
    put(&mut all, SettingKind::Approval, approvals);
    all
}

fn key(kind: SettingKind, name: &str) -> SettingKey {
    SettingKey { kind, name: name.to_owned() }
}

fn put<K: ToString, T: Serialize>(
    all: &mut BTreeMap<SettingKey, Value>,
    kind: SettingKind,
    of_kind: &BTreeMap<K, T>,
) {
    for (name, value) in of_kind {
        // Settings are plain values, which all have a JSON form.
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        all.insert(key(kind, &name.to_string()), value);
    }
}

/// What leads from what a site has to what is wanted.
#[must_use]
pub fn difference(before: &Configuration, after: &Configuration) -> Difference {
    let (had, wanted) = (entries(&before.settings), entries(&after.settings));
    let set = wanted.iter().filter(|(key, value)| had.get(*key) != Some(*value));
    let set = set.map(|(key, value)| SettingChange { key: key.clone(), value: Some(value.clone()) });
    let gone = had.keys().filter(|key| !wanted.contains_key(*key));
    let gone = gone.map(|key| SettingChange { key: key.clone(), value: None });
    let groups: BTreeSet<&GroupName> = before.members.keys().chain(after.members.keys()).collect();
    let none = BTreeSet::new();
    let members = groups.into_iter().filter_map(|group| {
        let listed = before.members.get(group).unwrap_or(&none);
        let wanted = after.members.get(group).unwrap_or(&none);
        let add: Vec<ComputerName> = wanted.difference(listed).cloned().collect();
        let remove: Vec<ComputerName> = listed.difference(wanted).cloned().collect();
        let changes = !add.is_empty() || !remove.is_empty();
        changes.then(|| MembersChange { group: group.clone(), add, remove })
    });
    Difference { changes: set.chain(gone).collect(), members: members.collect() }
}

/// What a configuration asserts of one computer: it is not applied where that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// Which computer.
    pub computer: ComputerName,
    /// A group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_group: Option<GroupName>,
    /// A group that it does not belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_group: Option<GroupName>,
    /// How it gets what is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// The name of its ring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<Word>,
    /// The strategy that `ring` is a ring of; the one of programs when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
}

/// For how many computers something changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concerned {
    /// Computers with a seat.
    pub all: u64,
    /// Those for which anything of the following changes.
    pub changed: u64,
    /// Those that belong to other groups.
    pub groups: u64,
    /// Those that get what is approved in another way, or at another time.
    pub delivery: u64,
    /// Those that are in another ring of the strategy of programs or of signature files.
    pub rings: u64,
}

/// One configuration, and where it has each computer.
#[derive(Debug)]
struct Side {
    plan: Plan,
    strategies: Vec<(Word, Option<Strategy>)>,
    places: Vec<Place>,
}

/// One computer, as far as rings ask.
#[derive(Debug)]
struct Place {
    position: u64,
    heard: bool,
    /// For each strategy a bit for each ring that takes it by something else than its place among the first.
    takes: Vec<u32>,
}

/// What one configuration has a computer do.
#[derive(Debug, PartialEq, Eq)]
struct Stands {
    groups: BTreeSet<GroupName>,
    delivery: Delivery,
    window: Option<Window>,
}

impl Side {
    fn new(settings: Settings, assertions: &[Assertion]) -> Self {
        let Properties { strategy_programs, strategy_signatures, .. } = settings.properties;
        let mut names = vec![strategy_programs, strategy_signatures];
        names.extend(assertions.iter().filter_map(|assertion| assertion.strategy));
        let strategies = names.into_iter().map(|name| (name, settings.strategy(&name))).collect();
        Self { plan: Plan { settings, ..Plan::default() }, strategies, places: Vec::new() }
    }

    fn add(
        &mut self,
        row: &RecipientRow,
        listed: &BTreeSet<GroupName>,
        position: u64,
        heard: bool,
    ) -> Stands {
        let groups = row.groups_in(&self.plan, listed);
        let takes = self.strategies.iter().map(|(_, strategy)| takes(strategy.as_ref(), position, &groups));
        self.places.push(Place { position, heard, takes: takes.collect() });
        let settings = &self.plan.settings;
        let delivery = settings.delivery_of(&groups).clone();
        let window = settings.window_of(&delivery).cloned();
        Stands { groups, delivery, window }
    }

    /// The name of the ring of each computer in one strategy, in the order in which they came.
    fn rings(&self, strategy: usize) -> Vec<Option<Word>> {
        let Some((_, Some(plan))) = self.strategies.get(strategy) else {
            return vec![None; self.places.len()];
        };
        let first = plan.rings().iter().map(|ring| match ring.takes {
            Takes::First(count) => self.first(count),
            _ => None,
        });
        let first: Vec<Option<Threshold>> = first.collect();
        let ring_of = |place: &Place| {
            let bits = place.takes.get(strategy).copied().unwrap_or_default();
            let rings = plan.rings().iter().zip(&first).enumerate();
            rings.into_iter().find_map(|(index, (ring, below))| {
                let by_place = below.is_some_and(|below| share::is_in(place.position, below));
                (by_place || bits & bit(index) != 0).then_some(ring.name)
            })
        };
        self.places.iter().map(ring_of).collect()
    }

    fn first(&self, count: u32) -> Option<Threshold> {
        let count = NonZeroUsize::new(usize::try_from(count).unwrap_or(usize::MAX))?;
        let heard: Vec<u64> =
            self.places.iter().filter(|place| place.heard).map(|place| place.position).collect();
        let all = || self.places.iter().map(|place| place.position).collect();
        Threshold::first(count, if heard.is_empty() { all() } else { heard })
    }
}

fn bit(ring: usize) -> u32 {
    u32::try_from(ring).map_or(0, |ring| 1 << ring.min(31))
}

/// The rings that take a computer by a group, a share, or because they take everyone.
fn takes(strategy: Option<&Strategy>, position: u64, groups: &BTreeSet<GroupName>) -> u32 {
    let rings = strategy.map(Strategy::rings).unwrap_or_default().iter().enumerate();
    let taken = rings.filter(|(_, ring)| match &ring.takes {
        Takes::First(_) => false,
        Takes::Share(part) => share::is_in(position, Threshold::share(*part)),
        Takes::Group(group) => groups.contains(group),
        Takes::Everyone => true,
    });
    taken.fold(0, |bits, (index, _)| bits | bit(index))
}

/// A look at all computers with two configurations.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: Side,
    after: Side,
    wanted: &'a BTreeMap<GroupName, BTreeSet<ComputerName>>,
    assertions: &'a [Assertion],
    salt: Salt,
    now: Timestamp,
    concerned: Concerned,
    /// Whether groups or delivery of each computer change.
    changed: Vec<bool>,
    /// What the wanted configuration has the computers do of which something is asserted, with their places.
    asserted: BTreeMap<ComputerName, (usize, Stands)>,
}

impl<'a> Comparison<'a> {
    /// Of what a site has and what is wanted.
    #[must_use]
    pub fn new(
        before: &Settings,
        after: &'a Configuration,
        assertions: &'a [Assertion],
        salt: Salt,
        now: Timestamp,
    ) -> Self {
        Self {
            before: Side::new(before.clone(), &[]),
            after: Side::new(after.settings.clone(), assertions),
            wanted: &after.members,
            assertions,
            salt,
            now,
            concerned: Concerned::default(),
            changed: Vec::new(),
            asserted: BTreeMap::new(),
        }
    }

    /// Takes in a computer.
    pub fn add(&mut self, row: &RecipientRow) {
        let position = share::position(&self.salt, &row.name);
        let heard = row.last_contact.is_some_and(|at| self.now.duration_since(at) <= HEARD_WITHIN);
        let wanted = self.wanted.iter().filter(|(_, members)| members.contains(&row.name));
        let listed: BTreeSet<GroupName> = wanted.map(|(group, _)| group.clone()).collect();
        let before = self.before.add(row, &row.listed, position, heard);
        let after = self.after.add(row, &listed, position, heard);
        let groups = before.groups != after.groups;
        let delivery = (&before.delivery, &before.window) != (&after.delivery, &after.window);
        self.concerned.all += 1;
        self.concerned.groups += u64::from(groups);
        self.concerned.delivery += u64::from(delivery);
        if self.assertions.iter().any(|assertion| assertion.computer == row.name) {
            self.asserted.insert(row.name.clone(), (self.changed.len(), after));
        }
        self.changed.push(groups || delivery);
    }

    /// For how many computers something changes, and which assertions do not hold, in words.
    #[must_use]
    pub fn finish(self) -> (Concerned, Vec<String>) {
        let mut concerned = self.concerned;
        let rings = [0, 1].map(|strategy| (self.before.rings(strategy), self.after.rings(strategy)));
        for (index, changed) in self.changed.iter().enumerate() {
            let moved = rings.iter().any(|(before, after)| before.get(index) != after.get(index));
            concerned.rings += u64::from(moved);
            concerned.changed += u64::from(moved || *changed);
        }
        let failed = self.assertions.iter().flat_map(|assertion| self.failed(assertion)).collect();
        (concerned, failed)
    }

    fn failed(&self, assertion: &Assertion) -> Vec<String> {
        let Assertion { computer, in_group, not_in_group, delivery, ring, strategy } = assertion;
        let Some((index, stands)) = self.asserted.get(computer) else {
            return vec![format!("no seat is reserved for {computer}")];
        };
        if (in_group, not_in_group, delivery, ring) == (&None, &None, &None, &None) {
            return vec![format!("nothing is asserted of {computer}")];
        }
        let mut failed = Vec::new();
        let groups = || match stands.groups.iter().map(GroupName::as_str).collect::<Vec<_>>() {
            groups if groups.is_empty() => "no group".to_owned(),
            groups => groups.join(", "),
        };
        if let Some(group) = in_group.as_ref().filter(|group| !stands.groups.contains(*group)) {
            failed.push(format!("{computer} is not in the group {group}: it is in {}", groups()));
        }
        if let Some(group) = not_in_group.as_ref().filter(|group| stands.groups.contains(*group)) {
            failed.push(format!("{computer} is in the group {group}"));
        }
        if let Some(delivery) = delivery.as_ref().filter(|delivery| **delivery != stands.delivery) {
            failed.push(format!("{computer} gets updates by {}, not by {delivery}", stands.delivery));
        }
        if let Some(ring) = ring {
            let name = strategy.unwrap_or(self.after.plan.settings.properties.strategy_programs);
            let known = self.after.strategies.iter().position(|(known, _)| *known == name);
            let found = known.and_then(|known| self.after.rings(known).get(*index).copied().flatten());
            match found {
                Some(found) if found == *ring => {}
                Some(found) => {
                    failed.push(format!(
                        "{computer} is in the ring {found} of the strategy {name}, not in {ring}"
                    ));
                }
                None => failed.push(format!("there is no strategy named {name}")),
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests;
