//! Reports: what an agent says about the steps of an install. Each step has an outcome and a stable reason code.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::release::ReleaseId;

/// Longest detail text, in bytes.
pub const MAX_DETAIL_BYTES: usize = 2 * 1024;

/// The outcome of one step of an install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rises with every report of this client.
    pub id: u64,
    /// When it happened, by the client's clock.
    pub at: Timestamp,
    /// The release that the install was about.
    pub release: ReleaseId,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// The rollout that asked for it; 0 when a person at the computer did.
    pub rollout: u64,
    /// The attempt that the assignment named.
    pub attempt: u32,
    /// The step of the install.
    pub step: InstallStep,
    /// How the step ended.
    pub outcome: Outcome,
    /// Why, as a stable code.
    pub reason: ReasonCode,
    /// Why, for people: for example the last lines that a hook printed. At most [`MAX_DETAIL_BYTES`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The steps of an install (DESIGN §5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallStep {
    /// Lease, assignment, metadata, minisign, disk space.
    Check,
    /// The delta or the payload is fetched.
    Download,
    /// The new slot built, and digested in place.
    Build,
    /// The test-load hook tries the new release.
    TestLoad,
    /// The stop hook stops the product.
    Stop,
    /// `current` is pointed to the new slot.
    Switch,
    /// The start hook starts the product.
    Start,
    /// The health hook checks that it works.
    Health,
    /// The new release is kept.
    Keep,
    /// The old release is back.
    RollBack,
}

impl fmt::Display for InstallStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Check => "check",
            Self::Download => "download",
            Self::Build => "build",
            Self::TestLoad => "test-load",
            Self::Stop => "stop",
            Self::Switch => "switch",
            Self::Start => "start",
            Self::Health => "health",
            Self::Keep => "keep",
            Self::RollBack => "roll-back",
        })
    }
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The step was carried out.
    Ok,
    /// Not done, nothing changed; the old release runs.
    Refused,
    /// Went wrong; see the steps after it.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
        })
    }
}

/// Stable reason codes of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    /// The step was carried out; there is nothing to explain.
    Done,
    /// Fetched as a delta.
    ByDelta,
    /// Fetched as the whole payload.
    ByPayload,
    /// No hook of this kind is configured.
    NoHook,
    /// The lease is missing, for another, or past its end.
    LeaseInvalid,
    /// The lease does not cover the package.
    NotEntitled,
    /// The assignment is for another, or past its end.
    AssignmentInvalid,
    /// The vendor's metadata did not verify.
    MetadataInvalid,
    /// The metadata is older than the agent's limit.
    MetadataTooOld,
    /// The manifest's signature, content or digest is not what it must be.
    ManifestInvalid,
    /// The release counter is lower than what was installed before.
    ReleaseTooOld,
    /// The vendor withdrew it.
    ReleaseWithdrawn,
    /// Another package must be there first.
    RequirementMissing,
    /// Not enough free disk.
    DiskFull,
    /// The server could not be reached, or cut the line.
    NetworkFailed,
    /// What came is not what was signed.
    PayloadInvalid,
    /// A hook could not be run: missing, or writable by others.
    HookRefused,
    /// A hook ran too long.
    HookTimedOut,
    /// A hook ended with an error.
    HookFailed,
    /// The release was rolled back before; an admin must retry it.
    RolledBackBefore,
    /// The agent or the computer stopped in the middle.
    Interrupted,
    /// A person at the computer asked for it.
    AskedLocally,
    /// Something else on this computer; see the detail.
    LocalFault,
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The stable code is the serde name; there is one list of them.
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(code)) => f.pad(&code),
            _ => f.write_str("unknown"),
        }
    }
}
