//! Content-addressed storage of bytes that are named by their SHA-256. A port because pulls, staging and HTTP use it
//! and must not know the folder behind it; object stores come later.
//!
//! Invariant: a blob that can be opened has exactly the bytes that its name says, unless the disk damaged it.
//! All calls block: use a thread for blocking work.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;

/// A blob that is open for reading, from its beginning.
#[derive(Debug)]
pub struct OpenBlob {
    /// The file; it can be read and searched, and stays readable when the blob is removed.
    pub file: File,
    /// Its length in bytes.
    pub length: u64,
}

/// Why a blob could not be stored, read or checked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("cannot {attempted} the stored file {}; check disk space and permissions", path.display())]
    Io { attempted: &'static str, path: PathBuf, source: io::Error },
    /// The bytes are not those of the name that was given. Nothing was stored.
    #[error("expected {} bytes with SHA-256 {}, got {found}; nothing was stored", expected.length, expected.sha256)]
    Mismatch { expected: Blob, found: String },
    /// A stored blob has changed on disk.
    #[error("the stored file {} was changed or damaged; check the disk, then pull again", path.display())]
    Damaged { path: PathBuf },
}

pub trait BlobStore: Send + Sync {
    /// The length of a blob, if it is there.
    ///
    /// # Errors
    /// [`BlobError::Io`]; "not there" is no error.
    fn length(&self, sha256: &Sha256Digest) -> Result<Option<u64>, BlobError>;

    /// Opens a blob, if it is there.
    ///
    /// # Errors
    /// [`BlobError::Io`]; "not there" is no error.
    fn open(&self, sha256: &Sha256Digest) -> Result<Option<OpenBlob>, BlobError>;

    /// Stores all that a reader gives, if it is exactly what is expected. Storing twice is fine, also at once.
    /// Reads at most one byte more than expected.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing was stored.
    fn put(&self, reader: &mut dyn Read, expected: Blob) -> Result<(), BlobError>;

    /// Takes over a finished file of the same file system, if it is exactly what is expected. The file is gone after.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing was stored, and the file is still there.
    fn adopt(&self, file: &Path, expected: Blob) -> Result<(), BlobError>;

    /// Reads a blob again and compares it with its name. `false`: it is not there.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] if it was changed; it is taken out of the store then, so that it can be fetched anew.
    fn verify(&self, sha256: &Sha256Digest) -> Result<bool, BlobError>;

    /// Whether a blob of that name was found damaged and taken out of the store since the start.
    fn was_damaged(&self, sha256: &Sha256Digest) -> bool;

    /// Every blob that was found damaged and taken out of the store since the start, and was not stored again; none when that
    /// cannot be read.
    fn damaged(&self) -> Vec<Sha256Digest>;

    /// Where a blob lies, for a person who wants the file; `None` if it is not there, or not a file.
    fn place(&self, sha256: &Sha256Digest) -> Option<PathBuf>;

    /// Every blob that is there, with its length. For a few thousand blobs some milliseconds.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    fn list(&self) -> Result<Vec<Blob>, BlobError>;

    /// Removes a blob; nothing if it is not there. Whoever has it open reads on.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    fn remove(&self, sha256: &Sha256Digest) -> Result<(), BlobError>;

    /// Reads a small blob into memory, checked against its name. `None`: it is not there. One that is damaged is taken out of
    /// the store, as by [`Self::verify`].
    ///
    /// # Errors
    /// [`BlobError`], also if it has more than `max_bytes`.
    fn read(&self, sha256: &Sha256Digest, max_bytes: u64) -> Result<Option<Vec<u8>>, BlobError> {
        let Some(blob) = self.open(sha256)? else { return Ok(None) };
        let path = PathBuf::from(sha256.to_string());
        let mut bytes = Vec::new();
        blob.file
            .take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| BlobError::Io { attempted: "read", path: path.clone(), source })?;
        if bytes.len() as u64 > max_bytes || Sha256Digest::of(&bytes) != *sha256 {
            // It is damaged also where it cannot be taken out.
            return Err(match self.verify(sha256) {
                Err(error @ BlobError::Damaged { .. }) => error,
                _ => BlobError::Damaged { path },
            });
        }
        Ok(Some(bytes))
    }
}
