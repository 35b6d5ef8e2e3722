//! Two computers with one identity: how they are shown, and `POST /api/v1/clients/{name}/resolve`.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::rows::CopiesRow;
use sealpost_site::rules::came_by::CameBy;
use sealpost_site::rules::copies::Kept;
use serde::{Deserialize, Serialize};

/// One of two computers that use one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyLine {
    /// What names it: SHA-256 of the nonce from which it goes on.
    pub contact: Sha256Digest,
    /// Whether an admin said that it goes on.
    pub kept: bool,
    /// Whether an admin said so before the ledger was restored, which does not count any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_before_restore: bool,
    /// When it made the contact that showed it.
    pub seen_at: Timestamp,
    /// How that came: an address, or `file`; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_by: Option<CameBy>,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Digest of its machine's and boot's ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Sha256Digest>,
    /// The version of its agent.
    pub agent_version: String,
    /// What it runs; 16 packages at the most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<InstalledPackage>,
}

impl CopyLine {
    /// Those of one client, the first first.
    #[must_use]
    pub fn of(row: CopiesRow) -> Vec<Self> {
        let kept = row.kept;
        let copies = row.copies.into_iter().map(|copy| Self {
            contact: copy.branch,
            kept: kept == Kept::Branch(copy.branch),
            kept_before_restore: kept == Kept::BeforeRestore(copy.branch),
            seen_at: copy.seen_at,
            came_by: copy.came_by,
            hostname: copy.hostname,
            instance: copy.instance,
            agent_version: copy.agent_version,
            packages: copy.packages,
        });
        copies.collect()
    }
}

/// A contact with the identity of two computers that came from neither: of a third one, or an old message. The newest since the
/// server started; its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThirdComputer {
    /// When it came.
    pub seen_at: Timestamp,
    /// How it came: an address, or `file`; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_by: Option<CameBy>,
    /// The name that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

/// `POST /api/v1/clients/{name}/resolve`: which of two computers goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResolveRequest {
    /// Its `contact`, or the first digits of it, at least 8.
    pub keep: String,
    /// Why, for whoever reads the log later.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What was decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resolved {
    /// Both, the first first.
    pub copies: Vec<CopyLine>,
}
