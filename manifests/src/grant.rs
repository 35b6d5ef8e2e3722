//! The grant (the one vendor license document), and the registration that asks for it.
//!
//! An unlock code is a grant as text (see [`crate::text_code`]); a grant file is the same as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey, Verified};
use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError, SignedDocument};
use crate::ids::{PackageName, RequestId, SerialNumber, ServerId};
use crate::log::LogHead;
use crate::order::Epoch;
use crate::word::open_codes;

/// Most serial numbers of one server that a registration counts.
pub const MAX_SERIALS: usize = 256;

open_codes! {
    /// How seats are counted.
    LicenseModel {
        /// One seat per computer name, for good.
        Named = "named",
        /// Concurrent seats. A later version; refused by servers that do not know how to count them.
        Floating = "floating",
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
    /// Raised by the vendor when it confirms a restore; its term is 0. See [`crate::order`].
    pub epoch: Epoch,
    /// Packages that the license covers; empty means every package of the vendor.
    pub packages: Vec<PackageName>,
    /// How seats are counted.
    pub model: LicenseModel,
    /// How many seats are granted.
    pub seats: u32,
    /// Rises with every grant for this serial; a lower one is refused.
    pub generation: u64,
    /// The end of a day in the vendor's time zone. After it: no new license; existing clients are answered. Never later than
    /// `ends_at`, so that a server which does not know that field gives no new license either.
    pub not_after: Timestamp,
    /// When the serial number itself ends, if the vendor said so. After it nothing is renewed: what a lease says of the
    /// serial number runs out. `run` of a named seat is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The vendor's clock when it was signed.
    pub vendor_time: Timestamp,
    /// The registration that it answers. A grant that was kept confirms no later restore: it answers another request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl Document for Grant {
    const TYPE: &'static str = "grant";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("grant server={} generation={}", self.server_id, self.generation)
    }
}

impl Grant {
    /// Whether the license covers a package. Every license covers the agent itself.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        package.is_agent() || self.packages.is_empty() || self.packages.contains(package)
    }

    /// When the serial number ended, at a time; `None` while it has not. As with every end, the last instant is still good.
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.ends_at.filter(|end| *end < now)
    }

    /// Whether the serial number ends when the grant does, so that no registration renews it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.ends_at.is_some_and(|end| end <= self.not_after)
    }
}

open_codes! {
    /// Why a server registers.
    RegistrationReason {
        /// For the first time.
        First = "first",
        /// The grant ends.
        Renew = "renew",
        /// The customer bought more seats.
        MoreSeats = "more_seats",
        /// The server's ledger was restored or rebuilt: the vendor records it, and answers with a raised epoch.
        Restored = "restored",
    }
}

/// Asks a vendor to unlock a serial number for a server, online or as a code. Signed with the site key that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Drawn for this request: the vendor answers the same one with the same grant.
    pub request_id: RequestId,
    /// The serial number that the seats belong to.
    pub serial: SerialNumber,
    /// The server that asks; derived from its first site key.
    pub server_id: ServerId,
    /// Its site key; also signs this document.
    pub site_key: PublicKey,
    /// The key to which the vendor seals what it sends to this server by file.
    pub sealing_key: SealingPublicKey,
    /// Why it asks.
    pub reason: RegistrationReason,
    /// The server's epoch: the highest of all its grants, with the term.
    pub epoch: Epoch,
    /// The head of the server's log, which the vendor witnesses.
    pub ledger_head: LogHead,
    /// Seats in use per serial number.
    pub used: BTreeMap<SerialNumber, u32>,
}

impl Document for Registration {
    const TYPE: &'static str = "registration";
    const VERSION: u32 = 2;

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

/// Longest registration text, in bytes: [`MAX_SERIALS`] with their counts, and 1 KiB.
const MAX_REGISTRATION_BYTES: usize = 16 * 1024;
