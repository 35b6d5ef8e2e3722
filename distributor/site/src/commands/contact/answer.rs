//! The answer to a contact that is taken: reports, lease, assignment, grants, and what is noted of it.

use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::lease::{Entitlement, Lease};
use sealpost_manifests::order::{Epoch, Order, Signer};
use sealpost_manifests::wire::contact::{Contact, WaitsFor};

use super::deliveries;
use super::facts::{
    ContactClient, ContactFacts, ContactOutcome, HeldGrantText, SeenClient, Shown, drift, next_order,
    not_held, order_of, server_list,
};
use super::look::Look;
use crate::changes::{Actor, Change, ContactAnswer, DeliveryOf, DeliveryStep, Note};
use crate::commands::decision::{Context, Decision};
use crate::rules::assignment::{AssignmentDecision, AssignmentFacts, Told, decide};
use crate::rules::came_by::CameBy;
use crate::rules::contact::{
    Claim, Due, LeaseDecision, LeaseFacts, Resigning, SeatInLease, Withheld, decide_lease, held,
    may_sign_again, seat_end, seats_due,
};
use crate::rules::reports;
use crate::rules::restore::Progress;
use crate::rules::rollouts::cadence::Cadence;
use crate::rules::rollouts::plan::Delivery;

/// The seats of a client whose grants count.
pub(super) fn seats_in_lease(client: &ContactClient) -> Vec<SeatInLease<'_>> {
    let seats = client.seats.iter();
    seats
        .map(|HeldGrantText { grant, digest, leased, used, .. }| SeatInLease {
            grant,
            digest: *digest,
            leased: *leased,
            used: *used,
        })
        .collect()
}

/// The noted lease of a client, if it may be signed again.
pub(super) fn lease_to_resend<'a>(
    client: &'a ContactClient,
    contact: &Contact,
    context: &Context<'_>,
) -> Option<&'a Lease> {
    let resigning = Resigning {
        client_id: &contact.client_id,
        client_key: &client.client_key,
        name: &client.name,
        server_id: &context.server.server_id,
        order: client.lease_order,
        seats: &seats_in_lease(client),
        latest_end: context.after_days(context.terms.lease_days),
    };
    client.lease.as_ref().filter(|lease| may_sign_again(lease, &resigning))
}

/// A contact on its way to an answer.
pub(super) struct Answering<'a> {
    facts: &'a ContactFacts,
    client: &'a ContactClient,
    contact: &'a Contact,
    context: &'a Context<'a>,
    /// What the client showed, when it is resumed.
    shown: Option<&'a Shown>,
    /// How far the client has come with this contact.
    progress: Progress,
    /// How the contact came, where that is known.
    came_by: Option<CameBy>,
}

/// A document that the answer may carry.
enum Sent<T> {
    /// The client holds it, or there is none.
    Nothing,
    /// The one that was issued before.
    Again(Box<T>),
    /// A new one, with the change that issues it.
    New(Box<T>, Box<Change>),
}

impl<T> Sent<T> {
    fn document(&self) -> Option<&T> {
        match self {
            Self::Nothing => None,
            Self::Again(document) | Self::New(document, _) => Some(document),
        }
    }
}

impl<'a> Answering<'a> {
    /// A contact whose nonces follow the last one.
    pub(super) fn in_order(
        facts: &'a ContactFacts,
        client: &'a ContactClient,
        contact: &'a Contact,
        context: &'a Context<'a>,
    ) -> Self {
        let before = client.last.as_ref().map(|last| &last.progress);
        let progress = Progress::next(before, &facts.restore.era);
        Self { facts, client, contact, context, shown: None, progress, came_by: None }
    }

    /// A contact that resumes its client.
    pub(super) const fn resumed(
        facts: &'a ContactFacts,
        client: &'a ContactClient,
        contact: &'a Contact,
        context: &'a Context<'a>,
        shown: &'a Shown,
        progress: Progress,
    ) -> Self {
        Self { facts, client, contact, context, shown: Some(shown), progress, came_by: None }
    }

    /// The same, of a contact that came so.
    pub(super) fn came_by(self, came_by: Option<CameBy>) -> Self {
        Self { came_by, ..self }
    }

    /// Decides about everything that the answer carries.
    pub(super) fn answer(self) -> Decision<ContactOutcome> {
        let mut deliveries = self.client.deliveries.clone();
        let (reported, acknowledged_report) = self.reports(&mut deliveries);
        let (lease, notice) = self.lease();
        let seen = SeenClient::of(self.contact, self.came_by, self.client.seen.as_ref());
        let found = self.found(&seen, &mut deliveries);
        let (assignment, waits) = match &notice {
            Some(_) => (Sent::Nothing, Vec::new()),
            None => self.assignment(&seen, &deliveries),
        };
        let (client, contact) = (self.client, self.contact);
        let held_head = contact.held_head.as_ref().map(|head| head.size);
        let answer = ContactAnswer {
            lease: lease.document().is_some(),
            assignment: assignment.document().is_some(),
            held_head: held_head.filter(|_| lease.document().is_some()),
            acknowledged_report,
            notice: notice.clone(),
        };
        let mut decision = Decision::answer(ContactOutcome {
            grants: not_held(self.facts, client, contact),
            lease: lease.document().cloned(),
            assignment: assignment.document().cloned(),
            server_list: server_list(self.facts, contact, self.context.server),
            held_head: answer.held_head,
            acknowledged_report,
            notice,
            waits,
            receipt: self.progress.last.clone(),
            retry: false,
            name: client.name.clone(),
        });
        let actor = Actor::Client { client_id: contact.client_id.clone(), name: client.name.clone() };
        for change in reported.into_iter().chain(found).chain(self.log_fork()).chain(self.drift()) {
            decision = decision.change(actor.clone(), change);
        }
        if let Sent::New(lease, change) = lease {
            decision = decision.change(actor.clone(), *change).note(Note::LeaseSent { lease: *lease });
        }
        if let Sent::New(assignment, change) = assignment {
            decision = decision.change(actor, *change).note(Note::AssignmentSent { assignment: *assignment });
        }
        if client.seen.as_ref() != Some(&seen) {
            let SeenClient {
                platform,
                agent_version,
                instance,
                hostname,
                installed,
                before,
                tags,
                postponed,
                came_by,
            } = seen;
            let client_id = contact.client_id.clone();
            decision = decision.note(Note::ClientSeen {
                client_id,
                platform,
                agent_version,
                instance,
                hostname,
                installed,
                before,
                tags,
                postponed,
                came_by,
            });
        }
        let cadence = self.cadence();
        decision.note(Note::ContactAnswered {
            client_id: contact.client_id.clone(),
            previous: contact.previous.clone(),
            next: contact.next.clone(),
            at: self.context.now,
            answer,
            progress: self.progress,
            server_list: held(&contact.highest, Claim::ServerList),
            cadence: Some(cadence),
        })
    }

    /// How long the computer pauses between contacts, with this one.
    fn cadence(&self) -> Cadence {
        let last = self.client.last.as_ref().map(|last| (last.at, last.cadence));
        Cadence::at(last, self.context.now, self.context.outages)
    }

    /// Reports that are not in the log yet, oldest first, and the highest id that is then.
    fn reports(&self, deliveries: &mut [Delivery]) -> (Vec<Change>, u64) {
        let fresh = reports::fresh(&self.contact.reports, self.client.acknowledged_report);
        let highest = fresh.keys().next_back().copied().unwrap_or(self.client.acknowledged_report);
        let mut reported = self.client.reported.clone();
        let mut changes = Vec::with_capacity(fresh.len());
        for report in fresh.into_values() {
            let effect = reports::effect(report, &reported);
            if effect != reports::ReportEffect::Unlisted {
                reported.insert(report.release.package.clone());
            }
            let client_id = self.contact.client_id.clone();
            let delivery = deliveries::reported(report, effect, deliveries);
            changes.push(Change::StepReported { client_id, report: report.clone(), effect, delivery });
        }
        (changes, highest)
    }

    /// What it runs of what it was told, without having reported it.
    fn found(&self, seen: &SeenClient, deliveries: &mut [Delivery]) -> Vec<Change> {
        let steps = deliveries::found(&seen.installed, &self.contact.reports, deliveries);
        let change = |step: DeliveryStep| Change::DeliveriesChanged {
            rollout: step.rollout,
            computers: vec![DeliveryOf {
                client_id: self.contact.client_id.clone(),
                name: self.client.name.clone(),
                step,
            }],
        };
        steps.into_iter().map(change).collect()
    }

    /// Two heads that do not fit each other, if the client holds such and did not say so before.
    fn log_fork(&self) -> Option<Change> {
        let (held, seen) = (self.contact.held_head?, self.contact.forked_head?);
        let client_id = self.contact.client_id.clone();
        (self.client.log_fork.as_ref() != Some(&seen)).then_some(Change::LogForkReported {
            client_id,
            held,
            seen,
        })
    }

    /// What is not as it was signed, if the client says something else than last time.
    fn drift(&self) -> Option<Change> {
        let drift = drift(self.contact);
        let client_id = self.contact.client_id.clone();
        (self.client.drift != drift).then_some(Change::DriftReported { client_id, drift })
    }

    /// The lease to send, and the notice if there is none to be had, or no assignment.
    fn lease(&self) -> (Sent<Lease>, Option<String>) {
        let no_trust = (!self.facts.has_trust).then(|| Withheld::NoTrust.to_string());
        if let Some(shown) = self.shown {
            return (self.resumed_lease(shown), no_trust);
        }
        if no_trust.is_some() {
            return (Sent::Nothing, no_trust);
        }
        let client = self.client;
        let seats = seats_in_lease(client);
        let last = lease_to_resend(client, self.contact, self.context);
        let decision = decide_lease(&LeaseFacts {
            now: self.context.now,
            last,
            ever: client.lease_order.is_some(),
            held: held(&self.contact.highest, Claim::Lease),
            seats: &seats,
            channel: &client.channel,
            epoch: self.epoch(client.lease_order),
            unconfirmed_since: self.facts.restore.unconfirmed().map(|restored| restored.at),
            resumed: client.resumed,
        });
        match (decision, last) {
            (LeaseDecision::Withhold(why), _) => (Sent::Nothing, Some(why.to_string())),
            (LeaseDecision::Issue(_), _) => (self.new_lease(&seats, last), None),
            (LeaseDecision::Resend, Some(lease)) => (Sent::Again(Box::new(lease.clone())), None),
            (LeaseDecision::Resend | LeaseDecision::Keep, _) => (Sent::Nothing, None),
        }
    }

    fn new_lease(&self, seats: &[SeatInLease<'_>], last: Option<&Lease>) -> Sent<Lease> {
        let not_after = self.context.after_days(self.context.terms.lease_days);
        let ever = self.client.lease_order.is_some();
        let due = seats_due(seats, last, ever, self.context.now);
        let entitlements = due
            .map(|due| match due {
                Due::Renewed { grant, digest } => Entitlement {
                    serial: grant.serial.clone(),
                    model: grant.model,
                    packages: grant.packages.clone(),
                    grant: digest,
                    not_after: seat_end(grant, not_after),
                },
                Due::Carried(seat) => seat.clone(),
            })
            .collect();
        self.lease_of(entitlements, next_order(self.facts.epoch, [self.client.lease_order]))
    }

    /// What was shown, for one more term; what has ended since, up to the end that it had.
    fn resumed_lease(&self, shown: &Shown) -> Sent<Lease> {
        let now = self.context.now;
        let not_after = self.context.after_days(self.context.terms.lease_days);
        let seats = shown.lease.entitlements.iter().map(|seat| {
            let held = self.client.seats.iter().find(|held| held.grant.serial == seat.serial);
            let end = match held.map(|held| &held.grant) {
                Some(grant) if grant.ended(now).is_some() => seat.not_after,
                Some(grant) => seat_end(grant, not_after),
                None => not_after,
            };
            Entitlement { not_after: end, ..seat.clone() }
        });
        let entitlements = seats.collect();
        let before = [self.client.lease_order, order_of(Some(&shown.lease))];
        self.lease_of(entitlements, next_order(self.facts.epoch, before))
    }

    fn lease_of(&self, entitlements: Vec<Entitlement>, order: Order) -> Sent<Lease> {
        let (client, context) = (self.client, self.context);
        let lease = Lease {
            client_id: self.contact.client_id.clone(),
            client_key: client.client_key.clone(),
            computer_name: client.name.clone(),
            channel: client.channel.clone(),
            server_id: context.server.server_id.clone(),
            signer: Signer::SiteKey,
            epoch: order.epoch,
            sequence: order.sequence,
            issued_at: context.now,
            entitlements,
            ledger_head: context.log.head(),
        };
        let change = Change::LeaseIssued {
            client_id: lease.client_id.clone(),
            order,
            entitlements: lease.entitlements.clone(),
        };
        Sent::New(Box::new(lease), Box::new(change))
    }

    /// Why it does not run what it may have, of a contact that was answered before.
    pub(super) fn waits(&self) -> Vec<WaitsFor> {
        let seen = SeenClient::of(self.contact, self.came_by, self.client.seen.as_ref());
        self.assignment(&seen, &self.client.deliveries).1
    }

    /// The assignment to send, and why the computer does not run what it may have.
    fn assignment(&self, seen: &SeenClient, deliveries: &[Delivery]) -> (Sent<Assignment>, Vec<WaitsFor>) {
        let (facts, client, contact) = (self.facts, self.client, self.contact);
        let (now, server_id) = (self.context.now, &self.context.server.server_id);
        let look = Look { facts, client, contact, seen, deliveries, now, server_id };
        look.then(|wanted, waits| (self.assignment_of(wanted, deliveries), waits))
    }

    fn assignment_of(&self, wanted: &[Told<'_>], deliveries: &[Delivery]) -> Sent<Assignment> {
        let (facts, client) = (self.facts, self.client);
        let shown = self.shown.and_then(|shown| shown.assignment.as_ref());
        let decision = decide(&AssignmentFacts {
            now: self.context.now,
            last: client.assignment.as_ref(),
            ever: client.assignment_order.is_some(),
            held: held(&self.contact.highest, Claim::Assignment),
            wanted,
            epoch: self.epoch(client.assignment_order),
            metadata_as_of: facts.metadata_as_of,
        });
        // What was shown and cannot be followed is replaced at once, also by an empty assignment.
        let issue = matches!(decision, AssignmentDecision::Issue(_)) || shown.is_some();
        match (issue, decision, facts.metadata_as_of, &client.assignment) {
            (true, _, Some(as_of), _) => {
                let steps = deliveries::assigned(wanted, deliveries, self.cadence().silence());
                self.new_assignment(wanted, as_of, order_of(shown), steps)
            }
            (_, AssignmentDecision::Resend, _, Some(assignment)) => Sent::Again(Box::new(assignment.clone())),
            _ => Sent::Nothing,
        }
    }

    fn new_assignment(
        &self,
        wanted: &[Told<'_>],
        metadata_as_of: jiff::Timestamp,
        shown: Option<Order>,
        deliveries: Vec<DeliveryStep>,
    ) -> Sent<Assignment> {
        let context = self.context;
        let order = next_order(self.facts.epoch, [self.client.assignment_order, shown]);
        let assignment = Assignment {
            client_id: self.contact.client_id.clone(),
            server_id: context.server.server_id.clone(),
            signer: Signer::SiteKey,
            epoch: order.epoch,
            sequence: order.sequence,
            issued_at: context.now,
            expires_at: context.after_days(context.terms.assignment_days),
            metadata_as_of,
            packages: wanted.iter().map(Told::assignment).collect(),
        };
        let change = Change::AssignmentChanged {
            client_id: assignment.client_id.clone(),
            order,
            expires_at: assignment.expires_at,
            metadata_as_of,
            packages: assignment.packages.clone(),
            deliveries,
        };
        Sent::New(Box::new(assignment), Box::new(change))
    }

    /// The epoch of a new document: the server's, or a higher one that the client was issued.
    fn epoch(&self, issued: Option<Order>) -> Epoch {
        issued.map_or(self.facts.epoch, |issued| issued.epoch.max(self.facts.epoch))
    }
}
