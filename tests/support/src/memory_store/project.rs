//! What each change does to the collections. It decides nothing: every consequence stands in the change.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use sealpost_ledger::store::StoreError;
use sealpost_manifests::document;
use sealpost_manifests::grant::{Grant, RegistrationReason};
use sealpost_site::changes::chain::LinkedEntry;
use sealpost_site::changes::{ActivityEntry, Change};
use sealpost_site::commands::pulls::PulledVersions;
use sealpost_site::rows::{KnownServerList, ServerIdentity};
use sealpost_site::rules::restore::{Acknowledged, Restored};

use super::state::{License, Logged, Pending, Setup, State};
use super::store::MemoryStoreError;

impl State {
    /// Appends an entry and applies its change.
    pub(super) fn append(&mut self, linked: &LinkedEntry) -> Result<(), StoreError> {
        let entry = &linked.entry;
        match self.log.entry(entry.sequence) {
            Entry::Occupied(_) => return Err(MemoryStoreError::taken("sequence number")),
            Entry::Vacant(place) => {
                self.tree.append(linked.leaf);
                let head = self.tree.head();
                place.insert(Arc::new(Logged { linked: linked.clone(), head }))
            }
        };
        self.project(entry)
    }

    fn project(&mut self, entry: &ActivityEntry) -> Result<(), StoreError> {
        match &entry.change {
            Change::ServerInitialized { server_id, site_key } => {
                if self.server.is_some() {
                    return Err(MemoryStoreError::taken("server"));
                }
                let (server_id, site_key) = (server_id.clone(), site_key.clone());
                self.server = Some(ServerIdentity { server_id, site_key });
            }
            Change::SerialRegistered { reason: RegistrationReason::Restored, request_id, .. } => {
                let _ = self.restore_requests.insert(request_id.clone());
            }
            Change::SerialRegistered { .. }
            | Change::Refused { .. }
            | Change::AdminTokenUsed { .. }
            | Change::ServerOperated { .. }
            | Change::ServerStarted { .. } => {}
            Change::AdminTokenMade { .. }
            | Change::AdminTokenRevoked { .. }
            | Change::AccountAdded(_)
            | Change::AccountDisabled(_)
            | Change::AccountEnabled(_)
            | Change::AdminTokenConfirmed(_)
            | Change::ProposalMade(_)
            | Change::ProposalEnded(_)
            | Change::ReleaseDeferred(_) => self.project_approval(entry),
            Change::ComputerKnocked(_)
            | Change::ComputerAdmitted(_)
            | Change::CopySeen(_)
            | Change::CopyResolved(_)
            | Change::ScheduleChanged(_)
            | Change::InstallTried(_) => self.project_seats(entry),
            Change::ServerListChanged { sequence, ways } => {
                self.server_list = Some(KnownServerList::new(*sequence, entry.at, ways.clone()));
            }
            Change::GrantAccepted { grant: document, confirms, .. } => {
                let grant: Grant = document::read(document.document.as_bytes())?;
                let license = License { document: document.clone(), accepted: entry.sequence, grant };
                self.licenses.insert(license.grant.serial.clone(), license);
                if let Some(restored) = &mut self.restore.restored {
                    restored.confirmed |= *confirms;
                }
            }
            Change::LedgerRestored { era, epoch, resumes_until, lost_era, .. } => {
                self.restore_requests.clear();
                self.acknowledged = None;
                let before = std::mem::replace(&mut self.restore.era, era.clone());
                self.restore.past.push(before);
                self.restore.past.extend(lost_era.clone());
                self.setups.values_mut().for_each(|setup| setup.before_restore = true);
                self.seats.kept.values_mut().for_each(|(_, before_restore)| *before_restore = true);
                self.restore.restored = Some(Restored {
                    at: entry.at,
                    epoch: *epoch,
                    resumes_until: *resumes_until,
                    confirmed: false,
                    acknowledged: None,
                });
            }
            Change::RestoreAcknowledged { comment, .. } => {
                let (at, by, comment) = (entry.at, entry.actor.clone(), comment.clone());
                self.acknowledged = Some(Acknowledged { at, by, comment });
            }
            Change::SetupIssued { name, setup, expires_at } => {
                let (setup, issued_at) = (setup.clone(), entry.at);
                let expires_at = *expires_at;
                let setup = Setup {
                    setup,
                    issued_at,
                    expires_at,
                    used_by: None,
                    admitted_key: None,
                    before_restore: false,
                };
                self.setups.insert(name.clone(), setup);
            }
            Change::UnknownComputerSeen { name, source, drops } => {
                if let Some(dropped) = drops {
                    self.pending.remove(dropped);
                }
                let (source, seen_at) = (source.clone(), entry.at);
                let pending = Pending { source, seen_at, sequence: entry.sequence };
                self.pending.insert(name.clone(), pending);
            }
            Change::SeatReserved { .. }
            | Change::ClientEnrolled { .. }
            | Change::ClientResumed { .. }
            | Change::LeaseIssued { .. }
            | Change::AssignmentChanged { .. }
            | Change::StepReported { .. }
            | Change::ForkDetected { .. }
            | Change::LogForkReported { .. }
            | Change::ChannelChanged { .. }
            | Change::DriftReported { .. } => self.project_computer(entry)?,
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
            | Change::CounterReset { .. }
            | Change::DeltaMade { .. }
            | Change::ReleaseApproved { .. }
            | Change::ReleaseRejected { .. }
            | Change::ReleaseWithdrawn { .. }
            | Change::ReleaseHalted { .. }
            | Change::ReleaseReconsidered { .. }
            | Change::ReleaseMandatoryChanged { .. }
            | Change::ReleaseTestLoaded(_)
            | Change::ReleaseRetried { .. } => self.project_release(entry),
            Change::RolloutCompleted { .. } | Change::RolloutResumed { .. } => {
                self.project_rollout(entry);
                self.project_release(entry);
            }
            Change::SettingsChanged { .. }
            | Change::GroupMembersChanged { .. }
            | Change::RingOpened { .. }
            | Change::RolloutPaused { .. }
            | Change::RolloutEdited { .. }
            | Change::DeliveriesChanged { .. } => self.project_rollout(entry),
        }
        Ok(())
    }
}
