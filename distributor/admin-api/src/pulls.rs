//! `POST /api/v1/pull`.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use serde::{Deserialize, Serialize};

/// What a pull brought. Releases that were known before are not listed, except that a pull which a person asked for
/// looks at refused ones again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullSummary {
    /// When the vendor's metadata was found fresh.
    pub metadata_as_of: Timestamp,
    /// When the first of the vendor's top-level metadata expires.
    pub metadata_expires: Timestamp,
    /// Whether the metadata was other than before.
    pub changed: bool,
    /// Version of the root role.
    pub root_version: u64,
    /// Version of the timestamp role.
    pub timestamp_version: u64,
    /// Version of the snapshot role.
    pub snapshot_version: u64,
    /// What is new.
    pub releases: Vec<PulledRelease>,
    /// Bytes of payload that were fetched.
    pub fetched_bytes: u64,
}

/// What a pull found about one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledRelease {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// What happened to it.
    pub outcome: PulledOutcome,
}

/// What a pull did with a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PulledOutcome {
    /// Fetched, verified, stored: waits for review.
    Staged,
    /// Did not pass.
    Refused {
        /// Every problem that was found.
        problems: Vec<String>,
    },
    /// The vendor took it back.
    Withdrawn {
        /// The vendor's reason.
        reason: String,
    },
}
