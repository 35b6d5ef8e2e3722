//! Which releases the site needs: their files are never removed, and are fetched again when they are lost.
//!
//! Pure. A release is needed while it is staged or approved, while a computer runs it or was told to run it, and while it
//! is the one to which a halt or a rollback goes back. A halted one is kept, because a person may take the halt back.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};

/// The line of releases in which one supersedes another.
type Line<'a> = (&'a PackageName, &'a Platform, &'a ChannelName);

/// Manifests of the needed releases. `in_use` are those that are staged, approved, told or installed.
pub(super) fn needed<'a>(
    known: impl Iterator<Item = &'a KnownRelease>,
    in_use: &BTreeSet<Sha256Digest>,
) -> BTreeSet<Sha256Digest> {
    let mut before: BTreeMap<Line<'_>, (ReleaseCounter, Sha256Digest)> = BTreeMap::new();
    let mut halted = BTreeSet::new();
    for superseded in known {
        match superseded.state {
            ReleaseState::Superseded => {}
            ReleaseState::Halted => {
                halted.insert(superseded.manifest);
                continue;
            }
            _ => continue,
        }
        let (package, platform) = (&superseded.release.package, &superseded.release.platform);
        for channel in &superseded.approved_for {
            let newest = (superseded.counter, superseded.manifest);
            let kept = before.entry((package, platform, channel)).or_insert(newest);
            *kept = newest.max(*kept);
        }
    }
    let before = before.into_values().map(|(_, manifest)| manifest);
    in_use.iter().copied().chain(before).chain(halted).collect()
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::Version;

    use super::*;

    fn release(version: u64, channel: &str, state: ReleaseState) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(format!("{version}.0")).unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(version.to_string().as_bytes()),
            counter: ReleaseCounter(version),
            state,
            channels: vec![ChannelName::new(channel).unwrap()],
            approved_for: vec![ChannelName::new(channel).unwrap()],
            rollback: false,
            attempt: 1,
            kind: PackageKind::Program,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
            rollout: None,
            signer: None,
            reason: None,
        }
    }

    #[test]
    fn a_release_that_a_halt_would_bring_back_is_needed_as_a_halted_one_and_one_before_it_is_not() {
        let known = [
            release(1, "stable", ReleaseState::Superseded),
            release(2, "stable", ReleaseState::Superseded),
            release(3, "stable", ReleaseState::Approved),
            release(4, "beta", ReleaseState::Superseded),
            release(5, "beta", ReleaseState::Rejected),
            release(6, "beta", ReleaseState::Withdrawn),
            release(7, "beta", ReleaseState::Halted),
        ];
        let in_use = BTreeSet::from([known[2].manifest]);
        let needed = needed(known.iter(), &in_use);
        let expected = [1, 2, 3, 6].map(|at| known[at].manifest);
        assert_eq!(needed, BTreeSet::from(expected));
    }
}
