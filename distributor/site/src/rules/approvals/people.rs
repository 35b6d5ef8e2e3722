//! Accounts of people, and which of their tokens count as second eyes.
//!
//! A first token is necessarily made by somebody else: by whoever sits at the server. So it never counts as second eyes; its
//! owner renews it with that token itself, over the network, and the renewed one is known to nobody else. Whoever renews it
//! in the owner's place makes the owner's token useless, which the owner sees at once.
//! While a rule needs two people, a token that is made at the server for an account is *unconfirmed*: a second account has to
//! confirm it before it can be renewed. Otherwise one person at the server could make the second pair of eyes.
//!
//! Invariants: who comes over the socket, or with a token of no account, is `local`, one account for all of them, and never
//! counts as second eyes; nor does a token that was made by anybody but its owner, an unconfirmed one, one that has ended, or
//! one of a disabled account. A revoked token stays known as one of its account: what was sent with it before is still that
//! person's, and counts for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::account::{Account, Actor, TokenId};

/// Longest name of an account.
const MAX_NAME_CHARS: usize = 64;
/// Most accounts: nobody can look over more.
pub const MAX_ACCOUNTS: usize = 500;

/// The name of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

/// Why a text is no name of an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account's name has a-z, 0-9, '-', '_', '.' and '@', at most {MAX_NAME_CHARS}, and is not {LOCAL:?}"
)]
pub struct AccountNameError;

/// The one account of all who come over the socket.
pub const LOCAL: &str = "local";

impl AccountName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`AccountNameError`].
    pub fn new(text: &str) -> Result<Self, AccountNameError> {
        let plain = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || "-_.@".contains(character)
        };
        let is_good = (1..=MAX_NAME_CHARS).contains(&text.len()) && text.chars().all(plain) && text != LOCAL;
        if is_good { Ok(Self(text.to_owned())) } else { Err(AccountNameError) }
    }

    /// As it is shown and stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for AccountName {
    type Err = AccountNameError;
    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for AccountName {
    type Error = AccountNameError;
    fn try_from(text: String) -> Result<Self, AccountNameError> {
        Self::new(&text)
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Whether its tokens are admitted.
    pub enabled: bool,
    /// When it was added, disabled or enabled last.
    pub at: Timestamp,
    /// By whom.
    pub by: Actor,
    /// Why, for whoever reads it later.
    pub comment: String,
}

/// Who knows a token besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Somebody at the server made it while a rule needed two people, and no second account confirmed it.
    Unconfirmed,
    /// Somebody at the server made it.
    Given,
    /// Its owner made it with the token before: it counts as second eyes.
    Own,
    /// It was revoked, or renewed.
    Revoked,
}

impl Standing {
    /// The word in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Given => "given",
            Self::Own => "own",
            Self::Revoked => "revoked",
        }
    }
}

impl std::str::FromStr for Standing {
    type Err = AccountNameError;
    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        let known = [Self::Unconfirmed, Self::Given, Self::Own, Self::Revoked];
        known.into_iter().find(|known| known.as_str() == text).ok_or(AccountNameError)
    }
}

/// A token of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedToken {
    /// Whose it is.
    pub account: AccountName,
    /// Its name.
    pub name: String,
    /// Who knows it.
    pub standing: Standing,
    /// Its end; `None` for one without.
    pub ends_at: Option<Timestamp>,
}

/// Accounts and their tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// By name.
    pub accounts: BTreeMap<AccountName, Person>,
    /// By their ids.
    pub tokens: BTreeMap<TokenId, OwnedToken>,
}

/// Whose eyes somebody's are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eyes {
    /// Of whoever comes over the socket, or with a token of no account.
    Local,
    /// Of an account.
    Of(AccountName),
}

impl Eyes {
    /// The account; `None` for `local`.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Local => None,
            Self::Of(account) => Some(account),
        }
    }
}

impl From<Option<AccountName>> for Eyes {
    fn from(account: Option<AccountName>) -> Self {
        account.map_or(Self::Local, Self::Of)
    }
}

impl fmt::Display for Eyes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.account().map_or(LOCAL, AccountName::as_str))
    }
}

/// Why somebody does not count as second eyes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSecond {
    /// Over the socket, or with a token of no account.
    #[error("who comes over the socket, or with a token of no account, never counts as second eyes")]
    Local,
    /// With a token that somebody else made.
    #[error("this token of {0} was made by somebody else, so it does not count as second eyes")]
    Given(AccountName),
    /// With a token that nobody confirmed.
    #[error("this token of {0} was made at the server, and no second account has confirmed it")]
    Unconfirmed(AccountName),
    /// The account is disabled.
    #[error("the account {0} is disabled")]
    Disabled(AccountName),
    /// The token has ended.
    #[error("this token of {0} has ended")]
    Ended(AccountName),
    /// The token was revoked.
    #[error("this token of {0} was revoked")]
    Revoked(AccountName),
}

impl NotSecond {
    /// What helps.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Local => {
                "an owner of an enabled account confirms it over the network, with a token of their own: `distributor approvals list`"
            }
            Self::Given(_) => "renew it with `distributor token renew`: what only you know counts",
            Self::Unconfirmed(_) => {
                "another account confirms it first: `distributor approvals list` shows it"
            }
            Self::Disabled(_) => "`distributor accounts list` shows who disabled it and why",
            Self::Ended(_) | Self::Revoked(_) => {
                "make another on the server: `distributor token new NAME --account ACCOUNT`"
            }
        }
    }
}

impl People {
    /// Whose eyes an actor's are; `None` for who is no admin.
    #[must_use]
    pub fn eyes(&self, actor: &Actor) -> Option<Eyes> {
        let Actor::Admin { account } = actor else { return None };
        Some(self.token_of(account).map_or(Eyes::Local, |token| Eyes::Of(token.account.clone())))
    }

    /// The account for which an actor counts as second eyes.
    ///
    /// # Errors
    /// [`NotSecond`].
    pub fn second(&self, actor: &Actor, now: Timestamp) -> Result<AccountName, NotSecond> {
        let Actor::Admin { account } = actor else { return Err(NotSecond::Local) };
        let Some(token) = self.token_of(account) else { return Err(NotSecond::Local) };
        let name = token.account.clone();
        if !self.is_enabled(&name) {
            return Err(NotSecond::Disabled(name));
        }
        if token.ends_at.is_some_and(|end| end <= now) {
            return Err(NotSecond::Ended(name));
        }
        match token.standing {
            Standing::Own => Ok(name),
            Standing::Given => Err(NotSecond::Given(name)),
            Standing::Unconfirmed => Err(NotSecond::Unconfirmed(name)),
            Standing::Revoked => Err(NotSecond::Revoked(name)),
        }
    }

    /// Whether an actor comes with a token of an account that was revoked since it was looked at.
    #[must_use]
    pub fn is_revoked(&self, actor: &Actor) -> bool {
        let Actor::Admin { account } = actor else { return false };
        self.token_of(account).is_some_and(|token| token.standing == Standing::Revoked)
    }

    /// Tokens of an account that were not revoked.
    pub fn tokens_of(&self, account: &AccountName) -> impl Iterator<Item = (&TokenId, &OwnedToken)> {
        let tokens = self.tokens.iter();
        tokens.filter(move |(_, token)| token.account == *account && token.standing != Standing::Revoked)
    }

    /// Since when, at the latest, nobody can be second eyes who could before: when an account was changed or a token ended
    /// last. Nobody may be able to for longer.
    #[must_use]
    pub fn changed_last(&self, now: Timestamp) -> Timestamp {
        let accounts = self.accounts.values().map(|person| person.at);
        let ended = self.tokens.values().filter_map(|token| token.ends_at).filter(|end| *end <= now);
        accounts.chain(ended).max().unwrap_or(Timestamp::MIN)
    }

    /// Whether an account is there and enabled.
    #[must_use]
    pub fn is_enabled(&self, account: &AccountName) -> bool {
        self.accounts.get(account).is_some_and(|person| person.enabled)
    }

    /// Enabled accounts with a token of their own: those that can be second eyes.
    #[must_use]
    pub fn who_can_be_second(&self, now: Timestamp) -> BTreeSet<&AccountName> {
        let good = self.tokens.values().filter(|token| {
            token.standing == Standing::Own
                && token.ends_at.is_none_or(|end| end > now)
                && self.is_enabled(&token.account)
        });
        good.map(|token| &token.account).collect()
    }

    fn token_of(&self, account: &Account) -> Option<&OwnedToken> {
        self.tokens.get(account.token.as_ref()?)
    }
}

#[cfg(test)]
mod tests;
