//! What each change does to the collections. It decides nothing: every consequence stands in the change.

use std::collections::btree_map::Entry;

use sealpost_ledger::store::StoreError;
use sealpost_manifests::document;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::report::Report;
use sealpost_site::changes::chain::LinkedEntry;
use sealpost_site::changes::{ActivityEntry, Change, NoteKey};
use sealpost_site::commands::pulls::PulledVersions;
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::assignment::AssignedRelease;
use sealpost_site::rules::reports::ReportEffect;

use super::state::{Client, LastReport, License, Pending, Reservation, Setup, State};
use super::store::MemoryStoreError;

impl State {
    /// Appends an entry and applies its change.
    pub(super) fn append(&mut self, linked: &LinkedEntry) -> Result<(), StoreError> {
        let entry = &linked.entry;
        match self.log.entry(entry.sequence) {
            Entry::Occupied(_) => return Err(taken("sequence number")),
            Entry::Vacant(place) => place.insert(std::sync::Arc::new(linked.clone())),
        };
        self.project(entry)
    }

    fn project(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        match &entry.change {
            Change::ServerInitialized { server_id, site_key } => {
                if self.server.is_some() {
                    return Err(taken("server"));
                }
                let (server_id, site_key) = (server_id.clone(), site_key.clone());
                self.server = Some(ServerIdentity { server_id, site_key });
            }
            Change::SerialRegistered { .. } | Change::Refused { .. } => {}
            Change::GrantAccepted { grant: document, .. } => {
                let grant: Grant = document::read(document.document.as_bytes())?;
                let counts = self.licenses.get(&grant.serial).map(|held| (held.used, held.active));
                let (used, active) = counts.unwrap_or((0, 0));
                let (document, accepted) = (document.clone(), entry.sequence);
                self.licenses
                    .insert(grant.serial.clone(), License { grant, document, accepted, used, active });
            }
            Change::SeatReserved { name, channel, serial } => {
                self.pending.remove(name);
                if self.reservations.contains_key(name) {
                    return Err(taken("reserved name"));
                }
                let reservation =
                    Reservation { channel: channel.clone(), serial: serial.clone(), reserved_at: entry.at };
                self.reservations.insert(name.clone(), reservation);
                if let Some(license) = self.licenses.get_mut(serial) {
                    license.used += 1;
                }
            }
            Change::SetupIssued { name, code_sha256 } => {
                let code_sha256 = *code_sha256;
                if self.setups.iter().any(|(other, setup)| other != name && setup.code_sha256 == code_sha256)
                {
                    return Err(taken("enrollment code"));
                }
                self.setups.insert(name.clone(), Setup { code_sha256, used_by: None });
            }
            Change::ClientEnrolled { .. } => self.client_enrolled(entry)?,
            Change::UnknownComputerSeen { name, drops, .. } => {
                if let Some(dropped) = drops {
                    self.pending.remove(dropped);
                }
                let pending = Pending { seen_at: entry.at, sequence: entry.sequence };
                self.pending.insert(name.clone(), pending);
            }
            Change::LeaseIssued { client_id, sequence, not_after } => {
                if let Some(client) = self.clients.get_mut(client_id) {
                    client.sequence = *sequence;
                    client.lease_until = Some(*not_after);
                }
            }
            Change::AssignmentChanged { client_id, sequence, releases } => {
                if let Some(client) = self.clients.get_mut(client_id) {
                    client.assignment_changed(*sequence, releases);
                }
            }
            Change::StepReported { client_id, report, effect } => {
                if let Some(client) = self.clients.get_mut(client_id) {
                    client.step_reported(report, *effect);
                }
            }
            Change::ForkDetected { client_id } => {
                if let Some(client) = self.clients.get_mut(client_id) {
                    client.forked = true;
                }
            }
            Change::MetadataPulled { timestamp_version, snapshot_version, root_version } => {
                let versions = PulledVersions {
                    root: *root_version,
                    timestamp: *timestamp_version,
                    snapshot: *snapshot_version,
                };
                self.pull.versions = Some(versions);
                self.pull.failure = None;
            }
            Change::PullFailed { reason } => self.pull.failure = Some(reason.clone()),
            Change::ReleaseStaged { .. }
            | Change::ReleaseRefused { .. }
            | Change::ReleaseChannelsChanged { .. }
            | Change::DeltaMade { .. }
            | Change::ReleaseApproved { .. }
            | Change::ReleaseRejected { .. }
            | Change::ReleaseWithdrawn { .. } => self.project_release(entry),
        }
        Ok(())
    }

    fn client_enrolled(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        let Change::ClientEnrolled { client_id, name, client_key, platform, agent_version, replaces, .. } =
            &entry.change
        else {
            return Ok(());
        };
        match replaces {
            Some(replaced) => self.forget(replaced),
            None => self.count_active(name),
        }
        if self.clients.contains_key(client_id) || self.client_of.contains_key(name) {
            return Err(taken("client"));
        }
        let client = Client {
            name: name.clone(),
            client_key: client_key.clone(),
            platform: platform.clone(),
            agent_version: agent_version.clone(),
            enrolled_at: entry.at,
            forked: false,
            sequence: 0,
            lease_until: None,
            had_assignment: false,
            acknowledged_report: 0,
            assigned: Default::default(),
            last_reports: Default::default(),
        };
        self.clients.insert(client_id.clone(), client);
        self.client_of.insert(name.clone(), client_id.clone());
        if let Some(setup) = self.setups.get_mut(name) {
            setup.used_by = Some(client_id.clone());
        }
        Ok(())
    }

    fn count_active(&mut self, name: &ComputerName) {
        let serial = self.reservations.get(name).map(|reservation| &reservation.serial);
        if let Some(license) = serial.and_then(|serial| self.licenses.get_mut(serial)) {
            license.active += 1;
        }
    }

    /// A replaced client: its row, and every note about it.
    fn forget(&mut self, client_id: &ClientId) {
        if let Some(client) = self.clients.remove(client_id) {
            self.client_of.remove(&client.name);
        }
        for key in [
            NoteKey::ContactAnswered(client_id.clone()),
            NoteKey::ClientSeen(client_id.clone()),
            NoteKey::LeaseSent(client_id.clone()),
            NoteKey::AssignmentSent(client_id.clone()),
        ] {
            self.notes.remove(&key);
        }
    }
}

impl Client {
    fn assignment_changed(&mut self, sequence: u64, releases: &[AssignedRelease]) {
        self.sequence = sequence;
        self.had_assignment = true;
        self.assigned = releases.iter().map(|told| (told.release.package.clone(), told.clone())).collect();
    }

    fn step_reported(&mut self, report: &Report, effect: ReportEffect) {
        self.acknowledged_report = self.acknowledged_report.max(report.id);
        let failed = match effect {
            ReportEffect::Unlisted => return,
            ReportEffect::Progress => false,
            ReportEffect::Failure => true,
        };
        let last = LastReport { report: report.clone(), failed };
        self.last_reports.insert(report.release.package.clone(), last);
    }
}

/// A database would not let a second row have this key either.
fn taken(what: &'static str) -> StoreError {
    MemoryStoreError::Taken { what }.into()
}
