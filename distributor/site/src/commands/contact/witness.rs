//! A contact in order that names a head which this log never had.
//!
//! Invariants:
//! - A head that is only named shows nothing: the client is asked for the lease that carries it. This server's signature on
//!   that lease proves that the log was cut, rewritten or restored since.
//! - Who has nothing to show, shows something else, or shows what is known already is answered as always: no computer
//!   loses its updates by it, and one that lies changes nothing.
//! - What is proven once is said once: while the ledger is not confirmed, nobody is asked again.

use sealpost_manifests::order::Ordered;
use sealpost_manifests::wire::contact::Contact;

use super::answer::Answering;
use super::facts::{ContactFacts, ContactOutcome, Shown};
use crate::changes::{Actor, Change};
use crate::commands::decision::{Context, Decision};
use crate::rules::contact::{Claim, held, ledger_behind};
use crate::rules::restore::{RestoreCause, RestoreState, Restored, Witnessed, judge_witness};

/// Decides about such a contact of a client that the ledger knows.
pub(super) fn answer(
    facts: &ContactFacts,
    contact: &Contact,
    shown: Option<&Shown>,
    context: &Context<'_>,
) -> Decision<ContactOutcome> {
    let in_order = |facts: &ContactFacts| match &facts.client {
        Some(client) => Answering::in_order(facts, client, contact, context).answer(),
        None => Decision::refuse(ledger_behind()),
    };
    if facts.restore.unconfirmed().is_some() {
        return in_order(facts);
    }
    let Some(shown) = shown else {
        // Who holds no lease that counts cannot show one.
        let can_show = held(&contact.highest, Claim::Lease).is_some();
        return if can_show { Decision::refuse(ledger_behind()) } else { in_order(facts) };
    };
    let carries = [Some(&shown.lease), shown.witness.as_ref()].into_iter().flatten();
    let carries = carries.into_iter().find(|lease| Some(lease.ledger_head) == contact.held_head);
    let Some(lease) = carries else { return in_order(facts) };
    if judge_witness(&facts.restore, lease.epoch, facts.epoch) == Witnessed::Known {
        return in_order(facts);
    }
    let (epoch, resumes_until) = (facts.epoch.max(lease.epoch), context.after_days(context.terms.lease_days));
    let cause = RestoreCause::ClientKnowsMore {
        client_id: contact.client_id.clone(),
        lease: lease.order(),
        head: lease.ledger_head,
        contacts: shown.receipt.as_ref().map_or(0, |receipt| receipt.contacts),
    };
    let era = shown.new_era.clone();
    let declared = Change::LedgerRestored { era, cause, epoch, resumes_until, lost_era: None };
    let mut past = facts.restore.past.clone();
    past.push(facts.restore.era.clone());
    let restored = Restored { at: context.now, epoch, resumes_until, confirmed: false, acknowledged: None };
    let restore = RestoreState { era: shown.new_era.clone(), past, restored: Some(restored) };
    let mut decision = in_order(&ContactFacts { restore, ..facts.clone() });
    decision.changes.insert(0, (Actor::Server, declared));
    decision
}
