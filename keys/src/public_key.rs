//! Public keys in minisign's format: the `RW…` line, and the two-line file around it.
//!
//! Only the algorithm, the id and the 32 key bytes count; the comment in a file is unsigned, is not
//! kept, and nothing is decided on it.

use std::fmt;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};

use crate::key_id::KeyId;
use crate::serde_text::serde_text;

/// Characters of an encoded key: 2 bytes algorithm, 8 bytes id, 32 bytes key.
const ENCODED_CHARS: usize = 56;
/// Longest accepted key file; a real one has about 110 bytes.
pub(crate) const MAX_FILE_BYTES: usize = 4096;
const COMMENT_PREFIX: &str = "untrusted comment: ";
const ALGORITHM: &[u8; 2] = b"Ed";

/// An Ed25519 public key and its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    id: KeyId,
    ed25519: [u8; 32],
}

/// Why a text is not a public key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// The text is not 56 base64 characters of an Ed25519 key.
    #[error("cannot read a public key: expected the 56 characters that minisign prints, beginning with RW")]
    Encoding,
    /// A key file that is not a comment line and a key line.
    #[error("cannot read a public key file: expected a comment line and a key line; give the .pub file")]
    FileShape,
}

impl PublicKey {
    /// The key of these 32 bytes under this id.
    pub fn new(id: KeyId, ed25519: [u8; 32]) -> Self {
        Self { id, ed25519 }
    }

    /// Reads the `RW…` line.
    ///
    /// # Errors
    /// Anything that is not exactly one Ed25519 key in minisign's encoding.
    pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
        if text.len() != ENCODED_CHARS {
            return Err(PublicKeyError::Encoding);
        }
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| PublicKeyError::Encoding)?;
        let (algorithm, rest) = bytes.split_first_chunk::<2>().ok_or(PublicKeyError::Encoding)?;
        let (id, key) = rest.split_first_chunk::<8>().ok_or(PublicKeyError::Encoding)?;
        if algorithm != ALGORITHM {
            return Err(PublicKeyError::Encoding);
        }
        let ed25519 = key.try_into().map_err(|_| PublicKeyError::Encoding)?;
        Ok(Self { id: KeyId::from_bytes(*id), ed25519 })
    }

    /// Reads a `.pub` file's text: an ignored comment line, then the key line.
    ///
    /// # Errors
    /// A text of another shape, longer than 4 KiB, or with another kind of key.
    pub fn from_file_text(text: &str) -> Result<Self, PublicKeyError> {
        if text.len() > MAX_FILE_BYTES {
            return Err(PublicKeyError::FileShape);
        }
        let mut lines = text.lines();
        let comment = lines.next().ok_or(PublicKeyError::FileShape)?;
        let key = lines.next().ok_or(PublicKeyError::FileShape)?;
        if !comment.starts_with(COMMENT_PREFIX) || lines.any(|line| !line.trim().is_empty()) {
            return Err(PublicKeyError::FileShape);
        }
        Self::from_base64(key.trim_end())
    }

    /// The `RW…` line that minisign prints.
    pub fn to_base64(&self) -> String {
        let mut bytes = Vec::with_capacity(42);
        bytes.extend_from_slice(ALGORITHM);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.ed25519);
        BASE64.encode(&bytes)
    }

    /// A `.pub` file's text with this comment; control characters in it become spaces.
    pub fn to_file_text(&self, comment: &str) -> String {
        let comment = comment.replace(char::is_control, " ");
        format!("{COMMENT_PREFIX}{comment}\n{}\n", self.to_base64())
    }

    /// The id by which signatures name this key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The 32 bytes of the Ed25519 key.
    pub fn ed25519_bytes(&self) -> [u8; 32] {
        self.ed25519
    }

    /// SHA-256 of the 32 key bytes, in lower-case hex: what a person compares.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.digest())
    }

    /// SHA-256 of the 32 key bytes.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.ed25519);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl std::str::FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_base64(text)
    }
}

serde_text!(PublicKey);

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_reads_back_as_it_was_written_alone_in_a_file_and_in_json() {
        let key = PublicKey::from_base64(LINE).unwrap();
        assert_eq!(key.to_base64(), LINE);
        assert_eq!(key.id().to_string(), "E7620F1842B4E81F");
        assert_eq!(PublicKey::from_file_text(&key.to_file_text("two\nlines")).unwrap(), key);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
        assert_eq!(key.fingerprint().len(), 64);
    }

    #[test]
    fn a_text_that_is_not_exactly_one_ed25519_key_is_refused() {
        let prehashed_algorithm = LINE.replacen("RWQ", "RUQ", 1);
        for wrong in ["", "RWQ", &LINE[1..], &format!("{LINE}="), &prehashed_algorithm, &format!(" {LINE}")] {
            assert!(PublicKey::from_base64(wrong).is_err(), "{wrong}");
        }
        for wrong in [LINE, "comment\nRW", &format!("untrusted comment: a\n{LINE}\nmore\n")] {
            assert!(PublicKey::from_file_text(wrong).is_err(), "{wrong}");
        }
    }
}
