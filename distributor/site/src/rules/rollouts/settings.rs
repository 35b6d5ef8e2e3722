//! What a site chose: its groups, strategies and windows, and how computers get what is approved.
//!
//! Invariant: settings that exist fit together: whatever one of them names is there. Each is one named value ([`SettingKey`]),
//! so that a change says exactly what it changed, and a new kind of setting needs no new table. What a site did not set has
//! the product's default.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::version::Version;
use sealpost_manifests::word::Word;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::delivery::{Content, ContentSetBy, Delivery, Hold, WhenCritical};
use super::groups::{Attributes, Description, GroupName, GroupRule, why_not};
use super::links::{self, Link};
use super::strategy::{Strategy, built_in, default_for};
use super::window::Window;
use crate::rules::approvals::rule::ApprovalRule;

/// Most settings of a site.
pub const MAX_SETTINGS: usize = 10_000;
/// Longest value, as JSON, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// What kind of thing a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    /// One of the Primary Server Properties.
    Property,
    /// A group of computers.
    Group,
    /// A strategy.
    Strategy,
    /// A maintenance window.
    Window,
    /// What goes for a package.
    Package,
    /// What a computer, a group or everybody does not get.
    Block,
    /// A version at which a computer, a group or everybody stays.
    Pin,
    /// A line that several computers share.
    Link,
    /// What releases need before they are approved.
    Approval,
}

impl SettingKind {
    /// Every kind, in the order of a settings file.
    pub const ALL: [Self; 9] = [
        Self::Property,
        Self::Group,
        Self::Strategy,
        Self::Window,
        Self::Package,
        Self::Block,
        Self::Pin,
        Self::Link,
        Self::Approval,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Property => "property",
            Self::Group => "group",
            Self::Strategy => "strategy",
            Self::Window => "window",
            Self::Package => "package",
            Self::Block => "block",
            Self::Pin => "pin",
            Self::Link => "link",
            Self::Approval => "approval",
        }
    }
}

impl FromStr for SettingKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("it is one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SettingKey {
    /// What it is.
    pub kind: SettingKind,
    /// Its name among those of its kind.
    pub name: String,
}

impl fmt::Display for SettingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One changed setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Which.
    #[serde(flatten)]
    pub key: SettingKey,
    /// What it says from now on; absent: it is not set any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

/// Computers that a group lists from now on, and those that it does not list any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersChange {
    /// The group.
    pub group: GroupName,
    /// To be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<ComputerName>,
    /// Not to be listed any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<ComputerName>,
}

/// Everything that a site set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Primary Server Properties.
    pub properties: Properties,
    /// Groups, by name.
    pub groups: BTreeMap<GroupName, GroupSettings>,
    /// Strategies of its own, by name.
    pub strategies: BTreeMap<Word, Strategy>,
    /// Windows, by name.
    pub windows: BTreeMap<Word, Window>,
    /// What goes for single packages.
    pub packages: BTreeMap<PackageName, PackageSettings>,
    /// What does not go to whom, by name.
    pub blocks: BTreeMap<Word, Block>,
    /// Who stays at which version, by name.
    pub pins: BTreeMap<Word, Pin>,
    /// Lines that computers share, by name.
    pub links: BTreeMap<Word, Link>,
    /// What releases need before they are approved, by name.
    pub approvals: BTreeMap<Word, ApprovalRule>,
}

/// Primary Server Properties: what goes for all computers unless something narrower says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// How computers get what is approved.
    pub delivery: Delivery,
    /// The strategy of programs.
    pub strategy_programs: Word,
    /// The strategy of signature files.
    pub strategy_signatures: Word,
    /// What becomes of releases that the vendor calls critical.
    pub critical: WhenCritical,
    /// How often and for how long a person at a computer may put an install off.
    pub hold: Hold,
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            delivery: Delivery::Push,
            strategy_programs: default_for(PackageKind::Program),
            strategy_signatures: default_for(PackageKind::Signatures),
            critical: WhenCritical::default(),
            hold: Hold::default(),
        }
    }
}

/// The names of the properties, each with what it is for.
pub const PROPERTIES: [(&str, &str); 5] = [
    ("critical", "critical releases: in_window, or at_once"),
    ("delivery", "how computers get updates: push, poll, window:NAME, manual, or folder"),
    ("hold", "how often and how many hours a person may put an install off: TIMESxHOURS, or none"),
    ("strategy-programs", "the strategy of programs, unless an approval names another"),
    ("strategy-signatures", "the strategy of signature files, unless an approval names another"),
];

impl Properties {
    /// Every property with its value as text, in the order of their names.
    #[must_use]
    pub fn texts(&self) -> [(&'static str, String); 5] {
        [
            ("critical", self.critical.to_string()),
            ("delivery", self.delivery.to_string()),
            ("hold", self.hold.to_string()),
            ("strategy-programs", self.strategy_programs.to_string()),
            ("strategy-signatures", self.strategy_signatures.to_string()),
        ]
    }

    fn set(&mut self, name: &str, value: Option<&serde_json::Value>) -> Result<(), String> {
        let default = Self::default();
        match name {
            "critical" => self.critical = parsed(value)?.unwrap_or(default.critical),
            "delivery" => self.delivery = parsed(value)?.unwrap_or(default.delivery),
            "hold" => self.hold = parsed(value)?.unwrap_or(default.hold),
            "strategy-programs" => {
                self.strategy_programs = parsed(value)?.unwrap_or(default.strategy_programs);
            }
            "strategy-signatures" => {
                self.strategy_signatures = parsed(value)?.unwrap_or(default.strategy_signatures);
            }
            _ => {
                let names = PROPERTIES.map(|(name, _)| name).join(", ");
                return Err(format!("there is no property of this name; there are {names}"));
            }
        }
        Ok(())
    }
}

fn parsed<T: DeserializeOwned>(value: Option<&serde_json::Value>) -> Result<Option<T>, String> {
    value.map(T::deserialize).transpose().map_err(|error| error.to_string())
}

/// What goes for the computers of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Description::is_empty")]
    pub description: Description,
    /// Who belongs to it, besides those that are listed by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<GroupRule>,
    /// How they get what is approved; absent: as the server's property says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// When they get signature files, of every package for which nothing narrower is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Of several groups of a computer the one with the highest rank counts; of equal ones the first by name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: u16,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(rank: &u16) -> bool {
    *rank == 0
}

impl GroupSettings {
    /// Whether a computer belongs to the group.
    #[must_use]
    pub fn takes(&self, is_listed: bool, computer: &Attributes<'_>) -> bool {
        why_not(self.rule.as_ref(), is_listed, computer).is_none()
    }
}

/// What goes for one package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSettings {
    /// The strategy of its releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
    /// When computers get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// Whom a block or a pin is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One computer.
    Computer(ComputerName),
    /// A group.
    Group(GroupName),
    /// Every computer.
    Everyone,
}

/// What somebody does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Who does not get it.
    pub of: Target,
    /// Of which package; absent: nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
    /// Which version; absent: each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A version at which somebody stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Who stays there.
    pub of: Target,
    /// Of which package.
    pub package: PackageName,
    /// At which version.
    pub version: Version,
    /// Why, for whoever reads it later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Something that is wrong with a change of settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct SettingError {
    /// Which setting.
    pub key: SettingKey,
    /// What is wrong with it.
    pub why: String,
}

impl Settings {
    /// Takes one change over. It is only read here; [`Self::problems`] says whether the whole fits together.
    ///
    /// # Errors
    /// [`SettingError`] when its name or value is none of its kind.
    pub fn set(&mut self, change: &SettingChange) -> Result<(), SettingError> {
        let SettingChange { key, value } = change;
        let (name, value) = (key.name.as_str(), value.as_ref());
        let done = match key.kind {
            SettingKind::Property => self.properties.set(name, value),
            SettingKind::Group => put(&mut self.groups, GroupName::new(name), value),
            SettingKind::Strategy => put(&mut self.strategies, Word::new(name), value),
            SettingKind::Window => put(&mut self.windows, Word::new(name), value),
            SettingKind::Package => put(&mut self.packages, PackageName::new(name), value),
            SettingKind::Block => put(&mut self.blocks, Word::new(name), value),
            SettingKind::Pin => put(&mut self.pins, Word::new(name), value),
            SettingKind::Link => put(&mut self.links, Word::new(name), value),
            SettingKind::Approval => put(&mut self.approvals, Word::new(name), value),
        };
        done.map_err(|why| SettingError { key: key.clone(), why })
    }

    /// Everything that does not fit together: a setting names another one that is not there.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingError> {
        let mut problems = Vec::new();
        let mut wants = |kind, name: &str, why: Option<String>| {
            if let Some(why) = why {
                problems.push(SettingError { key: SettingKey { kind, name: name.to_owned() }, why });
            }
        };
        let properties = &self.properties;
        wants(SettingKind::Property, "delivery", self.missing_window(&properties.delivery));
        wants(
            SettingKind::Property,
            "strategy-programs",
            self.missing_strategy(&properties.strategy_programs),
        );
        wants(
            SettingKind::Property,
            "strategy-signatures",
            self.missing_strategy(&properties.strategy_signatures),
        );
        for (name, group) in &self.groups {
            let missing = group.delivery.as_ref().and_then(|delivery| self.missing_window(delivery));
            wants(SettingKind::Group, name.as_str(), missing);
        }
        for (name, package) in &self.packages {
            let missing = package.strategy.as_ref().and_then(|strategy| self.missing_strategy(strategy));
            wants(SettingKind::Package, name.as_str(), missing);
        }
        for (name, strategy) in &self.strategies {
            let groups = strategy.rings().iter().filter_map(|ring| ring.takes.group());
            for group in groups {
                wants(SettingKind::Strategy, name.as_str(), self.missing_group(group));
            }
        }
        for (name, block) in &self.blocks {
            wants(SettingKind::Block, name.as_str(), self.missing_target(&block.of));
            let alone = block.version.is_some() && block.package.is_none();
            let why = alone.then(|| "it names a version and no package".to_owned());
            wants(SettingKind::Block, name.as_str(), why);
        }
        for (name, pin) in &self.pins {
            wants(SettingKind::Pin, name.as_str(), self.missing_target(&pin.of));
        }
        for (name, why) in links::conflicts(&self.links) {
            wants(SettingKind::Link, name.as_str(), Some(why));
        }
        problems
    }

    /// A strategy by its name: the site's own one, or one that every site has.
    #[must_use]
    pub fn strategy(&self, name: &Word) -> Option<Strategy> {
        let own = self.strategies.get(name).cloned();
        own.or_else(|| built_in().into_iter().find(|(known, _)| known == name).map(|(_, strategy)| strategy))
    }

    /// Every strategy that can be named, by name.
    #[must_use]
    pub fn all_strategies(&self) -> BTreeMap<Word, Strategy> {
        let mut all: BTreeMap<Word, Strategy> = built_in().into_iter().collect();
        all.extend(self.strategies.iter().map(|(name, strategy)| (*name, strategy.clone())));
        all
    }

    /// The strategy of a package, unless an approval names another one.
    #[must_use]
    pub fn strategy_of(&self, package: &PackageName, kind: PackageKind) -> Word {
        let own = self.packages.get(package).and_then(|package| package.strategy);
        own.unwrap_or(match kind {
            PackageKind::Signatures => self.properties.strategy_signatures,
            _ => self.properties.strategy_programs,
        })
    }

    /// How the computers of these groups get what is approved: by the group with the highest rank that says so.
    #[must_use]
    pub fn delivery_of(&self, groups: &BTreeSet<GroupName>) -> &Delivery {
        let of_group = self.by_rank(groups, |group| group.delivery.as_ref());
        of_group.map_or(&self.properties.delivery, |(_, delivery)| delivery)
    }

    /// The window that a method names.
    #[must_use]
    pub fn window_of(&self, delivery: &Delivery) -> Option<&Window> {
        match delivery {
            Delivery::Window(name) => self.windows.get(name),
            Delivery::Push | Delivery::Poll | Delivery::Manual | Delivery::Folder => None,
        }
    }

    /// When the computers of these groups get signature files of a package: as the group with the highest rank says that says
    /// anything, else as the package does.
    #[must_use]
    pub fn content_of(&self, groups: &BTreeSet<GroupName>, package: &PackageName) -> Content {
        let package = self.packages.get(package).and_then(|package| package.content);
        self.content_of_groups(groups).or(package).unwrap_or_default()
    }

    /// When the computers of these groups get signature files of every package, if a group says so.
    #[must_use]
    pub fn content_of_groups(&self, groups: &BTreeSet<GroupName>) -> Option<Content> {
        self.by_rank(groups, |group| group.content.as_ref()).map(|(_, content)| *content)
    }

    /// Whose settings [`Self::content_of`] follows, where they say anything.
    #[must_use]
    pub fn content_set_by(&self, groups: &BTreeSet<GroupName>, package: &PackageName) -> ContentSetBy {
        let of_group = self.by_rank(groups, |group| group.content.as_ref());
        of_group.map_or_else(
            || ContentSetBy::Package(package.clone()),
            |(group, _)| ContentSetBy::Group(group.clone()),
        )
    }

    /// The longest delay of signature files of a package that any group or the package itself has.
    #[must_use]
    pub fn longest_delay_of(&self, package: &PackageName) -> Option<SignedDuration> {
        let groups = self.groups.values().filter_map(|group| group.content);
        let package = self.packages.get(package).and_then(|package| package.content);
        let delays = groups.chain(package).filter_map(|content| match content {
            Content::Delayed(delay) => Some(delay.duration()),
            Content::Early | Content::General | Content::Paused => None,
        });
        delays.max()
    }

    fn by_rank<'s, T>(
        &'s self,
        groups: &BTreeSet<GroupName>,
        of: impl Fn(&'s GroupSettings) -> Option<&'s T>,
    ) -> Option<(&'s GroupName, &'s T)> {
        let mut best: Option<(u16, &GroupName, &T)> = None;
        for (name, group) in groups.iter().filter_map(|name| self.groups.get_key_value(name)) {
            match of(group) {
                Some(value) if best.is_none_or(|(rank, ..)| group.rank > rank) => {
                    best = Some((group.rank, name, value));
                }
                _ => {}
            }
        }
        best.map(|(_, name, value)| (name, value))
    }

    fn missing_window(&self, delivery: &Delivery) -> Option<String> {
        let Delivery::Window(name) = delivery else { return None };
        let missing = !self.windows.contains_key(name);
        missing.then(|| format!("it names the window {name}, and there is none of this name"))
    }

    fn missing_strategy(&self, name: &Word) -> Option<String> {
        let missing = self.strategy(name).is_none();
        missing.then(|| format!("it names the strategy {name}, and there is none of this name"))
    }

    fn missing_group(&self, name: &GroupName) -> Option<String> {
        let missing = !self.groups.contains_key(name);
        missing.then(|| format!("it names the group {name}, and there is none of this name"))
    }

    fn missing_target(&self, target: &Target) -> Option<String> {
        match target {
            Target::Group(name) => self.missing_group(name),
            Target::Computer(_) | Target::Everyone => None,
        }
    }
}

impl Target {
    /// Whether a computer of this name in these groups is meant.
    #[must_use]
    pub fn is(&self, name: &ComputerName, groups: &BTreeSet<GroupName>) -> bool {
        match self {
            Self::Computer(computer) => computer == name,
            Self::Group(group) => groups.contains(group),
            Self::Everyone => true,
        }
    }
}

fn put<K: Ord, T: DeserializeOwned>(
    all: &mut BTreeMap<K, T>,
    name: Result<K, impl fmt::Display>,
    value: Option<&serde_json::Value>,
) -> Result<(), String> {
    let name = name.map_err(|error| error.to_string())?;
    match parsed(value)? {
        Some(value) => drop(all.insert(name, value)),
        None => drop(all.remove(&name)),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
