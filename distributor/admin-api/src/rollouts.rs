//! `/api/v1/rollouts`.

mod preview;
mod report;
mod simulate;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::word::Word;
use sealpost_site::rules::explain::waits_for;
use sealpost_site::rules::rollouts::links::load::LinkLoad;
use sealpost_site::rules::rollouts::progress::{
    self, Population, RingState, RolloutState, StateChange, Waiting,
};
use sealpost_site::rules::rollouts::strategy::OnFailure;
use serde::{Deserialize, Serialize};

use crate::approvals;

pub use self::preview::{Preview, PreviewRing, RingLoad, WithoutLatest};
pub use self::report::{
    Delivered, DeliveredPage, DeliveredQuery, Failures, MAX_DELIVERED, MAX_EXPLAINED, failures,
};
pub use self::simulate::{
    Course, MAX_HISTORY_DAYS, Replayed, RingCourse, SimulateRequest, Simulation, SimulationLine, Totals,
    Wanted,
};

/// Rollouts in one page, at the most.
pub const MAX_ROLLOUTS: u32 = 200;

/// `GET /api/v1/rollouts`: which page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RolloutsQuery {
    /// Only those with a lower number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// `true`: only those that are running, paused or halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// At most so many; [`MAX_ROLLOUTS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of rollouts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RolloutsPage {
    /// The newest first.
    pub rollouts: Vec<Rollout>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A release on its way to the computers of some channels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rollout {
    /// Its number.
    pub number: u64,
    /// What goes out.
    pub release: ReleaseId,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// The channels whose computers it takes ring by ring.
    pub channels: Vec<ChannelName>,
    /// The name of its strategy.
    pub strategy: Word,
    /// What happens past an error threshold.
    pub on_failure: OnFailure,
    /// Computers wait for no window, no person and no product.
    #[serde(default)]
    pub emergency: bool,
    /// Where it stands.
    pub state: RolloutState,
    /// When it began.
    pub started_at: Timestamp,
    /// Who changed its state last, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<StateChange>,
    /// Its rings, in the order in which they open.
    pub rings: Vec<Ring>,
    /// The ring that opens next, from 0; absent when all are open, or it is not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ring: Option<u32>,
    /// What it waits for, for people.
    pub waits_for: String,
    /// When that changes by itself, if it can be said and the server runs until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_at: Option<Timestamp>,
    /// What still travels over which link, as a look at all computers found; only in the view of one rollout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkLoad>,
    /// What one person asked to be done with it, and waits for a second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<approvals::Waiting>,
}

/// One ring of a rollout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ring {
    /// Its name.
    pub name: Word,
    /// Which computers it takes, for people.
    pub takes: String,
    /// When it opened; absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// Whether a later ring is open, or the rollout is complete.
    #[serde(default)]
    pub passed: bool,
    /// How long it is to be watched, in seconds.
    pub soak_secs: i64,
    /// How much of that is left, in seconds of time in which the server runs.
    pub soak_left_secs: i64,
    /// So many computers have to finish.
    pub minimum_sample: u32,
    /// So many percent of those have to succeed.
    pub success_percent: u8,
    /// The rollout is halted when so many computers of the ring failed,
    pub halts_at_failures: u32,
    /// and they are so many percent of those that finished.
    pub halts_at_percent: u8,
    /// Most computers that install at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// Most computers that are told in one hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<u32>,
    /// What became of its computers.
    pub counts: Counts,
    /// Computers that it has, as a look at all of them found; only in the view of one rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// Those of them that were heard of lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_of: Option<u64>,
}

/// What became of computers: each of them counts once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Told, and a person there starts it.
    #[serde(default)]
    pub offered: u64,
    /// Told, and nothing is known of how it went.
    pub told: u64,
    /// They install it.
    pub installing: u64,
    /// They run it.
    pub succeeded: u64,
    /// They refused it, or went back from it.
    pub failed: u64,
    /// They were told, and were not heard of since for too long.
    pub silent: u64,
    /// They were told something else before they finished.
    #[serde(default)]
    pub dropped: u64,
    /// Failures of before a person resumed it, which halt it no more.
    #[serde(default)]
    pub forgiven: u64,
}

impl Ring {
    /// Computers of the ring that were told nothing of the rollout yet, as far as somebody looked at all of them.
    #[must_use]
    pub fn not_told(&self) -> Option<u64> {
        self.members.map(|members| members.saturating_sub(self.counts.all()))
    }
}

impl Counts {
    /// Computers that were told, whatever became of it.
    #[must_use]
    pub const fn all(&self) -> u64 {
        let Self { offered, told, installing, succeeded, failed, silent, dropped, forgiven: _ } = *self;
        // Who failed and was forgiven failed all the same.
        offered + told + installing + succeeded + failed + silent + dropped
    }

    /// Computers that were told and have not begun: of some a person there starts it.
    #[must_use]
    pub const fn not_begun(&self) -> u64 {
        self.offered + self.told
    }
}

impl Rollout {
    /// What is shown of a rollout. `waiting` is what it waits for; `populations` are its rings as a look at all computers found
    /// them.
    #[must_use]
    pub fn new(
        rollout: &progress::Rollout,
        waiting: Option<Waiting>,
        populations: Option<&[Population]>,
        now: Timestamp,
    ) -> Self {
        let rings = rollout.strategy.rings().iter().zip(&rollout.rings).enumerate();
        let rings = rings.map(|(index, (plan, progress))| {
            let population = populations.and_then(|found| found.get(index));
            let counts = &progress.counts;
            Ring {
                name: plan.name,
                takes: plan.takes.to_string(),
                opened_at: match progress.state {
                    RingState::Waiting => None,
                    RingState::Open { at } => Some(at),
                },
                passed: rollout.has_passed(index),
                soak_secs: plan.soak().as_secs(),
                soak_left_secs: plan
                    .soak()
                    .saturating_sub(progress.soaked)
                    .max(SignedDuration::ZERO)
                    .as_secs(),
                minimum_sample: plan.minimum_sample,
                success_percent: plan.success_percent,
                halts_at_failures: plan.errors.count,
                halts_at_percent: plan.errors.percent,
                concurrent: plan.concurrent,
                per_hour: plan.per_hour,
                counts: Counts {
                    offered: counts.offered,
                    told: counts.told,
                    installing: counts.begun,
                    succeeded: counts.succeeded,
                    failed: counts.failed,
                    silent: counts.silent,
                    dropped: counts.dropped,
                    forgiven: counts.forgiven,
                },
                members: population.map(|found| found.members),
                heard_of: population.map(|found| found.heard_of),
            }
        });
        let next = rollout.current_ring().map_or(0, |current| current + 1);
        let has_next = rollout.state == RolloutState::Running && next < rollout.rings.len();
        let changes_at = match waiting {
            Some(Waiting::Soak { left, .. }) => now.checked_add(left).ok(),
            _ => None,
        };
        let waits = match rollout.state {
            RolloutState::Running => waits_for(rollout, waiting),
            RolloutState::Paused => "a person paused it, and a person lets it go on".to_owned(),
            RolloutState::Halted => "a person decides whether it goes on".to_owned(),
            RolloutState::Completed => "nothing: every computer gets the release".to_owned(),
            RolloutState::Aborted | RolloutState::Superseded | RolloutState::Withdrawn => {
                "nothing: it has ended".to_owned()
            }
        };
        Self {
            number: rollout.number,
            release: rollout.release.clone(),
            manifest: rollout.manifest,
            kind: rollout.kind,
            channels: rollout.channels.clone(),
            strategy: rollout.strategy_name,
            on_failure: rollout.strategy.on_failure(),
            emergency: rollout.emergency,
            state: rollout.state,
            started_at: rollout.started_at,
            changed: rollout.changed.clone(),
            rings: rings.collect(),
            next_ring: u32::try_from(next).ok().filter(|_| has_next),
            waits_for: waits,
            changes_at,
            links: Vec::new(),
            proposal: None,
        }
    }

    /// The last ring that is open, from 0.
    #[must_use]
    pub fn current_ring(&self) -> Option<usize> {
        self.rings.iter().rposition(|ring| ring.opened_at.is_some())
    }
}

/// `POST /api/v1/rollouts/{number}/steer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SteerRequest {
    /// What is done with it.
    #[serde(flatten)]
    pub what: What,
    /// Why, for whoever reads the log later.
    pub comment: String,
}

/// What a person does with a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum What {
    /// Nobody new is told until it is resumed.
    Pause,
    /// It goes on.
    Resume,
    /// The ring that was shown as the next one opens now.
    Next {
        /// Which, from 0.
        ring: u32,
    },
    /// It ends for good.
    Abort {
        /// Computers that run the release are told to go back.
        #[serde(default)]
        roll_back: bool,
    },
    /// It goes on by another strategy.
    Edit {
        /// The name of the strategy.
        strategy: Word,
        /// Computers wait for no window, no person and no product.
        #[serde(default)]
        emergency: bool,
    },
}
