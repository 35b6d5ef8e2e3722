//! Why reading a repository did not work, one enum for each operation.
//!
//! Each says what was attempted and what to do next; where the repository or the way to it is at fault, a [`Refusal`]
//! says so in a stable code.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sealpost_manifests::ids::PackageName;

use crate::reading::refusal::Refusal;
use crate::reading::store::StoreError;
use crate::transport::TransportError;

/// Most roles that one repository may have: one per package, so far more than any vendor sells.
pub(super) const MAX_ROLES: usize = 4096;
/// Most bytes that one mirror generation may have, since it is held in memory.
pub(super) const MAX_MIRROR_BYTES: u64 = 64 * 1024 * 1024;

/// Where a refused file came from, as the end of a clause.
fn of(location: Option<&str>) -> String {
    location.map_or_else(String::new, |location| format!(": {location}"))
}

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
        /// The first failure of the store.
        #[source]
        source: Arc<StoreError>,
    },
    /// No thread or runtime for a [`ReaderHandle`](crate::ReaderHandle).
    #[error("cannot start the thread of the metadata reader; check the limits of this process")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The thread ended while opening.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why the metadata was not refreshed. What was trusted before still is.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The repository's metadata was refused, or could not be had.
    #[error("cannot refresh the vendor's metadata ({refusal}{}); {}", of(location.as_deref()), refusal.hint())]
    Refused {
        /// Why, as a stable code.
        refusal: Refusal,
        /// Where the refused file came from, without credentials; `None` if it was not fetched now.
        location: Option<String>,
        /// The verification core's or the transport's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot refresh the vendor's metadata, because the record of what was trusted before has failed")]
    Store {
        /// The first failure of the store.
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
        /// Name of the target.
        name: String,
    },
    /// It is listed in a way that is not ours: no SHA-256, or a name that could leave a folder.
    #[error("the vendor's metadata lists target {name:?} without a usable name or digest; ask the vendor")]
    Unusable {
        /// Name of the target.
        name: String,
    },
    /// A role on the way to it was refused, or could not be had.
    #[error("cannot look up target {name:?} ({refusal}{}); {}", of(location.as_deref()), refusal.hint())]
    Refused {
        /// Name of the target.
        name: String,
        /// Why, as a stable code.
        refusal: Refusal,
        /// Where the refused file came from, without credentials; `None` if it was not fetched now.
        location: Option<String>,
        /// The verification core's or the transport's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A document is larger than its kind may be.
    #[error("target {name:?} has {length} bytes, more than the {max_bytes} that such a document may have")]
    TooLarge {
        /// Name of the target.
        name: String,
        /// Length that is listed for it, in bytes.
        length: u64,
        /// Most bytes that the caller allows.
        max_bytes: u64,
    },
    /// Its bytes could not be had, or are not the listed ones.
    #[error("cannot read target {name:?}")]
    Download {
        /// Name of the target.
        name: String,
        /// The cause of the failure.
        #[source]
        source: DownloadError,
    },
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot look up target {name:?}, because the record of what was trusted before has failed")]
    Store {
        /// Name of the target.
        name: String,
        /// The first failure of the store.
        #[source]
        source: Arc<StoreError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// Why a download did not end well. The destination was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The connection ended too early. What came is kept.
    #[error("download of {name} was cut after {received} of {total} bytes; download again to continue there")]
    Interrupted {
        /// Name of the target.
        name: String,
        /// Bytes that are kept.
        received: u64,
        /// Bytes that it has.
        total: u64,
        /// How the connection ended, if not by the server's closing it.
        #[source]
        source: Option<TransportError>,
    },
    /// Metadata lists it, and the server does not have it.
    #[error(
        "the repository lists {name} but has no such file ({location}); try again later, then ask its owner"
    )]
    Absent {
        /// Name of the target.
        name: String,
        /// Where it was looked for, without credentials.
        location: String,
    },
    /// The server could not be asked.
    #[error("cannot download {name}")]
    Transport {
        /// Name of the target.
        name: String,
        /// The cause of the failure.
        #[source]
        source: TransportError,
    },
    /// More bytes came than are listed.
    #[error(
        "{name} is longer than the {total} bytes that are signed ({location}); it was thrown away, the server or a proxy \
         is faulty or hostile"
    )]
    TooLong {
        /// Name of the target.
        name: String,
        /// Bytes that it may have.
        total: u64,
        /// Where it came from, without credentials.
        location: String,
    },
    /// Other bytes came than are listed.
    #[error(
        "{name} has another digest than the signed one ({location}); it was thrown away, the server or a proxy is faulty \
         or hostile"
    )]
    Mismatch {
        /// Name of the target.
        name: String,
        /// Where it came from, without credentials.
        location: String,
    },
    /// A file could not be read, written or renamed.
    #[error("cannot {action} {}; check disk space and permissions", path.display())]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file that it was attempted on.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The metadata store failed, so its listings are not used.
    #[error("cannot download {name}, because the record of what was trusted before has failed")]
    Store {
        /// Name of the target.
        name: String,
        /// The first failure of the store.
        #[source]
        source: Arc<StoreError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl DownloadError {
    /// What was kept from an earlier download does not fit what the server has, so start over.
    pub(super) const fn is_about_the_kept_part(&self) -> bool {
        matches!(
            self,
            Self::Mismatch { .. }
                | Self::TooLong { .. }
                | Self::Transport {
                    source: TransportError::WrongRange { .. } | TransportError::NoSuchRange { .. },
                    ..
                }
        )
    }
}

/// Why a repository could not be mirrored. Nothing is returned then.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The top-level metadata could not be refreshed.
    #[error("cannot mirror the vendor's metadata")]
    Refresh {
        /// The cause of the failure.
        #[source]
        source: RefreshError,
    },
    /// A pinned role was refused.
    #[error("cannot mirror role {role} ({refusal}{}); {}", of(location.as_deref()), refusal.hint())]
    Refused {
        /// Name of the role in metadata.
        role: String,
        /// Why, as a stable code.
        refusal: Refusal,
        /// Where the refused file came from, without credentials; `None` if it was not fetched now.
        location: Option<String>,
        /// The verification core's words.
        #[source]
        source: sigstore_tuf::Error,
    },
    /// A pinned role could not be fetched.
    #[error("cannot fetch role {role}; nothing was taken over, try again later")]
    Transport {
        /// Name of the role in metadata.
        role: String,
        /// The cause of the failure.
        #[source]
        source: TransportError,
    },
    /// The snapshot pins a role that the server does not have, or that no role delegates to.
    #[error("the snapshot pins role {role}, which {problem}; the repository is incomplete, ask its owner")]
    Incomplete {
        /// Name of the role in metadata.
        role: String,
        /// What is missing, as the end of a sentence.
        problem: &'static str,
    },
    /// More roles or bytes than a mirror takes.
    #[error(
        "the vendor's metadata has more than {MAX_ROLES} roles or {MAX_MIRROR_BYTES} bytes; ask the vendor"
    )]
    TooLarge,
    /// The metadata store failed, so nothing is trusted.
    #[error("cannot mirror the vendor's metadata, because the record of what was trusted before has failed")]
    Store {
        /// The first failure of the store.
        #[source]
        source: Arc<StoreError>,
    },
    /// The targets of a package could not be looked up.
    #[error("cannot list the targets of {package}")]
    Target {
        /// The package whose targets were asked for.
        package: PackageName,
        /// The cause of the failure.
        #[source]
        source: Box<TargetError>,
    },
    /// The reader's thread has ended.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl MirrorError {
    /// The reason as a stable code, where there is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refresh { source } => source.refusal(),
            Self::Refused { refusal, .. } => Some(*refusal),
            Self::Transport { .. } => Some(Refusal::Unreachable),
            Self::Incomplete { .. } => Some(Refusal::Missing),
            Self::TooLarge => Some(Refusal::Malformed),
            Self::Store { .. } => Some(Refusal::StoreFailed),
            Self::Target { .. } | Self::Gone(_) => None,
        }
    }
}

/// The thread of a reader has ended, by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the thread of the metadata reader has ended; open it again, and report the panic in the log")]
pub struct Gone;
