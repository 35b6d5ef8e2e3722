//! Why a contact was not answered.

use sealpost_keys::{KeyError, KeyFileError};
use sealpost_manifests::document::DocumentError;

use crate::platform::network::WaitInterrupted;
use crate::platform::store::StoreError;

/// Why a contact was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("the client key cannot be read; enroll this computer again")]
    Key(#[from] KeyFileError),
    #[error("the contact cannot be signed")]
    Sign(#[from] DocumentError),
    /// There is no randomness.
    #[error("the contact cannot be made")]
    Random(#[from] KeyError),
    #[error(transparent)]
    Interrupted(#[from] WaitInterrupted),
    /// Every address failed or refused.
    #[error("no server answered: {}", .0.join("; "))]
    AllFailed(Vec<String>),
}
