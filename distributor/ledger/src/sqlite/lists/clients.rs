//! Reservations and their computers.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_keys::PublicKey;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_site::queries::{
    ClientByName, ClientKey, Clients, ExplainClient, HolderById, Recipients, page_limit,
};
use sealpost_site::rows::{ClientRow, HolderRow, RecipientRow};
use sealpost_site::rules::assignment::AssignedRelease;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::explain::ExplainFacts;

use super::releases::{approved, release_id, staged};
use crate::sqlite::connection::Connected;
use crate::sqlite::values::{from_json, optional_from_json, optional_text, optional_time, text, time};
use crate::store::{Read, StoreError};

const CLIENT_COLUMNS: &str = "SELECT r.name, r.channel, r.reserved_at, c.client_id, c.client_key, c.forked, \
     coalesce(s.platform, c.platform), coalesce(s.agent_version, c.agent_version), k.at, c.lease_until, s.installed \
     FROM reservations r LEFT JOIN clients c ON c.name = r.name LEFT JOIN contacts k ON k.client_id = c.client_id \
     LEFT JOIN seen s ON s.client_id = c.client_id";

impl<C: Connected> Read<Clients> for C {
    fn read(&mut self, query: &Clients) -> Result<Vec<ClientRow>, StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached(&format!("{CLIENT_COLUMNS} WHERE r.name > ?1 ORDER BY r.name LIMIT ?2"))?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let rows = statement.query_map(params![after, page_limit(Some(query.limit))], bare_client)?;
        let rows = rows.map(|row| with_packages(connection, row?)).collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }
}

impl<C: Connected> Read<ClientByName> for C {
    fn read(&mut self, query: &ClientByName) -> Result<Option<ClientRow>, StoreError> {
        Ok(client(self.connection(), &query.name)?)
    }
}

fn client(connection: &Connection, name: &ComputerName) -> rusqlite::Result<Option<ClientRow>> {
    let row = connection
        .prepare_cached(&format!("{CLIENT_COLUMNS} WHERE r.name = ?1"))?
        .query_row([name.as_str()], bare_client)
        .optional()?;
    row.map(|row| with_packages(connection, row)).transpose()
}

fn bare_client(row: &Row<'_>) -> rusqlite::Result<ClientRow> {
    let client_id: Option<ClientId> = optional_text(row, 3)?;
    let forked: Option<bool> = row.get(5)?;
    let state = match (&client_id, forked) {
        (None, _) => ClientState::Reserved,
        (Some(_), Some(true)) => ClientState::Forked,
        (Some(_), _) => ClientState::Active,
    };
    Ok(ClientRow {
        name: text(row, 0)?,
        channel: text(row, 1)?,
        state,
        reserved_at: time(row, 2)?,
        client_id,
        client_key: optional_text(row, 4)?,
        platform: optional_text(row, 6)?,
        agent_version: row.get(7)?,
        last_contact: optional_time(row, 8)?,
        lease_until: optional_time(row, 9)?,
        installed: optional_from_json(row, 10)?.unwrap_or_default(),
        assigned: Vec::new(),
        last_reports: Vec::new(),
    })
}

fn with_packages(connection: &Connection, mut row: ClientRow) -> rusqlite::Result<ClientRow> {
    let Some(client_id) = &row.client_id else { return Ok(row) };
    row.assigned = assigned(connection, client_id)?;
    row.last_reports = connection
        .prepare_cached("SELECT report FROM last_reports WHERE client_id = ?1 ORDER BY package")?
        .query_map([client_id.as_str()], |row| from_json(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(row)
}

fn assigned(connection: &Connection, client_id: &ClientId) -> rusqlite::Result<Vec<AssignedRelease>> {
    connection
        .prepare_cached(
            "SELECT package, version, platform, manifest FROM assigned WHERE client_id = ?1 ORDER BY package",
        )?
        .query_map([client_id.as_str()], |row| {
            Ok(AssignedRelease { release: release_id(row, 0)?, manifest: text(row, 3)? })
        })?
        .collect()
}

impl<C: Connected> Read<HolderById> for C {
    fn read(&mut self, query: &HolderById) -> Result<Option<HolderRow>, StoreError> {
        let connection = self.connection();
        let row = connection
            .prepare_cached(
                "SELECT c.client_id, r.name, r.channel, c.forked, c.lease_until FROM clients c \
                 JOIN reservations r ON r.name = c.name WHERE c.client_id = ?1",
            )?
            .query_row([query.client_id.as_str()], |row| {
                Ok(HolderRow {
                    client_id: text(row, 0)?,
                    name: text(row, 1)?,
                    channel: text(row, 2)?,
                    forked: row.get(3)?,
                    lease_until: optional_time(row, 4)?,
                    assigned: Vec::new(),
                })
            })
            .optional()?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(HolderRow { assigned: assigned(connection, &query.client_id)?, ..row }))
    }
}

impl<C: Connected> Read<ClientKey> for C {
    fn read(&mut self, query: &ClientKey) -> Result<Option<PublicKey>, StoreError> {
        let key = self
            .connection()
            .prepare_cached("SELECT client_key FROM clients WHERE client_id = ?1")?
            .query_row([query.client_id.as_str()], |row| text(row, 0))
            .optional()?;
        Ok(key)
    }
}

impl<C: Connected> Read<ExplainClient> for C {
    fn read(&mut self, query: &ExplainClient) -> Result<Option<ExplainFacts>, StoreError> {
        let connection = self.connection();
        let Some(client) = client(connection, &query.name)? else { return Ok(None) };
        let document: Option<SignedDocument> = connection
            .prepare_cached(
                "SELECT g.document FROM reservations r JOIN grants g ON g.serial = r.serial WHERE r.name = ?1",
            )?
            .query_row([query.name.as_str()], |row| from_json(row, 0))
            .optional()?;
        Ok(Some(ExplainFacts {
            client,
            licensed: licensed(document.as_ref())?,
            approved: approved(connection)?,
            staged: staged(connection)?,
        }))
    }
}

fn licensed(document: Option<&SignedDocument>) -> Result<Vec<PackageName>, StoreError> {
    let Some(document) = document else { return Ok(Vec::new()) };
    let grant: Grant = document::read(document.document.as_bytes())?;
    Ok(grant.packages)
}

impl<C: Connected> Read<Recipients> for C {
    fn read(&mut self, query: &Recipients) -> Result<Vec<RecipientRow>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT r.name, r.channel, coalesce(s.platform, c.platform), g.document, s.installed \
             FROM reservations r LEFT JOIN clients c ON c.name = r.name LEFT JOIN seen s ON s.client_id = c.client_id \
             LEFT JOIN grants g ON g.serial = r.serial WHERE r.name > ?1 ORDER BY r.name LIMIT ?2",
        )?;
        let after = query.after.as_ref().map_or("", ComputerName::as_str);
        let mut rows = statement.query(params![after, page_limit(Some(query.limit))])?;
        let mut recipients = Vec::new();
        while let Some(row) = rows.next()? {
            let document: Option<SignedDocument> = optional_from_json(row, 3)?;
            recipients.push(RecipientRow {
                name: text(row, 0)?,
                channel: text(row, 1)?,
                platform: optional_text(row, 2)?,
                licensed: licensed(document.as_ref())?,
                installed: optional_from_json(row, 4)?.unwrap_or_default(),
            });
        }
        Ok(recipients)
    }
}
