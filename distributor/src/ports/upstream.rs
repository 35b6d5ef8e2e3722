//! The vendor's repository as the rest of the server sees it: pull, mirrored metadata, and which targets agents may
//! ask for. A branch server that pulls from another server is a later, second implementation.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::pulls::PullSummary;
use sealpost_admin_api::storage::{StorageSummary, StorageView};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::Problem;
use serde::{Deserialize, Serialize};

/// What a target belongs to: decides who may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum TargetClass {
    /// `trust.json`: every client that may read metadata.
    Trust,
    /// The channels document of a package.
    Channels { package: PackageName },
    /// Manifest, signature or payload of a release.
    Release {
        release: ReleaseId,
        /// The digest of its manifest: what assignments name.
        manifest: Sha256Digest,
    },
}

/// A target that the mirrored metadata lists. Its bytes are the blob of its digest, if the server has fetched it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetEntry {
    pub name: TargetName,
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub length: u64,
    /// What it belongs to.
    #[serde(flatten)]
    pub class: TargetClass,
}

/// When a role of the mirrored metadata expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleExpiry {
    /// The role: one of TUF's four, or that of a package.
    pub role: String,
    pub at: Timestamp,
}

/// Needed files that are damaged or not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    pub names: Vec<String>,
    /// Since when one is.
    pub since: Option<Timestamp>,
}

/// What the current mirror holds: one whole generation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The metadata files by their names, every root included.
    pub metadata: Vec<String>,
    /// The targets that the metadata lists.
    pub targets: Vec<TargetEntry>,
}

/// Why a mirrored file cannot be given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MirrorReadError {
    /// The mirror on disk is damaged.
    #[error("the mirrored metadata is damaged at {place}: {reason}; the next pull replaces it")]
    Damaged { place: String, reason: String },
    #[error("cannot read the mirrored metadata at {place}: {reason}; check the disk")]
    Io { place: String, reason: String },
}

pub trait Upstream: Send + Sync {
    /// Pulls now and waits for the end. A pull that begins after the call and ends before its turn counts as this
    /// one. Dropping the future does not stop the pull.
    fn pull_now(&self) -> BoxFuture<'_, Result<PullSummary, Problem>>;

    /// Takes over the vendor's metadata and keys, and what is withdrawn; fetches no payload, and stages no release. It does
    /// not count as a pull: the next one is as due as it was.
    fn learn_keys(&self) -> BoxFuture<'_, Result<(), Problem>>;

    /// A metadata file by its name, for example `3.snapshot.json`, exactly as the vendor published it. `None`: there
    /// is none. Reads the disk: a few milliseconds at most, so call it on a thread for blocking work.
    ///
    /// # Errors
    /// [`MirrorReadError`]; damage is never taken for absence.
    fn metadata(&self, file_name: &str) -> Result<Option<Vec<u8>>, MirrorReadError>;

    /// What the current mirror holds; nothing before the first pull. In memory.
    fn listing(&self) -> Listing;

    /// Its number: another one where any file of it is another. `None` before the first pull, or while it is damaged. In memory.
    fn generation(&self) -> Option<u64>;

    /// The names of its metadata files, every root included. In memory.
    fn metadata_names(&self) -> Vec<String>;

    /// Whether a metadata file of this name is of the current generation, or of one that it replaced not long ago. In memory.
    fn is_recent(&self, file_name: &str) -> bool;

    /// Its target of this plain name. In memory.
    fn target_named(&self, name: &str) -> Option<TargetEntry>;

    /// When each role of the mirrored metadata expires; nothing before the first pull. Reads the disk.
    fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError>;

    /// The target that a repository serves as `<sha256>.<name>`. `None`: no such target.
    fn find_target(&self, file_name: &str) -> Option<TargetEntry>;

    /// What is stored, what bounds it, and what is missing. Reads the disk.
    fn storage(&self) -> BoxFuture<'_, Result<StorageView, Problem>>;

    /// Removes what nothing needs, also what would stay for some time. Waits for a pull that is running.
    fn clean(&self) -> BoxFuture<'_, Result<StorageView, Problem>>;

    /// Compares every stored file with its digest; what is damaged is no longer sent. Reads the whole store.
    fn check(&self) -> BoxFuture<'_, Result<StorageView, Problem>>;

    /// What is stored, as found last; `None` until it was looked at.
    fn stored(&self) -> Option<StorageSummary>;

    /// The needed files that are damaged or missing, as found last.
    fn missing(&self) -> Missing;

    /// Looks for them, if anybody read a damaged file since the last look.
    fn look(&self) -> BoxFuture<'_, ()>;

    /// A stored file was found damaged while it was sent. It is looked at, and no longer sent; the next pull fetches it.
    fn suspect(&self, sha256: Sha256Digest);

    /// The channels of each of the vendor's packages, as of the last good pull. `None`: there was none yet, or nobody can
    /// tell. Reads the disk.
    fn offered(&self) -> Option<Vec<ChannelsDocument>>;

    /// The vendor's keys as of the last good pull. `None`: there was none yet.
    fn trust(&self) -> Option<Arc<TrustDocument>>;
}
