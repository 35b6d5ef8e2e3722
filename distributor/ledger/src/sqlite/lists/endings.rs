//! What ends first: leases of computers, and setup codes that nobody has used.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::queries::Endings;
use sealpost_site::rows::EndingsRow;
use sealpost_site::rules::setups::EndingSetup;

use crate::sqlite::connection::Connected;
use crate::sqlite::values::{count, text, time};
use crate::store::{Read, StoreError};

impl<C: Connected> Read<Endings> for C {
    fn read(&mut self, query: &Endings) -> Result<EndingsRow, StoreError> {
        let connection = self.connection();
        let now = query.now.as_microsecond();
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
            .prepare_cached(
                "SELECT name, issued_at, expires_at, \
                 (SELECT count(*) FROM setups WHERE used_by IS NULL AND admitted_key IS NULL AND expires_at > ?1) \
                 FROM setups WHERE used_by IS NULL AND admitted_key IS NULL AND expires_at > ?1 \
                 ORDER BY expires_at, name LIMIT 1",
            )?
            .query_row([now], |row| {
                let (name, issued_at, expires_at) = (text(row, 0)?, time(row, 1)?, time(row, 2)?);
                Ok(EndingSetup { name, issued_at, expires_at, count: count(row, 3)? })
            })
            .optional()?;
        Ok(EndingsRow { lease, leases_ended, setup })
    }
}

fn end(row: &Row<'_>) -> rusqlite::Result<(ComputerName, Timestamp)> {
    Ok((text(row, 0)?, time(row, 1)?))
}
