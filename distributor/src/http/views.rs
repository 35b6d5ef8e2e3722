//! What the admin API says, as types: the CLI reads with them what the handlers write with them.
//!
//! Additive changes only: an older CLI talks to a newer server. Ledger rows are part of it as they are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber, ServerId};
use sealpost_manifests::lease::LedgerHead;
use sealpost_manifests::release::{ReleaseId, Requirement};
use serde::{Deserialize, Serialize};

use crate::domain::explain::Explanation;
use crate::ports::ledger::{ClientRow, LicenseRow, PullRow, ReleaseRow};
use crate::ports::staging::Difference;

/// `GET /api/v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusView {
    /// The server program's version.
    pub version: String,
    /// The server's id.
    pub server_id: ServerId,
    /// Under which addresses computers reach it.
    pub addresses: Vec<String>,
    /// The port that it listens on.
    pub port: u16,
    /// The License Summary: one row per serial number.
    pub licenses: Vec<LicenseRow>,
    /// The last pull.
    pub last_pull: PullRow,
    /// Clients that hold a wake stream now.
    pub connected_clients: u64,
    /// Releases by state.
    pub releases: BTreeMap<String, u64>,
    /// The newest activity entry.
    pub ledger_head: LedgerHead,
    /// The server's license time.
    pub now: Timestamp,
    /// What will need somebody's attention, and when.
    pub warnings: Vec<String>,
}

/// `GET /api/v1/updates`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdatesView {
    /// Every release, newest counter first within its package.
    pub updates: Vec<ReleaseRow>,
}

/// `GET /api/v1/updates/{manifest}`: what a reviewer sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewView {
    /// The release as the site sees it. Its `manifest` is what is approved.
    pub update: ReleaseRow,
    /// The rest comes from the manifest; absent when it is not stored, as for a refused release.
    pub content: Option<ReviewContent>,
    /// Which computers get it when it is approved.
    pub recipients: Vec<ComputerName>,
    /// How many they are; `recipients` names the first hundred.
    pub recipient_count: u64,
}

/// What a manifest says, for a reviewer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewContent {
    /// The vendor's notes. Text from outside: escape control characters before you print it.
    pub notes: String,
    /// When the vendor built it.
    pub built_at: Timestamp,
    /// Packages that must be there before.
    pub requires: Vec<Requirement>,
    /// Number of paths.
    pub files: u64,
    /// The release that it is compared with; absent for the first of its package here.
    pub compared_with: Option<(ReleaseId, Sha256Digest)>,
    /// What changes.
    pub difference: Difference,
}

/// `POST /api/v1/updates/approve`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApproveRequest {
    /// The digest of the manifest that was reviewed.
    pub manifest: Sha256Digest,
}

/// `POST /api/v1/updates/reject`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectRequest {
    /// The digest of the manifest.
    pub manifest: Sha256Digest,
    /// Why.
    pub reason: String,
}

/// `GET /api/v1/clients`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientsView {
    /// A page, sorted by name.
    pub clients: Vec<ClientView>,
    /// Give this as `after` for the next page; absent on the last.
    pub next: Option<ComputerName>,
}

/// `GET /api/v1/clients/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientView {
    /// The reservation and its computer.
    #[serde(flatten)]
    pub client: ClientRow,
    /// Whether it holds a wake stream now.
    pub connected: bool,
    /// One per package: what it runs, what it should run, why not yet, when that changes. Filled when one computer is
    /// asked for, empty in lists.
    #[serde(default)]
    pub explanations: Vec<Explanation>,
}

/// `POST /api/v1/clients`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReserveRequest {
    /// The computer's name.
    pub name: ComputerName,
    /// The channel that it follows; `stable` when absent.
    #[serde(default)]
    pub channel: Option<ChannelName>,
}

/// `POST /api/v1/register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterSerialRequest {
    /// The serial number.
    pub serial: SerialNumber,
    /// Whether the vendor is asked.
    #[serde(default)]
    pub way: RegisterWay,
}

/// How a registration travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterWay {
    /// The vendor is asked; if it cannot be reached, the code goes by hand.
    #[default]
    Online,
    /// The code goes by hand.
    Offline,
}

/// The answer to a registration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum RegisterView {
    /// Seats are unlocked.
    Granted {
        /// The grant as counted here.
        license: LicenseRow,
    },
    /// This code goes to the vendor by hand.
    Code {
        /// The registration code.
        code: String,
        /// Why it was not done online, if that was tried.
        reason: Option<String>,
    },
}

/// `POST /api/v1/unlock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnlockRequest {
    /// An unlock code, or the text of a grant file.
    pub code: String,
}

/// `GET /api/v1/log`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only entries after this sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only of this computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ComputerName>,
    /// Only of this `type`, for example `release_approved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// `true`: the answer goes on with new entries until it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}
