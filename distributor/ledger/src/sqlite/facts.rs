//! What commands decide from.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, PackageName, Platform};
use sealpost_site::commands::clients::{
    EnrolledClient, EnrollmentFacts, LoadEnrollment, LoadSeats, LoadSetup, SeatFacts, SetupFacts,
};
use sealpost_site::commands::contact::{
    ContactClient, ContactFacts, HeldGrantText, LastContact, LoadContact, SeenClient,
};
use sealpost_site::commands::licenses::LoadHeldGrant;
use sealpost_site::commands::pulls::{LoadPull, PullFacts, PulledVersions};
use sealpost_site::commands::releases::{LoadDelta, LoadRelease, ReleaseFacts};
use sealpost_site::queries::SetupOf;
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::enrollment::{IssuedSetup, SetupState};
use sealpost_site::rules::grants::HeldGrant;
use sealpost_site::rules::pending::PendingFacts;
use sealpost_site::rules::seats::GrantedSeats;

use super::connection::Connected;
use super::lists::releases::{approved, approved_of, known_release, manifest_of, next_rollout};
use super::values::{
    count, from_json, optional_count, optional_from_json, optional_text, optional_time, text, time,
};
use crate::store::{Read, StoreError};

impl<C: Connected> Read<LoadHeldGrant> for C {
    fn read(&mut self, query: &LoadHeldGrant) -> Result<Option<HeldGrant>, StoreError> {
        let held = self
            .connection()
            .prepare_cached("SELECT generation, epoch, digest FROM grants WHERE serial = ?1")?
            .query_row([query.serial.as_str()], |row| {
                Ok(HeldGrant { generation: count(row, 0)?, epoch: count(row, 1)?, digest: text(row, 2)? })
            })
            .optional()?;
        Ok(held)
    }
}

impl<C: Connected> Read<LoadSeats> for C {
    fn read(&mut self, query: &LoadSeats) -> Result<SeatFacts, StoreError> {
        let connection = self.connection();
        let reserved = is_reserved(connection, &query.name)?;
        let grants = connection
            .prepare_cached("SELECT serial, seats, valid_until, used FROM grants ORDER BY accepted_sequence")?
            .query_map([], |row| {
                Ok(GrantedSeats {
                    serial: text(row, 0)?,
                    seats: row.get(1)?,
                    valid_until: time(row, 2)?,
                    used: row.get(3)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(SeatFacts { reserved, grants })
    }
}

fn is_reserved(connection: &Connection, name: &ComputerName) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM reservations WHERE name = ?1")?.exists([name.as_str()])
}

impl<C: Connected> Read<LoadSetup> for C {
    fn read(&mut self, query: &LoadSetup) -> Result<SetupFacts, StoreError> {
        let connection = self.connection();
        let reserved = is_reserved(connection, &query.name)?;
        let code_of = connection
            .prepare_cached("SELECT name FROM setups WHERE code_sha256 = ?1")?
            .query_row([query.code_sha256.to_string()], |row| text(row, 0))
            .optional()?;
        Ok(SetupFacts { reserved, code_of })
    }
}

impl<C: Connected> Read<SetupOf> for C {
    fn read(&mut self, query: &SetupOf) -> Result<SetupState, StoreError> {
        Ok(setup(self.connection(), &query.name)?)
    }
}

fn setup(connection: &Connection, name: &ComputerName) -> rusqlite::Result<SetupState> {
    let found = connection
        .prepare_cached(
            "SELECT s.code_sha256, c.client_key FROM reservations r LEFT JOIN setups s ON s.name = r.name \
             LEFT JOIN clients c ON c.client_id = s.used_by WHERE r.name = ?1",
        )?
        .query_row([name.as_str()], |row| Ok((optional_text(row, 0)?, optional_text(row, 1)?)))
        .optional()?;
    Ok(match found {
        None => SetupState::Unknown,
        Some((None, _)) => SetupState::Reserved,
        Some((Some(code_sha256), used_by)) => SetupState::Issued(IssuedSetup { code_sha256, used_by }),
    })
}

impl<C: Connected> Read<LoadEnrollment> for C {
    fn read(&mut self, query: &LoadEnrollment) -> Result<EnrollmentFacts, StoreError> {
        let (connection, name) = (self.connection(), &query.name);
        let client = connection
            .prepare_cached("SELECT client_id, client_key, enrolled_at FROM clients WHERE name = ?1")?
            .query_row([name.as_str()], |row| {
                Ok(EnrolledClient {
                    client_id: text(row, 0)?,
                    client_key: text(row, 1)?,
                    enrolled_at: time(row, 2)?,
                })
            })
            .optional()?;
        let grant = connection
            .prepare_cached(
                "SELECT g.document FROM reservations r JOIN grants g ON g.serial = r.serial WHERE r.name = ?1",
            )?
            .query_row([name.as_str()], |row| from_json(row, 0))
            .optional()?;
        let setup = setup(connection, name)?;
        // Who holds a seat does not wait for one.
        let pending = match setup {
            SetupState::Unknown => pending(connection, name)?,
            SetupState::Reserved | SetupState::Issued(_) => PendingFacts::default(),
        };
        Ok(EnrollmentFacts { setup, client, grant, pending })
    }
}

fn pending(connection: &Connection, name: &ComputerName) -> rusqlite::Result<PendingFacts> {
    let (waiting, known) = connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM pending), EXISTS (SELECT 1 FROM pending WHERE name = ?1)",
        )?
        .query_row([name.as_str()], |row| Ok((count(row, 0)?, row.get(1)?)))?;
    let oldest = connection
        .prepare_cached("SELECT name, seen_at FROM pending ORDER BY sequence LIMIT 1")?
        .query_row([], |row| Ok((text(row, 0)?, time(row, 1)?)))
        .optional()?;
    Ok(PendingFacts { waiting, known, oldest })
}

impl<C: Connected> Read<LoadContact> for C {
    fn read(&mut self, query: &LoadContact) -> Result<ContactFacts, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "SELECT c.name, r.channel, c.client_key, c.forked, c.sequence, c.lease_sequence, \
             c.assignment_sequence, c.acknowledged_report, g.document, k.previous, k.next, k.answer, t.lease, \
             t.assignment, s.platform, s.agent_version, s.installed, (SELECT max(epoch) FROM grants), \
             (SELECT metadata_as_of FROM freshness) \
             FROM clients c JOIN reservations r ON r.name = c.name \
             LEFT JOIN grants g ON g.serial = r.serial \
             LEFT JOIN contacts k ON k.client_id = c.client_id \
             LEFT JOIN sent t ON t.client_id = c.client_id \
             LEFT JOIN seen s ON s.client_id = c.client_id WHERE c.client_id = ?1",
        )?;
        let mut rows = statement.query([query.client_id.as_str()])?;
        let Some(row) = rows.next()? else {
            return Ok(ContactFacts { client: None, approved: Vec::new(), metadata_as_of: None, epoch: 0 });
        };
        let reported =
            if query.reports { reported_packages(connection, &query.client_id)? } else { BTreeSet::new() };
        Ok(ContactFacts {
            client: Some(ContactClient { reported, ..contact_client(row)? }),
            epoch: optional_count(row, 17)?.unwrap_or(0),
            metadata_as_of: optional_time(row, 18)?,
            approved: approved(connection)?,
        })
    }
}

fn contact_client(row: &Row<'_>) -> Result<ContactClient, StoreError> {
    let document: SignedDocument =
        optional_from_json(row, 8)?.ok_or(StoreError::Missing { what: "grant" })?;
    let seen = match (optional_text::<Platform>(row, 14)?, row.get(15)?, optional_from_json(row, 16)?) {
        (Some(platform), Some(agent_version), Some(installed)) => {
            Some(SeenClient { platform, agent_version, installed })
        }
        _ => None,
    };
    Ok(ContactClient {
        name: text(row, 0)?,
        channel: text(row, 1)?,
        client_key: text(row, 2)?,
        forked: row.get(3)?,
        sequence: count(row, 4)?,
        had_lease: optional_count(row, 5)?.is_some(),
        had_assignment: optional_count(row, 6)?.is_some(),
        acknowledged_report: count(row, 7)?,
        grant: HeldGrantText {
            grant: document::read(document.document.as_bytes())?,
            digest: document.digest(),
            document,
        },
        last: last_contact(row)?,
        lease: optional_from_json(row, 12)?,
        assignment: optional_from_json(row, 13)?,
        seen,
        reported: BTreeSet::new(),
    })
}

fn last_contact(row: &Row<'_>) -> rusqlite::Result<Option<LastContact>> {
    let Some(next) = optional_text::<Nonce>(row, 10)? else { return Ok(None) };
    let nonces = NoncePair { previous: optional_text(row, 9)?, next };
    Ok(Some(LastContact { nonces, answer: from_json(row, 11)? }))
}

fn reported_packages(
    connection: &Connection,
    client_id: &ClientId,
) -> rusqlite::Result<BTreeSet<PackageName>> {
    connection
        .prepare_cached("SELECT package FROM last_reports WHERE client_id = ?1")?
        .query_map([client_id.as_str()], |row| text(row, 0))?
        .collect()
}

impl<C: Connected> Read<LoadPull> for C {
    fn read(&mut self, _: &LoadPull) -> Result<PullFacts, StoreError> {
        let found = self
            .connection()
            .prepare_cached("SELECT root_version, timestamp_version, snapshot_version, failure FROM pulls")?
            .query_row([], |row| {
                let versions = (optional_count(row, 0)?, optional_count(row, 1)?, optional_count(row, 2)?);
                let versions = match versions {
                    (Some(root), Some(timestamp), Some(snapshot)) => {
                        Some(PulledVersions { root, timestamp, snapshot })
                    }
                    _ => None,
                };
                Ok(PullFacts { versions, failure: row.get(3)? })
            })
            .optional()?;
        Ok(found.unwrap_or_default())
    }
}

impl<C: Connected> Read<LoadRelease> for C {
    fn read(&mut self, query: &LoadRelease) -> Result<ReleaseFacts, StoreError> {
        let connection = self.connection();
        let known = known_release(connection, &query.manifest)?;
        let approved = match &known {
            Some(known) => approved_of(connection, &known.release.package)?,
            None => Vec::new(),
        };
        let manifest_of_claimed = match &query.claimed {
            Some(claimed) => manifest_of(connection, claimed)?,
            None => None,
        };
        Ok(ReleaseFacts { known, manifest_of_claimed, approved, next_rollout: next_rollout(connection)? })
    }
}

impl<C: Connected> Read<LoadDelta> for C {
    fn read(&mut self, query: &LoadDelta) -> Result<Option<u64>, StoreError> {
        let bytes = self
            .connection()
            .prepare_cached("SELECT bytes FROM deltas WHERE target = ?1 AND base = ?2")?
            .query_row([query.target.to_string(), query.base.to_string()], |row| count(row, 0))
            .optional()?;
        Ok(bytes)
    }
}
