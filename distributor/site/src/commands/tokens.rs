//! Tokens of admins, and what admins do at a server that no other command says: each is an entry of the log.
//!
//! Invariant: an entry is written before what it tells of is done, so that nothing of it is done without one. Which tokens
//! there are stands in no table: the log is asked, and whoever asks sees to it that a token is made and first used once.

use jiff::Timestamp;
use sealpost_keys::TokenDigest;

use super::decision::{Command, Context, Decision, NoFacts};
use crate::changes::{Actor, Change, ServerOperation};
use crate::rules::account::{Account, TokenId};
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
}

/// Whether a token is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By this command.
    Made,
    /// By a program that wrote no entries about tokens; it goes on working.
    Found,
}

/// Tokens are made.
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
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "log a new admin token";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        let Self { actor, tokens, origin } = self;
        tokens.into_iter().fold(Decision::answer(()), |decision, NewToken { name, digest, ends_at }| {
            let (token, found) = (TokenId::of(&digest), origin == Origin::Found);
            decision.change(actor.clone(), Change::AdminTokenMade { token, digest, name, ends_at, found })
        })
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
        let change = Change::AdminTokenUsed { token, name, source: text::source(&source) };
        Decision::answer(()).change(Actor::Admin { account }, change)
    }
}

/// A token is revoked.
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
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "log that an admin token is revoked";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        let Self { actor, name, token } = self;
        Decision::answer(()).change(actor, Change::AdminTokenRevoked { token, name })
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
