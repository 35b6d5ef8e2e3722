//! `GET /api/v1/status`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::release::ReleaseId;
use sealpost_site::changes::summary;
use sealpost_site::rows::PullRow;
use sealpost_site::rules::expiries::{Expiry, Level};
use sealpost_site::rules::restore::{RestoreState, Restored as RestoredState};
use sealpost_site::rules::warnings::Warning;
use serde::{Deserialize, Serialize};

use crate::content::ContentAge;
use crate::folder::FolderStatus;
use crate::licenses::{License, RefusedSeats};
use crate::storage::StorageSummary;

/// The server at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The server program's version.
    pub version: String,
    /// The server's id.
    pub server_id: ServerId,
    /// Under which addresses computers reach it.
    pub addresses: Vec<String>,
    /// The port that it listens on.
    pub port: u16,
    /// The License Summary: one line per serial number.
    pub licenses: Vec<License>,
    /// Seats of any serial number that were asked for and refused since the server started; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_seats: Option<RefusedSeats>,
    /// When the server started: refusals are counted since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The last pull.
    pub last_pull: LastPull,
    /// Clients that hold a wake stream now.
    pub connected_clients: u64,
    /// Releases by state; states without releases are left out.
    pub releases: BTreeMap<String, u64>,
    /// The head of the activity log.
    pub ledger_head: LogHead,
    /// The last restore of the ledger; absent when there was none.
    pub restored: Option<Restored>,
    /// The server's license time.
    pub now: Timestamp,
    /// What is wrong or will need somebody's attention, the most urgent first.
    pub warnings: Vec<WarningView>,
    /// Everything that ends, soonest first.
    #[serde(default)]
    pub expiries: Vec<Ending>,
    /// Stored files that are needed and are damaged or missing; the next pull fetches them.
    #[serde(default)]
    pub missing_files: Vec<String>,
    /// What is stored, as found last; absent until it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSummary>,
    /// A newer version of the server itself, which the vendor offers; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<NewerServer>,
    /// How old the signature files are that computers run, by package, and by group within it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<ContentAge>,
    /// The configured folder for computers without a network, as it was found last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderStatus>,
}

/// What will need somebody's attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarningView {
    /// A stable word for what it is about: `ends`, `disk_full`, `listen_failed`, …
    pub code: String,
    /// `notice`, `warning` or `urgent`.
    pub level: String,
    /// The sentence for people, with what to do.
    pub message: String,
    /// How many it concerns; absent where it is one thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What is counted, a stable word: `computers`, `files`, `requests` or `seats`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Since when it is so, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The command to type next; in capitals stands what a person fills in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl From<Warning> for WarningView {
    fn from(warning: Warning) -> Self {
        let Warning { code, level, message, count, names, since, next } = warning;
        Self {
            code: code.as_str().to_owned(),
            level: level.as_str().to_owned(),
            message,
            count: count.map(|count| count.number),
            unit: count.map(|count| count.unit.as_str().to_owned()),
            names,
            since,
            next,
        }
    }
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What kind of thing it is, a stable word: `certificate`, `site_ca`, `root`, `role`, `grant`, `lease`, …
    pub kind: String,
    /// What it is, for people.
    pub what: String,
    /// Its end.
    pub at: Timestamp,
    /// Seconds until then; below 0 after it.
    pub seconds_left: i64,
    /// Whether nobody has to do anything as long as all works.
    pub renewed_by_itself: bool,
    /// What to do about it, with the exact command.
    pub remedy: String,
    /// `notice`, `warning` or `urgent`; absent while nobody has to do anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

impl Ending {
    /// As the site knows it, at this time.
    #[must_use]
    pub fn of(expiry: Expiry, now: Timestamp) -> Self {
        let seconds_left = expiry.seconds_left(now);
        let level = expiry.level(now).map(Level::as_str).map(str::to_owned);
        let Expiry { kind, what, at, renewed_by_itself, remedy, label: _, since: _ } = expiry;
        Self { kind: kind.as_str().to_owned(), what, at, seconds_left, renewed_by_itself, remedy, level }
    }
}

/// A newer version of the server itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerServer {
    /// The release.
    pub release: ReleaseId,
    /// `approved` or `staged`.
    pub state: String,
    /// Where its payload lies on the server, a gzipped tar; absent if it is not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// A restore of the ledger.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Restored {
    /// When it was found.
    pub at: Timestamp,
    /// Whether the vendor confirmed; until then no new license is given.
    pub confirmed: bool,
    /// Until when computers go on from what they hold.
    pub resumes_until: Timestamp,
    /// Who has seen it; absent until somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody has seen that the ledger was restored, cut or rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// When.
    pub at: Timestamp,
    /// Who: an account of the server, or the name of a token.
    pub by: String,
    /// What was found.
    pub comment: String,
}

/// `POST /api/v1/ledger/acknowledge`: somebody has seen that the ledger was restored, cut or rewritten. The answer is a
/// [`Restored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgeRequest {
    /// What was found, 1 to 1000 characters; it stands in the log for good.
    pub comment: String,
}

impl From<RestoredState> for Restored {
    fn from(state: RestoredState) -> Self {
        let RestoredState { at, confirmed, resumes_until, acknowledged, .. } = state;
        let acknowledged = acknowledged.map(|seen| Acknowledged {
            at: seen.at,
            by: summary::actor(&seen.by),
            comment: seen.comment,
        });
        Self { at, confirmed, resumes_until, acknowledged }
    }
}

impl Restored {
    /// The last restore, if there was one.
    #[must_use]
    pub fn of(state: RestoreState) -> Option<Self> {
        state.restored.map(Self::from)
    }
}

/// The last pull.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastPull {
    /// When the vendor's metadata was last found fresh.
    pub metadata_as_of: Option<Timestamp>,
    /// When a pull was last tried.
    pub tried_at: Option<Timestamp>,
    /// Why the last try failed, if it did.
    pub failure: Option<String>,
}

impl From<PullRow> for LastPull {
    fn from(row: PullRow) -> Self {
        let PullRow { metadata_as_of, timestamp_version: _, tried_at, failure } = row;
        Self { metadata_as_of, tried_at, failure }
    }
}
