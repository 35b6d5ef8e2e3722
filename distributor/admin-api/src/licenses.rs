//! `POST /api/v1/register` and `/api/v1/unlock`, and the License Summary's lines.

use jiff::Timestamp;
use sealpost_manifests::grant::{LicenseModel, RegistrationReason};
use sealpost_manifests::ids::SerialNumber;
use sealpost_site::rows::LicenseRow;
use sealpost_site::rules::serial_standing;
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
    /// The grant's epoch: the part that the vendor raises.
    pub epoch: u32,
    /// Until when new licenses can be given.
    pub not_after: Timestamp,
    /// Seats that new names can take; 0 of one that gives none.
    #[serde(default)]
    pub free: u32,
    /// When the vendor ends it, or ended it; absent while it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// What is to be known of it, the most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standing: Vec<Standing>,
    /// Seats of it that were asked for and refused since the server started; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedSeats>,
}

/// Where a serial number stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// A stable word: `ended`, `lapsed`, `overused`, `ends_soon`.
    pub code: String,
    /// The sentence for people.
    pub message: String,
}

/// Seats that were asked for and refused since the server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSeats {
    /// How many.
    pub count: u64,
    /// When the last one was.
    pub last: Timestamp,
}

impl License {
    /// A line of the summary, at a time.
    #[must_use]
    pub fn of(row: LicenseRow, refused: Option<RefusedSeats>, now: Timestamp) -> Self {
        let free = serial_standing::free(&row, now);
        let standing = serial_standing::standing(&row, now)
            .into_iter()
            .map(|standing| Standing { code: standing.as_str().to_owned(), message: standing.to_string() });
        let standing = standing.collect();
        let LicenseRow {
            serial,
            licenses,
            used,
            active,
            reserved,
            model,
            generation,
            epoch,
            not_after,
            ends_at,
            granted_at: _,
            packages: _,
        } = row;
        Self {
            serial,
            licenses,
            used,
            active,
            reserved,
            model,
            generation,
            epoch: epoch.vendor(),
            not_after,
            free,
            ends_at,
            standing,
            refused,
        }
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
    /// Why it is asked; when absent the server says `restored` if its ledger was, else `first` or `renew`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RegistrationReason>,
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
        /// Whether the ledger was restored, and this grant does not confirm it.
        unconfirmed: bool,
        /// What is to be said of it, if the license does not run longer than before, or not for the seats that were asked
        /// for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<String>,
        /// The seats of the grant before, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seats_before: Option<u32>,
    },
    /// This code goes to the vendor by hand.
    Code {
        /// The registration code.
        code: String,
        /// Why it was not done online, if that was tried.
        reason: Option<String>,
        /// Where the vendor's server has its registration page, if it has one; absent where a code must not be typed into it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
}

/// The answer to an unlock code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unlocked {
    /// The grant as counted here.
    pub license: License,
    /// Whether the ledger was restored, and this grant does not confirm it.
    pub unconfirmed: bool,
    /// What is to be said of it, if the license does not run longer than before, or has fewer seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The seats of the grant before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats_before: Option<u32>,
}

/// `POST /api/v1/unlock`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnlockRequest {
    /// An unlock code, or the text of a grant file.
    pub code: String,
}
