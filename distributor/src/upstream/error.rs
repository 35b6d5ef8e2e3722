//! Why the upstream cannot be opened, and why a pull fails: each with what to do next.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use sealpost_manifests::document::DocumentError;
use sealpost_manifests::ids::{NameError, PackageName};
use sealpost_repository::{
    DownloadError, Gone, MirrorError, OpenError, RefreshError, Refusal, TargetError, TransportError,
};

use super::mirror::PublishError;
use crate::config::VendorCaError;
use crate::ports::blobs::BlobError;
use crate::ports::staging::StagingError;
use crate::ports::upstream::MirrorReadError;
use sealpost_ledger::LedgerError;

/// Why the upstream could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("cannot open the mirror")]
    Mirror {
        #[from]
        source: PublishError,
    },
    #[error("cannot make the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot use the vendor's address {url}")]
    Address { url: String, source: TransportError },
    #[error("cannot make an HTTP client; check the system's certificates")]
    Client { source: reqwest::Error },
    #[error("cannot check the vendor's server")]
    VendorCa { source: VendorCaError },
}

/// Why a pull failed. Metadata and withdrawals may have been taken over; no release was staged that is not whole.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error("cannot open the metadata reader")]
    Open { source: OpenError },
    /// A folder that was gone could not be made.
    #[error("cannot prepare the pull")]
    Folder { source: UpstreamError },
    /// The vendor's top-level metadata was refused.
    #[error("cannot take over the vendor's metadata")]
    Refresh { source: RefreshError },
    /// A role that the snapshot pins was refused.
    #[error("cannot take over the vendor's metadata")]
    Roles { source: MirrorError },
    /// A document could not be fetched.
    #[error("cannot fetch {name}")]
    Target { name: String, source: Box<TargetError> },
    /// A document came too slowly.
    #[error("{name} was not received within {seconds} seconds; try again later, or from another line")]
    Slow { name: String, seconds: u64 },
    /// A document that the vendor's metadata covers cannot be read.
    #[error("cannot use the vendor's {name}; ask the vendor")]
    Document { name: String, source: DocumentError },
    /// A channels document is listed for one package and names another.
    #[error("the vendor's {name} is about {found}; ask the vendor")]
    OtherPackage { name: String, found: PackageName },
    #[error("cannot name a target of the vendor")]
    Name {
        #[from]
        source: NameError,
    },
    /// A payload could not be fetched.
    #[error("cannot fetch a payload")]
    Download { source: DownloadError },
    /// The disk is too full for what would be fetched. All values are in bytes.
    #[error(
        "no room for {name}: {needed} bytes are needed, {free} are free and {keep} must stay free; make room on the disk \
         (`distributor storage show` says what is stored, `distributor storage clean` removes what nothing needs), then \
         pull again"
    )]
    NoRoom { name: String, needed: u64, free: u64, keep: u64 },
    #[error("cannot use {}; check the disk", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("cannot store what was fetched")]
    Blobs {
        #[from]
        source: BlobError,
    },
    #[error("cannot publish the mirrored metadata")]
    Publish {
        #[from]
        source: PublishError,
    },
    /// What is listed is not known, so nothing can be said to be listed no longer.
    #[error("nothing was removed, because it is not known what is needed")]
    Mirrored {
        #[from]
        source: MirrorReadError,
    },
    #[error("cannot stage a release")]
    Staging {
        #[from]
        source: StagingError,
    },
    #[error("cannot note the pull in the ledger")]
    Ledger {
        #[from]
        source: LedgerError,
    },
    /// The reader's thread ended.
    #[error("cannot read the vendor's metadata")]
    Gone {
        #[from]
        source: Gone,
    },
    #[error("a thread of the pull ended before its work; the log says why")]
    Ended,
}

impl PullError {
    /// Whether the record of trusted metadata has failed, so that the reader must be opened again.
    pub(super) fn needs_a_new_reader(&self) -> bool {
        matches!(self, Self::Gone { .. }) || self.refusal() == Some(Refusal::StoreFailed)
    }

    /// Whether another file of the same pull may come all the same.
    pub(super) fn is_about_one_file(&self) -> bool {
        match self {
            Self::Target { source, .. } => {
                self.refusal().is_none() && !matches!(**source, TargetError::Gone(_))
            }
            Self::Download { source } => {
                !matches!(source, DownloadError::Store { .. } | DownloadError::Gone(_))
            }
            Self::NoRoom { .. } | Self::Blobs { .. } | Self::Slow { .. } => true,
            _ => false,
        }
    }

    /// Whether it may go well once the disk has more room.
    pub(super) fn needs_room(&self) -> bool {
        let itself: &(dyn Error + 'static) = self;
        let mut causes =
            std::iter::successors(Some(itself), |error: &&(dyn Error + 'static)| (*error).source());
        let is_full = |error: &(dyn Error + 'static)| {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
        };
        matches!(self, Self::NoRoom { .. }) || causes.any(is_full)
    }

    /// What the admin can do next.
    pub(super) fn hint(&self) -> &'static str {
        match (self.refusal(), self) {
            (Some(refusal), _) => refusal.hint(),
            (None, Self::Download { source: DownloadError::Interrupted { .. } }) => {
                "what came is kept; pull again to continue there"
            }
            (None, Self::Target { .. } | Self::Download { .. }) => "pull again later, then ask the vendor",
            (None, Self::Document { .. } | Self::OtherPackage { .. } | Self::Name { .. }) => "ask the vendor",
            _ => "correct what the message names, then pull again",
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refresh { source } => source.refusal(),
            Self::Roles { source } => source.refusal(),
            Self::Target { source, .. } => match &**source {
                TargetError::Refused { refusal, .. } => Some(*refusal),
                TargetError::Store { .. } => Some(Refusal::StoreFailed),
                _ => None,
            },
            Self::Download { source: DownloadError::Store { .. } } => Some(Refusal::StoreFailed),
            _ => None,
        }
    }
}
