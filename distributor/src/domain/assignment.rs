//! What one computer should run, and whether the answer to a contact brings a new assignment.
//!
//! Invariant: only approved releases, of the client's channel, for its platform, within its license, not lower than what
//! it runs. Left out on purpose: rings, windows and deadlines; an approved release goes to all clients of its channel.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::InstalledPackage;

/// An assignment follows the vendor's freshness no closer than this: closer would only make log entries.
const FRESHNESS_STEP: SignedDuration = SignedDuration::from_hours(24);

/// An approved release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub release: ReleaseId,
    /// Its manifest.
    pub manifest: Sha256Digest,
    /// Its counter.
    pub counter: ReleaseCounter,
    /// Channels that it goes to.
    pub channels: Vec<ChannelName>,
    /// Its rollout.
    pub rollout: u64,
}

/// The computer that asks.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The channel that it follows.
    pub channel: &'a ChannelName,
    /// What it can run.
    pub platform: &'a Platform,
    /// Packages that its license covers; empty means every package.
    pub licensed: &'a [PackageName],
    /// What it runs.
    pub installed: &'a [InstalledPackage],
}

/// What the computer should run: per package the newest approved release that is for it, sorted by package.
///
/// The highest counter decides which version; of that version the exact platform goes before `any`.
#[must_use]
pub fn wanted(approved: &[Candidate], target: &Target<'_>) -> Vec<Candidate> {
    let mut by_package: BTreeMap<&PackageName, &Candidate> = BTreeMap::new();
    for candidate in approved.iter().filter(|candidate| is_for(candidate, target)) {
        let best = by_package.entry(&candidate.release.package).or_insert(candidate);
        if is_better(candidate, best, target.platform) {
            *best = candidate;
        }
    }
    by_package.into_values().cloned().collect()
}

fn is_for(candidate: &Candidate, target: &Target<'_>) -> bool {
    let package = &candidate.release.package;
    let runs_newer = target
        .installed
        .iter()
        .any(|installed| installed.package() == package && installed.counter > candidate.counter);
    candidate.channels.contains(target.channel)
        && candidate.release.platform.fits(target.platform)
        && (target.licensed.is_empty() || target.licensed.contains(package))
        && !runs_newer
}

fn is_better(candidate: &Candidate, best: &Candidate, platform: &Platform) -> bool {
    let exact = |one: &Candidate| one.release.platform == *platform;
    if candidate.release.version == best.release.version && exact(candidate) != exact(best) {
        return exact(candidate);
    }
    candidate.counter > best.counter
}

/// The newest assignment of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAssignment {
    /// (epoch, sequence).
    pub order: (u64, u64),
    /// When it was issued.
    pub issued_at: Timestamp,
    /// After it the agent installs nothing from it.
    pub expires_at: Timestamp,
    /// The freshness that it carries.
    pub metadata_as_of: Timestamp,
    /// Per package: the release's manifest and the rollout, sorted by package.
    pub packages: Vec<(ReleaseId, Sha256Digest, u64)>,
}

/// What an assignment is decided from.
#[derive(Debug, Clone)]
pub struct AssignmentFacts<'a> {
    /// License time.
    pub now: Timestamp,
    /// The newest assignment, if its text is known.
    pub last: Option<&'a LastAssignment>,
    /// Whether the client ever got one.
    pub ever: bool,
    /// (epoch, sequence) of the assignment that the client says it holds.
    pub held: Option<(u64, u64)>,
    /// What it should run.
    pub wanted: &'a [Candidate],
    /// Epoch of a new assignment.
    pub epoch: u64,
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
    /// The client holds a newer one than this server knows.
    ClientIsAhead,
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
        None if facts.held == Some(last.order) => AssignmentDecision::Keep,
        None => AssignmentDecision::Resend,
    }
}

fn needs_new(
    facts: &AssignmentFacts<'_>,
    last: &LastAssignment,
    metadata_as_of: Timestamp,
) -> Option<AssignmentReason> {
    if last.order.0 != facts.epoch {
        return Some(AssignmentReason::EpochChanged);
    }
    let same = facts.wanted.len() == last.packages.len()
        && facts.wanted.iter().zip(&last.packages).all(|(wanted, (release, manifest, rollout))| {
            wanted.release == *release && wanted.manifest == *manifest && wanted.rollout == *rollout
        });
    if !same {
        return Some(AssignmentReason::WantedChanged);
    }
    if facts.held > Some(last.order) {
        return Some(AssignmentReason::ClientIsAhead);
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

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::release::PackageKind;
    use sealpost_manifests::version::Version;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn candidate(package: &str, version: &str, platform: &str, counter: u64, channel: &str) -> Candidate {
        Candidate {
            release: ReleaseId {
                package: PackageName::new(package).unwrap(),
                version: Version::new(version).unwrap(),
                platform: Platform::new(platform).unwrap(),
            },
            manifest: Sha256Digest::of(format!("{package} {version} {platform}").as_bytes()),
            counter: ReleaseCounter(counter),
            channels: vec![ChannelName::new(channel).unwrap()],
            rollout: counter,
        }
    }

    fn versions(
        approved: &[Candidate],
        licensed: &[PackageName],
        installed: &[InstalledPackage],
    ) -> Vec<String> {
        let channel = ChannelName::new("stable").unwrap();
        let platform = Platform::new("linux-x86_64").unwrap();
        let target = Target { channel: &channel, platform: &platform, licensed, installed };
        wanted(approved, &target).iter().map(|one| one.release.to_string()).collect()
    }

    #[test]
    fn only_what_is_of_the_channel_and_platform_and_license_is_wanted() {
        let approved = [
            candidate("av", "1", "linux-x86_64", 1, "stable"),
            candidate("av", "2", "linux-x86_64", 2, "beta"),
            candidate("av", "3", "linux-aarch64", 3, "stable"),
            candidate("signatures", "7", "any", 7, "stable"),
        ];
        assert_eq!(versions(&approved, &[], &[]), ["av 1 (linux-x86_64)", "signatures 7 (any)"]);
        let av = [PackageName::new("av").unwrap()];
        assert_eq!(versions(&approved, &av, &[]), ["av 1 (linux-x86_64)"]);
    }

    #[test]
    fn the_newest_version_wins_and_of_it_the_exact_platform() {
        let approved = [
            candidate("av", "1", "linux-x86_64", 1, "stable"),
            candidate("av", "2", "linux-x86_64", 2, "stable"),
            candidate("av", "2", "any", 3, "stable"),
        ];
        assert_eq!(versions(&approved, &[], &[]), ["av 2 (linux-x86_64)"]);
        let reversed: Vec<Candidate> = approved.iter().rev().cloned().collect();
        assert_eq!(versions(&reversed, &[], &[]), ["av 2 (linux-x86_64)"]);
        let newer = [approved[0].clone(), candidate("av", "9", "any", 9, "stable")];
        assert_eq!(versions(&newer, &[], &[]), ["av 9 (any)"]);
    }

    #[test]
    fn nothing_lower_than_what_runs_is_wanted() {
        let approved = [candidate("av", "1", "any", 1, "stable")];
        let newer = candidate("av", "2", "any", 2, "stable");
        let installed = [InstalledPackage {
            release: newer.release,
            kind: PackageKind::Program,
            counter: newer.counter,
            manifest: newer.manifest,
        }];
        assert!(versions(&approved, &[], &installed).is_empty());
    }

    const DAY: i64 = 24 * 3600;

    #[test]
    fn an_assignment_is_renewed_for_a_reason_and_else_kept() {
        let wanted = [candidate("av", "1", "any", 1, "stable")];
        let packages = vec![(wanted[0].release.clone(), wanted[0].manifest, wanted[0].rollout)];
        let last = LastAssignment {
            order: (1, 2),
            issued_at: at(0),
            expires_at: at(30 * DAY),
            metadata_as_of: at(0),
            packages,
        };
        let facts = AssignmentFacts {
            now: at(0),
            last: Some(&last),
            ever: true,
            held: Some((1, 2)),
            wanted: &wanted,
            epoch: 1,
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
            (AssignmentFacts { held: Some((1, 3)), ..facts.clone() }, AssignmentReason::ClientIsAhead),
            (AssignmentFacts { epoch: 2, ..facts.clone() }, AssignmentReason::EpochChanged),
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
