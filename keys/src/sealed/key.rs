//! Keys that documents are sealed for: X25519, made here, wiped when dropped, kept in files of mode 0600.
//!
//! Left out on purpose: signing with them (a [`SigningKey`](crate::SigningKey) is another key, also when one party holds
//! both), and encrypted key files: who opens documents is a program that runs unattended.
//!
//! A key file, format 2, is three lines of text, each with its line end: `sealpost-sealing-key 2`, then `secret ` and
//! the secret in base64, then `public ` and the public key in base64. The two keys check each other.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::{digest, rand};
use data_encoding::{BASE64, HEXLOWER};
use sealpost_files::PRIVATE;
use zeroize::Zeroizing;

use crate::key_file::{KeyFileError, read_bounded, write_new};
use crate::private_file::PrivateFile;
use crate::serde_text::serde_text;

const KEY_BYTES: usize = 32;
const FIRST_LINE: &str = "sealpost-sealing-key 2";
const SECRET_LABEL: &str = "secret ";
const PUBLIC_LABEL: &str = "public ";

/// An X25519 key pair that opens sealed documents. The secret is wiped on drop; `Debug` shows only the key id.
pub struct SealingKey {
    secret: Zeroizing<[u8; KEY_BYTES]>,
    public: SealingPublicKey,
}

/// Why a sealing key could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeyError {
    /// The operating system gave no randomness.
    #[error("cannot make a sealing key: the operating system's generator failed; try again")]
    Randomness,
    /// The library did not take the secret.
    #[error("cannot build a sealing key from its secret; restore it from a backup")]
    Secret,
}

impl SealingKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn generate() -> Result<Self, SealingKeyError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(&mut *secret).map_err(|_| SealingKeyError::Randomness)?;
        Self::from_bytes(secret)
    }

    /// The key of this X25519 secret, 32 bytes in the order of RFC 7748.
    ///
    /// # Errors
    /// When the library refuses the secret, for lack of memory.
    pub fn from_bytes(secret: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, SealingKeyError> {
        let public = PrivateKey::from_private_key(&X25519, &*secret)
            .ok()
            .and_then(|pair| pair.compute_public_key().ok())
            .and_then(|public| public.as_ref().try_into().ok())
            .ok_or(SealingKeyError::Secret)?;
        Ok(Self { secret, public: SealingPublicKey(public) })
    }

    /// The 32 bytes of the secret, for whoever stores or moves it.
    pub fn to_bytes(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.secret.clone()
    }

    /// What others seal for.
    pub fn public(&self) -> SealingPublicKey {
        self.public
    }

    /// Writes a new key file with mode 0600, flushed together with its name.
    ///
    /// # Errors
    /// When the file exists already or cannot be written; nothing is left behind then.
    pub fn write_file(&self, path: &Path) -> Result<(), KeyFileError> {
        let secret = Zeroizing::new(BASE64.encode(&*self.secret));
        let text = Zeroizing::new(format!(
            "{FIRST_LINE}\n{SECRET_LABEL}{}\n{PUBLIC_LABEL}{}\n",
            *secret, self.public
        ));
        write_new(path, text.as_bytes(), PRIVATE)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// A file that cannot be read, that others can read, or that is not a whole sealing key.
    pub fn read_file(path: &Path) -> Result<Self, KeyFileError> {
        let fail = |source| KeyFileError::Read { path: path.to_owned(), source };
        let file = match PrivateFile::open(path).map_err(fail)? {
            PrivateFile::Private(file) => file,
            PrivateFile::Exposed { mode } => {
                return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
            }
        };
        let text = read_bounded(&file).map_err(fail)?.map(Zeroizing::new);
        text.and_then(|text| Self::from_file_text(&text))
            .ok_or_else(|| KeyFileError::NotASealingKey { path: path.to_owned() })
    }

    fn from_file_text(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let (secret, rest) = rest.strip_prefix(SECRET_LABEL)?.split_once('\n')?;
        let (public, rest) = rest.strip_prefix(PUBLIC_LABEL)?.split_once('\n')?;
        let secret = Zeroizing::new(BASE64.decode(secret.as_bytes()).ok()?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if first != FIRST_LINE || !rest.is_empty() || secret.len() != bytes.len() {
            return None;
        }
        bytes.copy_from_slice(&secret);
        Self::from_bytes(bytes).ok().filter(|key| key.public.to_string() == public)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({}, secret not shown)", self.public.key_id())
    }
}

/// The public half of a [`SealingKey`]: 32 bytes, as text 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingPublicKey([u8; KEY_BYTES]);

/// Why a text is no public sealing key, or no id of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeyTextError {
    /// Not 32 bytes in base64.
    #[error("cannot read a sealing key: expected 44 characters of base64")]
    Key,
    /// Not 8 bytes in hex.
    #[error("cannot read the id of a sealing key: expected 16 lower-case hex digits")]
    KeyId,
}

impl SealingPublicKey {
    /// The key of these 32 bytes, in the order of RFC 7748. Bytes that are no usable key are refused when something is
    /// sealed for them.
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key itself, as X25519 takes it.
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The id by which people and headers name this key.
    pub fn key_id(&self) -> SealingKeyId {
        let digest = digest::digest(&digest::SHA256, &self.0);
        let mut id = [0; 8];
        for (byte, of_digest) in id.iter_mut().zip(digest.as_ref()) {
            *byte = *of_digest;
        }
        SealingKeyId(id)
    }
}

impl fmt::Display for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublicKey({self})")
    }
}

impl FromStr for SealingPublicKey {
    type Err = SealingKeyTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 44 {
            return Err(SealingKeyTextError::Key);
        }
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| SealingKeyTextError::Key)?;
        bytes.try_into().map(Self).map_err(|_| SealingKeyTextError::Key)
    }
}

serde_text!(SealingPublicKey);

/// Names a sealing key: the first 8 bytes of the SHA-256 of the public key, shown as 16 lower-case hex digits.
///
/// Enough to find the right key, and no proof: somebody can make two keys of one id. HPKE itself binds what is sealed to
/// the whole key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingKeyId([u8; 8]);

impl SealingKeyId {
    pub(super) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeyId({self})")
    }
}

impl FromStr for SealingKeyId {
    type Err = SealingKeyTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 16 {
            return Err(SealingKeyTextError::KeyId);
        }
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| SealingKeyTextError::KeyId)?;
        bytes.try_into().map(Self).map_err(|_| SealingKeyTextError::KeyId)
    }
}

serde_text!(SealingKeyId);
