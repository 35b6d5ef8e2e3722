//! Review: a person decides about the manifest digest that was shown to them, never about "the newest".
//!
//! Invariant: an approval names a digest that was staged here; a newer approved release is never followed by an older
//! one, because every agent refuses a lower counter. Left out on purpose: rules that approve, and four-eyes.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::rules::release::{
    IllegalTransition, KnownRelease, ReleaseCommand, ReleaseState, Transition, is_superseded, transition,
};
use crate::rules::text::MAX_COMMENT_BYTES;

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
    /// No channel points to it any more.
    OfNoChannel {
        /// Which.
        release: ReleaseId,
    },
    /// No channel of this name points to it.
    NotOfChannel {
        /// Which.
        release: ReleaseId,
        /// The channel that was named.
        channel: ChannelName,
        /// Those that point to it.
        channels: Vec<ChannelName>,
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
                "`distributor updates list` shows what there is; look at it again with `distributor updates show REF`, and decide on \
                 the digest that is shown",
            ),
            Self::State { release, transition } => Problem::new(
                ProblemCode::WrongState,
                format!("{release}: {transition}"),
                hint(release, transition),
            ),
            Self::OfNoChannel { release } => Problem::new(
                ProblemCode::WrongState,
                format!(
                    "{release} cannot be approved for no channel; the vendor may point none to it any more"
                ),
                "look at `distributor updates list` for what is offered now",
            ),
            Self::NotOfChannel { release, channel, channels } => {
                let channels: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
                Problem::new(
                    ProblemCode::WrongState,
                    format!(
                        "{release} cannot be approved for the channel {channel}: the vendor does not point it there"
                    ),
                    format!("it is of the channels {}", channels.join(", ")),
                )
            }
            Self::SignerNotTrusted { release } => Problem::new(
                ProblemCode::BadSignature,
                format!(
                    "cannot approve {release}: the vendor's trust document no longer lists the key that signed it"
                ),
                "pull again; if it stays, reject the release, and ask the vendor for one that is signed anew",
            ),
            Self::Reason => Problem::new(
                ProblemCode::BadRequest,
                format!("a rejection or a halt needs a reason of 1 to {MAX_COMMENT_BYTES} bytes"),
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

/// What becomes of a transition that a state does not allow, and what to type.
fn hint(release: &ReleaseId, illegal: &IllegalTransition) -> String {
    let named = format!("{}:{}", release.package, release.version);
    use ReleaseCommand::{Approve, Halt, Reject, Retry};
    use ReleaseState::{Approved, Halted, Rejected, Staged, Superseded};
    let IllegalTransition::State { command, state } = illegal else {
        return "see `distributor updates list` for what there is".to_owned();
    };
    match (command, state) {
        (Approve | Retry, Rejected | Halted) => {
            format!("stage it again with `distributor updates reconsider {named}`, then approve it")
        }
        (Reject, Approved | Superseded) => format!("stop it with `distributor updates halt {named}`"),
        (Halt, Staged) => {
            format!("nobody gets it before its approval; say no with `distributor updates reject {named}`")
        }
        (Retry, Staged) => format!("approve it first with `distributor updates approve {named}`"),
        _ => format!("see `distributor updates show {named}` for what was decided, by whom and why"),
    }
}

/// Decides about an approval for `channels`: what the release is then, or `None` if it is so already. `approved` are the
/// releases of the same package that are approved or superseded, and `trust` is the vendor's trust document as of the
/// last good pull.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn approve(
    reviewed: Reviewed<'_>,
    channels: &[ChannelName],
    approved: &[KnownRelease],
    trust: Option<&TrustDocument>,
) -> Result<Option<KnownRelease>, ReviewRefusal> {
    let (manifest, command) = (reviewed.manifest, ReleaseCommand::Approve);
    let Some(found) = reviewed.found else {
        return Err(ReviewRefusal::UnknownDigest { command, manifest });
    };
    let release = || found.release.clone();
    if let Some(channel) = channels.iter().find(|channel| !found.channels.contains(channel)) {
        let (channel, channels) = (channel.clone(), found.channels.clone());
        return Err(ReviewRefusal::NotOfChannel { release: release(), channel, channels });
    }
    let could_be = matches!(found.state, ReleaseState::Staged | ReleaseState::Superseded);
    if could_be && channels.is_empty() {
        return Err(ReviewRefusal::OfNoChannel { release: release() });
    }
    let adds = channels.iter().any(|channel| !found.approved_for.contains(channel));
    match found.state {
        ReleaseState::Approved if !adds => return Ok(None),
        // What newer releases replaced in its channels can still be approved for another one.
        ReleaseState::Approved | ReleaseState::Superseded => {}
        ReleaseState::Staged
        | ReleaseState::Rejected
        | ReleaseState::Withdrawn
        | ReleaseState::Refused
        | ReleaseState::Halted => {
            decide(reviewed, command)?;
        }
    }
    let after = found.approved_too(channels);
    // Computers pass through a mandatory release on their way, also where a newer one is approved.
    if !found.mandatory && is_superseded(&after, approved) {
        return Err(ReviewRefusal::NewerApproved { release: release() });
    }
    if !signer_is_trusted(found, trust) {
        return Err(ReviewRefusal::SignerNotTrusted { release: release() });
    }
    Ok(Some(after))
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
    check_reason(reason)?;
    decide(reviewed, ReleaseCommand::Reject)
}

/// Decides about a halt, for a reason that an admin gives.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn halt(reviewed: Reviewed<'_>, reason: &str) -> Result<Transition, ReviewRefusal> {
    check_reason(reason)?;
    decide(reviewed, ReleaseCommand::Halt)
}

/// Decides whether a decision against a release is taken back.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn reconsider(reviewed: Reviewed<'_>) -> Result<Transition, ReviewRefusal> {
    decide(reviewed, ReleaseCommand::Reconsider)
}

/// Decides whether computers may be told to try a release again.
///
/// # Errors
/// [`ReviewRefusal`].
pub fn retry(reviewed: Reviewed<'_>) -> Result<Transition, ReviewRefusal> {
    decide(reviewed, ReleaseCommand::Retry)
}

fn check_reason(reason: &str) -> Result<(), ReviewRefusal> {
    let fits = !reason.is_empty() && reason.len() <= MAX_COMMENT_BYTES;
    if fits { Ok(()) } else { Err(ReviewRefusal::Reason) }
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
    use sealpost_manifests::release::{PackageKind, Severity};
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
            approved_for: Vec::new(),
            rollback: false,
            attempt: 1,
            kind: PackageKind::Program,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
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
        let channels = release.channels.clone();
        let after = approve(reviewed, &channels, &[], Some(&good)).unwrap().unwrap();
        assert_eq!((after.state, after.approved_for), (ReleaseState::Approved, channels.clone()));
        let refusal = ReviewRefusal::SignerNotTrusted { release: release.release.clone() };
        for trust in [Some(&trust(&key, KeyStatus::Revoked)), Some(&trust(&other, KeyStatus::Active)), None] {
            assert_eq!(approve(reviewed, &channels, &[], trust), Err(refusal.clone()));
        }
        // What was approved before is answered again, whatever became of the key.
        let approved = release.approved_too(&channels);
        let again = Reviewed { found: Some(&approved), ..reviewed };
        assert_eq!(approve(again, &channels, &[], None), Ok(None));
    }

    #[test]
    fn an_approval_is_for_named_channels_and_says_no_where_it_would_reach_nobody() {
        let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let trust = trust(&key, KeyStatus::Retired);
        let names = |names: &[&str]| -> Vec<ChannelName> {
            names.iter().map(|name| ChannelName::new(name).unwrap()).collect()
        };
        let approve_for = |release: &KnownRelease, channels: &[&str], approved: &[KnownRelease]| {
            let reviewed = Reviewed { manifest: release.manifest, found: Some(release) };
            approve(reviewed, &names(channels), approved, Some(&trust))
        };
        let moved = KnownRelease { channels: names(&["beta", "stable"]), ..staged(&key) };
        let for_beta = approve_for(&moved, &["beta"], &[]).unwrap().unwrap();
        assert_eq!(for_beta.approved_for, names(&["beta"]));
        assert_eq!(for_beta.goes_to(), names(&["beta"]));
        let both = approve_for(&for_beta, &["beta", "stable"], &[]).unwrap().unwrap();
        assert_eq!(both.goes_to(), names(&["beta", "stable"]));
        let refusal = approve_for(&moved, &["nightly"], &[]).unwrap_err();
        assert!(matches!(refusal, ReviewRefusal::NotOfChannel { .. }), "{refusal:?}");

        let newer = KnownRelease {
            manifest: Sha256Digest::of(b"newer"),
            counter: ReleaseCounter(2),
            ..for_beta.clone()
        };
        let superseded = KnownRelease { state: ReleaseState::Superseded, ..for_beta };
        let refusal = approve_for(&superseded, &["beta"], std::slice::from_ref(&newer)).unwrap_err();
        assert!(matches!(refusal, ReviewRefusal::NewerApproved { .. }), "{refusal:?}");
        let elsewhere = approve_for(&superseded, &["stable"], &[newer]).unwrap().unwrap();
        assert_eq!(elsewhere.state, ReleaseState::Approved, "nothing newer serves stable");
    }

    #[test]
    fn a_rejection_has_a_reason_that_somebody_can_read() {
        let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        let release = staged(&key);
        let reviewed = Reviewed { manifest: release.manifest, found: Some(&release) };
        assert_eq!(reject(reviewed, "too big"), Ok(Transition::To(ReleaseState::Rejected)));
        for reason in ["", "x".repeat(MAX_COMMENT_BYTES + 1).as_str()] {
            assert_eq!(reject(reviewed, reason), Err(ReviewRefusal::Reason));
        }
    }
}
