//! Whether a delta of the vendor leads from one release to another, as far as the server can tell cheaply: the manifest that it
//! makes out of the base's is the target's. Whether its files come out right, each agent verifies.

use std::time::{Duration, Instant};

use sealpost_deltas::{Limits, Progress, read_list};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::MAX_DOCUMENT_BYTES;
use sealpost_manifests::release::{Blob, DeltaTarget};

use crate::ports::blobs::BlobStore;
use crate::ports::staging::StagingError;

/// Longest that reading a manifest out of a delta may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Whether it does; reads the disk, and blocks for it.
pub(super) fn leads_there(
    blobs: &dyn BlobStore,
    delta: DeltaTarget,
    blob: Blob,
) -> Result<bool, StagingError> {
    let Some(base) = blobs.read(&delta.base, MAX_DOCUMENT_BYTES)? else { return Ok(false) };
    let Some(open) = blobs.open(&blob.sha256)? else { return Ok(false) };
    let limits = Limits { list_bytes: MAX_DOCUMENT_BYTES, ..Limits::default() };
    let began = Instant::now();
    let mut in_time = |_: Progress| began.elapsed() <= WITHIN;
    match read_list(&base, std::io::BufReader::new(open.file), &limits, &mut in_time) {
        Ok(list) => Ok(Sha256Digest::of(&list) == delta.target),
        Err(error) => {
            tracing::debug!(error = with_causes(&error), "a delta of the vendor cannot be read");
            Ok(false)
        }
    }
}
