//! The one door through which repository metadata becomes trusted.
//!
//! Invariants: nothing is returned unless the store's latch is untouched, before the work and after it; a target is
//! returned only through an unexpired chain from the pinned root at the `now` that the caller gives; versions never
//! go down, also across restarts, because the store keeps the floor.
//! Store and disk work is synchronous: use [`ReaderHandle`](crate::ReaderHandle) from an async program.
//! Left out on purpose: the clock. What `now` is, is the caller's policy.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use sigstore_tuf::{Targets, TrustedMetadataSet, Updater, UpdaterConfig};

use crate::download::{self, DownloadError, Downloaded, Resume};
use crate::guarded::{AtHand, Guarded};
use crate::handle::Gone;
use crate::refusal::Refusal;
use crate::store::{FailClosedStore, Latch, StoreError};
use crate::target::{ExpectedDigests, ListedTarget, TargetInfo, TargetPath};
use crate::transport::Transport;
use sealpost_manifests::ids::TargetName;

/// How many root versions one pass of the core walks before it gives up.
const ROOTS_PER_PASS: u32 = 32;
/// How many passes one refresh makes: 1,024 root versions, then the next refresh goes on from there.
const ROOT_PASSES: u32 = 32;
/// How many delegated roles a search for one target may visit.
const MAX_DELEGATIONS: u32 = 64;

/// Why a reader could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The pinned root is not a root, or not signed by itself.
    #[error("the pinned root cannot be used; get root.json from the vendor again")]
    Root {
        /// What is wrong with it.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// The metadata store failed.
    #[error("cannot open the record of trusted metadata")]
    Store {
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// No thread or runtime for a [`ReaderHandle`](crate::ReaderHandle).
    #[error("cannot start the thread of the metadata reader; check the limits of this process")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The thread ended while opening.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why the metadata was not refreshed. What was trusted before still is.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The repository's metadata was refused, or could not be had.
    #[error("cannot refresh the vendor's metadata ({refusal}); {}", refusal.hint())]
    Refused {
        /// Why, as a stable code.
        refusal: Refusal,
        /// The verification core's or the transport's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot refresh the vendor's metadata, because the record of what was trusted before has failed")]
    Store {
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl RefreshError {
    /// The reason as a stable code; `None` if the reader's thread has ended.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Store { .. } => Some(Refusal::StoreFailed),
            Self::Gone(_) => None,
        }
    }
}

/// Why a target could not be looked up or read.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No role lists it.
    #[error(
        "the vendor's metadata lists no target {name:?}; refresh, or ask the vendor whether it was published"
    )]
    NotListed {
        /// Its name.
        name: String,
    },
    /// It is listed in a way that is not ours: no SHA-256, or a name that could leave a folder.
    #[error("the vendor's metadata lists target {name:?} without a usable name or digest; ask the vendor")]
    Unusable {
        /// Its name.
        name: String,
    },
    /// A role on the way to it was refused, or could not be had.
    #[error("cannot look up target {name:?} ({refusal}); {}", refusal.hint())]
    Refused {
        /// Its name.
        name: String,
        /// Why, as a stable code.
        refusal: Refusal,
        /// The verification core's or the transport's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A document is larger than its kind may be.
    #[error("target {name:?} has {length} bytes, more than the {max_bytes} that such a document may have")]
    TooLarge {
        /// Its name.
        name: String,
        /// Its listed length.
        length: u64,
        /// The bound.
        max_bytes: u64,
    },
    /// Its bytes could not be had, or are not the listed ones.
    #[error("cannot read target {name:?}")]
    Download {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: DownloadError,
    },
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot look up target {name:?}, because the record of what was trusted before has failed")]
    Store {
        /// Its name.
        name: String,
        /// The first failure.
        #[source]
        source: Arc<StoreError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

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
}

/// Reads one repository: pinned root, store, transport.
pub struct Reader {
    pub(crate) updater: Updater,
    pub(crate) store: Arc<FailClosedStore>,
    pub(crate) latch: Latch,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) at_hand: AtHand,
    pub(crate) pinned_root: Vec<u8>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("store", &self.store).finish_non_exhaustive()
    }
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
        let (store, at_hand) = (Arc::new(store), AtHand::default());
        let guarded =
            Guarded { transport: Arc::clone(&transport), latch: latch.clone(), at_hand: at_hand.clone() };
        let mut config = UpdaterConfig::default();
        config.max_root_rotations = ROOTS_PER_PASS;
        config.max_delegations = MAX_DELEGATIONS;
        let updater = Updater::new(guarded, pinned_root)
            .map_err(|source| OpenError::Root { source })?
            .with_config(config)
            .with_store(Arc::clone(&store));
        latch.check().map_err(|source| OpenError::Store { source })?;
        Ok(Self { updater, store, latch, transport, at_hand, pinned_root: pinned_root.to_vec() })
    }

    /// Brings root, timestamp, snapshot and top-level targets up to date, as of `now`.
    ///
    /// # Errors
    /// [`RefreshError`]; then nothing newer is trusted than what had been verified until the failure.
    pub async fn refresh(&mut self, now: Timestamp) -> Result<Refreshed, RefreshError> {
        let store_failed = |source| RefreshError::Store { source };
        self.latch.check().map_err(store_failed)?;
        self.at_hand.clear();
        let result = self.refresh_all_roots(now).await;
        // The core swallows what the store says; a result counts only if the store has not failed.
        self.latch.check().map_err(store_failed)?;
        result.map_err(|source| RefreshError::Refused { refusal: Refusal::of(&source), source })?;
        self.summary().ok_or_else(|| {
            let source = sigstore_tuf::Error::NotRefreshed;
            RefreshError::Refused { refusal: Refusal::of(&source), source }
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
        let found = self.updater.get_target_info(name, now).await;
        self.latch.check().map_err(store_failed)?;
        let found = found.map_err(|source| TargetError::Refused {
            name: name.to_owned(),
            refusal: Refusal::of(&source),
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
        })
    }
}

/// The role whose listing the core has just returned: the same walk, over roles that are loaded by now.
fn listing_role(trusted: &TrustedMetadataSet, name: &str) -> Option<String> {
    let mut to_visit = vec!["targets".to_owned()];
    let mut visited: Vec<String> = Vec::new();
    while let Some(role) = to_visit.pop() {
        if visited.contains(&role) {
            continue;
        }
        let Some(targets) = trusted.targets_role(&role) else { continue };
        if targets.target(name).is_some() {
            return Some(role);
        }
        let (children, terminated) = matching_children(targets, name);
        visited.push(role);
        if terminated {
            to_visit.clear();
        }
        to_visit.extend(children.into_iter().rev());
    }
    None
}

fn matching_children(targets: &Targets, name: &str) -> (Vec<String>, bool) {
    let mut children = Vec::new();
    for child in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
        let top_level = matches!(child.name.as_str(), "root" | "timestamp" | "snapshot" | "targets");
        if !top_level && child.matches_path(name).unwrap_or(false) {
            children.push(child.name.clone());
            if child.terminating {
                return (children, true);
            }
        }
    }
    (children, false)
}
