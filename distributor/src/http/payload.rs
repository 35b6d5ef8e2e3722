//! The payload of a release, and where it lies among the stored files.
//!
//! Left out on purpose: whether the file is whole, which only reading all of it says.

use std::path::PathBuf;
use std::sync::Arc;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Encoding, ReleaseId};

use super::Site;
use crate::ports::staging::StagingError;

pub(crate) struct Payload {
    pub(crate) release: ReleaseId,
    pub(crate) sha256: Sha256Digest,
    /// `None` if it is not here.
    pub(crate) place: Option<PathBuf>,
}

/// The payload that the manifest with this digest names; `None` if the manifest is not here.
pub(crate) async fn payload(site: &Site, manifest: Sha256Digest) -> Result<Option<Payload>, StagingError> {
    let (staging, blobs) = (Arc::clone(&site.parts.staging), Arc::clone(&site.parts.blobs));
    let found = tokio::task::spawn_blocking(move || {
        let Some(manifest) = staging.manifest(&manifest)? else { return Ok(None) };
        let sha256 = manifest.payload.encoding(Encoding::Gzip).map(|blob| blob.sha256);
        Ok(sha256.map(|sha256| Payload { release: manifest.release, sha256, place: blobs.place(&sha256) }))
    });
    found.await.map_err(|_| StagingError::Ended).flatten()
}
