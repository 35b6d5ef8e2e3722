//! Staging: checks every file of a fetched release, keeps it unpacked while deltas are made from or to it, and compares
//! releases for a reviewer.
//!
//! Invariants: a release reaches the ledger as staged only after each of its bytes was compared with its manifest; an
//! unpacked tree is a cache, which can be removed at any time and is made again from the payload.
//! Everything here is a reconciler: run twice, or killed in the middle, the result is the same.
//! Left out on purpose: removing blobs (`upstream` knows which are needed), and deltas over more than one step.

mod declined;
mod deltas;
mod index;
mod make_delta;
mod releases;
mod review;
mod trees;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sealpost_files::{PRIVATE_FOLDER, make_folder, sweep, with_causes};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Encoding, ReleaseManifest};
use sealpost_site::commands::releases::{NoteDelta, RefuseRelease, StageRelease};
use sealpost_site::rows::DeltaReleaseRow;

use self::declined::Pair;
use self::index::DeltaIndex;
use self::make_delta::MadeDelta;
use self::releases::{Comparison, comparison, delta_releases};
use self::trees::Trees;
use crate::config::Limits;
use crate::ports::blobs::{BlobStore, OpenBlob};
use crate::ports::clock::Clock;
use crate::ports::staging::{
    DeltaEdges, FetchedRelease, LaidOut, Review, StageOutcome, Staging, StagingError, StoredDelta,
};

pub use self::make_delta::{ChildCommand, ChildError, ChildTask};

/// Folder of the notes which blob is the delta between which releases.
const DELTAS: &str = "deltas";

/// The other rooms that staging needs, and how it makes deltas.
pub struct Parts {
    /// Records releases and deltas.
    pub ledger: Arc<Ledger>,
    /// Holds payloads and takes deltas.
    pub blobs: Arc<dyn BlobStore>,
    pub clock: Arc<dyn Clock>,
    /// How the process that makes deltas is started; `ChildCommand::of_this_program()` outside of tests.
    pub child: ChildCommand,
    pub limits: Limits,
}

/// Staging in a folder of the server's home.
pub struct FolderStaging {
    root: PathBuf,
    trees: Trees,
    index: Arc<DeltaIndex>,
    parts: Parts,
    /// Taking in a release and clearing trees exclude each other.
    busy: tokio::sync::Mutex<()>,
    /// Deltas that failed; tried again after a restart.
    given_up: Mutex<BTreeSet<Pair>>,
}

impl std::fmt::Debug for FolderStaging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderStaging").field("root", &self.root).finish_non_exhaustive()
    }
}

impl FolderStaging {
    /// Opens the folder, makes it if it is not there, and removes what a killed process left unfinished. The caller
    /// holds the lock of the server's home.
    pub fn open(root: &Path, parts: Parts) -> Result<Arc<Self>, StagingError> {
        let trees = Trees::open(root, Arc::clone(&parts.blobs))?;
        let deltas = root.join(DELTAS);
        make_delta_folder(&deltas)?;
        sweep(&deltas).map_err(|source| StagingError::io("clean the folder", &deltas, source))?;
        let index = Arc::new(DeltaIndex::fill(&deltas, &*parts.blobs));
        let (busy, given_up) = (tokio::sync::Mutex::new(()), Mutex::default());
        Ok(Arc::new(Self { root: root.to_owned(), trees, index, parts, busy, given_up }))
    }

    async fn stage(&self, fetched: FetchedRelease) -> Result<StageOutcome, StagingError> {
        let _busy = self.busy.lock().await;
        let (manifest, digest) = (fetched.manifest.into_inner(), fetched.digest);
        let staged = StageRelease {
            release: manifest.release.clone(),
            manifest: digest,
            kind: manifest.kind,
            counter: manifest.counter,
            severity: manifest.severity,
            channels: fetched.channels,
            signer: fetched.signer,
            payload_bytes: manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length),
            mandatory: fetched.mandatory,
        };
        let trees = self.trees.clone();
        let outcome = blocking(move || trees.unpack(&manifest, &digest)).await??;
        let now = self.parts.clock.now();
        if let Err(problems) = outcome {
            tracing::warn!(release = %staged.release, ?problems, "a release did not pass staging");
            let refused =
                RefuseRelease { release: staged.release, manifest: digest, problems: problems.clone() };
            self.parts.ledger.execute(now, refused).await?;
            return Ok(StageOutcome::Refused { problems });
        }
        let release = staged.release.clone();
        match self.parts.ledger.execute(now, staged).await {
            Ok(()) => {}
            // The ledger's rules refuse this release; the others of the pull are staged all the same.
            Err(LedgerError::Refused(problem)) => {
                tracing::warn!(%release, %problem, "the ledger refuses a release");
                return Ok(StageOutcome::Refused { problems: vec![problem.to_string()] });
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(%release, manifest = %digest.short(), "a release is staged and waits for review");
        Ok(StageOutcome::Staged)
    }

    /// Makes missing deltas and clears trees; answers how many deltas were made.
    async fn make_deltas(&self) -> Result<u32, StagingError> {
        let _busy = self.busy.lock().await;
        let releases = delta_releases(&self.parts.ledger).await?;
        let (mut made, mut pairs) = (0, BTreeSet::new());
        for (base, target) in deltas::wanted(&releases) {
            pairs.insert((base.release.manifest, target.release.manifest));
            if self.reconcile_delta(base, target).await? {
                made += 1;
            }
        }
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).retain(|pair| pairs.contains(pair));
        let (trees, keep) = (self.trees.clone(), deltas::trees_to_keep(&releases));
        let folder = self.root.join(DELTAS);
        blocking(move || trees.clear(&keep).and_then(|()| declined::clear(&folder, &pairs))).await??;
        Ok(made)
    }

    /// Makes one delta, unless it is there; answers whether it was made.
    async fn reconcile_delta(
        &self,
        base: &DeltaReleaseRow,
        target: &DeltaReleaseRow,
    ) -> Result<bool, StagingError> {
        let pair = (base.release.manifest, target.release.manifest);
        if let Some(bytes) = self.find_delta(pair).await? {
            if !target.bases.contains(&base.release.manifest) {
                // Killed after the delta was stored and before the ledger recorded it.
                self.record_delta(pair, bytes).await?;
            }
            return Ok(false);
        }
        let folder = self.root.join(DELTAS);
        let is_given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&pair);
        if is_given_up || blocking(move || declined::is_declined(&folder, &pair)).await? {
            return Ok(false);
        }
        let made = match self.make_delta(pair).await {
            Ok(Some(made)) => made,
            not_made => {
                if let Err(error) = not_made {
                    let error = with_causes(&error);
                    tracing::warn!(base = %base.release.release, target = %target.release.release, error, "cannot make a delta; clients get the payload");
                }
                self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
                return Ok(false);
            }
        };
        if !deltas::is_worth_keeping(made.blob.length, target.payload_bytes) {
            let (bytes, folder) = (made.blob.length, self.root.join(DELTAS));
            blocking(move || {
                make_delta_folder(&folder)?;
                declined::decline(&folder, &pair, bytes)
            })
            .await??;
            tracing::debug!(base = %base.release.release, target = %target.release.release, bytes = made.blob.length, payload_bytes = target.payload_bytes, "a delta saves too little to be kept");
            return Ok(false);
        }
        let (blob, blobs, folder) = (made.blob, Arc::clone(&self.parts.blobs), self.root.join(DELTAS));
        let index = Arc::clone(&self.index);
        blocking(move || {
            make_delta_folder(&folder)?;
            blobs.adopt(made.file.path(), blob)?;
            deltas::note(&folder, &pair.0, &pair.1, blob)?;
            index.note(&*blobs, &StoredDelta { base: pair.0, target: pair.1, blob });
            Ok::<_, StagingError>(())
        })
        .await??;
        self.record_delta(pair, blob.length).await?;
        tracing::info!(base = %base.release.release, target = %target.release.release, bytes = blob.length, payload_bytes = target.payload_bytes, "a delta was made");
        Ok(true)
    }

    /// The length of a delta in bytes, if it is noted and its blob is there.
    async fn find_delta(
        &self,
        (base, target): (Sha256Digest, Sha256Digest),
    ) -> Result<Option<u64>, StagingError> {
        let (blobs, folder) = (Arc::clone(&self.parts.blobs), self.root.join(DELTAS));
        blocking(move || {
            let Some(found) = deltas::find(&folder, &base, &target)? else { return Ok(None) };
            let is_there = blobs.length(&found.sha256)? == Some(found.length);
            Ok(is_there.then_some(found.length))
        })
        .await?
    }

    async fn record_delta(
        &self,
        (base, target): (Sha256Digest, Sha256Digest),
        bytes: u64,
    ) -> Result<(), LedgerError> {
        self.parts.ledger.execute(self.parts.clock.now(), NoteDelta { base, target, bytes }).await
    }

    /// Has a child process make the delta. `None`: one of the releases is no longer stored.
    async fn make_delta(
        &self,
        (base, target): (Sha256Digest, Sha256Digest),
    ) -> Result<Option<MadeDelta>, ChildError> {
        let trees = self.trees.clone();
        let folders = blocking(move || Ok((trees.tree(&base)?, trees.tree(&target)?))).await.flatten();
        let (base, target) = match folders.map_err(|source| ChildError::Trees { source: Box::new(source) })? {
            (Some(base), Some(target)) => (base, target),
            _ => return Ok(None),
        };
        self.parts.child.make(&self.root, &base, &target, &self.parts.limits).await.map(Some)
    }

    async fn compare(&self, digest: Sha256Digest) -> Result<Option<Review>, StagingError> {
        let Some(Comparison { base }) = comparison(&self.parts.ledger, &digest).await? else {
            return Ok(None);
        };
        let trees = self.trees.clone();
        blocking(move || {
            let Some(manifest) = trees.manifest(&digest)? else { return Ok(None) };
            let before = match &base {
                Some(base) => trees.manifest(&base.manifest)?,
                None => None,
            };
            let base = base.filter(|_| before.is_some());
            let files = before.as_ref().map_or(&[][..], |manifest| manifest.files.as_slice());
            let difference = review::difference(files, &manifest.files);
            Ok(Some(Review { manifest, base, difference }))
        })
        .await?
    }
}

impl Staging for FolderStaging {
    fn take_in(&self, fetched: FetchedRelease) -> BoxFuture<'_, Result<StageOutcome, StagingError>> {
        Box::pin(self.stage(fetched))
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(self.make_deltas())
    }

    fn review(&self, manifest: Sha256Digest) -> BoxFuture<'_, Result<Option<Review>, StagingError>> {
        Box::pin(self.compare(manifest))
    }

    fn manifest(&self, digest: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError> {
        self.trees.manifest(digest)
    }

    fn lay_out(&self, digest: &Sha256Digest, folder: &Path) -> Result<LaidOut, StagingError> {
        self.trees.lay_out(digest, folder)
    }

    fn copy_file(
        &self,
        digest: &Sha256Digest,
        path: &str,
        into: &mut dyn Write,
    ) -> Result<LaidOut, StagingError> {
        self.trees.copy_file(digest, path, into)
    }

    fn delta(&self, base: &Sha256Digest, target: &Sha256Digest) -> Result<Option<OpenBlob>, StagingError> {
        let Some(delta) = deltas::find(&self.root.join(DELTAS), base, target)? else { return Ok(None) };
        Ok(self.parts.blobs.open(&delta.sha256)?)
    }

    fn edges(&self) -> Arc<DeltaEdges> {
        self.index.edges()
    }

    fn deltas(&self) -> Result<Vec<StoredDelta>, StagingError> {
        deltas::all(&self.root.join(DELTAS))
    }

    fn forget_delta(&self, delta: &StoredDelta) -> Result<(), StagingError> {
        self.index.forget(delta);
        deltas::forget(&self.root.join(DELTAS), &delta.base, &delta.target)
    }
}

/// Somebody may have removed it while the server runs.
fn make_delta_folder(folder: &Path) -> Result<(), StagingError> {
    make_folder(folder, PRIVATE_FOLDER).map_err(|source| StagingError::io("make the folder", folder, source))
}

/// Runs blocking work on a thread for it.
async fn blocking<T, F>(work: F) -> Result<T, StagingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| StagingError::Ended)
}
