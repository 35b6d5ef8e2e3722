//! `/api/v1/clients/verify`: Verify License now.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use serde::{Deserialize, Serialize};

/// Most names of one request.
pub const MAX_VERIFIED: usize = 500;
/// For how long a server waits, in seconds, unless it is said.
pub const WAIT_SECS: u32 = 10;
/// For how long it waits at the most, in seconds.
pub const MAX_WAIT_SECS: u32 = 30;

/// `POST /api/v1/clients/verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The names, 1 to [`MAX_VERIFIED`].
    pub names: Vec<ComputerName>,
    /// Seconds to wait for contacts, at most [`MAX_WAIT_SECS`]; [`WAIT_SECS`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_secs: Option<u32>,
}

/// What became of the names, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedMany {
    /// One for each.
    pub computers: Vec<VerifiedComputer>,
}

/// What became of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedComputer {
    /// As the name is spelled where it holds a seat, else as it was typed.
    pub name: ComputerName,
    /// Whether it came.
    pub outcome: VerifyOutcome,
    /// Its last contact: of one that came this one.
    pub last_contact: Option<Timestamp>,
    /// Until when its lease is good.
    pub lease_until: Option<Timestamp>,
    /// When the serial number of its seat ended, the last of several: then its lease is not renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_ended: Option<Timestamp>,
    /// Whether it listens for calls now; who does not comes by itself.
    pub listens: bool,
}

/// Whether a computer came when it was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyOutcome {
    /// It made a contact, and its license was verified.
    Verified,
    /// It did not come in time, or does not listen.
    Silent,
    /// Its name holds a seat, and no computer enrolled yet.
    NotEnrolled,
    /// No seat is reserved for the name.
    NotReserved,
    /// Two computers use its identity, and both are refused.
    TwoComputers,
}
