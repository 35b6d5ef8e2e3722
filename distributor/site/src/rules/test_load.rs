//! Test-loads on the server: before a release goes to anybody, the site's own program loads it there.
//!
//! Invariant: where a site wants that of a package, no release of it is approved without a test that passed, or an admin's word
//! with a reason in its place. A test that could not be run counts as none. Left out on purpose: how it is run, and for which
//! packages, which the server's configuration says.

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

use crate::rules::text::escape;
use crate::rules::warnings::{Warning, WarningCode};

/// Whether the site wants releases of a package to be loaded on the server first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No program is configured for the package.
    Nothing,
    /// One is.
    TestLoad,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// The program loaded the release.
    Passed,
    /// It did not, or was killed at its time limit.
    Failed,
    /// The program could not be run.
    NotRun,
    /// An admin lets the release through without it.
    Overridden,
}

impl TestOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::NotRun, Self::Overridden];

    /// The word for it, in entries, answers and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "not_run",
            Self::Overridden => "overridden",
        }
    }

    /// Whether the release may go out.
    #[must_use]
    pub const fn lets_through(self) -> bool {
        matches!(self, Self::Passed | Self::Overridden)
    }
}

impl fmt::Display for TestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The newest test of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestLoad {
    /// What came of it.
    pub outcome: TestOutcome,
    /// What the program said, or why it was not run, or the admin's reason.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

impl TestLoad {
    /// What stands behind a release that waits.
    #[must_use]
    pub fn sentence(&self) -> String {
        let why = escape(&self.detail);
        match self.outcome {
            TestOutcome::Passed => "it passed its test-load on the server".to_owned(),
            TestOutcome::Overridden => format!("an admin lets it through without a test-load ({why})"),
            TestOutcome::Failed => format!("its test-load on the server failed at {}: {why}", self.at),
            TestOutcome::NotRun => {
                format!("its test-load on the server could not be run at {}: {why}", self.at)
            }
        }
    }
}

/// Whether a release may be approved.
///
/// # Errors
/// A [`Problem`] that says what is missing.
pub fn approvable(wanted: Wanted, test: Option<&TestLoad>, release: &ReleaseId) -> Result<(), Problem> {
    match (wanted, test) {
        (Wanted::Nothing, _) => Ok(()),
        (Wanted::TestLoad, Some(test)) if test.outcome.lets_through() => Ok(()),
        (Wanted::TestLoad, found) => {
            let why = found.map_or_else(
                || "its test-load on the server has not been run".to_owned(),
                TestLoad::sentence,
            );
            let name = format!("{}:{}", release.package, release.version);
            Err(Problem::new(
                ProblemCode::WrongState,
                format!("cannot approve {release}: {why}"),
                format!(
                    "`distributor updates test-load {name}` runs it again; `distributor updates test-load {name} --override \
                     --why TEXT` lets the release through without it"
                ),
            ))
        }
    }
}

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
        let said = format!("{release} is held: {}; look at it with `{look}`", test.sentence());
        Warning::new(WarningCode::TestLoadFailed, said).since(Some(test.at)).next(look)
    };
    held.iter().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::Version;

    use super::*;

    fn release() -> ReleaseId {
        ReleaseId {
            package: PackageName::new("sigs").unwrap(),
            version: Version::new("7").unwrap(),
            platform: Platform::any(),
        }
    }

    fn test(outcome: TestOutcome) -> TestLoad {
        TestLoad { outcome, detail: "bad\u{1b}[31m".to_owned(), at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn only_a_test_that_passed_or_an_admin_lets_a_release_through_where_one_is_wanted() {
        for outcome in TestOutcome::ALL {
            let test = test(outcome);
            assert_eq!(approvable(Wanted::Nothing, Some(&test), &release()), Ok(()));
            let found = approvable(Wanted::TestLoad, Some(&test), &release());
            let lets = matches!(outcome, TestOutcome::Passed | TestOutcome::Overridden);
            assert_eq!(found.is_ok(), lets, "{outcome}");
            if let Err(problem) = found {
                assert!(problem.hint.contains("updates test-load sigs:7 --override"), "{problem}");
                assert!(!problem.message.chars().any(char::is_control), "{problem}");
            }
        }
        let missing = approvable(Wanted::TestLoad, None, &release()).unwrap_err();
        assert!(missing.message.contains("has not been run"), "{missing}");
        assert_eq!(approvable(Wanted::Nothing, None, &release()), Ok(()));
    }

    #[test]
    fn what_is_held_is_said_with_its_reason_and_the_next_command() {
        let held = HeldRelease {
            release: release(),
            manifest: Sha256Digest::of(b"7"),
            test: test(TestOutcome::Failed),
        };
        let [said] = <[Warning; 1]>::try_from(warnings(&[held])).unwrap();
        assert!(
            said.message.contains("sigs 7 (any) is held") && said.message.contains("failed at"),
            "{said:?}"
        );
        assert_eq!(said.next.as_deref(), Some("distributor updates show sigs:7"));
    }
}
