//! What commands decide from.

use std::collections::BTreeSet;
use std::ops::Bound;

use jiff::Timestamp;
use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::order::Epoch;
use sealpost_site::commands::NoFacts;
use sealpost_site::commands::clients::{
    ChannelFacts, EnrolledClient, EnrollmentFacts, Held, LoadChannels, LoadEnrollment, LoadSeats, LoadSetups,
    NewestSetup, SeatFacts, SetupFacts, SetupsOf,
};
use sealpost_site::commands::licenses::{GrantFacts, LoadHeldGrant};
use sealpost_site::commands::pulls::{LoadPull, PullFacts};
use sealpost_site::commands::releases::{
    CounterResetFacts, LoadCounterReset, LoadDelta, LoadRelease, ReleaseFacts,
};
use sealpost_site::commands::restores::{LoadRestore, RestoreFacts};
use sealpost_site::commands::servers::{LoadServerList, ServerListFacts};
use sealpost_site::commands::undoing::{AttemptOf, LoadRetry, MAX_RETRIED, RetryFacts};
use sealpost_site::queries::{SetupOf, Setups};
use sealpost_site::rows::SetupRow;
use sealpost_site::rules::copies::Kept;
use sealpost_site::rules::enrollment::{IssuedSetup, SetupState};
use sealpost_site::rules::grants::HeldGrant;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::seats::GrantedSeats;
use sealpost_site::rules::setups::CodeState;
use sealpost_site::rules::vendor_time::GrantedTimes;

use super::state::{License, Setup, State};
use super::store::{Handle, Holds};

impl<H: Holds> Read<NoFacts> for Handle<H> {
    fn read(&mut self, _: &NoFacts) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<H: Holds> Read<LoadHeldGrant> for Handle<H> {
    fn read(&mut self, query: &LoadHeldGrant) -> Result<GrantFacts, StoreError> {
        let state = self.state();
        let counts = state.licenses.contains_key(&query.serial);
        let held = self.stored().licenses.get(&query.serial).map(|license| HeldGrant {
            generation: license.grant.generation,
            epoch: license.grant.epoch,
            digest: counts.then(|| license.document.digest()),
            not_after: license.grant.not_after,
        });
        let asked = query.request_id.as_ref();
        let answers_restored = asked.is_some_and(|asked| state.restore_requests.contains(asked));
        let restore = state.restore.clone();
        let newest = state.vendor_statement();
        Ok(GrantFacts { held, restore, answers_restored, newest, granted: granted_times(&state) })
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
            used: state.seats_of(&license.grant.serial).0,
            not_after: license.grant.not_after,
            ends_at: license.grant.ends_at,
        });
        let held = query.names.iter().filter_map(|name| {
            let computer = state.computers.get(name)?;
            Some((
                name.clone(),
                Held { channel: computer.channel.clone(), serials: computer.serials.clone() },
            ))
        });
        Ok(SeatFacts {
            held: held.collect(),
            channels: state.known_channels(),
            grants: grants.collect(),
            restore: state.restore.clone(),
        })
    }
}

impl<H: Holds> Read<LoadChannels> for Handle<H> {
    fn read(&mut self, query: &LoadChannels) -> Result<ChannelFacts, StoreError> {
        let state = self.state();
        let channel = state.computers.get(&query.name).map(|computer| computer.channel.clone());
        Ok(ChannelFacts { channel, channels: state.known_channels() })
    }
}

impl<H: Holds> Read<LoadRetry> for Handle<H> {
    fn read(&mut self, query: &LoadRetry) -> Result<RetryFacts, StoreError> {
        let state = self.state();
        let Some(known) = state.known_release(&query.manifest) else {
            return Ok(RetryFacts { known: None, computers: Vec::new() });
        };
        let of = |name: &ComputerName| {
            let (client_id, client) = state.client_named(name)?;
            let last = client.last_reports.get(&known.release.package);
            let failed = last.filter(|last| last.failed && last.report.manifest == query.manifest);
            Some(AttemptOf {
                client_id: client_id.clone(),
                name: name.clone(),
                attempt: client.attempts.get(&query.manifest).copied(),
                failed: failed.map(|last| last.report.attempt),
            })
        };
        let named: BTreeSet<&ComputerName> = query.names.iter().collect();
        let computers = if named.is_empty() {
            let failed = state.client_of.keys().filter_map(of).filter(|computer| computer.failed.is_some());
            failed.take(MAX_RETRIED as usize).collect()
        } else {
            named.into_iter().filter_map(of).collect()
        };
        Ok(RetryFacts { known: Some(known), computers })
    }
}

impl<H: Holds> Read<LoadSetups> for Handle<H> {
    fn read(&mut self, query: &LoadSetups) -> Result<SetupFacts, StoreError> {
        let state = self.state();
        let held = query.names.iter().filter(|name| state.computers.contains_key(*name)).map(|name| {
            let newest = state.setups.get(name).filter(|setup| setup.admitted_key.is_none());
            let newest = newest.map(|setup| NewestSetup {
                setup: setup.setup.clone(),
                expires_at: state.end_of(setup),
                used: setup.used_by.is_some(),
            });
            let enrolled = state.clients.values().any(|client| client.name == *name);
            (name.clone(), SetupsOf { newest, enrolled })
        });
        Ok(SetupFacts { held: held.collect() })
    }
}

impl<H: Holds> Read<Setups> for Handle<H> {
    fn read(&mut self, query: &Setups) -> Result<Vec<SetupRow>, StoreError> {
        let state = self.state();
        let after = query.after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let files =
            state.setups.range((after, Bound::Unbounded)).filter(|(_, setup)| setup.admitted_key.is_none());
        let rows = files.map(|(name, setup)| SetupRow {
            name: name.clone(),
            issued_at: setup.issued_at,
            expires_at: state.end_of(setup),
            used: setup.used_by.is_some(),
        });
        let stands = |row: &SetupRow| {
            query.state.is_none_or(|state| state == CodeState::of(row.used, row.expires_at, query.now))
        };
        Ok(rows.filter(stands).take(query.limit as usize).collect())
    }
}

impl State {
    /// The end of a code or an admission, if nobody used it; else the one that it was issued with.
    pub(super) fn end_of(&self, setup: &Setup) -> Timestamp {
        let is_from_before = setup.before_restore && setup.used_by.is_none();
        self.restore.end_of_setup(is_from_before, setup.expires_at)
    }

    /// Which copy of a client goes on.
    pub(super) fn kept_of(&self, client_id: &ClientId) -> Kept {
        let (branch, is_from_before) = self.seats.kept.get(client_id).copied().unzip();
        self.restore.kept(is_from_before.unwrap_or(false), branch)
    }

    pub(super) fn setup_of(&self, name: &ComputerName) -> SetupState {
        if !self.computers.contains_key(name) {
            return SetupState::Unknown;
        }
        let Some(setup) = self.setups.get(name) else { return SetupState::Reserved };
        let user = setup.used_by.as_ref().and_then(|client_id| self.clients.get(client_id));
        SetupState::Issued(IssuedSetup {
            setup: setup.setup.clone(),
            expires_at: self.end_of(setup),
            used_by: user.map(|client| client.client_key.clone()),
            admitted: setup.admitted_key.clone(),
        })
    }

    /// The highest epoch of any grant here.
    pub(super) fn epoch(&self) -> Epoch {
        self.licenses.values().map(|license| license.grant.epoch).max().unwrap_or_default()
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
        let pending = state.pending_facts(name, &query.client_key);
        let client = state.client_named(name).map(|(client_id, client)| EnrolledClient {
            client_id: client_id.clone(),
            client_key: client.client_key.clone(),
            enrolled_at: client.enrolled_at,
            last_contact: state.answered(client_id).map(|answered| answered.at),
            forked: client.forked,
            kept_copy: state.kept_of(client_id),
        });
        let grants = state.licenses_of(name).map(|license| license.document.clone()).collect();
        Ok(EnrollmentFacts { setup, client, grants, restore: state.restore.clone(), pending })
    }
}

impl<H: Holds> Read<LoadRestore> for Handle<H> {
    fn read(&mut self, _: &LoadRestore) -> Result<RestoreFacts, StoreError> {
        Ok(RestoreFacts { epoch: self.stored().epoch() })
    }
}

impl<H: Holds> Read<LoadServerList> for Handle<H> {
    fn read(&mut self, _: &LoadServerList) -> Result<ServerListFacts, StoreError> {
        let state = self.state();
        Ok(ServerListFacts { known: state.server_list.clone(), epoch: state.epoch() })
    }
}

impl<H: Holds> Read<LoadPull> for Handle<H> {
    fn read(&mut self, _: &LoadPull) -> Result<PullFacts, StoreError> {
        let state = self.state();
        Ok(PullFacts { granted: granted_times(&state), ..state.pull.clone() })
    }
}

/// The times of the grants that count, in the order in which they came.
fn granted_times(state: &State) -> Vec<GrantedTimes> {
    let mut licenses: Vec<&License> = state.licenses.values().collect();
    licenses.sort_by_key(|license| license.accepted);
    licenses.into_iter().map(|license| GrantedTimes::of(&license.grant)).collect()
}

impl<H: Holds> Read<LoadRelease> for Handle<H> {
    fn read(&mut self, query: &LoadRelease) -> Result<ReleaseFacts, StoreError> {
        let state = self.state();
        let found = state.known_release(&query.manifest);
        let mut approved = Vec::new();
        if let Some(found) = &found {
            approved.extend(state.approved_of(&found.release.package));
        }
        let claimed = query.claimed.as_ref().and_then(|claimed| {
            let mut rows = state.releases.values();
            rows.find(|row| row.release == *claimed && row.state != ReleaseState::Refused)
        });
        let begun = state.rolling.rollouts.keys().copied();
        let numbers = state.releases.values().filter_map(|row| row.rollout).chain(begun);
        Ok(ReleaseFacts {
            test: state.tests.get(&query.manifest).cloned(),
            known: found,
            manifest_of_claimed: claimed.map(|row| row.manifest),
            approved,
            next_rollout: numbers.max().unwrap_or(0) + 1,
            staged_at: state.releases.get(&query.manifest).map(|row| row.staged_at),
            plan: state.plan(),
            highest_attempt: state.highest_attempt(&query.manifest),
        })
    }
}

impl<H: Holds> Read<LoadCounterReset> for Handle<H> {
    fn read(&mut self, query: &LoadCounterReset) -> Result<CounterResetFacts, StoreError> {
        let state = self.state();
        let of_package = state.releases.values().filter(|row| row.release.package == query.package);
        let mut releases: Vec<_> =
            of_package.filter(|row| row.state != ReleaseState::Refused).map(|row| state.known(row)).collect();
        releases.sort_by_key(|release| (release.counter, release.manifest));
        Ok(CounterResetFacts { applied: state.counter_resets.get(&query.package).copied(), releases })
    }
}

impl<H: Holds> Read<LoadDelta> for Handle<H> {
    fn read(&mut self, query: &LoadDelta) -> Result<Option<u64>, StoreError> {
        Ok(self.state().deltas.get(&(query.target, query.base)).copied())
    }
}
