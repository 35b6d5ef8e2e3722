//! The setup file: what an admin carries to a computer so that it finds, and trusts, its Primary Server.
//!
//! Not signed: it comes by the admin's hand. It holds secrets (the enrollment codes), so it is written `0600`.
//! It carries the pinned root's digest only; the root itself comes with the agent's package or `--root`.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::ids::{ComputerName, EnrollmentCode, ServerId};
use crate::word::open_codes;

/// Longest setup file that is read, in bytes; one with a server has about 1 KiB.
pub const MAX_SETUP_BYTES: u64 = 256 * 1024;
/// Most pins of one server: the site CA, and the one that replaces it.
pub const MAX_CA_PINS: usize = 2;

/// Most servers of a setup file that a computer tries.
pub const MAX_SETUP_SERVERS: usize = 8;
/// Most addresses of one server that a computer tries.
pub const MAX_SETUP_ADDRESSES: usize = 32;

open_codes! {
    /// For which computers a setup file is. `pool` is reserved.
    SetupKind {
        /// For one reserved name.
        Reserved = "reserved",
        /// For any number of computers, which ask under names of their own and wait until an admin admits each by its key.
        /// There is no code and nothing secret in it.
        Knock = "knock",
    }
}

open_codes! {
    /// The part that a server plays for a computer.
    ServerRole {
        /// Asked first.
        Primary = "primary",
        /// Asked when no primary answers, or none has a free license.
        Secondary = "secondary",
    }
}

/// How a server is reached, and by what it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEntry {
    /// The part that it plays.
    pub role: ServerRole,
    /// Host names or IP addresses, tried in this order.
    pub addresses: Vec<String>,
    /// TCP port of the agent API.
    pub port: u16,
    /// The id that the server must have.
    pub server_id: ServerId,
    /// Its site key. The whole key, not its 64-bit id: an id can be made to collide.
    pub site_key: PublicKey,
    /// SHA-256 of the DER-encoded SubjectPublicKeyInfo of the site CA (RFC 7469, section 2.4); two while the CA is
    /// being replaced.
    pub ca_spki_sha256: Vec<Sha256Digest>,
}

impl ServerEntry {
    /// What makes the entry unusable, if something does.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let id = &self.server_id;
        if let ServerRole::Other(role) = self.role {
            return Some(format!("the server {id} has the role {role}, which this program does not know"));
        }
        if self.addresses.is_empty() {
            return Some(format!("the server {id} has no address"));
        }
        if self.addresses.len() > MAX_SETUP_ADDRESSES {
            let count = self.addresses.len();
            return Some(format!(
                "the server {id} has {count} addresses, and at most {MAX_SETUP_ADDRESSES} are tried"
            ));
        }
        let pins = self.ca_spki_sha256.len();
        (pins == 0 || pins > MAX_CA_PINS)
            .then(|| format!("the server {id} has {pins} pins of its CA, and must have 1 or {MAX_CA_PINS}"))
    }
}

/// One server that the computer may enroll with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupServer {
    /// The server.
    pub server: ServerEntry,
    /// Binds the reservation to the first client key that proves it. It is never sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrollment_code: Option<EnrollmentCode>,
    /// After it the server accepts the code no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for SetupServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupServer")
            .field("server", &self.server)
            .field("code_expires_at", &self.code_expires_at)
            .finish_non_exhaustive()
    }
}

/// What a setup file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupFile {
    /// For which computers it is.
    pub kind: SetupKind,
    /// The name that holds the reservation; for `reserved` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computer_name: Option<ComputerName>,
    /// The server's clock when it was issued: the computer's time is not before it.
    pub issued_at: Timestamp,
    /// Servers, in order of preference.
    pub servers: Vec<SetupServer>,
    /// SHA-256 of the exact bytes of the vendor's `root.json` that must be pinned.
    pub root_sha256: Sha256Digest,
}

impl Document for SetupFile {
    const TYPE: &'static str = "setup";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("setup kind={}", self.kind)
    }
}

impl SetupFile {
    /// The reserved name that it is for.
    ///
    /// # Errors
    /// With a sentence for people, when it is of a kind that this program does not know, or names no computer.
    pub fn reserved_name(&self) -> Result<&ComputerName, String> {
        match (self.kind, &self.computer_name) {
            (SetupKind::Reserved, Some(name)) => Ok(name),
            (SetupKind::Reserved, None) => Err("the setup file names no computer".to_owned()),
            (SetupKind::Knock, _) => Err(
                "the setup file is for computers that ask over the network and wait until they are admitted, and names none"
                    .to_owned(),
            ),
            (SetupKind::Other(kind), _) => Err(format!(
                "the setup file is of the kind {kind}, which this version does not know; update the agent, or ask for \
                 a setup file of one computer"
            )),
        }
    }
}
