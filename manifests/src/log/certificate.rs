//! The document by which a server's site key certifies the key that signs its log's heads.
//!
//! The two keys are separate: the log key signs by itself whenever an entry was written, and what it can do is to
//! speak about one log. Invariant: the key's name is the origin of the log of the server in the document.

use jiff::Timestamp;
use sealpost_keys::note::LogPublicKey;
use sealpost_keys::{PublicKey, Verified};
use serde::{Deserialize, Serialize};

use crate::document::{Document, DocumentError, SignedDocument};
use crate::ids::ServerId;

use super::checkpoint::origin;

/// The site's word that this key signs the heads of this server's log. Signed with the site key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogKeyCertificate {
    /// Whose log it is.
    pub server_id: ServerId,
    /// The key that signs its heads. Its name is the log's origin.
    pub log_key: LogPublicKey,
    /// The server's clock when it was signed.
    pub issued_at: Timestamp,
}

/// Why a log key is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The document is not accepted.
    #[error("the certificate of a log key is not accepted")]
    Document(#[from] DocumentError),
    /// The key speaks for another log.
    #[error("the certified log key is named {found:?}, but the log of its server is {expected:?}")]
    OtherOrigin {
        /// The origin of the server's log.
        expected: String,
        /// The name of the key.
        found: String,
    },
}

impl LogKeyCertificate {
    /// Verifies a certificate with the site key, and that its key speaks for the log of its server.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify(
        document: &SignedDocument,
        site_key: &PublicKey,
    ) -> Result<Verified<Self>, CertificateError> {
        document.verify::<Self>(std::slice::from_ref(site_key))?.try_map(|certificate| {
            let expected = origin(&certificate.server_id);
            if certificate.log_key.name() != expected {
                let found = certificate.log_key.name().to_owned();
                return Err(CertificateError::OtherOrigin { expected, found });
            }
            Ok(certificate)
        })
    }
}

impl Document for LogKeyCertificate {
    const TYPE: &'static str = "log_key";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("log_key server={} issued={}", self.server_id, self.issued_at)
    }
}
