//! What commands have in common that can need a second person.
//!
//! Invariant: what ends a proposal, and what is done by that, stand in one command: both are written, or neither.

use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Context, Decision};
use crate::changes::{Actor, Change, ProposalEnded, ProposalMade};
use crate::rules::account::Account;
use crate::rules::approvals::door::{Asked, Door};
use crate::rules::approvals::proposal::{Ending, Proposed};
use crate::rules::approvals::rule::Needs;
use crate::rules::rollouts::plan::Plan;
use crate::rules::text::{self, MAX_COMMENT_BYTES};

/// What became of something that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is done.
    Done(T),
    /// It waits for a second person, as the proposal of this number.
    Waits(u64),
}

/// Something that is asked for.
pub(super) struct Request<'a> {
    pub(super) plan: &'a Plan,
    pub(super) actor: &'a Actor,
    pub(super) what: Proposed,
    pub(super) needs: Needs,
    pub(super) confirms: Option<u64>,
    pub(super) comment: &'a str,
}

/// It goes on: who stands behind it, and what is written before.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    pub(super) accounts: Vec<Account>,
    pub(super) comment: String,
    ended: Vec<Change>,
}

/// It does not go on now.
pub(super) enum Stop {
    Refused(Problem),
    Waits { changes: Vec<Change>, number: u64 },
}

impl Agreed {
    /// A decision with the ends of proposals before what follows from them.
    pub(super) fn before<T>(&mut self, actor: &Actor, decision: Decision<T>) -> Decision<T> {
        let ended = std::mem::take(&mut self.ended);
        let changes = ended.into_iter().map(|change| (actor.clone(), change)).chain(decision.changes);
        Decision { changes: changes.collect(), ..decision }
    }
}

impl Stop {
    pub(super) fn decision<T>(self, actor: &Actor) -> Decision<Outcome<T>> {
        match self {
            Self::Refused(problem) => Decision::refuse(problem),
            Self::Waits { changes, number } => {
                changes.into_iter().fold(Decision::answer(Outcome::Waits(number)), |decision, change| {
                    decision.change(actor.clone(), change)
                })
            }
        }
    }
}

/// The refusal of a comment that would not be kept whole.
pub(super) fn too_long(comment: &str) -> Option<Problem> {
    (comment.trim().len() > MAX_COMMENT_BYTES).then(|| {
        Problem::new(
            ProblemCode::BadRequest,
            format!("a comment has at most {MAX_COMMENT_BYTES} bytes"),
            "nothing was changed; say in one sentence why, for whoever reads the log later",
        )
    })
}

/// Whether it goes on. `earlier` is how many entries the same command writes before.
pub(super) fn ask(request: Request<'_>, earlier: usize, context: &Context<'_>) -> Result<Agreed, Stop> {
    let Request { plan, actor, what, needs, confirms, comment } = request;
    if let Some(problem) = too_long(comment) {
        return Err(Stop::Refused(problem));
    }
    let comment = text::comment(comment);
    let asked = Asked { approvals: &plan.approvals, actor, what: &what, needs, confirms, now: context.now };
    let ended = |ends: Vec<(u64, Ending)>, comment: &str| -> Vec<Change> {
        let end = |(number, how)| {
            let comment = match how {
                Ending::Confirmed | Ending::Unopposed => comment.to_owned(),
                Ending::Withdrawn | Ending::Replaced | Ending::Void | Ending::Expired => String::new(),
            };
            Change::ProposalEnded(ProposalEnded { number, how, comment })
        };
        ends.into_iter().map(end).collect()
    };
    match asked.decide() {
        Door::Goes(behind) => {
            let ended = ended(behind.ends, &comment);
            let both = [behind.comment.unwrap_or_default(), comment];
            let mut said: Vec<&str> = both.iter().map(String::as_str).filter(|one| !one.is_empty()).collect();
            said.dedup();
            Ok(Agreed { accounts: behind.accounts, comment: said.join("; "), ended })
        }
        Door::Waits { eyes, expires_at, ends } => {
            let mut changes = ended(ends, "");
            let before = (earlier + changes.len()) as u64;
            let number = context.log.size().saturating_add(before).saturating_add(1);
            let account = eyes.account().cloned();
            let made = ProposalMade { number, proposed: what, account, expires_at, comment };
            changes.push(Change::ProposalMade(made));
            Err(Stop::Waits { changes, number })
        }
        Door::WaitsAlready { number } => Err(Stop::Waits { changes: Vec::new(), number }),
        Door::Refused(refusal) => {
            Err(Stop::Refused(Problem::new(ProblemCode::Forbidden, refusal.to_string(), refusal.hint())))
        }
    }
}
