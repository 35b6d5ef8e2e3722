//! The refresh: `POST /agent/v1/tuf/refresh`. A client says which of the vendor's metadata and documents it holds, and gets
//! what is newer in one answer instead of one for each file; and by which deltas it comes from what it runs to what it is to run.
//!
//! Nothing in an answer is trusted: each file is verified as if it had come by itself, and what an answer leaves out is asked
//! for by itself. That a file is the newest is worth as much as the same file sent once more. Of each list of an answer no more is
//! held than an honest one has; the rest is read over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ids::TargetName;
use crate::wire::bounded;

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
/// Longest answer, in bytes as JSON: of the files, which are JSON themselves, every byte could be escaped by another one; and
/// their names, and ways.
pub const MAX_REFRESH_BYTES: usize = 2 * MAX_FILES_BYTES + 256 * 1024;
/// Most ways of an answer that are read: two for each question.
const MAX_WAYS: usize = 2 * MAX_ROUTES;
/// Most deltas of a way that are read: one more than there may be, which shows that there are too many.
const HOPS_READ: usize = MAX_HOPS + 1;
/// Most metadata files of an answer that are read: those of all roles, and as many roots.
const FILES_READ: usize = 2 * (MAX_ROLES + 3);
/// Most patches of an answer that are read: one for each role that may come as one.
const PATCHES_READ: usize = MAX_ROLES + 2;

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
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::table::<_, _, MAX_DOCUMENTS>"
    )]
    pub documents: BTreeMap<String, String>,
    /// Ways by deltas, the smallest of each kind: from what the client runs, and from nothing. A route without any is left out.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, MAX_WAYS>"
    )]
    pub ways: Vec<DeltaWay>,
}

/// Deltas that lead one after the other to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaWay {
    /// From where; absent: from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Sha256Digest>,
    /// One to [`MAX_HOPS`]; the last one leads to the release that was asked for.
    #[serde(deserialize_with = "bounded::list::<_, _, HOPS_READ>")]
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
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::table::<_, _, FILES_READ>"
    )]
    pub files: BTreeMap<String, String>,
    /// Files that it does not hold, as deltas from those that it does, by their names. A file stands here or in `files`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "bounded::table::<_, _, PATCHES_READ>"
    )]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(what: impl Fn(usize) -> String) -> String {
        (0..50_000).map(what).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn of_an_answer_no_more_is_held_than_an_honest_one_has() {
        let digest = Sha256Digest::of(b"1");
        let hop = format!("{{\"to\":\"{digest}\",\"bytes\":1}}");
        let entries = |value: &str| repeated(|number| format!("\"{number}.a.json\":{value}"));
        let (hops, ways) = (repeated(|_| hop.clone()), repeated(|_| "{\"hops\":[]}".to_owned()));
        let (files, patches) = (entries("\"\""), entries("{\"from\":1,\"delta\":\"\"}"));
        let answer = format!(
            "{{\"metadata\":{{\"root\":1,\"timestamp\":1,\"files\":{{{files}}},\"patches\":{{{patches}}}}},\
             \"documents\":{{{files}}},\"ways\":[{{\"hops\":[{hops}]}},{ways}]}}"
        );
        let read: RefreshAnswer = serde_json::from_str(&answer).unwrap();
        let metadata = read.metadata.unwrap();
        assert_eq!((metadata.files.len(), metadata.patches.len()), (FILES_READ, PATCHES_READ));
        assert_eq!((read.documents.len(), read.ways.len()), (MAX_DOCUMENTS, MAX_WAYS));
        assert_eq!(read.ways[0].hops.len(), MAX_HOPS + 1, "it is seen to be none");
        // What is read over is still to be JSON.
        let torn = answer.replace("{\"hops\":[]}]}", "{\"hops\":[}]}");
        assert!(torn != answer && serde_json::from_str::<RefreshAnswer>(&torn).is_err());
    }

    #[test]
    fn an_answer_as_long_as_its_files_may_make_it_is_within_the_bound() {
        let text = "\"".repeat(MAX_FILES_BYTES);
        let way = DeltaWay {
            from: Some(Sha256Digest::of(b"1")),
            hops: vec![Hop { to: Sha256Digest::of(b"2"), bytes: u64::MAX }; MAX_HOPS],
        };
        let names = (0..FILES_READ).map(|number| (format!("{number:0>100}.json"), String::new()));
        let answer = RefreshAnswer {
            documents: BTreeMap::from([("a".to_owned(), text)]),
            ways: vec![way; MAX_WAYS],
            metadata: Some(NewMetadata {
                root: 1,
                timestamp: 1,
                files: names.collect(),
                patches: BTreeMap::new(),
            }),
        };
        assert!(serde_json::to_vec(&answer).unwrap().len() <= MAX_REFRESH_BYTES);
    }
}
