//! Through which releases deltas may lead a computer to another one.
//!
//! A computer never runs what it passes, and gets that release's bytes all the same: so it has to be one that a person let go to
//! every computer of its channel, that is older than the last release, and that nobody stopped since. Both who tells ways and
//! who lets deltas out ask here. Left out on purpose: whether the computer may have the last release, which `admission`
//! decides, and what it runs, which it has already.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;

use super::release::KnownRelease;

/// Whether a delta of a computer's way to `to` may lead to `passed`. `base` is what that delta leads from; `None`: nothing, so
/// that it brings the whole of `passed`. `channel` is the one that the computer follows.
#[must_use]
pub fn may_pass(
    base: Option<&Sha256Digest>,
    passed: &KnownRelease,
    to: &KnownRelease,
    channel: &ChannelName,
) -> bool {
    let (through, end) = (&passed.release, &to.release);
    base.is_some()
        && passed.state.is_or_was_approved()
        && passed.approved_for.contains(channel)
        // What goes ring by ring there is for those whom the rollout told, and is assigned to them.
        && !passed.rolling_out.contains(channel)
        && passed.counter < to.counter
        && through.package == end.package
        && through.platform == end.platform
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::rules::release::ReleaseState;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn release(version: u64) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("acme-av").unwrap(),
                version: Version::new(format!("{version}.0")).unwrap(),
                platform: Platform::new("linux-x86_64").unwrap(),
            },
            manifest: Sha256Digest::of(&version.to_be_bytes()),
            state: ReleaseState::Superseded,
            counter: ReleaseCounter(version),
            channels: vec![channel("beta"), channel("stable")],
            approved_for: vec![channel("stable")],
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

    /// Whether a computer on `stable` may pass it on its way from 1.0 to 3.0.
    fn passes(passed: &KnownRelease) -> bool {
        may_pass(Some(&release(1).manifest), passed, &release(3), &channel("stable"))
    }

    #[test]
    fn deltas_lead_through_what_was_approved_and_nobody_stopped() {
        for state in ReleaseState::ALL {
            let expected = matches!(state, ReleaseState::Approved | ReleaseState::Superseded);
            assert_eq!(passes(&KnownRelease { state, ..release(2) }), expected, "{state}");
        }
    }

    #[test]
    fn deltas_lead_through_no_other_package_and_no_other_platform() {
        for (package, platform) in [("other", "linux-x86_64"), ("acme-av", "linux-aarch64")] {
            let mut passed = release(2);
            passed.release.package = PackageName::new(package).unwrap();
            passed.release.platform = Platform::new(platform).unwrap();
            assert!(!passes(&passed), "{package} {platform}");
        }
    }

    #[test]
    fn deltas_lead_only_through_older_releases_that_every_computer_of_the_channel_gets() {
        let (both, beta) = (vec![channel("beta"), channel("stable")], vec![channel("beta")]);
        let rows = [
            ("approved for it", release(2), true),
            ("for others too", KnownRelease { approved_for: both.clone(), ..release(2) }, true),
            ("rolling out elsewhere", KnownRelease { rolling_out: beta.clone(), ..release(2) }, true),
            ("for others alone", KnownRelease { approved_for: beta, ..release(2) }, false),
            ("for nobody", KnownRelease { approved_for: Vec::new(), ..release(2) }, false),
            ("ring by ring", KnownRelease { rolling_out: both, ..release(2) }, false),
            ("the end itself", release(3), false),
            ("newer than the end", release(4), false),
        ];
        for (what, passed, expected) in rows {
            assert_eq!(passes(&passed), expected, "{what}");
        }
    }

    #[test]
    fn no_delta_brings_the_whole_of_a_release_that_is_only_passed() {
        assert!(!may_pass(None, &release(2), &release(3), &channel("stable")));
    }
}
