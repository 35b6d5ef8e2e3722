//! The envelope of signed documents: *bytes and minisig*, with `type` and `version` inside.
//!
//! Invariant: bytes are verified first and parsed after; a document of one type is refused as any other, a newer
//! version than this program knows is refused, and the signature's trusted comment must say the same as the document.
//! Untrusted comments, key ids and algorithms of a minisig decide nothing.

use sealpost_keys::verify::verify;
use sealpost_keys::{Minisig, PublicKey, Signed, SigningKey, TrustedComment, Verified, VerifyError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// The first format version that lasts. Version 1 was never used by a site; from 2 on older documents stay readable.
pub const FIRST_VERSION: u32 = 2;

/// Largest document text that is read, in bytes. A manifest with 20,000 files is about 4 MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// A JSON document with `type` and `version` inside.
pub trait Document: Serialize + DeserializeOwned {
    /// The `type` field that marks a document of this kind.
    const TYPE: &'static str;
    /// The `version` that this program writes, and the highest that it reads.
    const VERSION: u32;

    /// The trusted comment of this document's signature; after verification it must be exactly this.
    fn trusted_comment(&self) -> String;
}

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The signature does not verify, or no trusted key made it.
    #[error("the signature of a {document} document is not accepted")]
    Signature {
        /// The expected document type.
        document: &'static str,
        /// What was wrong with it.
        #[source]
        source: VerifyError,
    },
    /// The text is not JSON of the expected shape.
    #[error("a {document} document cannot be read")]
    Malformed {
        /// The expected document type.
        document: &'static str,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
    /// A well signed document, of another type.
    #[error("expected a {expected} document, got one of type {found:?}")]
    OtherType {
        /// The type that the caller expected.
        expected: &'static str,
        /// The type that the document names, cut to 64 characters.
        found: String,
    },
    /// Written before the formats were kept.
    #[error(
        "the {document} document has format version {found}, which no site ever used; this program reads from version \
         {FIRST_VERSION} on: make the document again with this version's programs"
    )]
    TooOld {
        /// The type of document that was expected.
        document: &'static str,
        /// The version that the document names.
        found: u32,
    },
    /// Written by a newer program.
    #[error(
        "the {document} document has format version {found}, this program reads up to {known}; update this program"
    )]
    NewerVersion {
        /// The type of document that was expected.
        document: &'static str,
        /// The version that the document names.
        found: u32,
        /// The highest that is known here.
        known: u32,
    },
    /// The signature was made for something else.
    #[error("the signature's trusted comment is {found:?}, but the document says {expected:?}")]
    OtherComment {
        /// What the document says.
        expected: String,
        /// The comment that the signature covers.
        found: String,
    },
    /// The text is longer than [`MAX_DOCUMENT_BYTES`].
    #[error("a {document} document of {length} bytes is over the limit of {MAX_DOCUMENT_BYTES}")]
    TooLong {
        /// The type of document that was expected.
        document: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// Could not be written or signed.
    #[error("a {document} document cannot be signed: {reason}")]
    Unsignable {
        /// The type of document that was expected.
        document: &'static str,
        /// Why its comment cannot be signed.
        reason: String,
    },
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    type_name: &'a str,
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "type")]
    type_name: String,
    version: u32,
}

/// The text of a document, as it is signed and stored: compact JSON.
///
/// # Errors
/// [`DocumentError::Malformed`] when the value has no JSON form.
pub fn write<T: Document>(document: &T) -> Result<String, DocumentError> {
    let envelope = Envelope { type_name: T::TYPE, version: T::VERSION, body: document };
    serde_json::to_string(&envelope).map_err(|source| DocumentError::Malformed { document: T::TYPE, source })
}

/// Reads a document whose bytes are trusted by other means (a TUF target, an own file). Checks type and version.
///
/// # Errors
/// [`DocumentError`] when it is too long, no such JSON, of another type or a newer version.
pub fn read<T: Document>(bytes: &[u8]) -> Result<T, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLong { document: T::TYPE, length: bytes.len() });
    }
    let malformed = |source| DocumentError::Malformed { document: T::TYPE, source };
    let header: Header = serde_json::from_slice(bytes).map_err(malformed)?;
    if header.type_name != T::TYPE {
        return Err(DocumentError::OtherType {
            expected: T::TYPE,
            found: header.type_name.chars().take(64).collect(),
        });
    }
    if header.version < FIRST_VERSION {
        return Err(DocumentError::TooOld { document: T::TYPE, found: header.version });
    }
    if header.version > T::VERSION {
        return Err(DocumentError::NewerVersion {
            document: T::TYPE,
            found: header.version,
            known: T::VERSION,
        });
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

/// Parses verified bytes as a document, and holds the trusted comment against it.
///
/// # Errors
/// As [`read`], and [`DocumentError::OtherComment`].
pub fn parse<T: Document>(signed: Verified<Signed>) -> Result<Verified<T>, DocumentError> {
    signed.try_map(|signed| {
        let document: T = read(&signed.bytes)?;
        let expected = document.trusted_comment();
        if signed.comment != expected {
            return Err(DocumentError::OtherComment { expected, found: signed.comment });
        }
        Ok(document)
    })
}

/// Verifies detached bytes and parses them: for documents that are stored as two files.
///
/// # Errors
/// [`DocumentError`].
pub fn verify_detached<T: Document>(
    bytes: Vec<u8>,
    minisig: &Minisig,
    trusted: &[PublicKey],
) -> Result<Verified<T>, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLong { document: T::TYPE, length: bytes.len() });
    }
    let signed = verify(bytes, minisig, trusted)
        .map_err(|source| DocumentError::Signature { document: T::TYPE, source })?;
    parse(signed)
}

/// A signed document on the wire or on disk: the exact text that was signed, and its minisig.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedDocument {
    /// The exact text that was signed.
    pub document: String,
    /// The signature over it.
    pub minisig: Minisig,
}

impl SignedDocument {
    /// Writes and signs a document.
    ///
    /// # Errors
    /// [`DocumentError::Unsignable`] when its comment is not allowed in a signature.
    pub fn sign<T: Document>(document: &T, key: &SigningKey) -> Result<Self, DocumentError> {
        let text = write(document)?;
        let comment = TrustedComment::new(document.trusted_comment())
            .map_err(|error| DocumentError::Unsignable { document: T::TYPE, reason: error.to_string() })?;
        let minisig = key.sign(text.as_bytes(), &comment);
        Ok(Self { document: text, minisig })
    }

    /// Verifies the text against trusted keys, and only then parses it.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn verify<T: Document>(&self, trusted: &[PublicKey]) -> Result<Verified<T>, DocumentError> {
        verify_detached(self.document.clone().into_bytes(), &self.minisig, trusted)
    }

    /// The digest of the exact text: what a document is named by elsewhere.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.document.as_bytes())
    }
}
