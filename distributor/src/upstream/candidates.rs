//! What a channels document means for this site: releases to look at, and releases to withdraw.
//!
//! Pure: verified documents, listings and known releases in, lists out. Left out on purpose: whether a release is
//! sound, which `verify` decides.

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, NameError, TargetName};
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, Severity};
use sealpost_repository::TargetInfo;

use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::release::ReleaseState;

/// A release to which a channel points, with its listed targets.
pub(super) struct Candidate {
    pub(super) release: ReleaseId,
    pub(super) manifest: TargetInfo,
    pub(super) minisig: Option<TargetInfo>,
    pub(super) payload: Option<TargetInfo>,
    pub(super) attachments: Vec<TargetInfo>,
    /// The channels that point to it; of a mandatory release all of its package.
    pub(super) channels: Vec<ChannelName>,
    /// Whether computers pass through it on their way to newer ones.
    pub(super) mandatory: bool,
}

/// A known release that the vendor withdrew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Withdrawal {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) reason: String,
}

impl Candidate {
    /// A release with what is listed for it.
    fn listed(
        release: ReleaseId,
        manifest: &TargetInfo,
        channels: Vec<ChannelName>,
        mandatory: bool,
        targets: &[TargetInfo],
    ) -> Result<Self, NameError> {
        let find = |name: &TargetName| targets.iter().find(|target| target.name() == name).cloned();
        let attached = targets.iter().filter(|target| release.is_attachment(target.name()));
        Ok(Self {
            minisig: find(&release.minisig_target()?),
            payload: find(&release.payload_target(Encoding::Gzip)?),
            attachments: attached.cloned().collect(),
            manifest: manifest.clone(),
            channels,
            mandatory,
            release,
        })
    }

    /// The targets that are listed for it.
    pub(super) fn parts(&self) -> impl Iterator<Item = &TargetInfo> {
        let parts = [Some(&self.manifest), self.minisig.as_ref(), self.payload.as_ref()];
        parts.into_iter().flatten().chain(&self.attachments)
    }
}

/// The releases to which channels point, one per platform. Withdrawn ones are left out.
pub(super) fn candidates_of(
    channels: &ChannelsDocument,
    targets: &[TargetInfo],
) -> Result<Vec<Candidate>, NameError> {
    let mut candidates = Vec::new();
    for manifest in targets {
        let Some(release) = ReleaseId::from_manifest_target(manifest.name().as_str()) else { continue };
        let mandatory = channels.mandatory.contains(&release.version);
        let pointed: Vec<ChannelName> = if mandatory {
            channels.channels.keys().cloned().collect()
        } else {
            channels.channels_of(&release.version).cloned().collect()
        };
        let withdrawn = channels.withdrawn_reason(&release).is_some();
        if release.package != channels.package || pointed.is_empty() || withdrawn {
            continue;
        }
        candidates.push(Candidate::listed(release, manifest, pointed, mandatory, targets)?);
    }
    for (channel, version) in &channels.channels {
        if !candidates.iter().any(|candidate| candidate.release.version == *version) {
            tracing::warn!(package = %channels.package, %channel, %version, "a channel points to no usable release");
        }
    }
    Ok(candidates)
}

/// Known releases that are listed as they are known, and that are not among the `pointed`.
pub(super) fn without_channel(
    known: &[KnownRelease],
    pointed: &[Candidate],
    targets: &[TargetInfo],
) -> Result<Vec<Candidate>, NameError> {
    let mut others = Vec::new();
    for known in known.iter().filter(|known| pointed.iter().all(|one| one.release != known.release)) {
        let name = known.release.manifest_target()?;
        let listed = |target: &&TargetInfo| *target.name() == name && target.sha256() == known.manifest;
        let Some(manifest) = targets.iter().find(listed) else { continue };
        let release = known.release.clone();
        others.push(Candidate::listed(release, manifest, Vec::new(), known.mandatory, targets)?);
    }
    Ok(others)
}

/// The releases of the channels' package that are withdrawn there and not here yet. `known` must be all of the
/// package.
pub(super) fn newly_withdrawn(channels: &ChannelsDocument, known: &[KnownRelease]) -> Vec<Withdrawal> {
    known
        .iter()
        .filter(|release| !matches!(release.state, ReleaseState::Withdrawn | ReleaseState::Refused))
        .filter_map(|known| {
            let reason = channels.withdrawn_reason(&known.release)?.to_owned();
            Some(Withdrawal { release: known.release.clone(), manifest: known.manifest, reason })
        })
        .collect()
}

/// A release to which channels point.
#[derive(Debug, Clone)]
pub(super) struct Pointed {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) channels: Vec<ChannelName>,
    pub(super) mandatory: bool,
}

impl Pointed {
    pub(super) fn of(candidate: &Candidate) -> Self {
        Self {
            release: candidate.release.clone(),
            manifest: candidate.manifest.sha256(),
            channels: candidate.channels.clone(),
            mandatory: candidate.mandatory,
        }
    }
}

/// The channels to which the vendor offers a known release: those that point to it, and those that pointed to it and moved
/// on to a higher one, so that what waits for its review can still be approved. A channel that went back to a lower
/// release, or to none, took it back. `known` are all releases of its package.
pub(super) fn offered_to(
    release: &KnownRelease,
    known: &[KnownRelease],
    pointed: &[Pointed],
) -> Vec<ChannelName> {
    let of_package = || pointed.iter().filter(|one| one.release.package == release.release.package);
    let is_higher = |other: &Pointed| {
        let found = known.iter().find(|known| known.manifest == other.manifest);
        // What was refused has no counter here: the channel went on to it all the same.
        found.is_none_or(|found| found.state == ReleaseState::Refused || found.counter > release.counter)
    };
    let still = |channel: &&ChannelName| {
        of_package().any(|other| other.channels.contains(channel) && is_higher(other))
    };
    let now = of_package().filter(|one| one.manifest == release.manifest).flat_map(|one| &one.channels);
    let mut channels: Vec<ChannelName> = now.chain(release.channels.iter().filter(still)).cloned().collect();
    channels.sort();
    channels.dedup();
    channels
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::channels::Withdrawn;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;

    fn known(version: u64, state: ReleaseState) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(format!("{version}.0")).unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(version.to_string().as_bytes()),
            counter: ReleaseCounter(version),
            state,
            channels: vec![ChannelName::new("stable").unwrap()],
            rollout: None,
            signer: None,
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

    #[test]
    fn every_release_of_a_withdrawn_version_is_withdrawn_once_whatever_was_decided_about_it() {
        let mut channels =
            ChannelsDocument::empty(PackageName::new("acme-av").unwrap(), jiff::Timestamp::UNIX_EPOCH);
        for version in ["1.0", "2.0", "3.0", "4.0"] {
            let version = Version::new(version).unwrap();
            let reason = "deletes quarantine".to_owned();
            channels.withdrawn.push(Withdrawn { version, reason, platforms: Vec::new() });
        }
        let known = [
            known(1, ReleaseState::Superseded),
            known(2, ReleaseState::Withdrawn),
            known(3, ReleaseState::Rejected),
            known(4, ReleaseState::Refused),
            known(5, ReleaseState::Approved),
        ];
        let withdrawn = newly_withdrawn(&channels, &known);
        let versions: Vec<&str> = withdrawn.iter().map(|one| one.release.version.as_str()).collect();
        assert_eq!(versions, ["1.0", "3.0"]);
    }

    #[test]
    fn a_channel_that_moved_on_leaves_a_release_to_its_review_and_one_that_went_back_takes_it_away() {
        let known = [
            known(1, ReleaseState::Approved),
            known(2, ReleaseState::Staged),
            known(3, ReleaseState::Staged),
            known(4, ReleaseState::Refused),
        ];
        let points = |at: usize, channels: &[&str]| Pointed {
            release: known[at].release.clone(),
            manifest: known[at].manifest,
            channels: channels.iter().map(|name| ChannelName::new(*name).unwrap()).collect(),
            mandatory: false,
        };
        let offered = |pointed: &[Pointed]| -> Vec<String> {
            offered_to(&known[1], &known, pointed).iter().map(ToString::to_string).collect()
        };
        assert_eq!(offered(&[points(1, &["stable"])]), ["stable"]);
        assert_eq!(offered(&[points(1, &["beta", "stable"])]), ["beta", "stable"]);
        assert_eq!(offered(&[points(2, &["stable"])]), ["stable"], "it moved on");
        assert_eq!(offered(&[points(3, &["stable"])]), ["stable"], "to one that is refused here");
        assert!(offered(&[points(0, &["stable"])]).is_empty(), "it went back");
        assert!(offered(&[]).is_empty(), "it points to nothing");
        assert_eq!(offered(&[points(0, &["stable"]), points(1, &["beta"])]), ["beta"]);
    }
}
