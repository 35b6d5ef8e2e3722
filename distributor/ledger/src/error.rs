//! Why a command or a query gave no answer.

use sealpost_manifests::wire::problem::Problem;
use sealpost_site::commands::missing;

use crate::store::StoreError;

/// Why a command or a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The ledger could not do it; nothing changed. Retrying is safe.
    #[error("the ledger could not {attempted}")]
    Failed {
        /// What was attempted.
        attempted: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The ledger is shutting down.
    #[error("the ledger is closed; the server is shutting down")]
    Closed,
}

impl LedgerError {
    pub(crate) fn failed(attempted: &'static str, source: StoreError) -> Self {
        match source {
            // Its advice is for whoever asked.
            StoreError::Missing { what } => Self::Refused(missing(what)),
            source => Self::Failed { attempted, source: Box::new(source) },
        }
    }
}
