//! Accounts of admins.

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
