//! Numbers and hashes as the C2SP formats write them. Each has one spelling, and any other is refused.

use data_encoding::BASE64;

use crate::digest::Sha256Digest;

/// A decimal number without sign and leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The hash in standard base64.
pub(super) fn base64(hash: &Sha256Digest) -> String {
    BASE64.encode(hash.as_bytes())
}

/// The hash that stands in standard base64, of 44 characters.
pub(super) fn hash(text: &str) -> Option<Sha256Digest> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok().map(Sha256Digest::from_bytes)
}
