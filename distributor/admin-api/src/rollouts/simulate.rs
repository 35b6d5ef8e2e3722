//! What another strategy would have made of the rollouts that really happened: `POST /api/v1/rollouts/simulate`.
//!
//! The answer is lines, one [`SimulationLine`] each, the last of which is the end: without it the answer was cut off.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::word::Word;
use sealpost_site::rules::rollouts::replay::outcome::{self, Ended};
use sealpost_site::rules::rollouts::replay::past::Past;
use sealpost_site::rules::rollouts::replay::simulation::Simulated;
use sealpost_site::rules::rollouts::strategy::Strategy;
use serde::{Deserialize, Serialize};

/// The longest history that is replayed.
pub const MAX_HISTORY_DAYS: u32 = 3_660;

/// What is replayed, and under what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SimulateRequest {
    /// The strategy.
    #[serde(flatten)]
    pub wanted: Wanted,
    /// Rollouts that began since then.
    pub since: Timestamp,
    /// Only of this package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageName>,
}

/// A strategy of the site, or one that it does not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// The name of one of the site's.
    Strategy(Word),
    /// This one.
    Plan(Strategy),
}

/// A line of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum SimulationLine {
    /// How far it is: entries of the log.
    Progress {
        /// So many were passed.
        done: u64,
        /// Of so many.
        of: u64,
    },
    /// One rollout.
    Rollout(Box<Replayed>),
    /// Everything was read.
    End(Simulation),
}

/// One rollout, as it went and as it would have gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// Its number.
    pub number: u64,
    /// What went out.
    pub release: ReleaseId,
    /// Program or signatures.
    pub kind: PackageKind,
    /// The strategy by which it went; absent when it went to everybody at once, before there were strategies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
    /// When it was approved.
    pub approved_at: Timestamp,
    /// As it went.
    pub then: Course,
    /// As it would have gone.
    pub simulated: Course,
    /// Computers in the simulation that it never reached then: it was stopped before.
    #[serde(default)]
    pub unreached: u64,
    /// What it would wait for at the end of the history, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Not all that became of it was held: what happened to its computers late is left out of both.
    #[serde(default)]
    pub cut: bool,
}

/// What a rollout came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Course {
    /// `completed`, `halted` (by itself), `stopped` (by a person or the vendor), `taken_over` (by a newer release) or `open`.
    pub ended: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its rings: all of a simulation, those that opened of what happened.
    pub rings: Vec<RingCourse>,
    /// Computers that were told.
    pub told: u64,
    /// Computers that failed, or were not heard of any more.
    pub failed: u64,
    /// Computers that had it.
    pub had_it: u64,
    /// So many seconds after the approval half of those had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_secs: Option<i64>,
    /// And 95 of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_secs: Option<i64>,
    /// And the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_secs: Option<i64>,
}

/// One ring.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RingCourse {
    /// Its name.
    pub name: Word,
    /// When it opened; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// Computers that were told in it.
    pub told: u64,
    /// Those that had it.
    pub succeeded: u64,
    /// Those that failed, or were not heard of any more.
    pub failed: u64,
}

/// The end of an answer: what was replayed, and what was taken for granted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Simulation {
    /// The name of the strategy; `file` for one that the site does not have.
    pub strategy: Word,
    /// Rollouts that began since then,
    pub since: Timestamp,
    /// and until then.
    pub until: Timestamp,
    /// Computers of today.
    pub computers: u64,
    /// All rollouts together.
    pub totals: Totals,
    /// What was taken for granted, for people.
    pub assumptions: Vec<String>,
}

/// All rollouts together, as they went and as they would have gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many.
    pub rollouts: u64,
    /// Those that were halted, by themselves or by somebody.
    pub halted_then: u64,
    /// The same, simulated.
    pub halted_simulated: u64,
    /// Computers that were told releases that were halted.
    pub met_then: u64,
    /// The same, simulated.
    pub met_simulated: u64,
    /// Computers that failed, of all rollouts.
    pub failed_then: u64,
    /// The same, simulated.
    pub failed_simulated: u64,
    /// The longest time after which 95 of 100 computers had a release, in seconds.
    pub slowest_p95_secs_then: i64,
    /// The same, simulated.
    pub slowest_p95_secs_simulated: i64,
}

impl Totals {
    /// One more rollout.
    pub fn add(&mut self, then: &outcome::Course, simulated: &outcome::Course) {
        let secs = |duration: Option<SignedDuration>| duration.map_or(0, |duration| duration.as_secs());
        self.rollouts += 1;
        for (course, halted, met, failed, slowest) in [
            (
                then,
                &mut self.halted_then,
                &mut self.met_then,
                &mut self.failed_then,
                &mut self.slowest_p95_secs_then,
            ),
            (
                simulated,
                &mut self.halted_simulated,
                &mut self.met_simulated,
                &mut self.failed_simulated,
                &mut self.slowest_p95_secs_simulated,
            ),
        ] {
            if course.was_halted() {
                *halted += 1;
                *met += course.told;
            }
            *failed += course.failed;
            *slowest = secs(course.p95).max(*slowest);
        }
    }
}

impl Replayed {
    /// What is shown of one rollout.
    #[must_use]
    pub fn new(past: &Past, then: &outcome::Course, simulated: &Simulated) -> Self {
        Self {
            number: past.number,
            release: past.release.release.clone(),
            kind: past.release.kind,
            strategy: past.strategy,
            approved_at: past.started_at,
            then: Course::from(then),
            simulated: Course::from(&simulated.course),
            unreached: simulated.unreached,
            waits_for: simulated.waits_for.clone(),
            cut: past.cut,
        }
    }
}

impl From<&outcome::Course> for Course {
    fn from(course: &outcome::Course) -> Self {
        let (ended, ended_at) = match course.ended {
            Ended::Completed { at } => ("completed", Some(at)),
            Ended::Halted { at } => ("halted", Some(at)),
            Ended::Stopped { at } => ("stopped", Some(at)),
            Ended::TakenOver { at } => ("taken_over", Some(at)),
            Ended::Open => ("open", None),
        };
        let rings = course.rings.iter().map(|ring| RingCourse {
            name: ring.name,
            opened_at: ring.opened_at,
            told: ring.told,
            succeeded: ring.succeeded,
            failed: ring.failed,
        });
        Self {
            ended: ended.to_owned(),
            ended_at,
            rings: rings.collect(),
            told: course.told,
            failed: course.failed,
            had_it: course.had_it,
            p50_secs: course.p50.map(|duration| duration.as_secs()),
            p95_secs: course.p95.map(|duration| duration.as_secs()),
            last_secs: course.last.map(|duration| duration.as_secs()),
        }
    }
}
