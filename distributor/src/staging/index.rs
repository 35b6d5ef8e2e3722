//! The deltas that clients are told of, in memory: a client asks for ways far more often than a delta is made.
//!
//! Invariant: what stands here was noted on disk; it is filled at the start and follows every note. Deltas of containers of
//! version 1 are left out: who asks for ways reads newer ones.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use sealpost_deltas::{BEGIN_BYTES, container_version};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;

use super::deltas;
use crate::ports::blobs::BlobStore;
use crate::ports::staging::{DeltaEdges, StoredDelta};

/// The container that who asks for ways reads. A note does not say of which version its delta is.
const CONTAINER: u16 = 2;

#[derive(Debug)]
pub(super) struct DeltaIndex(RwLock<Arc<DeltaEdges>>);

impl DeltaIndex {
    /// The deltas that are noted in the folder. When it cannot be read, clients are told of none, and find those that they
    /// ask for.
    pub(super) fn fill(folder: &Path, blobs: &dyn BlobStore) -> Self {
        let index = Self(RwLock::default());
        match deltas::all(folder) {
            Ok(noted) => noted.iter().for_each(|delta| index.note(blobs, delta)),
            Err(error) => {
                let error = with_causes(&error);
                tracing::warn!(error, "clients are told of no ways by deltas");
            }
        }
        index
    }

    /// Takes in a delta, if clients read its container; in place of an earlier one between the same releases.
    pub(super) fn note(&self, blobs: &dyn BlobStore, delta: &StoredDelta) {
        self.forget(delta);
        if is_read(blobs, &delta.blob.sha256) {
            let mut edges = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::make_mut(&mut edges).entry(delta.target).or_default().insert(delta.base, delta.blob);
        }
    }

    pub(super) fn forget(&self, delta: &StoredDelta) {
        let mut edges = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let edges = Arc::make_mut(&mut edges);
        if let Some(of_target) = edges.get_mut(&delta.target) {
            of_target.remove(&delta.base);
            if of_target.is_empty() {
                edges.remove(&delta.target);
            }
        }
    }

    pub(super) fn edges(&self) -> Arc<DeltaEdges> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the blob is there and begins as a container of version 2.
fn is_read(blobs: &dyn BlobStore, sha256: &Sha256Digest) -> bool {
    let mut begin = Vec::new();
    let Ok(Some(blob)) = blobs.open(sha256) else { return false };
    let most = u64::try_from(BEGIN_BYTES).unwrap_or(u64::MAX);
    blob.file.take(most).read_to_end(&mut begin).is_ok() && container_version(&begin) == Some(CONTAINER)
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::release::Blob;

    use super::*;
    use crate::blobs::FolderBlobs;

    fn stored(blobs: &FolderBlobs, base: &str, target: &str, bytes: &[u8]) -> StoredDelta {
        let blob = Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 };
        blobs.put(&mut &bytes[..], blob).unwrap();
        let [base, target] = [base, target].map(|name| Sha256Digest::of(name.as_bytes()));
        StoredDelta { base, target, blob }
    }

    fn told(index: &DeltaIndex) -> Vec<Blob> {
        index.edges().values().flat_map(|bases| bases.values().copied()).collect()
    }

    #[test]
    fn clients_are_told_of_deltas_of_version_2_whose_blobs_are_there_after_a_start_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("deltas");
        std::fs::create_dir(&notes).unwrap();
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).unwrap();
        let newer = stored(&blobs, "1", "3", b"\xd5S\x22 newer");
        let older = stored(&blobs, "2", "3", b"slpdelta older");
        let short = stored(&blobs, "2", "4", b"\xd5S");
        let gone = stored(&blobs, "3", "4", b"\xd5S\x22 gone");
        let other = stored(&blobs, "1", "4", b"\xd5S\x23 other");
        blobs.remove(&gone.blob.sha256).unwrap();
        let index = DeltaIndex::fill(&notes, &blobs);
        for delta in [&newer, &older, &short, &gone, &other] {
            deltas::note(&notes, &delta.base, &delta.target, delta.blob).unwrap();
            index.note(&blobs, delta);
        }
        assert_eq!(told(&index), [newer.blob]);
        // A damaged note is as good as none.
        std::fs::write(notes.join(format!("{}-{}.json", gone.base, newer.target)), "{").unwrap();
        assert_eq!(told(&DeltaIndex::fill(&notes, &blobs)), [newer.blob]);
        index.forget(&older);
        index.forget(&newer);
        assert!(index.edges().is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_read_costs_the_ways_alone() {
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("deltas");
        std::fs::write(&notes, "no folder").unwrap();
        let blobs = FolderBlobs::open(&folder.path().join("blobs")).unwrap();
        assert!(DeltaIndex::fill(&notes, &blobs).edges().is_empty());
    }
}
