//! Groups of computers: by list, by what a computer shows, or both.
//!
//! Invariants: a listed computer always belongs; a group without a rule has only listed ones. A rule names at least one
//! attribute, every attribute that it names has to match, and what a computer does not show matches nothing. So a
//! computer that joins late belongs to a group from its first contact on.
//!
//! What runs on a computer changes when it is updated: a group by `runs` loses the computer then. A rollout that uses
//! groups for its rings has to remember the ring of a computer.
//!
//! Left out on purpose: the lists themselves, which are facts of the ledger, and which group goes first.

use std::fmt;

use sealpost_manifests::ids::{
    ChannelName, ComputerName, NameError, PackageName, Platform, SerialNumber, Tag,
};
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::InstalledPackage;
use serde::{Deserialize, Serialize};

use crate::rules::rollouts::glob::NamePattern;
use crate::rules::text;

/// Most values of one attribute of a rule: each is compared at each contact.
pub const MAX_VALUES: usize = 64;
/// Longest description, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 300;
/// Longest name of a group, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Characters of a refused text that its error repeats.
const MAX_SHOWN_CHARS: usize = 80;

/// A group: `[a-z0-9-]+`, at most 64 bytes, beginning with a letter or digit, as names of channels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

impl GroupName {
    /// Parses the name.
    ///
    /// # Errors
    /// [`NameError`] with the rule that the text breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = text.len() <= MAX_NAME_BYTES
            && !text.starts_with('-')
            && !text.is_empty()
            && text.bytes().all(plain);
        if is_name {
            return Ok(Self(text));
        }
        Err(NameError {
            what: "group name",
            text: text.chars().take(MAX_SHOWN_CHARS).collect(),
            rule: "use a-z, 0-9 and '-', at most 64 characters",
        })
    }

    /// The name as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for GroupName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for GroupName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl AsRef<str> for GroupName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a computer does not belong to a group with this rule; `None` when it does.
#[must_use]
pub fn why_not<'a>(
    rule: Option<&'a GroupRule>,
    is_listed: bool,
    computer: &Attributes<'a>,
) -> Option<Mismatch<'a>> {
    if is_listed {
        return None;
    }
    rule.map_or(Some(Mismatch::NotListed), |rule| rule.why_not(computer))
}

/// Why something is no part of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Such a rule would mean every computer.
    #[error(
        "a rule needs at least one of `channels`, `platforms`, `names`, `tags`, `serials` and `runs`; for every \
         computer use names = [\"*\"]"
    )]
    NoAttribute,
    /// A list without a value matches nobody.
    #[error("a list of values needs at least one; leave it out when any value will do")]
    NoValue,
    /// The list is longer than the bound.
    #[error("{0} values are too many: use at most {MAX_VALUES}, or a pattern, or list the computers")]
    TooManyValues(usize),
    /// The text is too long, or would break a line.
    #[error("a description is one line of at most {MAX_DESCRIPTION_BYTES} bytes")]
    Description,
}

/// One line about a group, at most [`MAX_DESCRIPTION_BYTES`], without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

impl Description {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of the line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = GroupError;
    fn try_from(text: String) -> Result<Self, GroupError> {
        // Harmless is what needs no escape; what is cut there is refused here.
        let fits = text.len() <= MAX_DESCRIPTION_BYTES && text::may_stand_in_a_ledger(&text);
        if fits { Ok(Self(text)) } else { Err(GroupError::Description) }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

/// Values of which one has to match: 1 to [`MAX_VALUES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<T>", into = "Vec<T>", bound(serialize = "T: Clone + Serialize"))]
pub struct AnyOf<T>(Vec<T>);

impl<T> AnyOf<T> {
    /// In the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    fn any(&self, matches: impl Fn(&T) -> bool) -> bool {
        self.0.iter().any(matches)
    }
}

impl<T> TryFrom<Vec<T>> for AnyOf<T> {
    type Error = GroupError;
    fn try_from(values: Vec<T>) -> Result<Self, GroupError> {
        match values.len() {
            0 => Err(GroupError::NoValue),
            1..=MAX_VALUES => Ok(Self(values)),
            more => Err(GroupError::TooManyValues(more)),
        }
    }
}

impl<T> From<AnyOf<T>> for Vec<T> {
    fn from(values: AnyOf<T>) -> Self {
        values.0
    }
}

impl<T: fmt::Display> fmt::Display for AnyOf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&text::first_names(&values, values.len() as u64))
    }
}

/// What a rule asks of a computer. Each attribute that is given has to match; of its values one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// The channel that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<AnyOf<ChannelName>>,
    /// The platform that it shows; `any` is every platform that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<AnyOf<Platform>>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<AnyOf<NamePattern>>,
    /// A tag of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<AnyOf<Tag>>,
    /// A serial number whose seat it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serials: Option<AnyOf<SerialNumber>>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<AnyOf<Runs>>,
}

/// A package, in some versions or in any. Versions are names and have no order, so they are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// The package, by name.
    pub package: PackageName,
    /// The versions that are meant; absent, every one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<AnyOf<Version>>,
}

impl Runs {
    fn fits(&self, installed: &InstalledPackage) -> bool {
        let version =
            |versions: &AnyOf<Version>| versions.any(|version| *version == installed.release.version);
        self.package == *installed.package() && self.versions.as_ref().is_none_or(version)
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.package)?;
        self.versions.as_ref().map_or(Ok(()), |versions| write!(f, " in {versions}"))
    }
}

/// Who belongs to a group without being listed: a [`Criteria`] that names at least one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Criteria", into = "Criteria")]
pub struct GroupRule(Criteria);

impl GroupRule {
    /// What it asks for, to show it or to compare it with another one.
    #[must_use]
    pub const fn criteria(&self) -> &Criteria {
        &self.0
    }

    /// The first attribute that does not match; those that are cheap to compare come first.
    fn why_not<'a>(&'a self, computer: &Attributes<'a>) -> Option<Mismatch<'a>> {
        let Criteria { channels, platforms, names, tags, serials, runs } = &self.0;
        let Attributes { channel, platform, name, .. } = *computer;
        if let Some(wanted) = unmet(channels, |wanted| wanted == channel) {
            return Some(Mismatch::Channel { follows: channel, wanted });
        }
        if let Some(wanted) = unmet(platforms, |wanted| platform.is_some_and(|has| wanted.fits(has))) {
            return Some(Mismatch::Platform { has: platform, wanted });
        }
        if let Some(wanted) = unmet(names, |pattern| pattern.matches(name)) {
            return Some(Mismatch::Name { name, wanted });
        }
        if let Some(wanted) = unmet(tags, |tag| computer.tags.contains(tag)) {
            return Some(Mismatch::Tags { wanted });
        }
        if let Some(wanted) = unmet(serials, |serial| computer.serials.contains(&serial)) {
            return Some(Mismatch::Serials { wanted });
        }
        let wanted = unmet(runs, |runs| computer.installed.iter().any(|installed| runs.fits(installed)))?;
        Some(Mismatch::Runs { wanted })
    }
}

/// The values of an attribute that is asked for and has none that fits.
fn unmet<T>(values: &Option<AnyOf<T>>, fits: impl Fn(&T) -> bool) -> Option<&AnyOf<T>> {
    values.as_ref().filter(|values| !values.any(fits))
}

impl TryFrom<Criteria> for GroupRule {
    type Error = GroupError;
    fn try_from(wanted: Criteria) -> Result<Self, GroupError> {
        if wanted == Criteria::default() { Err(GroupError::NoAttribute) } else { Ok(Self(wanted)) }
    }
}

impl From<GroupRule> for Criteria {
    fn from(rule: GroupRule) -> Self {
        rule.0
    }
}

/// What a computer shows, or the ledger knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Its name.
    pub name: &'a ComputerName,
    /// The channel that its reservation follows.
    pub channel: &'a ChannelName,
    /// Its platform; `None` before its first contact.
    pub platform: Option<&'a Platform>,
    /// The tags of its configuration.
    pub tags: &'a [Tag],
    /// The serial numbers whose seats its name holds.
    pub serials: &'a [&'a SerialNumber],
    /// What it runs.
    pub installed: &'a [InstalledPackage],
}

/// Why a computer does not belong to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// The group has no rule, and the computer is not listed.
    NotListed,
    /// It follows another channel.
    Channel {
        /// The one that it follows.
        follows: &'a ChannelName,
        /// Those of the rule.
        wanted: &'a AnyOf<ChannelName>,
    },
    /// It has another platform, or has not shown one yet.
    Platform {
        /// The one that it showed.
        has: Option<&'a Platform>,
        /// Those of the rule.
        wanted: &'a AnyOf<Platform>,
    },
    /// No pattern means its name.
    Name {
        /// Its canonical name.
        name: &'a ComputerName,
        /// Those of the rule.
        wanted: &'a AnyOf<NamePattern>,
    },
    /// It has none of the tags.
    Tags {
        /// Those of the rule.
        wanted: &'a AnyOf<Tag>,
    },
    /// Its name holds no seat of the serial numbers.
    Serials {
        /// Those of the rule.
        wanted: &'a AnyOf<SerialNumber>,
    },
    /// It runs none of the packages in such a version.
    Runs {
        /// Those of the rule.
        wanted: &'a AnyOf<Runs>,
    },
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed => f.write_str("it is not listed, and the group has no rule"),
            Self::Channel { follows, wanted } => {
                write!(f, "it follows the channel {follows}, not {wanted}")
            }
            Self::Platform { has: Some(has), wanted } => write!(f, "its platform is {has}, not {wanted}"),
            Self::Platform { has: None, wanted } => {
                write!(f, "it has not shown its platform yet; the group is for {wanted}")
            }
            Self::Name { name, wanted } => write!(f, "its name {name} does not match {wanted}"),
            Self::Tags { wanted } => write!(f, "it has none of the tags {wanted}"),
            Self::Serials { wanted } => write!(f, "it holds no seat of the serial numbers {wanted}"),
            Self::Runs { wanted } => write!(f, "it does not run {wanted}"),
        }
    }
}

#[cfg(test)]
mod tests;
