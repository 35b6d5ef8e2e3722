//! What a person does when a release turned out bad: stop it, decide anew, or let computers try it again.
//!
//! Invariant: a halted release goes to nobody; what it replaced goes out again by the ordinary rule of supersession. An
//! attempt only rises, so that a computer that went back from a release tries it once more and no oftener.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use super::releases::{LoadRelease, ReleaseFacts};
use crate::changes::{Actor, Change, NextAttempt, ReleaseRetry};
use crate::queries::{Query, query};
use crate::rules::release::{KnownRelease, ReleaseState, Transition};
use crate::rules::review::{self, Reviewed};
use crate::rules::text::{self, MAX_COMMENT_BYTES};

/// Computers in one entry of the log: an entry stays small.
const COMPUTERS_PER_ENTRY: usize = 500;
/// A report's attempt counts at most this far above what is known here: it is the computer's own word, and attempts of all
/// computers would be used up with it.
pub(super) const BELIEVED_ABOVE: u32 = 1_000;
/// Most names in one request.
pub const MAX_NAMED: usize = 1_000;

/// Stops a release. Again: the same answer; with a rollback if it had none.
#[derive(Debug, Clone)]
pub struct HaltRelease {
    /// Who stops it.
    pub actor: Actor,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub reason: String,
    /// What becomes of the computers that run it.
    pub runs: WhoRunsIt,
}

/// What becomes of the computers that run a halted release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhoRunsIt {
    /// They run it until something newer is approved.
    Keeps,
    /// They are told to go back to what they ran before.
    GoesBack,
}

impl Command for HaltRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "halt a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let (manifest, reason) = (self.manifest, self.reason.trim());
        let reviewed = Reviewed { manifest, found: facts.known.as_ref() };
        let step = match review::halt(reviewed, reason) {
            Ok(step) => step,
            Err(refusal) => return Decision::refuse(refusal.problem()),
        };
        let Some(known) = reviewed.found else { return Decision::answer(()) };
        let rollback = self.runs == WhoRunsIt::GoesBack;
        if step == Transition::Unchanged && (known.rollback || !rollback) {
            return Decision::answer(());
        }
        let change = Change::ReleaseHalted {
            release: known.release.clone(),
            manifest,
            reason: reason.to_owned(),
            rollback,
            withdrawn: known.state == ReleaseState::Withdrawn,
            aborted: false,
            supersession: facts.supersession(manifest, None),
        };
        Decision::answer(()).change(self.actor, change)
    }
}

/// Takes back a rejection or a halt: the release waits for a review again.
#[derive(Debug, Clone)]
pub struct ReconsiderRelease {
    /// Who does.
    pub actor: Actor,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub comment: String,
}

impl Command for ReconsiderRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "stage a release again";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let Self { actor, manifest, comment } = self;
        let comment = match reason(&comment, Self::ATTEMPTED) {
            Ok(comment) => comment,
            Err(problem) => return Decision::refuse(problem),
        };
        match (review::reconsider(Reviewed { manifest, found: facts.known.as_ref() }), facts.known) {
            (Err(refusal), _) => Decision::refuse(refusal.problem()),
            (Ok(Transition::To(_)), Some(KnownRelease { release, attempt, .. })) => {
                // Who went back from it takes it again only in a later attempt, also where a retry raised its own.
                let attempt = attempt.max(facts.highest_attempt).saturating_add(1);
                let change = Change::ReleaseReconsidered { release, manifest, attempt, comment };
                Decision::answer(()).change(actor, change)
            }
            (Ok(_), _) => Decision::answer(()),
        }
    }
}

query! {
    /// What another attempt is decided from.
    LoadRetry {
        /// The release's manifest.
        pub manifest: Sha256Digest,
        /// Which computers; those that failed when empty.
        pub names: Vec<ComputerName>,
    } -> RetryFacts, "read who failed to install a release"
}

/// As [`LoadRetry`] says.
#[derive(Debug, Clone)]
pub struct RetryFacts {
    /// The release.
    pub known: Option<KnownRelease>,
    /// The enrolled computers that are asked about, by name: those that are named, or those whose last report about the
    /// release is a failure. At most [`MAX_RETRIED`].
    pub computers: Vec<AttemptOf>,
}

/// Most computers that one command lets try again; it can be sent again for the rest.
pub const MAX_RETRIED: u32 = 10_000;

/// The last attempt of a computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOf {
    /// The client.
    pub client_id: ClientId,
    /// Its name.
    pub name: ComputerName,
    /// The attempt of its own that it was told last, if it was told one.
    pub attempt: Option<u32>,
    /// The attempt of its last report about the release, if that was a failure.
    pub failed: Option<u32>,
}

/// Lets computers try a release again. Answers how many.
#[derive(Debug, Clone)]
pub struct RetryRelease {
    /// Who asks for it.
    pub actor: Actor,
    /// The release's manifest.
    pub manifest: Sha256Digest,
    /// Which computers; those that failed when empty.
    pub names: Vec<ComputerName>,
    /// Why, for whoever reads the log later.
    pub comment: String,
}

impl Command for RetryRelease {
    type Facts = LoadRetry;
    type Answer = Vec<ComputerName>;
    const ATTEMPTED: &'static str = "let computers try a release again";

    fn facts(&self) -> LoadRetry {
        LoadRetry { manifest: self.manifest, names: self.names.iter().take(MAX_NAMED).cloned().collect() }
    }

    fn decide(self, facts: RetryFacts, _: &Context<'_>) -> Decision<Vec<ComputerName>> {
        let Self { actor, manifest, names, comment } = self;
        let comment = match reason(&comment, Self::ATTEMPTED) {
            Ok(comment) => comment,
            Err(problem) => return Decision::refuse(problem),
        };
        if let Err(refusal) = review::retry(Reviewed { manifest, found: facts.known.as_ref() }) {
            return Decision::refuse(refusal.problem());
        }
        let Some(known) = facts.known else { return Decision::answer(Vec::new()) };
        if let Some(problem) = not_to_be_retried(&known, &names, &facts.computers) {
            return Decision::refuse(problem);
        }
        let next = |computer: &AttemptOf| {
            let told = computer.attempt.unwrap_or(0).max(known.attempt);
            let failed = computer.failed.unwrap_or(0).min(told.saturating_add(BELIEVED_ABOVE));
            told.max(failed).saturating_add(1)
        };
        // An attempt that it was told and has not failed in yet is the retry that was asked for.
        let due = facts.computers.iter().filter(|computer| {
            let told = computer.attempt.unwrap_or(0).max(known.attempt);
            !names.is_empty() || computer.failed.is_some_and(|failed| failed >= told)
        });
        let attempts: Vec<NextAttempt> = due
            .map(|computer| NextAttempt {
                client_id: computer.client_id.clone(),
                name: computer.name.clone(),
                attempt: next(computer),
            })
            .collect();
        let told = attempts.iter().map(|next| next.name.clone()).collect();
        attempts.chunks(COMPUTERS_PER_ENTRY).fold(Decision::answer(told), |decision, chunk| {
            let (release, computers) = (known.release.clone(), chunk.to_vec());
            let retry = ReleaseRetry { release, manifest, computers, comment: comment.clone() };
            decision.change(actor.clone(), Change::ReleaseRetried(retry))
        })
    }
}

/// The reason that a person gave, as it is stored.
fn reason(comment: &str, attempted: &str) -> Result<String, Problem> {
    let said = comment.trim();
    if said.is_empty() || said.len() > MAX_COMMENT_BYTES {
        return Err(Problem::new(
            ProblemCode::BadRequest,
            format!("cannot {attempted} without a reason of 1 to {MAX_COMMENT_BYTES} bytes"),
            "say in one sentence why, for whoever reads the log later",
        ));
    }
    Ok(text::comment(said))
}

fn not_to_be_retried(known: &KnownRelease, names: &[ComputerName], found: &[AttemptOf]) -> Option<Problem> {
    if names.len() > MAX_NAMED {
        return Some(Problem::new(
            ProblemCode::BadRequest,
            format!("{} computers are named, and at most {MAX_NAMED} can be", names.len()),
            "name fewer; without names all that failed are meant",
        ));
    }
    let unknown = names.iter().find(|name| !found.iter().any(|computer| computer.name == **name));
    if let Some(name) = unknown {
        return Some(Problem::new(
            ProblemCode::NotFound,
            format!("no computer named {name} is enrolled here"),
            "`distributor clients list` shows all names",
        ));
    }
    found.is_empty().then(|| {
        Problem::new(
            ProblemCode::WrongState,
            format!("no computer failed to install {}: there is nothing to try again", known.release),
            format!(
                "`distributor updates show {}:{}` says how many failed; `--client` names one that is to try all the same",
                known.release.package, known.release.version
            ),
        )
    })
}

#[cfg(test)]
mod tests;
