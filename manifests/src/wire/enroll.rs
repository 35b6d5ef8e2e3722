//! Enrollment: `POST /agent/v1/enroll`. A computer shows its new key, and proves that it knows its enrollment code.
//!
//! The code binds to the first client key that proves it: the same key gets the same answer again, another is refused.
//! The copy of a computer that an admin kept shows its contact instead, and gets a new id with its new key.
//! The code itself is never sent: who reads a request, or stands in for the server, learns nothing to enroll with.

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::{Document, SignedDocument};
use crate::ids::{ClientId, ComputerName, EnrollmentCode, Platform, ServerId};

/// The body of the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The key that signed `enrollment`; must be the one inside.
    pub client_key: PublicKey,
    /// An [`Enrollment`], signed with that key.
    pub enrollment: SignedDocument,
    /// [`proof`] of the enrollment code over the exact text of `enrollment`; absent when the computer has no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Sha256Digest>,
    /// The [`Contact`](super::contact::Contact) that was refused with `copy_kept`, signed again with the key of before and with
    /// `client_key` as its `new_key`: it proves which of two copies this is. Then there is no `proof`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<SignedDocument>,
}

/// HMAC-SHA-256 (RFC 2104) with the canonical text of the code as key, over the exact text of the enrollment.
#[must_use]
pub fn proof(code: &EnrollmentCode, enrollment: &str) -> Sha256Digest {
    Sha256Digest::hmac(code.as_str().as_bytes(), enrollment.as_bytes())
}

/// What a computer says of itself. Signed with the client key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// The name in the setup file.
    pub computer_name: ComputerName,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The key to which the server seals what it sends to this computer by file.
    pub sealing_key: SealingPublicKey,
    /// The server that is meant; another one refuses.
    pub server_id: ServerId,
    /// What it can run.
    pub platform: Platform,
    /// The agent's own version.
    pub agent_version: String,
}

impl Document for Enrollment {
    const TYPE: &'static str = "enrollment";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("enrollment server={}", self.server_id)
    }
}

/// The body of the answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrollAnswer {
    /// A signed [`Enrolled`]; byte-identical for every retry.
    pub enrolled: SignedDocument,
    /// The signed [`Grant`](crate::grant::Grant)s that tie the site key to the vendor.
    pub grants: Vec<SignedDocument>,
    /// The signed [`LogKey`](crate::log::LogKeyCertificate) of the server's log.
    pub log_key: SignedDocument,
    /// Bearer token for the reads that are allowed before a lease: root, metadata and `trust.json`.
    pub access_token: String,
}

impl std::fmt::Debug for EnrollAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the access token, which is a secret.
        f.debug_struct("EnrollAnswer")
            .field("enrolled", &self.enrolled)
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
}

/// The server's statement that a computer is enrolled. Signed with the site key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The client's id from now on.
    pub client_id: ClientId,
    /// The key that its contacts are signed with.
    pub client_key: PublicKey,
    /// The name that holds the reservation.
    pub computer_name: ComputerName,
    /// The server that enrolled it.
    pub server_id: ServerId,
    /// When it was enrolled, by the server's clock.
    pub enrolled_at: Timestamp,
}

impl Document for Enrolled {
    const TYPE: &'static str = "enrolled";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("enrolled client={} server={}", self.client_id, self.server_id)
    }
}
