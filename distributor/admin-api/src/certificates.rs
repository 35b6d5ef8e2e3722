//! `GET /api/v1/certificate`, `POST …/certificate/renew` and `…/switch`.

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

/// The certificate that the server presents, and what is about to replace it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Whose CA issued it: `site`, or `own` for one that the admin brought.
    pub issuer: String,
    /// Names and IP addresses that it names.
    pub names: Vec<String>,
    /// Configured addresses that it does not name.
    pub missing: Vec<String>,
    /// Its serial number in hexadecimal digits; absent from a server that does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// SHA-256 of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// Its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Its end.
    pub not_after: Timestamp,
    /// The pin of its CA, which computers hold: SHA-256 of the SubjectPublicKeyInfo.
    pub pin: Sha256Digest,
    /// The end of its CA.
    pub ca_not_after: Timestamp,
    /// What is about to replace it; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextCertificate>,
    /// Computers that the last switch left behind; absent when it left none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<Waiting>,
}

/// A CA that computers are being told about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextCertificate {
    /// `site` or `own`, as for the present one.
    pub issuer: String,
    /// The pin of its CA.
    pub pin: Sha256Digest,
    /// Who has not learned it.
    pub waiting: Waiting,
}

/// Computers that have not learned the newest server list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub names: Vec<String>,
}

/// What is to be renewed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The site CA too: begins its replacement.
    #[serde(default)]
    pub ca: bool,
}

/// How to switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRequest {
    /// Also while computers have not learned the new pin.
    #[serde(default)]
    pub now: bool,
}
