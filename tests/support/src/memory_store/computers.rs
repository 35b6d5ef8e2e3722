//! What changes of computers do: seats, clients, what they were issued, what they reported, and how they come back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_ledger::store::StoreError;
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::Document;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::order::{HighestOrders, Order};
use sealpost_manifests::wire::contact::Drift;
use sealpost_manifests::wire::report::{InstallStep, ReasonCode, Report};
use sealpost_manifests::word::Word;
use sealpost_site::changes::tries::Reported;
use sealpost_site::changes::{ActivityEntry, Change, EnrolledBy, NoteKey, Recreated};
use sealpost_site::rows::{DriftRow, ResumedRow};
use sealpost_site::rules::reports::ReportEffect;

use super::state::{Client, Computer, LastReport, LogFork, State};
use super::store::MemoryStoreError;

impl State {
    /// Applies a change of a computer; any other does nothing here.
    pub(super) fn project_computer(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        match &entry.change {
            Change::SeatReserved { name, channel, serial } => {
                self.pending.remove(name);
                self.seat_taken(entry, name, channel, serial)?;
            }
            Change::ClientEnrolled { .. } => self.client_enrolled(entry)?,
            Change::ClientResumed { .. } => self.client_resumed(entry)?,
            Change::LeaseIssued { client_id, order, entitlements } => {
                let until = entitlements.iter().map(|seat| seat.not_after).max();
                self.with_client(client_id, |client| {
                    client.issued(Lease::TYPE, *order);
                    client.lease_until = until;
                });
                let name = self.clients.get(client_id).map(|client| client.name.clone());
                if let Some(computer) = name.and_then(|name| self.computers.get_mut(&name)) {
                    let held = entitlements.iter().map(|seat| &seat.serial);
                    let held: Vec<_> = held.filter(|serial| computer.serials.contains(*serial)).collect();
                    computer.leased.extend(held.into_iter().cloned());
                }
            }
            Change::AssignmentChanged { client_id, order, packages, deliveries, .. } => {
                self.with_client(client_id, |client| {
                    client.issued(Assignment::TYPE, *order);
                    client.assign(packages);
                });
                deliveries.iter().for_each(|step| self.delivered(entry, client_id, step));
            }
            Change::StepReported { client_id, report, effect, delivery } => {
                self.with_client(client_id, |client| client.step_reported(report, *effect));
                if let Some(reported) = Reported::of(report, *effect) {
                    self.reported(client_id, &reported, delivery.as_ref());
                }
                delivery.iter().for_each(|step| self.delivered(entry, client_id, step));
            }
            Change::ForkDetected { client_id } => {
                self.with_client(client_id, |client| client.forked = true);
            }
            Change::LogForkReported { client_id, held, seen } => {
                let fork = LogFork { held: *held, seen: *seen, at: entry.at };
                self.with_client(client_id, |client| client.log_fork = Some(fork));
            }
            Change::ChannelChanged { name, channel } => {
                if let Some(computer) = self.computers.get_mut(name) {
                    computer.channel.clone_from(channel);
                }
            }
            Change::DriftReported { client_id, drift } => {
                self.with_client(client_id, |client| client.drift_reported(drift, entry.at));
            }
            Change::ServerInitialized { .. }
            | Change::ReleaseHalted { .. }
            | Change::ReleaseReconsidered { .. }
            | Change::AccountAdded(_)
            | Change::AccountDisabled(_)
            | Change::AccountEnabled(_)
            | Change::AdminTokenConfirmed(_)
            | Change::ProposalMade(_)
            | Change::ProposalEnded(_)
            | Change::ReleaseDeferred(_)
            | Change::ReleaseRetried { .. }
            | Change::SerialRegistered { .. }
            | Change::Refused { .. }
            | Change::AdminTokenMade { .. }
            | Change::AdminTokenUsed { .. }
            | Change::AdminTokenRevoked { .. }
            | Change::ServerOperated { .. }
            | Change::ServerStarted { .. }
            | Change::ServerListChanged { .. }
            | Change::GrantAccepted { .. }
            | Change::LedgerRestored { .. }
            | Change::RestoreAcknowledged { .. }
            | Change::SetupIssued { .. }
            | Change::UnknownComputerSeen { .. }
            | Change::ComputerKnocked(_)
            | Change::ComputerAdmitted(_)
            | Change::CopySeen(_)
            | Change::CopyResolved(_)
            | Change::ScheduleChanged(_)
            | Change::InstallTried(_)
            | Change::MetadataPulled { .. }
            | Change::PullFailed { .. }
            | Change::ReleaseStaged { .. }
            | Change::ReleaseRefused { .. }
            | Change::ReleaseChannelsChanged { .. }
            | Change::CounterReset { .. }
            | Change::DeltaMade { .. }
            | Change::ReleaseTestLoaded(_)
            | Change::ReleaseApproved { .. }
            | Change::ReleaseRejected { .. }
            | Change::ReleaseMandatoryChanged { .. }
            | Change::SettingsChanged { .. }
            | Change::GroupMembersChanged { .. }
            | Change::RingOpened { .. }
            | Change::RolloutCompleted { .. }
            | Change::RolloutPaused { .. }
            | Change::RolloutResumed { .. }
            | Change::RolloutEdited { .. }
            | Change::DeliveriesChanged { .. }
            | Change::ReleaseWithdrawn { .. } => {}
        }
        Ok(())
    }

    fn with_client(&mut self, client_id: &ClientId, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.get_mut(client_id) {
            change(client);
        }
    }

    /// The first seat makes a name known, with its channel.
    fn seat_taken(
        &mut self,
        entry: &ActivityEntry,
        name: &ComputerName,
        channel: &ChannelName,
        serial: &SerialNumber,
    ) -> Result<(), StoreError> {
        let computer = self.computer(entry, name, channel);
        if !computer.serials.insert(serial.clone()) {
            return Err(MemoryStoreError::taken("seat"));
        }
        Ok(())
    }

    fn computer(
        &mut self,
        entry: &ActivityEntry,
        name: &ComputerName,
        channel: &ChannelName,
    ) -> &mut Computer {
        self.computers.entry(name.clone()).or_insert_with(|| Computer {
            channel: channel.clone(),
            reserved_at: entry.at,
            serials: Default::default(),
            leased: Default::default(),
        })
    }

    fn client_enrolled(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        let Change::ClientEnrolled {
            client_id,
            name,
            client_key,
            sealing_key,
            platform,
            agent_version,
            replaces,
            by,
            ..
        } = &entry.change
        else {
            return Ok(());
        };
        if let (EnrolledBy::Copy, Some(replaced)) = (by, replaces) {
            self.seats.given_up.insert(replaced.clone(), name.clone());
        }
        self.seats.is_here(name);
        let client = Client {
            name: name.clone(),
            client_key: client_key.clone(),
            sealing_key: Some(*sealing_key),
            platform: platform.clone(),
            agent_version: agent_version.clone(),
            enrolled_at: entry.at,
            era: self.restore.era.clone(),
            resumed_head: None,
            forked: false,
            orders: HighestOrders::new(),
            lease_until: None,
            acknowledged_report: 0,
            assigned: Default::default(),
            last_reports: Default::default(),
            resumed: None,
            log_fork: None,
            drift: Default::default(),
            attempts: Default::default(),
        };
        self.add_client(entry, client_id, client, replaces.as_ref())?;
        // A copy that goes on proved no setup.
        if *by != EnrolledBy::Copy
            && let Some(setup) = self.setups.get_mut(name)
        {
            setup.used_by = Some(client_id.clone());
        }
        Ok(())
    }

    fn add_client(
        &mut self,
        entry: &ActivityEntry,
        client_id: &ClientId,
        client: Client,
        replaces: Option<&ClientId>,
    ) -> Result<(), StoreError> {
        if let Some(replaced) = replaces {
            self.forget_deliveries(entry, replaced);
            self.forget(replaced);
        }
        if self.clients.contains_key(client_id) || self.client_of.contains_key(&client.name) {
            return Err(MemoryStoreError::taken("client"));
        }
        self.client_of.insert(client.name.clone(), client_id.clone());
        self.clients.insert(client_id.clone(), client);
        Ok(())
    }

    /// A replaced client: its row, the setup that it used, and every note about it. Its id stays known.
    fn forget(&mut self, client_id: &ClientId) {
        if let Some(client) = self.clients.remove(client_id) {
            self.client_of.remove(&client.name);
        }
        self.seats.forget(client_id);
        self.setups.retain(|_, setup| setup.used_by.as_ref() != Some(client_id));
        for key in [
            NoteKey::ContactAnswered(client_id.clone()),
            NoteKey::ClientSeen(client_id.clone()),
            NoteKey::LeaseSent(client_id.clone()),
            NoteKey::AssignmentSent(client_id.clone()),
        ] {
            self.notes.remove(&key);
        }
        self.replaced.insert(client_id.clone());
    }

    fn client_resumed(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        let Change::ClientResumed {
            client_id,
            name,
            era,
            contacts,
            shown,
            provisional_until,
            recreated,
            displaces,
            ..
        } = &entry.change
        else {
            return Ok(());
        };
        if let Some(recreated) = recreated {
            self.recreate(entry, client_id, name, recreated)?;
        }
        let row = ResumedRow {
            at: entry.at,
            contacts: *contacts,
            provisional_until: *provisional_until,
            displaced: displaces.as_ref().map(|displaced| displaced.contacts),
        };
        self.with_client(client_id, |client| {
            client.resumed = Some((era.clone(), row));
            for (kind, order) in shown {
                let highest = client.orders.entry(*kind).or_insert(*order);
                *highest = (*highest).max(*order);
            }
        });
        Ok(())
    }

    /// Makes again what the ledger lost: the name, its seats, and the client if it is not here.
    fn recreate(
        &mut self,
        entry: &ActivityEntry,
        client_id: &ClientId,
        name: &ComputerName,
        recreated: &Recreated,
    ) -> Result<(), StoreError> {
        self.computer(entry, name, &recreated.channel);
        for serial in &recreated.serials {
            self.seat_taken(entry, name, &recreated.channel, serial)?;
        }
        if self.clients.contains_key(client_id) {
            return Ok(());
        }
        let client = Client {
            name: name.clone(),
            client_key: recreated.client_key.clone(),
            sealing_key: None,
            platform: recreated.platform.clone(),
            agent_version: recreated.agent_version.clone(),
            enrolled_at: entry.at,
            era: self.restore.era.clone(),
            resumed_head: Some(recreated.head),
            forked: false,
            orders: HighestOrders::new(),
            lease_until: None,
            acknowledged_report: 0,
            assigned: Default::default(),
            last_reports: Default::default(),
            resumed: None,
            log_fork: None,
            drift: Default::default(),
            attempts: Default::default(),
        };
        self.add_client(entry, client_id, client, recreated.replaces.as_ref())?;
        let restored_at = self.restore.restored.as_ref().map(|restored| restored.at);
        if let Some(setup) = self.setups.get_mut(name)
            && setup.used_by.is_none()
            && Some(setup.issued_at) <= restored_at
        {
            setup.used_by = Some(client_id.clone());
        }
        Ok(())
    }
}

impl Client {
    fn issued(&mut self, kind: &str, order: Order) {
        if let Ok(kind) = Word::new(kind) {
            self.orders.insert(kind, order);
        }
    }

    fn assign(&mut self, packages: &[PackageAssignment]) {
        self.assigned = packages.iter().map(|told| (told.release.package.clone(), told.clone())).collect();
    }

    /// What it says again keeps its time.
    fn drift_reported(&mut self, drift: &[Drift], at: Timestamp) {
        let before = std::mem::take(&mut self.drift);
        self.drift.extend(drift.iter().map(|drift| {
            let said = before.get(&drift.package).filter(|row| row.kind == drift.kind);
            let (package, kind) = (drift.package.clone(), drift.kind);
            let since = said.map_or(at, |row| row.since);
            (package.clone(), DriftRow { package, kind, since })
        }));
    }

    /// What a person at the computer left last of each package, with its attempt.
    pub(super) fn left_locally(&self) -> BTreeMap<Sha256Digest, u32> {
        let left = self.last_reports.values().filter(|last| {
            let Report { step, reason, .. } = &last.report;
            last.failed && *step == InstallStep::RollBack && *reason == ReasonCode::AskedLocally
        });
        left.map(|last| (last.report.manifest, last.report.attempt)).collect()
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
