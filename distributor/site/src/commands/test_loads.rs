//! Test-loads on the server: what came of one, and an admin who lets a release through without it.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use super::releases::{LoadRelease, ReleaseFacts};
use crate::changes::{Actor, Change, ReleaseTest};
use crate::rules::release::ReleaseState;
use crate::rules::test_load::TestOutcome;

/// Longest text of one test, in bytes.
const MAX_DETAIL_BYTES: usize = 4 * 1024;

/// Notes what came of a test-load. The same again is nothing new.
#[derive(Debug, Clone)]
pub struct NoteTestLoad {
    /// The release's manifest.
    pub manifest: Sha256Digest,
    /// The digest of the settings of the program.
    pub program: Sha256Digest,
    /// What came of it.
    pub outcome: TestOutcome,
    /// What the program said.
    pub detail: String,
}

impl Command for NoteTestLoad {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a test-load";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let Self { manifest, program, outcome, detail } = self;
        let detail = cut(detail.trim());
        let test = facts.test.as_ref();
        let is_new = test.is_none_or(|test| {
            (test.outcome, test.program, &test.detail) != (outcome, Some(program), &detail)
        });
        // An admin's word stays until a test says better.
        let is_overridden = test.is_some_and(|test| test.outcome == TestOutcome::Overridden);
        let stands = is_overridden && !outcome.lets_through();
        match facts.known {
            Some(known) if is_new && !stands && outcome != TestOutcome::Overridden => {
                let test =
                    ReleaseTest { release: known.release, manifest, program: Some(program), outcome, detail };
                Decision::answer(()).change(Actor::Server, Change::ReleaseTestLoaded(test))
            }
            _ => Decision::answer(()),
        }
    }
}

/// An admin lets a release through without a test-load that passed.
#[derive(Debug, Clone)]
pub struct OverrideTestLoad {
    /// Who does.
    pub actor: Actor,
    /// The release's manifest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub comment: String,
}

impl Command for OverrideTestLoad {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "let a release through without a test-load";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let Self { actor, manifest, comment } = self;
        let detail = comment.trim().to_owned();
        if detail.is_empty() || detail.len() > MAX_DETAIL_BYTES {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!("cannot let a release through without a reason of 1 to {MAX_DETAIL_BYTES} bytes"),
                "say in one sentence why, for whoever reads the log later",
            ));
        }
        let Some(known) = facts.known else {
            return Decision::refuse(Problem::new(
                ProblemCode::NotFound,
                format!("no release with manifest {manifest} is known here"),
                "`distributor updates list` shows what there is",
            ));
        };
        if known.state != ReleaseState::Staged {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!(
                    "{} is {}, and only what waits for an approval is held by a test-load",
                    known.release, known.state
                ),
                "`distributor updates list` shows what waits",
            ));
        }
        if facts.test.is_some_and(|test| test.outcome == TestOutcome::Overridden && test.detail == detail) {
            return Decision::answer(());
        }
        let (outcome, program) = (TestOutcome::Overridden, None);
        let test = ReleaseTest { release: known.release, manifest, program, outcome, detail };
        Decision::answer(()).change(actor, Change::ReleaseTestLoaded(test))
    }
}

/// The end of a text says how the program failed.
fn cut(text: &str) -> String {
    let mut from = text.len().saturating_sub(MAX_DETAIL_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_what_a_program_said_is_kept_because_the_reason_stands_there() {
        let said = format!("{}ü: the signature is broken", "x".repeat(3 * MAX_DETAIL_BYTES));
        let kept = cut(&said);
        assert!(kept.ends_with("xü: the signature is broken"), "{kept}");
        assert_eq!(kept.len(), MAX_DETAIL_BYTES);
        assert_eq!(cut("short"), "short");
        let cut_inside = "ü".repeat(MAX_DETAIL_BYTES);
        assert_eq!(cut(&format!("{cut_inside}x")).len(), MAX_DETAIL_BYTES - 1);
    }
}
