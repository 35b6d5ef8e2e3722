//! Who gets a release, now or once it is approved: asked of every computer by the same function as at its contact.

use std::collections::BTreeSet;

use sealpost_manifests::digest::Sha256Digest;

use crate::rows::RecipientRow;
use crate::rules::assignment::{Computer, gets};
use crate::rules::release::{KnownRelease, ReleaseState};

/// A release under review among those that are approved.
#[derive(Debug, Clone)]
pub struct UnderReview {
    /// As it is; for a release that is not approved, as its approval would make it.
    now: Among,
    /// As the approval of all its channels would make it; `None` where nothing of it waits for that.
    once_approved: Option<Among>,
    voided: BTreeSet<Sha256Digest>,
}

/// How a release reaches a computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It gets it; of a release that is not approved: once it is.
    Gets,
    /// It gets it once it is approved for more channels that point to it.
    OnceApproved,
    /// It does not get it.
    Not,
}

#[derive(Debug, Clone)]
struct Among {
    release: KnownRelease,
    /// Approved releases of its package, and the release itself.
    all: Vec<KnownRelease>,
}

impl UnderReview {
    /// Puts a release beside the approved ones.
    #[must_use]
    pub fn new(release: KnownRelease, approved: Vec<KnownRelease>, voided: BTreeSet<Sha256Digest>) -> Self {
        let others: Vec<KnownRelease> = approved
            .into_iter()
            .filter(|other| other.release.package == release.release.package)
            .filter(|other| other.manifest != release.manifest)
            .collect();
        let among = |release: KnownRelease| {
            let all = others.iter().chain([&release]).cloned().collect();
            Among { release, all }
        };
        let everywhere = if release.channels.is_empty() {
            release.clone()
        } else {
            release.approved_too(&release.channels)
        };
        if release.state != ReleaseState::Approved {
            return Self { now: among(everywhere), once_approved: None, voided };
        }
        let waits = release.waits_for().next().is_some();
        let once_approved = waits.then(|| among(everywhere));
        Self { now: among(release), once_approved, voided }
    }

    /// Whether a computer gets it. A computer that has not come yet counts as one whose platform it fits.
    #[must_use]
    pub fn reach(&self, row: &RecipientRow) -> Reach {
        match &self.once_approved {
            _ if self.now.reaches(row, &self.voided) => Reach::Gets,
            Some(once_approved) if once_approved.reaches(row, &self.voided) => Reach::OnceApproved,
            _ => Reach::Not,
        }
    }
}

impl Among {
    fn reaches(&self, row: &RecipientRow, voided: &BTreeSet<Sha256Digest>) -> bool {
        let licensed = row.licensed();
        let computer = Computer {
            channel: &row.channel,
            platform: row.platform.as_ref().unwrap_or(&self.release.release.platform),
            licensed: &licensed,
            installed: &row.installed,
            before: &row.before,
            voided,
        };
        gets(&self.release, &self.all, &computer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::grant::{Grant, LicenseModel};
    use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform, SerialNumber, ServerId};
    use sealpost_manifests::order::Epoch;
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
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
            kind: PackageKind::Program,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
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
            ends_at: None,
            request_id: None,
        }
    }

    #[test]
    fn a_staged_release_reaches_whom_its_approval_would_reach() {
        let row = RecipientRow {
            last_contact: None,
            name: ComputerName::new("pc-1").unwrap(),
            channel: ChannelName::new("stable").unwrap(),
            platform: None,
            grants: vec![grant_for("av").into()],
            installed: Vec::new(),
            before: Vec::new(),
            listed: BTreeSet::new(),
            tags: Vec::new(),
            came_by: None,
            deliveries: Vec::new(),
        };
        let approved = vec![release("1", 1, ReleaseState::Approved)];
        let staged =
            UnderReview::new(release("2", 2, ReleaseState::Staged), approved.clone(), BTreeSet::new());
        assert_eq!(staged.reach(&row), Reach::Gets, "a computer that has not come yet counts");
        let other = RecipientRow { platform: Some(Platform::new("linux-aarch64").unwrap()), ..row.clone() };
        assert_eq!(staged.reach(&other), Reach::Not);
        let unlicensed = RecipientRow { grants: vec![grant_for("cad").into()], ..row.clone() };
        assert_eq!(staged.reach(&unlicensed), Reach::Not);
        assert_eq!(staged.reach(&RecipientRow { grants: Vec::new(), ..row.clone() }), Reach::Not, "no grant");
        // Below what a computer ran before, agents install nothing.
        let ran = release("3", 3, ReleaseState::Halted);
        let went_back = RecipientRow { before: vec![runs(&ran)], ..row.clone() };
        assert_eq!(staged.reach(&went_back), Reach::Not, "it went back from a newer one");
        let older =
            UnderReview::new(release("0", 0, ReleaseState::Staged), approved.clone(), BTreeSet::new());
        assert_eq!(older.reach(&row), Reach::Not, "an older release than the approved one reaches nobody");
        let itself = UnderReview::new(approved[0].clone(), approved, BTreeSet::new());
        assert_eq!(itself.reach(&row), Reach::Gets);
        assert!(itself.once_approved.is_none(), "it waits for nothing, so every computer is asked once");
    }

    #[test]
    fn an_approved_release_reaches_its_approved_channels_and_others_once_it_is_approved_for_them() {
        let [stable, beta] = ["stable", "beta"].map(|name| ChannelName::new(name).unwrap());
        let row = |channel: &ChannelName| RecipientRow {
            last_contact: None,
            name: ComputerName::new("pc-1").unwrap(),
            channel: channel.clone(),
            platform: None,
            grants: vec![grant_for("av").into()],
            installed: Vec::new(),
            before: Vec::new(),
            listed: BTreeSet::new(),
            tags: Vec::new(),
            came_by: None,
            deliveries: Vec::new(),
        };
        let both = KnownRelease {
            channels: vec![beta.clone(), stable.clone()],
            approved_for: vec![beta.clone()],
            ..release("2", 2, ReleaseState::Approved)
        };
        let under_review = UnderReview::new(both.clone(), vec![both.clone()], BTreeSet::new());
        let reach = [&beta, &stable].map(|channel| under_review.reach(&row(channel)));
        assert_eq!(reach, [Reach::Gets, Reach::OnceApproved]);
        let staged = KnownRelease { state: ReleaseState::Staged, approved_for: Vec::new(), ..both };
        let under_review = UnderReview::new(staged, Vec::new(), BTreeSet::new());
        assert_eq!(under_review.reach(&row(&stable)), Reach::Gets, "what its approval would do");
    }
}
