//! Reading, checking and removing the mirror's files, with errors that name them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::read_bounded;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;

use crate::ports::upstream::MirrorReadError;

/// Why a generation could not be published. The one before stays current.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} {} in the mirror; check disk space and permissions", path.display())]
pub struct PublishError {
    attempted: &'static str,
    path: PathBuf,
    source: io::Error,
}

pub(super) fn failed(attempted: &'static str, path: &Path, source: io::Error) -> PublishError {
    PublishError { attempted, path: path.to_owned(), source }
}

pub(super) fn damaged(path: &Path, reason: &str) -> MirrorReadError {
    MirrorReadError::Damaged { place: path.display().to_string(), reason: reason.to_owned() }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> MirrorReadError {
    MirrorReadError::Io { place: path.display().to_string(), reason: error.to_string() }
}

pub(super) fn blob_of(bytes: &[u8]) -> Blob {
    Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 }
}

/// Reads a file that must be there with this digest and length.
pub(super) fn read_checked(path: &Path, blob: &Blob) -> Result<Vec<u8>, MirrorReadError> {
    let bytes = read_optional(path, blob.length)?.ok_or_else(|| damaged(path, "it is missing"))?;
    if blob_of(&bytes) == *blob { Ok(bytes) } else { Err(damaged(path, "its digest is wrong")) }
}

/// Reads a file, if it is there. One that is longer than it may be counts as damaged.
pub(super) fn read_optional(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, MirrorReadError> {
    read_bounded(path, max_bytes).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => damaged(path, "it has grown"),
        _ => unreadable(path, &error),
    })
}

/// Removes a file, link or folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), PublishError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| failed("remove", path, source))
}
