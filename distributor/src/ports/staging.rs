//! Staging as the rest of the server sees it: checks what a pull fetched, compares releases for a reviewer, hands out
//! deltas. A port because tests make it fail in the middle of a pull.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sealpost_admin_api::updates::{ComparedWith, Difference};
use sealpost_keys::{PublicKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{Blob, DeltaTarget, ReleaseId, ReleaseManifest};

use super::blobs::BlobError;
use sealpost_ledger::LedgerError;

/// A release whose manifest was verified, and whose payload lies among the blobs.
#[derive(Debug, Clone)]
pub struct FetchedRelease {
    /// The manifest, verified with a release key of its package.
    pub manifest: Verified<ReleaseManifest>,
    /// The digest of the manifest's exact bytes, which lie among the blobs.
    pub digest: Sha256Digest,
    pub signer: PublicKey,
    /// The channels that point to it.
    pub channels: Vec<ChannelName>,
    /// Whether computers pass through it on their way to newer ones.
    pub mandatory: bool,
}

/// What became of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageOutcome {
    /// The ledger has it; it waits for review.
    Staged,
    /// It did not pass; the ledger has every problem.
    Refused { problems: Vec<String> },
}

/// Why staging could not do its work. Says nothing about the release; trying again is safe.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// A stored file could not be read.
    #[error("staging cannot use the stored files")]
    Blobs {
        #[from]
        source: BlobError,
    },
    /// The payload or manifest of a release that is to be staged is not there.
    #[error("staging has no {what} of {release}; pull again")]
    Absent { what: &'static str, release: String },
    #[error("staging cannot {attempted} {place}; check disk space and permissions")]
    Io { attempted: &'static str, place: String, source: io::Error },
    #[error("staging could not write to the ledger")]
    Ledger {
        #[from]
        source: LedgerError,
    },
    /// A worker thread ended.
    #[error("a staging thread ended before its work; the log says why")]
    Ended,
}

impl StagingError {
    /// The disk refused what was attempted at a place.
    pub(crate) fn io(attempted: &'static str, place: &Path, source: io::Error) -> Self {
        Self::Io { attempted, place: place.display().to_string(), source }
    }
}

/// Whether a release was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaidOut {
    /// Its files lie in the folder.
    Whole,
    /// Its manifest or payload is not here.
    Absent,
    /// What is stored of it was changed on the disk, and was put aside.
    Damaged,
}

/// What a reviewer sees of a release.
#[derive(Debug, Clone)]
pub struct Review {
    pub manifest: ReleaseManifest,
    /// The release that it is compared with: the newest approved one before it; absent for a first release.
    pub base: Option<ComparedWith>,
    /// What changes; against nothing for a first release.
    pub difference: Difference,
}

/// A delta that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredDelta {
    /// The manifest of the release that it leads from.
    pub base: Sha256Digest,
    /// The manifest of the release that it leads to.
    pub target: Sha256Digest,
    pub blob: Blob,
}

/// A delta that is open for reading, from its beginning.
#[derive(Debug)]
pub struct OpenDelta {
    pub file: File,
    /// The length of the file in bytes.
    pub length: u64,
    /// What it has to be.
    pub noted: Blob,
}

/// A delta that computers could use, and that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingDelta {
    /// The manifest of the release that it would lead from.
    pub base: Sha256Digest,
    /// The manifest of the release that it would lead to.
    pub target: Sha256Digest,
    /// The release that it would lead to.
    pub release: ReleaseId,
    /// Length of the payload that it would spare.
    pub payload_bytes: u64,
    /// Deltas of the vendor that said they were it, and were not.
    pub refused: BTreeSet<Sha256Digest>,
}

/// What a delta leads from that needs nothing: the release is packed in it, whole. No manifest has this digest.
pub const NOTHING: Sha256Digest = Sha256Digest::from_bytes([0; 32]);

/// The release that a delta leads from; `None`: it leads from nothing, however that was spelled.
#[must_use]
pub fn release_of(base: &Sha256Digest) -> Option<&Sha256Digest> {
    (*base != NOTHING).then_some(base)
}

/// Deltas by the manifest of the release that they lead to, then by that of the release that they lead from.
pub type DeltaEdges = BTreeMap<Sha256Digest, BTreeMap<Sha256Digest, Blob>>;

pub trait Staging: Send + Sync {
    /// Checks a fetched release file by file and tells the ledger. Safe to call again.
    fn take_in(&self, fetched: FetchedRelease) -> BoxFuture<'_, Result<StageOutcome, StagingError>>;

    /// Leaves so many bytes of the disk free from now on, when it makes deltas.
    fn keep_free(&self, bytes: u64);

    /// Makes the deltas that are missing, tells the ledger, and clears away what is not needed. A reconciler: safe to
    /// run twice and to kill. Answers how many deltas were made.
    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>>;

    /// Packs the releases that are not packed yet, which can take minutes each. A reconciler, as the one before. Answers how many
    /// were packed.
    fn pack(&self) -> BoxFuture<'_, Result<u32, StagingError>>;

    /// The deltas between releases that the next reconciliation would make.
    fn missing_deltas(&self) -> BoxFuture<'_, Result<Vec<MissingDelta>, StagingError>>;

    /// Remembers a delta of the vendor, whose bytes lie among the blobs, for the next reconciliation: it takes it over if it
    /// makes the target, and else refuses it.
    fn offer_delta(&self, delta: DeltaTarget, blob: Blob);

    /// What a reviewer sees; `None` if the manifest is not here.
    fn review(&self, manifest: Sha256Digest) -> BoxFuture<'_, Result<Option<Review>, StagingError>>;

    /// A manifest that was verified when it was fetched; `None` if it is not here. Reads the disk.
    ///
    /// # Errors
    /// [`StagingError`] if it is there and cannot be read, or was changed.
    fn manifest(&self, digest: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError>;

    /// Lays the files of a release out in a folder that is made for that, as they were signed, and readable for everybody. Reads
    /// and writes the disk.
    ///
    /// # Errors
    /// [`StagingError`] if it is here and cannot be laid out as it was signed.
    fn lay_out(&self, digest: &Sha256Digest, folder: &Path) -> Result<LaidOut, StagingError>;

    /// Copies one file of a release to where `into` stands, once the whole payload is what was signed; what it wrote before it
    /// says so counts for nothing. Absent too if the release has no such file. Reads the disk.
    ///
    /// # Errors
    /// [`StagingError`] if it is here and cannot be copied as it was signed.
    fn copy_file(
        &self,
        digest: &Sha256Digest,
        path: &str,
        into: &mut dyn Write,
    ) -> Result<LaidOut, StagingError>;

    /// The delta between two releases, named by their manifests; `None` if there is none. Reads the disk.
    ///
    /// # Errors
    /// [`StagingError`] if the delta is there and cannot be read.
    fn delta(&self, base: &Sha256Digest, target: &Sha256Digest) -> Result<Option<OpenDelta>, StagingError>;

    /// The deltas that clients are told of: those of containers of version 2. In memory; a blob may be gone meanwhile.
    fn edges(&self) -> Arc<DeltaEdges>;

    /// Every delta that is noted. Reads the disk.
    ///
    /// # Errors
    /// [`StagingError`] if the notes cannot be read.
    fn deltas(&self) -> Result<Vec<StoredDelta>, StagingError>;

    /// Forgets a delta; its blob stays. Blocks for the disk.
    ///
    /// # Errors
    /// [`StagingError`] if the note cannot be removed.
    fn forget_delta(&self, delta: &StoredDelta) -> Result<(), StagingError>;

    /// Removes blobs, but none that the note of a delta names by now: whoever found that nobody needs them looked before. Answers
    /// those that were removed. Blocks for the disk.
    ///
    /// # Errors
    /// [`StagingError`] if the notes cannot be read, or a blob cannot be removed; what was removed before it stays removed.
    fn remove_unnoted(&self, blobs: Vec<Blob>) -> Result<Vec<Blob>, StagingError>;
}
