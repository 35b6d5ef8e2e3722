//! Staged releases that their test-load on the server holds, as a status says it.
//!
//! Left out on purpose: when a test holds a release, which `test_load` says.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;

use crate::rules::test_load::TestLoad;
use crate::rules::warnings::{Warning, WarningCode};

/// A staged release whose test did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRelease {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// The test.
    pub test: TestLoad,
}

/// What a status says of releases that are held.
#[must_use]
pub fn warnings(held: &[HeldRelease]) -> Vec<Warning> {
    let warning = |held: &HeldRelease| {
        let HeldRelease { release, test, .. } = held;
        let look = format!("distributor updates show {}:{}", release.package, release.version);
        let said = format!("{release} cannot be approved: {}; look at it with `{look}`", test.sentence());
        Warning::new(WarningCode::TestLoadFailed, said).since(Some(test.at)).next(look)
    };
    held.iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::Version;

    use super::*;
    use crate::rules::account::Actor;
    use crate::rules::test_load::TestOutcome;

    #[test]
    fn a_status_says_which_release_is_held_why_since_when_and_what_to_type() {
        let at = Timestamp::UNIX_EPOCH;
        let (outcome, detail, by) = (TestOutcome::Failed, "bad set\u{1b}".to_owned(), Actor::Server);
        let release = ReleaseId {
            package: PackageName::new("sigs").unwrap(),
            version: Version::new("7").unwrap(),
            platform: Platform::any(),
        };
        let test = TestLoad { outcome, program: None, detail, at, by };
        let held = HeldRelease { release, manifest: Sha256Digest::of(b"7"), test };
        let [said] = <[Warning; 1]>::try_from(warnings(&[held])).unwrap();
        assert!(said.message.starts_with("sigs 7 (any) cannot be approved: its test-load"), "{said:?}");
        assert!(!said.message.chars().any(char::is_control), "{said:?}");
        assert_eq!((said.since, said.next.as_deref()), (Some(at), Some("distributor updates show sigs:7")));
    }
}
