//! What the server stores: removed when nothing needs it, compared with its digests, and shown.
//!
//! Everything here is a reconciler: run twice, or killed in the middle, the result is the same. It runs beside no pull:
//! a file that a pull counts on is never removed under it. While the mirror's index is damaged nothing is removed.
//! Left out on purpose: fetching again, which the next pull does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::storage::{StorageView, StoredKind};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::{Blob, ReleaseManifest};

use super::context::Context;
use super::error::PullError;
use super::fetch::{MAX_DOCUMENT_BYTES, blocking};
use super::known::{in_use, known_releases};
use super::needed::needed;
use super::stored::{DeltasByNeed, Needed};
use crate::ports::blobs::BlobError;
use crate::ports::staging::StoredDelta;
use crate::ports::upstream::MirrorReadError;

/// Least pause between two rounds, whatever is configured or fails.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, so that a changed configuration is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How the mirrored metadata is named among the files.
const METADATA: &str = "the vendor's metadata";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// What was not needed for the configured time.
    WhatIsDue,
    /// Everything that is not needed now, and what can be made again.
    Everything,
    Nothing,
}

/// What was found on the disk.
struct Found {
    stored: Vec<Blob>,
    unneeded: Vec<Blob>,
    deltas: BTreeSet<Sha256Digest>,
    by_need: DeltasByNeed,
    missing: Vec<String>,
    /// Those of the missing ones that were here and were damaged.
    damaged: Vec<String>,
    /// Everything that was found damaged since the start and is not stored again.
    aside: BTreeSet<Sha256Digest>,
    /// Why it is not known what is listed. Then nothing counts as unneeded.
    unlisted: Option<MirrorReadError>,
}

impl Found {
    /// Everything that may go when room is wanted now.
    fn removable(&self) -> impl Iterator<Item = Blob> {
        let spare = self.by_need.spare.iter().map(|delta| delta.blob);
        self.unneeded.iter().copied().chain(spare)
    }
}

/// Removes what is due, and finds out what is missing. The caller sees to it that no pull runs.
pub(super) async fn reconcile(context: &Context, removal: Removal) -> Result<StorageView, PullError> {
    let found = look(context).await?;
    let (now, live) = (context.clock.now(), context.live());
    let keep = SignedDuration::from_hours(24 * i64::from(live.storage.keep_superseded_days));
    let file = Arc::clone(&context.storage_note);
    let mut note = blocking(move || file.read()).await?;
    let removed = match removal {
        Removal::Nothing => None,
        removal => {
            if let Some(error) = found.unlisted.clone() {
                return Err(error.into());
            }
            let due = note.due(&found.unneeded, keep, now);
            let due = match removal {
                Removal::Everything => found.removable().map(|blob| blob.sha256).collect(),
                _ => due,
            };
            // Before the note is written, which a full disk may have no room for.
            let bytes = remove(context, &found, due).await?;
            let (file, unneeded) = (Arc::clone(&context.storage_note), found.unneeded.clone());
            let written = blocking(move || file.change(|note| drop(note.due(&unneeded, keep, now)))).await?;
            let path = || context.storage_note.path().to_owned();
            note = written.map_err(|source| PullError::Disk { path: path(), source })?;
            Some(bytes)
        }
    };
    let found = if removed.is_some_and(|bytes| bytes > 0) { look(context).await? } else { found };
    note_missing(context, &found);
    let view = view(context, found, note.scrubbed_at, removed).await?;
    context.set_stored(view.summary(live.limits.keep_free_bytes));
    Ok(view)
}

fn note_missing(context: &Context, found: &Found) {
    context.set_missing(found.missing.clone(), found.aside.clone());
}

/// Finds out what is missing, if a file was found damaged since the last look, by whoever read it.
pub(super) async fn look_at_damage(context: &Context) {
    let blobs = Arc::clone(&context.blobs);
    let aside = blocking(move || blobs.damaged().into_iter().collect::<BTreeSet<_>>()).await;
    if aside.is_ok_and(|aside| aside == context.aside()) {
        return;
    }
    match look(context).await {
        Ok(found) => note_missing(context, &found),
        Err(error) => tracing::warn!(error = with_causes(&error), "cannot look for damaged files"),
    }
}

/// Removes everything that is not needed, however long ago it was; answers whether that was anything. The caller sees to
/// it that no pull runs.
pub(super) async fn made_room(context: &Context) -> bool {
    match reconcile(context, Removal::Everything).await {
        Ok(view) => {
            let bytes = view.removed_bytes.unwrap_or_default();
            tracing::warn!(
                bytes,
                "the disk has no room for a pull; what nothing needs was removed before its time"
            );
            bytes > 0
        }
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "cannot make room for a pull");
            false
        }
    }
}

/// Which of the stored files are needed.
async fn look(context: &Context) -> Result<Found, PullError> {
    let known = known_releases(&context.ledger).await?;
    let in_use = in_use(&context.ledger).await?;
    let releases = needed(known.all(), &in_use.releases);
    let manifests: Vec<Sha256Digest> = known.all().map(|known| known.manifest).collect();
    let (mirror, blobs) = (Arc::clone(&context.mirror), Arc::clone(&context.blobs));
    let staging = Arc::clone(&context.staging);
    blocking(move || {
        let mut needed = Needed::default();
        let unlisted = match mirror.listed() {
            Ok(generations) => {
                needed.listed(&generations, &releases);
                None
            }
            Err(error) => Some(error),
        };
        manifests.into_iter().for_each(|manifest| needed.manifest(manifest));
        for manifest in &releases {
            let bytes = match blobs.read(manifest, MAX_DOCUMENT_BYTES) {
                Ok(Some(bytes)) => bytes,
                // The next pull fetches it, and nobody can use the files of a release without it.
                Ok(None) | Err(BlobError::Damaged { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Ok(manifest) = document::read::<ReleaseManifest>(&bytes) {
                needed.unlisted(&manifest);
            }
        }
        let noted = staging.deltas()?;
        let deltas = noted.iter().map(|delta| delta.blob.sha256).collect();
        let by_need = needed.deltas(noted, &releases, &in_use.fetched);
        let stored = blobs.list()?;
        let is_unneeded = |blob: &&Blob| unlisted.is_none() && !needed.keeps(&blob.sha256);
        let unneeded = stored.iter().filter(is_unneeded).copied().collect();
        let (mut missing, mut damaged) = (Vec::new(), Vec::new());
        for (sha256, name) in needed.missing(&stored) {
            if blobs.was_damaged(&sha256) {
                damaged.push(name.clone());
            }
            missing.push(name);
        }
        let aside: BTreeSet<Sha256Digest> = blobs.damaged().into_iter().collect();
        // Documents that nobody is sent, and that stay for people.
        for sha256 in aside.iter().filter(|sha256| needed.keeps(sha256) && !needed.requires(sha256)) {
            let name = format!("sha256:{sha256}");
            damaged.push(name.clone());
            missing.push(name);
        }
        if !mirror.is_whole() {
            missing.push(METADATA.to_owned());
            damaged.push(METADATA.to_owned());
        }
        Ok(Found { stored, unneeded, deltas, by_need, missing, damaged, aside, unlisted })
    })
    .await?
}

/// Removes blobs, and the notes of the deltas among them first: a note never promises what is not there. What was noted since
/// it was looked at stays.
async fn remove(context: &Context, found: &Found, due: BTreeSet<Sha256Digest>) -> Result<u64, PullError> {
    let deltas = found.by_need.unneeded.iter().chain(&found.by_need.spare);
    let deltas: Vec<StoredDelta> = deltas.filter(|delta| due.contains(&delta.blob.sha256)).copied().collect();
    let removable: BTreeMap<Sha256Digest, Blob> =
        found.removable().filter(|blob| due.contains(&blob.sha256)).map(|blob| (blob.sha256, blob)).collect();
    let staging = Arc::clone(&context.staging);
    blocking(move || {
        deltas.iter().try_for_each(|delta| staging.forget_delta(delta))?;
        let removed = staging.remove_unnoted(removable.into_values().collect())?;
        for blob in &removed {
            tracing::info!(sha256 = %blob.sha256, bytes = blob.length, "removed a stored file that nothing needs");
        }
        Ok(removed.iter().map(|blob| blob.length).sum())
    })
    .await?
}

async fn view(
    context: &Context,
    found: Found,
    scrubbed_at: Option<Timestamp>,
    removed_bytes: Option<u64>,
) -> Result<StorageView, PullError> {
    let storage = context.live().storage;
    let Found { stored, unneeded, deltas, missing, damaged, .. } = found;
    let kind = |kind: &str, of: &dyn Fn(&Blob) -> bool| {
        let blobs = || stored.iter().filter(|blob| of(blob));
        StoredKind {
            kind: kind.to_owned(),
            files: blobs().count() as u64,
            bytes: blobs().map(|blob| blob.length).sum(),
            unneeded_bytes: unneeded.iter().filter(|blob| of(blob)).map(|blob| blob.length).sum(),
            bound: format!(
                "removed {} days after nothing needs them, sooner when the disk has no room",
                storage.keep_superseded_days
            ),
        }
    };
    let mut kinds = vec![
        kind("payloads", &|blob| !deltas.contains(&blob.sha256)),
        kind("deltas", &|blob| deltas.contains(&blob.sha256)),
    ];
    let folders = [
        (
            "metadata",
            context.mirror.folder().to_owned(),
            format!(
                "replaced generations count too, and are removed after {} days, or as soon as there are 100",
                storage.keep_metadata_days
            ),
        ),
        (
            "unpacked",
            context.staging_folder.clone(),
            "only releases between which deltas are made".to_owned(),
        ),
        ("downloads", context.downloads.clone(), "only what the last pull did not finish".to_owned()),
        (
            "logs",
            context.log_folder.clone(),
            format!("{} files of {} MiB", storage.log_files, storage.log_file_bytes / (1024 * 1024)),
        ),
    ];
    let downloads = context.downloads.clone();
    let (more, free_bytes) = blocking(move || {
        let more: Vec<StoredKind> = folders
            .into_iter()
            .map(|(kind, folder, bound)| {
                let (mut files, mut bytes) = (0, 0);
                measure(&folder, &mut files, &mut bytes);
                StoredKind { kind: kind.to_owned(), files, bytes, unneeded_bytes: 0, bound }
            })
            .collect();
        let free = rustix::fs::statvfs(&downloads).map_err(io::Error::from);
        let free = free.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        free.map(|free| (more, free)).map_err(|source| PullError::Disk { path: downloads, source })
    })
    .await??;
    kinds.extend(more);
    Ok(StorageView { kinds, free_bytes, missing, damaged, scrubbed_at, removed_bytes })
}

/// Counts files beneath a folder. What vanishes meanwhile, or cannot be read, is left out.
fn measure(folder: &Path, files: &mut u64, bytes: &mut u64) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => measure(&entry.path(), files, bytes),
            Ok(metadata) if metadata.is_file() => {
                *files += 1;
                *bytes += metadata.len();
            }
            _ => {}
        }
    }
}

/// Compares one stored file after the other with its digest, for ever, each once in the configured time. One that was
/// damaged is taken out of the store, and shown as missing until a pull has fetched it.
pub(super) async fn keep_scrubbing(context: &Context, seed: u16) {
    // A server that is restarted often would else look at the same files again and again.
    let mut begin = usize::from(seed);
    loop {
        let days = context.live().storage.scrub_days;
        let whole = Duration::from_secs(u64::from(days) * 24 * 3600);
        if let Err(error) = scrub_all(context, whole, begin).await {
            tracing::warn!(error = with_causes(&error), "cannot check the stored files");
        }
        // With nothing stored, and after a failure.
        tokio::time::sleep(LEAST_PAUSE).await;
        begin = 0;
    }
}

/// Compares every stored file with its digest, spread over this time, from the `begin`th on.
pub(super) async fn scrub_all(context: &Context, within: Duration, begin: usize) -> Result<(), PullError> {
    let blobs = Arc::clone(&context.blobs);
    let mut stored = blocking(move || blobs.list()).await??;
    let count = stored.len().max(1);
    stored.rotate_left(begin % count);
    let pause = within / u32::try_from(count).unwrap_or(u32::MAX);
    for blob in &stored {
        scrub(context, blob.sha256).await;
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    }
    if stored.is_empty() {
        tokio::time::sleep(within.min(LONGEST_PAUSE)).await;
        return Ok(());
    }
    note_scrubbed(context).await;
    Ok(())
}

/// Compares one file with its digest.
pub(super) async fn scrub(context: &Context, sha256: Sha256Digest) {
    let blobs = Arc::clone(&context.blobs);
    match blocking(move || blobs.verify(&sha256)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error @ BlobError::Damaged { .. })) => {
            tracing::error!(
                error = with_causes(&error),
                "a stored file is damaged; the next pull fetches it again"
            );
            if let Ok(found) = look(context).await {
                note_missing(context, &found);
            }
        }
        Ok(Err(error)) => tracing::warn!(error = with_causes(&error), "a stored file cannot be checked"),
        Err(error) => tracing::warn!(error = with_causes(&error), "a stored file cannot be checked"),
    }
}

async fn note_scrubbed(context: &Context) {
    let (file, now) = (Arc::clone(&context.storage_note), context.clock.now());
    let written = blocking(move || file.change(|note| note.scrubbed_at = Some(now))).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "cannot note that all stored files were checked");
    }
}
