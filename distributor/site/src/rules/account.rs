//! Who did something.
//!
//! Invariant: an admin is an account id with the kind of account that it is, so that one name as a socket account and
//! as a token stays two, and users can become a third kind without changing entries.

use sealpost_manifests::ids::{ClientId, ComputerName};
use serde::{Deserialize, Serialize};

/// An account of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// What kind of account it is.
    pub kind: AccountKind,
    /// Its id, unique within its kind.
    pub id: String,
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
        Self::Admin { account: Account { kind: AccountKind::Socket, id: account.into() } }
    }

    /// An admin with a token.
    #[must_use]
    pub fn token(name: impl Into<String>) -> Self {
        Self::Admin { account: Account { kind: AccountKind::Token, id: name.into() } }
    }
}
