//! The keys of signed notes: a name, and an Ed25519 key that speaks under it.
//!
//! Invariant: a [`LogPublicKey`] has a name that fits a signature line, and key bytes that strict verification does
//! not refuse from the start. Its four-byte id is computed and never taken from a text.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::{BASE64, HEXLOWER};

use crate::ed25519::{POINT_BYTES, SIGNATURE_BYTES, VerifyingKey};
use crate::serde_text::serde_text;
use crate::signer::{KeyError, SigningKey};

/// Bytes of the id by which a signature line names its key.
pub(super) const KEY_ID_BYTES: usize = 4;
/// Longest key name, in bytes: cosignatures store a name behind a length of one byte.
const MAX_NAME_BYTES: usize = 255;
/// How the format numbers plain Ed25519 signatures.
const ED25519_TYPE: u8 = 0x01;
/// Longest text of a verifier key: name, `+`, id in hex, `+`, base64 of 33 bytes.
const MAX_TEXT_BYTES: usize = MAX_NAME_BYTES + 1 + 2 * KEY_ID_BYTES + 1 + 44;

/// The public half of a log's key. Its text is the format's verifier key: `name+id in hex+base64 of type and key`.
#[derive(Clone, PartialEq, Eq)]
pub struct LogPublicKey {
    name: String,
    key_id: [u8; KEY_ID_BYTES],
    ed25519: [u8; POINT_BYTES],
}

/// The secret key by which a log signs its heads. A key of its own: it signs nothing but notes.
pub struct LogKey {
    key: SigningKey,
    public: LogPublicKey,
}

/// Why a key of notes cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoteKeyError {
    /// The name would not survive in a signature line.
    #[error(
        "cannot use {name:?} as the name of a log key: use 1 to 255 bytes without spaces, '+' and control characters"
    )]
    Name {
        /// The name, cut to 80 characters.
        name: String,
    },
    /// Not the text of a verifier key.
    #[error("cannot read a log key: expected its name, its id and an Ed25519 key, separated by '+'")]
    Encoding,
    /// The id in the text is that of another name or key.
    #[error("the log key of {name} does not belong to the id that stands in it: copy the whole key again")]
    OtherId {
        /// The name in the text.
        name: String,
    },
    /// A key under which anybody can sign, or in a second encoding.
    #[error("the log key of {name} is refused: its bytes are no sound Ed25519 key")]
    Unsound {
        /// The name in the text.
        name: String,
    },
    /// The key could not be made.
    #[error("cannot make a log key")]
    Generate(#[source] KeyError),
}

impl LogPublicKey {
    /// The key of these 32 bytes under this name.
    ///
    /// # Errors
    /// A name that does not fit a signature line, or bytes that strict Ed25519 verification refuses.
    pub fn new(name: &str, ed25519: [u8; POINT_BYTES]) -> Result<Self, NoteKeyError> {
        if !is_key_name(name) {
            return Err(NoteKeyError::Name { name: name.chars().take(80).collect() });
        }
        let name = name.to_owned();
        if VerifyingKey::new(&ed25519).is_none() {
            return Err(NoteKeyError::Unsound { name });
        }
        Ok(Self { key_id: key_id(&name, &ed25519), name, ed25519 })
    }

    /// The name: by which a signature line names the key, and the origin of the log that it signs for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, newline, type and key. A hint, never a proof: it can be made to
    /// collide.
    pub fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        self.key_id
    }

    /// The 32 bytes of the Ed25519 key.
    pub fn ed25519_bytes(&self) -> [u8; POINT_BYTES] {
        self.ed25519
    }
}

impl FromStr for LogPublicKey {
    type Err = NoteKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NoteKeyError::Encoding);
        }
        // The name holds no '+', the base64 may.
        let (name, rest) = text.split_once('+').ok_or(NoteKeyError::Encoding)?;
        let (id, encoded) = rest.split_once('+').ok_or(NoteKeyError::Encoding)?;
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| NoteKeyError::Encoding)?;
        let (&[ED25519_TYPE], ed25519) = bytes.split_first_chunk().ok_or(NoteKeyError::Encoding)? else {
            return Err(NoteKeyError::Encoding);
        };
        let key = Self::new(name, ed25519.try_into().map_err(|_| NoteKeyError::Encoding)?)?;
        if id != HEXLOWER.encode(&key.key_id) {
            return Err(NoteKeyError::OtherId { name: key.name });
        }
        Ok(key)
    }
}

impl fmt::Display for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [[ED25519_TYPE].as_slice(), &self.ed25519].concat();
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.key_id), BASE64.encode(&key))
    }
}

impl fmt::Debug for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogPublicKey({self})")
    }
}

serde_text!(LogPublicKey);

impl LogKey {
    /// A new key under this name.
    ///
    /// # Errors
    /// A name that does not fit a signature line, or no randomness.
    pub fn generate(name: &str) -> Result<Self, NoteKeyError> {
        Self::new(name, SigningKey::generate().map_err(NoteKeyError::Generate)?)
    }

    /// The key that was read from a key file, under this name.
    ///
    /// # Errors
    /// A name that does not fit a signature line.
    pub fn new(name: &str, key: SigningKey) -> Result<Self, NoteKeyError> {
        let public = LogPublicKey::new(name, key.public().ed25519_bytes())?;
        Ok(Self { key, public })
    }

    /// What [`crate::key_file::write_secret`] stores. The name is not part of the file.
    pub fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// The public half, under the same name.
    pub fn public(&self) -> &LogPublicKey {
        &self.public
    }

    pub(super) fn sign(&self, text: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.key.sign_raw(text)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({}, secret not shown)", self.public)
    }
}

/// Whether a text can be the name of a key: neither empty nor long, no white space of Unicode, no `+`, nothing that
/// controls a terminal.
pub(super) fn is_key_name(text: &str) -> bool {
    let is_plain =
        |character: char| !character.is_whitespace() && !character.is_control() && character != '+';
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.chars().all(is_plain)
}

fn key_id(name: &str, ed25519: &[u8; POINT_BYTES]) -> [u8; KEY_ID_BYTES] {
    let mut hasher = digest::Context::new(&digest::SHA256);
    hasher.update(name.as_bytes());
    hasher.update(&[b'\n', ED25519_TYPE]);
    hasher.update(ed25519);
    let mut id = [0; KEY_ID_BYTES];
    for (byte, hashed) in id.iter_mut().zip(hasher.finish().as_ref()) {
        *byte = *hashed;
    }
    id
}
