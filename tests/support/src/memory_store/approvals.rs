//! Accounts, their tokens, what waits for a second person and what is put off.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::{ActivityEntry, Change, TokenRevoked};
use sealpost_site::rules::approvals::Deferral;
use sealpost_site::rules::approvals::people::{Eyes, OwnedToken, Person, Standing};
use sealpost_site::rules::approvals::proposal::Proposal;

use super::state::State;

impl State {
    /// Applies a change of accounts or of what waits; any other does nothing here.
    pub(super) fn project_approval(&mut self, entry: &ActivityEntry) {
        let (at, by) = (entry.at, entry.actor.clone());
        let approvals = &mut self.rolling.approvals;
        match &entry.change {
            Change::AccountAdded(of) | Change::AccountEnabled(of) => {
                let person = Person { enabled: true, at, by, comment: of.comment.clone() };
                approvals.people.accounts.insert(of.account.clone(), person);
            }
            Change::AccountDisabled(of) => {
                let person = Person { enabled: false, at, by, comment: of.comment.clone() };
                approvals.people.accounts.insert(of.account.clone(), person);
            }
            Change::AdminTokenMade { token, name, ends_at, owner: Some(owner), .. } => {
                let (account, name) = (owner.account.clone(), name.clone());
                let owned = OwnedToken { account, name, standing: owner.standing, ends_at: *ends_at };
                approvals.people.tokens.insert(token.clone(), owned);
            }
            Change::AdminTokenRevoked(TokenRevoked { token, .. }) => {
                let owned = approvals.people.tokens.get_mut(token);
                let revoked = owned.map(|owned| owned.standing = Standing::Revoked);
                if revoked.is_none() {
                    return;
                }
            }
            Change::AdminTokenConfirmed(of) => {
                if let Some(owned) = approvals.people.tokens.get_mut(&of.token) {
                    owned.standing = Standing::Given;
                }
            }
            Change::ProposalMade(made) => {
                let eyes = Eyes::from(made.account.clone());
                let proposal = Proposal {
                    number: made.number,
                    what: made.proposed.clone(),
                    by,
                    eyes,
                    at,
                    expires_at: made.expires_at,
                    comment: made.comment.clone(),
                };
                approvals.proposals.insert(made.number, proposal);
            }
            Change::ProposalEnded(ended) => _ = approvals.proposals.remove(&ended.number),
            Change::ReleaseDeferred(deferred) => {
                let (until, comment) = (deferred.until, deferred.comment.clone());
                approvals.deferrals.insert(deferred.manifest, Deferral { until, at, by, comment });
            }
            _ => return,
        }
        self.replan(entry);
    }

    /// A release was decided about, or came anew: nothing waits about it any more.
    pub(super) fn settled(&mut self, entry: &ActivityEntry, manifest: &Sha256Digest) {
        let approvals = &mut self.rolling.approvals;
        let before = (approvals.proposals.len(), approvals.deferrals.len());
        approvals.proposals.retain(|_, proposal| proposal.what.manifest() != Some(*manifest));
        approvals.deferrals.remove(manifest);
        if before != (approvals.proposals.len(), approvals.deferrals.len()) {
            self.replan(entry);
        }
    }
}
