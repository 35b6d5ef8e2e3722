//! Review: a person decides about the manifest digest that was shown to them, never about "the newest".
//!
//! Invariant: an approval names a digest that was staged here; a newer approved release is never followed by an older
//! one, because every agent refuses a lower counter. Left out on purpose: rules that approve, and four-eyes.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::domain::release::{
    ApprovedRelease, IllegalTransition, ReleaseCommand, ReleaseState, Transition, is_superseded, transition,
};

/// Why a decision is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReviewRefusal {
    /// No release with this manifest was staged here.
    UnknownDigest {
        /// What was attempted.
        command: ReleaseCommand,
        /// The digest that was named.
        manifest: Sha256Digest,
    },
    /// The release is in another state.
    State {
        /// Which.
        release: ReleaseId,
        /// The transition that is not allowed.
        transition: IllegalTransition,
    },
    /// Newer releases are approved for every channel of this one.
    NewerApproved {
        /// Which.
        release: ReleaseId,
    },
}

impl ReviewRefusal {
    /// As it is answered.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::UnknownDigest { command, manifest } => Problem::new(
                ProblemCode::DigestMismatch,
                format!("cannot {command}: no release with manifest {manifest} is staged here"),
                "look at it again with `distributor updates show`, and decide on the digest that is shown",
            ),
            Self::State { release, transition } => Problem::new(
                ProblemCode::WrongState,
                format!("{release}: {transition}"),
                "see `distributor updates show` for what was decided, by whom and why",
            ),
            Self::NewerApproved { release } => Problem::new(
                ProblemCode::WrongState,
                format!("cannot approve {release}: a newer release is approved for all its channels"),
                "agents refuse a lower release counter; to go back, ask the vendor for a new release with the old content",
            ),
        }
    }
}

/// What a review looks at.
#[derive(Debug, Clone)]
pub struct Reviewed<'a> {
    /// The digest that was named.
    pub manifest: Sha256Digest,
    /// The release that has it, with its state; `None` when there is none.
    pub found: Option<(&'a ReleaseId, ReleaseState, &'a ApprovedRelease)>,
    /// Releases of the same package that are approved.
    pub approved: &'a [ApprovedRelease],
}

/// Decides about an approval.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn approve(reviewed: &Reviewed<'_>) -> Result<Transition, ReviewRefusal> {
    let step = decide(reviewed, ReleaseCommand::Approve)?;
    match (step, reviewed.found) {
        (Transition::To(_), Some((release, _, facts))) if is_superseded(facts, reviewed.approved) => {
            Err(ReviewRefusal::NewerApproved { release: release.clone() })
        }
        _ => Ok(step),
    }
}

/// Decides about a rejection.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn reject(reviewed: &Reviewed<'_>) -> Result<Transition, ReviewRefusal> {
    decide(reviewed, ReleaseCommand::Reject)
}

fn decide(reviewed: &Reviewed<'_>, command: ReleaseCommand) -> Result<Transition, ReviewRefusal> {
    let manifest = reviewed.manifest;
    let Some((release, state, _)) = reviewed.found else {
        return Err(ReviewRefusal::UnknownDigest { command, manifest });
    };
    transition(Some(state), command)
        .map_err(|transition| ReviewRefusal::State { release: release.clone(), transition })
}
