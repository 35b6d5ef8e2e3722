//! Accounts of people.
//!
//! Invariant: an account is never removed, so that its name in the log means one person for ever. Disabling one is done alone and
//! at once, and ends what it asked for; while a rule needs two people, adding and enabling one, and confirming a token, need two.

use std::sync::Arc;

use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::decision::{Command, Context, Decision};
use super::second_eyes::{Outcome, Request, ask};
use super::settings::LoadPlan;
use crate::changes::{AccountChanged, Actor, Change, ProposalEnded, TokenConfirmed};
use crate::rules::account::TokenId;
use crate::rules::approvals::people::{AccountName, Eyes, MAX_ACCOUNTS, Standing};
use crate::rules::approvals::proposal::{Ending, Proposed};
use crate::rules::approvals::rule::{Needs, need_two};
use crate::rules::rollouts::plan::Plan;
use crate::rules::text;

/// A change of accounts needs two while any rule does.
fn by_people<'a>(
    plan: &'a Plan,
    actor: &'a Actor,
    what: Proposed,
    confirms: Option<u64>,
    comment: &'a str,
) -> Request<'a> {
    let needs = if need_two(&plan.settings.approvals) { Needs::Two } else { Needs::One };
    Request { plan, actor, what, needs, confirms, comment }
}

/// The change, with the comment that it was agreed to with, or a proposal that waits for a second person.
fn done_or_waiting(
    request: Request<'_>,
    context: &Context<'_>,
    change: impl FnOnce(String) -> Change,
) -> Decision<Outcome<()>> {
    let actor = request.actor;
    match ask(request, 0, context) {
        Err(stop) => stop.decision(actor),
        Ok(mut agreed) => {
            let change = change(std::mem::take(&mut agreed.comment));
            agreed.before(actor, Decision::answer(Outcome::Done(())).change(actor.clone(), change))
        }
    }
}

/// Adds an account. Again: the same answer.
#[derive(Debug, Clone)]
pub struct AddAccount {
    /// Who does.
    pub actor: Actor,
    /// Its name.
    pub account: AccountName,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

impl Command for AddAccount {
    type Facts = LoadPlan;
    type Answer = Outcome<()>;
    const ATTEMPTED: &'static str = "add an account";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<Outcome<()>> {
        let Self { actor, account, comment, confirms } = self;
        let accounts = &plan.approvals.people.accounts;
        match accounts.get(&account) {
            Some(person) if person.enabled => return Decision::answer(Outcome::Done(())),
            Some(_) => {
                return Decision::refuse(Problem::new(
                    ProblemCode::WrongState,
                    format!("there is an account {account}, and it is disabled"),
                    format!("enable it with `distributor accounts enable {account} --why TEXT`"),
                ));
            }
            None if accounts.len() >= MAX_ACCOUNTS => {
                return Decision::refuse(Problem::new(
                    ProblemCode::WrongState,
                    format!("there are {MAX_ACCOUNTS} accounts, which is as many as there can be"),
                    "accounts stay for good; enable one that is there: `distributor accounts list`",
                ));
            }
            None => {}
        }
        let what = Proposed::AddAccount { account: account.clone() };
        let request = by_people(&plan, &actor, what, confirms, &comment);
        done_or_waiting(request, context, |comment| Change::AccountAdded(AccountChanged { account, comment }))
    }
}

/// Enables a disabled account. Again: the same answer.
#[derive(Debug, Clone)]
pub struct EnableAccount {
    /// Who does.
    pub actor: Actor,
    /// Its name.
    pub account: AccountName,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

impl Command for EnableAccount {
    type Facts = LoadPlan;
    type Answer = Outcome<()>;
    const ATTEMPTED: &'static str = "enable an account";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<Outcome<()>> {
        let Self { actor, account, comment, confirms } = self;
        match plan.approvals.people.accounts.get(&account) {
            None => return Decision::refuse(no_such_account(&account)),
            Some(person) if person.enabled => return Decision::answer(Outcome::Done(())),
            Some(_) => {}
        }
        let what = Proposed::EnableAccount { account: account.clone() };
        let request = by_people(&plan, &actor, what, confirms, &comment);
        done_or_waiting(request, context, |comment| {
            Change::AccountEnabled(AccountChanged { account, comment })
        })
    }
}

/// Disables an account: its tokens are refused, and what it asked for is void. Again: the same answer.
#[derive(Debug, Clone)]
pub struct DisableAccount {
    /// Who does.
    pub actor: Actor,
    /// Its name.
    pub account: AccountName,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
}

impl Command for DisableAccount {
    type Facts = LoadPlan;
    type Answer = ();
    const ATTEMPTED: &'static str = "disable an account";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, _: &Context<'_>) -> Decision<()> {
        let Self { actor, account, comment } = self;
        let approvals = &plan.approvals;
        match approvals.people.accounts.get(&account) {
            None => return Decision::refuse(no_such_account(&account)),
            Some(person) if !person.enabled => return Decision::answer(()),
            Some(_) => {}
        }
        let eyes = Eyes::Of(account.clone());
        let void = approvals.proposals.values().filter(|proposal| proposal.eyes == eyes);
        let void: Vec<u64> = void.map(|proposal| proposal.number).collect();
        let comment = text::stored(comment.trim());
        let change = Change::AccountDisabled(AccountChanged { account, comment });
        voided(Decision::answer(()).change(actor.clone(), change), &actor, &void)
    }
}

/// Ends proposals of who is trusted no more.
pub(super) fn voided<T>(decision: Decision<T>, actor: &Actor, numbers: &[u64]) -> Decision<T> {
    numbers.iter().fold(decision, |decision, number| {
        let (how, comment) = (Ending::Void, String::new());
        let ended = ProposalEnded { number: *number, how, comment };
        decision.change(actor.clone(), Change::ProposalEnded(ended))
    })
}

/// Lets a token that was made at the server be one of its account: its owner can renew it then. Again: the same answer.
#[derive(Debug, Clone)]
pub struct ConfirmToken {
    /// Who does.
    pub actor: Actor,
    /// Which token.
    pub token: TokenId,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

impl Command for ConfirmToken {
    type Facts = LoadPlan;
    type Answer = Outcome<()>;
    const ATTEMPTED: &'static str = "confirm a token";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<Outcome<()>> {
        let Self { actor, token, comment, confirms } = self;
        let owned = plan.approvals.people.tokens.get(&token);
        let Some(owned) = owned.filter(|owned| owned.standing != Standing::Revoked) else {
            return Decision::refuse(Problem::new(
                ProblemCode::NotFound,
                format!("no account has the token [{token}]: it was revoked or renewed"),
                "see `distributor accounts list`",
            ));
        };
        if owned.standing != Standing::Unconfirmed {
            return Decision::answer(Outcome::Done(()));
        }
        let (account, name) = (owned.account.clone(), owned.name.clone());
        let what =
            Proposed::ConfirmToken { account: account.clone(), token: token.clone(), name: name.clone() };
        let request = by_people(&plan, &actor, what, confirms, &comment);
        done_or_waiting(request, context, |_| {
            Change::AdminTokenConfirmed(TokenConfirmed { token, name, account })
        })
    }
}

/// The refusal of an account that is not there.
#[must_use]
pub fn no_such_account(account: &AccountName) -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        format!("there is no account named {account}"),
        format!(
            "`distributor accounts list` shows all; add it with `distributor accounts add {account} --why TEXT`"
        ),
    )
}

#[cfg(test)]
mod tests;
