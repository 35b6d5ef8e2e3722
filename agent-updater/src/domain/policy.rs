//! What to do about one package of an assignment, and the sentence that explains it.

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::report::ReasonCode;
use serde::{Deserialize, Serialize};

/// A release that this computer gave up: not retried until an admin raises the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// The attempt that failed.
    pub attempt: u32,
    pub reason: ReasonCode,
    pub at: Timestamp,
}

/// What to do about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    UpToDate,
    Install,
    /// Not before this time.
    NotBefore(Timestamp),
    NotEntitled,
    OtherPlatform,
    /// Given up before, in this attempt or a later one.
    GivenUpBefore(GivenUp),
}

/// Decides about one package; lease and assignment were judged live before.
#[must_use]
pub fn decide(
    wanted: &PackageAssignment,
    installed: Option<&Sha256Digest>,
    given_up: &[GivenUp],
    lease: &Lease,
    platform: &Platform,
    now: Timestamp,
) -> Decision {
    if installed == Some(&wanted.manifest) {
        return Decision::UpToDate;
    }
    if !lease.covers(&wanted.release.package) {
        return Decision::NotEntitled;
    }
    if !wanted.release.platform.fits(platform) {
        return Decision::OtherPlatform;
    }
    // An admin raises the attempt to have the same release tried again.
    if let Some(before) =
        given_up.iter().find(|past| past.manifest == wanted.manifest && past.attempt >= wanted.attempt)
    {
        return Decision::GivenUpBefore(before.clone());
    }
    match wanted.not_before {
        Some(opens_at) if opens_at > now => Decision::NotBefore(opens_at),
        _ => Decision::Install,
    }
}

impl Decision {
    /// When the decision changes without a new contact, if it does.
    #[must_use]
    pub const fn changes_at(&self) -> Option<Timestamp> {
        match self {
            Self::NotBefore(opens_at) => Some(*opens_at),
            _ => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::Install => f.write_str("to be installed now"),
            Self::NotBefore(opens_at) => write!(f, "to be installed after {opens_at}"),
            Self::NotEntitled => {
                f.write_str("the license does not cover this package; ask the administrator")
            }
            Self::OtherPlatform => f.write_str("the release is for another platform; ask the administrator"),
            Self::GivenUpBefore(past) => write!(
                f,
                "given up at {} ({}); it is not retried automatically, the next release that is assigned is installed",
                past.at, past.reason
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::SigningKey;
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::{ClientId, ComputerName, PackageName, ServerId};
    use sealpost_manifests::lease::LedgerHead;
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    use super::*;

    fn wanted(attempt: u32) -> PackageAssignment {
        PackageAssignment {
            release: ReleaseId {
                package: PackageName::new("acme").unwrap(),
                version: Version::new("2").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"two"),
            not_before: None,
            deadline: None,
            urgency: sealpost_manifests::assignment::Urgency::Normal,
            rollout: 4,
            attempt,
        }
    }

    fn lease(packages: &[&str]) -> Lease {
        Lease {
            client_id: ClientId::from_random([1; 16]),
            client_key: SigningKey::generate().unwrap().public(),
            computer_name: ComputerName::new("pc").unwrap(),
            server_id: ServerId::from_random([1; 16]),
            epoch: 1,
            sequence: 1,
            issued_at: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::MAX,
            model: LicenseModel::Named,
            packages: packages.iter().map(|name| PackageName::new(name).unwrap()).collect(),
            grant: Sha256Digest::of(b"g"),
            ledger_head: LedgerHead { sequence: 0, hash: Sha256Digest::of(b"h") },
        }
    }

    fn given_up(attempt: u32) -> Vec<GivenUp> {
        let manifest = Sha256Digest::of(b"two");
        vec![GivenUp { manifest, attempt, reason: ReasonCode::HookFailed, at: Timestamp::UNIX_EPOCH }]
    }

    fn decide_with(
        wanted: &PackageAssignment,
        installed: Option<&Sha256Digest>,
        past: &[GivenUp],
    ) -> Decision {
        decide(wanted, installed, past, &lease(&[]), &Platform::current(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_was_rolled_back_is_not_tried_again_until_the_attempt_rises() {
        assert_eq!(decide_with(&wanted(1), None, &given_up(0)), Decision::Install);
        assert!(matches!(decide_with(&wanted(1), None, &given_up(1)), Decision::GivenUpBefore(_)));
        assert!(matches!(decide_with(&wanted(0), None, &given_up(1)), Decision::GivenUpBefore(_)));
    }

    #[test]
    fn a_release_waits_for_its_time_and_says_when_that_is() {
        let opens_at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later = PackageAssignment { not_before: Some(opens_at), ..wanted(0) };
        let decision = decide_with(&later, None, &[]);
        assert_eq!(decision.changes_at(), Some(opens_at));
        let at_last = decide(&later, None, &[], &lease(&[]), &Platform::current(), opens_at);
        assert_eq!(at_last, Decision::Install);
    }

    #[test]
    fn what_runs_is_up_to_date_and_what_the_license_or_platform_excludes_is_not_installed() {
        let digest = Sha256Digest::of(b"two");
        assert_eq!(decide_with(&wanted(0), Some(&digest), &given_up(9)), Decision::UpToDate);
        let other =
            decide(&wanted(0), None, &[], &lease(&["x"]), &Platform::current(), Timestamp::UNIX_EPOCH);
        assert_eq!(other, Decision::NotEntitled);
        let mut foreign = wanted(0);
        foreign.release.platform = Platform::new("plan9-mips").unwrap();
        assert_eq!(decide_with(&foreign, None, &[]), Decision::OtherPlatform);
    }
}
