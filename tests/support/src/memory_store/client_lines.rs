//! The list of all computers, as it is looked through.

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{ClientLineByName, ClientLines};
use sealpost_site::rows::ClientLineRow;

use super::releases::page;
use super::state::{Computer, State};
use super::store::{Handle, Holds};

impl State {
    fn client_line(&self, name: &ComputerName, computer: &Computer) -> ClientLineRow {
        let held_by = self.client_named(name);
        let client = held_by.map(|(_, client)| client);
        let seen = held_by.and_then(|(client_id, _)| self.seen(client_id));
        let answered = held_by.and_then(|(client_id, _)| self.answered(client_id));
        ClientLineRow {
            name: name.clone(),
            channel: computer.channel.clone(),
            reserved_at: computer.reserved_at,
            client_id: held_by.map(|(client_id, _)| client_id.clone()),
            forked: client.map(|client| client.forked),
            enrolled_at: client.map(|client| client.enrolled_at),
            platform: match (&seen, client) {
                (Some(seen), _) => Some(seen.platform.clone()),
                (None, client) => client.map(|client| client.platform.clone()),
            },
            agent_version: match (&seen, client) {
                (Some(seen), _) => Some(seen.agent_version.to_owned()),
                (None, client) => client.map(|client| client.agent_version.clone()),
            },
            installed: seen.as_ref().map(|seen| seen.installed.to_vec()).unwrap_or_default(),
            last_contact: answered.as_ref().map(|answered| answered.at),
            heard: held_by.map(|(client_id, client)| self.heard_since(client_id, client)),
            cadence: answered.and_then(|answered| answered.cadence),
            lease_until: client.and_then(|client| client.lease_until),
            serials: computer.serials.iter().cloned().collect(),
            listed: self.listed(name),
            tags: seen.as_ref().map(|seen| seen.tags.to_vec()).unwrap_or_default(),
            came_by: seen.and_then(|seen| seen.came_by),
            install: self.planned(name),
        }
    }
}

impl<H: Holds> Read<ClientLines> for Handle<H> {
    fn read(&mut self, query: &ClientLines) -> Result<Vec<ClientLineRow>, StoreError> {
        let state = self.state();
        let rows = state.after(query.after.as_ref()).take(page(query.limit));
        Ok(rows.map(|(name, computer)| state.client_line(name, computer)).collect())
    }
}

impl<H: Holds> Read<ClientLineByName> for Handle<H> {
    fn read(&mut self, query: &ClientLineByName) -> Result<Option<ClientLineRow>, StoreError> {
        let state = self.state();
        Ok(state.computers.get(&query.name).map(|computer| state.client_line(&query.name, computer)))
    }
}
