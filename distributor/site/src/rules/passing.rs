//! Through which releases deltas may lead a computer to another one.
//!
//! A computer never runs what it passes, and gets that release's bytes all the same: so it has to be one that a person let go to
//! computers here, and that nobody stopped since. Left out on purpose: whether the computer may have the last release, which
//! `admission` decides, and what it runs, which it has already.

use super::release::KnownRelease;

/// Whether deltas may lead through `passed` to `to`.
#[must_use]
pub fn may_pass(passed: &KnownRelease, to: &KnownRelease) -> bool {
    let (through, end) = (&passed.release, &to.release);
    passed.state.is_or_was_approved() && through.package == end.package && through.platform == end.platform
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::rules::release::ReleaseState;

    fn release(package: &str, platform: &str, state: ReleaseState) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new(package).unwrap(),
                version: Version::new("1.0").unwrap(),
                platform: Platform::new(platform).unwrap(),
            },
            manifest: Sha256Digest::of(package.as_bytes()),
            state,
            counter: ReleaseCounter(1),
            channels: Vec::new(),
            approved_for: Vec::new(),
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

    #[test]
    fn deltas_lead_through_what_was_approved_and_nobody_stopped() {
        let to = release("acme-av", "linux-x86_64", ReleaseState::Approved);
        for state in ReleaseState::ALL {
            let expected = matches!(state, ReleaseState::Approved | ReleaseState::Superseded);
            assert_eq!(may_pass(&release("acme-av", "linux-x86_64", state), &to), expected, "{state}");
        }
    }

    #[test]
    fn deltas_lead_through_no_other_package_and_no_other_platform() {
        let to = release("acme-av", "linux-x86_64", ReleaseState::Approved);
        for (package, platform) in [("other", "linux-x86_64"), ("acme-av", "linux-aarch64")] {
            let passed = release(package, platform, ReleaseState::Approved);
            assert!(!may_pass(&passed, &to), "{package} {platform}");
        }
    }
}
