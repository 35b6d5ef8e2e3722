//! Why metadata was not accepted, as a stable code that logs and counters use.

use std::fmt;

use crate::transport::TransportError;

/// A reason not to trust what a repository serves, or not to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A version went down.
    RolledBack,
    /// Its time is over: the repository is not kept up, or somebody withholds newer metadata.
    Expired,
    /// Too few good signatures.
    UnderSigned,
    /// Files that do not belong together: other lengths, digests or versions than pinned.
    Mixed,
    /// What came is not metadata.
    Malformed,
    /// A file that must be there is not.
    Missing,
    /// The repository could not be reached, or did not answer properly.
    Unreachable,
    /// Our own record of what was trusted before is damaged or cannot be written.
    StoreFailed,
}

impl Refusal {
    /// The stable code, for example `metadata_rolled_back`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RolledBack => "metadata_rolled_back",
            Self::Expired => "metadata_expired",
            Self::UnderSigned => "metadata_under_signed",
            Self::Mixed => "metadata_mixed",
            Self::Malformed => "metadata_malformed",
            Self::Missing => "metadata_missing",
            Self::Unreachable => "repository_unreachable",
            Self::StoreFailed => "metadata_store_failed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::RolledBack => {
                "the repository serves older metadata than before; ask its owner, do not work around it"
            }
            Self::Expired => "check this computer's clock, then ask the repository's owner to refresh it",
            Self::UnderSigned | Self::Mixed | Self::Malformed => {
                "the repository or the way to it is faulty or hostile; nothing was changed here"
            }
            Self::Missing => "the repository is incomplete; try again, then ask its owner",
            Self::Unreachable => "check name, network, proxy and credentials, then try again",
            Self::StoreFailed => "look at the file that the message names",
        }
    }

    pub(crate) fn of(error: &sigstore_tuf::Error) -> Self {
        use sigstore_tuf::Error;
        match error {
            Error::Rollback { .. } | Error::EqualVersion { .. } => Self::RolledBack,
            Error::Expired { .. } => Self::Expired,
            Error::ThresholdNotMet { .. }
            | Error::DuplicateSignature { .. }
            | Error::UnusableKey { .. }
            | Error::UnsupportedScheme { .. }
            | Error::UnknownRole(_)
            | Error::Crypto(_) => Self::UnderSigned,
            Error::IntegrityMismatch(_) | Error::BadRootVersion { .. } => Self::Mixed,
            Error::Transport { source: None, .. } => Self::Missing,
            Error::Transport { source: Some(source), .. } => {
                if source.downcast_ref::<TransportError>().is_some() {
                    Self::Unreachable
                } else {
                    Self::StoreFailed
                }
            }
            Error::Io { .. } => Self::StoreFailed,
            _ => Self::Malformed,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RolledBack => "a version went down",
            Self::Expired => "metadata has expired",
            Self::UnderSigned => "too few good signatures",
            Self::Mixed => "files do not belong together",
            Self::Malformed => "metadata cannot be parsed",
            Self::Missing => "a file is missing",
            Self::Unreachable => "the repository cannot be reached",
            Self::StoreFailed => "the record of trusted metadata has failed",
        })
    }
}
