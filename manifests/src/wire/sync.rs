//! Between a Primary Server and the vendor: `POST /license/v1/register`.
//!
//! The vendor answers the same registration with a grant of the same content; it binds each serial number to one
//! server id and refuses a second.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::document::SignedDocument;
use sealpost_keys::PublicKey;

/// The request's body; also what a registration code holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// The key that signed `registration`; must be the one inside.
    pub site_key: PublicKey,
    /// A [`Registration`](crate::grant::Registration), signed with that key.
    pub registration: SignedDocument,
}

/// The body of the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterAnswer {
    /// A [`Grant`](crate::grant::Grant), signed by the vendor.
    pub grant: SignedDocument,
    /// From when on a new registration gets a new grant; before, the vendor repeats this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewable_from: Option<Timestamp>,
}
