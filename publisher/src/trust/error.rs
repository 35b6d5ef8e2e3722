//! Why the trust document was not changed.

use sealpost_manifests::ids::PackageName;

use crate::home::KeyringError;
use crate::publication::PublicationError;

/// Why the trust document was not changed. The repository is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The counter cannot be reset like this; `problem` says why not, and what to do.
    #[error("cannot reset the release counter of {package}: {problem}")]
    Reset { package: PackageName, problem: String },
    /// The contact cannot be published; `problem` says why not, and what to do.
    #[error("cannot set the licensing contact: {problem}")]
    Contact { problem: String },
    /// Nobody could take what would be published; each with what renews it.
    #[error("cannot change the trust document, because nobody would take it: {}", ended.join("; "))]
    Ended { ended: Vec<String> },
    #[error("cannot sign the trust document")]
    Keys(#[from] KeyringError),
    #[error("cannot publish the trust document")]
    Publication(#[from] PublicationError),
}
