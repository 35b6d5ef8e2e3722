//! The refresh: `POST /agent/v1/tuf/refresh`. A client says which of the vendor's metadata and documents it holds, and gets
//! what is newer in one answer instead of one for each file.
//!
//! Nothing in an answer is trusted: each file is verified as if it had come by itself, and what an answer leaves out is asked
//! for by itself. That a file is the newest is worth as much as the same file sent once more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ids::TargetName;

/// Most documents in one request; the rest is asked for by itself.
pub const MAX_DOCUMENTS: usize = 64;
/// Most roles of packages in one request.
pub const MAX_ROLES: usize = 64;
/// Most bytes of files in one answer; the rest is asked for by itself.
pub const MAX_FILES_BYTES: usize = 2 * 1024 * 1024;
/// Longest answer, in bytes as JSON: every byte of the files could be escaped.
pub const MAX_REFRESH_BYTES: usize = 6 * MAX_FILES_BYTES + 64 * 1024;

/// The request's body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// What the client holds of the metadata; absent when it wants documents alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<HeldMetadata>,
    /// Names of the documents that it will read: `trust.json`, channels, manifests and their signatures. At most
    /// [`MAX_DOCUMENTS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<TargetName>,
    /// Digests of documents that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Sha256Digest>,
}

/// The versions of verified metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMetadata {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Of the other roles, by their names: `snapshot`, `targets`, and those of packages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, u64>,
}

/// The body of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshAnswer {
    /// Present when the request asked for metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<NewMetadata>,
    /// Documents that the client does not hold, under the names that a repository has them under: `<sha256>.<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, String>,
}

/// What is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMetadata {
    /// The version of the newest root.
    pub root: u64,
    /// The version of the newest timestamp.
    pub timestamp: u64,
    /// Files that the client does not hold, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}
