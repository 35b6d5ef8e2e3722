//! Who did something.
//!
//! Invariant: an admin is an account id with the kind of account that it is, so that one name as a socket account and
//! as a token stays two, and users can become a third kind without changing entries. A name of a token can be given again
//! after it was revoked, so what a token did names its id too.

use std::fmt;

use sealpost_keys::TokenDigest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use serde::{Deserialize, Serialize};

use crate::rules::text::escape;

/// An account of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// What kind of account it is.
    pub kind: AccountKind,
    /// Its id, unique within its kind.
    pub id: String,
    /// Which token of that name it was. Entries that were written before tokens had ids do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
}

impl Account {
    /// An account of the operating system.
    #[must_use]
    pub fn socket(name: impl Into<String>) -> Self {
        Self { kind: AccountKind::Socket, id: name.into(), token: None }
    }

    /// A token, by its name and id.
    #[must_use]
    pub fn token(name: impl Into<String>, id: TokenId) -> Self {
        Self { kind: AccountKind::Token, id: name.into(), token: Some(id) }
    }
}

/// Digits of a token's id: enough that nobody finds a second token with it.
const TOKEN_ID_DIGITS: usize = 16;

/// Which token it is, for people and logs: the first 16 hexadecimal digits of its digest. It says nothing about the token
/// itself, which is random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

impl TokenId {
    /// The id of the token with this digest.
    #[must_use]
    pub fn of(digest: &TokenDigest) -> Self {
        Self(digest.to_string().chars().take(TOKEN_ID_DIGITS).collect())
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no id of a token.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a token's id: expected {TOKEN_ID_DIGITS} lower-case hex digits")]
pub struct TokenIdError;

impl TryFrom<String> for TokenId {
    type Error = TokenIdError;

    fn try_from(text: String) -> Result<Self, TokenIdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == TOKEN_ID_DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text))
        } else {
            Err(TokenIdError)
        }
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How an admin's account was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// The operating system's account at the other end of the admin socket.
    Socket,
    /// The name of an admin token.
    Token,
}

impl AccountKind {
    /// The word in an entry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Token => "token",
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// An admin.
    Admin {
        /// The account that was proven.
        account: Account,
    },
    /// A client.
    Client {
        /// Its id.
        client_id: ClientId,
        /// Its computer name.
        name: ComputerName,
    },
    /// Somebody who did not prove who they are.
    Stranger {
        /// IP address.
        source: String,
    },
    /// This server by itself, for example a scheduled pull.
    Server,
}

impl Actor {
    /// An admin over the admin socket.
    #[must_use]
    pub fn socket(account: impl Into<String>) -> Self {
        Self::Admin { account: Account::socket(account) }
    }

    /// An admin with a token of which only the name is known, as older entries have it.
    #[must_use]
    pub fn token(name: impl Into<String>) -> Self {
        Self::Admin { account: Account { kind: AccountKind::Token, id: name.into(), token: None } }
    }
}

/// Which admins are meant when somebody looks for what one did: `anna`, `socket:anna`, `token:anna`, or `token:` and the id
/// of a token. A name alone means every kind of account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByAccount {
    /// Of this kind only.
    pub kind: Option<AccountKind>,
    /// The name of the account, or the id of a token.
    pub name: String,
}

impl ByAccount {
    /// Reads what somebody typed. No account's name has a colon.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let kinds = [("socket:", AccountKind::Socket), ("token:", AccountKind::Token)];
        let named = kinds.iter().find_map(|(prefix, kind)| Some((*kind, text.strip_prefix(prefix)?)));
        match named {
            Some((kind, name)) => Self { kind: Some(kind), name: name.to_owned() },
            None => Self { kind: None, name: text.to_owned() },
        }
    }

    /// Whether this account is meant.
    #[must_use]
    pub fn means(&self, account: &Account) -> bool {
        self.kind.is_none_or(|kind| kind == account.kind)
            && (account.id == self.name || account.token.as_ref().is_some_and(|id| id.0 == self.name))
    }
}

/// Who did it, for people. An account of the operating system is its name alone, and has no space in it; so nobody takes a
/// token of the same name for it.
#[must_use]
pub fn named(actor: &Actor) -> String {
    match actor {
        Actor::Admin { account: Account { kind: AccountKind::Socket, id, .. } } => escape(id),
        Actor::Admin { account: Account { kind: AccountKind::Token, id, token: Some(token) } } => {
            format!("token {} [{token}]", escape(id))
        }
        Actor::Admin { account: Account { kind: AccountKind::Token, id, token: None } } => {
            format!("token {}", escape(id))
        }
        Actor::Client { name, .. } => name.to_string(),
        Actor::Stranger { source } => format!("somebody at {}", escape(source)),
        Actor::Server => "the server".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_was_written_before_tokens_had_ids_is_read_and_written_as_it_was() {
        let old = r#"{"kind":"token","id":"bob"}"#;
        let account: Account = serde_json::from_str(old).unwrap();
        assert_eq!(account.token, None);
        assert_eq!(serde_json::to_string(&account).unwrap(), old);
        for bad in ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdefa", "0123456789abcdeg"] {
            let text = format!(r#"{{"kind":"token","id":"bob","token":"{bad}"}}"#);
            assert!(serde_json::from_str::<Account>(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_named_root_is_another_admin_than_the_account_root() {
        let id = TokenId("0123456789abcdef".to_owned());
        let (account, token) = (Account::socket("root"), Account::token("root", id));
        let meant = |typed: &str| {
            let by = ByAccount::typed(typed);
            (by.means(&account), by.means(&token))
        };
        assert_eq!(meant("root"), (true, true));
        assert_eq!(meant("socket:root"), (true, false));
        assert_eq!(meant("token:root"), (false, true));
        assert_eq!(meant("token:0123456789abcdef"), (false, true));
        assert_eq!(meant("socket:0123456789abcdef"), (false, false));
    }
}
