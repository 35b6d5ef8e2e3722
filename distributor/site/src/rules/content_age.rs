//! How old the signature files are that computers run.
//!
//! The age of a revision counts from when it arrived here: that is known by the server's own license time, and it is what the
//! site can change. What arrived and waits for an approval or a ring therefore makes computers older, as it should. Invariant:
//! what is kept is bounded by revisions and groups, and not by computers: of a package that never arrived here nothing is kept,
//! whatever a computer says that it runs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::contact::InstalledPackage;

use crate::rows::RevisionRow;
use crate::rules::rollouts::groups::GroupName;

/// A package, and a group within it; all computers without one.
type Of = (PackageName, Option<GroupName>);

/// What a look at all computers found: how many run each revision.
#[derive(Debug, Default)]
pub struct Contents {
    arrived: BTreeMap<Sha256Digest, Timestamp>,
    packages: BTreeSet<PackageName>,
    runs: BTreeMap<Of, Runs>,
}

/// Computers by when what they run arrived.
#[derive(Debug, Default)]
struct Runs {
    arrived: BTreeMap<Timestamp, u64>,
    unknown: u64,
}

/// How old the signature files of one package are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age {
    /// The package.
    pub package: PackageName,
    /// The group of these computers; all computers when absent.
    pub group: Option<GroupName>,
    /// Computers that run a revision that arrived here.
    pub computers: u64,
    /// Computers that run one that never did: it came with them, or from another server.
    pub unknown: u64,
    /// The age that half of the computers do not exceed.
    pub p50: SignedDuration,
    /// The age that 95 of 100 do not exceed.
    pub p95: SignedDuration,
    /// The age of the oldest.
    pub oldest: SignedDuration,
}

impl Contents {
    /// One more revision; all of them before the first computer.
    pub fn revision(&mut self, row: &RevisionRow) {
        self.arrived.insert(row.manifest, row.staged_at);
        self.packages.insert(row.package.clone());
    }

    /// Takes in a computer: what it said that it runs, and its groups.
    pub fn computer(&mut self, installed: &[InstalledPackage], groups: &BTreeSet<GroupName>) {
        let is_known = |runs: &&InstalledPackage| {
            runs.kind == PackageKind::Signatures && self.packages.contains(runs.package())
        };
        for runs in installed.iter().filter(is_known) {
            let arrived = self.arrived.get(&runs.manifest).copied();
            for group in groups.iter().cloned().map(Some).chain([None]) {
                let found = self.runs.entry((runs.package().clone(), group)).or_default();
                match arrived {
                    Some(at) => *found.arrived.entry(at).or_default() += 1,
                    None => found.unknown += 1,
                }
            }
        }
    }

    /// When a release of signature files arrived here.
    #[must_use]
    pub fn arrived(&self, manifest: &Sha256Digest) -> Option<Timestamp> {
        self.arrived.get(manifest).copied()
    }

    /// How old they are, by package; of each first all computers, then its groups.
    #[must_use]
    pub fn ages(&self, now: Timestamp) -> Vec<Age> {
        let ages = self.runs.iter().map(|((package, group), runs)| {
            let computers = runs.arrived.values().sum();
            let age = |percent| runs.age(percent, computers, now);
            Age {
                package: package.clone(),
                group: group.clone(),
                computers,
                unknown: runs.unknown,
                p50: age(50),
                p95: age(95),
                oldest: age(100),
            }
        });
        ages.collect()
    }
}

impl Runs {
    /// The age that so many of 100 computers do not exceed, by the nearest rank; the newest revision stands last.
    fn age(&self, percent: u64, computers: u64, now: Timestamp) -> SignedDuration {
        let rank = (computers * percent).div_ceil(100);
        let mut counted = 0;
        let found = self.arrived.iter().rev().find(|(_, count)| {
            counted += **count;
            counted >= rank
        });
        found.map_or(SignedDuration::ZERO, |(at, _)| now.duration_since(*at).max(SignedDuration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::Platform;
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    fn manifest(revision: u64) -> Sha256Digest {
        Sha256Digest::of(&revision.to_be_bytes())
    }

    fn runs(package: &str, revision: u64, kind: PackageKind) -> InstalledPackage {
        InstalledPackage {
            release: ReleaseId {
                package: PackageName::new(package).unwrap(),
                version: Version::new(revision.to_string()).unwrap(),
                platform: Platform::any(),
            },
            kind,
            counter: ReleaseCounter(revision),
            manifest: manifest(revision),
        }
    }

    fn sigs(revision: u64) -> InstalledPackage {
        runs("sigs", revision, PackageKind::Signatures)
    }

    /// Revision 1 arrived in hour 1, and so on.
    fn contents() -> Contents {
        let mut contents = Contents::default();
        for revision in 1..=20 {
            let package = PackageName::new("sigs").unwrap();
            let staged_at = at(i64::try_from(revision).unwrap());
            contents.revision(&RevisionRow { manifest: manifest(revision), package, staged_at });
        }
        contents
    }

    fn group(name: &str) -> BTreeSet<GroupName> {
        BTreeSet::from([GroupName::new(name).unwrap()])
    }

    #[test]
    fn the_age_counts_from_when_a_revision_arrived_and_half_and_95_of_100_have_it_at_most() {
        let mut contents = contents();
        for revision in 1..=20 {
            contents.computer(&[sigs(revision)], &BTreeSet::new());
        }
        let [age] = <[Age; 1]>::try_from(contents.ages(at(21))).unwrap();
        let hours = |age: SignedDuration| age.as_hours();
        assert_eq!((age.computers, age.unknown), (20, 0));
        assert_eq!((hours(age.p50), hours(age.p95), hours(age.oldest)), (10, 19, 20));
        // Nothing else is needed to say it later.
        assert_eq!(hours(contents.ages(at(31))[0].p50), 20);
        assert_eq!(contents.arrived(&manifest(3)), Some(at(3)));
    }

    #[test]
    fn each_group_has_an_age_of_its_own_and_programs_have_none() {
        let mut contents = contents();
        contents.computer(&[sigs(20), runs("av", 1, PackageKind::Program)], &group("pilots"));
        contents.computer(&[sigs(2)], &BTreeSet::new());
        let ages = contents.ages(at(21));
        let said: Vec<_> = ages
            .iter()
            .map(|age| (age.group.as_ref().map(|name| name.as_str()), age.computers, age.oldest.as_hours()))
            .collect();
        assert_eq!(said, [(None, 2, 19), (Some("pilots"), 1, 1)]);
    }

    #[test]
    fn a_package_that_a_computer_invents_is_not_counted_at_all() {
        let mut contents = contents();
        let invented: Vec<InstalledPackage> =
            (0..100).map(|number| runs(&format!("sigs-{number}"), 1, PackageKind::Signatures)).collect();
        contents.computer(&invented, &group("pilots"));
        assert_eq!(contents.ages(at(21)), []);
    }

    #[test]
    fn what_never_arrived_here_has_no_age_and_is_counted_apart() {
        let mut contents = contents();
        contents.computer(&[sigs(99)], &BTreeSet::new());
        let age = contents.ages(at(21)).remove(0);
        assert_eq!((age.computers, age.unknown, age.p95), (0, 1, SignedDuration::ZERO));
        contents.computer(&[sigs(20)], &BTreeSet::new());
        let age = contents.ages(at(10)).remove(0);
        assert_eq!((age.computers, age.oldest), (1, SignedDuration::ZERO), "a clock that went back");
    }
}
