//! What one computer should run, and whether the answer to a contact brings a new assignment.
//!
//! Invariant: only approved releases, approved for the client's channel, for its platform, within its license, not lower
//! than what it runs or ran; and a rollback only from a release that a person halted with that in mind, to the one that
//! this computer said it ran before. Left out on purpose: rings, windows and deadlines; an approved release goes to all
//! clients of the channels that it was approved for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{Action, Assignment, MAX_WHY_BYTES, PackageAssignment, Why};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::order::{Epoch, Order, Ordered};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;

use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::text;

/// An assignment is reissued for fresher metadata at most this often: more often would only add log entries.
const FRESHNESS_STEP: SignedDuration = SignedDuration::from_hours(24);

/// The computer that asks.
#[derive(Debug, Clone, Copy)]
pub struct Computer<'a> {
    /// The channel that it follows.
    pub channel: &'a ChannelName,
    /// What it can run.
    pub platform: &'a Platform,
    /// What its license covers.
    pub licensed: &'a Licensed,
    /// What it runs.
    pub installed: &'a [InstalledPackage],
    /// What it ran before, where it was another release: what it went back from is not gone below again.
    pub before: &'a [InstalledPackage],
    /// Manifests of releases above a counter that the vendor reset: running one of them keeps nothing out.
    pub voided: &'a BTreeSet<Sha256Digest>,
}

/// What the grants of one computer cover together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Licensed {
    /// There is no grant.
    Nothing,
    /// These packages, and the agent itself.
    Packages(BTreeSet<PackageName>),
    /// Every package: a grant names none.
    Everything,
}

impl Licensed {
    /// By the grants whose seats it holds.
    #[must_use]
    pub fn by<'g>(grants: impl IntoIterator<Item = &'g Grant>) -> Self {
        grants.into_iter().fold(Self::Nothing, |before, grant| match before {
            Self::Everything => Self::Everything,
            _ if grant.packages.is_empty() => Self::Everything,
            Self::Nothing => Self::Packages(grant.packages.iter().cloned().collect()),
            Self::Packages(mut packages) => {
                packages.extend(grant.packages.iter().cloned());
                Self::Packages(packages)
            }
        })
    }

    /// Whether it covers a package. Every license covers the agent itself.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Packages(packages) => packages.contains(package) || package.is_agent(),
            Self::Everything => true,
        }
    }
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
    let had_newer = |had: &[InstalledPackage]| {
        had.iter().any(|had| {
            had.package() == package
                && had.counter > release.counter
                && !computer.voided.contains(&had.manifest)
        })
    };
    // What runs may be offered again, however it came to run; below what ran before, agents install nothing new.
    let runs = computer.installed.iter().any(|installed| installed.manifest == release.manifest);
    let runs_newer = had_newer(computer.installed) || (!runs && had_newer(computer.before));
    release.goes_to().contains(computer.channel)
        && release.release.platform.fits(computer.platform)
        && computer.licensed.covers(package)
        && !runs_newer
}

/// What a computer is told of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'r> {
    /// What it is to run.
    pub release: &'r KnownRelease,
    /// Whether it installs it or goes back to it.
    pub action: TellTo<'r>,
    /// Raised when an admin retries.
    pub attempt: u32,
}

/// How a computer comes to run what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TellTo<'r> {
    /// It installs it.
    Install,
    /// It goes back to it, because this release was halted.
    GoBackFrom(&'r KnownRelease),
}

/// What a contact looks at besides what is approved.
#[derive(Debug, Clone, Copy)]
pub struct Undoing<'r> {
    /// Releases that the computer runs and that are to be left.
    pub left: &'r [KnownRelease],
    /// Releases that it ran before, as this site knows them.
    pub kept: &'r [KnownRelease],
    /// Attempts of this computer's own, by manifest.
    pub attempts: &'r BTreeMap<Sha256Digest, u32>,
    /// Attempts below which this computer does not go back to a release, because it gave it up before.
    pub back: &'r BTreeMap<Sha256Digest, u32>,
}

/// What the computer is told, sorted by package: what it should run, and where it should go back.
#[must_use]
pub fn told<'r>(
    approved: &'r [KnownRelease],
    undoing: &Undoing<'r>,
    computer: &Computer<'_>,
) -> Vec<Told<'r>> {
    let install = |release: &'r KnownRelease| Told {
        release,
        action: TellTo::Install,
        attempt: attempt_of(release, undoing.attempts),
    };
    let mut by_package: BTreeMap<&PackageName, Told<'r>> = wanted(approved, computer)
        .into_iter()
        .map(|release| (&release.release.package, install(release)))
        .collect();
    for left in undoing.left {
        let package = &left.release.package;
        // A newer release that is approved leads away from it too.
        if by_package.contains_key(package) {
            continue;
        }
        if let Some(kept) = goes_back_to(left, undoing.kept, computer) {
            let above = undoing.back.get(&kept.manifest).copied().unwrap_or(0);
            let attempt = attempt_of(kept, undoing.attempts).max(above);
            by_package.insert(package, Told { release: kept, action: TellTo::GoBackFrom(left), attempt });
        }
    }
    by_package.into_values().collect()
}

/// The release that the computer ran before the one that it leaves, if this site let it run and did not stop it since, and
/// if the computer may have it today: what it ran before is its own word.
fn goes_back_to<'r>(
    left: &KnownRelease,
    kept: &'r [KnownRelease],
    computer: &Computer<'_>,
) -> Option<&'r KnownRelease> {
    let runs = computer.installed.iter().any(|installed| installed.manifest == left.manifest);
    let package = &left.release.package;
    let before = computer.before.iter().find(|before| before.package() == package).filter(|_| runs)?;
    let good = |release: &&KnownRelease| {
        release.manifest == before.manifest
            && computer.licensed.covers(package)
            && release.release.platform.fits(computer.platform)
            && release.state.is_or_was_approved()
            && !computer.voided.contains(&release.manifest)
    };
    kept.iter().find(good)
}

fn attempt_of(release: &KnownRelease, attempts: &BTreeMap<Sha256Digest, u32>) -> u32 {
    attempts.get(&release.manifest).copied().unwrap_or(0).max(release.attempt).max(1)
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
    pub wanted: &'a [Told<'a>],
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
            wanted.action() == told.action
                && wanted.release.release == told.release
                && wanted.release.manifest == told.manifest
                && rollout_of(wanted.release) == told.rollout
                && wanted.attempt == told.attempt
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

impl Told<'_> {
    /// The word for it.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self.action {
            TellTo::Install => Action::Install,
            TellTo::GoBackFrom(_) => Action::Rollback,
        }
    }

    /// What an assignment says of the package.
    #[must_use]
    pub fn assignment(&self) -> PackageAssignment {
        let release = self.release;
        let install = PackageAssignment::install(
            release.release.clone(),
            release.manifest,
            rollout_of(release),
            self.attempt,
        );
        match self.action {
            TellTo::Install => install,
            TellTo::GoBackFrom(left) => {
                PackageAssignment { action: Action::Rollback, why: why_back(left), ..install }
            }
        }
    }
}

fn why_back(left: &KnownRelease) -> Option<Why> {
    let code = Word::new("halted").ok()?;
    let reason = left.reason.as_deref().unwrap_or_default();
    let release = &left.release;
    let said = match left.state {
        ReleaseState::Withdrawn => format!("the vendor withdrew {release}: {reason}"),
        _ => format!("{release} was halted: {reason}"),
    };
    let text = text::at_most(&said, MAX_WHY_BYTES).to_owned();
    Some(Why { code, text })
}

/// Approved releases have a rollout; 0 stands for none.
fn rollout_of(release: &KnownRelease) -> u64 {
    release.rollout.unwrap_or(0)
}

#[cfg(test)]
mod tests;
