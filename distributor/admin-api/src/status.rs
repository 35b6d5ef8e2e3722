//! `GET /api/v1/status`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::LogHead;
use sealpost_site::rows::PullRow;
use sealpost_site::rules::restore::{RestoreState, Restored as RestoredState};
use serde::{Deserialize, Serialize};

use crate::licenses::License;

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
    /// What will need somebody's attention, and when.
    pub warnings: Vec<String>,
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
}

impl Restored {
    /// The last restore, if there was one.
    #[must_use]
    pub fn of(state: RestoreState) -> Option<Self> {
        let restored = state.restored?;
        let RestoredState { at, confirmed, resumes_until, .. } = restored;
        Some(Self { at, confirmed, resumes_until })
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
