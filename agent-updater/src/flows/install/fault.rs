//! How a change ends, and why it may not end.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};

use crate::domain::install::IllegalTransition;
use crate::domain::not_started::StartFault;
use crate::domain::release::Refusal;
use crate::domain::timing::Wait;
use crate::journal::JournalError;
use crate::platform::store::StoreError;
use crate::ports::Killed;
use crate::slots::beneath::BeneathError;

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeEnd {
    /// The new release runs.
    Kept,
    Refused(Refusal),
    /// The old release is in its place again, and was started.
    RolledBack(ReasonCode),
    /// The old release is in its place, and could not be started: the product is stopped.
    Down(Refusal),
    /// The new program of the agent is on trial.
    OnTrial,
    /// The product was not touched, because its time has not come. What was built is kept for it.
    NotNow(NotNow),
}

/// Why a change does not touch the product yet. Nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    /// The window closed meanwhile.
    Closed(Timestamp),
    Waits(Wait),
    /// The product was asked, and said "not now".
    Declined,
    /// Nothing is built yet: other computers download over the link to the server.
    LinkBusy {
        again_in: Duration,
    },
}

/// Why a change did not end. It stays in the journal; the next [`super::Engine::recover`] continues it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a record of the install failed")]
    Store(#[from] StoreError),
    /// The slots failed at a step after which the change can only go forward.
    #[error("the slots of {package} cannot be used; check the disk")]
    Slots {
        package: PackageName,
        #[source]
        source: BeneathError,
    },
    /// What is installed lies elsewhere.
    #[error("{0}")]
    InstallRoot(String),
    /// Another change is open: only its journal knows which product is stopped.
    #[error(
        "an earlier change of {package} is not finished; it is continued at the next contact, before anything else"
    )]
    Open { package: PackageName },
    /// The journal and the code disagree.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
}

impl EngineError {
    /// Whether a test simulated a kill.
    #[must_use]
    pub const fn is_killed(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Killed(Killed)))
    }
}

/// An action that did not succeed.
pub(super) enum ActionFault {
    /// It was refused or failed; the state machine knows what follows.
    Failed(InstallStep, Refusal),
    /// Its time has not come.
    NotNow(NotNow),
    /// The agent's own records failed.
    Engine(EngineError),
}

impl<E: Into<EngineError>> From<E> for ActionFault {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

/// What is said of an old release that could not be started again.
pub(super) fn down(old: &ReleaseId, fault: &StartFault) -> Refusal {
    let StartFault { reason, detail } = fault;
    Refusal::new(
        *reason,
        format!(
            "{old} is in its place and does NOT run: it was stopped and could not be started: {detail}; it is tried again by \
             itself, at each start of the agent and by `agent-updater check`"
        ),
    )
}

/// The refusal for an error of this computer.
pub(super) fn local_fault(what: &str, error: &(dyn Error + 'static)) -> Refusal {
    Refusal::new(ReasonCode::LocalFault, format!("{what}: {}", with_causes(error)))
}
