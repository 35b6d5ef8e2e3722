//! Computers that wait until they are admitted, as enrollments and admissions are decided from them.
//!
//! The list is that of `knocks` and, from servers of before, of `pending`, which has names alone.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::ComputerName;
use sealpost_site::commands::clients::{AdmissionFacts, LoadAdmission, LoadSeats, NameFacts};
use sealpost_site::rules::enrollment::{IssuedSetup, SetupState};
use sealpost_site::rules::pending::{PendingFacts, Waits};

use super::connection::Connected;
use super::lists::licenses::restored_at;
use super::restored::setup_end;
use super::values::{count, micros, optional_text, optional_time, text, time};
use crate::grants::TrustedGrants;
use crate::store::{Read, StoreError};

const OLDEST: &str = "SELECT name, client_key, seen_at FROM ( \
    SELECT name, client_key, seen_at, sequence FROM (SELECT * FROM knocks ORDER BY sequence LIMIT 1) \
    UNION ALL SELECT name, NULL, seen_at, sequence FROM (SELECT * FROM pending ORDER BY sequence LIMIT 1)) \
    ORDER BY sequence LIMIT 1";

/// The list, for a computer that asks with this key.
pub(super) fn pending(
    connection: &Connection,
    name: &ComputerName,
    client_key: &PublicKey,
) -> rusqlite::Result<PendingFacts> {
    let waits = |row: &Row<'_>| {
        let waits = Waits { name: text(row, 0)?, client_key: optional_text(row, 1)? };
        Ok((waits, time(row, 2)?))
    };
    let oldest = connection.prepare_cached(OLDEST)?.query_row([], waits).optional()?;
    let oldest_of_name = connection
        .prepare_cached(
            "SELECT name, client_key, seen_at FROM knocks WHERE name = ?1 ORDER BY sequence LIMIT 1",
        )?
        .query_row([name.as_str()], waits)
        .optional()?;
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM knocks) + (SELECT count(*) FROM pending), \
             EXISTS (SELECT 1 FROM knocks WHERE name = ?1 AND client_key = ?2), \
             (SELECT count(*) FROM knocks WHERE name = ?1), EXISTS (SELECT 1 FROM pending WHERE name = ?1)",
        )?
        .query_row(params![name.as_str(), client_key.to_base64()], |row| {
            Ok(PendingFacts {
                waiting: count(row, 0)?,
                known: row.get(1)?,
                of_name: count(row, 2)?,
                without_key: row.get(3)?,
                oldest_of_name,
                oldest,
            })
        })
}

const SETUP: &str = concat!(
    "SELECT s.setup, ",
    setup_end!("?2"),
    ", c.client_key, s.admitted_key FROM computers p LEFT JOIN setups s ON s.name = p.name \
     LEFT JOIN clients c ON c.client_id = s.used_by WHERE p.name = ?1"
);

/// What was issued or admitted last for a name.
pub(super) fn setup(
    connection: &Connection,
    name: &ComputerName,
    trusted: &TrustedGrants,
) -> rusqlite::Result<SetupState> {
    let restored_at = restored_at(connection, trusted)?.map(micros);
    let found = connection
        .prepare_cached(SETUP)?
        .query_row(params![name.as_str(), restored_at], |row| {
            Ok((
                optional_text(row, 0)?,
                optional_time(row, 1)?,
                optional_text(row, 2)?,
                optional_text(row, 3)?,
            ))
        })
        .optional()?;
    Ok(match found {
        None => SetupState::Unknown,
        Some((Some(setup), Some(expires_at), used_by, admitted)) => {
            SetupState::Issued(IssuedSetup { setup, expires_at, used_by, admitted })
        }
        Some(_) => SetupState::Reserved,
    })
}

impl<C: Connected> Read<LoadAdmission> for C {
    fn read(&mut self, query: &LoadAdmission) -> Result<AdmissionFacts, StoreError> {
        let seats = self.read(&LoadSeats { names: query.names.clone() })?;
        let (connection, trusted) = (self.connection(), self.grants());
        let names = query.names.iter().map(|name| Ok((name.clone(), known(connection, name, trusted)?)));
        Ok(AdmissionFacts { seats, names: names.collect::<rusqlite::Result<_>>()? })
    }
}

fn known(
    connection: &Connection,
    name: &ComputerName,
    trusted: &TrustedGrants,
) -> rusqlite::Result<NameFacts> {
    let enrolled = connection
        .prepare_cached("SELECT client_key FROM clients WHERE name = ?1")?
        .query_row([name.as_str()], |row| text(row, 0))
        .optional()?;
    let waiting = connection
        .prepare_cached("SELECT client_key FROM knocks WHERE name = ?1 ORDER BY sequence")?
        .query_map([name.as_str()], |row| text(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(NameFacts { setup: setup(connection, name, trusted)?, enrolled, waiting })
}
