//! Which computers an admin wants to see, and in which order.
//!
//! Invariant: of several conditions each has to be met. Left out on purpose: pages; whoever walks the list knows where it stands.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{ComputerName, PackageName, SerialNumber};
use sealpost_manifests::version::{DisplayVersion, Revision, Version};
use sealpost_manifests::wire::contact::InstalledPackage;
use serde::{Deserialize, Serialize};

use crate::rows::{ClientLineRow, display_version};
use crate::rules::rollouts::groups::GroupName;
use crate::rules::standing::ComputerState;

/// What a computer has to meet; every one does when nothing is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComputerFilter {
    /// It stands so.
    pub state: Option<ComputerState>,
    /// It belongs to this group, by its list or by its rule.
    pub group: Option<GroupName>,
    /// It said last that it runs this package.
    pub package: Option<PackageName>,
    /// It said last that it runs this version: of [`package`](Self::package), where that is wanted, else of any.
    pub version: Option<Version>,
    /// It is enrolled, and its last answered contact, else its enrollment, is as long ago at least.
    pub silent_for: Option<SignedDuration>,
    /// Its name holds a seat of this serial number.
    pub serial: Option<SerialNumber>,
}

impl ComputerFilter {
    /// Whether it takes everyone.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a computer in this state is wanted, whatever its groups are.
    #[must_use]
    pub fn takes(&self, row: &ClientLineRow, state: ComputerState, now: Timestamp) -> bool {
        let Self { state: wanted, group: _, package, version, silent_for, serial } = self;
        wanted.is_none_or(|wanted| wanted == state)
            && serial.as_ref().is_none_or(|serial| row.serials.contains(serial))
            && silent_for.is_none_or(|least| silence(row, now).is_some_and(|silent| silent >= least))
            && (package.is_none() && version.is_none()
                || row.installed.iter().any(|runs| {
                    package.as_ref().is_none_or(|package| package == runs.package())
                        && version.as_ref().is_none_or(|version| *version == runs.release.version)
                }))
    }

    /// Whether a computer of these groups is wanted, whatever else it is. Groups by rule cost most: they are found last.
    #[must_use]
    pub fn takes_groups(&self, groups: &BTreeSet<GroupName>) -> bool {
        self.group.as_ref().is_none_or(|group| groups.contains(group))
    }
}

/// How long ago a computer was heard; `None` of one that never enrolled.
fn silence(row: &ClientLineRow, now: Timestamp) -> Option<SignedDuration> {
    row.last_contact.or(row.enrolled_at).map(|heard| now.duration_since(heard))
}

/// By what a list is sorted; computers that are equal in it stand by their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Their names.
    #[default]
    Name,
    /// Scheduled, installing, failed, reserved, active, contact lost, two computers.
    State,
    /// What they run, as people read versions; who runs nothing comes first.
    Version,
    /// The last contact; who never made one comes first.
    LastContact,
}

/// By what a list is sorted, and from which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sort {
    /// What decides.
    pub by: SortBy,
    /// From its end, names too.
    pub descending: bool,
}

/// A list is not sorted by that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a list is not sorted by {0:?}: use name, state, version or last_contact, with a hyphen in front for the other end first"
)]
pub struct UnknownSort(String);

/// Characters of a refused word that its error repeats.
const MAX_SHOWN_CHARS: usize = 40;

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            SortBy::Name => "name",
            SortBy::State => "state",
            SortBy::Version => "version",
            SortBy::LastContact => "last_contact",
        };
        write!(f, "{}{by}", if self.descending { "-" } else { "" })
    }
}

impl FromStr for Sort {
    type Err = UnknownSort;
    fn from_str(text: &str) -> Result<Self, UnknownSort> {
        let (descending, by) = text.strip_prefix('-').map_or((false, text), |by| (true, by));
        let by = match by {
            "name" => SortBy::Name,
            "state" => SortBy::State,
            "version" => SortBy::Version,
            "last_contact" | "last-contact" => SortBy::LastContact,
            _ => return Err(UnknownSort(text.chars().take(MAX_SHOWN_CHARS).collect())),
        };
        Ok(Self { by, descending })
    }
}

impl From<Sort> for String {
    fn from(sort: Sort) -> Self {
        sort.to_string()
    }
}

impl TryFrom<String> for Sort {
    type Error = UnknownSort;
    fn try_from(text: String) -> Result<Self, UnknownSort> {
        text.parse()
    }
}

impl Sort {
    /// Whether a store gives its rows in this order already.
    #[must_use]
    pub fn is_by_name(self) -> bool {
        self == Self::default()
    }

    /// Where a computer stands in this order.
    #[must_use]
    pub fn place(self, row: &ClientLineRow, state: ComputerState) -> Place {
        self.place_of(&row.name, state, &row.installed, row.last_contact)
    }

    /// The same of what is known of it elsewhere.
    #[must_use]
    pub fn place_of(
        self,
        name: &ComputerName,
        state: ComputerState,
        installed: &[InstalledPackage],
        last_contact: Option<Timestamp>,
    ) -> Place {
        let key = match self.by {
            SortBy::Name => SortKey::Name,
            SortBy::State => SortKey::State(state),
            SortBy::Version => {
                let DisplayVersion { program, signatures } = display_version(installed);
                SortKey::Version(program, signatures)
            }
            SortBy::LastContact => SortKey::LastContact(last_contact),
        };
        Place { key, name: name.clone() }
    }

    /// Which of two places comes first.
    #[must_use]
    pub fn compare(self, one: &Place, other: &Place) -> Ordering {
        let order = one.key.compare(&other.key).then_with(|| one.name.cmp(&other.name));
        if self.descending { order.reverse() } else { order }
    }
}

/// Where a computer stands in a sorted list: what is sorted by, and its name. It says where the next page begins, also when the
/// computer stands somewhere else meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What decides.
    pub key: SortKey,
    /// Then its name.
    pub name: ComputerName,
}

/// What decides of one computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortKey {
    /// Its name alone.
    Name,
    /// Its state.
    State(ComputerState),
    /// Its program's version and its signature files' revision.
    Version(Option<Version>, Option<Revision>),
    /// Its last contact.
    LastContact(Option<Timestamp>),
}

impl SortKey {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::State(one), Self::State(other)) => one.cmp(other),
            (Self::LastContact(one), Self::LastContact(other)) => one.cmp(other),
            (Self::Version(one, one_signatures), Self::Version(other, other_signatures)) => {
                let programs = match (one, other) {
                    // Two texts can be one version to people: then the texts decide, so that the order is one.
                    (Some(one), Some(other)) => one.precedence(other).then_with(|| one.cmp(other)),
                    (one, other) => one.is_some().cmp(&other.is_some()),
                };
                programs.then_with(|| one_signatures.cmp(other_signatures))
            }
            // Of different lists: a cursor of another order, which the caller has refused.
            _ => Ordering::Equal,
        }
    }

    /// Whether it is one of a list in this order.
    #[must_use]
    pub fn is_of(&self, by: SortBy) -> bool {
        matches!(
            (self, by),
            (Self::Name, SortBy::Name)
                | (Self::State(_), SortBy::State)
                | (Self::Version(..), SortBy::Version)
                | (Self::LastContact(_), SortBy::LastContact)
        )
    }
}

#[cfg(test)]
mod tests;
