//! Staging: checks every file of a fetched release, keeps it unpacked while deltas are made from or to it, and compares
//! releases for a reviewer.
//!
//! Invariants: a release reaches the ledger as staged only after each of its bytes was compared with its manifest; an
//! unpacked tree is a cache, which can be removed at any time and is made again from the payload.
//! Everything here is a reconciler: run twice, or killed in the middle, the result is the same.
//! Left out on purpose: removing blobs (`upstream` knows which are needed), and deltas over more than one step.

mod children;
mod declined;
mod deltas;
mod index;
mod make_delta;
mod making;
mod releases;
mod review;
mod store;
mod trees;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Blob, DeltaTarget, Encoding, ReleaseManifest};
use sealpost_site::commands::releases::{RefuseRelease, StageRelease};

use self::making::{DeltaMaker, MakerParts, blocking};
use self::releases::{Comparison, comparison};
use self::store::DeltaStore;
use self::trees::Trees;
use crate::config::Limits;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::staging::{
    DeltaEdges, FetchedRelease, LaidOut, MissingDelta, OpenDelta, Review, StageOutcome, Staging,
    StagingError, StoredDelta,
};

pub use self::make_delta::{ChildCommand, ChildError, ChildTask, ChildWork};

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
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    deltas: DeltaStore,
    maker: DeltaMaker,
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
        let Parts { ledger, blobs, clock, child, limits } = parts;
        let trees = Trees::open(root, Arc::clone(&blobs))?;
        let deltas = DeltaStore::open(root, Arc::clone(&blobs))?;
        let maker = MakerParts {
            ledger: Arc::clone(&ledger),
            blobs,
            clock: Arc::clone(&clock),
            child,
            limits,
            trees: trees.clone(),
        };
        let maker = DeltaMaker::new(root, deltas.clone(), maker);
        Ok(Arc::new(Self { root: root.to_owned(), trees, ledger, clock, deltas, maker }))
    }

    async fn stage(&self, fetched: FetchedRelease) -> Result<StageOutcome, StagingError> {
        let _trees_stay = self.maker.hold_trees().await;
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
        let now = self.clock.now();
        if let Err(problems) = outcome {
            tracing::warn!(release = %staged.release, ?problems, "a release did not pass staging");
            let refused =
                RefuseRelease { release: staged.release, manifest: digest, problems: problems.clone() };
            self.ledger.execute(now, refused).await?;
            return Ok(StageOutcome::Refused { problems });
        }
        let release = staged.release.clone();
        match self.ledger.execute(now, staged).await {
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

    async fn compare(&self, digest: Sha256Digest) -> Result<Option<Review>, StagingError> {
        let Some(Comparison { base }) = comparison(&self.ledger, &digest).await? else {
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

    fn keep_free(&self, bytes: u64) {
        self.maker.keep_free(bytes);
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(self.maker.reconcile())
    }

    fn pack(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(self.maker.pack())
    }

    fn missing_deltas(&self) -> BoxFuture<'_, Result<Vec<MissingDelta>, StagingError>> {
        Box::pin(self.maker.missing())
    }

    fn offer_delta(&self, delta: DeltaTarget, blob: Blob) {
        self.maker.offer(delta, blob);
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

    fn delta(&self, base: &Sha256Digest, target: &Sha256Digest) -> Result<Option<OpenDelta>, StagingError> {
        self.deltas.delta(base, target)
    }

    fn edges(&self) -> Arc<DeltaEdges> {
        self.deltas.edges()
    }

    fn deltas(&self) -> Result<Vec<StoredDelta>, StagingError> {
        self.deltas.all()
    }

    fn forget_delta(&self, delta: &StoredDelta) -> Result<(), StagingError> {
        self.deltas.forget(delta)
    }

    fn remove_unnoted(&self, blobs: Vec<Blob>) -> Result<Vec<Blob>, StagingError> {
        self.deltas.remove_unnoted(blobs)
    }
}
