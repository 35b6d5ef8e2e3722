//! The roles of a repository, and how long what each signs is valid.

use jiff::SignedDuration;
use sealpost_manifests::ids::PackageName;

const DAY_HOURS: i64 = 24;

/// How long metadata of each kind is valid from its signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Root: renewed by a ceremony.
    pub root: SignedDuration,
    /// Top-level targets: trust.json and the delegations.
    pub targets: SignedDuration,
    /// Package roles: one for each package.
    pub package: SignedDuration,
    /// Snapshot: renewed automatically while the publisher serves.
    pub snapshot: SignedDuration,
    /// Timestamp: renewed automatically; how long a withheld update stays unnoticed.
    pub timestamp: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        let days = |days: i64| SignedDuration::from_hours(days * DAY_HOURS);
        Self {
            root: days(365),
            targets: days(365),
            package: days(365),
            snapshot: days(30),
            timestamp: days(7),
        }
    }
}

/// A role of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// The trust anchor, which names the keys of the other top-level roles.
    Root,
    /// The top-level list: trust.json, and who speaks for which package.
    Targets,
    /// The list of a package.
    Package(PackageName),
    /// Pins the version and digest of every list.
    Snapshot,
    /// Pins the newest snapshot.
    Timestamp,
}

impl RoleName {
    /// Its name in metadata.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Package(package) => package.as_str(),
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
