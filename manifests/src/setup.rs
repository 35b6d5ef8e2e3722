//! The setup file: what an admin carries to a computer so that it finds, and trusts, its Primary Server.
//!
//! Not signed: it comes by the admin's hand. It holds a secret (the enrollment code), so it is written `0600`.
//! It carries the pinned root's digest only; the root itself comes with the agent's package or `--root`.

use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{ComputerName, EnrollmentCode, ServerId};

/// Longest setup file that is read, in bytes; one with a server has about 1 KiB.
pub const MAX_SETUP_BYTES: u64 = 256 * 1024;

/// One server that the computer may talk to, with its pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupServer {
    /// Host names or IP addresses, tried in this order.
    pub addresses: Vec<String>,
    /// TCP port of the agent API.
    pub port: u16,
    /// The id that the server must have.
    pub server_id: ServerId,
    /// Its site key. The whole key, not its 64-bit id: an id can be made to collide.
    pub site_key: PublicKey,
    /// SHA-256 of the DER-encoded SubjectPublicKeyInfo of the site CA (RFC 7469, section 2.4).
    pub ca_spki_sha256: Sha256Digest,
}

/// What a setup file holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupFile {
    /// The name that holds the reservation.
    pub computer_name: ComputerName,
    /// Binds the reservation to the first client key that presents it.
    pub enrollment_code: EnrollmentCode,
    /// Servers, in order of preference.
    pub servers: Vec<SetupServer>,
    /// SHA-256 of the exact bytes of the vendor's `root.json` that must be pinned.
    pub root_sha256: Sha256Digest,
}

impl std::fmt::Debug for SetupFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupFile")
            .field("computer_name", &self.computer_name)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Document for SetupFile {
    const TYPE: &'static str = "setup";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("setup computer={}", self.computer_name)
    }
}
