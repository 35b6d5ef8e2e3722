//! The assignment: what one computer should run, as the site decided it. Signed with the site key.
//!
//! It can only choose among vendor-signed releases; the agent checks the vendor's whole chain all the same.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{ClientId, ServerId};
use crate::release::ReleaseId;

/// How soon an assignment is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// As the method of delivery says.
    #[default]
    Normal,
    /// At once, without waiting for a maintenance window.
    Emergency,
}

/// What one computer should run of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageAssignment {
    /// The release that the computer should run.
    pub release: ReleaseId,
    /// Digest of the manifest that was approved.
    pub manifest: Sha256Digest,
    /// Not to be installed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// To be installed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How soon it is to be carried out.
    #[serde(default)]
    pub urgency: Urgency,
    /// The rollout that it belongs to; reports name it.
    pub rollout: u64,
    /// Raised when an admin retries; an agent never retries the same (release, attempt) by itself after a rollback.
    pub attempt: u32,
}

/// An assignment: one entry per package that the computer is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The client that it is for.
    pub client_id: ClientId,
    /// The server that signed it.
    pub server_id: ServerId,
    /// See [`crate::grant::Grant::epoch`].
    pub epoch: u64,
    /// Rises per client, shared with the leases' sequence; agents refuse a lower (epoch, sequence).
    pub sequence: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After it the agent installs nothing from it.
    pub expires_at: Timestamp,
    /// When the server last judged the vendor's metadata fresh; the agent takes it as TUF's `now`.
    pub metadata_as_of: Timestamp,
    /// What to run, one entry for each package.
    pub packages: Vec<PackageAssignment>,
}

impl Document for Assignment {
    const TYPE: &'static str = "assignment";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("assignment client={} epoch={} sequence={}", self.client_id, self.epoch, self.sequence)
    }
}
