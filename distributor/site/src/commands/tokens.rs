//! Tokens of admins, and what admins do at a server that no other command says: each is an entry of the log.
//!
//! Invariant: an entry is written before what it tells of is done, so that nothing of it is done without one. Which tokens
//! there are stands in no table: the log is asked, and whoever asks sees to it that a token is made and first used once. Of
//! those of accounts the tables say whose they are and whether they count as second eyes.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::TokenDigest;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::accounts::{no_such_account, voided};
use super::decision::{Command, Context, Decision, NoFacts};
use super::second_eyes::{Request, Stop, ask};
use super::settings::LoadPlan;
use crate::changes::{Actor, Change, ServerOperation, TokenOwner, TokenRevoked, TokenUsed};
use crate::rules::account::{Account, TokenId};
use crate::rules::approvals::people::{AccountName, Eyes, NotSecond, OwnedToken, Standing};
use crate::rules::approvals::proposal::{Proposal, Proposed};
use crate::rules::approvals::rule::{Needs, need_two};
use crate::rules::rollouts::plan::Plan;
use crate::rules::text;

/// A token as the log tells of it when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// By what it is recognized.
    pub digest: TokenDigest,
    /// Its end; `None` for one that is good until it is revoked.
    pub ends_at: Option<Timestamp>,
    /// The account that it is one of.
    pub account: Option<AccountName>,
}

/// Whether a token is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By this command.
    Made,
    /// By a program that wrote no entries about tokens; it goes on working.
    Found,
}

/// Tokens are made. One of an account counts as second eyes only when its owner has renewed it, and before that it waits for a
/// second person where a rule needs two. Answers the proposal that waits.
#[derive(Debug, Clone)]
pub struct MakeTokens {
    /// Who makes them.
    pub actor: Actor,
    /// Which.
    pub tokens: Vec<NewToken>,
    /// Whether they are new.
    pub origin: Origin,
}

impl Command for MakeTokens {
    type Facts = LoadPlan;
    type Answer = Option<u64>;
    const ATTEMPTED: &'static str = "log a new admin token";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<Option<u64>> {
        let Self { actor, tokens, origin } = self;
        let people = &plan.approvals.people;
        let mut decision = Decision::answer(None);
        for NewToken { name, digest, ends_at, account } in tokens {
            let (token, found) = (TokenId::of(&digest), origin == Origin::Found);
            if let Some(account) = &account {
                if !people.accounts.contains_key(account) {
                    return Decision::refuse(no_such_account(account));
                }
                if !people.is_enabled(account) {
                    return Decision::refuse(disabled(account));
                }
            }
            let needs_two = need_two(&plan.settings.approvals);
            let standing = if needs_two { Standing::Unconfirmed } else { Standing::Given };
            let owner = account.clone().map(|account| TokenOwner { account, standing, renews: None });
            let waits = account.filter(|_| needs_two).map(|account| Proposed::ConfirmToken {
                account,
                token: token.clone(),
                name: name.clone(),
            });
            let made = Change::AdminTokenMade { token, digest, name, ends_at, found, owner };
            decision = decision.change(actor.clone(), made);
            let Some(what) = waits else { continue };
            let (needs, earlier) = (Needs::Two, decision.changes.len());
            let request = Request { plan: &plan, actor: &actor, what, needs, confirms: None, comment: "" };
            match ask(request, earlier, context) {
                Err(Stop::Waits { changes, number }) => {
                    let changes = changes.into_iter().map(|change| (actor.clone(), change));
                    decision.changes.extend(changes);
                    decision.answer = Ok(Some(number));
                }
                Err(Stop::Refused(problem)) => return Decision::refuse(problem),
                // A new token has no proposal before.
                Ok(_) => {}
            }
        }
        decision
    }
}

fn disabled(account: &AccountName) -> Problem {
    Problem::new(
        ProblemCode::Forbidden,
        format!("the account {account} is disabled"),
        format!("`distributor accounts enable {account} --why TEXT` enables it again"),
    )
}

/// The owner of a token makes another in its place, with the token itself: nobody else knows that one, so it counts as second
/// eyes. It ends when the one before would have ended.
#[derive(Debug, Clone)]
pub struct RenewToken {
    /// Who does, with the token before.
    pub actor: Actor,
    /// The token before.
    pub before: TokenId,
    /// Its name, which stays.
    pub name: String,
    /// By what the new one is recognized.
    pub digest: TokenDigest,
    /// The end of both.
    pub ends_at: Option<Timestamp>,
}

impl Command for RenewToken {
    type Facts = LoadPlan;
    type Answer = ();
    const ATTEMPTED: &'static str = "log a renewed admin token";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, _: &Context<'_>) -> Decision<()> {
        let Self { actor, before, name, digest, ends_at } = self;
        let people = &plan.approvals.people;
        let owned = people.tokens.get(&before).filter(|owned| owned.standing != Standing::Revoked);
        let Some(owned) = owned else {
            return Decision::refuse(Problem::new(
                ProblemCode::WrongState,
                format!("the token {name} [{before}] is one of no account, and only those are renewed"),
                "on the server, make one with `distributor token new NAME --account ACCOUNT`",
            ));
        };
        if !people.is_enabled(&owned.account) {
            return Decision::refuse(disabled(&owned.account));
        }
        if owned.standing == Standing::Unconfirmed {
            let why = NotSecond::Unconfirmed(owned.account.clone());
            return Decision::refuse(Problem::new(
                ProblemCode::Forbidden,
                format!("the token {name} cannot be renewed: {why}"),
                why.hint(),
            ));
        }
        let token = TokenId::of(&digest);
        let account = owned.account.clone();
        let owner = TokenOwner { account, standing: Standing::Own, renews: Some(before.clone()) };
        let (owner, found) = (Some(owner), false);
        let made = Change::AdminTokenMade { token, digest, name: name.clone(), ends_at, found, owner };
        let revoked = Change::AdminTokenRevoked(TokenRevoked { token: before, name });
        Decision::answer(()).change(actor.clone(), made).change(actor, revoked)
    }
}

/// A token is used for the first time.
#[derive(Debug, Clone)]
pub struct UseToken {
    /// Whose it is.
    pub name: String,
    /// Which.
    pub token: TokenId,
    /// The IP address that it came from.
    pub source: String,
}

impl Command for UseToken {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "log the first use of an admin token";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        let Self { name, token, source } = self;
        let account = Account::token(name.clone(), token.clone());
        let change = Change::AdminTokenUsed(TokenUsed { token, name, source: text::source(&source) });
        Decision::answer(()).change(Actor::Admin { account }, change)
    }
}

/// A token is revoked; what was asked for with it is void.
#[derive(Debug, Clone)]
pub struct RevokeToken {
    /// Who revokes it.
    pub actor: Actor,
    /// Its name.
    pub name: String,
    /// Which.
    pub token: TokenId,
}

impl Command for RevokeToken {
    type Facts = LoadPlan;
    type Answer = ();
    const ATTEMPTED: &'static str = "log that an admin token is revoked";

    fn facts(&self) -> LoadPlan {
        LoadPlan {}
    }

    fn decide(self, plan: Arc<Plan>, context: &Context<'_>) -> Decision<()> {
        let Self { actor, name, token } = self;
        let people = &plan.approvals.people;
        let owned = people.tokens.get(&token);
        // What its account asked for, with it or with those before it; and what was asked about it.
        let eyes = owned.map(|owned| Eyes::Of(owned.account.clone()));
        let able = people.who_can_be_second(context.now);
        // Nobody is left to disagree: what waits for that waits anew.
        let leaves_nobody = owned.is_some_and(|owned| {
            let others = |(id, other): &(&TokenId, &OwnedToken)| {
                **id != token
                    && other.standing == Standing::Own
                    && other.ends_at.is_none_or(|end| end > context.now)
            };
            able.len() == 1
                && able.contains(&owned.account)
                && !people.tokens_of(&owned.account).any(|one| others(&one))
        });
        let is_void = |proposal: &&Proposal| {
            let asked = match &proposal.by {
                Actor::Admin { account } => account.token.as_ref() == Some(&token),
                Actor::Client { .. } | Actor::Stranger { .. } | Actor::Server => false,
            };
            let of_its_account = eyes.as_ref() == Some(&proposal.eyes);
            let waits_for_nobody =
                leaves_nobody && proposal.eyes == Eyes::Local && proposal.what.is_about_the_rules();
            asked
                || of_its_account
                || waits_for_nobody
                || matches!(&proposal.what, Proposed::ConfirmToken { token: of, .. } if *of == token)
        };
        let void = plan.approvals.proposals.values().filter(is_void);
        let void: Vec<u64> = void.map(|proposal| proposal.number).collect();
        let revoked = Change::AdminTokenRevoked(TokenRevoked { token, name });
        voided(Decision::answer(()).change(actor.clone(), revoked), &actor, &void)
    }
}

/// An admin is about to do something at the server.
#[derive(Debug, Clone)]
pub struct OperateServer {
    /// Who.
    pub actor: Actor,
    /// What.
    pub operation: ServerOperation,
}

impl Command for OperateServer {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "log what an admin does at the server";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        let Self { actor, operation } = self;
        Decision::answer(()).change(actor, Change::ServerOperated { operation })
    }
}
