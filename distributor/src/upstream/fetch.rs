//! Fetches documents and payloads into the blobs: documents through memory, payloads through a file that resumes.
//!
//! Invariant: nothing is fetched that a verified chain does not list, and never more than it lists or the disk has
//! room for. What was fetched before is not fetched again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::Blob;
use sealpost_repository::{DownloadError, ReaderHandle, Resume, TargetInfo};

use super::error::PullError;
use crate::config::Limits;
use crate::ports::blobs::{BlobError, BlobStore};

/// Largest document that is fetched into memory, in bytes.
pub(super) const MAX_DOCUMENT_BYTES: u64 = document::MAX_DOCUMENT_BYTES;
/// Time for one document, of whatever speed the line is.
const DOCUMENT_WITHIN: Duration = Duration::from_secs(180);
/// How often a download that was cut is continued within one pull.
const RESUMES_PER_PULL: u32 = 4;

/// One pull's fetching: where it reads from, where it stores, and what it has fetched so far.
pub(super) struct Fetcher<'a> {
    pub(super) reader: &'a ReaderHandle,
    pub(super) blobs: &'a Arc<dyn BlobStore>,
    pub(super) downloads: &'a Path,
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
    /// Bytes of payload that this pull fetched.
    pub(super) fetched_bytes: u64,
    /// Files in the downloads folder that the next pull continues.
    pub(super) unfinished: BTreeSet<PathBuf>,
}

impl Fetcher<'_> {
    /// Reads a document from the blobs, or fetches it from the vendor and stores it there.
    pub(super) async fn document(&self, target: &TargetInfo) -> Result<Vec<u8>, PullError> {
        let (blobs, sha256) = (Arc::clone(self.blobs), target.sha256());
        let kept = blocking(move || match blobs.read(&sha256, MAX_DOCUMENT_BYTES) {
            // Damaged on this server's own disk: it is fetched again.
            Err(BlobError::Damaged { .. }) => Ok(None),
            other => other,
        })
        .await??;
        if let Some(bytes) = kept {
            return Ok(bytes);
        }
        let name = || target.name().to_string();
        let fetched = self.reader.target_bytes(target.name(), MAX_DOCUMENT_BYTES, self.now);
        let bytes = match tokio::time::timeout(DOCUMENT_WITHIN, fetched).await {
            Ok(fetched) => {
                fetched.map_err(|source| PullError::Target { name: name(), source: Box::new(source) })?
            }
            Err(_) => return Err(PullError::Slow { name: name(), seconds: DOCUMENT_WITHIN.as_secs() }),
        };
        let (blobs, expected, copy) = (Arc::clone(self.blobs), blob_of(target), bytes.clone());
        let stored = blocking(move || {
            if matches!(blobs.verify(&expected.sha256), Err(BlobError::Damaged { .. })) {
                tracing::warn!(sha256 = %expected.sha256, "a damaged blob is replaced");
            }
            blobs.put(&mut copy.as_slice(), expected)
        })
        .await?;
        match stored {
            Ok(()) => {}
            // What the vendor says counts all the same; the next pull stores it.
            Err(BlobError::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(name = name(), "the disk is full; a document is used and not stored");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(bytes)
    }

    /// Fetches a payload, unless it is among the blobs. `unpacked_bytes`: disk space that staging needs besides it.
    pub(super) async fn payload(
        &mut self,
        target: &TargetInfo,
        unpacked_bytes: u64,
    ) -> Result<(), PullError> {
        let expected = blob_of(target);
        let (blobs, sha256) = (Arc::clone(self.blobs), expected.sha256);
        if blocking(move || blobs.length(&sha256)).await?? == Some(expected.length) {
            return Ok(());
        }
        let destination = self.destination_of(target);
        let received_before = file_length(&part_of(&destination));
        let needed = target.length().saturating_sub(received_before).saturating_add(unpacked_bytes);
        self.make_room(target, needed).await?;
        let mut most_received = received_before;
        let mut resumes = 0;
        loop {
            let result = self.reader.download(target.listed(), &destination, Resume::Continue, |_| {}).await;
            match result {
                Ok(_) => break,
                Err(DownloadError::Interrupted { received, total, .. })
                    if received > most_received && resumes < RESUMES_PER_PULL =>
                {
                    tracing::info!(target_name = %target.name(), received, total, "a download was cut; continuing it");
                    most_received = received;
                    resumes += 1;
                }
                Err(source) => return Err(PullError::Download { source }),
            }
        }
        self.fetched_bytes += expected.length.saturating_sub(received_before);
        let blobs = Arc::clone(self.blobs);
        blocking(move || blobs.adopt(&destination, expected)).await??;
        Ok(())
    }

    /// Keeps what came of a payload that this pull does not bring to its end.
    pub(super) fn keep_unfinished(&mut self, target: &TargetInfo) {
        let destination = self.destination_of(target);
        self.unfinished.extend([part_of(&destination), destination]);
    }

    fn destination_of(&self, target: &TargetInfo) -> PathBuf {
        self.downloads.join(target.sha256().to_string())
    }

    /// Refuses a file that would leave less free space than has to stay free, before it is fetched.
    pub(super) async fn make_room(&self, target: &TargetInfo, needed: u64) -> Result<(), PullError> {
        let (path, keep) = (self.downloads.to_owned(), self.limits.keep_free_bytes);
        let name = target.name().to_string();
        blocking(move || {
            let disk = rustix::fs::statvfs(&path)
                .map_err(|error| PullError::Disk { path, source: io::Error::from(error) })?;
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            if free < needed.saturating_add(keep) {
                return Err(PullError::NoRoom { name, needed, free, keep });
            }
            Ok(())
        })
        .await?
    }

    /// Removes partial payloads that no pull continues. A failure is logged and does not fail the pull.
    pub(super) async fn sweep(self) {
        let (downloads, unfinished) = (self.downloads.to_owned(), self.unfinished);
        let swept = blocking(move || {
            for entry in fs::read_dir(downloads)? {
                let path = entry?.path();
                if !unfinished.contains(&path) {
                    fs::remove_file(&path)?;
                }
            }
            Ok::<_, io::Error>(())
        });
        if let Ok(Err(error)) = swept.await {
            tracing::warn!(%error, "cannot clear the downloads folder");
        }
    }
}

pub(super) fn blob_of(target: &TargetInfo) -> Blob {
    Blob { sha256: target.sha256(), length: target.length() }
}

/// Runs blocking work on a thread for it.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, PullError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| PullError::Ended)
}

fn part_of(destination: &Path) -> PathBuf {
    let mut name = destination.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn file_length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Whether all of these are among the blobs.
pub(super) fn all_there(blobs: &dyn BlobStore, digests: &[Sha256Digest]) -> Result<bool, BlobError> {
    for digest in digests {
        if blobs.length(digest)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
