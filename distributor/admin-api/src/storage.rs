//! `GET /api/v1/storage`, `POST …/storage/clean` and `…/check`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the server stores, what bounds it, and what is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageView {
    /// One line per kind of file.
    pub kinds: Vec<StoredKind>,
    /// Free disk space, in bytes.
    pub free_bytes: u64,
    /// Names of files that are needed and are damaged or missing, as in `status`; the next pull fetches them.
    pub missing: Vec<String>,
    /// Those of `missing` that were here and were damaged; the others are not here at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// When all stored files were last compared with their digests.
    pub scrubbed_at: Option<Timestamp>,
    /// Bytes that the last cleaning removed; only in the answer to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_bytes: Option<u64>,
}

/// The same in short, as found last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageSummary {
    /// Everything that is stored, in bytes.
    pub bytes: u64,
    /// Of that, in bytes, what nobody needs and is removed in time.
    pub unneeded_bytes: u64,
    /// Free disk space, in bytes.
    pub free_bytes: u64,
    /// Free disk space that a pull leaves, in bytes: with less, no payload is fetched.
    pub keep_free_bytes: u64,
    /// The same per kind of file, with what bounds it.
    #[serde(default)]
    pub kinds: Vec<StoredKind>,
}

impl StorageView {
    /// The sums over all kinds of files.
    #[must_use]
    pub fn summary(&self, keep_free_bytes: u64) -> StorageSummary {
        StorageSummary {
            bytes: self.kinds.iter().map(|kind| kind.bytes).sum(),
            unneeded_bytes: self.kinds.iter().map(|kind| kind.unneeded_bytes).sum(),
            free_bytes: self.free_bytes,
            keep_free_bytes,
            kinds: self.kinds.clone(),
        }
    }
}

/// Files of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKind {
    /// What they are: `payloads`, `deltas`, `metadata`, `unpacked`, `downloads`, `logs`.
    pub kind: String,
    /// How many.
    pub files: u64,
    /// Their length together, in bytes.
    pub bytes: u64,
    /// Of those, in bytes, what nobody needs and is removed in time.
    pub unneeded_bytes: u64,
    /// What bounds them, for people.
    pub bound: String,
}
