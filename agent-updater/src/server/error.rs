//! Why a server was not asked, or what was wrong with its answer.

use std::time::Duration;

use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::pin::NO_PINNED_CA;

/// Longest wait for a whole answer to a request that is not a download.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It could not be reached, is not the pinned one, or closed the connection.
    #[error("no answer from {address}; check name, network, clock and that the server runs: {why}")]
    Unreachable { address: String, why: String, connected: bool },
    /// It presents no certificate that this computer accepts.
    #[error("{address} is not trusted: {why}")]
    NotTrusted { address: String, why: String },
    /// It presents no CA that is pinned.
    #[error("{address} is not trusted: {NO_PINNED_CA}")]
    UnknownCa { address: String },
    /// It refused, with a reason.
    #[error("{address} refused")]
    Refused {
        address: String,
        #[source]
        problem: Problem,
    },
    /// No Primary Server answers like this.
    #[error("{address} answered with status {status} and no explanation; is it a Primary Server?")]
    Strange { address: String, status: u16 },
    /// It began to answer, and did not finish in time.
    #[error("{address} did not answer within {} s; try again later", ANSWER_TIMEOUT.as_secs())]
    Slow { address: String },
    #[error("the answer of {address} is {what}; are server and agent of compatible versions?")]
    BadAnswer { address: String, what: String },
    #[error("cannot set up a connection to {address}: {what}")]
    Setup { address: String, what: String },
}

impl ServerError {
    /// The refusal, if the server gave one.
    #[must_use]
    pub const fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the server is not known by its CA: another one, or the same with a new CA.
    #[must_use]
    pub const fn is_unknown_ca(&self) -> bool {
        matches!(self, Self::UnknownCa { .. })
    }

    /// Whether the request may have come to the server: without a connection that is pinned, nothing is sent.
    #[must_use]
    pub const fn may_have_come(&self) -> bool {
        match self {
            Self::Unreachable { connected, .. } => *connected,
            Self::NotTrusted { .. } | Self::UnknownCa { .. } | Self::Setup { .. } => false,
            Self::Refused { .. } | Self::Strange { .. } | Self::Slow { .. } | Self::BadAnswer { .. } => true,
        }
    }

    /// Whether another address of the same server may succeed.
    #[must_use]
    pub fn try_elsewhere(&self) -> bool {
        self.problem().is_none_or(|problem| matches!(problem.code, ProblemCode::Busy | ProblemCode::Internal))
    }
}
