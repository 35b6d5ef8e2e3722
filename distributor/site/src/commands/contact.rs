//! One contact: nonces, reports, lease, assignment, grants.
//!
//! Invariant: what is answered is noted together with the nonces, so that a retry gets the same answer; only an assignment
//! of what is not approved any more is left out, because a halt counts from now on and not from the next contact. A contact
//! without news writes one note. The head that a lease carries is the newest entry before the contact; it leaves the
//! server only after the commit. A client that shows more than this ledger has is resumed; the file `resume` says how.

mod answer;
mod copies;
mod deliveries;
mod facts;
mod look;
mod resume;
mod witness;

use sealpost_manifests::assignment::{Action, PackageAssignment};
use sealpost_manifests::order::HighestOrders;
use sealpost_manifests::wire::contact::Contact;

use self::answer::{Answering, lease_to_resend};
use self::copies::OfTwo;
pub use self::deliveries::assigned;
pub use self::facts::{
    ContactClient, ContactFacts, ContactOutcome, HeldGrantText, LastContact, LoadContact, LostFacts,
    RaisedGrant, SeenClient, Shown, ShownKey,
};
use self::facts::{not_held, server_list};
use super::decision::{Command, Context, Decision};
use crate::rules::came_by::CameBy;
use crate::rules::contact::{
    Claim, NonceJudgement, check, claims, judge_nonces, ledger_behind, nonce_problem, not_reserved,
    unknown_client,
};
use crate::rules::restore::NamedHead;

/// A contact whose signature was verified with the client's key.
#[derive(Debug, Clone)]
pub struct AnswerContact {
    /// The contact.
    pub contact: Contact,
    /// What the client shows with it.
    pub shown: Option<Shown>,
    /// What this log says of the head that the contact names.
    pub head: NamedHead,
    /// How it came; `None` if that is not known.
    pub came_by: Option<CameBy>,
}

impl Command for AnswerContact {
    type Facts = LoadContact;
    type Answer = ContactOutcome;
    const ATTEMPTED: &'static str = "commit a contact";

    fn facts(&self) -> LoadContact {
        LoadContact {
            client_id: self.contact.client_id.clone(),
            reports: !self.contact.reports.is_empty(),
            runs: self.contact.packages.iter().map(|package| package.manifest).collect(),
            shown: self.shown.as_ref().map(|shown| ShownKey {
                name: shown.lease.computer_name.clone(),
                serials: shown.lease.entitlements.iter().map(|seat| seat.serial.clone()).collect(),
                head: shown.lease.ledger_head,
            }),
        }
    }

    fn decide(self, facts: ContactFacts, context: &Context<'_>) -> Decision<ContactOutcome> {
        let Self { contact, shown, head, came_by } = self;
        if let Err(problem) = check(&contact, &context.server.server_id) {
            return Decision::refuse(problem);
        }
        let Some(client) = &facts.client else {
            return match shown {
                Some(shown) => resume::lost_client(&facts, &contact, &shown, context),
                None => Decision::refuse(unknown_client()),
            };
        };
        let of_two = || OfTwo { client, contact: &contact, came_by, context };
        if client.forked {
            return of_two().answer();
        }
        if client.not_reserved && client.seats.is_empty() && client.lease_order.is_none() {
            return Decision::refuse(not_reserved(&client.name));
        }
        let nonces = client.last.as_ref().map(|last| &last.nonces);
        let judgement = judge_nonces(nonces, contact.previous.as_ref(), &contact.next);
        match (judgement, nonce_problem(judgement), &client.last, shown) {
            (NonceJudgement::Fork, ..) => of_two().are_found(),
            (NonceJudgement::Unknown, _, _, Some(shown)) => {
                resume::known_client(&facts, client, &contact, &shown, came_by, context)
            }
            (_, Some(problem), _, _) => Decision::refuse(problem),
            (NonceJudgement::Retry, None, Some(last), _) => {
                let server_list = server_list(&facts, &contact, context.server);
                let retried = retried(&facts, client, &contact, last, context);
                Decision::answer(ContactOutcome { server_list, ..retried })
            }
            (_, None, _, shown) if claims_more(&contact.highest, client) => match shown {
                Some(shown) => resume::known_client(&facts, client, &contact, &shown, came_by, context),
                None => Decision::refuse(ledger_behind()),
            },
            (_, None, _, shown) if head == NamedHead::OfAnotherLog => {
                witness::answer(&facts, &contact, shown.as_ref(), context)
            }
            _ => Answering::in_order(&facts, client, &contact, context).came_by(came_by).answer(),
        }
    }
}

/// Whether a client claims documents that were never issued here.
fn claims_more(highest: &HighestOrders, client: &ContactClient) -> bool {
    claims(highest, Claim::Lease, client.lease_order)
        || claims(highest, Claim::Assignment, client.assignment_order)
}

/// The answer of the last contact again, without an assignment of what was halted, withdrawn or replaced since: the next
/// contact brings another one.
fn retried(
    facts: &ContactFacts,
    client: &ContactClient,
    contact: &Contact,
    last: &LastContact,
    context: &Context<'_>,
) -> ContactOutcome {
    let is_approved = |told: &PackageAssignment| match told.action {
        Action::Install => facts.approved.iter().any(|release| release.manifest == told.manifest),
        Action::Rollback => facts.kept.iter().any(|kept| {
            kept.manifest == told.manifest
                && kept.state.is_or_was_approved()
                && !facts.voided.contains(&kept.manifest)
        }),
        Action::Other(_) => false,
    };
    let assignment = client.assignment.as_ref().filter(|_| last.answer.assignment);
    // Words are said anew: they are noted nowhere, and what they are about may have changed.
    let waits = match last.answer.notice {
        Some(_) => Vec::new(),
        None => Answering::in_order(facts, client, contact, context).waits(),
    };
    ContactOutcome {
        grants: not_held(facts, client, contact),
        lease: lease_to_resend(client, contact, context).filter(|_| last.answer.lease).cloned(),
        assignment: assignment.filter(|told| told.packages.iter().all(is_approved)).cloned(),
        server_list: None,
        held_head: last.answer.held_head,
        acknowledged_report: last.answer.acknowledged_report,
        notice: last.answer.notice.clone(),
        waits,
        receipt: last.progress.last.clone(),
        retry: true,
        name: client.name.clone(),
    }
}

#[cfg(test)]
mod tests;
