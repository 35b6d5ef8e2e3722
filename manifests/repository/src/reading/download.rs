//! Downloads: streaming, bounded by the listed length, resumable, checked before the file gets its name.
//!
//! Invariant: the destination either is not touched, or has exactly the listed length and digests and is on disk.
//! What has arrived lies in `<destination>.part`; it is not trusted: a resumed download digests it again.
//! Left out on purpose: retrying. The caller knows the schedule; [`DownloadError::Interrupted`] says what it needs.

use std::io;
use std::path::Path;

use futures_util::StreamExt;
use sealpost_files::{open_regular, sync_parent};

use crate::reading::errors::DownloadError;
use crate::reading::part::{Part, hash_up_to};
use crate::reading::store::Latch;
use crate::target::{ListedTarget, length_of};
use crate::transport::Transport;

/// What to do with the part that an earlier download left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Ask only for the rest.
    Continue,
    /// Remove it, and fetch everything.
    StartOver,
}

/// How a download ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downloaded {
    /// The destination had the right bytes already; nothing was fetched.
    AlreadyThere,
    /// It was fetched, beginning at this offset.
    Fetched {
        /// Bytes that an earlier download had brought.
        resumed_at: u64,
    },
}

/// Downloads into a file.
pub(super) async fn to_file(
    transport: &dyn Transport,
    latch: &Latch,
    target: &ListedTarget,
    destination: &Path,
    resume: Resume,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Downloaded, DownloadError> {
    check(latch, target)?;
    if is_already_there(target, destination)? {
        // An earlier download may have failed when only this was left.
        sync_parent(destination).map_err(|source| DownloadError::File {
            action: "flush the folder of",
            path: destination.to_owned(),
            source,
        })?;
        progress(target.length);
        return Ok(Downloaded::AlreadyThere);
    }
    let mut part = Part::open(target, destination)?;
    match resume {
        Resume::Continue => part.rehash()?,
        Resume::StartOver => part.restart()?,
    }
    progress(part.received);
    loop {
        let error = match part.receive(transport, progress).await.and_then(|()| part.judge(transport)) {
            Ok(()) => break,
            Err(error) => error,
        };
        if part.resumed_at > 0 && error.is_about_the_kept_part() {
            tracing::info!(target_name = %target.name, "the kept part does not fit; downloading from the start");
            part.restart()?;
            progress(0);
            continue;
        }
        if matches!(error, DownloadError::Mismatch { .. } | DownloadError::TooLong { .. }) {
            part.remove()?;
        }
        return Err(error);
    }
    part.finish(destination)?;
    Ok(Downloaded::Fetched { resumed_at: part.resumed_at })
}

/// Downloads into memory; the caller has bounded the listed length.
pub(super) async fn to_memory(
    transport: &dyn Transport,
    latch: &Latch,
    target: &ListedTarget,
) -> Result<Vec<u8>, DownloadError> {
    check(latch, target)?;
    let (name, location) = (|| target.name.clone(), || transport.location(&target.path));
    let body = transport
        .target(&target.path, 0)
        .await
        .map_err(|source| DownloadError::Transport { name: name(), source })?
        .ok_or_else(|| DownloadError::Absent { name: name(), location: location() })?;
    let mut chunks = body.chunks;
    let (mut bytes, mut hasher) = (Vec::new(), target.digests.hasher());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|source| DownloadError::Transport { name: name(), source })?;
        if length_of(&bytes) + length_of(&chunk) > target.length {
            return Err(DownloadError::TooLong { name: name(), total: target.length, location: location() });
        }
        hasher.update(&chunk);
        bytes.extend_from_slice(&chunk);
    }
    if length_of(&bytes) == target.length && hasher.matches() {
        Ok(bytes)
    } else {
        Err(DownloadError::Mismatch { name: name(), location: location() })
    }
}

fn check(latch: &Latch, target: &ListedTarget) -> Result<(), DownloadError> {
    latch.check().map_err(|source| DownloadError::Store { name: target.name.clone(), source })
}

fn is_already_there(target: &ListedTarget, destination: &Path) -> Result<bool, DownloadError> {
    let failed = |source| DownloadError::File { action: "read", path: destination.to_owned(), source };
    let mut file = match open_regular(destination) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    };
    if file.metadata().map_err(failed)?.len() != target.length {
        return Ok(false);
    }
    let mut hasher = target.digests.hasher();
    let read = hash_up_to(&mut file, target.length, &mut hasher).map_err(failed)?;
    Ok(read == target.length && hasher.matches())
}
