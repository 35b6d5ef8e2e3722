//! Lists and look-ups of reservations and their computers.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ChannelName, ComputerName};
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{ReasonCode, Report};
use sealpost_site::queries::{
    ClientByName, ClientKey, ClientSealingKey, Clients, Drifted, ExplainClient, Failing, Followers,
    HolderById, NotStarted, Recipients, Trying,
};
use sealpost_site::rows::{
    ClientRow, ComputersRow, FailingRow, HolderRow, LogForkRow, RecipientRow, TryingRow,
};
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::explain::ExplainFacts;
use sealpost_site::rules::leaving::Named;
use sealpost_site::rules::reports::gives_up;
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::troubles::{Bounds, Trouble};

use super::releases::page;
use super::state::{Client, Computer, State};
use super::store::{Handle, Holds};

impl State {
    fn client_row(&self, name: &ComputerName, computer: &Computer) -> ClientRow {
        let held_by = self.client_named(name);
        let seen = held_by.and_then(|(client_id, _)| self.seen(client_id));
        let answered = held_by.and_then(|(client_id, _)| self.answered(client_id));
        let client = held_by.map(|(_, client)| client);
        let tags = seen.as_ref().map(|seen| seen.tags.to_vec()).unwrap_or_default();
        let postponed = seen.as_ref().map(|seen| seen.postponed.to_vec()).unwrap_or_default();
        let came_by = seen.as_ref().and_then(|seen| seen.came_by);
        ClientRow {
            name: name.clone(),
            channel: computer.channel.clone(),
            state: match client {
                None => ClientState::Reserved,
                Some(client) if client.forked => ClientState::Forked,
                Some(_) => ClientState::Active,
            },
            reserved_at: computer.reserved_at,
            client_id: held_by.map(|(client_id, _)| client_id.clone()),
            client_key: client.map(|client| client.client_key.clone()),
            platform: match (&seen, client) {
                (Some(seen), _) => Some(seen.platform.clone()),
                (None, client) => client.map(|client| client.platform.clone()),
            },
            agent_version: match (&seen, client) {
                (Some(seen), _) => Some(seen.agent_version.to_owned()),
                (None, client) => client.map(|client| client.agent_version.clone()),
            },
            hostname: seen.as_ref().and_then(|seen| seen.hostname).map(str::to_owned),
            instance: seen.as_ref().and_then(|seen| seen.instance),
            resumed: client
                .and_then(|client| client.resumed.as_ref())
                .filter(|(era, _)| *era == self.restore.era)
                .map(|(_, row)| row.clone()),
            log_fork: client.and_then(|client| client.log_fork.as_ref()).map(|fork| LogForkRow {
                name: name.clone(),
                held: fork.held,
                seen: fork.seen,
                at: fork.at,
            }),
            last_contact: answered.map(|answered| answered.at),
            lease_until: client.and_then(|client| client.lease_until),
            installed: seen.as_ref().map(|seen| seen.installed.to_vec()).unwrap_or_default(),
            before: seen.map(|seen| seen.before.to_vec()).unwrap_or_default(),
            drift: client.map(|client| client.drift.values().cloned().collect()).unwrap_or_default(),
            assigned: client.map(|client| client.assigned.values().cloned().collect()).unwrap_or_default(),
            last_reports: client
                .map(|client| client.last_reports.values().map(|last| last.report.clone()).collect())
                .unwrap_or_default(),
            listed: self.listed(name),
            tags,
            postponed,
            came_by,
            deliveries: held_by.map(|(client_id, _)| self.deliveries_of(client_id)).unwrap_or_default(),
        }
    }

    fn client(&self, name: &ComputerName) -> Option<ClientRow> {
        self.computers.get(name).map(|computer| self.client_row(name, computer))
    }

    /// The grants whose seats a name holds.
    fn grants_of(&self, name: &ComputerName) -> Vec<Grant> {
        self.licenses_of(name).map(|license| license.grant.clone()).collect()
    }

    /// The named computers of which something is true, the first by name, and since when, where that is known.
    fn computers_that(&self, since: impl Fn(&Client) -> Option<Option<Timestamp>>) -> ComputersRow {
        let mut who = ComputersRow::default();
        for (name, client_id) in &self.client_of {
            if let Some(since) = self.clients.get(client_id).and_then(&since) {
                who.add(name.clone(), since);
            }
        }
        who
    }

    /// The computers that say that a package of theirs is in such a state.
    fn computers_drifted(&self, wanted: impl Fn(&DriftKind) -> bool) -> ComputersRow {
        self.computers_that(|client| {
            let rows = client.drift.values().filter(|row| wanted(&row.kind));
            rows.map(|row| row.since).min().map(Some)
        })
    }

    /// The failed last report of a client about a release.
    fn failed<'a>(&self, client: &'a Client, manifest: &Sha256Digest) -> Option<&'a Report> {
        let mut last = client.last_reports.values().filter(|last| {
            last.failed && last.report.manifest == *manifest && last.report.reason != ReasonCode::NotKept
        });
        last.next().map(|last| &last.report)
    }

    fn has(&self, trouble: Trouble, name: &ComputerName, bounds: &Bounds) -> bool {
        let Some((client_id, client)) = self.client_named(name) else { return false };
        match trouble {
            Trouble::Failing => {
                client.forked
                    || self.approved().iter().any(|release| self.failed(client, &release.manifest).is_some())
            }
            Trouble::Offline => self.is_offline(client_id, client, bounds),
            Trouble::Outdated => {
                self.behind_since(client_id, client).is_some_and(|behind| behind <= bounds.decided)
            }
        }
    }

    /// Names that hold seats, after one of them.
    pub(super) fn after(
        &self,
        name: Option<&ComputerName>,
    ) -> impl Iterator<Item = (&ComputerName, &Computer)> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        self.computers.range::<ComputerName, _>((from, Bound::Unbounded))
    }
}

impl<H: Holds> Read<Clients> for Handle<H> {
    fn read(&mut self, query: &Clients) -> Result<Vec<ClientRow>, StoreError> {
        let state = self.state();
        let has_all = |name| query.with.iter().all(|trouble| state.has(*trouble, name, &query.bounds));
        let rows =
            state.after(query.after.as_ref()).filter(|(name, _)| has_all(name)).take(page(query.limit));
        Ok(rows.map(|(name, computer)| state.client_row(name, computer)).collect())
    }
}

impl<H: Holds> Read<ClientByName> for Handle<H> {
    fn read(&mut self, query: &ClientByName) -> Result<Option<ClientRow>, StoreError> {
        Ok(self.state().client(&query.name))
    }
}

impl<H: Holds> Read<HolderById> for Handle<H> {
    fn read(&mut self, query: &HolderById) -> Result<Option<HolderRow>, StoreError> {
        let state = self.state();
        let Some(client) = state.clients.get(&query.client_id) else { return Ok(None) };
        let Some(computer) = state.computers.get(&client.name) else { return Ok(None) };
        Ok(Some(HolderRow {
            client_id: query.client_id.clone(),
            name: client.name.clone(),
            channel: computer.channel.clone(),
            forked: client.forked,
            lease_until: client.lease_until,
            assigned: client.assigned.values().cloned().collect(),
        }))
    }
}

impl<H: Holds> Read<ClientKey> for Handle<H> {
    fn read(&mut self, query: &ClientKey) -> Result<Option<PublicKey>, StoreError> {
        Ok(self.state().clients.get(&query.client_id).map(|client| client.client_key.clone()))
    }
}

impl<H: Holds> Read<ClientSealingKey> for Handle<H> {
    fn read(&mut self, query: &ClientSealingKey) -> Result<Option<SealingPublicKey>, StoreError> {
        Ok(self.state().clients.get(&query.client_id).and_then(|client| client.sealing_key))
    }
}

impl<H: Holds> Read<ExplainClient> for Handle<H> {
    fn read(&mut self, query: &ExplainClient) -> Result<Option<ExplainFacts>, StoreError> {
        let state = self.state();
        let Some(client) = state.client(&query.name) else { return Ok(None) };
        let had = client.installed.iter().chain(&client.before).map(|package| package.manifest);
        let had = had.chain(client.last_reports.iter().map(|report| report.manifest));
        let had = had.filter_map(|manifest| state.known_release(&manifest)).collect();
        let server = state.server.as_ref().ok_or(StoreError::Missing { what: "server's row" })?;
        let held_by = state.client_named(&query.name);
        let attempts = held_by.map(|(_, client)| client.attempts.clone()).unwrap_or_default();
        Ok(Some(ExplainFacts {
            client,
            had,
            attempts,
            grants: state.grants_of(&query.name),
            approved: state.approved(),
            staged: state.staged(),
            voided: state.voided(),
            plan: state.plan(),
            counts: state.live_counts(),
            rollouts: state.explaining_rollouts(),
            tests: state.held().map(|held| (held.manifest, held.test)).collect(),
            salt: Salt::of(&server.server_id),
        }))
    }
}

impl<H: Holds> Read<Drifted> for Handle<H> {
    fn read(&mut self, _: &Drifted) -> Result<ComputersRow, StoreError> {
        Ok(self.state().computers_drifted(|kind| *kind != DriftKind::NotStarted))
    }
}

impl<H: Holds> Read<NotStarted> for Handle<H> {
    fn read(&mut self, _: &NotStarted) -> Result<ComputersRow, StoreError> {
        Ok(self.state().computers_drifted(|kind| *kind == DriftKind::NotStarted))
    }
}

impl<H: Holds> Read<Failing> for Handle<H> {
    fn read(&mut self, _: &Failing) -> Result<FailingRow, StoreError> {
        let state = self.state();
        let fails = |gave_up: bool| {
            let of_each = state.approved().into_iter().map(|release| {
                let who = state.computers_that(|client| {
                    let report = state.failed(client, &release.manifest)?;
                    (gives_up(report) == gave_up).then_some(Some(report.at))
                });
                (release.manifest, who)
            });
            of_each.filter(|(_, who)| who.count > 0).collect()
        };
        let forked = state.computers_that(|client| client.forked.then_some(None));
        Ok(FailingRow { gave_up: fails(true), again: fails(false), forked })
    }
}

impl<H: Holds> Read<Followers> for Handle<H> {
    fn read(&mut self, _: &Followers) -> Result<BTreeMap<ChannelName, Named>, StoreError> {
        let mut followers: BTreeMap<ChannelName, Named> = BTreeMap::new();
        for (name, computer) in &self.state().computers {
            followers.entry(computer.channel.clone()).or_default().add(name);
        }
        Ok(followers)
    }
}

impl<H: Holds> Read<Trying> for Handle<H> {
    fn read(&mut self, query: &Trying) -> Result<Vec<TryingRow>, StoreError> {
        let state = self.state();
        let mut rows = Vec::new();
        for (name, client_id) in &state.client_of {
            if query.after.as_ref().is_some_and(|after| name <= after) || rows.len() == page(query.limit) {
                continue;
            }
            let installed = state.seen(client_id).map(|seen| seen.installed.to_vec()).unwrap_or_default();
            let is_meant = |manifest: &Sha256Digest| {
                query.manifests.contains(manifest) && !installed.iter().any(|runs| runs.manifest == *manifest)
            };
            let sent = state.assignment_sent(client_id).into_iter().flat_map(|sent| &sent.packages);
            let told: Vec<_> = sent.filter(|told| is_meant(&told.manifest)).cloned().collect();
            let reports =
                state.clients.get(client_id).into_iter().flat_map(|client| client.last_reports.values());
            let reports = reports.map(|last| &last.report).filter(|report| is_meant(&report.manifest));
            let last_reports: Vec<_> = reports.cloned().collect();
            if !told.is_empty() || !last_reports.is_empty() {
                rows.push(TryingRow { name: name.clone(), told, last_reports });
            }
        }
        Ok(rows)
    }
}

impl<H: Holds> Read<Recipients> for Handle<H> {
    fn read(&mut self, query: &Recipients) -> Result<Vec<RecipientRow>, StoreError> {
        let state = self.state();
        let mut rows = Vec::new();
        for (name, _) in state.after(query.after.as_ref()) {
            let Some(row) = state.client(name) else { continue };
            let ClientRow { channel, platform, last_contact, installed, before, .. } = row;
            let ClientRow { listed, tags, came_by, deliveries, .. } = row;
            let is_running = |manifest| installed.iter().any(|runs| runs.manifest == manifest);
            if !query.running.is_none_or(is_running) {
                continue;
            }
            if rows.len() == page(query.limit) {
                break;
            }
            let grants = state.grants_of(name);
            let name = name.clone();
            rows.push(RecipientRow {
                name,
                channel,
                platform,
                grants: grants.into_iter().map(Into::into).collect(),
                last_contact,
                installed,
                before,
                listed,
                tags,
                came_by,
                deliveries,
            });
        }
        Ok(rows)
    }
}
