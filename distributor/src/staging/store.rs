//! The deltas that are here: blobs, and notes which releases each one is between.
//!
//! Invariants: a note is written after its blob is on disk, and no blob is removed that a note names; what clients are told of
//! follows every note. Everything here blocks for the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_files::{PRIVATE_FOLDER, make_folder, sweep};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;

use super::declined::{self, Pair};
use super::deltas;
use super::index::DeltaIndex;
use super::make_delta::MadeDelta;
use crate::ports::blobs::BlobStore;
use crate::ports::staging::{DeltaEdges, OpenDelta, StagingError, StoredDelta};

/// Folder of the notes which blob is the delta between which releases.
const DELTAS: &str = "deltas";

/// The deltas in staging's folder and among the blobs.
#[derive(Clone)]
pub(super) struct DeltaStore {
    folder: PathBuf,
    blobs: Arc<dyn BlobStore>,
    index: Arc<DeltaIndex>,
    /// Held while a blob is stored and noted, and while blobs are removed that nobody noted.
    noting: Arc<Mutex<()>>,
}

impl DeltaStore {
    /// Makes the folder of notes in staging's folder, and removes what a killed process left unfinished there.
    pub(super) fn open(root: &Path, blobs: Arc<dyn BlobStore>) -> Result<Self, StagingError> {
        let folder = root.join(DELTAS);
        make_note_folder(&folder)?;
        sweep(&folder).map_err(|source| StagingError::io("clean the folder", &folder, source))?;
        let index = Arc::new(DeltaIndex::fill(&folder, &*blobs));
        Ok(Self { folder, blobs, index, noting: Arc::default() })
    }

    /// Notes a delta whose blob is there, or is what was made.
    pub(super) fn note(&self, pair: Pair, blob: Blob, made: Option<MadeDelta>) -> Result<(), StagingError> {
        make_note_folder(&self.folder)?;
        let _nothing_is_removed = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made {
            self.blobs.adopt(made.file.path(), blob)?;
        }
        deltas::note(&self.folder, &pair.0, &pair.1, blob)?;
        self.index.note(&*self.blobs, &StoredDelta { base: pair.0, target: pair.1, blob });
        Ok(())
    }

    /// The length of a delta in bytes, if it is noted and its blob is there.
    pub(super) fn find(&self, (base, target): &Pair) -> Result<Option<u64>, StagingError> {
        let Some(found) = deltas::find(&self.folder, base, target)? else { return Ok(None) };
        let is_there = self.blobs.length(&found.sha256)? == Some(found.length);
        Ok(is_there.then_some(found.length))
    }

    pub(super) fn delta(
        &self,
        base: &Sha256Digest,
        target: &Sha256Digest,
    ) -> Result<Option<OpenDelta>, StagingError> {
        let Some(noted) = deltas::find(&self.folder, base, target)? else { return Ok(None) };
        let open = self.blobs.open(&noted.sha256)?;
        Ok(open.map(|open| OpenDelta { file: open.file, length: open.length, noted }))
    }

    pub(super) fn edges(&self) -> Arc<DeltaEdges> {
        self.index.edges()
    }

    pub(super) fn all(&self) -> Result<Vec<StoredDelta>, StagingError> {
        deltas::all(&self.folder)
    }

    pub(super) fn forget(&self, delta: &StoredDelta) -> Result<(), StagingError> {
        self.index.forget(delta);
        deltas::forget(&self.folder, &delta.base, &delta.target)
    }

    /// Removes blobs but those that a note names by now; answers which were removed.
    pub(super) fn remove_unnoted(&self, blobs: Vec<Blob>) -> Result<Vec<Blob>, StagingError> {
        let _nothing_is_noted = self.noting.lock().unwrap_or_else(PoisonError::into_inner);
        let noted: BTreeSet<Sha256Digest> = self.all()?.into_iter().map(|delta| delta.blob.sha256).collect();
        let mut removed = blobs;
        removed.retain(|blob| !noted.contains(&blob.sha256));
        removed.iter().try_for_each(|blob| self.blobs.remove(&blob.sha256))?;
        Ok(removed)
    }

    /// Whether the delta of a pair was made and not kept.
    pub(super) fn is_declined(&self, pair: &Pair) -> bool {
        declined::is_declined(&self.folder, pair)
    }

    /// Notes that the delta of a pair, of so many bytes, is not kept.
    pub(super) fn decline(&self, pair: &Pair, bytes: u64) -> Result<(), StagingError> {
        make_note_folder(&self.folder)?;
        declined::decline(&self.folder, pair, bytes)
    }

    /// Forgets what was declined of pairs that are no longer wanted.
    pub(super) fn clear_declined(&self, wanted: &BTreeSet<Pair>) -> Result<(), StagingError> {
        declined::clear(&self.folder, wanted)
    }
}

/// Somebody may have removed it while the server runs.
fn make_note_folder(folder: &Path) -> Result<(), StagingError> {
    make_folder(folder, PRIVATE_FOLDER).map_err(|source| StagingError::io("make the folder", folder, source))
}
