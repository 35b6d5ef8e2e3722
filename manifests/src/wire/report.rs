//! Reports: what an agent says about the steps of an install. Each step has an outcome and a stable reason code.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::release::ReleaseId;
use crate::word::open_codes;

/// Longest detail text, in bytes.
pub const MAX_DETAIL_BYTES: usize = 2 * 1024;
/// Longest name of a ring, in bytes.
pub const MAX_RING_BYTES: usize = 64;

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
    /// The ring of the rollout, as the assignment named it. At most [`MAX_RING_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<String>,
    /// Of a step that fetched: how the release came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// Of a step that fetched: what traveled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<TransferredBytes>,
    /// How long the step took, by a clock that nobody sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// What traveled over the network for one release, by part. What an earlier try fetched is not counted again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferredBytes {
    /// The vendor's metadata and documents.
    #[serde(default)]
    pub metadata: u64,
    /// The manifest with its signature.
    #[serde(default)]
    pub manifest: u64,
    /// The deltas, or the payload.
    #[serde(default)]
    pub payload: u64,
}

open_codes! {
    /// How a release was fetched.
    Way {
        /// As one delta.
        Delta = "delta",
        /// As several deltas, one after the other.
        Chain = "chain",
        /// As the whole payload, gzip.
        Gzip = "gzip",
        /// As the whole payload, Zstandard.
        Zstd = "zstd",
        /// As a delta from nothing: the whole release, packed by the site's server.
        Packed = "packed",
    }
}

open_codes! {
    /// The steps of an install.
    InstallStep {
        /// Lease, assignment, metadata, minisign, disk space.
        Check = "check",
        /// The delta or the payload is fetched.
        Download = "download",
        /// The new slot built, and digested in place.
        Build = "build",
        /// The test-load hook tries the new release.
        TestLoad = "test_load",
        /// The stop hook stops the product.
        Stop = "stop",
        /// `current` is pointed to the new slot.
        Switch = "switch",
        /// The start hook starts the product.
        Start = "start",
        /// The health hook checks that it works.
        Health = "health",
        /// The new release is kept.
        Keep = "keep",
        /// The old release is back.
        RollBack = "roll_back",
        /// No install: a person had every installed file compared with its signed manifest.
        Audit = "audit",
    }
}

open_codes! {
    /// How a step went. An outcome that is not known counts as failed.
    Outcome {
        /// The step was carried out.
        Ok = "ok",
        /// Not done, nothing changed; the old release runs.
        Refused = "refused",
        /// Went wrong; see the steps after it.
        Failed = "failed",
    }
}

open_codes! {
    /// Stable reason codes of an agent.
    ReasonCode {
        /// The step was carried out; there is nothing to explain.
        Done = "done",
        /// Fetched as a delta.
        ByDelta = "by_delta",
        /// Fetched as the whole payload.
        ByPayload = "by_payload",
        /// No hook of this kind is configured.
        NoHook = "no_hook",
        /// The lease is missing, for another, or past its end.
        LeaseInvalid = "lease_invalid",
        /// The lease does not cover the package.
        NotEntitled = "not_entitled",
        /// The assignment is for another, or past its end.
        AssignmentInvalid = "assignment_invalid",
        /// The assignment asks for something that this agent cannot do.
        ActionUnknown = "action_unknown",
        /// The vendor's metadata did not verify.
        MetadataInvalid = "metadata_invalid",
        /// The metadata is older than the agent's limit.
        MetadataTooOld = "metadata_too_old",
        /// The manifest's signature, content or digest is not what it must be.
        ManifestInvalid = "manifest_invalid",
        /// The release counter is lower than what was installed before, or than the vendor's minimum.
        ReleaseTooOld = "release_too_old",
        /// The vendor withdrew it.
        ReleaseWithdrawn = "release_withdrawn",
        /// A rollback to a release that this computer did not run, or did not keep.
        NotKept = "not_kept",
        /// Another package must be there first.
        RequirementMissing = "requirement_missing",
        /// Not enough free disk.
        DiskFull = "disk_full",
        /// The server could not be reached, or cut the line.
        NetworkFailed = "network_failed",
        /// What came is not what was signed.
        PayloadInvalid = "payload_invalid",
        /// A hook could not be run: missing, or writable by others.
        HookRefused = "hook_refused",
        /// A hook ran too long.
        HookTimedOut = "hook_timed_out",
        /// A hook ended with an error.
        HookFailed = "hook_failed",
        /// The release was rolled back before; an admin must retry it.
        RolledBackBefore = "rolled_back_before",
        /// The agent or the computer stopped in the middle.
        Interrupted = "interrupted",
        /// A person at the computer asked for it.
        AskedLocally = "asked_locally",
        /// The site's admin asked for it.
        AskedBySite = "asked_by_site",
        /// Something else on this computer; see the detail.
        LocalFault = "local_fault",
        /// The release is of a kind that this agent does not know.
        KindUnknown = "kind_unknown",
        /// The agent's new program does not start, or ended by itself while it was on trial.
        AgentFailed = "agent_failed",
        /// The agent's new program completed no contact, although the server could be reached.
        AgentSilent = "agent_silent",
        /// The link to the server is in use by other computers; the download waits for its turn.
        LinkBusy = "link_busy",
    }
}
