//! Sealed documents: bytes that only the holder of one [`SealingKey`] can read.
//!
//! Sealing hides, it does not say who speaks: everybody who knows the public key can seal. So callers **sign first, then
//! seal, and name the recipient inside the signed bytes**; otherwise a recipient could seal the same signed bytes again
//! for a third party, who would take them as addressed to it. [`open`] returns the signed bytes; they are hostile until
//! their signature is verified.
//!
//! Invariants: nothing is decrypted before the length is known to be within the caller's bound, and the caller gets
//! nothing before the last chunk has verified. A document that was cut, extended, reordered or changed, that was sealed
//! for another key, or as another document, is refused whole.
//! Left out on purpose: signatures, the documents' types, and opening piece by piece. A caller that could see the
//! first chunk would parse it before the last one is known to be there.
//!
//! # Format, version 2
//! HPKE of RFC 9180 in base mode, with the suite DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM
//! 0x0002. Numbers are unsigned and big-endian; `‖` joins bytes.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | the ASCII letters `SPSEALED` |
//! | 8 | 4 | format version, 2 |
//! | 12 | 8 | key id of the recipient: the first 8 bytes of the SHA-256 of its 32-byte public key |
//! | 20 | 32 | HPKE's encapsulated key (`enc`) |
//! | 52 | the rest | the chunks, one after the other |
//!
//! - The plaintext is cut into chunks of 65,536 bytes; the last one has the rest, 1 to 65,536 bytes. An empty plaintext
//!   is one empty chunk; a last chunk that is empty after others is refused, so that a length has one division only.
//! - Chunk *i*, counted from 0, is HPKE's `Seal` with sequence number *i*, plaintext and tag (16 bytes) together. Its
//!   `aad` is 9 bytes: *i* in 8 bytes ‖ 1 if it is the last chunk, else 0.
//! - `info` is the first 20 bytes of the header ‖ text(document type) ‖ document version in 4 bytes ‖ text(party), where
//!   text(x) is the length of x in bytes, in 8 bytes ‖ x in UTF-8, and *party* is the id of the server or client that
//!   the document belongs to.
//! - The file ends with its last chunk. Which chunk is the last is known from the length of the file.

mod key;
#[cfg(test)]
mod tests;

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkeOpener, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

pub use key::{SealingKey, SealingKeyError, SealingKeyId, SealingKeyTextError, SealingPublicKey};

static SUITE: &dyn Hpke = DH_KEM_X25519_HKDF_SHA256_AES_256;

const MAGIC: &[u8; 8] = b"SPSEALED";
/// 2 as the first, because version 2 is the first of every format of this project that lasts.
const VERSION: u32 = 2;
/// Magic, version and key id: the part of the header that `info` begins with.
const HEAD_BYTES: usize = MAGIC.len() + 4 + 8;
const ENCAPSULATED_BYTES: usize = 32;
/// Plaintext in each chunk but the last.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;

/// What is sealed. Whoever opens says the same, or the document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The type that the document inside names.
    pub document_type: &'a str,
    /// The format version that the document inside names.
    pub document_version: u32,
    /// Id of the server or client that the document belongs to, as text.
    pub party: &'a str,
}

/// Why a document could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot seal a document for key {recipient}: that is no usable X25519 key, or the operating system gave no randomness"
)]
pub struct SealError {
    /// The key that it was to be sealed for.
    pub recipient: SealingKeyId,
}

/// Why a sealed document was not opened. Nothing of it was returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The bytes do not begin as a sealed document does.
    #[error("this is not a sealed document: give the file exactly as it came")]
    NotSealed,
    /// Another format version than 2.
    #[error(
        "the sealed document has format version {found}, this program reads version {VERSION}; use the same release of both programs"
    )]
    OtherVersion {
        /// The version that the header names.
        found: u32,
    },
    /// The caller's bound is exceeded.
    #[error("the sealed document holds {length} bytes, more than the {max_bytes} that are accepted here")]
    TooLong {
        /// Bytes of plaintext, by the length of the file.
        length: usize,
        /// The caller's bound, in bytes of plaintext.
        max_bytes: usize,
    },
    /// No document has this length.
    #[error("the sealed document was cut short or has extra bytes; fetch it again")]
    Length,
    /// Another key is named in the header.
    #[error(
        "the document is sealed for key {sealed_for}, but the key here is {key}; ask for one that is sealed for {key}"
    )]
    OtherRecipient {
        /// The key id that the header names.
        sealed_for: SealingKeyId,
        /// The key that was to open it.
        key: SealingKeyId,
    },
    /// A chunk does not verify. The cryptography does not tell for which of the reasons.
    #[error(
        "the sealed document does not open: it was changed or cut, or was sealed as another document or for another id; fetch it again"
    )]
    Refused,
}

/// Seals bytes that are **already signed, and name their recipient**, for the holder of a key.
///
/// The answer has [`sealed_len`] bytes. Sealing the same bytes again gives others.
///
/// # Errors
/// When the key is no usable one (a point of small order), or the operating system gives no randomness.
pub fn seal(
    signed: &[u8],
    recipient: &SealingPublicKey,
    context: &SealContext<'_>,
) -> Result<Vec<u8>, SealError> {
    let fail = |_| SealError { recipient: recipient.key_id() };
    let head = head_for(recipient.key_id());
    let public = HpkePublicKey(recipient.as_bytes().to_vec());
    let (encapsulated, mut sealer) = SUITE.setup_sealer(&info(&head, context), &public).map_err(fail)?;

    let mut sealed = Vec::with_capacity(sealed_len(signed.len()));
    sealed.extend_from_slice(&head);
    sealed.extend_from_slice(&encapsulated.0);
    let mut rest = signed;
    let mut index = 0;
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
        let last = after.is_empty();
        sealed.extend_from_slice(&sealer.seal(&aad(index, last), chunk).map_err(fail)?);
        if last {
            return Ok(sealed);
        }
        rest = after;
        index += 1;
    }
}

/// Opens a sealed document: the signed bytes inside, whole, still to be verified.
///
/// `max_bytes` bounds the plaintext, and with it the memory that is used. A caller that reads a file bounds the read with
/// [`sealed_len`]`(max_bytes)`.
///
/// # Errors
/// Why it is refused. The reasons that the header shows come first; they are hints for people, and nothing is decrypted
/// then.
pub fn open(
    sealed: &[u8],
    key: &SealingKey,
    context: &SealContext<'_>,
    max_bytes: usize,
) -> Result<Vec<u8>, OpenError> {
    let Header { head, encapsulated, body, recipient } = Header::parse_untrusted(sealed)?;
    let length = plain_len(body.len()).ok_or(OpenError::Length)?;
    if length > max_bytes {
        return Err(OpenError::TooLong { length, max_bytes });
    }
    if recipient != key.public().key_id() {
        return Err(OpenError::OtherRecipient { sealed_for: recipient, key: key.public().key_id() });
    }
    let mut opener = opener(encapsulated, &info(head, context), key)?;

    // Wiped unless the last chunk verifies.
    let mut opened = Zeroizing::new(Vec::with_capacity(length));
    let mut rest = body;
    let mut index = 0;
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES + TAG_BYTES));
        let last = after.is_empty();
        let plain = opener.open(&aad(index, last), chunk).map_err(|_| OpenError::Refused)?;
        opened.extend_from_slice(&Zeroizing::new(plain));
        if last {
            return Ok(std::mem::take(&mut *opened));
        }
        rest = after;
        index += 1;
    }
}

/// The key that a sealed document says it is sealed for. A hint for choosing the key to open it with; [`open`] verifies
/// it.
///
/// # Errors
/// When the header is not one of this format.
pub fn claimed_recipient(sealed: &[u8]) -> Result<SealingKeyId, OpenError> {
    Header::parse_untrusted(sealed).map(|header| header.recipient)
}

/// Bytes of a sealed document that holds so many bytes of plaintext.
#[must_use]
pub const fn sealed_len(plain_bytes: usize) -> usize {
    let chunks = if plain_bytes == 0 { 1 } else { plain_bytes.div_ceil(CHUNK_BYTES) };
    (HEAD_BYTES + ENCAPSULATED_BYTES).saturating_add(plain_bytes).saturating_add(chunks * TAG_BYTES)
}

/// The reverse of [`sealed_len`] for the chunks alone: nothing if no plaintext has chunks of that length.
fn plain_len(body_bytes: usize) -> Option<usize> {
    let chunks = body_bytes.div_ceil(CHUNK_BYTES + TAG_BYTES);
    let plain = body_bytes.checked_sub(chunks * TAG_BYTES)?;
    (sealed_len(plain) == HEAD_BYTES + ENCAPSULATED_BYTES + body_bytes).then_some(plain)
}

/// The parts of a sealed document, as they claim to be.
struct Header<'a> {
    head: &'a [u8; HEAD_BYTES],
    recipient: SealingKeyId,
    encapsulated: &'a [u8; ENCAPSULATED_BYTES],
    body: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse_untrusted(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let after_magic = sealed.strip_prefix(MAGIC).ok_or(OpenError::NotSealed)?;
        let (version, after_version) = after_magic.split_first_chunk().ok_or(OpenError::Length)?;
        match u32::from_be_bytes(*version) {
            VERSION => {}
            found => return Err(OpenError::OtherVersion { found }),
        }
        let (id, after_id) = after_version.split_first_chunk().ok_or(OpenError::Length)?;
        let (encapsulated, body) = after_id.split_first_chunk().ok_or(OpenError::Length)?;
        let head = sealed.first_chunk().ok_or(OpenError::Length)?;
        Ok(Self { head, recipient: SealingKeyId::from_bytes(*id), encapsulated, body })
    }
}

fn head_for(recipient: SealingKeyId) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (magic, rest) = head.split_at_mut(MAGIC.len());
    let (version, id) = rest.split_at_mut(4);
    magic.copy_from_slice(MAGIC);
    version.copy_from_slice(&VERSION.to_be_bytes());
    id.copy_from_slice(recipient.as_bytes());
    head
}

fn opener(
    encapsulated: &[u8; ENCAPSULATED_BYTES],
    info: &[u8],
    key: &SealingKey,
) -> Result<Box<dyn HpkeOpener>, OpenError> {
    let encapsulated = EncapsulatedSecret(encapsulated.to_vec());
    let secret = HpkePrivateKey::from(key.to_bytes().to_vec());
    SUITE.setup_opener(&encapsulated, info, &secret).map_err(|_| OpenError::Refused)
}

fn info(head: &[u8; HEAD_BYTES], context: &SealContext<'_>) -> Vec<u8> {
    let mut info = head.to_vec();
    push_text(&mut info, context.document_type);
    info.extend_from_slice(&context.document_version.to_be_bytes());
    push_text(&mut info, context.party);
    info
}

/// The length goes first, so that no two contexts give the same bytes.
fn push_text(info: &mut Vec<u8>, text: &str) {
    // A length in memory always fits.
    info.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    info.extend_from_slice(text.as_bytes());
}

/// Chunk index and last-flag: without them, a document that is cut between two chunks would open.
fn aad(index: u64, last: bool) -> [u8; 9] {
    let mut aad = [0; 9];
    let (number, flag) = aad.split_at_mut(8);
    number.copy_from_slice(&index.to_be_bytes());
    flag.copy_from_slice(&[u8::from(last)]);
    aad
}
