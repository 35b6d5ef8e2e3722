//! `/api/v1/schedules`, `/api/v1/clients/{name}/schedule` and `/api/v1/clients/{name}/install`: installs at a time.
//!
//! Invariant: nothing here lets anybody into a computer. Whoever installs over ssh has the credential, and the server never sees
//! it.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::rows::{PlannedRow, ScheduleRow};
use sealpost_site::rules::account::Actor;
use sealpost_site::rules::install_tries::{InstallStanding, NextTry};
use sealpost_site::rules::schedule::{InstallOutcome, Schedule};
use sealpost_site::rules::standing::ComputerState;
use serde::{Deserialize, Serialize};

/// Installs in one page, at the most.
pub const MAX_SCHEDULES: u32 = 500;

/// `POST /api/v1/clients/{name}/schedule`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ScheduleRequest {
    /// What is planned from now on; absent to call it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

/// What is planned for a computer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The key with which the site signs install files.
    pub site_key: PublicKey,
    /// Absent when nothing is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleLine>,
}

/// The query of `GET /api/v1/schedules`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SchedulesQuery {
    /// Only after this name.
    pub after: Option<ComputerName>,
    /// At most so many, and [`MAX_SCHEDULES`].
    pub limit: Option<u32>,
}

/// A page of the installs that are planned, by name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SchedulesPage {
    /// The key with which the site signs install files.
    pub site_key: PublicKey,
    /// The server's time, by which they are due.
    pub now: Timestamp,
    /// The installs.
    pub schedules: Vec<ScheduleLine>,
    /// The name to go on after; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ComputerName>,
}

/// An install that is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleLine {
    /// On which computer.
    pub name: ComputerName,
    /// When and how.
    pub schedule: Schedule,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// By whom.
    pub planned_by: Actor,
    /// Where it stands.
    #[serde(flatten)]
    pub stands: PlannedLine,
}

/// Where a planned install stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedLine {
    /// `scheduled`, `installing` or `failed`.
    pub install_state: ComputerState,
    /// When it is to be.
    pub due_at: Timestamp,
    /// From when an unattended run takes it up; absent where it has to be named, or an install file is carried there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
    /// Whether it goes over ssh.
    pub over_ssh: bool,
    /// How often it was tried.
    pub tries: u32,
    /// How the last try failed, in a short word: `unreachable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The same in the words of whoever tried.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When the last try began, or was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Timestamp>,
}

impl PlannedLine {
    /// A row of the list of computers, as it is told at `now`.
    #[must_use]
    pub fn new(row: PlannedRow, now: Timestamp) -> Self {
        let plan = row.plan();
        let failure = match plan.standing(now) {
            InstallStanding::Failed(failure) => Some(failure.word().to_owned()),
            InstallStanding::Scheduled | InstallStanding::Installing { .. } => None,
        };
        let install_state = match plan.standing(now) {
            InstallStanding::Scheduled => ComputerState::Scheduled,
            InstallStanding::Installing { .. } => ComputerState::Installing,
            InstallStanding::Failed(_) => ComputerState::Failed,
        };
        let next_try_at = match plan.next_try(now) {
            NextTry::At(at) => Some(at),
            NextTry::ByName | NextTry::Carried => None,
        };
        let PlannedRow { at, over_ssh, tried } = row;
        let tried_at = tried.as_ref().map(|tried| tried.at);
        let (tries, reason) = tried.map_or((0, String::new()), |tried| (tried.attempt, tried.reason));
        let due_at = at;
        Self { install_state, due_at, next_try_at, over_ssh, tries, failure, reason, tried_at }
    }
}

impl ScheduleLine {
    /// A row as it is told at `now`.
    #[must_use]
    pub fn new(row: ScheduleRow, now: Timestamp) -> Self {
        let ScheduleRow { name, schedule, planned_at, planned_by, tried } = row;
        let planned = PlannedRow { at: schedule.at, over_ssh: schedule.ssh.is_some(), tried };
        Self { name, schedule, planned_at, planned_by, stands: PlannedLine::new(planned, now) }
    }
}

/// `POST /api/v1/clients/{name}/install`: begins a try, or says what became of one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct InstallRequest {
    /// The try that ended; absent to begin one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What became of it; with [`attempt`](Self::attempt) alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<InstallOutcome>,
    /// Why; 200 characters of it are kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A try that began, or whose end is noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallAnswer {
    /// The computer, as its name holds its seat.
    pub name: ComputerName,
    /// Which try.
    pub attempt: u32,
    /// What is planned, for a try that begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}
