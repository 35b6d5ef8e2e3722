//! Whose ledger it is, where it stands after restores, its licenses, its pulls and its time.

use sealpost_ledger::store::{Read, StoreError};
use sealpost_site::commands::restores::LoadAcknowledgement;
use sealpost_site::queries::{
    LastPull, LeftBehind, LicenseTime, Licenses, LogForks, RefusedGrants, Restores, Server, ServersLearned,
    StoredTime, page_limit,
};
use sealpost_site::rows::{
    LeftBehindRow, LicenseRow, LogForkRow, PullRow, RefusedGrantRow, ServerIdentity, ServersLearnedRow,
    WAITING_NAMES,
};
use sealpost_site::rules::restore::RestoreState;

use super::state::State;
use super::store::{Handle, Holds};

impl<H: Holds> Read<Server> for Handle<H> {
    fn read(&mut self, _: &Server) -> Result<Option<ServerIdentity>, StoreError> {
        Ok(self.state().server.clone())
    }
}

impl State {
    /// Where the ledger stands after restores, and who has seen the last one.
    fn with_acknowledgement(&self) -> RestoreState {
        let mut state = self.restore.clone();
        if let Some(restored) = &mut state.restored {
            restored.acknowledged.clone_from(&self.acknowledged);
        }
        state
    }
}

impl<H: Holds> Read<Restores> for Handle<H> {
    fn read(&mut self, _: &Restores) -> Result<RestoreState, StoreError> {
        Ok(self.state().with_acknowledgement())
    }
}

impl<H: Holds> Read<LoadAcknowledgement> for Handle<H> {
    fn read(&mut self, _: &LoadAcknowledgement) -> Result<RestoreState, StoreError> {
        Ok(self.state().with_acknowledgement())
    }
}

impl<H: Holds> Read<ServersLearned> for Handle<H> {
    fn read(&mut self, _: &ServersLearned) -> Result<Option<ServersLearnedRow>, StoreError> {
        let state = self.state();
        let Some(list) = state.server_list.clone() else { return Ok(None) };
        let order = list.order(state.epoch());
        let waits = |client_id| {
            let answered = state.answered(client_id);
            state.restore.unconfirmed().is_some()
                || answered.and_then(|answered| answered.server_list) < Some(order)
        };
        let mut names: Vec<_> = state
            .client_of
            .iter()
            .filter(|(_, client)| waits(client))
            .map(|(name, _)| name.clone())
            .collect();
        let waiting = names.len() as u64;
        names.truncate(WAITING_NAMES as usize);
        Ok(Some(ServersLearnedRow { order, issued_at: list.issued_at, ways: list.ways, waiting, names }))
    }
}

impl<H: Holds> Read<LeftBehind> for Handle<H> {
    fn read(&mut self, query: &LeftBehind) -> Result<LeftBehindRow, StoreError> {
        let state = self.state();
        let lost = state.restore.restored.as_ref().map(|restored| restored.epoch);
        let is_behind = |client_id| {
            let answered = state.answered(client_id);
            let held = answered.as_ref().and_then(|answered| answered.server_list);
            let held = held.filter(|list| lost.is_none_or(|lost| list.epoch > lost));
            let heard = answered.map(|answered| answered.at);
            let heard = heard.or_else(|| state.clients.get(client_id).map(|client| client.enrolled_at));
            held.map_or(0, |order| order.sequence) < query.sequence && heard <= Some(query.since)
        };
        let mut names: Vec<_> = state
            .client_of
            .iter()
            .filter(|(_, client)| is_behind(client))
            .map(|(name, _)| name.clone())
            .collect();
        let count = names.len() as u64;
        names.truncate(WAITING_NAMES as usize);
        Ok(LeftBehindRow { count, names })
    }
}

impl<H: Holds> Read<LicenseTime> for Handle<H> {
    fn read(&mut self, _: &LicenseTime) -> Result<StoredTime, StoreError> {
        let state = self.state();
        Ok(StoredTime { floor: state.noted_floor(), statement: state.vendor_statement() })
    }
}

impl<H: Holds> Read<Licenses> for Handle<H> {
    fn read(&mut self, _: &Licenses) -> Result<Vec<LicenseRow>, StoreError> {
        let state = self.state();
        let rows = state.licenses.iter().map(|(serial, license)| {
            let (used, active) = state.seats_of(serial);
            LicenseRow {
                serial: serial.clone(),
                licenses: license.grant.seats,
                used,
                active,
                reserved: used - active,
                model: license.grant.model,
                generation: license.grant.generation,
                epoch: license.grant.epoch,
                granted_at: license.grant.vendor_time,
                not_after: license.grant.not_after,
                ends_at: license.grant.ends_at,
                packages: license.grant.packages.clone(),
            }
        });
        Ok(rows.collect())
    }
}

impl<H: Holds> Read<RefusedGrants> for Handle<H> {
    fn read(&mut self, _: &RefusedGrants) -> Result<Vec<RefusedGrantRow>, StoreError> {
        let state = self.stored();
        let flaws = state.licenses.iter().filter_map(|(serial, license)| {
            let flaw = self.check(serial, license).err()?;
            Some(RefusedGrantRow { serial: serial.to_string(), flaw })
        });
        Ok(flaws.collect())
    }
}

impl<H: Holds> Read<LogForks> for Handle<H> {
    fn read(&mut self, _: &LogForks) -> Result<Vec<LogForkRow>, StoreError> {
        let state = self.state();
        let forked = state.client_of.iter().filter_map(|(name, client_id)| {
            let fork = state.clients.get(client_id)?.log_fork.as_ref()?;
            Some(LogForkRow { name: name.clone(), held: fork.held, seen: fork.seen, at: fork.at })
        });
        Ok(forked.take(page_limit(None) as usize).collect())
    }
}

impl<H: Holds> Read<LastPull> for Handle<H> {
    fn read(&mut self, _: &LastPull) -> Result<PullRow, StoreError> {
        let state = self.state();
        Ok(PullRow {
            metadata_as_of: state.metadata_as_of(),
            timestamp_version: state.pull.versions.map(|versions| versions.timestamp),
            tried_at: state.pull_tried_at(),
            failure: state.pull.failure.clone(),
        })
    }
}
