//! Test-loads on the server: before a release goes to anybody, the site's own program loads it there.
//!
//! Invariant: where a site wants that of a package, no staged release of it is approved without a test that passed with the
//! program as it is configured now, or an admin's word with a reason in its place. A test that could not be run counts as none.
//! Left out on purpose: how it is run, and for which packages, which the server's own configuration says and no admin can set
//! from elsewhere; and what is approved already, which computers run.

use std::fmt;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use serde::{Deserialize, Serialize};

use crate::rules::account::{Actor, named};
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::text::escape;

/// Whether the site wants releases of a package to be loaded on the server first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No program is configured for the package.
    Nothing,
    /// By the program whose settings have this digest.
    By(Sha256Digest),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOutcome {
    /// The program loaded the release.
    Passed,
    /// It ended with another status than 0.
    Failed,
    /// It was killed at its time limit.
    TimedOut,
    /// The program could not be run.
    NotRun,
    /// An admin lets the release through without it.
    Overridden,
}

impl TestOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::TimedOut, Self::NotRun, Self::Overridden];

    /// The word for it, in entries, answers and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::NotRun => "not_run",
            Self::Overridden => "overridden",
        }
    }

    /// Whether the release may go out.
    #[must_use]
    pub const fn lets_through(self) -> bool {
        matches!(self, Self::Passed | Self::Overridden)
    }

    /// Whether it says something about the release: then the same program is not asked again by itself.
    #[must_use]
    pub const fn is_an_answer(self) -> bool {
        !matches!(self, Self::NotRun)
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
    /// The digest of the settings of the program that loaded it; `None` for an admin's word in its place.
    pub program: Option<Sha256Digest>,
    /// What the program said, or why it was not run, or the admin's reason.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// Who said so: the server, or the admin.
    pub by: Actor,
}

impl TestLoad {
    /// What came of it, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let (why, at) = (escape(&self.detail), self.at);
        match self.outcome {
            TestOutcome::Passed => format!("it passed its test-load on the server at {at}"),
            TestOutcome::Overridden => {
                format!("{} let it through without a test-load at {at}: {why}", named(&self.by))
            }
            TestOutcome::Failed => format!("its test-load on the server failed at {at}: {why}"),
            TestOutcome::TimedOut => {
                format!("its test-load on the server did not end in time at {at}: {why}")
            }
            TestOutcome::NotRun => format!("its test-load on the server could not be run at {at}: {why}"),
        }
    }

    /// Whether it says whether the release may go out where this is wanted. What another program said of it does not.
    #[must_use]
    pub fn answers(&self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Nothing => true,
            Wanted::By(program) => {
                self.outcome == TestOutcome::Overridden
                    || (self.program == Some(program) && self.outcome.is_an_answer())
            }
        }
    }
}

/// What a test-load means for an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'a> {
    /// The release may be approved: nothing is wanted of it, it passed, or an admin let it through.
    Open,
    /// It has not been loaded by the program that is configured now: the server does that by itself.
    Pending,
    /// It did not pass, until it is loaded again or somebody lets it through.
    Shut(&'a TestLoad),
}

/// Whether a release of this state may be approved.
#[must_use]
pub fn gate(wanted: Wanted, state: ReleaseState, test: Option<&TestLoad>) -> Gate<'_> {
    match (wanted, test) {
        _ if state != ReleaseState::Staged => Gate::Open,
        (Wanted::Nothing, _) => Gate::Open,
        (Wanted::By(_), None) => Gate::Pending,
        (Wanted::By(_), Some(test)) if test.answers(wanted) && test.outcome.lets_through() => Gate::Open,
        // Also what keeps the program from running is for a person to look at.
        (Wanted::By(program), Some(test)) if test.program == Some(program) => Gate::Shut(test),
        (Wanted::By(_), Some(_)) => Gate::Pending,
    }
}

/// Why a release cannot be approved before it has been loaded on the server, if it cannot.
#[must_use]
pub fn refusal(wanted: Wanted, known: Option<&KnownRelease>, test: Option<&TestLoad>) -> Option<Problem> {
    known.and_then(|known| gate(wanted, known.state, test).problem(&known.release))
}

impl Gate<'_> {
    /// Why a release cannot be approved, if it cannot.
    #[must_use]
    pub fn problem(self, release: &ReleaseId) -> Option<Problem> {
        let name = format!("{}:{}", release.package, release.version);
        let (why, first) = match self {
            Self::Open => return None,
            Self::Pending => (
                "its test-load on the server is not done yet".to_owned(),
                format!("the server does it by itself; `distributor updates test-load {name}` waits for it"),
            ),
            Self::Shut(test) => {
                (test.sentence(), format!("`distributor updates test-load {name}` does it again"))
            }
        };
        Some(Problem::new(
            ProblemCode::WrongState,
            format!("cannot approve {release}: {why}"),
            format!(
                "{first}; `distributor updates test-load {name} --override --why TEXT` lets the release through without it"
            ),
        ))
    }
}

/// What stands behind a release that waits for an approval, if its newest test-load holds it.
#[must_use]
pub fn held(release: &ReleaseId, test: &TestLoad) -> String {
    let name = format!("{}:{}", release.package, release.version);
    let until = match test.outcome {
        TestOutcome::NotRun => "the server tries it again each hour",
        _ => "until then computers keep what is approved",
    };
    format!(
        "; {} is held, failed test-load: {}; `distributor updates test-load {name}` does it again, with --override --why TEXT \
         lets it through; {until}",
        release.version,
        test.sentence()
    )
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

    fn program(name: &str) -> Sha256Digest {
        Sha256Digest::of(name.as_bytes())
    }

    fn test(outcome: TestOutcome) -> TestLoad {
        let (detail, at) = ("bad\u{1b}[31m".to_owned(), Timestamp::UNIX_EPOCH);
        let (program, by) = match outcome {
            TestOutcome::Overridden => (None, Actor::socket("ada")),
            _ => (Some(program("scan")), Actor::Server),
        };
        TestLoad { outcome, program, detail, at, by }
    }

    const STAGED: ReleaseState = ReleaseState::Staged;

    #[test]
    fn only_a_test_that_passed_or_an_admin_lets_a_release_through_where_one_is_wanted() {
        let wanted = Wanted::By(program("scan"));
        for outcome in TestOutcome::ALL {
            let test = test(outcome);
            assert_eq!(gate(Wanted::Nothing, STAGED, Some(&test)), Gate::Open);
            let found = gate(wanted, STAGED, Some(&test));
            let lets = matches!(outcome, TestOutcome::Passed | TestOutcome::Overridden);
            assert_eq!(found, if lets { Gate::Open } else { Gate::Shut(&test) }, "{outcome}");
            let problem = found.problem(&release());
            assert_eq!(problem.is_none(), lets, "{outcome}");
            if let Some(problem) = problem {
                assert!(problem.hint.contains("updates test-load sigs:7 --override --why"), "{problem}");
                assert!(!problem.message.chars().any(char::is_control), "{problem}");
            }
        }
        let missing = gate(wanted, STAGED, None);
        assert_eq!(missing, Gate::Pending);
        assert!(missing.problem(&release()).unwrap().message.contains("is not done yet"));
        assert_eq!(gate(Wanted::Nothing, STAGED, None), Gate::Open);
    }

    #[test]
    fn what_another_program_said_is_no_answer_and_an_admins_word_stays_one() {
        let wanted = Wanted::By(program("scan --new"));
        for outcome in TestOutcome::ALL {
            let test = test(outcome);
            let expected = if outcome == TestOutcome::Overridden { Gate::Open } else { Gate::Pending };
            assert_eq!(gate(wanted, STAGED, Some(&test)), expected, "{outcome}");
        }
    }

    #[test]
    fn what_is_approved_goes_to_further_channels_without_another_test() {
        let failed = test(TestOutcome::Failed);
        let wanted = Wanted::By(program("scan"));
        for state in ReleaseState::ALL.into_iter().filter(|state| *state != STAGED) {
            assert_eq!(gate(wanted, state, None), Gate::Open, "{state}");
            assert_eq!(gate(wanted, state, Some(&failed)), Gate::Open, "{state}");
        }
    }

    #[test]
    fn what_is_held_is_said_with_its_reason_and_the_next_command() {
        let test = test(TestOutcome::TimedOut);
        let said = held(&release(), &test);
        assert!(
            said.starts_with(
                "; 7 is held, failed test-load: its test-load on the server did not end in time"
            )
        );
        assert!(said.contains("updates test-load sigs:7") && !said.chars().any(char::is_control), "{said}");
    }
}
