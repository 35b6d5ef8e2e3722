//! What a contacting computer may run, what it is told of that, and why it does not run the rest.
//!
//! Invariant: an answer and the words of its retry are made here, from the same facts in the same way.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::wire::contact::{Contact, WaitsFor};

use super::facts::{ContactClient, ContactFacts, SeenClient};
use crate::rules::assignment::{Computer, Licensed, Rolling, Told, Undoing, admitted, told_of};
use crate::rules::explain::{Heard, Rollouts, waits_of};
use crate::rules::rollouts::groups::{Attributes, GroupName};
use crate::rules::rollouts::plan::{Asker, Delivery};
use crate::rules::rollouts::share::{self, Salt};

/// What is looked at.
pub(super) struct Look<'a> {
    pub(super) facts: &'a ContactFacts,
    pub(super) client: &'a ContactClient,
    pub(super) contact: &'a Contact,
    /// What the contact says of the computer.
    pub(super) seen: &'a SeenClient,
    /// What became of rollouts there, with this contact.
    pub(super) deliveries: &'a [Delivery],
    pub(super) now: Timestamp,
    pub(super) server_id: &'a ServerId,
}

impl Look<'_> {
    /// Hands over what the computer is told, and why it does not run what it may have.
    pub(super) fn then<T>(&self, then: impl FnOnce(&[Told<'_>], Vec<WaitsFor>) -> T) -> T {
        let Look { facts, client, contact, seen, deliveries, now, server_id } = *self;
        let licensed = Licensed::by(client.seats.iter().map(|seat| &seat.grant));
        let back = client.back();
        let undoing =
            Undoing { left: &facts.left, kept: &facts.kept, attempts: &client.attempts, back: &back };
        let computer = Computer {
            channel: &client.channel,
            platform: &contact.platform,
            licensed: &licensed,
            installed: &seen.installed,
            before: &seen.before,
            voided: &facts.voided,
        };
        let groups = self.groups();
        let asker = Asker {
            name: &client.name,
            position: share::position(&Salt::of(server_id), &client.name),
            groups: &groups,
            channel: &client.channel,
            deliveries,
            attempts: &client.attempts,
        };
        let rolling = Rolling { plan: &facts.plan, counts: &facts.live.counts, asker, now };
        let choices = admitted(&facts.approved, &computer, &rolling);
        let wanted = told_of(&choices, &undoing, &computer, &rolling);
        let heard =
            Heard { installed: &seen.installed, reports: &contact.reports, postponed: &seen.postponed };
        let rollouts = Rollouts { plan: &facts.plan, live: &facts.live };
        let waits = waits_of(&choices, &wanted, &heard, &rollouts, now);
        then(&wanted, waits)
    }

    /// The groups that it belongs to.
    fn groups(&self) -> BTreeSet<GroupName> {
        let serials: Vec<&SerialNumber> = self.client.seats.iter().map(|seat| &seat.grant.serial).collect();
        self.facts.plan.groups_of(
            &self.client.listed,
            &Attributes {
                name: &self.client.name,
                channel: &self.client.channel,
                platform: Some(&self.contact.platform),
                tags: &self.contact.tags,
                serials: &serials,
                installed: &self.seen.installed,
            },
        )
    }
}
