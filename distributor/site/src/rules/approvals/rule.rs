//! What a release needs before it is approved.
//!
//! Invariant: of several rules that take a release the strictest counts: two pairs of eyes if any says so, and the highest age.
//! A rule that approves by itself does so only where no rule needs two, and for the channels alone that it takes.
//! Kinds and severities that this program does not know are refused in a rule: a slip would make a rule that takes nothing.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::release::{PackageKind, Severity};
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use crate::rules::release::KnownRelease;
use crate::rules::rollouts::glob::fits;
use crate::rules::rollouts::groups::Description;

/// Longest age that a rule can ask for, in hours: a year.
pub const MAX_AGE_HOURS: u32 = 366 * 24;
/// Longest pattern, in bytes, as the longest name of a package.
const MAX_PATTERN_BYTES: usize = 64;

/// Whose approval is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// That of one person.
    #[default]
    One,
    /// Those of two accounts: four eyes.
    Two,
}

/// A pattern for names of packages: `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagePattern(String);

/// Why a rule cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a pattern.
    #[error("a pattern for packages has a-z, 0-9, '-' and '*', at most {MAX_PATTERN_BYTES} characters")]
    Pattern,
    /// A word that this program does not know.
    #[error("{0:?} is no kind of package; there are program, signatures, agent and server")]
    Kind(String),
    /// A word that this program does not know.
    #[error("{0:?} is no severity; there are low, normal, high and critical")]
    Severity(String),
    /// Longer than anybody waits.
    #[error("a release can be asked to be at most {MAX_AGE_HOURS} hours old, and this is {0}")]
    Age(u32),
    /// Nobody and two people at once.
    #[error("a rule that approves by itself cannot need two people")]
    Contradiction,
}

impl TryFrom<String> for PackagePattern {
    type Error = RuleError;
    fn try_from(text: String) -> Result<Self, RuleError> {
        let plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*');
        let is_good = (1..=MAX_PATTERN_BYTES).contains(&text.len()) && text.bytes().all(plain);
        if is_good { Ok(Self(text)) } else { Err(RuleError::Pattern) }
    }
}

impl From<PackagePattern> for String {
    fn from(pattern: PackagePattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for PackagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A rule: which releases it takes, and what they need. What is absent takes every release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleText", into = "RuleText")]
pub struct ApprovalRule {
    /// Packages of these names.
    pub package: Option<PackagePattern>,
    /// Packages of this kind.
    pub kind: Option<PackageKind>,
    /// What is approved for this channel.
    pub channel: Option<ChannelName>,
    /// Releases that the vendor holds this urgent.
    pub severity: Option<Severity>,
    /// Whose approval is enough.
    pub needs: Needs,
    /// Hours that a release lies here before it is approved.
    pub min_age_hours: Option<u32>,
    /// It is approved by itself as soon as it may be.
    pub by_itself: bool,
    /// What the rule is for, for people.
    pub description: Description,
}

/// A rule as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<PackagePattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<PackageKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "is_one")]
    needs: Needs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_age_hours: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    by_itself: bool,
    #[serde(default, skip_serializing_if = "Description::is_empty")]
    description: Description,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_one(needs: &Needs) -> bool {
    matches!(needs, Needs::One)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl TryFrom<RuleText> for ApprovalRule {
    type Error = RuleError;
    fn try_from(text: RuleText) -> Result<Self, RuleError> {
        let RuleText { package, kind, channel, severity, needs, min_age_hours, by_itself, description } =
            text;
        if let Some(PackageKind::Other(word)) = kind {
            return Err(RuleError::Kind(word.to_string()));
        }
        if let Some(Severity::Other(word)) = severity {
            return Err(RuleError::Severity(word.to_string()));
        }
        if let Some(hours) = min_age_hours.filter(|hours| *hours > MAX_AGE_HOURS) {
            return Err(RuleError::Age(hours));
        }
        if by_itself && needs == Needs::Two {
            return Err(RuleError::Contradiction);
        }
        Ok(Self { package, kind, channel, severity, needs, min_age_hours, by_itself, description })
    }
}

impl From<ApprovalRule> for RuleText {
    fn from(rule: ApprovalRule) -> Self {
        let ApprovalRule { package, kind, channel, severity, needs, min_age_hours, by_itself, description } =
            rule;
        Self { package, kind, channel, severity, needs, min_age_hours, by_itself, description }
    }
}

impl fmt::Display for ApprovalRule {
    /// Which releases it takes, and what they need.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = [
            self.package.as_ref().map(|package| format!("package {package}")),
            self.kind.map(|kind| format!("kind {kind}")),
            self.channel.as_ref().map(|channel| format!("channel {channel}")),
            self.severity.map(|severity| format!("severity {severity}")),
        ];
        let of: Vec<String> = of.into_iter().flatten().collect();
        let of = if of.is_empty() { "every release".to_owned() } else { of.join(", ") };
        let by = match (self.by_itself, self.needs) {
            (true, _) => "approved by itself",
            (false, Needs::One) => "approved by one person",
            (false, Needs::Two) => "approved by two people",
        };
        write!(f, "{of}: {by}")?;
        match self.min_age_hours {
            Some(hours) => write!(f, ", after {hours} hours here"),
            None => Ok(()),
        }
    }
}

/// The release of which is asked what it needs.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its package.
    pub package: &'a PackageName,
    /// Program or signatures.
    pub kind: PackageKind,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// The channels for which it is approved.
    pub channels: &'a [ChannelName],
}

impl<'a> About<'a> {
    /// A release, to be approved for these channels.
    #[must_use]
    pub const fn release(release: &'a KnownRelease, channels: &'a [ChannelName]) -> Self {
        Self { package: &release.release.package, kind: release.kind, severity: release.severity, channels }
    }
}

impl ApprovalRule {
    fn takes(&self, about: About<'_>) -> bool {
        let package = self.package.as_ref();
        package.is_none_or(|pattern| fits(&pattern.0, about.package.as_ref()))
            && self.kind.is_none_or(|kind| kind == about.kind)
            && self.severity.is_none_or(|severity| severity == about.severity)
            && self.channel.as_ref().is_none_or(|channel| about.channels.contains(channel))
    }
}

/// What a release needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    /// Whose approval is enough.
    pub needs: Needs,
    /// The rule that needs two.
    pub two_by: Option<Word>,
    /// Hours that it lies here before.
    pub min_age_hours: u32,
    /// The rule that says so.
    pub age_by: Option<Word>,
}

impl Demands {
    /// From when on a release may be approved that lies here since `staged_at`.
    #[must_use]
    pub fn from(&self, staged_at: Timestamp) -> Timestamp {
        let age = SignedDuration::from_hours(i64::from(self.min_age_hours));
        staged_at.checked_add(age).unwrap_or(Timestamp::MAX)
    }
}

/// What all rules together want of a release.
#[must_use]
pub fn demands(rules: &BTreeMap<Word, ApprovalRule>, about: About<'_>) -> Demands {
    let mut demands = Demands::default();
    for (name, rule) in rules.iter().filter(|(_, rule)| rule.takes(about)) {
        if rule.needs == Needs::Two && demands.needs == Needs::One {
            (demands.needs, demands.two_by) = (Needs::Two, Some(*name));
        }
        if let Some(hours) = rule.min_age_hours.filter(|hours| *hours > demands.min_age_hours) {
            (demands.min_age_hours, demands.age_by) = (hours, Some(*name));
        }
    }
    demands
}

/// Whether any rule needs two people: then who changes the rules needs a second one too.
#[must_use]
pub fn need_two(rules: &BTreeMap<Word, ApprovalRule>) -> bool {
    rules.values().any(|rule| rule.needs == Needs::Two)
}

/// What the rules approve by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByItself {
    /// The rule; the first one where there are several.
    pub rule: Word,
    /// For these channels.
    pub channels: Vec<ChannelName>,
}

/// The channels of a release for which the rules approve it by themselves now.
#[must_use]
pub fn by_itself(
    rules: &BTreeMap<Word, ApprovalRule>,
    release: &KnownRelease,
    staged_at: Timestamp,
    now: Timestamp,
) -> Option<ByItself> {
    let open = release.channels.iter().filter(|channel| !release.approved_for.contains(channel));
    let mut found: Option<ByItself> = None;
    for channel in open {
        let about = About::release(release, std::slice::from_ref(channel));
        let demands = demands(rules, about);
        let rule = rules.iter().find(|(_, rule)| rule.by_itself && rule.takes(about));
        let Some((rule, _)) = rule else { continue };
        if demands.needs == Needs::One && demands.from(staged_at) <= now {
            let by = ByItself { rule: *rule, channels: Vec::new() };
            found.get_or_insert(by).channels.push(channel.clone());
        }
    }
    found
}

#[cfg(test)]
mod tests;
