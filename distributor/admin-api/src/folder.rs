//! `POST /api/v1/folder/answer` and `/api/v1/folder/sync`: computers without a network, which are served by files. The body of
//! an answer's request is the computer's file as it came.

use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::Problem;
use serde::{Deserialize, Serialize};

/// The answer to a computer's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnsweredFile {
    /// The computer that it is for.
    pub computer: ComputerName,
    /// The file to carry back, in base64. Only that computer can open it.
    pub sealed: String,
    /// Why the contact was refused; the file says it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Problem>,
}

/// `POST /api/v1/folder/sync`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncRequest {
    /// The folder; when absent the configured one. Only local accounts may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// How the configured folder stood when it was looked into last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderStatus {
    /// The folder.
    pub path: PathBuf,
    /// When that was.
    pub looked_at: Timestamp,
    /// How many computers have a folder in it.
    pub computers: u32,
    /// Computers whose contact waits there: it has no answer, or was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<ComputerName>,
    /// Why the folder as a whole could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What was done in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncSummary {
    /// The folder.
    pub path: PathBuf,
    /// How many computers have a folder in it.
    #[serde(default)]
    pub computers: u32,
    /// Computers that were answered.
    pub answered: Vec<ComputerName>,
    /// Computers whose files are those that were answered before.
    pub unchanged: u32,
    /// Computers whose contact lies there without an answer, or was refused, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<ComputerName>,
    /// Files that were not answered, or with a refusal, and what else went wrong.
    pub problems: Vec<String>,
    /// Files of releases and metadata that were written.
    pub written_files: u32,
    /// Their length in bytes.
    pub written_bytes: u64,
    /// Files that nobody needs any more and that were removed.
    pub removed_files: u32,
}
