//! The refresh: `POST /agent/v1/tuf/refresh`. A client says which of the vendor's metadata and documents it holds, and gets
//! what is newer in one answer instead of one for each file; and by which deltas it comes from what it runs to what it is to run.
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
/// Most questions for ways in one request.
pub const MAX_ROUTES: usize = 64;
/// Most deltas one after the other that lead to a release.
pub const MAX_HOPS: usize = 4;
/// The newest version of delta containers that this program reads.
pub const DELTA_CONTAINER: u16 = 2;
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
    /// What it runs and is to run: it asks for the way between them. At most [`MAX_ROUTES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// The newest version of delta containers that it reads. Absent: it takes files of metadata as they are, and no ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<u16>,
}

/// From what a client runs to what it is to run: digests of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// What it runs; absent when it runs nothing of the package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sha256Digest>,
    /// What it is to run.
    pub to: Sha256Digest,
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
    /// Ways by deltas, the smallest of each kind: from what the client runs, and from nothing. A route without any is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<DeltaWay>,
}

/// Deltas that lead one after the other to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaWay {
    /// From where; absent: from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sha256Digest>,
    /// One to [`MAX_HOPS`]; the last one leads to the release that was asked for.
    pub hops: Vec<Hop>,
}

/// One delta of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The manifest of the release that it leads to.
    pub to: Sha256Digest,
    /// Its length, as the server has it.
    pub bytes: u64,
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
    /// Files that it does not hold, as deltas from those that it does, by their names. A file stands here or in `files`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patches: BTreeMap<String, FilePatch>,
}

/// A file as a delta from an earlier version of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePatch {
    /// The version that it starts from: one that the client said it holds.
    pub from: u64,
    /// The delta of a file (`docs/DELTA.md`), in base64 with padding.
    pub delta: String,
}
