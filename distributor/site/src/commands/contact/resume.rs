//! A contact of a client that shows more than this ledger has: the ledger learns that it is older than what it answered,
//! and the client goes on from what it shows. The rules, and what they keep out, stand in [`crate::rules::restore`].

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::Document;
use sealpost_manifests::ids::{EraId, SerialNumber};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{Epoch, HighestOrders, Ordered};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::word::Word;

use super::answer::Answering;
use super::copies::OfTwo;
use super::facts::{ContactClient, ContactFacts, ContactOutcome, LostFacts, Shown, order_of};
use crate::changes::{Actor, Change, DisplacedComputer, Recreated};
use crate::commands::decision::{Context, Decision, missing};
use crate::rules::came_by::CameBy;
use crate::rules::contact::unknown_client;
use crate::rules::copies::{Kept, given_up_problem};
use crate::rules::restore::{
    Progress, RestoreCause, RestoreState, Restored, ResumeRefusal, ShownProgress, Witnessed, judge_witness,
    proves_loss, resume, resume_problem, takes_name,
};
use crate::rules::text;

/// A client that the ledger knows, whose last contact it does not have.
pub(super) fn known_client(
    facts: &ContactFacts,
    client: &ContactClient,
    contact: &Contact,
    shown: &Shown,
    came_by: Option<CameBy>,
    context: &Context<'_>,
) -> Decision<ContactOutcome> {
    let Some(lost) = &facts.lost else { return Decision::refuse(missing("look-up of what is shown")) };
    let ahead = !lost.head_is_known
        || Some(shown.lease.order()) > client.lease_order
        || order_of(shown.assignment.as_ref()) > client.assignment_order;
    Resuming { facts, lost, contact, shown, came_by, context, ahead }.decide(client, None)
}

/// A client that the ledger does not know.
pub(super) fn lost_client(
    facts: &ContactFacts,
    contact: &Contact,
    shown: &Shown,
    context: &Context<'_>,
) -> Decision<ContactOutcome> {
    let Some(lost) = &facts.lost else { return Decision::refuse(missing("look-up of what is shown")) };
    // A client is in the log before its first lease. So a ledger that has the head of the lease had the client.
    if lost.given_up {
        return Decision::refuse(given_up_problem(Some(&shown.lease.computer_name)));
    }
    if lost.was_replaced || lost.head_is_known {
        return Decision::refuse(unknown_client());
    }
    let resuming = Resuming { facts, lost, contact, shown, came_by: None, context, ahead: true };
    let head = shown.lease.ledger_head.size;
    // In the era that this contact may begin: who is the first to show the loss has no less right than who comes later.
    if !takes_name(&resuming.state(None).0.era, lost.holder.as_ref(), head) {
        return Decision::refuse(unknown_client());
    }
    let client = ContactClient {
        name: shown.lease.computer_name.clone(),
        channel: shown.lease.channel.clone(),
        client_key: shown.lease.client_key.clone(),
        forked: false,
        copies: Vec::new(),
        kept_copy: Kept::Undecided,
        seats: lost.seats.clone(),
        lease_order: None,
        assignment_order: None,
        acknowledged_report: 0,
        last: None,
        lease: None,
        assignment: None,
        seen: None,
        reported: BTreeSet::new(),
        not_reserved: false,
        resumed: false,
        log_fork: None,
        drift: Vec::new(),
        attempts: BTreeMap::new(),
        left_locally: BTreeMap::new(),
        listed: BTreeSet::new(),
        deliveries: Vec::new(),
    };
    let recreated = Recreated {
        client_key: client.client_key.clone(),
        platform: contact.platform.clone(),
        agent_version: text::agent_version(&contact.agent_version),
        channel: client.channel.clone(),
        serials: serials(&shown.lease).difference(&lost.reserved).cloned().collect(),
        head,
        replaces: lost.holder.as_ref().map(|holder| holder.client_id.clone()),
    };
    resuming.decide(&client, Some(recreated))
}

fn serials(lease: &Lease) -> BTreeSet<SerialNumber> {
    lease.entitlements.iter().map(|seat| seat.serial.clone()).collect()
}

struct Resuming<'a> {
    facts: &'a ContactFacts,
    lost: &'a LostFacts,
    contact: &'a Contact,
    shown: &'a Shown,
    came_by: Option<CameBy>,
    context: &'a Context<'a>,
    /// Whether a document or the head that is shown is none that the ledger has.
    ahead: bool,
}

impl Resuming<'_> {
    fn decide(self, client: &ContactClient, recreated: Option<Recreated>) -> Decision<ContactOutcome> {
        let (shown, context) = (self.shown, self.context);
        let known = client.last.as_ref().map(|last| &last.progress);
        let (state, restored) = self.state(known);
        let restored = restored.map(|change| (Actor::Server, change));
        let lease_until = shown.lease.not_after().unwrap_or(jiff::Timestamp::MIN);
        match resume(&state, known, shown.receipt.as_ref(), lease_until, context.now) {
            Err(refusal) => {
                let mut refused = match refusal {
                    ResumeRefusal::Clone => {
                        let (contact, came_by) = (self.contact, self.came_by);
                        OfTwo { client, contact, came_by, context }.are_found()
                    }
                    other => Decision::refuse(resume_problem(other)),
                };
                refused.changes.splice(..0, restored);
                refused
            }
            Ok(resumption) => {
                let change = Change::ClientResumed {
                    client_id: self.contact.client_id.clone(),
                    name: client.name.clone(),
                    era: state.era.clone(),
                    contacts: resumption.base,
                    shown: self.orders(),
                    instance: self.contact.instance,
                    provisional_until: context.after_days(context.terms.lease_days),
                    recreated: self.seats_to_recreate(recreated, client),
                    displaces: resumption.displaces.map(|contacts| DisplacedComputer {
                        contacts,
                        instance: client.seen.as_ref().and_then(|seen| seen.instance),
                    }),
                };
                let answering =
                    Answering::resumed(self.facts, client, self.contact, context, shown, resumption.progress);
                let mut decision = answering.answer();
                let first = restored.into_iter().chain([(self.actor(client), change)]);
                decision.changes = first.chain(decision.changes).collect();
                decision
            }
        }
    }

    /// Where the ledger stands with what is shown, and the change if that shows a loss which is not known yet.
    fn state(&self, known: Option<&Progress>) -> (RestoreState, Option<Change>) {
        let receipt = self.shown.receipt.as_ref();
        let shown = ShownProgress { receipt, documents_are_ahead: self.ahead };
        if !proves_loss(&self.facts.restore, known, shown) && !self.is_of_another_log() {
            return (self.facts.restore.clone(), None);
        }
        let state = self.next_era();
        let change = self.restored(&state);
        (state, Some(change))
    }

    /// Whether this server signed the head of a log that is not this one. Whoever wrote another log and left the notes of
    /// contacts beside it is found by that alone: no receipt counts further than those.
    fn is_of_another_log(&self) -> bool {
        let (restore, lease) = (&self.facts.restore, &self.shown.lease);
        !self.lost.head_is_known
            && judge_witness(restore, lease.epoch, self.facts.epoch) == Witnessed::LogDiffers
    }

    /// A known client may have lost the seat of a further serial number.
    fn seats_to_recreate(&self, recreated: Option<Recreated>, client: &ContactClient) -> Option<Recreated> {
        recreated.or_else(|| {
            let serials: Vec<SerialNumber> =
                serials(&self.shown.lease).difference(&self.lost.reserved).cloned().collect();
            (!serials.is_empty()).then(|| Recreated {
                client_key: client.client_key.clone(),
                platform: self.contact.platform.clone(),
                agent_version: text::agent_version(&self.contact.agent_version),
                channel: client.channel.clone(),
                serials,
                head: self.shown.lease.ledger_head.size,
                replaces: None,
            })
        })
    }

    fn actor(&self, client: &ContactClient) -> Actor {
        Actor::Client { client_id: self.contact.client_id.clone(), name: client.name.clone() }
    }

    /// The highest epoch that this server is known to have issued in.
    fn epoch(&self) -> Epoch {
        let assignment = self.shown.assignment.as_ref().map_or(Epoch::default(), |told| told.epoch);
        self.facts.epoch.max(self.shown.lease.epoch).max(assignment)
    }

    fn next_era(&self) -> RestoreState {
        let mut past = self.facts.restore.past.clone();
        past.push(self.facts.restore.era.clone());
        past.extend(self.lost_era().cloned());
        RestoreState {
            era: self.shown.new_era.clone(),
            past,
            restored: Some(Restored {
                at: self.context.now,
                epoch: self.epoch(),
                resumes_until: self.context.after_days(self.context.terms.lease_days),
                confirmed: false,
                acknowledged: None,
            }),
        }
    }

    fn restored(&self, state: &RestoreState) -> Change {
        let lease = &self.shown.lease;
        Change::LedgerRestored {
            era: state.era.clone(),
            cause: RestoreCause::ClientKnowsMore {
                client_id: self.contact.client_id.clone(),
                lease: lease.order(),
                head: lease.ledger_head,
                contacts: self.shown.receipt.as_ref().map_or(0, |receipt| receipt.contacts),
            },
            epoch: self.epoch(),
            resumes_until: self.context.after_days(self.context.terms.lease_days),
            lost_era: self.lost_era().cloned(),
        }
    }

    /// The era of the receipt, if this ledger never had it.
    fn lost_era(&self) -> Option<&EraId> {
        let era = &self.shown.receipt.as_ref()?.era;
        (!self.facts.restore.had(era)).then_some(era)
    }

    /// The highest order of each type that is shown: the signed documents, and what the contact claims of other types.
    fn orders(&self) -> HighestOrders {
        let known = [Lease::TYPE, Assignment::TYPE].map(Word::new);
        let claimed = self.contact.highest.iter().filter(|(kind, _)| !known.contains(&Ok(**kind)));
        let mut orders: BTreeMap<_, _> = claimed.map(|(kind, order)| (*kind, *order)).collect();
        let signed = [
            (Lease::TYPE, Some(self.shown.lease.order())),
            (Assignment::TYPE, order_of(self.shown.assignment.as_ref())),
        ];
        for (kind, order) in signed {
            if let (Ok(kind), Some(order)) = (Word::new(kind), order) {
                orders.insert(kind, order);
            }
        }
        orders
    }
}
