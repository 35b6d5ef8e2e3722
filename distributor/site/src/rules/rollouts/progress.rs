//! What a rollout does next: which ring opens, when it is complete, and when it halts by itself.
//!
//! Invariant: a ring opens only after the one before it has passed (or a person opened it), and [`advance`] gives the same
//! steps for the same facts, so that it can be asked at any time and again. Soaks are counted in time in which the server ran
//! and could hear of failures ([`RingProgress::soaked`]), never in differences of clocks: a clock that jumps passes no ring. And
//! only while some computer of the ring runs the release: there is nothing to watch before.
//! Left out on purpose: who is in which ring, which a computer's contact finds out.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

pub use super::counts::{DeliveryState, RingCounts, hour_of};
use super::share::Threshold;
use super::strategy::{OnFailure, Ring, Strategy, Takes};
use crate::rules::account::Actor;

/// How often a computer comes at least, if it comes often.
pub const USUAL_CADENCE: SignedDuration = SignedDuration::from_hours(4);

/// A rollout: one release on its way to the computers of some channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its number; a later rollout of the server has a higher one.
    pub number: u64,
    /// What goes out.
    pub release: ReleaseId,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// The counter in its manifest.
    pub counter: ReleaseCounter,
    /// Program or signatures.
    pub kind: PackageKind,
    /// The channels whose computers it takes ring by ring.
    pub channels: Vec<ChannelName>,
    /// The name of its strategy.
    pub strategy_name: Word,
    /// The strategy as it was when the rollout started, or as it was edited since.
    pub strategy: Strategy,
    /// An admin pushes it through: computers wait for no window, no person and no product.
    pub emergency: bool,
    /// Where it stands.
    pub state: RolloutState,
    /// When it began.
    pub started_at: Timestamp,
    /// Who changed its state last, when and why; absent for one that just runs.
    pub changed: Option<StateChange>,
    /// One for each ring of the strategy.
    pub rings: Vec<RingProgress>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Its rings open one after the other.
    Running,
    /// A person stopped it for a while: nobody new is told.
    Paused,
    /// Its release was halted, by a person or by an error threshold. It can be resumed.
    Halted,
    /// A person ended it for good.
    Aborted,
    /// Its last ring has passed: from then on every computer gets the release, and it replaces older ones.
    Completed,
    /// A newer release was rolled out instead.
    Superseded,
    /// The vendor withdrew its release.
    Withdrawn,
}

impl RolloutState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Paused,
        Self::Halted,
        Self::Aborted,
        Self::Completed,
        Self::Superseded,
        Self::Withdrawn,
    ];

    /// The word for it, in files, answers and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Aborted => "aborted",
            Self::Completed => "completed",
            Self::Superseded => "superseded",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether nothing changes in it any more, unless a person begins anew.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Aborted | Self::Completed | Self::Superseded | Self::Withdrawn)
    }

    /// Whether it is running or paused.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who changed the state of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: Actor,
    /// Why, in words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// How far a ring has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingProgress {
    /// Where it stands.
    pub state: RingState,
    /// Up to which place it takes computers; only of a ring that takes a number of them, once it is open.
    pub below: Option<Threshold>,
    /// How long it has been watched: time in which the server ran, and some computer of the ring the release.
    pub soaked: SignedDuration,
    /// What became of its computers.
    pub counts: RingCounts,
}

/// Where a ring stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingState {
    /// It has not opened.
    Waiting,
    /// Its computers get the release.
    Open {
        /// Since when.
        at: Timestamp,
    },
}

/// How many computers a ring has, by a look at all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Population {
    /// Computers of the ring that may have the release, whatever they run now.
    pub members: u64,
    /// Those of them that run something older, were not told yet, and were heard of within a fortnight.
    pub waiting: u64,
    /// Those that run the release and were not told it by this rollout: it says something of the release, too.
    pub running: u64,
    /// Members that were heard of lately.
    pub heard_of: u64,
    /// The place up to which the ring takes computers, if it takes a number of them.
    pub below: Option<Threshold>,
}

/// What [`advance`] looks at besides the rollout.
#[derive(Debug, Clone, Copy)]
pub struct AdvanceFacts<'a> {
    /// The rings as a look at all computers found them, in the order of the rings; absent when nobody looked.
    pub populations: Option<&'a [Population]>,
    /// A newer rollout of the same package and channels has passed this ring, or a later one.
    pub overtaken_by: Option<u64>,
}

/// What a rollout does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A ring opens.
    OpenRing {
        /// Which, from 0.
        ring: usize,
        /// Up to which place it takes computers.
        below: Option<Threshold>,
        /// Why now.
        why: OpenReason,
    },
    /// Its last ring has passed: the release replaces older ones.
    Complete,
    /// Past the error threshold of a ring.
    Halt {
        /// Which ring, from 0.
        ring: usize,
        /// Failed ones.
        failed: u64,
        /// Of so many that finished.
        finished: u64,
        /// Whether computers that run it go back.
        on_failure: OnFailure,
    },
}

/// Why a ring opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenReason {
    /// It is the first.
    First,
    /// The one before it has passed.
    Passed,
    /// The one before it has no computer.
    Empty,
    /// A person opened it.
    Asked,
}

/// What a rollout waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Somebody has to look at all computers first.
    Survey,
    /// A ring has not been watched long enough.
    Soak {
        /// Which ring.
        ring: usize,
        /// How much is left, of time in which the server runs.
        left: SignedDuration,
    },
    /// Too few computers of a ring have finished.
    Sample {
        /// Which ring.
        ring: usize,
        /// So many finished.
        finished: u64,
        /// So many are needed.
        needed: u64,
        /// So many of its computers are heard of, if somebody looked.
        heard_of: Option<u64>,
    },
    /// Too few of those that finished succeeded, and not enough failed to halt it.
    Gate {
        /// Which ring.
        ring: usize,
        /// So many succeeded.
        succeeded: u64,
        /// Of so many that finished.
        finished: u64,
    },
    /// Computers wait behind the caps of the last ring.
    Capped {
        /// Which ring.
        ring: usize,
        /// How many wait.
        waiting: u64,
    },
    /// A newer rollout passed first; computers get that one.
    Overtaken {
        /// Its number.
        by: u64,
    },
    /// A person has to decide: it is paused, halted or has ended.
    Person,
}

/// The next step, or what it waits for.
///
/// # Errors
/// [`Waiting`]: nothing is to be done now.
pub fn advance(rollout: &Rollout, facts: &AdvanceFacts<'_>) -> Result<Step, Waiting> {
    if !rollout.state.is_live() {
        return Err(Waiting::Person);
    }
    if let Some(halt) = past_threshold(rollout) {
        return Ok(halt);
    }
    if rollout.state == RolloutState::Paused {
        return Err(Waiting::Person);
    }
    if let Some(by) = facts.overtaken_by {
        return Err(Waiting::Overtaken { by });
    }
    let Some(current) = rollout.current_ring() else { return open(rollout, 0, OpenReason::First, facts) };
    let why = passed(rollout, current, facts)?;
    if current + 1 >= rollout.rings.len() {
        return everybody_was_told(rollout, current, facts).map(|()| Step::Complete);
    }
    open(rollout, current + 1, why, facts)
}

/// The last ring keeps its caps until nobody waits behind them.
fn everybody_was_told(rollout: &Rollout, ring: usize, facts: &AdvanceFacts<'_>) -> Result<(), Waiting> {
    let plan = rollout.strategy.rings().get(ring);
    if plan.is_none_or(|plan| plan.concurrent.is_none() && plan.per_hour.is_none()) {
        return Ok(());
    }
    match facts.populations.and_then(|found| found.get(ring)) {
        None => Err(Waiting::Survey),
        Some(Population { waiting: 0, .. }) => Ok(()),
        Some(Population { waiting, .. }) => Err(Waiting::Capped { ring, waiting: *waiting }),
    }
}

/// The next ring at once, as a person asks for it.
///
/// # Errors
/// [`Waiting`]: there is no next ring, or it is not known yet whom it takes.
pub fn open_next(rollout: &Rollout, facts: &AdvanceFacts<'_>) -> Result<Step, Waiting> {
    let next = rollout.current_ring().map_or(0, |current| current + 1);
    if !rollout.state.is_live() || next >= rollout.rings.len() {
        return Err(Waiting::Person);
    }
    open(rollout, next, OpenReason::Asked, facts)
}

fn open(rollout: &Rollout, ring: usize, why: OpenReason, facts: &AdvanceFacts<'_>) -> Result<Step, Waiting> {
    let takes = rollout.strategy.rings().get(ring).map(|ring| &ring.takes);
    let below = match takes {
        Some(Takes::First(_)) => {
            let found = facts.populations.and_then(|found| found.get(ring)).ok_or(Waiting::Survey)?;
            found.below
        }
        _ => None,
    };
    Ok(Step::OpenRing { ring, below, why })
}

/// Whether a ring has passed, and how.
fn passed(rollout: &Rollout, ring: usize, facts: &AdvanceFacts<'_>) -> Result<OpenReason, Waiting> {
    let (Some(plan), Some(progress)) = (rollout.strategy.rings().get(ring), rollout.rings.get(ring)) else {
        return Err(Waiting::Person);
    };
    let population = facts.populations.and_then(|found| found.get(ring));
    let counts = &progress.counts;
    let members = population.map(|found| found.members);
    if members == Some(0) && counts.finished() == 0 && counts.under_way() == 0 {
        return Ok(OpenReason::Empty);
    }
    let left = plan.soak().saturating_sub(progress.soaked);
    let finished = known_of(progress, population);
    if left > SignedDuration::ZERO && finished > 0 {
        return Err(Waiting::Soak { ring, left });
    }
    // A ring of which nothing is known may be one that has no computer, or computers that run the release already.
    if population.is_none() && finished == 0 {
        return Err(Waiting::Survey);
    }
    let wanted = u64::from(plan.minimum_sample);
    let needed = members.map_or(wanted, |members| wanted.min(members.max(1)));
    // No larger sample comes when nobody of the ring works on it or waits for it: the others went on to a newer release.
    let to_come = population.map(|found| finished + counts.under_way() + found.waiting);
    let needed = to_come.map_or(needed, |to_come| needed.min(to_come.max(1)));
    if finished < needed {
        // Whether fewer are enough is asked when the soak has passed.
        if population.is_none() && left <= SignedDuration::ZERO {
            return Err(Waiting::Survey);
        }
        let heard_of = population.map(|found| found.heard_of);
        return Err(Waiting::Sample { ring, finished, needed, heard_of });
    }
    if !meets_gate(plan, counts) {
        return Err(Waiting::Gate { ring, succeeded: counts.succeeded, finished });
    }
    Ok(OpenReason::Passed)
}

/// Of how many computers of a ring something is known of the release. What a person forgave says nothing: only somebody who
/// finished since does.
fn known_of(progress: &RingProgress, population: Option<&Population>) -> u64 {
    let counts = &progress.counts;
    counts.succeeded + counts.counting_failures() + population.map_or(0, |found| found.running)
}

/// Whether the soak of a ring goes on: some computer of it has come to run the release, or has failed to.
#[must_use]
pub fn is_watched(progress: &RingProgress, population: Option<&Population>) -> bool {
    known_of(progress, population) > 0
}

fn meets_gate(plan: &Ring, counts: &RingCounts) -> bool {
    let failed = counts.counting_failures();
    counts.succeeded * 100 >= (counts.succeeded + failed) * u64::from(plan.success_percent)
}

/// The first open ring that is past its error threshold.
fn past_threshold(rollout: &Rollout) -> Option<Step> {
    let rings = rollout.strategy.rings().iter().zip(&rollout.rings).enumerate();
    rings.filter(|(_, (_, progress))| progress.state != RingState::Waiting).find_map(
        |(ring, (plan, progress))| {
            let counts = &progress.counts;
            let failed = counts.counting_failures();
            let finished = counts.succeeded + failed;
            let on_failure = rollout.strategy.on_failure();
            let halts = plan.errors.is_reached(failed, finished);
            halts.then_some(Step::Halt { ring, failed, finished, on_failure })
        },
    )
}

impl Rollout {
    /// A rollout that begins; of a strategy that waits for nothing it is complete at once.
    #[must_use]
    pub fn waiting_rings(strategy: &Strategy) -> Vec<RingProgress> {
        let waiting = RingProgress {
            state: RingState::Waiting,
            below: None,
            soaked: SignedDuration::ZERO,
            counts: RingCounts::default(),
        };
        vec![waiting; strategy.rings().len()]
    }

    /// As it is after a step.
    pub fn apply(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::OpenRing { ring, below, .. } => {
                if let Some(progress) = self.rings.get_mut(*ring) {
                    *progress = RingProgress {
                        state: RingState::Open { at: now },
                        below: *below,
                        soaked: SignedDuration::ZERO,
                        counts: progress.counts,
                    };
                }
            }
            Step::Complete => self.state = RolloutState::Completed,
            Step::Halt { .. } => self.state = RolloutState::Halted,
        }
    }

    /// The last ring that is open, from 0.
    #[must_use]
    pub fn current_ring(&self) -> Option<usize> {
        self.rings.iter().rposition(|ring| ring.state != RingState::Waiting)
    }

    /// Whether it rolls out signature files.
    #[must_use]
    pub fn is_signatures(&self) -> bool {
        self.kind == PackageKind::Signatures
    }

    /// The name of a ring.
    #[must_use]
    pub fn ring_name(&self, ring: usize) -> &str {
        self.strategy.rings().get(ring).map_or("?", |ring| ring.name.as_str())
    }

    /// Whether a ring has passed: a later one is open, or the whole rollout is complete.
    #[must_use]
    pub fn has_passed(&self, ring: usize) -> bool {
        self.state == RolloutState::Completed || self.current_ring().is_some_and(|current| current > ring)
    }

    /// The newer rollout that takes its computers: one of the same package and of all its channels, whose release has a higher
    /// counter, and that has passed the ring in which this one waits.
    #[must_use]
    pub fn overtaken_by(&self, others: &[Self]) -> Option<u64> {
        let ring = self.current_ring()?;
        let newer = others.iter().filter(|other| {
            other.release.package == self.release.package
                && other.release.platform == self.release.platform
                && other.counter > self.counter
                && matches!(other.state, RolloutState::Running | RolloutState::Completed)
                && self.channels.iter().all(|channel| other.channels.contains(channel))
        });
        newer.filter(|other| other.has_passed(ring)).map(|other| other.number).max()
    }
}

#[cfg(test)]
mod tests;
