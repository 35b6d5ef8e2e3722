//! The text of a `.minisig`, and the comment that a signature covers.
//!
//! A [`Minisig`] is unverified: it can only be handed to [`crate::verify`]. It has no equality and no
//! hash on purpose: its first line and its key id are unsigned, and lines may end in two ways, so
//! nothing may be keyed on its bytes.

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ed25519::SIGNATURE_BYTES;
use crate::key_id::KeyId;

/// Longest accepted signature text, in bytes; one with the longest allowed comment has about 1.4 KiB.
pub const MAX_MINISIG_BYTES: u64 = 4096;
/// Longest trusted comment, in bytes; the same as minisign's limit for its other comment.
const MAX_COMMENT_BYTES: usize = 1024;
const TRUSTED_PREFIX: &str = "trusted comment: ";
/// How a signature over the BLAKE2b digest names its algorithm.
const PREHASHED: &[u8; 2] = b"ED";
/// How a signature over the bytes themselves names it; read, so that it can be refused by name.
const LEGACY: &[u8; 2] = b"Ed";

/// A signature in minisign's text format, read but not verified.
#[derive(Clone)]
pub struct Minisig {
    text: String,
    prehashed: bool,
    key_id: KeyId,
    signature: [u8; SIGNATURE_BYTES],
    comment: String,
    global_signature: [u8; SIGNATURE_BYTES],
}

/// Why a text is not a signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinisigError {
    /// Longer than any signature.
    #[error("cannot read a signature: longer than 4096 bytes; is this the .minisig file?")]
    TooLong,
    /// Not the four lines of a minisign signature.
    #[error("cannot read a signature: expected the four lines that minisign writes")]
    Malformed,
}

impl Minisig {
    /// Reads the four lines of a `.minisig`; nothing is verified.
    ///
    /// # Errors
    /// A text longer than 4 KiB, or of another shape.
    pub fn parse(text: &str) -> Result<Self, MinisigError> {
        if text.len() as u64 > MAX_MINISIG_BYTES {
            return Err(MinisigError::TooLong);
        }
        let mut lines = text.lines();
        let mut next_line = || lines.next().ok_or(MinisigError::Malformed);
        let _untrusted_comment = next_line()?;
        let (algorithm, key_id, signature) = decode_signature(next_line()?).ok_or(MinisigError::Malformed)?;
        let prehashed = match &algorithm {
            PREHASHED => true,
            LEGACY => false,
            _ => return Err(MinisigError::Malformed),
        };
        let comment = next_line()?.strip_prefix(TRUSTED_PREFIX).ok_or(MinisigError::Malformed)?.to_owned();
        let global_signature = decode(next_line()?)?;
        let global_signature = global_signature.try_into().map_err(|_| MinisigError::Malformed)?;
        if lines.any(|line| !line.trim().is_empty()) {
            return Err(MinisigError::Malformed);
        }
        Ok(Self { text: text.to_owned(), prehashed, key_id, signature, comment, global_signature })
    }

    /// The four lines of a signature that was just made, prehashed. The first line says nothing that a reader could
    /// rely on, since it is unsigned.
    pub(crate) fn new(
        key_id: KeyId,
        signature: [u8; SIGNATURE_BYTES],
        comment: &TrustedComment,
        global_signature: [u8; SIGNATURE_BYTES],
    ) -> Self {
        let comment = comment.as_str().to_owned();
        let text = format!(
            "untrusted comment: signature by key {key_id}\n{}\n{TRUSTED_PREFIX}{comment}\n{}\n",
            BASE64.encode(&[PREHASHED.as_slice(), key_id.as_bytes(), &signature].concat()),
            BASE64.encode(&global_signature),
        );
        Self { text, prehashed: true, key_id, signature, comment, global_signature }
    }

    /// The text as it was read or made.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id of the key that the signature *says* it is by. Unsigned: good for looking a key up and
    /// for a message, not for a decision.
    pub fn claimed_key_id(&self) -> KeyId {
        self.key_id
    }

    /// Whether the signature is over the BLAKE2b digest of the bytes, and not in minisign's legacy format.
    pub(crate) fn is_prehashed(&self) -> bool {
        self.prehashed
    }

    /// The signature over the prehash.
    pub(crate) fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        &self.signature
    }

    /// The comment, and the signature over the other signature and the comment.
    pub(crate) fn comment(&self) -> (&str, &[u8; SIGNATURE_BYTES]) {
        (&self.comment, &self.global_signature)
    }
}

/// What the second signature is over, so that neither the first one nor the comment can be exchanged.
pub(crate) fn covered_by_global(signature: &[u8; SIGNATURE_BYTES], comment: &str) -> Vec<u8> {
    [signature.as_slice(), comment.as_bytes()].concat()
}

fn decode_signature(line: &str) -> Option<([u8; 2], KeyId, [u8; SIGNATURE_BYTES])> {
    let bytes = decode(line).ok()?;
    let (algorithm, rest) = bytes.split_first_chunk()?;
    let (key_id, signature) = rest.split_first_chunk()?;
    Some((*algorithm, KeyId::from_bytes(*key_id), signature.try_into().ok()?))
}

fn decode(line: &str) -> Result<Vec<u8>, MinisigError> {
    BASE64.decode(line.as_bytes()).map_err(|_| MinisigError::Malformed)
}

impl fmt::Debug for Minisig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Minisig(claims {})", self.key_id)
    }
}

impl Serialize for Minisig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Minisig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A comment fit to be signed: one line, no control characters, 1 to 1024 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedComment(String);

/// Why a comment cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedCommentError {
    /// There is nothing in it.
    #[error("cannot sign an empty trusted comment: say what is signed")]
    Empty,
    /// More than 1024 bytes.
    #[error("cannot sign a trusted comment of {length} bytes: the limit is 1024")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A newline would end the signed line early; other control characters forge what a person reads.
    #[error("cannot sign a trusted comment with a newline or another control character: remove it")]
    ControlCharacter,
}

impl TrustedComment {
    /// Checks a comment before anything is signed with it.
    ///
    /// # Errors
    /// An empty, long or multi-line comment, or one with control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, TrustedCommentError> {
        let text = text.into();
        if text.is_empty() {
            return Err(TrustedCommentError::Empty);
        }
        if text.len() > MAX_COMMENT_BYTES {
            return Err(TrustedCommentError::TooLong { length: text.len() });
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(TrustedCommentError::ControlCharacter);
        }
        Ok(Self(text))
    }

    /// The comment as it will be signed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "untrusted comment: signature from minisign secret key\n\
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
trusted comment: timestamp:1556193335\tfile:test\n\
y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";

    #[test]
    fn a_signature_keeps_its_text_and_claims_its_key() {
        let minisig = Minisig::parse(GOOD).unwrap();
        assert_eq!(minisig.as_str(), GOOD);
        assert_eq!(minisig.claimed_key_id().to_string(), "E7620F1842B4E81F");
        let json = serde_json::to_string(&minisig).unwrap();
        assert_eq!(serde_json::from_str::<Minisig>(&json).unwrap().as_str(), GOOD);
    }

    #[test]
    fn no_cut_of_a_signature_and_no_flipped_byte_panics_the_reader() {
        for end in 0..GOOD.len() {
            drop(Minisig::parse(&GOOD[..end]));
            let mut bytes = GOOD.as_bytes().to_vec();
            bytes[end] ^= 0x15;
            drop(Minisig::parse(&String::from_utf8_lossy(&bytes)));
        }
        assert!(Minisig::parse("").is_err());
        assert!(Minisig::parse(&format!("{GOOD}a fifth line\n")).is_err());
        assert!(Minisig::parse(&format!("{GOOD}{}", "\n".repeat(5000))).is_err());
    }

    #[test]
    fn a_comment_that_would_not_survive_as_one_line_is_not_signed() {
        for wrong in ["", "a\nb", "a\rb", "a\tb", "a\0", "a\u{2028}b", "a\u{7f}", &"x".repeat(1025)] {
            assert!(TrustedComment::new(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(TrustedComment::new("x".repeat(1024)).unwrap().as_str().len(), 1024);
    }
}
