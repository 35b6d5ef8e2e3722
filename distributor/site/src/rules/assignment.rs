//! What one computer should run, and whether the answer to a contact brings a new assignment.
//!
//! Invariant: only approved releases, of the client's channel, for its platform, within its license, not lower than what
//! it runs. Left out on purpose: rings, windows and deadlines; an approved release goes to all clients of its channel.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{Action, Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::order::{Epoch, Order, Ordered};
use sealpost_manifests::wire::contact::InstalledPackage;

use crate::rules::release::KnownRelease;

/// An assignment is reissued for fresher metadata at most this often: more often would only add log entries.
const FRESHNESS_STEP: SignedDuration = SignedDuration::from_hours(24);

/// The computer that asks.
#[derive(Debug, Clone, Copy)]
pub struct Computer<'a> {
    /// The channel that it follows.
    pub channel: &'a ChannelName,
    /// What it can run.
    pub platform: &'a Platform,
    /// Packages that its license covers; empty means every package.
    pub licensed: &'a [PackageName],
    /// What it runs.
    pub installed: &'a [InstalledPackage],
    /// Manifests of releases above a counter that the vendor reset: running one of them keeps nothing out.
    pub voided: &'a BTreeSet<Sha256Digest>,
}

/// The packages that grants cover together; empty means every package.
#[must_use]
pub fn licensed_packages<'g>(grants: impl IntoIterator<Item = &'g Grant>) -> Vec<PackageName> {
    let mut packages = BTreeSet::new();
    for grant in grants {
        if grant.packages.is_empty() {
            return Vec::new();
        }
        packages.extend(grant.packages.iter().cloned());
    }
    packages.into_iter().collect()
}

/// What the computer should run: per package the newest approved release that is for it, sorted by package.
///
/// The highest counter decides which version; of that version the exact platform goes before `any`.
#[must_use]
pub fn wanted<'r>(approved: &'r [KnownRelease], computer: &Computer<'_>) -> Vec<&'r KnownRelease> {
    let mut by_package: BTreeMap<&PackageName, Vec<&KnownRelease>> = BTreeMap::new();
    for release in approved.iter().filter(|release| is_for(release, computer)) {
        by_package.entry(&release.release.package).or_default().push(release);
    }
    by_package.into_values().filter_map(|releases| best(&releases, computer.platform)).collect()
}

/// The one that a computer of this platform is to run, in whatever order they come.
fn best<'r>(releases: &[&'r KnownRelease], platform: &Platform) -> Option<&'r KnownRelease> {
    let newest = releases.iter().max_by_key(|release| (release.counter, release.manifest))?;
    releases
        .iter()
        .filter(|release| release.release.version == newest.release.version)
        .max_by_key(|release| (release.release.platform == *platform, release.counter, release.manifest))
        .copied()
}

/// Whether a computer gets `release` out of `releases`: the same question as at its contact. For what is not approved
/// yet the caller puts it beside the approved ones.
#[must_use]
pub fn gets(release: &KnownRelease, releases: &[KnownRelease], computer: &Computer<'_>) -> bool {
    wanted(releases, computer).iter().any(|wanted| wanted.manifest == release.manifest)
}

fn is_for(release: &KnownRelease, computer: &Computer<'_>) -> bool {
    let package = &release.release.package;
    let runs_newer = computer.installed.iter().any(|installed| {
        installed.package() == package
            && installed.counter > release.counter
            && !computer.voided.contains(&installed.manifest)
    });
    release.channels.contains(computer.channel)
        && release.release.platform.fits(computer.platform)
        // Every license covers the agent itself.
        && (computer.licensed.is_empty() || computer.licensed.contains(package) || package.is_agent())
        && !runs_newer
}

/// What an assignment is decided from.
#[derive(Debug, Clone)]
pub struct AssignmentFacts<'a> {
    /// License time.
    pub now: Timestamp,
    /// The newest assignment, if its text is known.
    pub last: Option<&'a Assignment>,
    /// Whether the client ever got one.
    pub ever: bool,
    /// The order of the assignment that the client says it holds.
    pub held: Option<Order>,
    /// What it should run.
    pub wanted: &'a [&'a KnownRelease],
    /// Epoch of a new assignment.
    pub epoch: Epoch,
    /// When the vendor's metadata was last found fresh; `None` before the first pull.
    pub metadata_as_of: Option<Timestamp>,
}

/// Whether the answer brings an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentDecision {
    /// There is nothing to assign yet.
    Nothing,
    /// The client holds the newest.
    Keep,
    /// The newest is good, but the client does not hold it: send it again.
    Resend,
    /// A new one.
    Issue(AssignmentReason),
}

/// Why a new assignment is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentReason {
    /// None was issued before.
    First,
    /// Other releases are wanted.
    WantedChanged,
    /// It is within a third of its end.
    NearExpiry,
    /// The vendor's metadata was found fresh more than a day after the one that it carries.
    Fresher,
    /// The vendor raised the epoch.
    EpochChanged,
    /// Its text is not known here any more.
    TextUnknown,
}

/// Decides about an assignment.
#[must_use]
pub fn decide(facts: &AssignmentFacts<'_>) -> AssignmentDecision {
    let Some(metadata_as_of) = facts.metadata_as_of else { return AssignmentDecision::Nothing };
    if !facts.ever {
        return if facts.wanted.is_empty() {
            AssignmentDecision::Nothing
        } else {
            AssignmentDecision::Issue(AssignmentReason::First)
        };
    }
    let Some(last) = facts.last else { return AssignmentDecision::Issue(AssignmentReason::TextUnknown) };
    match needs_new(facts, last, metadata_as_of) {
        Some(reason) => AssignmentDecision::Issue(reason),
        None if facts.held == Some(last.order()) => AssignmentDecision::Keep,
        None => AssignmentDecision::Resend,
    }
}

fn needs_new(
    facts: &AssignmentFacts<'_>,
    last: &Assignment,
    metadata_as_of: Timestamp,
) -> Option<AssignmentReason> {
    if last.epoch != facts.epoch {
        return Some(AssignmentReason::EpochChanged);
    }
    let same = facts.wanted.len() == last.packages.len()
        && facts.wanted.iter().zip(&last.packages).all(|(wanted, told)| {
            told.action == Action::Install
                && wanted.release == told.release
                && wanted.manifest == told.manifest
                && rollout_of(wanted) == told.rollout
        });
    if !same {
        return Some(AssignmentReason::WantedChanged);
    }
    let life = last.expires_at.duration_since(last.issued_at);
    let third = life.checked_div(3).unwrap_or(SignedDuration::ZERO);
    if last.expires_at.duration_since(facts.now) < third {
        return Some(AssignmentReason::NearExpiry);
    }
    if metadata_as_of.duration_since(last.metadata_as_of) > FRESHNESS_STEP {
        return Some(AssignmentReason::Fresher);
    }
    None
}

/// What an assignment says of one package.
#[must_use]
pub fn package_assignment(release: &KnownRelease) -> PackageAssignment {
    PackageAssignment::install(release.release.clone(), release.manifest, rollout_of(release), 1)
}

/// Approved releases have a rollout; 0 stands for none.
fn rollout_of(release: &KnownRelease) -> u64 {
    release.rollout.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::release::ReleaseState;
    use sealpost_manifests::ids::{ClientId, ServerId};
    use sealpost_manifests::order::Signer;
    use sealpost_manifests::release::{PackageKind, ReleaseId};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn approved(package: &str, version: &str, platform: &str, counter: u64, channel: &str) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new(package).unwrap(),
                version: Version::new(version).unwrap(),
                platform: Platform::new(platform).unwrap(),
            },
            manifest: Sha256Digest::of(format!("{package} {version} {platform}").as_bytes()),
            counter: ReleaseCounter(counter),
            state: ReleaseState::Approved,
            channels: vec![ChannelName::new(channel).unwrap()],
            rollout: Some(counter),
            signer: None,
            reason: None,
        }
    }

    fn versions(
        approved: &[KnownRelease],
        licensed: &[PackageName],
        installed: &[InstalledPackage],
    ) -> Vec<String> {
        let channel = ChannelName::new("stable").unwrap();
        let platform = Platform::new("linux-x86_64").unwrap();
        let voided = BTreeSet::new();
        let computer =
            Computer { channel: &channel, platform: &platform, licensed, installed, voided: &voided };
        wanted(approved, &computer).iter().map(|one| one.release.to_string()).collect()
    }

    #[test]
    fn only_what_is_of_the_channel_and_platform_and_license_is_wanted() {
        let releases = [
            approved("av", "1", "linux-x86_64", 1, "stable"),
            approved("av", "2", "linux-x86_64", 2, "beta"),
            approved("av", "3", "linux-aarch64", 3, "stable"),
            approved("signatures", "7", "any", 7, "stable"),
        ];
        assert_eq!(versions(&releases, &[], &[]), ["av 1 (linux-x86_64)", "signatures 7 (any)"]);
        let av = [PackageName::new("av").unwrap()];
        assert_eq!(versions(&releases, &av, &[]), ["av 1 (linux-x86_64)"]);
    }

    #[test]
    fn a_license_of_any_product_covers_the_agent_itself() {
        let releases =
            [approved("agent-updater", "2", "any", 1, "stable"), approved("cad", "1", "any", 1, "stable")];
        let av = [PackageName::new("av").unwrap()];
        assert_eq!(versions(&releases, &av, &[]), ["agent-updater 2 (any)"]);
    }

    #[test]
    fn the_newest_version_wins_and_of_it_the_exact_platform() {
        let releases = [
            approved("av", "1", "linux-x86_64", 1, "stable"),
            approved("av", "2", "linux-x86_64", 2, "stable"),
            approved("av", "2", "any", 3, "stable"),
        ];
        assert_eq!(versions(&releases, &[], &[]), ["av 2 (linux-x86_64)"]);
        let reversed: Vec<KnownRelease> = releases.iter().rev().cloned().collect();
        assert_eq!(versions(&reversed, &[], &[]), ["av 2 (linux-x86_64)"]);
        // The order in which they come decides nothing, also where versions and platforms cross.
        let crossed = [
            approved("av", "2", "linux-x86_64", 5, "stable"),
            approved("av", "2.1", "any", 6, "stable"),
            approved("av", "2", "any", 7, "stable"),
        ];
        for order in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            let ordered = order.map(|at| crossed[at].clone());
            assert_eq!(versions(&ordered, &[], &[]), ["av 2 (linux-x86_64)"]);
        }
        let newer = [releases[0].clone(), approved("av", "9", "any", 9, "stable")];
        assert_eq!(versions(&newer, &[], &[]), ["av 9 (any)"]);
    }

    #[test]
    fn nothing_lower_than_what_runs_is_wanted() {
        let releases = [approved("av", "1", "any", 1, "stable")];
        let newer = approved("av", "2", "any", 2, "stable");
        let installed = [InstalledPackage {
            release: newer.release,
            kind: PackageKind::Program,
            counter: newer.counter,
            manifest: newer.manifest,
        }];
        assert!(versions(&releases, &[], &installed).is_empty());
    }

    #[test]
    fn a_release_above_a_counter_that_was_reset_keeps_nothing_out() {
        let good = approved("av", "1", "any", 1, "stable");
        let stolen = approved("av", "9", "any", u64::MAX, "stable");
        let installed = [InstalledPackage {
            release: stolen.release.clone(),
            kind: PackageKind::Program,
            counter: stolen.counter,
            manifest: stolen.manifest,
        }];
        let (channel, platform) = (ChannelName::new("stable").unwrap(), Platform::any());
        for (voided, expected) in [(BTreeSet::new(), 0), (BTreeSet::from([stolen.manifest]), 1)] {
            let computer = Computer {
                channel: &channel,
                platform: &platform,
                licensed: &[],
                installed: &installed,
                voided: &voided,
            };
            assert_eq!(wanted(std::slice::from_ref(&good), &computer).len(), expected);
        }
    }

    #[test]
    fn a_release_under_review_goes_to_whom_the_next_contact_would_bring_it() {
        let (channel, platform) =
            (ChannelName::new("stable").unwrap(), Platform::new("linux-x86_64").unwrap());
        let av = [PackageName::new("av").unwrap()];
        let voided = BTreeSet::new();
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed: &av,
            installed: &[],
            voided: &voided,
        };
        let old = approved("av", "1", "any", 1, "stable");
        let new = approved("av", "2", "any", 2, "stable");
        let all = [old.clone(), new.clone()];
        assert!(gets(&new, &all, &computer) && !gets(&old, &all, &computer));
        let unlicensed = approved("cad", "1", "any", 1, "stable");
        assert!(!gets(&unlicensed, std::slice::from_ref(&unlicensed), &computer));
        let beta = approved("av", "3", "any", 3, "beta");
        assert!(!gets(&beta, &[old, new, beta.clone()], &computer));
    }

    const DAY: i64 = 24 * 3600;

    #[test]
    fn an_assignment_is_renewed_for_a_reason_and_else_kept() {
        let release = approved("av", "1", "any", 1, "stable");
        let wanted = [&release];
        let last = Assignment {
            client_id: ClientId::from_random([1; 16]),
            server_id: ServerId::from_random([2; 16]),
            signer: Signer::SiteKey,
            epoch: Epoch::of(1, 0),
            sequence: 2,
            issued_at: at(0),
            expires_at: at(30 * DAY),
            metadata_as_of: at(0),
            packages: vec![package_assignment(&release)],
        };
        let facts = AssignmentFacts {
            now: at(0),
            last: Some(&last),
            ever: true,
            held: Some(Order { epoch: Epoch::of(1, 0), sequence: 2 }),
            wanted: &wanted,
            epoch: Epoch::of(1, 0),
            metadata_as_of: Some(at(DAY)),
        };
        use AssignmentDecision::{Issue, Keep, Nothing, Resend};
        assert_eq!(decide(&facts), Keep);
        assert_eq!(decide(&AssignmentFacts { held: None, ..facts.clone() }), Resend);
        let reasons = [
            (AssignmentFacts { now: at(20 * DAY + 1), ..facts.clone() }, AssignmentReason::NearExpiry),
            (
                AssignmentFacts { metadata_as_of: Some(at(DAY + 1)), ..facts.clone() },
                AssignmentReason::Fresher,
            ),
            (AssignmentFacts { wanted: &[], ..facts.clone() }, AssignmentReason::WantedChanged),
            (AssignmentFacts { epoch: Epoch::of(2, 0), ..facts.clone() }, AssignmentReason::EpochChanged),
            (AssignmentFacts { last: None, ..facts.clone() }, AssignmentReason::TextUnknown),
            (
                AssignmentFacts { ever: false, last: None, held: None, ..facts.clone() },
                AssignmentReason::First,
            ),
        ];
        for (facts, reason) in reasons {
            assert_eq!(decide(&facts), Issue(reason));
        }
        assert_eq!(decide(&AssignmentFacts { metadata_as_of: None, ..facts.clone() }), Nothing);
        assert_eq!(decide(&AssignmentFacts { ever: false, last: None, wanted: &[], ..facts }), Nothing);
    }
}
