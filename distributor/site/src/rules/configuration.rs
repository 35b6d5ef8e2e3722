//! A whole configuration beside the one that a site has: what leads from one to the other, and a fingerprint by which somebody
//! can say which one they looked at.
//!
//! Invariant: a configuration says everything that a site sets: what it does not name has the product's default, or is not
//! there. A configuration that was written from a site changes nothing there.
//! Left out on purpose: for how many computers something changes (`comparison`, which counts in `concerned`), and what a
//! configuration asserts of computers (`assertion`).

pub mod assertion;
pub mod comparison;
pub mod concerned;

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use serde::Serialize;
use serde_json::Value;

use crate::rules::rollouts::groups::GroupName;
pub use crate::rules::rollouts::settings::MembersChange;
use crate::rules::rollouts::settings::{Properties, SettingChange, SettingKey, SettingKind, Settings};

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

/// What tells a configuration from every other one: settings that were set, and whom their groups list.
#[must_use]
pub fn fingerprint(
    settings: &Settings,
    members: &BTreeMap<GroupName, BTreeSet<ComputerName>>,
) -> Sha256Digest {
    let set: Vec<(SettingKey, Value)> = entries(settings).into_iter().collect();
    let lists = members.iter();
    let lists: Vec<_> =
        lists.filter(|(group, listed)| settings.groups.contains_key(*group) && !listed.is_empty()).collect();
    // Names and plain values all have a JSON form.
    Sha256Digest::of(&serde_json::to_vec(&(set, lists)).unwrap_or_default())
}

/// What tells the values of some settings from others that they could have.
#[must_use]
pub fn fingerprint_of<'a>(
    settings: &Settings,
    keys: impl IntoIterator<Item = &'a SettingKey>,
) -> Sha256Digest {
    let set: BTreeMap<SettingKey, Value> = entries(settings).into_iter().collect();
    let values: BTreeMap<&SettingKey, Option<&Value>> =
        keys.into_iter().map(|key| (key, set.get(key))).collect();
    let values: Vec<_> = values.into_iter().collect();
    // Names and plain values all have a JSON form.
    Sha256Digest::of(&serde_json::to_vec(&values).unwrap_or_default())
}

#[cfg(test)]
mod tests;
