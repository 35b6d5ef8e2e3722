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
mod vendor;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sealpost_files::{PRIVATE_FOLDER, make_folder, sweep, with_causes};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Blob, DeltaTarget, Encoding, ReleaseManifest, spares_enough};
use sealpost_site::commands::releases::{NoteDelta, RefuseRelease, StageRelease};
use sealpost_site::rows::DeltaReleaseRow;
use tokio::sync::MutexGuard;

use self::declined::Pair;
use self::index::DeltaIndex;
use self::make_delta::MadeDelta;
use self::releases::{Comparison, comparison, delta_releases};
use self::trees::Trees;
use crate::config::Limits;
use crate::ports::blobs::{BlobStore, OpenBlob};
use crate::ports::clock::Clock;
use crate::ports::staging::{
    DeltaEdges, FetchedRelease, LaidOut, MissingDelta, NOTHING, Review, StageOutcome, Staging, StagingError,
    StoredDelta,
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

/// A delta that this site needs.
struct WantedDelta<'a> {
    /// Absent where the delta leads from nothing.
    base: Option<&'a DeltaReleaseRow>,
    target: &'a DeltaReleaseRow,
}

impl WantedDelta<'_> {
    fn pair(&self) -> Pair {
        (self.base.map_or(NOTHING, |base| base.release.manifest), self.target.release.manifest)
    }

    /// What people are told that it leads from.
    fn base_name(&self) -> String {
        self.base.map_or_else(|| "nothing".to_owned(), |base| base.release.release.to_string())
    }
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
        let packed = deltas::packed(&releases).map(|target| WantedDelta { base: None, target }.pair());
        let (mut made, mut pairs): (_, BTreeSet<Pair>) = (0, packed.collect());
        for (base, target) in deltas::wanted(&releases) {
            let delta = WantedDelta { base: Some(base), target };
            pairs.insert(delta.pair());
            if self.reconcile_delta(&delta, None).await? {
                made += 1;
            }
        }
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).retain(|pair| pairs.contains(pair));
        let (trees, keep) = (self.trees.clone(), deltas::trees_to_keep(&releases));
        let folder = self.root.join(DELTAS);
        blocking(move || trees.clear(&keep).and_then(|()| declined::clear(&folder, &pairs))).await??;
        Ok(made)
    }

    /// Packs what is not packed yet. A release that comes meanwhile waits for none of it.
    async fn pack_releases(&self) -> Result<u32, StagingError> {
        let releases = delta_releases(&self.parts.ledger).await?;
        let mut packed = 0;
        for target in deltas::packed(&releases) {
            let busy = self.busy.lock().await;
            if self.reconcile_delta(&WantedDelta { base: None, target }, Some(busy)).await? {
                packed += 1;
            }
        }
        Ok(packed)
    }

    /// Makes one delta, unless it is there; answers whether it was made.
    /// `busy` is given up as soon as the unpacked releases are there: they stay while they are offered.
    async fn reconcile_delta(
        &self,
        wanted: &WantedDelta<'_>,
        busy: Option<MutexGuard<'_, ()>>,
    ) -> Result<bool, StagingError> {
        let (pair, target) = (wanted.pair(), wanted.target);
        if let Some(bytes) = self.find_delta(pair).await? {
            if !target.bases.contains(&pair.0) {
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
        let (base, payload_bytes) = (wanted.base_name(), target.payload_bytes);
        let made = match self.make_delta(wanted, busy).await {
            Ok(Some(made)) => made,
            not_made => {
                if let Err(error) = not_made {
                    let error = with_causes(&error);
                    tracing::warn!(base, target = %target.release.release, error, "cannot make a delta; clients get the payload");
                }
                self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
                return Ok(false);
            }
        };
        let (blob, folder) = (made.blob, self.root.join(DELTAS));
        if !spares_enough(blob.length, payload_bytes) {
            tracing::debug!(base, target = %target.release.release, bytes = blob.length, payload_bytes, "a delta saves too little to be kept");
            blocking(move || {
                make_delta_folder(&folder)?;
                declined::decline(&folder, &pair, blob.length)
            })
            .await??;
            return Ok(false);
        }
        let (blobs, index) = (Arc::clone(&self.parts.blobs), Arc::clone(&self.index));
        blocking(move || {
            make_delta_folder(&folder)?;
            blobs.adopt(made.file.path(), blob)?;
            deltas::note(&folder, &pair.0, &pair.1, blob)?;
            index.note(&*blobs, &StoredDelta { base: pair.0, target: pair.1, blob });
            Ok::<_, StagingError>(())
        })
        .await??;
        self.record_delta(pair, blob.length).await?;
        tracing::info!(base, target = %target.release.release, bytes = blob.length, payload_bytes, "a delta was made");
        Ok(true)
    }

    async fn missing(&self) -> Result<Vec<MissingDelta>, StagingError> {
        let releases = delta_releases(&self.parts.ledger).await?;
        let mut missing = Vec::new();
        for (base, target) in deltas::wanted(&releases) {
            let pair = (base.release.manifest, target.release.manifest);
            if self.find_delta(pair).await?.is_none() {
                let payload_bytes = target.payload_bytes;
                missing.push(MissingDelta { base: pair.0, target: pair.1, payload_bytes });
            }
        }
        Ok(missing)
    }

    async fn take_over(&self, delta: DeltaTarget, blob: Blob) -> Result<bool, StagingError> {
        let _busy = self.busy.lock().await;
        let DeltaTarget { base, target } = delta;
        let (folder, blobs, index) =
            (self.root.join(DELTAS), Arc::clone(&self.parts.blobs), Arc::clone(&self.index));
        let is_taken = blocking(move || {
            if !vendor::leads_there(&*blobs, delta, blob)? {
                return Ok(false);
            }
            make_delta_folder(&folder)?;
            deltas::note(&folder, &base, &target, blob)?;
            index.note(&*blobs, &StoredDelta { base, target, blob });
            Ok::<_, StagingError>(true)
        })
        .await??;
        if is_taken {
            self.record_delta((base, target), blob.length).await?;
            tracing::info!(base = %base.short(), target = %target.short(), bytes = blob.length, "a delta of the vendor is taken over");
        }
        Ok(is_taken)
    }

    /// The length of a delta in bytes, if it is noted and its blob is there.
    async fn find_delta(&self, (base, target): Pair) -> Result<Option<u64>, StagingError> {
        let (blobs, folder) = (Arc::clone(&self.parts.blobs), self.root.join(DELTAS));
        blocking(move || {
            let Some(found) = deltas::find(&folder, &base, &target)? else { return Ok(None) };
            let is_there = blobs.length(&found.sha256)? == Some(found.length);
            Ok(is_there.then_some(found.length))
        })
        .await?
    }

    /// Has the ledger record a delta between two releases. One from nothing is another form of the payload, and the log says
    /// nothing of those.
    async fn record_delta(&self, (base, target): Pair, bytes: u64) -> Result<(), LedgerError> {
        if base == NOTHING {
            return Ok(());
        }
        self.parts.ledger.execute(self.parts.clock.now(), NoteDelta { base, target, bytes }).await
    }

    /// Has a child process make the delta. `None`: one of the releases is no longer stored.
    async fn make_delta(
        &self,
        wanted: &WantedDelta<'_>,
        busy: Option<MutexGuard<'_, ()>>,
    ) -> Result<Option<MadeDelta>, ChildError> {
        let (trees, target) = (self.trees.clone(), wanted.target.release.manifest);
        let base = wanted.base.map(|base| base.release.manifest);
        let folders = blocking(move || {
            let base = base.map(|base| trees.tree(&base)).transpose()?;
            Ok((base, trees.tree(&target)?))
        });
        let folders = folders.await.flatten();
        let (base, target) = match folders.map_err(|source| ChildError::Trees { source: Box::new(source) })? {
            (Some(None), _) | (_, None) => return Ok(None),
            (base, Some(target)) => (base.flatten(), target),
        };
        drop(busy);
        self.parts.child.make(&self.root, base.as_deref(), &target, &self.parts.limits).await.map(Some)
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

    fn pack(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(self.pack_releases())
    }

    fn missing_deltas(&self) -> BoxFuture<'_, Result<Vec<MissingDelta>, StagingError>> {
        Box::pin(self.missing())
    }

    fn take_delta(&self, delta: DeltaTarget, blob: Blob) -> BoxFuture<'_, Result<bool, StagingError>> {
        Box::pin(self.take_over(delta, blob))
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
