//! Key files in minisign's format, so that keys can be moved to and from that tool.
//!
//! Invariants: a secret file is written whole or not at all, with mode 0600, and never over another
//! file; a secret file that others can read is refused. The crate `minisign` does the encryption. It
//! wipes less than this crate does (a copy of a passphrase stays in freed memory); that is why keys
//! which sign often are read once and held as [`SigningKey`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use minisign::{KeyPair, SecretKey, SecretKeyBox};
use sealpost_files::{PRIVATE, PUBLIC, open_regular};
use zeroize::Zeroizing;

use crate::key_id::KeyId;
use crate::passphrase::{Passphrase, PassphraseError, PassphraseSource};
use crate::private_file::PrivateFile;
use crate::public_key::{MAX_FILE_BYTES, PublicKey, PublicKeyError};
use crate::signer::{KeyError, SigningKey};

/// Algorithms, salt and scrypt limits at the head of an encoded secret key.
const HEAD_BYTES: usize = 2 + 2 + 2 + 32 + 8 + 8;
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 64;
const CHECKSUM_BYTES: usize = 32;
/// The part that a passphrase hides: id, secret and checksum.
const BODY_BYTES: usize = ID_BYTES + SECRET_BYTES + CHECKSUM_BYTES;
/// How an unencrypted key names its key derivation.
const NO_ENCRYPTION: &[u8] = &[0, 0];

/// Why a key file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file could not be read.
    #[error("cannot read the key file {}: check that it exists and that you may read it", path.display())]
    Read {
        /// Path of the key file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the key file {}: check the folder and its free space", path.display())]
    Write {
        /// Path of the key file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key file is never overwritten.
    #[error("cannot write the key file {}: it exists already; move it away first", path.display())]
    Exists {
        /// Path of the key file.
        path: PathBuf,
    },
    /// Others can read the secret.
    #[error("cannot use the key file {}: others can read it (mode {mode:03o}); run `chmod 600` on it, or replace the key", path.display())]
    Exposed {
        /// Path of the key file.
        path: PathBuf,
        /// Permission bits of the file, such as `0o644`.
        mode: u32,
    },
    /// Not a minisign secret key.
    #[error("cannot use the key file {}: it is not a whole minisign secret key; restore it from a backup", path.display())]
    NotASecretKey {
        /// Path of the key file.
        path: PathBuf,
    },
    /// Not a sealing key.
    #[error("cannot use the key file {}: it is not a whole sealing key; restore it from a backup", path.display())]
    NotASealingKey {
        /// Path of the key file.
        path: PathBuf,
    },
    /// Encrypted, and no passphrase was given.
    #[error("cannot open the key file {}: it is encrypted; say where its passphrase is (prompt, file or environment)", path.display())]
    PassphraseNeeded {
        /// Path of the key file.
        path: PathBuf,
    },
    /// The passphrase is not the right one, or the file is damaged.
    #[error("cannot open the key file {}: wrong passphrase, or the file is damaged", path.display())]
    WrongPassphrase {
        /// Path of the key file.
        path: PathBuf,
    },
    /// No passphrase could be had.
    #[error("cannot open the key file {}", path.display())]
    Passphrase {
        /// Path of the key file.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: PassphraseError,
    },
    /// The key inside is not a usable key.
    #[error("cannot use the key in {}", path.display())]
    Key {
        /// Path of the key file.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: KeyError,
    },
    /// The public key inside cannot be read.
    #[error("cannot use the public key file {}", path.display())]
    PublicKey {
        /// Path of the key file.
        path: PathBuf,
        /// Why it cannot be used.
        #[source]
        source: PublicKeyError,
    },
    /// The key could not be encrypted, most likely for lack of memory.
    #[error("cannot encrypt the key for {}: is there enough memory (32 MiB)?", path.display())]
    Encrypt {
        /// Path of the key file.
        path: PathBuf,
    },
}

/// Writes a secret key, encrypted if there is a passphrase. Takes about a second to encrypt.
///
/// # Errors
/// When the file exists already or cannot be written; nothing is left behind then.
pub fn write_secret(
    path: &Path,
    key: &SigningKey,
    passphrase: Option<&Passphrase>,
) -> Result<(), KeyFileError> {
    let encoded =
        encode(key, passphrase).map_err(|EncodeError| KeyFileError::Encrypt { path: path.to_owned() })?;
    let kind = if passphrase.is_some() { "encrypted" } else { "unencrypted" };
    let id = key.public().id();
    let text = Zeroizing::new(format!("untrusted comment: minisign {kind} secret key {id}\n{}\n", *encoded));
    write_new(path, text.as_bytes(), PRIVATE)
}

/// Reads a secret key. The source is asked only if the key is encrypted.
///
/// # Errors
/// A file that others can read, that is not a key, or that the passphrase does not open.
pub fn read_secret(path: &Path, source: &PassphraseSource) -> Result<SigningKey, KeyFileError> {
    open_secret(path, || {
        source
            .obtain(&format!("the key file {}", path.display()))
            .map_err(|source| KeyFileError::Passphrase { path: path.to_owned(), source })
    })
}

/// Reads a secret key with a passphrase that is at hand already, for commands that open several keys.
///
/// # Errors
/// As [`read_secret`]; [`KeyFileError::PassphraseNeeded`] if the key is encrypted and there is no passphrase.
pub fn read_secret_with(path: &Path, passphrase: Option<&Passphrase>) -> Result<SigningKey, KeyFileError> {
    open_secret(path, || Ok(passphrase.cloned()))
}

fn open_secret(
    path: &Path,
    passphrase: impl FnOnce() -> Result<Option<Passphrase>, KeyFileError>,
) -> Result<SigningKey, KeyFileError> {
    let fail = |source| KeyFileError::Read { path: path.to_owned(), source };
    let not_a_key = || KeyFileError::NotASecretKey { path: path.to_owned() };
    let file = match PrivateFile::open(path).map_err(fail)? {
        PrivateFile::Private(file) => file,
        PrivateFile::Exposed { mode } => return Err(KeyFileError::Exposed { path: path.to_owned(), mode }),
    };
    let text = Zeroizing::new(read_bounded(&file).map_err(fail)?.ok_or_else(not_a_key)?);
    let encoded = text.lines().nth(1).ok_or_else(not_a_key)?;
    let bytes = Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| not_a_key())?);
    if bytes.len() != HEAD_BYTES + BODY_BYTES || !bytes.starts_with(b"Ed") {
        return Err(not_a_key());
    }
    let opened = if bytes.get(2..4) == Some(NO_ENCRYPTION) {
        bytes
    } else {
        let passphrase =
            passphrase()?.ok_or_else(|| KeyFileError::PassphraseNeeded { path: path.to_owned() })?;
        let opened = SecretKeyBox::from(text.to_string())
            .into_secret_key(Some(passphrase.as_str().to_owned()))
            .map_err(|_| KeyFileError::WrongPassphrase { path: path.to_owned() })?;
        Zeroizing::new(opened.to_bytes())
    };
    let body = opened.get(HEAD_BYTES..).ok_or_else(not_a_key)?;
    let (id, secret) = body.split_first_chunk::<ID_BYTES>().ok_or_else(not_a_key)?;
    let (secret, sum) = secret.split_first_chunk::<SECRET_BYTES>().ok_or_else(not_a_key)?;
    // minisign leaves the checksum of an unencrypted key zero; the two halves of the key check each other.
    if sum != [0; CHECKSUM_BYTES]
        && sum != checksum(b"Ed", body.get(..ID_BYTES + SECRET_BYTES).unwrap_or_default())
    {
        return Err(not_a_key());
    }
    SigningKey::from_secret_bytes(KeyId::from_bytes(*id), secret)
        .map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

/// Writes a public key, readable by everyone.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn write_public(path: &Path, key: &PublicKey) -> Result<(), KeyFileError> {
    let text = key.to_file_text(&format!("minisign public key {}", key.id()));
    write_new(path, text.as_bytes(), PUBLIC)
}

/// Reads a public key file.
///
/// # Errors
/// A file that cannot be read or holds no public key.
pub fn read_public(path: &Path) -> Result<PublicKey, KeyFileError> {
    let fail = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = open_regular(path).map_err(fail)?;
    let text = read_bounded(&file).map_err(fail)?.unwrap_or_default();
    PublicKey::from_file_text(&text)
        .map_err(|source| KeyFileError::PublicKey { path: path.to_owned(), source })
}

/// The text of a file of at most 4 KiB, or nothing if it is longer or not text.
pub(crate) fn read_bounded(file: &File) -> io::Result<Option<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    file.take(u64::try_from(MAX_FILE_BYTES + 1).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Ok(None);
    }
    Ok(std::str::from_utf8(&bytes).ok().map(str::to_owned))
}

struct EncodeError;

/// The base64 line of a secret key file.
///
/// The crate encrypts only keys that it made itself. So it makes and encrypts one, and opens it again:
/// the difference of the two is scrypt's key stream under a fresh salt. That key is thrown away
/// unused, and the stream hides ours.
fn encode(key: &SigningKey, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>, EncodeError> {
    let (made, opened) = match passphrase {
        None => {
            let pair = KeyPair::generate_unencrypted_keypair().map_err(|_| EncodeError)?;
            let bytes = Zeroizing::new(pair.sk.to_bytes());
            (bytes.clone(), bytes)
        }
        Some(passphrase) => {
            let phrase = || Some(passphrase.as_str().to_owned());
            let pair = KeyPair::generate_encrypted_keypair(phrase()).map_err(|_| EncodeError)?;
            let boxed = pair.sk.to_box(None).map_err(|_| EncodeError)?;
            let opened: SecretKey = boxed.into_secret_key(phrase()).map_err(|_| EncodeError)?;
            (Zeroizing::new(pair.sk.to_bytes()), Zeroizing::new(opened.to_bytes()))
        }
    };
    let head = made.get(..HEAD_BYTES).ok_or(EncodeError)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES + BODY_BYTES));
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(key.public().id().as_bytes());
    bytes.extend_from_slice(&*key.secret_bytes());
    let sum = checksum(bytes.get(..2).ok_or(EncodeError)?, bytes.get(HEAD_BYTES..).ok_or(EncodeError)?);
    bytes.extend_from_slice(&sum);
    if bytes.len() != made.len() || made.len() != opened.len() {
        return Err(EncodeError);
    }
    for (byte, (made, opened)) in bytes.iter_mut().zip(made.iter().zip(opened.iter())).skip(HEAD_BYTES) {
        *byte ^= made ^ opened;
    }
    Ok(Zeroizing::new(BASE64.encode(&bytes)))
}

/// What a minisign key file checks a passphrase by: 32-byte BLAKE2b over algorithm, id and secret.
fn checksum(algorithm: &[u8], id_and_secret: &[u8]) -> [u8; CHECKSUM_BYTES] {
    use blake2::digest::{Digest, consts::U32};
    blake2::Blake2b::<U32>::new().chain_update(algorithm).chain_update(id_and_secret).finalize().into()
}

pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    sealpost_files::write_new(path, bytes, mode).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    })
}
