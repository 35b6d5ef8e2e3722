//! `POST /api/v1/register` and `/api/v1/unlock`, and the License Summary's lines.

use jiff::Timestamp;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::SerialNumber;
use sealpost_site::rows::LicenseRow;
use serde::{Deserialize, Serialize};

/// A line of the License Summary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct License {
    /// The serial number.
    pub serial: SerialNumber,
    /// Seats that the vendor granted.
    pub licenses: u32,
    /// Names that hold one: reserved and active.
    pub used: u32,
    /// Those whose computer is enrolled.
    pub active: u32,
    /// Those whose computer has not come yet.
    pub reserved: u32,
    /// How seats are counted.
    pub model: LicenseModel,
    /// The grant's generation.
    pub generation: u64,
    /// Until when new licenses can be given.
    pub valid_until: Timestamp,
}

impl From<LicenseRow> for License {
    fn from(row: LicenseRow) -> Self {
        let LicenseRow { serial, licenses, used, active, reserved, model, generation, valid_until } = row;
        Self { serial, licenses, used, active, reserved, model, generation, valid_until }
    }
}

/// `POST /api/v1/register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The serial number.
    pub serial: SerialNumber,
    /// Whether the vendor is asked.
    #[serde(default)]
    pub way: RegisterWay,
}

/// How a registration travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegisterWay {
    /// The vendor is asked; if it cannot be reached, the code goes by hand.
    #[default]
    Online,
    /// The code goes by hand.
    Offline,
}

/// The answer to a registration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Registered {
    /// Seats are unlocked.
    Granted {
        /// The grant as counted here.
        license: License,
    },
    /// This code goes to the vendor by hand.
    Code {
        /// The registration code.
        code: String,
        /// Why it was not done online, if that was tried.
        reason: Option<String>,
    },
}

/// `POST /api/v1/unlock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnlockRequest {
    /// An unlock code, or the text of a grant file.
    pub code: String,
}
