//! The one way in which repository metadata becomes trusted.
//!
//! Invariants: nothing is returned unless the store's latch is untouched, before the work and after it; a target is
//! returned only through an unexpired chain from the pinned root at the `now` that the caller gives; versions never
//! go down, also across restarts, because the store keeps the floor.
//! Store and disk work is synchronous: use [`ReaderHandle`](crate::ReaderHandle) from an async program.
//! Left out on purpose: the clock. What `now` is, is the caller's policy.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::release::DeltaTarget;
use sigstore_tuf::{Updater, UpdaterConfig};

use crate::reading::delegations::listing_role;
use crate::reading::download::{self, Downloaded, Resume};
use crate::reading::errors::{DownloadError, OpenError, RefreshError, TargetError};
use crate::reading::guarded::{Guarded, Prefetched, Received};
use crate::reading::refusal::Refusal;
use crate::reading::store::{FailClosedStore, Latch, StoreError};
use crate::signing_time::signed_at;
use crate::target::{ExpectedDigests, ListedTarget, TargetInfo, TargetPath};
use crate::transport::Transport;

/// How many root versions one pass of the core walks before it gives up.
const ROOTS_PER_PASS: u32 = 32;
/// How many passes one refresh makes: 1,024 root versions, then the next refresh goes on from there.
const ROOT_PASSES: u32 = 32;
/// How many delegated roles a search for one target may visit.
const MAX_DELEGATIONS: u32 = 64;

/// What is trusted after a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// Version of the root.
    pub root_version: u64,
    /// Version of the timestamp: rises with every change of the repository.
    pub timestamp_version: u64,
    /// Version of the snapshot.
    pub snapshot_version: u64,
    /// Version of the top-level targets.
    pub targets_version: u64,
    /// When the root expires; long before, the vendor has to publish another.
    pub root_expires: Timestamp,
    /// When the first of timestamp, snapshot and top-level targets expires.
    pub expires: Timestamp,
    /// The owner's clock when the timestamp was signed, to the second; `None` when the owner does not say. It is as old
    /// as the timestamp: newer only when `timestamp_version` has risen.
    pub signed_at: Option<Timestamp>,
}

/// Reads one repository: pinned root, store, transport.
pub struct Reader {
    pub(super) updater: Updater,
    pub(super) store: Arc<FailClosedStore>,
    pub(super) latch: Latch,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) prefetched: Prefetched,
    pub(super) received: Received,
    pub(super) pinned_root: Vec<u8>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What a `custom` object says of a delta; nothing if it is of another shape.
fn delta_of(custom: serde_json::Value) -> Option<DeltaTarget> {
    let serde_json::Value::Object(fields) = custom else { return None };
    let text = |(key, value)| match value {
        serde_json::Value::String(text) => Some((key, text)),
        _ => None,
    };
    DeltaTarget::from_custom(&fields.into_iter().filter_map(text).collect())
}

impl Reader {
    /// A reader that trusts `pinned_root` and everything newer that its store has verified before.
    ///
    /// # Errors
    /// [`OpenError`] if the root is not one, or the store cannot be opened, is in use or is damaged.
    pub fn open(pinned_root: &[u8], store: &Path, transport: Arc<dyn Transport>) -> Result<Self, OpenError> {
        let store =
            FailClosedStore::open(store).map_err(|error| OpenError::Store { source: Arc::new(error) })?;
        let latch = store.latch();
        let (store, prefetched, received) = (Arc::new(store), Prefetched::default(), Received::default());
        let guarded = Guarded {
            transport: Arc::clone(&transport),
            latch: latch.clone(),
            prefetched: prefetched.clone(),
            received: received.clone(),
        };
        let mut config = UpdaterConfig::default();
        config.max_root_rotations = ROOTS_PER_PASS;
        config.max_delegations = MAX_DELEGATIONS;
        let updater = Updater::new(guarded, pinned_root)
            .map_err(|source| OpenError::Root { source })?
            .with_config(config)
            .with_store(Arc::clone(&store));
        latch.check().map_err(|source| OpenError::Store { source })?;
        Ok(Self { updater, store, latch, transport, prefetched, received, pinned_root: pinned_root.to_vec() })
    }

    /// Brings root, timestamp, snapshot and top-level targets up to date, as of `now`.
    ///
    /// # Errors
    /// [`RefreshError`]; then nothing newer is trusted than what had been verified until the failure.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<Refreshed, RefreshError> {
        let store_failed = |source| RefreshError::Store { source };
        self.latch.check().map_err(store_failed)?;
        self.prefetched.clear();
        self.received.clear();
        self.ask_at_once().await.map_err(store_failed)?;
        let result = self.refresh_all_roots(now).await;
        // The core swallows what the store says; a result counts only if the store has not failed.
        self.latch.check().map_err(store_failed)?;
        result.map_err(|source| RefreshError::Refused {
            refusal: Refusal::of(&source),
            location: self.received.refused_as(&source),
            source,
        })?;
        self.summary().ok_or_else(|| {
            let source = sigstore_tuf::Error::NotRefreshed;
            RefreshError::Refused { refusal: Refusal::of(&source), location: None, source }
        })
    }

    /// Looks up one of our targets. `None`: no role lists it.
    ///
    /// # Errors
    /// [`TargetError`] if a role on the way is refused, or the listing is unusable.
    pub async fn target(
        &mut self,
        name: &TargetName,
        now: Timestamp,
    ) -> Result<Option<TargetInfo>, TargetError> {
        match self.listed(name.as_str(), now).await? {
            None => Ok(None),
            Some(listed) => match TargetInfo::of(listed) {
                Some(info) => Ok(Some(info)),
                None => Err(TargetError::Unusable { name: name.to_string() }),
            },
        }
    }

    /// Looks up a target of any name, as other repositories have them. `None`: no role lists it.
    ///
    /// # Errors
    /// [`TargetError`] if a role on the way is refused, or the listing is unusable.
    pub async fn listed(&mut self, name: &str, now: Timestamp) -> Result<Option<ListedTarget>, TargetError> {
        let store_failed = |source| TargetError::Store { name: name.to_owned(), source };
        self.latch.check().map_err(store_failed)?;
        self.received.clear();
        let found = self.updater.get_target_info(name, now).await;
        self.latch.check().map_err(store_failed)?;
        let found = found.map_err(|source| TargetError::Refused {
            name: name.to_owned(),
            refusal: Refusal::of(&source),
            location: self.received.refused_as(&source),
            source,
        })?;
        let Some(found) = found else { return Ok(None) };
        let unusable = || TargetError::Unusable { name: name.to_owned() };
        let digests = ExpectedDigests::of(&found.hashes).ok_or_else(unusable)?;
        let prefix = self.updater.trusted().root().consistent_snapshot.then(|| digests.prefix());
        Ok(Some(ListedTarget {
            name: name.to_owned(),
            role: listing_role(self.updater.trusted(), name).ok_or_else(unusable)?,
            length: found.length,
            path: TargetPath::new(name, prefix.as_deref()).ok_or_else(unusable)?,
            delta: found.custom.and_then(delta_of),
            digests,
        }))
    }

    /// Downloads a target to `destination`, through `<destination>.part`, which [`Resume::Continue`] continues.
    /// `progress` gets the bytes that are there, of [`ListedTarget::length`].
    ///
    /// # Errors
    /// [`DownloadError`]; [`DownloadError::Interrupted`] keeps what is there, so that the next call resumes.
    pub async fn download(
        &self,
        target: &ListedTarget,
        destination: &Path,
        resume: Resume,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Downloaded, DownloadError> {
        download::to_file(&*self.transport, &self.latch, target, destination, resume, progress).await
    }

    /// Reads a small target (a document) into memory: looked up, bounded, and its digest checked.
    ///
    /// # Errors
    /// [`TargetError`], also if no role lists it or it has more than `max_bytes`.
    pub async fn target_bytes(
        &mut self,
        name: &TargetName,
        max_bytes: u64,
        now: Timestamp,
    ) -> Result<Vec<u8>, TargetError> {
        let not_listed = || TargetError::NotListed { name: name.to_string() };
        let info = self.target(name, now).await?.ok_or_else(not_listed)?;
        if info.length() > max_bytes {
            return Err(TargetError::TooLarge { name: name.to_string(), length: info.length(), max_bytes });
        }
        download::to_memory(&*self.transport, &self.latch, info.listed())
            .await
            .map_err(|source| TargetError::Download { name: name.to_string(), source })
    }

    /// The bytes of the newest trusted root.
    #[must_use]
    pub fn root_bytes(&self) -> &[u8] {
        self.updater.trusted().root_bytes()
    }

    /// Copies the trusted metadata, byte for byte, under unversioned names; see [`FailClosedStore::export`].
    ///
    /// # Errors
    /// The first failure of the store, or of writing there.
    pub fn export(&self, destination: &Path) -> Result<(), Arc<StoreError>> {
        self.store.export(destination)
    }

    /// Whether the store has failed, and how. Then only a new reader can go on.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<StoreError>> {
        self.latch.tripped()
    }

    /// The core stops after [`ROOTS_PER_PASS`] new roots, having kept them; so go on as long as all of them came.
    async fn refresh_all_roots(&mut self, now: Timestamp) -> sigstore_tuf::Result<()> {
        let mut pass = 1;
        loop {
            let before = self.updater.trusted().root().version;
            let result = self.updater.refresh(now).await;
            let risen = self.updater.trusted().root().version.saturating_sub(before);
            match result {
                Err(_) if risen >= u64::from(ROOTS_PER_PASS) && pass < ROOT_PASSES => pass += 1,
                other => return other,
            }
        }
    }

    fn summary(&self) -> Option<Refreshed> {
        let trusted = self.updater.trusted();
        let (timestamp, snapshot) = (trusted.timestamp()?, trusted.snapshot()?);
        let targets = trusted.targets_role("targets")?;
        Some(Refreshed {
            root_version: trusted.root().version,
            timestamp_version: timestamp.version,
            snapshot_version: snapshot.version,
            targets_version: targets.version,
            root_expires: trusted.root().expires,
            expires: timestamp.expires.min(snapshot.expires).min(targets.expires),
            signed_at: signed_at(timestamp),
        })
    }
}
