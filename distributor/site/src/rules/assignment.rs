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
    /// Packages that its license covers; empty means every package.
    pub licensed: &'a [PackageName],
    /// What it runs.
    pub installed: &'a [InstalledPackage],
    /// What it ran before, where it was another release: what it went back from is not gone below again.
    pub before: &'a [InstalledPackage],
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
        // Every license covers the agent itself.
        && (computer.licensed.is_empty() || computer.licensed.contains(package) || package.is_agent())
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
            let attempt = attempt_of(kept, undoing.attempts);
            by_package.insert(package, Told { release: kept, action: TellTo::GoBackFrom(left), attempt });
        }
    }
    by_package.into_values().collect()
}

/// The release that the computer ran before the one that it leaves, if this site let it run and did not stop it since.
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
            && matches!(release.state, ReleaseState::Approved | ReleaseState::Superseded)
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
    let text = text::at_most(&format!("{} was halted: {reason}", left.release), MAX_WHY_BYTES).to_owned();
    Some(Why { code, text })
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
            approved_for: vec![ChannelName::new(channel).unwrap()],
            rollback: false,
            attempt: 1,
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
        let computer = Computer {
            channel: &channel,
            platform: &platform,
            licensed,
            installed,
            before: &[],
            voided: &voided,
        };
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
                before: &[],
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
            before: &[],
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

    #[test]
    fn a_computer_goes_back_only_from_what_was_halted_for_it_and_only_to_what_it_ran() {
        let installed = |release: &KnownRelease| InstalledPackage {
            release: release.release.clone(),
            kind: PackageKind::Program,
            counter: release.counter,
            manifest: release.manifest,
        };
        let (first, second) =
            (approved("av", "1", "any", 1, "stable"), approved("av", "2", "any", 2, "stable"));
        let bad = KnownRelease {
            state: ReleaseState::Halted,
            rollback: true,
            reason: Some("crashes".to_owned()),
            ..approved("av", "3", "any", 3, "stable")
        };
        let (channel, platform, voided) =
            (ChannelName::new("stable").unwrap(), Platform::any(), BTreeSet::new());
        let attempts = BTreeMap::from([(first.manifest, 4)]);
        let tell = |left: &[KnownRelease], runs: &KnownRelease, before: Option<&KnownRelease>| {
            let (runs, before) = ([installed(runs)], before.map(installed));
            let computer = Computer {
                channel: &channel,
                platform: &platform,
                licensed: &[],
                installed: &runs,
                before: before.as_slice(),
                voided: &voided,
            };
            let kept = [first.clone()];
            let undoing = Undoing { left, kept: &kept, attempts: &attempts };
            let approved = [second.clone()];
            let told = told(&approved, &undoing, &computer);
            told.iter().map(Told::assignment).collect::<Vec<_>>()
        };
        let left = [bad.clone()];
        let back = tell(&left, &bad, Some(&first));
        assert_eq!(back.len(), 1);
        assert_eq!(
            (&back[0].action, back[0].manifest, back[0].attempt),
            (&Action::Rollback, first.manifest, 4)
        );
        assert_eq!(back[0].why.as_ref().unwrap().text, "av 3 (any) was halted: crashes");
        // Halted without a rollback; nothing known of before; never seen here: it keeps what it runs.
        assert!(tell(&[], &bad, Some(&first)).is_empty());
        assert!(tell(&left, &bad, None).is_empty());
        assert!(tell(&left, &bad, Some(&second)).is_empty());
        // Back again: what is approved below the release that it left is not offered to it.
        assert!(tell(&[], &first, Some(&bad)).is_empty());
        assert_eq!(tell(&[], &first, None)[0].manifest, second.manifest);
    }

    const DAY: i64 = 24 * 3600;

    #[test]
    fn an_assignment_is_renewed_for_a_reason_and_else_kept() {
        let release = approved("av", "1", "any", 1, "stable");
        let told = |attempt| Told { release: &release, action: TellTo::Install, attempt };
        let wanted = [told(1)];
        let last = Assignment {
            client_id: ClientId::from_random([1; 16]),
            server_id: ServerId::from_random([2; 16]),
            signer: Signer::SiteKey,
            epoch: Epoch::of(1, 0),
            sequence: 2,
            issued_at: at(0),
            expires_at: at(30 * DAY),
            metadata_as_of: at(0),
            packages: vec![told(1).assignment()],
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
            (AssignmentFacts { wanted: &[told(2)], ..facts.clone() }, AssignmentReason::WantedChanged),
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
