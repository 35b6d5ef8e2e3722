//! Whether a release leads down: its version is lower than what those who get it run, or than what was approved for them.
//!
//! A vendor may ship an old version under a new release counter, which computers install like any other. That can be
//! meant, and nobody should have to find it out by comparing numbers. It is only shown, and decides nothing.

use sealpost_manifests::version::Version;

use crate::rows::RecipientRow;
use crate::rules::release::KnownRelease;

/// A higher version that a release takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downgrade {
    /// The highest version that it takes the place of.
    pub from: Version,
    /// How many of those who get it run a higher version.
    pub computers: u64,
}

/// Collects what a release would take the place of.
#[derive(Debug)]
pub struct LeadsDown<'a> {
    release: &'a KnownRelease,
    found: Option<Downgrade>,
}

impl<'a> LeadsDown<'a> {
    /// `approved` are the approved releases of any package.
    #[must_use]
    pub fn new(release: &'a KnownRelease, approved: &[KnownRelease]) -> Self {
        let mut this = Self { release, found: None };
        let same = |other: &&KnownRelease| {
            other.release.package == release.release.package
                && other.manifest != release.manifest
                && other.goes_to().iter().any(|channel| release.channels.contains(channel))
                && (other.release.platform.fits(&release.release.platform)
                    || release.release.platform.fits(&other.release.platform))
        };
        for other in approved.iter().filter(same) {
            this.take(&other.release.version, 0);
        }
        this
    }

    /// A computer that gets the release.
    pub fn recipient(&mut self, row: &RecipientRow) {
        let package = &self.release.release.package;
        if let Some(runs) = row.installed.iter().find(|runs| runs.package() == package) {
            self.take(&runs.release.version, 1);
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Option<Downgrade> {
        self.found
    }

    fn take(&mut self, version: &Version, computers: u64) {
        if version.precedence(&self.release.release.version).is_le() {
            return;
        }
        let before = self.found.take();
        let count = before.as_ref().map_or(0, |found| found.computers) + computers;
        let from = before
            .map(|found| found.from)
            .filter(|from| from.precedence(version).is_gt())
            .unwrap_or_else(|| version.clone());
        self.found = Some(Downgrade { from, computers: count });
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::ReleaseCounter;
    use sealpost_manifests::wire::contact::InstalledPackage;

    use super::*;
    use crate::rules::release::ReleaseState;

    fn version(text: &str) -> Version {
        Version::new(text).unwrap()
    }

    fn release(text: &str, counter: u64) -> KnownRelease {
        let channels = vec![ChannelName::new("stable").unwrap()];
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("av").unwrap(),
                version: version(text),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(text.as_bytes()),
            state: ReleaseState::Approved,
            counter: ReleaseCounter(counter),
            channels: channels.clone(),
            approved_for: channels,
            rollout: None,
            signer: None,
            reason: None,
            rollback: false,
            attempt: 1,
            kind: PackageKind::Program,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
        }
    }

    fn runs(name: &str, release: &KnownRelease) -> RecipientRow {
        RecipientRow {
            last_contact: None,
            name: ComputerName::new(name).unwrap(),
            channel: ChannelName::new("stable").unwrap(),
            platform: None,
            grants: Vec::new(),
            installed: vec![InstalledPackage {
                release: release.release.clone(),
                kind: PackageKind::Program,
                counter: release.counter,
                manifest: release.manifest,
            }],
            before: Vec::new(),
            listed: std::collections::BTreeSet::new(),
            tags: Vec::new(),
            came_by: None,
            deliveries: Vec::new(),
        }
    }

    #[test]
    fn a_release_after_its_own_candidates_leads_up_and_a_candidate_after_it_leads_down() {
        let (candidate, finished) = (release("1.0-rc1", 1), release("1.0", 2));
        let leads_down = |to: &KnownRelease, from: &KnownRelease| {
            let mut down = LeadsDown::new(to, std::slice::from_ref(from));
            down.recipient(&runs("a", from));
            down.finish()
        };
        assert_eq!(leads_down(&finished, &candidate), None);
        let from = Some(Downgrade { from: version("1.0"), computers: 1 });
        assert_eq!(leads_down(&candidate, &finished), from);
        assert_eq!(leads_down(&release("1.0+build.1", 3), &finished), None, "the same to whoever reads it");
    }

    #[test]
    fn an_old_version_under_a_new_counter_leads_down_and_says_from_where() {
        let (two, ten) = (release("1.2", 7), release("1.10", 6));
        let mut down = LeadsDown::new(&two, std::slice::from_ref(&ten));
        down.recipient(&runs("a", &ten));
        down.recipient(&runs("b", &release("1.3", 4)));
        down.recipient(&runs("c", &release("1.1", 3)));
        assert_eq!(down.finish(), Some(Downgrade { from: version("1.10"), computers: 2 }));
        let mut up = LeadsDown::new(&ten, std::slice::from_ref(&two));
        up.recipient(&runs("a", &two));
        assert_eq!(up.finish(), None);
        let elsewhere = KnownRelease {
            channels: vec![ChannelName::new("beta").unwrap()],
            approved_for: vec![ChannelName::new("beta").unwrap()],
            ..ten
        };
        assert_eq!(LeadsDown::new(&two, &[elsewhere]).finish(), None, "another channel's computers");
    }
}
