//! Signed notes (`c2sp.org/signed-note`): a text, and signatures over exactly this text.
//!
//! The heads of transparency logs travel in this format, so that tools which are not ours can check and cosign them.
//! Invariant: a note's text comes out only inside a [`Verified`], after a signature by the expected key. Lines of
//! other keys are passed over, as the format demands; a line that claims the expected key and does not verify refuses
//! the whole note.
//! Left out on purpose: signature types other than plain Ed25519 (cosignatures have types of their own), and a text
//! form of secret keys: a [`LogKey`] is stored in a key file like every other secret ([`crate::key_file`]).

mod key;

use std::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ed25519::{SIGNATURE_BYTES, VerifyingKey};
use crate::verified::Verified;
use key::{KEY_ID_BYTES, is_key_name};

pub use key::{LogKey, LogPublicKey, NoteKeyError};

/// Longest note that is read, in bytes: room for the most signatures, each of the largest kind in use (ML-DSA, about
/// 6.2 KiB in base64), and a text.
pub const MAX_NOTE_BYTES: usize = 128 * 1024;
/// Most signatures on a note. The format asks every reader to accept as many.
pub const MAX_NOTE_SIGNATURES: usize = 16;
/// What a signature line begins with: an em dash and a space.
const LINE_PREFIX: &str = "\u{2014} ";

/// A note that was read and not verified. It can only be verified, or passed on as it is.
///
/// It has no equality on purpose: others may add signature lines, so nothing may be keyed on its bytes.
#[derive(Clone)]
pub struct SignedNote(String);

/// Why a text is no note, or a note is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Longer than any note.
    #[error("a signed note of {bytes} bytes is over the limit of {MAX_NOTE_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More signatures than are ever looked at.
    #[error("{found} signatures on one note: at most {MAX_NOTE_SIGNATURES} are looked at")]
    TooManySignatures {
        /// How many there are.
        found: usize,
    },
    /// Control characters forge what a person reads; the format forbids them.
    #[error("a signed note holds a control character other than a newline")]
    ControlCharacter,
    /// Not a text, an empty line and signature lines.
    #[error("cannot read a signed note: expected a text, an empty line and signature lines")]
    Malformed,
    /// The text cannot be signed as a note.
    #[error("cannot sign a text as a note: it has to end with a newline")]
    NoFinalNewline,
    /// The expected key made no signature on it.
    #[error("the note is not signed by the key {expected}")]
    NotSigned {
        /// The key that was expected, as text.
        expected: String,
    },
    /// The text or the signature was changed, or another key made it.
    #[error("the note's signature by the key {expected} does not match: its text was changed")]
    BadSignature {
        /// The key that was expected, as text.
        expected: String,
    },
}

impl SignedNote {
    /// Signs a text, which ends with a newline and holds no other control character.
    ///
    /// # Errors
    /// When the text is no text of a note, or too long for one.
    pub fn sign(text: &str, key: &LogKey) -> Result<Self, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::NoFinalNewline);
        }
        let public = key.public();
        let signature = [public.key_id().as_slice(), &key.sign(text.as_bytes())].concat();
        let line = format!("{LINE_PREFIX}{} {}", public.name(), BASE64.encode(&signature));
        Self::parse(&format!("{text}\n{line}\n"))
    }

    /// Reads a note; nothing is verified.
    ///
    /// # Errors
    /// A text that is too long, has too many signatures, or is no note.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let (_, lines) = split(note)?;
        if lines.iter().any(|line| SignatureLine::parse(line).is_none()) {
            return Err(NoteError::Malformed);
        }
        Ok(Self(note.to_owned()))
    }

    /// The text of the note, if this key signed it.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`] without a signature by this key; [`NoteError::BadSignature`] if there is one that does
    /// not match, even beside one that does.
    pub fn verify(&self, key: &LogPublicKey) -> Result<Verified<String>, NoteError> {
        let (text, lines) = split(&self.0)?;
        let expected = || key.to_string();
        let verifying = VerifyingKey::new(&key.ed25519_bytes());
        let mut is_signed = false;
        for line in lines {
            let line = SignatureLine::parse(line).ok_or(NoteError::Malformed)?;
            if line.name != key.name() || line.key_id != key.key_id() {
                continue;
            }
            let signature = <&[u8; SIGNATURE_BYTES]>::try_from(line.signature.as_slice()).ok();
            is_signed = verifying
                .as_ref()
                .zip(signature)
                .is_some_and(|(verifying, signature)| verifying.verifies(text.as_bytes(), signature));
            if !is_signed {
                return Err(NoteError::BadSignature { expected: expected() });
            }
        }
        if !is_signed {
            return Err(NoteError::NotSigned { expected: expected() });
        }
        Ok(Verified::new(text.to_owned()))
    }

    /// The whole note as it was read or made, for sending and storing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedNote(unverified)")
    }
}

impl Serialize for SignedNote {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SignedNote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The signed text, with its final newline, and the signature lines.
fn split(note: &str) -> Result<(&str, Vec<&str>), NoteError> {
    if note.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong { bytes: note.len() });
    }
    if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::ControlCharacter);
    }
    // The text may hold empty lines itself: the last one ends it.
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, rest) = note.split_at(end + 1);
    let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
    let lines = lines.ok_or(NoteError::Malformed)?;
    let found = lines.split('\n').count();
    if found > MAX_NOTE_SIGNATURES {
        return Err(NoteError::TooManySignatures { found });
    }
    Ok((text, lines.split('\n').collect()))
}

/// What a signature line claims.
struct SignatureLine<'a> {
    name: &'a str,
    key_id: [u8; KEY_ID_BYTES],
    signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(LINE_PREFIX)?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<KEY_ID_BYTES>()?;
        let signature = signature.to_vec();
        (!signature.is_empty()).then_some(Self { name, key_id: *key_id, signature })
    }
}

#[cfg(test)]
mod tests;
