//! Enrollment: `POST /agent/v1/enroll`. A computer presents its enrollment code and its new key.
//!
//! The code binds to the first client key that presents it: the same key gets the same answer again, another is
//! refused.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::document::{Document, SignedDocument};
use crate::ids::{ClientId, ComputerName, EnrollmentCode, Platform, ServerId};

/// The body of the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// The key that signed `enrollment`; must be the one inside.
    pub client_key: PublicKey,
    /// An [`Enrollment`], signed with that key.
    pub enrollment: SignedDocument,
}

/// What a computer says of itself. Signed with the client key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    /// The name in the setup file.
    pub computer_name: ComputerName,
    /// The code in the setup file.
    pub enrollment_code: EnrollmentCode,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The server that is meant; another one refuses.
    pub server_id: ServerId,
    /// What it can run.
    pub platform: Platform,
    /// The agent's own version.
    pub agent_version: String,
}

impl std::fmt::Debug for Enrollment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrollment")
            .field("computer_name", &self.computer_name)
            .field("client_key", &self.client_key)
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

impl Document for Enrollment {
    const TYPE: &'static str = "enrollment";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("enrollment server={}", self.server_id)
    }
}

/// The body of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrollAnswer {
    /// A signed [`Enrolled`]; byte-identical for every retry.
    pub enrolled: SignedDocument,
    /// The signed [`Grant`](crate::grant::Grant) that ties the site key to the vendor.
    pub grant: SignedDocument,
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
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("enrolled client={} server={}", self.client_id, self.server_id)
    }
}
