//! The vendor's trust document of the last good pull: a blob, and a copy of it in the mirror's folder.
//!
//! A backup holds the mirror and no blobs, so a restored server has the copy, and a damaged blob is put right from it.
//! Invariant: only bytes are believed that have the digest which the mirror's index names; so an older copy is none.
//! Left out on purpose: fetching it anew, which every pull does.

use std::path::PathBuf;

use sealpost_files::{PUBLIC, read_bounded, replace, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::Blob;
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};

use super::fetch::MAX_DOCUMENT_BYTES;
use super::mirror::Mirror;
use crate::ports::blobs::BlobStore;
use crate::ports::upstream::TargetEntry;

/// The trust document that the mirror names; `None` before the first pull, or if neither blob nor copy can be used.
pub(super) fn load(mirror: &Mirror, blobs: &dyn BlobStore) -> Option<TrustDocument> {
    let entry = mirror.target_named(TRUST_TARGET)?;
    let bytes = match blobs.read(&entry.sha256, MAX_DOCUMENT_BYTES) {
        Ok(Some(bytes)) => {
            write_copy(mirror, &entry, &bytes);
            bytes
        }
        missing => {
            let why = missing.err().map_or_else(|| "it is not here".to_owned(), |error| with_causes(&error));
            let Some(bytes) = copy_of(mirror, &entry) else {
                tracing::error!("the kept trust document cannot be used until the next pull: {why}");
                return None;
            };
            put_right(blobs, &entry, &bytes);
            bytes
        }
    };
    document::read(&bytes)
        .inspect_err(|error| tracing::error!(%error, "the kept trust document cannot be read"))
        .ok()
}

/// Copies the trust document that the mirror names now, unless that was done.
pub(super) fn keep(mirror: &Mirror, blobs: &dyn BlobStore) {
    let Some(entry) = mirror.target_named(TRUST_TARGET) else { return };
    // A blob that cannot be read is said where it is used.
    if let Ok(Some(bytes)) = blobs.read(&entry.sha256, MAX_DOCUMENT_BYTES) {
        write_copy(mirror, &entry, &bytes);
    }
}

fn write_copy(mirror: &Mirror, entry: &TargetEntry, bytes: &[u8]) {
    if copy_of(mirror, entry).is_some() {
        return;
    }
    let path = path_of(mirror);
    if let Err(error) = replace(&path, bytes, PUBLIC) {
        tracing::warn!("{} cannot be written, so a backup is without it: {error}", path.display());
    }
}

fn copy_of(mirror: &Mirror, entry: &TargetEntry) -> Option<Vec<u8>> {
    let bytes = read_bounded(&path_of(mirror), MAX_DOCUMENT_BYTES).ok().flatten()?;
    (Sha256Digest::of(&bytes) == entry.sha256).then_some(bytes)
}

/// Computers read it too, and get it from the blobs.
fn put_right(blobs: &dyn BlobStore, entry: &TargetEntry, bytes: &[u8]) {
    let expected = Blob { sha256: entry.sha256, length: entry.length };
    match blobs.put(&mut &*bytes, expected) {
        Ok(()) => tracing::warn!("the trust document was put back from its copy in the mirror"),
        Err(error) => {
            tracing::error!("the trust document cannot be handed out: {}", with_causes(&error));
        }
    }
}

fn path_of(mirror: &Mirror) -> PathBuf {
    mirror.folder().join(TRUST_TARGET)
}
