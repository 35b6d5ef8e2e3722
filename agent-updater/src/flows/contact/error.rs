//! Why a contact was not answered.

use sealpost_files::with_causes;
use sealpost_keys::KeyError;
use sealpost_manifests::document::DocumentError;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::flows::enroll::EnrollError;
use crate::platform::network::WaitInterrupted;
use crate::platform::store::StoreError;
use crate::records::keys::ClientKeyError;

/// How it begins where no way to the server answered; who refused did.
pub(in crate::flows) const NONE_ANSWERED: &str = "no server answered: ";

/// Why a contact was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ContactError {
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("the contact cannot be signed; enroll this computer again")]
    Key(#[from] ClientKeyError),
    #[error("the contact cannot be signed")]
    Sign(#[from] DocumentError),
    /// There is no randomness.
    #[error("the contact cannot be made")]
    Random(#[from] KeyError),
    #[error(transparent)]
    Interrupted(#[from] WaitInterrupted),
    /// A file is not the answer to the contact that waits, or is none. Nothing was changed by it.
    #[error("{0}")]
    NotTaken(String),
    /// Every address failed or refused; `refused` is the code of the last refusal, and `is_unknown_ca` says whether one
    /// presented no pinned CA.
    #[error("{}{}", if refused.is_some() { "" } else { NONE_ANSWERED }, failures.join("; "))]
    AllFailed { failures: Vec<String>, refused: Option<ProblemCode>, is_unknown_ca: bool },
}

impl ContactError {
    /// The code of the refusal, if the server refused.
    #[must_use]
    pub const fn refused(&self) -> Option<ProblemCode> {
        match self {
            Self::AllFailed { refused, .. } => *refused,
            _ => None,
        }
    }

    /// The same refusal, and why this computer did not go on after it.
    pub(super) fn and(&self, why: &(dyn std::error::Error + 'static)) -> Self {
        let said = match self {
            Self::AllFailed { failures, .. } => failures.clone(),
            other => vec![other.to_string()],
        };
        let failures = said.into_iter().chain([with_causes(why)]).collect();
        Self::AllFailed { failures, refused: self.refused(), is_unknown_ca: self.is_unknown_ca() }
    }

    /// The refusal of a contact that makes a computer go on as the one that was kept, and why it did not. Where the server took
    /// its new key the refusal may say that it is the other one, since its id of before is given up: that is not shown.
    pub(super) fn of_the_kept(&self, why: &EnrollError) -> Self {
        if !matches!(why, EnrollError::KeptAnswer { .. }) {
            return self.and(why);
        }
        let (failures, refused) = (vec![with_causes(why)], Some(ProblemCode::CopyKept));
        Self::AllFailed { failures, refused, is_unknown_ca: self.is_unknown_ca() }
    }

    /// Whether a server presented no CA that this computer pins.
    #[must_use]
    pub const fn is_unknown_ca(&self) -> bool {
        matches!(self, Self::AllFailed { is_unknown_ca: true, .. })
    }
}
