//! What a pull works with: stores, ledger, clock and limits, and the vendor's trust document of the last good pull.
//!
//! Invariant: the trust document comes from verified metadata only: from a pull that succeeded, or at the start from
//! the bytes whose digest the mirror's index has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sealpost_admin_api::storage::StorageSummary;
use sealpost_files::{PRIVATE_FOLDER, make_folder};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::trust::TrustDocument;
use sealpost_repository::{Pace, Transport};

use super::error::UpstreamError;
use super::kept_trust;
use super::mirror::Mirror;
use super::stored::NoteFile;
use crate::config::{Limits, Settings, Storage};
use crate::home::Home;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::staging::Staging;
use crate::ports::upstream::Missing;
use sealpost_ledger::Ledger;

/// The other rooms that an upstream needs.
pub struct Parts {
    /// Records pulls and what they did with releases.
    pub ledger: Arc<Ledger>,
    /// Stores documents and payloads.
    pub blobs: Arc<dyn BlobStore>,
    /// Checks and unpacks what was fetched.
    pub staging: Arc<dyn Staging>,
    pub clock: Arc<dyn Clock>,
    /// Reaches the vendor; see [`super::vendor_transport`].
    pub transport: Arc<dyn Transport>,
    /// What the transport keeps to.
    pub pace: Arc<Pace>,
}

/// What of the configuration a running server takes over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    /// How often to pull.
    pub(super) every: Duration,
    pub(super) limits: Limits,
    pub(super) storage: Storage,
}

/// Who wants a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A person asked: releases that were refused before are examined again.
    Person,
    Schedule,
}

/// What pulls work with.
pub(super) struct Context {
    pub(super) ledger: Arc<Ledger>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) staging: Arc<dyn Staging>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) mirror: Arc<Mirror>,
    /// Folder of payloads that are being fetched.
    pub(super) downloads: PathBuf,
    /// Folder in which the reader records what it trusted before.
    pub(super) tuf_store: PathBuf,
    pub(super) pinned_root: Vec<u8>,
    pub(super) pace: Arc<Pace>,
    pub(super) staging_folder: PathBuf,
    pub(super) log_folder: PathBuf,
    /// Where it is remembered since when stored files are not needed.
    pub(super) storage_note: Arc<NoteFile>,
    live: RwLock<Live>,
    missing: RwLock<Missing>,
    /// The blobs that had been found damaged when `missing` was found.
    aside: RwLock<BTreeSet<Sha256Digest>>,
    stored: RwLock<Option<StorageSummary>>,
    trust: RwLock<Option<Arc<TrustDocument>>>,
}

impl Context {
    pub(super) fn open(
        home: &Home,
        settings: &Settings,
        pinned_root: Vec<u8>,
        parts: Parts,
    ) -> Result<Self, UpstreamError> {
        let mirror = Arc::new(Mirror::open(&home.mirror())?);
        let downloads = home.downloads();
        make_downloads(&downloads)?;
        let trust = kept_trust::load(&mirror, &*parts.blobs).map(Arc::new);
        if let Some(trust) = &trust {
            parts.ledger.adopt_trust(Arc::clone(trust));
        }
        Ok(Self {
            ledger: parts.ledger,
            blobs: parts.blobs,
            staging: parts.staging,
            clock: parts.clock,
            transport: parts.transport,
            mirror,
            downloads,
            tuf_store: home.tuf_store(),
            pinned_root,
            pace: parts.pace,
            staging_folder: home.staging(),
            log_folder: home.log_folder(),
            storage_note: Arc::new(NoteFile::at(home.storage_note())),
            live: RwLock::new(Live::of(settings)),
            missing: RwLock::default(),
            aside: RwLock::default(),
            stored: RwLock::default(),
            trust: RwLock::new(trust),
        })
    }

    /// Makes the folders anew that somebody removed while the server runs.
    pub(super) fn make_folders(&self) -> Result<(), UpstreamError> {
        make_downloads(&self.downloads)
    }

    pub(super) fn missing(&self) -> Missing {
        self.missing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `aside` are the blobs that were found damaged up to now.
    pub(super) fn set_missing(&self, names: Vec<String>, aside: BTreeSet<Sha256Digest>) {
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        let since = missing.since.or_else(|| Some(self.clock.now())).filter(|_| !names.is_empty());
        *missing = Missing { names, since };
        *self.aside.write().unwrap_or_else(PoisonError::into_inner) = aside;
    }

    pub(super) fn aside(&self) -> BTreeSet<Sha256Digest> {
        self.aside.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn stored(&self) -> Option<StorageSummary> {
        self.stored.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_stored(&self, summary: StorageSummary) {
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// What is configured now.
    pub(super) fn live(&self) -> Live {
        *self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with another configuration.
    pub(super) fn adopt(&self, settings: &Settings) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Live::of(settings);
        self.staging.keep_free(settings.limits.keep_free_bytes);
    }

    pub(super) fn trust(&self) -> Option<Arc<TrustDocument>> {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trust(&self, trust: TrustDocument) {
        let trust = Arc::new(trust);
        self.ledger.adopt_trust(Arc::clone(&trust));
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Some(trust);
    }
}

impl Live {
    const fn of(settings: &Settings) -> Self {
        Self { every: settings.pull_every, limits: settings.limits, storage: settings.storage }
    }
}

fn make_downloads(path: &Path) -> Result<(), UpstreamError> {
    make_folder(path, PRIVATE_FOLDER)
        .map_err(|source| UpstreamError::Folder { path: path.to_owned(), source })
}
