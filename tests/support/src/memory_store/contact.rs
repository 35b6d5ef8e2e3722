//! What a contact is decided from.

use std::collections::BTreeSet;

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document::Document;
use sealpost_manifests::ids::{ClientId, SerialNumber};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::Drift;
use sealpost_site::commands::contact::{
    ContactClient, ContactFacts, HeldGrantText, LastContact, LoadContact, LostFacts, RaisedGrant, SeenClient,
    ShownKey,
};
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::restore::NameHolder;
use sealpost_site::rules::rollouts::plan::LiveRings;

use super::state::{Client, License, State};
use super::store::{Handle, Holds};

impl<H: Holds> Read<LoadContact> for Handle<H> {
    fn read(&mut self, query: &LoadContact) -> Result<ContactFacts, StoreError> {
        let (state, client_id) = (self.state(), &query.client_id);
        let client = match state.clients.get(client_id) {
            Some(client) => Some(state.contact_client(client_id, client, query.reports)?),
            None => None,
        };
        let left: Vec<KnownRelease> = query
            .runs
            .iter()
            .filter_map(|manifest| state.known_release(manifest))
            .filter(|release| release.rollback)
            .collect();
        let before = match state.seen(client_id) {
            Some(seen) if !left.is_empty() => seen.before.to_vec(),
            _ => Vec::new(),
        };
        let kept = before.iter().filter_map(|ran| state.known_release(&ran.manifest)).collect();
        Ok(ContactFacts {
            client,
            left,
            kept,
            plan: state.plan(),
            live: LiveRings::new(state.live_counts(), state.live_soaks()).into(),
            approved: state.approved().into(),
            voided: state.voided(),
            metadata_as_of: state.metadata_as_of(),
            has_trust: self.has_trust(),
            epoch: state.epoch(),
            raised: state.raised(),
            restore: state.restore.clone(),
            server_list: state.server_list.clone(),
            lost: query.shown.as_ref().map(|shown| state.lost(client_id, shown)),
        })
    }
}

impl State {
    /// Of grants with several epochs one of the highest.
    fn raised(&self) -> Option<RaisedGrant> {
        let mut by_epoch: Vec<&License> = self.licenses.values().collect();
        by_epoch.sort_by_key(|license| (license.grant.epoch, license.grant.serial.clone()));
        let [lowest, .., highest] = by_epoch.as_slice() else { return None };
        (lowest.grant.epoch < highest.grant.epoch)
            .then(|| RaisedGrant { document: highest.document.clone(), digest: highest.document.digest() })
    }

    fn contact_client(
        &self,
        client_id: &ClientId,
        client: &Client,
        reports: bool,
    ) -> Result<ContactClient, StoreError> {
        let computer = self.computers.get(&client.name).ok_or(StoreError::Missing { what: "computer" })?;
        let last = self.answered(client_id).map(|answered| LastContact {
            at: answered.at,
            nonces: NoncePair { previous: answered.previous.cloned(), next: answered.next.clone() },
            answer: answered.answer.clone(),
            progress: answered.progress.clone(),
            cadence: answered.cadence,
        });
        let seen = self.seen(client_id).map(|seen| SeenClient {
            platform: seen.platform.clone(),
            agent_version: seen.agent_version.to_owned(),
            instance: seen.instance,
            hostname: seen.hostname.map(str::to_owned),
            installed: seen.installed.to_vec(),
            before: seen.before.to_vec(),
            tags: seen.tags.to_vec(),
            postponed: seen.postponed.to_vec(),
            came_by: seen.came_by,
        });
        let reported = if reports { client.last_reports.keys().cloned().collect() } else { BTreeSet::new() };
        Ok(ContactClient {
            name: client.name.clone(),
            channel: computer.channel.clone(),
            client_key: client.client_key.clone(),
            forked: client.forked,
            copies: if client.forked { self.seats.branches(client_id) } else { Vec::new() },
            kept_copy: self.kept_of(client_id),
            seats: self
                .licenses_of(&client.name)
                .map(|license| {
                    let held = held_text(license, &computer.leased);
                    let used = (!held.leased).then(|| self.seats_of(&license.grant.serial).0);
                    HeldGrantText { used, ..held }
                })
                .collect(),
            lease_order: client.order(Lease::TYPE),
            assignment_order: client.order(Assignment::TYPE),
            acknowledged_report: client.acknowledged_report,
            last,
            lease: self.lease_sent(client_id).cloned(),
            assignment: self.assignment_sent(client_id).cloned(),
            seen,
            reported,
            not_reserved: false,
            resumed: client.resumed.as_ref().is_some_and(|(era, _)| *era == self.restore.era),
            log_fork: client.log_fork.as_ref().map(|fork| fork.seen),
            drift: client
                .drift
                .values()
                .map(|row| Drift { package: row.package.clone(), kind: row.kind })
                .collect(),
            attempts: client.attempts.clone(),
            listed: self.listed(&client.name),
            deliveries: self.deliveries_of(client_id),
            left_locally: client.left_locally(),
        })
    }

    fn lost(&self, client_id: &ClientId, shown: &ShownKey) -> LostFacts {
        let holder = self.client_named(&shown.name).filter(|(holder, _)| *holder != client_id);
        let computer = self.computers.get(&shown.name);
        let leased = computer.map(|computer| computer.leased.clone()).unwrap_or_default();
        LostFacts {
            was_replaced: self.replaced.contains(client_id),
            given_up: self.seats.given_up.contains_key(client_id),
            holder: holder.map(|(holder, client)| NameHolder {
                client_id: holder.clone(),
                era: client.era.clone(),
                resumed_head: client.resumed_head,
            }),
            reserved: computer.map(|computer| computer.serials.clone()).unwrap_or_default(),
            seats: shown
                .serials
                .iter()
                .filter_map(|serial| self.licenses.get(serial))
                .map(|license| held_text(license, &leased))
                .collect(),
            head_is_known: self.had_head(shown.head),
        }
    }
}

fn held_text(license: &License, leased: &BTreeSet<SerialNumber>) -> HeldGrantText {
    HeldGrantText {
        grant: license.grant.clone(),
        document: license.document.clone(),
        digest: license.document.digest(),
        leased: leased.contains(&license.grant.serial),
        used: None,
    }
}
