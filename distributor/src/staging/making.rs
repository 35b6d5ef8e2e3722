//! Makes the deltas that this site needs, takes those of the vendor, and packs releases.
//!
//! Everything here is a reconciler. Invariants: what failed for a moment is tried again, what would fail again is not; a delta of the vendor counts once it was
//! applied here; nothing is made into the room that has to stay free; one release or pair that fails holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::{Blob, DeltaTarget, spares_enough};
use sealpost_site::commands::releases::NoteDelta;
use sealpost_site::rows::DeltaReleaseRow;
use tokio::sync::MutexGuard;

use super::children::{First, Turns};
use super::declined::Pair;
use super::deltas;
use super::make_delta::{ChildCommand, ChildError, MadeDelta};
use super::releases::delta_releases;
use super::store::DeltaStore;
use super::trees::Trees;
use crate::config::Limits;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::staging::{MissingDelta, NOTHING, StagingError, release_of};

/// A child keeps what it made in a file of its own until it writes the whole; and the streams that it packs, which have
/// together about as many bytes as the target.
const FILES_OF_A_CHILD: u64 = 2;

/// Longest that a delta of the vendor may take to apply: releases that come meanwhile wait for it, and computers take no slower
/// one.
const CHECKED_WITHIN: Duration = Duration::from_secs(60);

/// The rooms that making deltas needs.
pub(super) struct MakerParts {
    pub(super) ledger: Arc<Ledger>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) child: ChildCommand,
    pub(super) limits: Limits,
    pub(super) trees: Trees,
}

/// Makes deltas in staging's folder.
pub(super) struct DeltaMaker {
    /// Children make their files in it.
    root: PathBuf,
    store: DeltaStore,
    parts: MakerParts,
    /// Taking in a release and clearing trees exclude each other.
    busy: tokio::sync::Mutex<()>,
    turns: Turns,
    /// As configured now; the other limits are those of the start.
    keep_free_bytes: AtomicU64,
    tries: Mutex<Tries>,
}

/// What is remembered of pairs until a restart.
#[derive(Default)]
struct Tries {
    /// Deltas that would fail again.
    given_up: BTreeSet<Pair>,
    /// Deltas of the vendor that were fetched and not looked at yet.
    offered: BTreeMap<Pair, Blob>,
    /// Deltas of the vendor that do not lead where they say.
    refused: BTreeMap<Pair, BTreeSet<Sha256Digest>>,
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

/// What became of a delta that this site needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was there, or is not to be made.
    AsBefore,
    /// It is one of the vendor's.
    Taken,
    Made,
    /// It was tried, and is not there.
    NotMade,
}

/// How a child comes to its turn.
enum Turn<'m, 'b> {
    /// A round that somebody waits for; packing makes way once it has something to do.
    First(&'b mut Option<First<'m>>),
    /// Packing; the lock is given up as soon as the unpacked releases are there: they stay while they are offered.
    Last(MutexGuard<'m, ()>),
}

impl DeltaMaker {
    /// Makes deltas in staging's folder, into a store of them.
    pub(super) fn new(root: &Path, store: DeltaStore, parts: MakerParts) -> Self {
        let (busy, turns, tries) = (tokio::sync::Mutex::new(()), Turns::new(), Mutex::default());
        let keep_free_bytes = AtomicU64::new(parts.limits.keep_free_bytes);
        Self { root: root.to_owned(), store, parts, busy, turns, keep_free_bytes, tries }
    }

    /// Keeps unpacked releases from being cleared.
    pub(super) async fn hold_trees(&self) -> MutexGuard<'_, ()> {
        self.busy.lock().await
    }

    /// Makes missing deltas and clears trees; answers how many deltas were made.
    pub(super) async fn reconcile(&self) -> Result<u32, StagingError> {
        let _busy = self.busy.lock().await;
        let releases = delta_releases(&self.parts.ledger).await?;
        let packed = deltas::packed(&releases).map(|target| WantedDelta { base: None, target }.pair());
        let (mut made, mut pairs): (_, BTreeSet<Pair>) = (0, packed.collect());
        let mut first = None;
        for (base, target) in deltas::wanted(&releases) {
            let delta = WantedDelta { base: Some(base), target };
            pairs.insert(delta.pair());
            if self.tried(&delta, Turn::First(&mut first)).await == Outcome::Made {
                made += 1;
            }
        }
        drop(first);
        self.tries(|tries| tries.keep(&pairs));
        let (trees, keep) = (self.parts.trees.clone(), deltas::trees_to_keep(&releases));
        let store = self.store.clone();
        blocking(move || trees.clear(&keep).and_then(|()| store.clear_declined(&pairs))).await??;
        Ok(made)
    }

    /// Packs what is not packed yet. A release that comes meanwhile waits for none of it, and is packed in the same round.
    pub(super) async fn pack(&self) -> Result<u32, StagingError> {
        let (mut packed, mut seen) = (0, BTreeSet::new());
        loop {
            let releases = delta_releases(&self.parts.ledger).await?;
            let mut has_changed = false;
            for target in deltas::packed(&releases) {
                if !seen.insert(target.release.manifest) {
                    continue;
                }
                let busy = self.busy.lock().await;
                let wanted = WantedDelta { base: None, target };
                match self.tried(&wanted, Turn::Last(busy)).await {
                    Outcome::AsBefore => continue,
                    Outcome::Made => packed += 1,
                    Outcome::Taken | Outcome::NotMade => {}
                }
                // That took its time: what is wanted may be another by now.
                has_changed = true;
                break;
            }
            if !has_changed {
                return Ok(packed);
            }
        }
    }

    /// Keeps another room free from now on.
    pub(super) fn keep_free(&self, bytes: u64) {
        self.keep_free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The deltas that the next reconciliation would make.
    pub(super) async fn missing(&self) -> Result<Vec<MissingDelta>, StagingError> {
        let releases = delta_releases(&self.parts.ledger).await?;
        let mut missing = Vec::new();
        for (base, target) in deltas::wanted(&releases) {
            let pair = (base.release.manifest, target.release.manifest);
            if self.find(pair).await?.is_none() {
                let refused = self.tries(|tries| tries.refused.get(&pair).cloned().unwrap_or_default());
                missing.push(MissingDelta {
                    base: pair.0,
                    target: pair.1,
                    release: target.release.release.clone(),
                    payload_bytes: target.payload_bytes,
                    refused,
                });
            }
        }
        Ok(missing)
    }

    /// Remembers a delta of the vendor for the next reconciliation.
    pub(super) fn offer(&self, DeltaTarget { base, target }: DeltaTarget, blob: Blob) {
        self.tries(|tries| tries.offered.insert((base, target), blob));
    }

    /// Sees to one delta. That it cannot be told what there is of it holds up no other one.
    async fn tried<'m>(&'m self, wanted: &WantedDelta<'_>, turn: Turn<'m, '_>) -> Outcome {
        self.reconcile_one(wanted, turn).await.unwrap_or_else(|error| {
            let (base, error) = (wanted.base_name(), with_causes(&error));
            tracing::error!(base, target = %wanted.target.release.release, error, "cannot see to a delta; clients get the payload");
            Outcome::NotMade
        })
    }

    /// Makes one delta, unless it is there.
    async fn reconcile_one<'m>(
        &'m self,
        wanted: &WantedDelta<'_>,
        mut turn: Turn<'m, '_>,
    ) -> Result<Outcome, StagingError> {
        let (pair, target) = (wanted.pair(), wanted.target);
        if let Some(bytes) = self.find(pair).await? {
            if !target.bases.contains(&pair.0) {
                // Killed after the delta was stored and before the ledger recorded it.
                self.record(pair, bytes).await?;
            }
            return Ok(Outcome::AsBefore);
        }
        let offered = self.tries(|tries| tries.offered.remove(&pair));
        if let (Some(blob), Turn::First(first)) = (offered, &mut turn)
            && self.takes(wanted, blob, first).await?
        {
            return Ok(Outcome::Taken);
        }
        let store = self.store.clone();
        if self.tries(|tries| tries.given_up.contains(&pair))
            || blocking(move || store.is_declined(&pair)).await?
        {
            return Ok(Outcome::AsBefore);
        }
        let (base, payload_bytes) = (wanted.base_name(), target.payload_bytes);
        let made = match self.make(wanted, turn).await {
            Ok(made) if spares_enough(made.blob.length, payload_bytes) => made,
            Ok(made) => {
                let bytes = made.blob.length;
                tracing::debug!(base, target = %target.release.release, bytes, payload_bytes, "a delta saves too little to be kept");
                self.decline(pair, bytes).await?;
                return Ok(Outcome::NotMade);
            }
            Err(ChildError::TooLarge { most_bytes }) => {
                tracing::debug!(base, target = %target.release.release, payload_bytes, "a delta would be larger than the payload");
                self.decline(pair, most_bytes).await?;
                return Ok(Outcome::NotMade);
            }
            Err(error) => {
                if error.is_for_good() {
                    self.tries(|tries| tries.given_up.insert(pair));
                }
                let error = with_causes(&error);
                tracing::warn!(base, target = %target.release.release, error, "cannot make a delta; clients get the payload");
                return Ok(Outcome::NotMade);
            }
        };
        let blob = made.blob;
        self.note(pair, blob, Some(made)).await?;
        self.record(pair, blob.length).await?;
        tracing::info!(base, target = %target.release.release, bytes = blob.length, payload_bytes, "a delta was made");
        Ok(Outcome::Made)
    }

    /// Takes over a delta of the vendor, if it makes the target here.
    async fn takes<'m>(
        &'m self,
        wanted: &WantedDelta<'_>,
        blob: Blob,
        first: &mut Option<First<'m>>,
    ) -> Result<bool, StagingError> {
        let (pair, target) = (wanted.pair(), &wanted.target.release.release);
        let base = wanted.base_name();
        match self.check(wanted, blob, first).await {
            Ok(()) => {}
            Err(error) => {
                let (is_for_good, error) = (error.is_for_good(), with_causes(&error));
                // Removed meanwhile, it was not wrong.
                if is_for_good && self.parts.blobs.place(&blob.sha256).is_some() {
                    self.tries(|tries| tries.refused.entry(pair).or_default().insert(blob.sha256));
                }
                tracing::warn!(base, %target, error, "a delta of the vendor is not taken over; it is made here");
                return Ok(false);
            }
        }
        self.note(pair, blob, None).await?;
        self.record(pair, blob.length).await?;
        tracing::info!(base, %target, bytes = blob.length, "a delta of the vendor is taken over");
        Ok(true)
    }

    /// Has a child process apply a delta of the vendor.
    async fn check<'m>(
        &'m self,
        wanted: &WantedDelta<'_>,
        blob: Blob,
        first: &mut Option<First<'m>>,
    ) -> Result<(), ChildError> {
        let (base, target) = self.unpacked(wanted, 0).await?;
        let (Some(base), Some(delta)) = (base, self.parts.blobs.place(&blob.sha256)) else {
            return Err(ChildError::Gone);
        };
        let first = first.get_or_insert_with(|| self.turns.go_first());
        let delta_time = self.parts.limits.delta_time.min(CHECKED_WITHIN);
        let limits = Limits { delta_time, ..self.parts.limits };
        let checked = self.parts.child.check(&self.root, &base, &target, &delta, &limits);
        first.run(checked).await.map_err(|error| self.excuse(error, &[&base, &target], 0))
    }

    /// Has a child process make the delta.
    async fn make<'m>(
        &'m self,
        wanted: &WantedDelta<'_>,
        turn: Turn<'m, '_>,
    ) -> Result<MadeDelta, ChildError> {
        let payload_bytes = wanted.target.payload_bytes;
        let trees = self.parts.trees.clone();
        let manifest = wanted.target.release.manifest;
        let streams = blocking(move || trees.installed_bytes(&manifest)).await.flatten();
        let streams = streams.map_err(|source| ChildError::Trees { source: Box::new(source) })?;
        let needed = payload_bytes.saturating_mul(FILES_OF_A_CHILD).saturating_add(streams);
        let (base, target) = self.unpacked(wanted, needed).await?;
        let (child, limits) = (&self.parts.child, &self.parts.limits);
        let make = || child.make(&self.root, base.as_deref(), &target, payload_bytes, limits);
        let made = match turn {
            Turn::First(first) => first.get_or_insert_with(|| self.turns.go_first()).run(make()).await,
            Turn::Last(busy) => {
                drop(busy);
                self.turns.last(make).await
            }
        };
        let trees: Vec<&Path> = base.iter().map(PathBuf::as_path).chain([target.as_path()]).collect();
        made.map_err(|error| self.excuse(error, &trees, needed))
    }

    /// The folders of the unpacked releases, if there is room for them and for what is made of them.
    async fn unpacked(
        &self,
        wanted: &WantedDelta<'_>,
        bytes: u64,
    ) -> Result<(Option<PathBuf>, PathBuf), ChildError> {
        let (trees, (base, target)) = (self.parts.trees.clone(), wanted.pair());
        let (root, keep) = (self.root.clone(), self.keep_free_bytes.load(Ordering::Relaxed));
        let folders = blocking(move || {
            let releases: Vec<Sha256Digest> =
                release_of(&base).copied().into_iter().chain([target]).collect();
            let mut needed = bytes;
            for release in &releases {
                needed = needed.saturating_add(trees.bytes_to_unpack(release)?);
            }
            let free = free_bytes(&root)?;
            if free < needed.saturating_add(keep) {
                return Ok(Err(ChildError::NoRoom { needed, keep, free }));
            }
            let base = release_of(&base).map(|base| trees.tree(base)).transpose()?;
            Ok(Ok((base, trees.tree(&target)?)))
        });
        match folders.await.flatten().map_err(|source| ChildError::Trees { source: Box::new(source) })?? {
            (Some(None), _) | (_, None) => Err(ChildError::Gone),
            (base, Some(target)) => Ok((base.flatten(), target)),
        }
    }

    /// Why a child failed, where that was not for what it worked on.
    fn excuse(&self, error: ChildError, trees: &[&Path], needed: u64) -> ChildError {
        if !matches!(error, ChildError::Failed { .. }) {
            return error;
        }
        if trees.iter().any(|tree| !tree.is_dir()) {
            return ChildError::Gone;
        }
        let keep = self.keep_free_bytes.load(Ordering::Relaxed);
        match free_bytes(&self.root) {
            Ok(free) if free < needed.saturating_add(keep) => ChildError::NoRoom { needed, keep, free },
            _ => error,
        }
    }

    async fn find(&self, pair: Pair) -> Result<Option<u64>, StagingError> {
        let store = self.store.clone();
        blocking(move || store.find(&pair)).await?
    }

    async fn note(&self, pair: Pair, blob: Blob, made: Option<MadeDelta>) -> Result<(), StagingError> {
        let store = self.store.clone();
        blocking(move || store.note(pair, blob, made)).await?
    }

    async fn decline(&self, pair: Pair, bytes: u64) -> Result<(), StagingError> {
        let store = self.store.clone();
        blocking(move || store.decline(&pair, bytes)).await?
    }

    /// Has the ledger record a delta between two releases. One from nothing is another form of the payload, and the log says
    /// nothing of those.
    async fn record(&self, (base, target): Pair, bytes: u64) -> Result<(), LedgerError> {
        if base == NOTHING {
            return Ok(());
        }
        self.parts.ledger.execute(self.parts.clock.now(), NoteDelta { base, target, bytes }).await
    }

    fn tries<T>(&self, change: impl FnOnce(&mut Tries) -> T) -> T {
        change(&mut self.tries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tries {
    /// Forgets pairs that are not wanted any more.
    fn keep(&mut self, pairs: &BTreeSet<Pair>) {
        self.given_up.retain(|pair| pairs.contains(pair));
        self.offered.retain(|pair, _| pairs.contains(pair));
        self.refused.retain(|pair, _| pairs.contains(pair));
    }
}

/// Bytes that the server may still write to the disk of a folder.
fn free_bytes(folder: &Path) -> Result<u64, StagingError> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(|error| StagingError::io("look at the disk of", folder, io::Error::from(error)))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Runs blocking work on a thread for it.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, StagingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(|_| StagingError::Ended)
}
