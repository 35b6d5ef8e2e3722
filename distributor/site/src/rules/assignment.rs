//! What one computer should run, and whether the answer to a contact brings a new assignment.
//!
//! Invariant: only approved releases, approved for the client's channel, for its platform, within its license, not lower
//! than what it runs or ran; and a rollback only from a release that a person halted with that in mind, to the one that
//! this computer said it ran before. Of the releases that it may have it gets the newest that its rollout lets through
//! ([`admitted`]); one that is held back gets the newest before that, never nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{
    Action, Assignment, MAX_WHY_BYTES, PackageAssignment, Postpone, Start, Urgency, Why,
};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::order::{Epoch, Order, Ordered};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;

use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::rollouts::delivery::{Delivery, Schedule, ScheduleFacts};
pub use crate::rules::rollouts::gate::Choice;
use crate::rules::rollouts::gate::{self, Admitted, Has, Held};
use crate::rules::rollouts::plan::{Asker, LiveCounts, Plan, attempt_of, waits_since};
use crate::rules::rollouts::progress::Rollout;
use crate::rules::rollouts::window::WindowNow;
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

/// What lets releases through to a computer.
#[derive(Debug, Clone, Copy)]
pub struct Rolling<'r> {
    /// Settings and rollouts.
    pub plan: &'r Plan,
    /// How far the rollouts are.
    pub counts: &'r LiveCounts,
    /// The computer.
    pub asker: Asker<'r>,
    /// License time.
    pub now: Timestamp,
}

/// What the computer gets now, by package: of what it may have the newest that is let through to it.
#[must_use]
pub fn admitted<'r>(
    approved: &'r [KnownRelease],
    computer: &Computer<'_>,
    rolling: &Rolling<'r>,
) -> Vec<Choice<'r>> {
    let mut by_package: BTreeMap<&PackageName, Vec<&KnownRelease>> = BTreeMap::new();
    let plan = rolling.plan;
    let comes_back = |release: &&KnownRelease| {
        gate::may_come_back(release, &rolling.asker, plan) || runs(computer, release)
    };
    let replaced = plan.replaced.iter().filter(comes_back);
    let passed = plan.waypoints.iter().filter(|release| release.state.is_or_was_approved());
    for release in approved.iter().chain(replaced).chain(passed) {
        let known = by_package.entry(&release.release.package).or_default();
        if is_for(release, computer) && known.iter().all(|other| other.manifest != release.manifest) {
            known.push(release);
        }
    }
    let chosen = by_package.into_iter().filter_map(|(package, releases)| {
        let choice = choose(releases, computer, rolling)?;
        let has = Has::of(package, computer.installed, computer.before);
        let known = approved.iter().chain(&plan.replaced).chain(&plan.waypoints).filter(|known| {
            known.release.package == *package
                && known.state.is_or_was_approved()
                && known.release.platform.fits(computer.platform)
        });
        Some(choice.beside(has, computer.channel, known))
    });
    chosen.collect()
}

/// From the newest version down, the first one that is let through.
fn choose<'r>(
    mut releases: Vec<&'r KnownRelease>,
    computer: &Computer<'_>,
    rolling: &Rolling<'r>,
) -> Option<Choice<'r>> {
    let newest = best(&releases, computer.platform)?;
    let Rolling { plan, asker, .. } = rolling;
    let pin = gate::pin_of(&plan.settings, asker.name, asker.groups, &newest.release.package);
    let mut choice = Choice { newest, gets: None, held: None };
    while let Some(next) = best(&releases, computer.platform) {
        let is_pin = pin.is_some_and(|(_, pin)| pin.version == next.release.version);
        choice.note(next, let_through(next, computer, rolling), is_pin);
        if choice.gets.is_some() {
            break;
        }
        releases.retain(|release| {
            release.release.version != next.release.version && release.counter < next.counter
        });
    }
    Some(choice)
}

/// A release, or the one through which the computer has to pass first.
fn let_through<'r>(
    release: &'r KnownRelease,
    computer: &Computer<'_>,
    rolling: &Rolling<'r>,
) -> Result<(&'r KnownRelease, Admitted<'r>), Held> {
    let Rolling { plan, counts, asker, now } = rolling;
    let admitted = gate::admit(release, runs(computer, release), asker, plan, counts, *now)?;
    match waypoint(release, computer, plan) {
        None => Ok((release, admitted)),
        Some(first) if first.state.is_or_was_approved() && first.goes_to().contains(computer.channel) => {
            gate::admit_on_the_way(first, runs(computer, first), asker, plan, counts, *now)
                .map(|admitted| (first, admitted))
        }
        Some(first) => Err(Held::Mandatory { version: first.release.version.clone() }),
    }
}

/// The next release through which a computer has to pass on its way from what it runs.
fn waypoint<'p>(release: &KnownRelease, computer: &Computer<'_>, plan: &'p Plan) -> Option<&'p KnownRelease> {
    let package = &release.release.package;
    let runs = computer.installed.iter().find(|installed| installed.package() == package)?;
    let between = |first: &&KnownRelease| {
        first.release.package == *package
            && first.release.platform.fits(computer.platform)
            && runs.counter < first.counter
            && first.counter < release.counter
            // Below what it ran before, it would install nothing new.
            && !had_newer(computer.before, first, computer)
    };
    plan.waypoints.iter().filter(between).min_by_key(|first| (first.counter, first.manifest))
}

/// Whether a computer gets `release` out of `releases`: the same question as at its contact. For what is not approved
/// yet the caller puts it beside the approved ones.
#[must_use]
pub fn gets(release: &KnownRelease, releases: &[KnownRelease], computer: &Computer<'_>) -> bool {
    wanted(releases, computer).iter().any(|wanted| wanted.manifest == release.manifest)
}

fn runs(computer: &Computer<'_>, release: &KnownRelease) -> bool {
    computer.installed.iter().any(|installed| installed.manifest == release.manifest)
}

fn is_for(release: &KnownRelease, computer: &Computer<'_>) -> bool {
    let package = &release.release.package;
    // What runs may be offered again, however it came to run; below what ran before, agents install nothing new.
    let runs = runs(computer, release);
    let runs_newer = had_newer(computer.installed, release, computer)
        || (!runs && had_newer(computer.before, release, computer));
    release.goes_to().contains(computer.channel)
        && release.release.platform.fits(computer.platform)
        && computer.licensed.covers(package)
        && !runs_newer
}

/// Whether a computer had a newer one of the package; what a reset of the vendor's counter voided does not count.
fn had_newer(had: &[InstalledPackage], release: &KnownRelease, computer: &Computer<'_>) -> bool {
    had.iter().any(|had| {
        *had.package() == release.release.package
            && had.counter > release.counter
            && !computer.voided.contains(&had.manifest)
    })
}

/// What a computer is told of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'r> {
    /// What it is to run.
    pub release: &'r KnownRelease,
    /// Whether it installs it or goes back to it.
    pub action: TellTo<'r>,
    /// Raised when an admin retries.
    pub attempt: u32,
    /// Its place in the rollout that brings it; absent where no rollout has to do with it.
    pub place: Option<Place<'r>>,
    /// When it is to be installed.
    pub schedule: Schedule,
    /// Whether the computer runs it already.
    pub settled: bool,
}

/// Where a computer stands in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'r> {
    /// The rollout.
    pub rollout: &'r Rollout,
    /// The ring in which the computer is told, from 0.
    pub ring: u32,
    /// Since when it is told.
    pub told_at: Timestamp,
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
    rolling: &Rolling<'r>,
) -> Vec<Told<'r>> {
    told_of(&admitted(approved, computer, rolling), undoing, computer, rolling)
}

/// The same, by what was let through already.
#[must_use]
pub fn told_of<'r>(
    choices: &[Choice<'r>],
    undoing: &Undoing<'r>,
    computer: &Computer<'_>,
    rolling: &Rolling<'r>,
) -> Vec<Told<'r>> {
    let installs = choices.iter().filter_map(|choice| choice.gets);
    let times = Times::of(rolling);
    let installs = installs.map(|(release, admitted)| {
        install(release, attempt_of(release, undoing.attempts), admitted, computer, (rolling, &times))
    });
    with_ways_back(installs, undoing, computer)
}

/// How the computer gets what is approved, whatever the release: found once.
struct Times<'r> {
    delivery: &'r Delivery,
    window: Option<WindowNow<'r>>,
}

impl<'r> Times<'r> {
    fn of(rolling: &Rolling<'r>) -> Self {
        let settings = &rolling.plan.settings;
        let delivery = settings.delivery_of(rolling.asker.groups);
        Self { delivery, window: settings.window_of(delivery).map(|window| window.at(rolling.now)) }
    }
}

/// What the computer is told once every rollout is complete, whatever holds it back now.
#[must_use]
pub fn told_in_the_end<'r>(
    approved: &'r [KnownRelease],
    undoing: &Undoing<'r>,
    computer: &Computer<'_>,
) -> Vec<Told<'r>> {
    let installs = wanted(approved, computer).into_iter().map(|release| Told {
        release,
        action: TellTo::Install,
        attempt: attempt_of(release, undoing.attempts),
        place: None,
        schedule: Schedule::default(),
        settled: false,
    });
    with_ways_back(installs, undoing, computer)
}

fn with_ways_back<'r>(
    installs: impl Iterator<Item = Told<'r>>,
    undoing: &Undoing<'r>,
    computer: &Computer<'_>,
) -> Vec<Told<'r>> {
    let mut by_package: BTreeMap<&PackageName, Told<'r>> =
        installs.map(|told| (&told.release.release.package, told)).collect();
    for left in undoing.left {
        let package = &left.release.package;
        // A newer release that is approved leads away from it too.
        if by_package.contains_key(package) {
            continue;
        }
        if let Some(kept) = goes_back_to(left, undoing.kept, computer) {
            let above = undoing.back.get(&kept.manifest).copied().unwrap_or(0);
            let attempt = attempt_of(kept, undoing.attempts).max(above);
            let action = TellTo::GoBackFrom(left);
            let (place, schedule) = (None, Schedule::default());
            let told = Told { release: kept, action, attempt, place, schedule, settled: false };
            by_package.insert(package, told);
        }
    }
    by_package.into_values().collect()
}

fn install<'r>(
    release: &'r KnownRelease,
    attempt: u32,
    admitted: Admitted<'r>,
    computer: &Computer<'_>,
    (rolling, times): (&Rolling<'r>, &Times<'r>),
) -> Told<'r> {
    let place = match admitted {
        Admitted::Free => None,
        Admitted::Told { rollout, ring, told_at } => Some(Place { rollout, ring, told_at }),
        Admitted::Now { rollout, ring } => {
            let since = waits_since(rolling.asker.deliveries, &release.release.package, rollout.number);
            Some(Place { rollout, ring, told_at: since.unwrap_or(rolling.now) })
        }
    };
    let settled = runs(computer, release);
    let settings = &rolling.plan.settings;
    let schedule = Schedule::of(&ScheduleFacts {
        now: rolling.now,
        told_at: place.map(|place| place.told_at),
        delivery: times.delivery,
        window: times.window,
        severity: release.severity,
        critical: settings.properties.critical,
        emergency: place.is_some_and(|place| place.rollout.emergency),
        deadline: place.and_then(|place| place.rollout.strategy.deadline()),
        hold: settings.properties.hold,
    });
    Told { release, action: TellTo::Install, attempt, place, schedule, settled }
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
            let asked = wanted.assignment();
            let same = asked.action == told.action
                && asked.release == told.release
                && asked.manifest == told.manifest
                && asked.rollout == told.rollout
                && asked.attempt == told.attempt;
            // What it runs already has no times to wait for. Why is for people, and says nothing that the rest does not say.
            same && (wanted.settled || PackageAssignment { why: told.why.clone(), ..asked } == *told)
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
        let rollout = self.place.map_or_else(|| rollout_of(release), |place| place.rollout.number);
        let install =
            PackageAssignment::install(release.release.clone(), release.manifest, rollout, self.attempt);
        match self.action {
            TellTo::Install => self.timed(install),
            TellTo::GoBackFrom(left) => {
                PackageAssignment { action: Action::Rollback, why: why_back(left), ..install }
            }
        }
    }
}

impl Told<'_> {
    fn timed(&self, install: PackageAssignment) -> PackageAssignment {
        let times = &self.schedule;
        PackageAssignment {
            download_from: times.download_from,
            install_from: times.install_from,
            install_until: times.install_until,
            deadline: times.deadline,
            start: if times.by_person { Start::ByPerson } else { Start::Automatic },
            postpone: times.postpone.map(|(times, until)| Postpone { times, until }),
            urgency: times.urgency.unwrap_or(Urgency::Normal),
            ring: self.place.map(|place| place.ring_name().to_owned()),
            ..install
        }
    }
}

impl Place<'_> {
    /// The name of its ring.
    #[must_use]
    pub fn ring_name(&self) -> &str {
        self.rollout.ring_name(usize::try_from(self.ring).unwrap_or(usize::MAX))
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
