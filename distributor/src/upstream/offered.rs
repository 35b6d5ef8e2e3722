//! What the vendor offers in which channel, by the mirrored documents.

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document;

use super::fetch::MAX_DOCUMENT_BYTES;
use super::mirror::Mirror;
use crate::ports::blobs::BlobStore;
use crate::ports::upstream::TargetClass;

/// The channels of every package as of the last good pull. `None`: there was none, or a document cannot be read, and nobody
/// knows what is offered.
pub(super) fn documents(mirror: &Mirror, blobs: &dyn BlobStore) -> Option<Vec<ChannelsDocument>> {
    let listed = mirror.listed().ok()?;
    let entries = listed.first()?.iter().filter(|entry| matches!(entry.class, TargetClass::Channels { .. }));
    entries
        .map(|entry| {
            let bytes = blobs.read(&entry.sha256, MAX_DOCUMENT_BYTES).ok()??;
            document::read(&bytes).ok()
        })
        .collect()
}
