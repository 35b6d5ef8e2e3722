//! What ends first: leases of computers, and setup codes that nobody has used; and whom the end of a serial number concerns.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::{Endings, HeldAlone};
use sealpost_site::rows::{ComputersRow, EndingsRow, WAITING_NAMES};
use sealpost_site::rules::setups::EndingSetup;

use crate::sqlite::connection::Connected;
use crate::sqlite::lists::licenses::restored_at;
use crate::sqlite::restored::setup_end;
use crate::sqlite::values::{count, json, micros, text, time};
use crate::store::{Read, StoreError};

/// `?1` is the time, `?2` that of the last restore or null.
const FIRST_SETUP: &str = concat!(
    "SELECT name, issued_at, ends, count(*) OVER () FROM (SELECT s.name, s.issued_at, ",
    setup_end!("?2"),
    " AS ends FROM setups s WHERE s.used_by IS NULL AND s.admitted_key IS NULL AND s.expires_at > ?1) \
     WHERE ends > ?1 ORDER BY ends, name LIMIT 1"
);

impl<C: Connected> Read<Endings> for C {
    fn read(&mut self, query: &Endings) -> Result<EndingsRow, StoreError> {
        let connection = self.connection();
        let now = query.now.as_microsecond();
        let restored_at = restored_at(connection, self.grants())?.map(micros);
        let lease = connection
            .prepare_cached(
                "SELECT name, lease_until FROM clients WHERE lease_until IS NOT NULL \
                 ORDER BY lease_until, name LIMIT 1",
            )?
            .query_row([], end)
            .optional()?;
        let leases_ended = connection
            .prepare_cached("SELECT count(*) FROM clients WHERE lease_until <= ?1")?
            .query_row([now], |row| count(row, 0))?;
        let setup = connection
            .prepare_cached(FIRST_SETUP)?
            .query_row(params![now, restored_at], |row| {
                let (name, issued_at, expires_at) = (text(row, 0)?, time(row, 1)?, time(row, 2)?);
                Ok(EndingSetup { name, issued_at, expires_at, count: count(row, 3)? })
            })
            .optional()?;
        Ok(EndingsRow { lease, leases_ended, setup })
    }
}

/// `?2` is a JSON list of the others.
const ALONE: &str = "FROM reservations r WHERE r.serial = ?1 AND NOT EXISTS (SELECT 1 FROM json_each(?2) o \
     JOIN reservations h ON h.name = r.name AND h.serial = o.value)";

impl<C: Connected> Read<HeldAlone> for C {
    fn read(&mut self, query: &HeldAlone) -> Result<ComputersRow, StoreError> {
        let connection = self.connection();
        let (serial, others) = (query.serial.as_str(), json(&query.others)?);
        let count = connection
            .prepare_cached(&format!("SELECT count(*) {ALONE}"))?
            .query_row([serial, &others], |row| count(row, 0))?;
        let names = connection
            .prepare_cached(&format!("SELECT r.name {ALONE} ORDER BY r.name LIMIT {WAITING_NAMES}"))?
            .query_map([serial, &others], |row| text(row, 0))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(ComputersRow { count, names, since: None })
    }
}

fn end(row: &Row<'_>) -> rusqlite::Result<(ComputerName, Timestamp)> {
    Ok((text(row, 0)?, time(row, 1)?))
}
