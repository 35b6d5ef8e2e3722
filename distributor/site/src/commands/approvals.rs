//! What waits for a second person is taken back, a decision is put off, and the rules approve by themselves.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::word::Word;

use super::decision::{Command, Context, Decision};
use super::releases::{ApproveRelease, LoadRelease, ReleaseFacts};
use super::settings::LoadPlan;
use crate::changes::{Actor, Change, ProposalEnded, ReleaseDeferred};
use crate::rules::approvals::proposal::Ending;
use crate::rules::approvals::rule::by_itself;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::plan::Plan;
use crate::rules::test_load::{self, Gate, gate};
use crate::rules::text::{self, MAX_COMMENT_BYTES};

/// Longest time for which a decision is put off: a year.
const MAX_DEFERRED: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Takes back what waits for a second person. Anybody can: to stop something never needs two.
#[derive(Debug, Clone)]
pub struct WithdrawProposal {
    /// Who does.
    pub actor: Actor,
    /// Its number.
    pub number: u64,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
}

impl Command for WithdrawProposal {
    type Facts = LoadPlan;
    type Answer = ();
    const ATTEMPTED: &'static str = "withdraw a proposal";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, _: &Context<'_>) -> Decision<()> {
        let Self { actor, number, comment } = self;
        if !plan.approvals.proposals.contains_key(&number) {
            return Decision::refuse(no_such_proposal(number));
        }
        let (how, comment) = (Ending::Withdrawn, text::comment(&comment));
        let ended = ProposalEnded { number, how, comment };
        Decision::answer(()).change(actor, Change::ProposalEnded(ended))
    }
}

/// The refusal of a proposal that is not there.
#[must_use]
pub fn no_such_proposal(number: u64) -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        format!("no proposal {number} waits: it was confirmed, withdrawn, decided otherwise, or has expired"),
        "`distributor approvals list` shows what waits",
    )
}

/// Puts the decision about a release off. It ends by itself; a later one takes its place.
#[derive(Debug, Clone)]
pub struct DeferRelease {
    /// Who does.
    pub actor: Actor,
    /// The manifest's digest.
    pub manifest: Sha256Digest,
    /// Until when.
    pub until: Timestamp,
    /// Why, for whoever reads it later.
    pub comment: String,
}

impl Command for DeferRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "defer a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, context: &Context<'_>) -> Decision<()> {
        let Self { actor, manifest, until, comment } = self;
        let comment = comment.trim();
        let Some(known) = facts.known else {
            return Decision::refuse(Problem::new(
                ProblemCode::DigestMismatch,
                format!("cannot defer: no release with manifest {manifest} is staged here"),
                "`distributor updates list` shows what there is; look at it again with `distributor updates show REF`, and name the \
                 digest that is shown",
            ));
        };
        if known.state != ReleaseState::Staged {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("{}: cannot defer a release that is {}", known.release, known.state),
                "only what waits for a decision can be deferred; stop what is approved with `distributor updates halt`",
            ));
        }
        if comment.is_empty() || comment.len() > MAX_COMMENT_BYTES {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!("cannot defer a release without a reason of 1 to {MAX_COMMENT_BYTES} bytes"),
                "say in one sentence why, for whoever reads it later",
            ));
        }
        let latest = context.now.checked_add(MAX_DEFERRED).unwrap_or(Timestamp::MAX);
        if until <= context.now || until > latest {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!("cannot defer {} until {until}: name a time within the next 366 days", known.release),
                "a release that nobody wants is rejected with `distributor updates reject`",
            ));
        }
        let comment = text::comment(comment);
        let before = facts.plan.approvals.deferrals.get(&manifest);
        if before.is_some_and(|before| (before.until, &before.comment) == (until, &comment)) {
            return Decision::answer(());
        }
        let deferred = ReleaseDeferred { release: known.release, manifest, until, comment };
        Decision::answer(()).change(actor, Change::ReleaseDeferred(deferred))
    }
}

/// Approves a release if the rules do so by themselves. Answers by which rule; `None` when they do not, or not yet.
#[derive(Debug, Clone)]
pub struct ApproveByRule {
    /// The manifest's digest.
    pub manifest: Sha256Digest,
    /// The vendor's trust document as of the last good pull.
    pub trust: Option<Arc<TrustDocument>>,
    /// Whether the site wants it to be loaded on the server first.
    pub test_load: test_load::Wanted,
}

impl Command for ApproveByRule {
    type Facts = LoadRelease;
    type Answer = Option<Word>;
    const ATTEMPTED: &'static str = "approve a release by a rule";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, context: &Context<'_>) -> Decision<Option<Word>> {
        let Self { manifest, trust, test_load } = self;
        let plan = Arc::clone(&facts.plan);
        let is_deferred = plan.approvals.deferred(manifest, context.now).is_some();
        let open = facts.known.as_ref().filter(|known| {
            !is_deferred && matches!(known.state, ReleaseState::Staged | ReleaseState::Approved)
        });
        let (Some(known), Some(staged_at)) = (open, facts.staged_at) else { return Decision::answer(None) };
        let Some(by) = by_itself(&plan.settings.approvals, known, staged_at, context.now) else {
            return Decision::answer(None);
        };
        if gate(test_load, known.state, facts.test.as_ref()) != Gate::Open {
            return Decision::answer(None);
        }
        let approve = ApproveRelease {
            actor: Actor::Server,
            manifest,
            channels: Some(by.channels),
            trust,
            comment: format!("by the rule {}", by.rule),
            strategy: None,
            emergency: false,
            test_load,
            despite_deferral: false,
            confirms: None,
        };
        let Decision { changes, notes, answer } = approve.decide(facts, context);
        Decision { changes, notes, answer: answer.map(|_| Some(by.rule)) }
    }
}
