//! Review: a person decides about the manifest digest that was shown to them, never about "the newest".
//!
//! Invariant: an approval names a digest that was staged here; a newer approved release is never followed by an older
//! one, because every agent refuses a lower counter. Left out on purpose: rules that approve, and four-eyes.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::rules::release::{
    IllegalTransition, KnownRelease, ReleaseCommand, ReleaseState, Transition, is_superseded, transition,
};

/// Longest reason of a rejection, in bytes.
const MAX_REASON_BYTES: usize = 2 * 1024;

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
    /// The vendor's trust document does not list the key that signed it any more.
    SignerNotTrusted {
        /// Which.
        release: ReleaseId,
    },
    /// No reason was given, or one that is too long.
    Reason,
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
            Self::SignerNotTrusted { release } => Problem::new(
                ProblemCode::BadSignature,
                format!(
                    "cannot approve {release}: the vendor's trust document no longer lists the key that signed it"
                ),
                "pull again; if it stays, reject the release, and ask the vendor for one that is signed anew",
            ),
            Self::Reason => Problem::new(
                ProblemCode::BadRequest,
                format!("a rejection needs a reason of 1 to {MAX_REASON_BYTES} bytes"),
                "say in one sentence why, for whoever reads the log later",
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
#[derive(Debug, Clone, Copy)]
pub struct Reviewed<'a> {
    /// The digest that was named.
    pub manifest: Sha256Digest,
    /// The release that has it; `None` when there is none.
    pub found: Option<&'a KnownRelease>,
}

/// Decides about an approval. `approved` are the releases of the same package that are approved or superseded, and
/// `trust` is the vendor's trust document as of the last good pull.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn approve(
    reviewed: Reviewed<'_>,
    approved: &[KnownRelease],
    trust: Option<&TrustDocument>,
) -> Result<Transition, ReviewRefusal> {
    if let Some(release) = reviewed.found
        && release.state == ReleaseState::Staged
        && !signer_is_trusted(release, trust)
    {
        return Err(ReviewRefusal::SignerNotTrusted { release: release.release.clone() });
    }
    let step = decide(reviewed, ReleaseCommand::Approve)?;
    match (step, reviewed.found) {
        (Transition::To(_), Some(release)) if is_superseded(release, approved) => {
            Err(ReviewRefusal::NewerApproved { release: release.release.clone() })
        }
        _ => Ok(step),
    }
}

/// The vendor may have revoked a key since the release was staged; then every agent would refuse it.
fn signer_is_trusted(release: &KnownRelease, trust: Option<&TrustDocument>) -> bool {
    let (Some(signer), Some(trust)) = (&release.signer, trust) else { return false };
    trust.release_keys(&release.release.package, release.manifest).contains(signer)
}

/// Decides about a rejection, for a reason that an admin gives.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn reject(reviewed: Reviewed<'_>, reason: &str) -> Result<Transition, ReviewRefusal> {
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES {
        return Err(ReviewRefusal::Reason);
    }
    decide(reviewed, ReleaseCommand::Reject)
}

fn decide(reviewed: Reviewed<'_>, command: ReleaseCommand) -> Result<Transition, ReviewRefusal> {
    let manifest = reviewed.manifest;
    let Some(release) = reviewed.found else {
        return Err(ReviewRefusal::UnknownDigest { command, manifest });
    };
    transition(Some(release.state), command)
        .map_err(|transition| ReviewRefusal::State { release: release.release.clone(), transition })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
    use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustedKey};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    fn staged(signer: &PublicKey) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new("1.0").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"manifest"),
            state: ReleaseState::Staged,
            counter: ReleaseCounter(1),
            channels: vec![ChannelName::new("stable").unwrap()],
            rollout: None,
            signer: Some(signer.clone()),
            reason: None,
        }
    }

    fn trust(key: &PublicKey, status: KeyStatus) -> TrustDocument {
        let digests = match status {
            KeyStatus::Retired => BTreeSet::from([Sha256Digest::of(b"manifest")]),
            _ => BTreeSet::new(),
        };
        TrustDocument {
            vendor: "Acme".to_owned(),
            keys: vec![TrustedKey {
                key_use: KeyUse::Release,
                package: Some(PackageName::new("acme-av").unwrap()),
                key: key.to_base64(),
                status,
                digests,
            }],
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_release_whose_signer_was_revoked_or_is_not_listed_is_not_approved() {
        let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let other = PublicKey::new(KeyId::from_bytes([2; 8]), [2; 32]);
        let release = staged(&key);
        let reviewed = Reviewed { manifest: release.manifest, found: Some(&release) };
        let good = trust(&key, KeyStatus::Retired);
        assert_eq!(approve(reviewed, &[], Some(&good)), Ok(Transition::To(ReleaseState::Approved)));
        let refusal = ReviewRefusal::SignerNotTrusted { release: release.release.clone() };
        for trust in [Some(&trust(&key, KeyStatus::Revoked)), Some(&trust(&other, KeyStatus::Active)), None] {
            assert_eq!(approve(reviewed, &[], trust), Err(refusal.clone()));
        }
        // What was approved before is answered again, whatever became of the key.
        let approved = KnownRelease { state: ReleaseState::Approved, ..release.clone() };
        let again = Reviewed { found: Some(&approved), ..reviewed };
        assert_eq!(approve(again, &[], None), Ok(Transition::Unchanged));
    }

    #[test]
    fn a_rejection_has_a_reason_that_somebody_can_read() {
        let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let release = staged(&key);
        let reviewed = Reviewed { manifest: release.manifest, found: Some(&release) };
        assert_eq!(reject(reviewed, "too big"), Ok(Transition::To(ReleaseState::Rejected)));
        for reason in ["", "x".repeat(MAX_REASON_BYTES + 1).as_str()] {
            assert_eq!(reject(reviewed, reason), Err(ReviewRefusal::Reason));
        }
    }
}
