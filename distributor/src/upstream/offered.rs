//! The channels that the vendor's packages have, by the mirrored documents.

use std::collections::BTreeSet;

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document;
use sealpost_manifests::ids::ChannelName;

use super::fetch::MAX_DOCUMENT_BYTES;
use super::mirror::Mirror;
use crate::ports::blobs::BlobStore;
use crate::ports::upstream::TargetClass;

/// The channels of all packages as of the last good pull. `None`: there was none, or a document cannot be read, and nobody
/// knows which channels there are.
pub(super) fn channels(mirror: &Mirror, blobs: &dyn BlobStore) -> Option<BTreeSet<ChannelName>> {
    let mut channels = BTreeSet::new();
    let listed = mirror.listed().ok()?;
    for entry in listed.first()?.iter().filter(|entry| matches!(entry.class, TargetClass::Channels { .. })) {
        let bytes = blobs.read(&entry.sha256, MAX_DOCUMENT_BYTES).ok()??;
        let read: ChannelsDocument = document::read(&bytes).ok()?;
        channels.extend(read.known().cloned());
    }
    Some(channels)
}
