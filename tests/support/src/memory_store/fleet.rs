//! How the computers stand: who is silent, who does not run what it was told to, who knocks, who was refused.

use jiff::Timestamp;
use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::ClientId;
use sealpost_site::changes::Change;
use sealpost_site::queries::{Fleet, MAX_PAGE, Refusals};
use sealpost_site::rows::{FleetRow, RefusalRow, ReleaseRow};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::troubles::Bounds;

use super::state::{Client, State};
use super::store::{Handle, Holds};

impl State {
    fn heard(&self, client_id: &ClientId, client: &Client) -> Timestamp {
        self.answered(client_id).map_or(client.enrolled_at, |answered| answered.at)
    }

    /// The same, not before the last restore: what is older may be of the copy.
    pub(super) fn heard_since(&self, client_id: &ClientId, client: &Client) -> Timestamp {
        let restored = self.restore.restored.as_ref().map_or(Timestamp::UNIX_EPOCH, |restored| restored.at);
        self.heard(client_id, client).max(restored)
    }

    pub(super) fn is_offline(&self, client_id: &ClientId, client: &Client, bounds: &Bounds) -> bool {
        self.heard_since(client_id, client) < bounds.heard
    }

    /// Since when a client has something to install, or to go back to, that it does not say it runs.
    pub(super) fn behind_since(&self, client_id: &ClientId, client: &Client) -> Option<Timestamp> {
        let since = client.assigned.values().filter_map(|told| self.behind_of(client_id, client, told));
        since.map(|since| since.max(client.enrolled_at)).min()
    }

    fn behind_of(
        &self,
        client_id: &ClientId,
        client: &Client,
        told: &PackageAssignment,
    ) -> Option<Timestamp> {
        let target = self.releases.get(&told.manifest)?;
        let installed = self.seen(client_id).map(|seen| seen.installed.to_vec()).unwrap_or_default();
        let runs = installed.iter().find(|runs| runs.release.package == told.release.package);
        if runs.is_some_and(|runs| runs.manifest == told.manifest) {
            return None;
        }
        let has = runs.and_then(|runs| self.releases.get(&runs.manifest));
        let decided = |row: &ReleaseRow| row.decided.as_ref().map(|decided| decided.at);
        if let Some(has) = has.filter(|has| has.counter > target.counter) {
            return decided(has).or_else(|| decided(target));
        }
        let channel = &self.computers.get(&client.name)?.channel;
        let passed_over = self.releases.values().filter(|row| {
            row.release.package == target.release.package
                && row.release.platform == target.release.platform
                && has.is_none_or(|has| row.counter > has.counter)
                && row.counter <= target.counter
                && matches!(row.state, ReleaseState::Approved | ReleaseState::Superseded)
                && row.approved_for.contains(channel)
        });
        passed_over.filter_map(decided).min()
    }
}

impl<H: Holds> Read<Fleet> for Handle<H> {
    fn read(&mut self, query: &Fleet) -> Result<FleetRow, StoreError> {
        let state = self.state();
        let announced = state.server_list.as_ref().map(|list| list.issued_at);
        let mut fleet = FleetRow { announced, ..FleetRow::default() };
        for (name, client_id) in &state.client_of {
            let Some(client) = state.clients.get(client_id) else { continue };
            let heard = state.heard(client_id, client);
            fleet.enrolled += 1;
            fleet.heard = fleet.heard.max(Some(heard));
            if state.is_offline(client_id, client, &query.bounds) {
                fleet.offline.add(name.clone(), Some(heard));
            }
            let behind = state.behind_since(client_id, client);
            if behind.is_some_and(|behind| behind <= query.bounds.decided) {
                fleet.outdated.add(name.clone(), behind);
            }
        }
        for (name, seen_at) in state.first_asked() {
            fleet.pending.add(name, Some(seen_at));
        }
        Ok(fleet)
    }
}

impl<H: Holds> Read<Refusals> for Handle<H> {
    fn read(&mut self, _: &Refusals) -> Result<Vec<RefusalRow>, StoreError> {
        let state = self.state();
        let changes = state.log.values().rev().map(|logged| &logged.linked.entry.change);
        let refusals = changes.filter_map(|change| match change {
            Change::Refused { code, source, minute, count, computer } => {
                let client = computer.as_ref().and_then(|name| state.client_named(name));
                let answered = client.and_then(|(client_id, _)| state.answered(client_id));
                Some(RefusalRow {
                    code: *code,
                    source: source.clone(),
                    minute: *minute,
                    count: *count,
                    computer: computer.clone(),
                    answered: answered.map(|answered| answered.at),
                })
            }
            _ => None,
        });
        Ok(refusals.take(MAX_PAGE as usize).collect())
    }
}
