//! Staging: checks every file of a fetched release, keeps it unpacked while deltas are made from or to it, and knows
//! what a reviewer wants to see.
//!
//! Invariants: a release reaches the ledger as staged only after each of its bytes was held against its manifest; an
//! unpacked tree is a cache, which can be thrown away at any time and is made again from the payload.
//! Everything here is a reconciler: run twice, or killed in the middle, the result is the same.
//! Left out on purpose: removing blobs, and deltas over more than one step.

mod deltas;
mod make_delta;
mod review;
mod unpack;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::{Encoding, ReleaseManifest};

use crate::config::Limits;
use crate::ports::blobs::{BlobStore, OpenBlob};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError, ReleaseRow, ReleaseState, StagedRelease};
use crate::ports::staging::{FetchedRelease, Review, StageOutcome, Staging, StagingError};

pub use make_delta::{ChildCommand, ChildError, ChildTask};

/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: u64 = document::MAX_DOCUMENT_BYTES;
/// Unpacked releases.
const TREES: &str = "trees";
/// Which blob is the delta between which releases.
const DELTAS: &str = "deltas";
/// Unfinished things begin so; they are removed at the start.
const UNFINISHED: &str = ".unfinished-";

/// What staging is made of.
pub struct Parts {
    /// Where releases and deltas are noted.
    pub ledger: Arc<dyn Ledger>,
    /// Where payloads are and deltas go.
    pub blobs: Arc<dyn BlobStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How the process that makes deltas is started; `ChildCommand::of_this_program()` outside of tests.
    pub child: ChildCommand,
    /// Bounds.
    pub limits: Limits,
}

/// Staging in a folder of the server's home.
pub struct FolderStaging {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    parts: Parts,
    /// Taking in and clearing away exclude each other.
    busy: tokio::sync::Mutex<()>,
    /// Deltas that failed or were not worth it; tried again after a restart.
    given_up: Mutex<BTreeSet<(Sha256Digest, Sha256Digest)>>,
}

impl std::fmt::Debug for FolderStaging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FolderStaging").field("root", &self.inner.root).finish_non_exhaustive()
    }
}

impl FolderStaging {
    /// Opens the folder, makes it if it is not there, and removes what a killed process left unfinished. The caller
    /// holds the lock of the server's home.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub fn open(root: &Path, parts: Parts) -> Result<Arc<Self>, StagingError> {
        for folder in [TREES, DELTAS].map(|name| root.join(name)) {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|source| failed("make the folder", &folder, source))?;
        }
        for entry in fs::read_dir(root).map_err(|source| failed("list", root, source))? {
            let entry = entry.map_err(|source| failed("list", root, source))?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                unpack::remove(&entry.path())?;
            }
        }
        let (busy, given_up) = (tokio::sync::Mutex::new(()), Mutex::default());
        Ok(Arc::new(Self { inner: Arc::new(Inner { root: root.to_owned(), parts, busy, given_up }) }))
    }
}

impl Staging for FolderStaging {
    fn take_in(&self, fetched: FetchedRelease) -> BoxFuture<'_, Result<StageOutcome, StagingError>> {
        Box::pin(self.inner.clone().take_in(fetched))
    }

    fn reconcile(&self) -> BoxFuture<'_, Result<u32, StagingError>> {
        Box::pin(self.inner.clone().reconcile())
    }

    fn review(&self, manifest: Sha256Digest) -> BoxFuture<'_, Result<Option<Review>, StagingError>> {
        Box::pin(self.inner.clone().review(manifest))
    }

    fn delta(&self, base: &Sha256Digest, target: &Sha256Digest) -> Result<Option<OpenBlob>, StagingError> {
        let Some(delta) = deltas::find(&self.inner.root.join(DELTAS), base, target)? else { return Ok(None) };
        Ok(self.inner.parts.blobs.open(&delta.sha256)?)
    }
}

impl Inner {
    async fn take_in(self: Arc<Self>, fetched: FetchedRelease) -> Result<StageOutcome, StagingError> {
        let _busy = self.busy.lock().await;
        let (manifest, digest) = (fetched.manifest.into_inner(), fetched.digest);
        let staged = StagedRelease {
            release: manifest.release.clone(),
            manifest: digest,
            kind: manifest.kind,
            counter: manifest.counter,
            severity: manifest.severity,
            channels: fetched.channels,
            signer: fetched.signer,
            payload_bytes: manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length),
        };
        let inner = Arc::clone(&self);
        let outcome = blocking(move || inner.unpack(&manifest, &digest)).await??;
        let now = self.parts.clock.now();
        if let Err(problems) = outcome {
            tracing::warn!(release = %staged.release, ?problems, "a release did not pass staging");
            self.parts.ledger.refuse_release(now, staged.release, digest, problems.clone()).await?;
            return Ok(StageOutcome::Refused { problems });
        }
        let release = staged.release.clone();
        match self.parts.ledger.stage(now, staged).await {
            Ok(_) => {}
            // The ledger's rules say no to this release; its neighbors go on.
            Err(LedgerError::Refused(problem)) => {
                tracing::warn!(%release, %problem, "the ledger refuses a release");
                return Ok(StageOutcome::Refused { problems: vec![problem.to_string()] });
            }
            Err(error) => return Err(error.into()),
        }
        tracing::info!(%release, manifest = %digest.short(), "a release is staged and waits for review");
        Ok(StageOutcome::Staged)
    }

    async fn reconcile(self: Arc<Self>) -> Result<u32, StagingError> {
        let _busy = self.busy.lock().await;
        let rows = self.parts.ledger.releases().await?;
        let mut made = 0;
        for (base, target) in deltas::wanted(&rows) {
            if self.clone().reconcile_delta(base, target).await? {
                made += 1;
            }
        }
        let (inner, keep) = (Arc::clone(&self), deltas::trees_to_keep(&rows));
        blocking(move || inner.clear_trees(&keep)).await??;
        Ok(made)
    }

    /// Makes one delta, unless it is there; answers whether it was made.
    async fn reconcile_delta(
        self: Arc<Self>,
        base: &ReleaseRow,
        target: &ReleaseRow,
    ) -> Result<bool, StagingError> {
        let pair = (base.manifest, target.manifest);
        let noted = target.deltas.iter().any(|(from, _)| *from == base.manifest);
        let folder = self.root.join(DELTAS);
        let (inner, place) = (Arc::clone(&self), folder.clone());
        let found = blocking(move || {
            let Some(found) = deltas::find(&place, &pair.0, &pair.1)? else { return Ok(None) };
            let whole = inner.parts.blobs.length(&found.sha256)? == Some(found.length);
            Ok::<_, StagingError>(whole.then_some(found))
        })
        .await??;
        if let Some(found) = found {
            if !noted {
                // Killed between the file and the note.
                self.parts.ledger.delta_made(self.parts.clock.now(), pair.0, pair.1, found.length).await?;
            }
            return Ok(false);
        }
        if self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(&pair) {
            return Ok(false);
        }
        let made = match self.clone().make(pair).await {
            Ok(made) => made.filter(|delta| delta.blob.length < target.payload_bytes),
            Err(error) => {
                tracing::warn!(base = %base.release, target = %target.release, %error, "cannot make a delta; clients get the payload");
                None
            }
        };
        let Some(made) = made else {
            self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
            return Ok(false);
        };
        let (blob, blobs) = (made.blob, Arc::clone(&self.parts.blobs));
        blocking(move || {
            blobs.adopt(made.file.path(), blob)?;
            deltas::note(&folder, &pair.0, &pair.1, blob)
        })
        .await??;
        self.parts.ledger.delta_made(self.parts.clock.now(), pair.0, pair.1, blob.length).await?;
        tracing::info!(base = %base.release, target = %target.release, bytes = blob.length, payload_bytes = target.payload_bytes, "a delta was made");
        Ok(true)
    }

    /// Has a child process make the delta. `None`: one of the releases is not here any more.
    async fn make(
        self: Arc<Self>,
        (base, target): (Sha256Digest, Sha256Digest),
    ) -> Result<Option<make_delta::MadeDelta>, ChildError> {
        let inner = Arc::clone(&self);
        let trees =
            blocking(move || Ok((inner.tree(&base)?, inner.tree(&target)?))).await.and_then(|trees| trees);
        let (base, target) = match trees.map_err(|source| ChildError::Trees { source: Box::new(source) })? {
            (Some(base), Some(target)) => (base, target),
            _ => return Ok(None),
        };
        self.parts.child.make(&self.root, &base, &target, &self.parts.limits).await.map(Some)
    }

    async fn review(self: Arc<Self>, digest: Sha256Digest) -> Result<Option<Review>, StagingError> {
        let rows = self.parts.ledger.releases().await?;
        let Some(row) = rows.iter().find(|row| row.manifest == digest) else { return Ok(None) };
        let base = review::base_of(row, &rows).map(|row| (row.release.clone(), row.manifest));
        let inner = Arc::clone(&self);
        blocking(move || {
            let Some(manifest) = inner.manifest(&digest)? else { return Ok(None) };
            let before = match &base {
                Some((_, digest)) => inner.manifest(digest)?,
                None => None,
            };
            let base = base.filter(|_| before.is_some());
            let files = before.as_ref().map_or(&[][..], |manifest| manifest.files.as_slice());
            let difference = review::difference(files, &manifest.files);
            Ok(Some(Review { manifest, base, difference }))
        })
        .await?
    }

    /// A manifest that was verified when it came in, out of the blobs.
    fn manifest(&self, digest: &Sha256Digest) -> Result<Option<ReleaseManifest>, StagingError> {
        let Some(bytes) = self.parts.blobs.read(digest, MAX_MANIFEST_BYTES)? else { return Ok(None) };
        document::read(&bytes)
            .map(Some)
            .map_err(|error| failed("read", Path::new("a kept manifest"), io::Error::other(error)))
    }
}

/// Runs work that blocks where it may.
async fn blocking<T, F>(work: F) -> Result<T, StagingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| StagingError::Ended)
}

/// Releases whose deltas and trees are looked after.
const fn is_offered(state: ReleaseState) -> bool {
    matches!(state, ReleaseState::Staged | ReleaseState::Approved)
}

fn failed(attempted: &'static str, place: &Path, source: io::Error) -> StagingError {
    StagingError::Io { attempted, place: place.display().to_string(), source }
}
