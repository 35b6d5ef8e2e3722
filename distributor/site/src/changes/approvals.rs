//! Entries about accounts, and about what waits for a second person, in one line for people.

use super::activity::Change;
use super::parts::{AccountChanged, ProposalEnded, ProposalMade, ReleaseDeferred, TokenConfirmed};
use crate::rules::approvals::people::{AccountName, LOCAL};
use crate::rules::text::escape;

/// A change of accounts or of what waits; nothing for any other.
pub(super) fn of_approvals(change: &Change) -> String {
    match change {
        Change::AccountAdded(AccountChanged { account, comment }) => {
            format!("added the account {account}{}", said(comment))
        }
        Change::AccountDisabled(AccountChanged { account, comment }) => {
            format!("disabled the account {account}{}", said(comment))
        }
        Change::AccountEnabled(AccountChanged { account, comment }) => {
            format!("enabled the account {account}{}", said(comment))
        }
        Change::AdminTokenConfirmed(TokenConfirmed { token, name, account }) => {
            format!("let the token {} [{token}] be one of {account}", escape(name))
        }
        Change::ProposalMade(ProposalMade { number, proposed, account, comment, .. }) => {
            let eyes = account.as_ref().map_or(LOCAL, AccountName::as_str);
            let what = escape(&proposed.to_string());
            format!("proposal {number} of {eyes} waits for a second person: {what}{}", said(comment))
        }
        Change::ProposalEnded(ProposalEnded { number, how, comment }) => {
            format!("proposal {number} {}{}", how.said(), said(comment))
        }
        Change::ReleaseDeferred(ReleaseDeferred { release, until, comment, .. }) => {
            format!("deferred the decision about {release} until {until}{}", said(comment))
        }
        _ => String::new(),
    }
}

fn said(comment: &str) -> String {
    if comment.is_empty() { String::new() } else { format!(": {}", escape(comment)) }
}
