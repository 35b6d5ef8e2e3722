//! What commands decide from.

use std::collections::BTreeSet;

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_site::commands::NoFacts;
use sealpost_site::commands::clients::{
    EnrolledClient, EnrollmentFacts, LoadEnrollment, LoadSeats, LoadSetup, SeatFacts, SetupFacts,
};
use sealpost_site::commands::contact::{
    ContactClient, ContactFacts, HeldGrantText, LastContact, LoadContact, SeenClient,
};
use sealpost_site::commands::licenses::LoadHeldGrant;
use sealpost_site::commands::pulls::{LoadPull, PullFacts};
use sealpost_site::commands::releases::{LoadDelta, LoadRelease, ReleaseFacts};
use sealpost_site::queries::SetupOf;
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::enrollment::{IssuedSetup, SetupState};
use sealpost_site::rules::grants::HeldGrant;
use sealpost_site::rules::pending::PendingFacts;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::seats::GrantedSeats;

use super::releases::known;
use super::state::{Client, License, State};
use super::store::{Handle, Holds};

impl<H: Holds> Read<NoFacts> for Handle<H> {
    fn read(&mut self, _: &NoFacts) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<H: Holds> Read<LoadHeldGrant> for Handle<H> {
    fn read(&mut self, query: &LoadHeldGrant) -> Result<Option<HeldGrant>, StoreError> {
        Ok(self.state().licenses.get(&query.serial).map(|license| HeldGrant {
            generation: license.grant.generation,
            epoch: license.grant.epoch,
            digest: license.document.digest(),
        }))
    }
}

impl<H: Holds> Read<LoadSeats> for Handle<H> {
    fn read(&mut self, query: &LoadSeats) -> Result<SeatFacts, StoreError> {
        let state = self.state();
        let mut licenses: Vec<&License> = state.licenses.values().collect();
        licenses.sort_by_key(|license| license.accepted);
        let grants = licenses.into_iter().map(|license| GrantedSeats {
            serial: license.grant.serial.clone(),
            seats: license.grant.seats,
            valid_until: license.grant.valid_until,
            used: license.used,
        });
        Ok(SeatFacts { reserved: state.reservations.contains_key(&query.name), grants: grants.collect() })
    }
}

impl<H: Holds> Read<LoadSetup> for Handle<H> {
    fn read(&mut self, query: &LoadSetup) -> Result<SetupFacts, StoreError> {
        let state = self.state();
        let mut setups = state.setups.iter();
        let issued = setups.find(|(_, setup)| setup.code_sha256 == query.code_sha256);
        Ok(SetupFacts {
            reserved: state.reservations.contains_key(&query.name),
            code_of: issued.map(|(name, _)| name.clone()),
        })
    }
}

impl State {
    fn setup_of(&self, name: &ComputerName) -> SetupState {
        if !self.reservations.contains_key(name) {
            return SetupState::Unknown;
        }
        let Some(setup) = self.setups.get(name) else { return SetupState::Reserved };
        let user = setup.used_by.as_ref().and_then(|client_id| self.clients.get(client_id));
        SetupState::Issued(IssuedSetup {
            code_sha256: setup.code_sha256,
            used_by: user.map(|client| client.client_key.clone()),
        })
    }

    fn pending_facts(&self, name: &ComputerName) -> PendingFacts {
        let oldest = self.pending.iter().min_by_key(|(_, pending)| pending.sequence);
        PendingFacts {
            waiting: self.pending.len() as u64,
            known: self.pending.contains_key(name),
            oldest: oldest.map(|(name, pending)| (name.clone(), pending.seen_at)),
        }
    }
}

impl<H: Holds> Read<SetupOf> for Handle<H> {
    fn read(&mut self, query: &SetupOf) -> Result<SetupState, StoreError> {
        Ok(self.state().setup_of(&query.name))
    }
}

impl<H: Holds> Read<LoadEnrollment> for Handle<H> {
    fn read(&mut self, query: &LoadEnrollment) -> Result<EnrollmentFacts, StoreError> {
        let (state, name) = (self.state(), &query.name);
        let setup = state.setup_of(name);
        let pending = match setup {
            SetupState::Unknown => state.pending_facts(name),
            SetupState::Reserved | SetupState::Issued(_) => PendingFacts::default(),
        };
        let client = state.client_named(name).map(|(client_id, client)| EnrolledClient {
            client_id: client_id.clone(),
            client_key: client.client_key.clone(),
            enrolled_at: client.enrolled_at,
        });
        let grant = state.license_of(name).map(|license| license.document.clone());
        Ok(EnrollmentFacts { setup, client, grant, pending })
    }
}

impl<H: Holds> Read<LoadContact> for Handle<H> {
    fn read(&mut self, query: &LoadContact) -> Result<ContactFacts, StoreError> {
        let (state, client_id) = (self.state(), &query.client_id);
        let held = state.clients.get(client_id);
        let Some(client) = held.filter(|client| state.reservations.contains_key(&client.name)) else {
            return Ok(ContactFacts { client: None, approved: Vec::new(), metadata_as_of: None, epoch: 0 });
        };
        Ok(ContactFacts {
            client: Some(state.contact_client(client_id, client, query.reports)?),
            approved: state.approved(),
            metadata_as_of: state.metadata_as_of(),
            epoch: state.licenses.values().map(|license| license.grant.epoch).max().unwrap_or(0),
        })
    }
}

impl State {
    fn contact_client(
        &self,
        client_id: &ClientId,
        client: &Client,
        reports: bool,
    ) -> Result<ContactClient, StoreError> {
        let reservation =
            self.reservations.get(&client.name).ok_or(StoreError::Missing { what: "reservation" })?;
        let license = self.license_of(&client.name).ok_or(StoreError::Missing { what: "grant" })?;
        let last = self.answered(client_id).map(|answered| LastContact {
            nonces: NoncePair { previous: answered.previous.cloned(), next: answered.next.clone() },
            answer: answered.answer.clone(),
        });
        let seen = self.seen(client_id).map(|seen| SeenClient {
            platform: seen.platform.clone(),
            agent_version: seen.agent_version.to_owned(),
            installed: seen.installed.to_vec(),
        });
        let reported = if reports { client.last_reports.keys().cloned().collect() } else { BTreeSet::new() };
        Ok(ContactClient {
            name: client.name.clone(),
            channel: reservation.channel.clone(),
            client_key: client.client_key.clone(),
            forked: client.forked,
            grant: HeldGrantText {
                grant: license.grant.clone(),
                document: license.document.clone(),
                digest: license.document.digest(),
            },
            sequence: client.sequence,
            had_lease: client.lease_until.is_some(),
            had_assignment: client.had_assignment,
            acknowledged_report: client.acknowledged_report,
            last,
            lease: self.lease_sent(client_id).cloned(),
            assignment: self.assignment_sent(client_id).cloned(),
            seen,
            reported,
        })
    }
}

impl<H: Holds> Read<LoadPull> for Handle<H> {
    fn read(&mut self, _: &LoadPull) -> Result<PullFacts, StoreError> {
        Ok(self.state().pull.clone())
    }
}

impl<H: Holds> Read<LoadRelease> for Handle<H> {
    fn read(&mut self, query: &LoadRelease) -> Result<ReleaseFacts, StoreError> {
        let state = self.state();
        let found = state.releases.get(&query.manifest).map(known);
        let mut approved = Vec::new();
        if let Some(found) = &found {
            let of_package = state.releases.values().filter(|row| {
                row.release.package == found.release.package
                    && matches!(row.state, ReleaseState::Approved | ReleaseState::Superseded)
            });
            approved.extend(of_package.map(known));
            approved.sort_by_key(|release| (release.counter, release.manifest));
        }
        let claimed = query.claimed.as_ref().and_then(|claimed| {
            let mut rows = state.releases.values();
            rows.find(|row| row.release == *claimed && row.state != ReleaseState::Refused)
        });
        Ok(ReleaseFacts {
            known: found,
            manifest_of_claimed: claimed.map(|row| row.manifest),
            approved,
            next_rollout: state.releases.values().filter_map(|row| row.rollout).max().unwrap_or(0) + 1,
        })
    }
}

impl<H: Holds> Read<LoadDelta> for Handle<H> {
    fn read(&mut self, query: &LoadDelta) -> Result<Option<u64>, StoreError> {
        Ok(self.state().deltas.get(&(query.target, query.base)).copied())
    }
}
