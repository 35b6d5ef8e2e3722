//! The grant (the one vendor license document), and the registration code that asks for it.
//!
//! An unlock code is a grant as text (see [`crate::text_code`]); a grant file is the same as JSON.

use std::fmt;

use jiff::Timestamp;
use sealpost_keys::{PublicKey, Verified};
use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError, SignedDocument};
use crate::ids::{PackageName, SerialNumber, ServerId};

/// How seats are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LicenseModel {
    /// One seat per computer name, for good.
    Named,
    /// Concurrent seats. A later version; refused by servers that do not know how to count them.
    Floating,
}

impl fmt::Display for LicenseModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Named => "named",
            Self::Floating => "floating",
        })
    }
}

/// What a vendor grants to one Primary Server for one serial number. Signed by a license-signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The vendor's name, for people.
    pub vendor: String,
    /// The serial number that the seats belong to.
    pub serial: SerialNumber,
    /// The server that it is bound to.
    pub server_id: ServerId,
    /// That server's site key: signs leases and assignments.
    pub site_key: PublicKey,
    /// Rises with a new site key for the same server id.
    pub key_epoch: u32,
    /// Rises when the vendor confirms a restore or a takeover; sequences are ordered as (epoch, sequence).
    pub epoch: u64,
    /// Packages that the license covers; empty means every package of the vendor.
    pub packages: Vec<PackageName>,
    /// How seats are counted.
    pub model: LicenseModel,
    /// How many seats are granted.
    pub seats: u32,
    /// Rises with every grant for this serial; a lower one is refused.
    pub generation: u64,
    /// After it: no new license; existing clients are answered.
    pub valid_until: Timestamp,
    /// The vendor's clock when it was signed.
    pub vendor_time: Timestamp,
}

impl Document for Grant {
    const TYPE: &'static str = "grant";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("grant server={} generation={}", self.server_id, self.generation)
    }
}

impl Grant {
    /// Whether the license covers a package.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        self.packages.is_empty() || self.packages.contains(package)
    }
}

/// Asks a vendor to unlock a serial number for a server. Signed with the site key that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The serial number that the seats belong to.
    pub serial: SerialNumber,
    /// The server that asks.
    pub server_id: ServerId,
    /// Its site key; also signs this document.
    pub site_key: PublicKey,
}

impl Document for Registration {
    const TYPE: &'static str = "registration";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("registration server={}", self.server_id)
    }
}

/// Verifies a registration with the key that it names itself.
///
/// The text is read once before it is verified, for its `site_key` only; nothing else of that reading is used. What the
/// signature shows is that whoever asks holds the site key, no more.
///
/// # Errors
/// [`DocumentError`] when it cannot be read, or its signature is not by the key inside.
pub fn verify_registration(document: &SignedDocument) -> Result<Verified<Registration>, DocumentError> {
    #[derive(Deserialize)]
    struct ClaimedSigner {
        site_key: PublicKey,
    }
    if document.document.len() > MAX_REGISTRATION_BYTES {
        let length = document.document.len();
        return Err(DocumentError::TooLong { document: Registration::TYPE, length });
    }
    let claimed: ClaimedSigner = serde_json::from_str(&document.document)
        .map_err(|source| DocumentError::Malformed { document: Registration::TYPE, source })?;
    document.verify(&[claimed.site_key])
}

/// Longest registration text, in bytes.
const MAX_REGISTRATION_BYTES: usize = 4 * 1024;
