//! The contact: `POST /agent/v1/contact`. A client shows that it is there, reports, and hears what to run.
//!
//! Each contact carries (previous nonce, next nonce), which the client wrote to its disk before it sent them. Same
//! pair again = retry: same lease and assignment. Same previous with another next = fork (a cloned disk).
//! A part of the answer that the client already has is left out, which keeps a contact without news small.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, SignedDocument};
use crate::ids::{ClientId, Nonce, PackageName, Platform, ServerId};
use crate::release::{PackageKind, ReleaseId};
use crate::version::ReleaseCounter;
use crate::wire::report::Report;

/// Most reports in one contact; the rest waits for the next.
pub const MAX_REPORTS: usize = 64;
/// Most packages in one contact.
pub const MAX_PACKAGES: usize = 256;

/// The body of the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContactRequest {
    /// Who signed `contact`; must be the one inside.
    pub client_id: ClientId,
    /// A [`Contact`], signed with the client key.
    pub contact: SignedDocument,
}

/// A contact. Signed with the client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The client that makes the contact.
    pub client_id: ClientId,
    /// The server that is meant.
    pub server_id: ServerId,
    /// The `next` of the last answered contact; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Nonce>,
    /// A nonce that was drawn for this contact.
    pub next: Nonce,
    /// The client's clock, for people only; decides nothing.
    pub sent_at: Timestamp,
    /// The agent's own version.
    pub agent_version: String,
    /// What it can run.
    pub platform: Platform,
    /// (epoch, sequence) of the lease that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<(u64, u64)>,
    /// (epoch, sequence) of the assignment that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<(u64, u64)>,
    /// Digest of the grant that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Sha256Digest>,
    /// What the computer runs, one entry for each package.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<InstalledPackage>,
    /// What happened since the last acknowledged report, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

impl Document for Contact {
    const TYPE: &'static str = "contact";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("contact client={} next={}", self.client_id, self.next)
    }
}

/// What a computer runs of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledPackage {
    /// The release that `current` names.
    pub release: ReleaseId,
    /// Whether the package holds programs or signatures.
    pub kind: PackageKind,
    /// The release counter in its manifest.
    pub counter: ReleaseCounter,
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
}

impl InstalledPackage {
    /// The package that the release belongs to.
    #[must_use]
    pub const fn package(&self) -> &PackageName {
        &self.release.package
    }
}

/// The answer's body. It is authenticated by the pinned TLS connection; what matters for longer is signed.
#[derive(Clone, Serialize, Deserialize)]
pub struct ContactAnswer {
    /// A signed [`Lease`](crate::lease::Lease), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<SignedDocument>,
    /// A signed [`Assignment`](crate::assignment::Assignment), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<SignedDocument>,
    /// A signed [`Grant`](crate::grant::Grant), when the client does not hold the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<SignedDocument>,
    /// Bearer token for reads: metadata, targets, deltas, the wake stream. Short-lived.
    pub access_token: String,
    /// Seconds that the token is good for.
    pub token_valid_secs: u32,
    /// Reports up to this id are on the server's disk.
    #[serde(default)]
    pub acknowledged_report: u64,
    /// Whether something is wrong that a person should look at; the client shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

impl std::fmt::Debug for ContactAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the access token, which is a secret.
        f.debug_struct("ContactAnswer")
            .field("lease", &self.lease)
            .field("assignment", &self.assignment)
            .field("grant", &self.grant)
            .field("token_valid_secs", &self.token_valid_secs)
            .field("acknowledged_report", &self.acknowledged_report)
            .field("notice", &self.notice)
            .finish_non_exhaustive()
    }
}
