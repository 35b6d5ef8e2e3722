//! A registration, from untrusted bytes to a verified document: the server proves that it holds the site key.
//!
//! Left out on purpose: whether the serial number exists and whose it is ([`Authority`](super::Authority) decides).

use sealpost_keys::{PublicKey, Verified};
use sealpost_manifests::document::{self, Document, DocumentError, SignedDocument};
use sealpost_manifests::grant::{self, Grant, Registration};
use sealpost_manifests::text_code::{self, CodeFormat, MAX_CODE_BYTES, TextCodeError};
use sealpost_manifests::wire::sync::RegisterRequest;
use serde::Deserialize;

/// Why a registration is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// It was mistyped or cut.
    #[error("cannot read the registration code")]
    Code(#[source] TextCodeError),
    #[error(
        "cannot read the registration code: it has {length} bytes, and no registration has more than {MAX_CODE_BYTES}; \
         give the code or file as the server made it"
    )]
    TooLong { length: usize },
    /// What the vendor sends back.
    #[error(
        "cannot read the registration code: this is an unlock code, which `distributor unlock` takes on the server"
    )]
    UnlockCode,
    /// It is not a registration, or its signature does not hold.
    #[error(
        "cannot accept the registration: it is none that its server signed; make a new one on the server"
    )]
    Document(#[source] DocumentError),
    /// Signed with one key, naming another.
    #[error("cannot accept the registration: it names another site key than the one that signed it")]
    OtherKey,
}

/// Verifies a registration: signed with the very site key that it names.
pub fn verify_registration(request: &RegisterRequest) -> Result<Verified<Registration>, RegistrationError> {
    let registration =
        grant::verify_registration(&request.registration).map_err(RegistrationError::Document)?;
    if registration.site_key != request.site_key {
        return Err(RegistrationError::OtherKey);
    }
    Ok(registration)
}

/// Reads a registration code of at most [`MAX_CODE_BYTES`], as text groups or as the JSON of a request or signed document. Unverified.
///
/// # Errors
/// [`RegistrationError`] names the group, or in an older code the line, with a typing error.
pub fn read_registration_code(text: &str) -> Result<RegisterRequest, RegistrationError> {
    // Before anything is parsed: what follows looks into a text that nobody has verified.
    if text.len() as u64 > MAX_CODE_BYTES {
        return Err(RegistrationError::TooLong { length: text.len() });
    }
    let trimmed = text.trim();
    if trimmed.starts_with('{')
        && let Ok(request) = serde_json::from_str::<RegisterRequest>(trimmed)
    {
        return Ok(request);
    }
    let registration = if trimmed.starts_with('{') {
        serde_json::from_str::<SignedDocument>(trimmed)
            .map_err(|source| DocumentError::Malformed { document: Registration::TYPE, source })
            .map_err(RegistrationError::Document)?
    } else {
        text_code::decode(trimmed).map_err(RegistrationError::Code)?
    };
    if document::read::<Grant>(registration.document.as_bytes()).is_ok() {
        return Err(RegistrationError::UnlockCode);
    }
    // The code holds the document alone; the key to verify it with is the one that it names. Nothing else is read of it.
    let named: NamedKey = serde_json::from_str(&registration.document)
        .map_err(|source| DocumentError::Malformed { document: Registration::TYPE, source })
        .map_err(RegistrationError::Document)?;
    Ok(RegisterRequest { site_key: named.site_key, registration })
}

/// A grant as text, in the format of the registration code that it answers: its sender reads that one for sure.
#[must_use]
pub fn unlock_code(grant: &SignedDocument, registration_code: &str) -> String {
    text_code::encode_as(grant, text_code::format_of(registration_code).unwrap_or(CodeFormat::Groups))
}

#[derive(Deserialize)]
struct NamedKey {
    site_key: PublicKey,
}
