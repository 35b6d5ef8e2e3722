//! Who gets a release once it is approved: asked of every computer by the same function as at its contact.

use std::collections::BTreeSet;

use sealpost_manifests::digest::Sha256Digest;

use crate::rows::RecipientRow;
use crate::rules::assignment::{Computer, Licensed, gets};
use crate::rules::release::KnownRelease;

/// A release under review among those that are approved.
#[derive(Debug, Clone)]
pub struct UnderReview {
    release: KnownRelease,
    /// Approved releases of its package, and the release itself.
    all: Vec<KnownRelease>,
    voided: BTreeSet<Sha256Digest>,
}

impl UnderReview {
    /// Puts a release beside the approved ones.
    #[must_use]
    pub fn new(release: KnownRelease, approved: Vec<KnownRelease>, voided: BTreeSet<Sha256Digest>) -> Self {
        let mut all: Vec<KnownRelease> = approved
            .into_iter()
            .filter(|other| other.release.package == release.release.package)
            .filter(|other| other.manifest != release.manifest)
            .collect();
        // Also in the channels that wait for a decision.
        let channels = release.channels.clone();
        let release = if channels.is_empty() { release } else { release.approved_too(&channels) };
        all.push(release.clone());
        Self { release, all, voided }
    }

    /// Whether a computer gets it. A computer that has not come yet counts as one whose platform it fits.
    #[must_use]
    pub fn reaches(&self, row: &RecipientRow) -> bool {
        let licensed = Licensed::by(&row.grants);
        let computer = Computer {
            channel: &row.channel,
            platform: row.platform.as_ref().unwrap_or(&self.release.release.platform),
            licensed: &licensed,
            installed: &row.installed,
            before: &row.before,
            voided: &self.voided,
        };
        gets(&self.release, &self.all, &computer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::release::ReleaseState;
    use jiff::Timestamp;
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::grant::{Grant, LicenseModel};
    use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform, SerialNumber, ServerId};
    use sealpost_manifests::order::Epoch;
    use sealpost_manifests::release::{PackageKind, ReleaseId};
    use sealpost_manifests::version::{ReleaseCounter, Version};
    use sealpost_manifests::wire::contact::InstalledPackage;

    fn release(version: &str, counter: u64, state: ReleaseState) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("av").unwrap(),
                version: Version::new(version).unwrap(),
                platform: Platform::new("linux-x86_64").unwrap(),
            },
            manifest: Sha256Digest::of(version.as_bytes()),
            state,
            counter: ReleaseCounter(counter),
            channels: vec![ChannelName::new("stable").unwrap()],
            rollout: None,
            signer: None,
            reason: None,
            approved_for: vec![ChannelName::new("stable").unwrap()],
            rollback: false,
            attempt: 1,
        }
    }

    fn runs(release: &KnownRelease) -> InstalledPackage {
        InstalledPackage {
            release: release.release.clone(),
            kind: PackageKind::Program,
            counter: release.counter,
            manifest: release.manifest,
        }
    }

    fn grant_for(package: &str) -> Grant {
        let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
        Grant {
            vendor: "Acme".to_owned(),
            serial: SerialNumber::from_random([1; 19]),
            server_id: ServerId::of_site_key(&site_key),
            site_key,
            key_epoch: 1,
            epoch: Epoch::of(1, 0),
            packages: vec![PackageName::new(package).unwrap()],
            model: LicenseModel::Named,
            seats: 1,
            generation: 1,
            not_after: Timestamp::MAX,
            vendor_time: Timestamp::UNIX_EPOCH,
            request_id: None,
        }
    }

    #[test]
    fn a_staged_release_reaches_whom_its_approval_would_reach() {
        let row = RecipientRow {
            name: ComputerName::new("pc-1").unwrap(),
            channel: ChannelName::new("stable").unwrap(),
            platform: None,
            grants: vec![grant_for("av")],
            installed: Vec::new(),
            before: Vec::new(),
        };
        let approved = vec![release("1", 1, ReleaseState::Approved)];
        let staged =
            UnderReview::new(release("2", 2, ReleaseState::Staged), approved.clone(), BTreeSet::new());
        assert!(staged.reaches(&row), "a computer that has not come yet counts");
        let other = RecipientRow { platform: Some(Platform::new("linux-aarch64").unwrap()), ..row.clone() };
        assert!(!staged.reaches(&other));
        let unlicensed = RecipientRow { grants: vec![grant_for("cad")], ..row.clone() };
        assert!(!staged.reaches(&unlicensed));
        assert!(!staged.reaches(&RecipientRow { grants: Vec::new(), ..row.clone() }), "no grant");
        // Below what a computer ran before, agents install nothing.
        let ran = release("3", 3, ReleaseState::Halted);
        let went_back = RecipientRow { before: vec![runs(&ran)], ..row.clone() };
        assert!(!staged.reaches(&went_back), "it went back from a newer one");
        let older =
            UnderReview::new(release("0", 0, ReleaseState::Staged), approved.clone(), BTreeSet::new());
        assert!(!older.reaches(&row), "an older release than the approved one reaches nobody");
        let itself = UnderReview::new(approved[0].clone(), approved, BTreeSet::new());
        assert!(itself.reaches(&row));
    }
}
