//! `GET /api/v1/status`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::lease::LedgerHead;
use sealpost_site::rows::PullRow;
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
    /// The newest activity entry.
    pub ledger_head: LedgerHead,
    /// The server's license time.
    pub now: Timestamp,
    /// What will need somebody's attention, and when.
    pub warnings: Vec<String>,
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
        let PullRow { metadata_as_of, tried_at, failure } = row;
        Self { metadata_as_of, tried_at, failure }
    }
}
