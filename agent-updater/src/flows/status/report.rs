//! What `status` shows, as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_keys::Fingerprint;
use sealpost_manifests::assignment::{Start, Urgency};
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::wire::contact::WaitsFor;
use sealpost_manifests::wire::problem::ProblemCode;
use serde::Serialize;

use crate::domain::cadence::Standing;
use crate::domain::gate_file::OpenNow;
use crate::flows::lease::LeaseStatus;
use crate::flows::retention::Usage;
use crate::flows::self_update::status::AgentStatus;
use crate::flows::servers::{ServerStatus, ServingStatus};

/// The answer of `status`; its JSON is for other programs.
#[derive(Debug, Serialize)]
pub struct Status {
    /// When it was read.
    pub at: Timestamp,
    pub computer_name: Option<String>,
    pub client_id: Option<String>,
    /// The server's addresses, the preferred one first; `None` before enrollment.
    pub server: Option<Vec<String>>,
    /// The ways to the server that decides about updates, in the order in which they are tried.
    pub ways: Vec<WayStatus>,
    /// Every server of this computer, the one that decides about updates first.
    pub servers: Vec<ServerStatus>,
    /// Which of them serves, and why; `None` before enrollment.
    pub serving: Option<ServingStatus>,
    /// What this computer waits for, if it is to be admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<AdmissionStatus>,
    /// Whether the daemon runs.
    pub daemon: bool,
    /// Whether that is known: not for other users where the kernel lists no locks.
    pub daemon_known: bool,
    /// Which program of the agent runs, and why.
    pub agent: AgentStatus,
    /// Program and signatures, as in `V 5.2 (27001)`.
    pub version: String,
    /// How the agent stands with the server that serves.
    pub standing: Standing,
    /// The lease of the server that serves.
    pub lease: LeaseStatus,
    /// The last contact that the server which serves answered.
    pub last_answer: Option<Timestamp>,
    /// Why the last contact with the server that decides about updates failed, if it did.
    pub contact_problem: Option<String>,
    /// When the next contact is due.
    pub next_contact: Option<Timestamp>,
    /// Reports that wait for the server.
    pub waiting_reports: usize,
    /// Every package that is installed or assigned.
    pub packages: Vec<PackageStatus>,
    /// What is kept on the disk.
    pub storage: Usage,
    /// What needs a person; the exit status is 1 if there is anything.
    pub problems: Vec<StatusProblem>,
    /// What a person should look at.
    pub notices: Vec<String>,
}

/// A computer that waits to be admitted.
#[derive(Debug, Serialize)]
pub struct AdmissionStatus {
    pub computer_name: ComputerName,
    /// The fingerprint of its key.
    pub key: Fingerprint,
    /// When it asked last.
    pub asked_at: Option<Timestamp>,
    /// When it asks again, if the daemon runs.
    pub next_at: Timestamp,
    /// Why it was not enrolled, as it was told last.
    pub said: Option<String>,
}

/// An address of the server.
#[derive(Debug, Serialize)]
pub struct WayStatus {
    pub address: String,
    /// How many CA keys are accepted there; two while the CA is replaced.
    pub pins: usize,
    /// `server_list`; `setup_file` for a last resort; `answered_last` if neither names it any more.
    pub from: &'static str,
    /// Whether the last answer came by it.
    pub answered_last: bool,
}

/// Something that needs a person, by a stable code.
#[derive(Debug, Serialize)]
pub struct StatusProblem {
    pub code: ProblemKind,
    /// The package, if it is about one.
    pub package: Option<PackageName>,
    /// With which code the server refused, of a contact that it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ProblemCode>,
    pub text: String,
}

/// The codes of [`StatusProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    NotEnrolled,
    /// An administrator has to admit this computer by its key before it can enroll.
    WaitsForAdmission,
    RecordDamaged,
    NoLease,
    GivenUp,
    NotAsSigned,
    NotInstalled,
    InstallRootElsewhere,
    /// The server refused the last contact, and will refuse the next one.
    Refused,
    /// The vendor withdrew what runs.
    Withdrawn,
    /// The computer's own key is gone or cannot be read: no contact can be signed.
    KeyUnreadable,
    /// The site asks for a rollback that cannot be done here.
    NotRolledBack,
    /// The server presented no CA that this computer pins.
    UnknownCa,
    /// A product was stopped and could not be started.
    NotStarted,
}

impl StatusProblem {
    /// A problem of the computer as a whole.
    pub(super) const fn of_computer(code: ProblemKind, text: String) -> Self {
        Self { code, package: None, refusal: None, text }
    }
}

#[derive(Debug, Serialize)]
pub struct PackageStatus {
    pub package: PackageName,
    /// The version that runs; `None` if none does, or if that is not known.
    pub runs: Option<String>,
    /// The version that `current` leads to, whether its product runs or could not be started.
    pub installed: Option<String>,
    /// Why the product does not run although a release is installed, if it could not be started.
    pub not_started: Option<String>,
    /// Whether it is known what runs: not while the record of the package is damaged.
    pub runs_known: bool,
    pub should_run: Option<String>,
    /// Whether it is known what the server assigns: not while a record is damaged, or the assignment does not count.
    pub should_run_known: bool,
    /// Whether the two are the same, and what runs is as it was signed.
    pub up_to_date: bool,
    /// What is decided about the assigned release, as a code; `None` if nothing is assigned.
    pub decision: Option<&'static str>,
    /// How what is installed differs from what was signed: a code, and a sentence.
    pub drift: Option<DriftStatus>,
    /// What the product may do at this moment.
    pub gate: OpenNow,
    /// How soon the assignment is to be carried out; `None` if nothing is assigned.
    pub urgency: Option<Urgency>,
    /// The version that is built and test-loaded, and waits for its time.
    pub prepared: Option<String>,
    /// When, and by whom, the assignment lets it be installed; `None` if nothing is to be changed.
    pub times: Option<TimesStatus>,
    /// What holds for the package, in one sentence.
    pub sentence: String,
    /// When that changes without a new contact.
    pub changes_at: Option<Timestamp>,
    /// Why something newer does not run here yet, as the server said with its last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_says: Option<WaitsFor>,
    /// Why the vendor withdrew the release that runs, if it did.
    pub withdrawn: Option<String>,
    /// The version that `rollback` goes to.
    pub previous: Option<String>,
    /// How that one differs from what was signed, if it does: nothing can go back to it then.
    pub previous_drift: Option<DriftStatus>,
    /// Why the vendor withdrew that one, if it did: `rollback` refuses it without `--anyway`.
    pub previous_withdrawn: Option<String>,
    /// Why this computer left that one, if the site led it away or it failed here: `rollback` refuses it without `--anyway`.
    pub previous_left: Option<String>,
    /// A change that is not finished, with its step.
    pub under_way: Option<String>,
    /// Hooks that are not configured, and the consequence of each.
    pub missing_hooks: BTreeMap<&'static str, &'static str>,
}

/// When a change is let be made.
#[derive(Debug, Serialize)]
pub struct TimesStatus {
    pub start: Start,
    pub window_opens: Option<Timestamp>,
    pub window_closes: Option<Timestamp>,
    pub deadline: Option<Timestamp>,
    /// Until when a person put it off.
    pub held_until: Option<Timestamp>,
    /// How often a person may still put it off, and until when at the latest; `None` if the site allows none.
    pub postpone: Option<PostponeStatus>,
    /// How often the product said "not now".
    pub times_declined: u32,
}

#[derive(Debug, Serialize)]
pub struct PostponeStatus {
    pub times_left: u32,
    pub until: Timestamp,
}

#[derive(Debug, Serialize)]
pub struct DriftStatus {
    pub kind: String,
    pub text: String,
}
