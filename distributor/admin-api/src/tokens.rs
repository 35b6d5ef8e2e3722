//! `/api/v1/tokens`: tokens for admins who come over the network.

use jiff::Timestamp;
use sealpost_keys::Token;
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::approvals::people::AccountName;
use serde::{Deserialize, Serialize};

/// `POST /api/v1/tokens`: makes a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeTokenRequest {
    /// Whose it is; at most 64 letters, digits, `-`, `_`, `.` and `@`.
    pub name: String,
    /// Days until it ends; absent for one that is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// The account that it is one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
}

/// A token that was made. This is the only time that it is shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MadeTokenView {
    /// The token itself.
    pub token: Token,
    /// By what the log and lists name it.
    pub id: TokenId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its end; absent for one that is good until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The proposal that a second account has to confirm before the token can be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<u64>,
}

/// `POST /api/v1/tokens/renew`: makes a token in the place of the one that is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RenewTokenRequest {}

/// `POST /api/v1/tokens/revoke`: revokes the token of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeTokenRequest {
    /// Its name.
    pub name: String,
}

/// What was revoked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokedTokensView {
    /// The ids; more than one where an earlier token of that name was never stored.
    pub ids: Vec<TokenId>,
}
